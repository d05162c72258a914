//! How the file descriptors that the process may have open are shared out: so that neither connections nor topics
//! take what the broker needs to go on, and to start again with what it stores.
//!
//! A partition needs one while it is here: its last segment's file. Connections take from the same share, and are
//! refused first: at the next start there are none before the partitions are open. Limit: what is counted is what
//! the broker opens; where it shares its process with others, the kernel's refusal (EMFILE) may come earlier, and is
//! refuse-and-retry as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Partitions taken, or closed, side by side. Each may have two files open for the moment.
pub(super) const STEPS_AT_ONCE_MAX: usize = 32;
/// Held back from both: the listeners, ZooKeeper's connections (an old one and a new one), HTTP's, the lock, the
/// runtime's own, and the files and directories open for a moment while partitions are opened, rolled and flushed.
const RESERVED: usize = 96 + 2 * STEPS_AT_ONCE_MAX;
/// Less than this to share out is no broker.
const SHARED_MIN: usize = 32;
/// Closed segments kept open for readers: a part of the rest, and no more than so many.
const CLOSED_FILES_PART: usize = 8;
const CLOSED_FILES_MIN: usize = 8;
const CLOSED_FILES_MAX: usize = 4096;
/// This part of the share is never given to partitions: a broker that nobody can reach is of no use.
const CONNECTIONS_PART: usize = 8;
/// Where the process may open any number.
const UNLIMITED: usize = 1 << 20;

/// The share of one broker.
pub(super) struct Descriptors {
    limit: usize,
    closed_files_max: usize,
    /// For partitions and connections together.
    shared: usize,
    partitions_max: usize,
    partitions: AtomicUsize,
    connections: AtomicUsize,
}

/// The process may have too few files open for a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the process may have {limit} files open, a broker needs {needed}: raise the limit (ulimit -n, LimitNOFILE)"
)]
pub struct TooFewDescriptors {
    pub limit: usize,
    pub needed: usize,
}

/// There is no descriptor for another partition, or connection, just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no file descriptor is left for it: {partitions} partitions and {connections} connections share {shared} (the process may have {limit} open)"
)]
pub(super) struct NoDescriptor {
    partitions: usize,
    connections: usize,
    shared: usize,
    limit: usize,
}

/// What a descriptor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Partition,
    Connection,
}

/// A descriptor set apart, given back when dropped.
pub(super) struct Permit {
    descriptors: Arc<Descriptors>,
    used_for: Use,
}

impl Descriptors {
    /// Shares out `limit`, what the process may have open.
    pub fn share_out(limit: u64) -> Result<Descriptors, TooFewDescriptors> {
        let limit = usize::try_from(limit).unwrap_or(UNLIMITED).min(UNLIMITED);
        let needed = RESERVED + SHARED_MIN;
        let Some(rest) = limit.checked_sub(RESERVED).filter(|rest| *rest >= SHARED_MIN) else {
            return Err(TooFewDescriptors { limit, needed });
        };
        let closed_files_max = (rest / CLOSED_FILES_PART).clamp(CLOSED_FILES_MIN, CLOSED_FILES_MAX);
        let shared = rest - closed_files_max;
        let partitions_max = shared - shared / CONNECTIONS_PART;
        assert!(partitions_max < shared, "a broker can be reached whatever it stores");
        Ok(Descriptors {
            limit,
            closed_files_max,
            shared,
            partitions_max,
            partitions: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        })
    }

    /// How many closed segments' files may stay open for those who read them.
    pub fn closed_files_max(&self) -> usize {
        self.closed_files_max
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How many more partitions there is a descriptor for.
    pub fn partitions_free(&self) -> usize {
        let partitions = self.partitions.load(Ordering::Relaxed);
        let connections = self.connections.load(Ordering::Relaxed);
        let unused = self.shared.saturating_sub(partitions + connections);
        self.partitions_max.saturating_sub(partitions).min(unused)
    }

    /// How many of those that partitions and connections share are taken, and how many there are.
    pub fn shared_in_use(&self) -> (usize, usize) {
        let taken = self.partitions.load(Ordering::Relaxed) + self.connections.load(Ordering::Relaxed);
        (taken, self.shared)
    }

    /// How many partitions are here, and how many there may be.
    pub fn partitions_in_use(&self) -> (usize, usize) {
        (self.partitions.load(Ordering::Relaxed), self.partitions_max)
    }

    pub fn for_partition(self: &Arc<Self>) -> Result<Permit, NoDescriptor> {
        self.take(Use::Partition, self.partitions_max)
    }

    pub fn for_connection(self: &Arc<Self>) -> Result<Permit, NoDescriptor> {
        self.take(Use::Connection, self.shared)
    }

    /// Counted first and looked at then, so that two at once never take one too many.
    fn take(self: &Arc<Self>, used_for: Use, max: usize) -> Result<Permit, NoDescriptor> {
        let permit = Permit { descriptors: Arc::clone(self), used_for };
        let of_this_use = self.count(used_for).fetch_add(1, Ordering::AcqRel) + 1;
        let partitions = self.partitions.load(Ordering::Acquire);
        let connections = self.connections.load(Ordering::Acquire);
        if of_this_use > max || partitions + connections > self.shared {
            return Err(NoDescriptor { partitions, connections, shared: self.shared, limit: self.limit });
        }
        Ok(permit)
    }

    fn count(&self, used_for: Use) -> &AtomicUsize {
        match used_for {
            Use::Partition => &self.partitions,
            Use::Connection => &self.connections,
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let before = self.descriptors.count(self.used_for).fetch_sub(1, Ordering::AcqRel);
        assert!(before > 0, "a permit is given back once");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared_out(limit: u64) -> Arc<Descriptors> {
        Arc::new(Descriptors::share_out(limit).expect("enough for a broker"))
    }

    #[test]
    fn all_that_is_shared_out_and_held_back_is_the_limit() {
        for limit in [192, 256, 1024, 4096, 65_536, 1 << 20, u64::MAX] {
            let descriptors = shared_out(limit);

            let sum = RESERVED + descriptors.closed_files_max + descriptors.shared;
            assert_eq!(sum, descriptors.limit(), "{limit}");
            assert!(descriptors.partitions_max < descriptors.shared, "{limit}");
        }
        assert!(Descriptors::share_out((RESERVED + SHARED_MIN - 1) as u64).is_err());
    }

    #[test]
    fn partitions_leave_room_for_connections_and_connections_give_way_at_the_next_start() {
        let descriptors = shared_out(256);
        let max = descriptors.partitions_max;

        let partitions: Vec<_> = (0..max).map(|_| descriptors.for_partition().expect("room")).collect();
        assert!(descriptors.for_partition().is_err());
        assert_eq!(descriptors.partitions_free(), 0);

        let left = descriptors.shared - max;
        let connections: Vec<_> = (0..left).map(|_| descriptors.for_connection().expect("room")).collect();
        assert!(descriptors.for_connection().is_err());
        drop((partitions, connections));

        // However many connections there were, as many partitions as before find room without them.
        let again: Vec<_> = (0..max).map_while(|_| descriptors.for_partition().ok()).collect();
        assert_eq!(again.len(), max);
    }

    #[test]
    fn what_connections_hold_is_not_promised_to_partitions() {
        let descriptors = shared_out(256);
        let shared = descriptors.shared;

        let connections: Vec<_> =
            (0..shared - 3).map(|_| descriptors.for_connection().expect("room")).collect();

        assert_eq!(descriptors.partitions_free(), 3);
        assert!((0..3).map(|_| descriptors.for_partition()).all(|permit| permit.is_ok()));
        drop(connections);
    }
}
