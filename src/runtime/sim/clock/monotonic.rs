//! A node's own monotonic clock and its timers: it may run fast or slow, and stand still; they may fire late, and many
//! at once. It never steps back.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use super::world_now;
use crate::runtime::Instant;
use crate::runtime::sim::identity::NodeId;

const MILLION: i128 = 1_000_000;

/// How a node's clock differs from the world's since something about it changed last.
#[derive(Clone, Copy, Debug)]
struct Monotonic {
    world_base: Instant,
    node_base: Instant,
    /// Parts per million by which it runs fast (or slow, below 0).
    drift_ppm: i64,
    stands_still: bool,
    /// Timers fire when the node's clock shows a multiple of this.
    timer_grid: Duration,
}

impl Monotonic {
    const TRUE: Monotonic = Monotonic {
        world_base: Instant::START,
        node_base: Instant::START,
        drift_ppm: 0,
        stands_still: false,
        timer_grid: Duration::ZERO,
    };

    fn at(&self, world: Instant) -> Instant {
        if self.stands_still {
            return self.node_base;
        }
        let elapsed = i128::from(world.saturating_since(self.world_base).as_nanos() as u64);
        let own = elapsed * (MILLION + i128::from(self.drift_ppm)) / MILLION;
        self.node_base + Duration::from_nanos(own as u64)
    }

    /// How long the world takes for what this clock counts as `own`; rounded up.
    fn world_time(&self, own: Duration) -> Duration {
        let rate = MILLION + i128::from(self.drift_ppm);
        let nanos = (i128::from(own.as_nanos() as u64) * MILLION + rate - 1) / rate;
        Duration::from_nanos(nanos as u64)
    }
}

thread_local! {
    static CLOCKS: RefCell<BTreeMap<NodeId, Monotonic>> = const { RefCell::new(BTreeMap::new()) };
}

fn of(node: NodeId) -> Option<Monotonic> {
    CLOCKS.with_borrow(|clocks| clocks.get(&node).copied())
}

pub(super) fn now_of(node: NodeId) -> Instant {
    of(node).map_or_else(world_now, |clock| clock.at(world_now()))
}

/// How long the world goes on until a timer of `node` fires that was set to `deadline`, `left` from now.
pub(super) fn wait_of(node: NodeId, deadline: Instant, left: Duration) -> Duration {
    let Some(clock) = of(node) else { return left };
    let grid = clock.timer_grid.as_nanos() as u64;
    let late = match grid {
        0 => Duration::ZERO,
        grid => Duration::from_nanos(deadline.as_nanos().next_multiple_of(grid) - deadline.as_nanos()),
    };
    clock.world_time(left + late)
}

fn change(node: NodeId, change: impl FnOnce(&mut Monotonic)) {
    let world = world_now();
    CLOCKS.with_borrow_mut(|clocks| {
        let clock = clocks.entry(node).or_insert(Monotonic::TRUE);
        (clock.node_base, clock.world_base) = (clock.at(world), world);
        change(clock);
    });
}

/// From now on the node's monotonic clock runs fast by so many parts per million (or slow, below 0).
pub fn set_monotonic_drift(node: NodeId, ppm: i64) {
    change(node, |clock| clock.drift_ppm = ppm);
}

/// The node's monotonic clock stops, or goes on from where it stood.
pub fn set_stands_still(node: NodeId, stands_still: bool) {
    change(node, |clock| clock.stands_still = stands_still);
}

/// Timers of the node fire together, when its clock shows a multiple of `grid`; at their own time if that is zero.
pub fn set_timer_grid(node: NodeId, grid: Duration) {
    change(node, |clock| clock.timer_grid = grid);
}

pub(super) fn begin() {
    CLOCKS.with_borrow_mut(BTreeMap::clear);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Instant {
        Instant::START + Duration::from_secs(seconds)
    }

    #[test]
    fn a_clock_that_drifts_gains_or_loses_and_its_timers_wait_that_much_less_or_more() {
        let fast = Monotonic { drift_ppm: 500, ..Monotonic::TRUE };
        assert_eq!(fast.at(seconds(2_000)), seconds(2_001));
        assert_eq!(fast.world_time(Duration::from_secs(2_001)), Duration::from_secs(2_000));
        let slow = Monotonic { drift_ppm: -500, ..Monotonic::TRUE };
        assert_eq!(slow.at(seconds(2_000)), seconds(1_999));
    }

    #[test]
    fn a_clock_that_stands_still_shows_when_it_stopped() {
        let still = Monotonic { stands_still: true, node_base: seconds(7), ..Monotonic::TRUE };
        assert_eq!(still.at(seconds(100)), seconds(7));
    }
}
