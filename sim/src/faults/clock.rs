//! Wall clocks that jump, drift and strobe. The clock by which everything is timed may drift, and timers may be late; it
//! never steps back.

use std::time::Duration;

use seedlog::runtime::sim::clock::{self, WallClockFault};

use super::ongoing::Ongoing;
use super::{Injector, Name};
use crate::history::Injected;

/// How far a clock jumps, either way.
const BUMP_MS: (u64, u64) = (11, 288_000);
/// How fast a clock drifts, either way: as far as NTP corrects it, which nobody notices within a minute; mostly that doubled
/// so many times and once more, as where nobody measured the machine's timer.
const DRIFT_PPM_MAX: u64 = 500;
const DRIFT_DOUBLINGS: u64 = 6;

impl Injector {
    /// The wall clock jumps by so much, on top of what was wrong with it.
    pub(super) fn bump_clock(&mut self, target: &Name, by_ms: i64) {
        self.begin(Ongoing::WrongClock(target.clone()));
        self.state(Injected::ClockBump { target: target.clone(), by_ms });
        self.change_clock(target, |fault| fault.skew_ms += by_ms);
    }

    /// The wall clock runs fast, or slow below 0; from now on, without a jump.
    pub(super) fn drift_clock(&mut self, target: &Name, ppm: i64) {
        self.begin(Ongoing::WrongClock(target.clone()));
        self.state(Injected::ClockDrift { target: target.clone(), ppm });
        self.change_clock(target, |fault| {
            let elapsed_ms = seedlog::runtime::clock::now().as_millis() as i64;
            fault.skew_ms += elapsed_ms * fault.drift_ppm / 1_000_000 - elapsed_ms * ppm / 1_000_000;
            fault.drift_ppm = ppm;
        });
    }

    /// The wall clock begins to jump there and back.
    pub(super) fn begin_strobe(&mut self, target: &Name, by_ms: i64) {
        self.begin(Ongoing::WrongClock(target.clone()));
        self.state(Injected::ClockStrobe { target: target.clone(), by_ms });
    }

    /// The next jump of a clock that strobes; whether it still does.
    pub(super) fn strobe(&mut self, target: &Name, by_ms: i64) -> bool {
        let still = self.ongoing.contains(&Ongoing::WrongClock(target.clone()));
        if still {
            self.bump_clock(target, by_ms);
        }
        still
    }

    pub(super) fn right_clock(&mut self, target: &Name) {
        self.state(Injected::ClockRight { target: target.clone() });
        self.change_clock(target, |fault| *fault = WallClockFault::default());
    }

    /// The monotonic clock runs fast, or slow below 0.
    pub(super) fn drift_monotonic(&mut self, target: &Name, ppm: i64) {
        self.begin(Ongoing::WrongTimers(target.clone()));
        self.state(Injected::MonotonicDrift { target: target.clone(), ppm });
        clock::set_monotonic_drift(self.cluster.node(target), ppm);
    }

    /// Timers fire together, whenever the node's clock shows a multiple of `grid`.
    pub(super) fn delay_timers(&mut self, target: &Name, grid: Duration) {
        self.begin(Ongoing::WrongTimers(target.clone()));
        let grid_ms = grid.as_millis() as u32;
        self.state(Injected::TimersLate { target: target.clone(), grid_ms });
        clock::set_timer_grid(self.cluster.node(target), grid);
    }

    pub(super) fn right_timers(&mut self, target: &Name) {
        self.state(Injected::TimersRight { target: target.clone() });
        let node = self.cluster.node(target);
        clock::set_monotonic_drift(node, 0);
        clock::set_timer_grid(node, Duration::ZERO);
    }

    pub(super) fn draw_timer_grid(&mut self) -> Duration {
        Duration::from_millis(*self.draws.pick(&[20, 100, 500, 2_000]).expect("not empty"))
    }

    pub(super) fn draw_bump_ms(&mut self) -> i64 {
        // Small jumps are as likely as large ones.
        let (least, most) = BUMP_MS;
        let most = (least << self.draws.below(15)).min(most);
        self.draw_sign() * self.draws.between(least, most) as i64
    }

    pub(super) fn draw_drift_ppm(&mut self) -> i64 {
        let (least, most) = if self.draws.chance(1, 8) {
            (1, DRIFT_PPM_MAX)
        } else {
            let half = DRIFT_PPM_MAX << self.draws.between(4, DRIFT_DOUBLINGS);
            (half, half * 2)
        };
        self.draw_sign() * self.draws.between(least, most) as i64
    }

    fn draw_sign(&mut self) -> i64 {
        if self.draws.chance(1, 2) { 1 } else { -1 }
    }

    fn change_clock(&mut self, target: &Name, change: impl FnOnce(&mut WallClockFault)) {
        let node = self.cluster.node(target);
        let mut fault = clock::wall_clock_fault(node);
        change(&mut fault);
        clock::set_wall_clock_fault(node, fault);
    }
}
