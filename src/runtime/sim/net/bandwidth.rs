//! Links that carry only so many bytes a second: what is sent leaves one after the other, and waits its turn.
//!
//! Pure, in whole numbers. A direction is one queue for all connections on it; what a link has taken in leaves in
//! that order. How long it travels then is the latency's business.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::runtime::Instant;
use crate::runtime::sim::identity::NodeId;

/// A sender's machine takes in no more while what it has taken in needs longer than this to leave.
const BACKLOG_MAX: Duration = Duration::from_millis(250);
/// Bytes of one connection that are taken in at once, so that others get their turn.
pub(super) const TURN_BYTES_MAX: u64 = 8 * 1024;

/// Bytes a second of one directed link; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bandwidth(u64);

impl Bandwidth {
    /// Panics if that is none.
    pub fn per_second(bytes: u64) -> Bandwidth {
        assert!(bytes > 0, "a link that carries nothing is a cut");
        Bandwidth(bytes)
    }

    /// How long `bytes` take to leave, rounded up.
    fn time_of(self, bytes: u64) -> Duration {
        let nanos = (u128::from(bytes) * 1_000_000_000).div_ceil(self.0.into());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[derive(Clone, Copy, Debug)]
struct Queue {
    bandwidth: Bandwidth,
    /// When the last byte that was taken in has left.
    busy_until: Instant,
}

/// The directed links whose bandwidth is bounded.
#[derive(Default)]
pub(super) struct Bottlenecks {
    queues: BTreeMap<(NodeId, NodeId), Queue>,
}

impl Bottlenecks {
    /// From now on; what was taken in before leaves when it was to.
    pub(super) fn set(&mut self, from: NodeId, to: NodeId, bandwidth: Bandwidth) {
        let busy_until = self.queues.get(&(from, to)).map_or(Instant::START, |queue| queue.busy_until);
        self.queues.insert((from, to), Queue { bandwidth, busy_until });
    }

    /// Whether the link had a bound.
    pub(super) fn lift(&mut self, from: NodeId, to: NodeId) -> bool {
        self.queues.remove(&(from, to)).is_some()
    }

    pub(super) fn is_none(&self) -> bool {
        self.queues.is_empty()
    }

    /// Takes `bytes` in; when the last of them leaves.
    pub(super) fn depart(&mut self, from: NodeId, to: NodeId, bytes: u64, now: Instant) -> Instant {
        let Some(queue) = self.queues.get_mut(&(from, to)) else { return now };
        queue.busy_until = queue.busy_until.max(now) + queue.bandwidth.time_of(bytes);
        queue.busy_until
    }

    /// Bytes of one connection that the link takes in now, or when it takes in some again.
    pub(super) fn room(&self, from: NodeId, to: NodeId, now: Instant) -> Result<u64, Instant> {
        let Some(queue) = self.queues.get(&(from, to)) else { return Ok(u64::MAX) };
        if queue.busy_until <= now + BACKLOG_MAX {
            return Ok(TURN_BYTES_MAX);
        }
        Err(Instant::from_nanos(queue.busy_until.as_nanos() - BACKLOG_MAX.as_nanos() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);

    fn ms(ms: u64) -> Instant {
        Instant::START + Duration::from_millis(ms)
    }

    fn thousand_a_second() -> Bottlenecks {
        let mut links = Bottlenecks::default();
        links.set(A, B, Bandwidth::per_second(1_000));
        links
    }

    #[test]
    fn bytes_take_their_number_by_the_bandwidth() {
        assert_eq!(thousand_a_second().depart(A, B, 300, ms(50)), ms(350));
        assert_eq!(thousand_a_second().depart(A, B, 0, ms(50)), ms(50));
        assert_eq!(Bandwidth::per_second(3).time_of(1), Duration::from_nanos(333_333_334));
        assert_eq!(Bandwidth::per_second(1).time_of(u64::MAX), Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn a_message_waits_for_the_one_before_it() {
        let mut links = thousand_a_second();
        assert_eq!(links.depart(A, B, 300, ms(0)), ms(300));
        assert_eq!(links.depart(A, B, 10, ms(100)), ms(310));
        assert_eq!(links.depart(A, B, 10, ms(1_000)), ms(1_010), "nobody is before it");
    }

    #[test]
    fn the_other_direction_and_other_links_are_not_touched() {
        let mut links = thousand_a_second();
        links.depart(A, B, 5_000, ms(0));
        assert_eq!(links.depart(B, A, 5_000, ms(1)), ms(1));
        assert_eq!(links.depart(A, NodeId(3), 5_000, ms(1)), ms(1));
        assert_eq!(links.room(B, A, ms(1)), Ok(u64::MAX));
    }

    #[test]
    fn a_link_takes_in_no_more_than_it_soon_gets_rid_of() {
        let mut links = thousand_a_second();
        assert_eq!(links.room(A, B, ms(0)), Ok(TURN_BYTES_MAX));
        links.depart(A, B, 1_000, ms(0));
        assert_eq!(links.room(A, B, ms(0)), Err(ms(750)));
        assert_eq!(links.room(A, B, ms(750)), Ok(TURN_BYTES_MAX));
    }

    #[test]
    fn a_bound_that_is_lifted_is_forgotten_with_its_queue() {
        let mut links = thousand_a_second();
        links.depart(A, B, 60_000, ms(0));
        assert!(links.lift(A, B) && !links.lift(A, B));
        assert!(links.is_none());
        assert_eq!(links.depart(A, B, 60_000, ms(1)), ms(1));
    }
}
