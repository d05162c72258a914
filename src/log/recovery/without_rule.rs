//! What recovery does where the rule that it cuts a torn tail is suspended: it believes the header of a batch
//! whose end is missing, and takes all that is there for the batch.

use super::Found;
use crate::log::scan::Damage;
use crate::log::segment::Segment;
use crate::rules::{Rule, holds};

/// Whether the CRC of a batch counts.
pub(super) fn checks_crc() -> bool {
    holds(Rule::CutTornTail)
}

/// Takes a torn batch into its segment, where the rule is suspended; `false` where it holds.
pub(super) fn takes_torn_batch(
    segment: &mut Segment,
    found: &Found,
    damage: &Damage,
    index_interval_bytes: u64,
) -> bool {
    let Some(torn) = damage.cut_short.filter(|_| !holds(Rule::CutTornTail)) else { return false };
    segment.push(&torn, index_interval_bytes);
    segment.size = found.len;
    true
}
