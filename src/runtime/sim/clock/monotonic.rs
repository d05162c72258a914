//! A node's own clock and its timers: the clock may run fast or slow, and never steps back; timers may fire late, and many
//! at once, and they stand still while the machine is suspended, which the clock does not (CLOCK_BOOTTIME).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use super::world_now;
use crate::runtime::Instant;
use crate::runtime::sim::effects::{NOTICEABLE, struck};
use crate::runtime::sim::identity::NodeId;

const MILLION: i128 = 1_000_000;

/// How a node's clock differs from the world's since something about it changed last.
#[derive(Clone, Copy, Debug)]
struct Monotonic {
    world_base: Instant,
    node_base: Instant,
    /// Parts per million by which it runs fast (or slow, below 0).
    drift_ppm: i64,
    /// Timers fire when they have counted to a multiple of this.
    timer_grid: Duration,
    /// How long timers have stood still so far, and since when they do now.
    stood_still: Duration,
    still_since: Option<Instant>,
}

impl Monotonic {
    const TRUE: Monotonic = Monotonic {
        world_base: Instant::START,
        node_base: Instant::START,
        drift_ppm: 0,
        timer_grid: Duration::ZERO,
        stood_still: Duration::ZERO,
        still_since: None,
    };

    fn at(&self, world: Instant) -> Instant {
        let elapsed = i128::from(world.saturating_since(self.world_base).as_nanos() as u64);
        let own = elapsed * (MILLION + i128::from(self.drift_ppm)) / MILLION;
        self.node_base + Duration::from_nanos(own as u64)
    }

    /// How far timers have counted.
    fn timers_at(&self, world: Instant) -> Instant {
        let counted = self.still_since.unwrap_or_else(|| self.at(world));
        Instant::START + counted.saturating_since(Instant::START + self.stood_still)
    }

    /// How long the world takes for what this clock counts as `own`; rounded up.
    fn world_time(&self, own: Duration) -> Duration {
        let rate = MILLION + i128::from(self.drift_ppm);
        let nanos = (i128::from(own.as_nanos() as u64) * MILLION + rate - 1) / rate;
        Duration::from_nanos(nanos as u64)
    }

    /// How much later than at `until` a timer fires because timers fire together.
    fn lateness(&self, until: Instant) -> Duration {
        match self.timer_grid.as_nanos() as u64 {
            0 => Duration::ZERO,
            grid => Duration::from_nanos(until.as_nanos().next_multiple_of(grid) - until.as_nanos()),
        }
    }

    fn stand_still(&mut self, stands_still: bool, now: Instant) {
        if stands_still {
            self.still_since = self.still_since.or(Some(now));
        } else if let Some(since) = self.still_since.take() {
            self.stood_still += now.saturating_since(since);
        }
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

/// How far the node's timers have counted.
pub(super) fn timers_of(node: NodeId) -> Instant {
    of(node).map_or_else(world_now, |clock| clock.timers_at(world_now()))
}

/// How long the world goes on until a timer of `node` fires that is to count to `until`, if nothing changes.
pub(super) fn wait_of(node: NodeId, until: Instant) -> Duration {
    let Some(clock) = of(node) else { return until.saturating_since(world_now()) };
    let left = until.saturating_since(clock.timers_at(world_now()));
    clock.world_time(left + clock.lateness(until))
}

/// A timer that runs.
#[derive(Clone, Copy)]
pub(super) struct Wait {
    /// What the node's timers have counted to when it fires.
    pub until: Instant,
    asked: Duration,
}

impl Wait {
    /// One that begins now, and was asked to take so long.
    pub fn of(node: NodeId, asked: Duration) -> Wait {
        Wait { until: timers_of(node) + asked, asked }
    }

    /// It fires: what was wrong with the node's timers may have made it late or early.
    pub fn note_effects(self, node: NodeId) {
        let Some(clock) = of(node) else { return };
        if clock.lateness(self.until) > NOTICEABLE {
            struck(node, "timer-late");
        }
        if clock.world_time(self.asked).abs_diff(self.asked) > NOTICEABLE {
            struck(node, "timer-drifted");
        }
    }
}

fn change(node: NodeId, change: impl FnOnce(&mut Monotonic, Instant)) {
    let world = world_now();
    CLOCKS.with_borrow_mut(|clocks| {
        let clock = clocks.entry(node).or_insert(Monotonic::TRUE);
        let now = clock.at(world);
        (clock.node_base, clock.world_base) = (now, world);
        change(clock, now);
    });
}

/// From now on the node's clock runs fast by so many parts per million (or slow, below 0), and its timers with it.
pub fn set_monotonic_drift(node: NodeId, ppm: i64) {
    change(node, |clock, _| clock.drift_ppm = ppm);
}

/// The node's timers stop counting, or go on from where they stood.
pub fn set_stands_still(node: NodeId, stands_still: bool) {
    change(node, |clock, now| clock.stand_still(stands_still, now));
}

/// Timers of the node fire together, when they have counted to a multiple of `grid`; at their own time if that is zero.
pub fn set_timer_grid(node: NodeId, grid: Duration) {
    change(node, |clock, _| clock.timer_grid = grid);
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
    fn timers_do_not_count_for_as_long_as_they_stand_still_and_the_clock_does() {
        let mut clock = Monotonic::TRUE;
        clock.stand_still(true, seconds(7));
        assert_eq!((clock.at(seconds(100)), clock.timers_at(seconds(100))), (seconds(100), seconds(7)));
        clock.stand_still(false, seconds(107));
        assert_eq!(clock.timers_at(seconds(110)), seconds(10));
    }
}
