//! Which requests a leader refuses for their idea of the leadership (KIP-320).
//!
//! Pure: two epochs in, a verdict out.

use super::PartitionError;
use crate::types::LeaderEpoch;

/// The leader epoch that a client believes to be current; `UNKNOWN` if it has no idea.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) struct EpochFence(pub LeaderEpoch);

impl EpochFence {
    pub const NONE: EpochFence = EpochFence(LeaderEpoch::UNKNOWN);

    pub fn check(self, ours: LeaderEpoch) -> Result<(), PartitionError> {
        let theirs = self.0;
        if theirs.0 < 0 || theirs == ours {
            Ok(())
        } else if theirs < ours {
            Err(PartitionError::FencedEpoch { ours, theirs })
        } else {
            Err(PartitionError::UnknownEpoch { ours, theirs })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_of_an_earlier_or_later_leadership_is_told_apart() {
        let ours = LeaderEpoch(5);

        assert!(EpochFence(LeaderEpoch(5)).check(ours).is_ok());
        assert!(EpochFence::NONE.check(ours).is_ok());
        let earlier = EpochFence(LeaderEpoch(4)).check(ours);
        assert!(matches!(earlier, Err(PartitionError::FencedEpoch { .. })));
        let later = EpochFence(LeaderEpoch(6)).check(ours);
        assert!(matches!(later, Err(PartitionError::UnknownEpoch { .. })));
    }
}
