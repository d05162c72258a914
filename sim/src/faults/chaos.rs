//! Faults that the seed draws: which kind, whom, how long, and when the next one comes.
//!
//! Drawn when they strike, each from a stream of its own; whole classes are left out by the plan.

use std::time::Duration;

use seedlog::runtime::rng::Rng;
use seedlog::runtime::sim::disk::Rate;
use seedlog::runtime::sim::rng;

use super::storm::Due;
use super::{Injector, Name};
use crate::cluster::ZOOKEEPER;
use crate::history::DiskOperation;
use crate::scenario::{Class, Level};

/// The shortest time between two faults of a class.
const INTERVAL_MIN: Duration = Duration::from_millis(200);

/// How often, and how many times, the testbed looks whether an armed power failure has come.
pub(super) const NOTICE_EVERY: Duration = Duration::from_millis(20);
const NOTICE_LOOKS_MAX: u32 = 50;

/// When the next fault of a class at this level comes.
pub(super) fn draw_interval(draws: &mut Rng, level: Level) -> Option<Duration> {
    let mean_ms = match level {
        Level::None => return None,
        Level::Light => 6_000,
        Level::Heavy => 2_500,
    };
    Some(INTERVAL_MIN + Duration::from_millis(draws.exponential(mean_ms)))
}

impl Injector {
    /// Strikes once, as the `number`-th fault of the seed; answers what is due later because of it.
    pub(super) fn strike(&mut self, class: Class, number: u64, clients: &[Name]) -> Vec<(Duration, Due)> {
        // A stream of its own: leaving out another fault does not change this one.
        self.draws = rng::world_stream(&format!("fault {number}"));
        match class {
            Class::Process => self.strike_process(),
            Class::Network => self.strike_network(clients),
            Class::Disk => self.strike_disk(),
            Class::ZooKeeper => self.strike_zookeeper(),
            Class::Clock | Class::Clients => Vec::new(),
        }
    }

    fn strike_process(&mut self) -> Vec<(Duration, Due)> {
        let kind = self.draws.below(10);
        // Power may fail on a machine whose process is down already: its page cache goes then.
        let target = if kind == 0 { Some(self.some_broker()) } else { self.some_running_broker() };
        let Some(target) = target else { return Vec::new() };
        match kind {
            0..=2 => self.fail_power(&target),
            3..=4 => {
                self.arm_power_failure(&target);
                return vec![(NOTICE_EVERY, Due::PowerFailure { target, looks_left: NOTICE_LOOKS_MAX })];
            }
            5..=7 => self.kill(&target),
            _ => {
                self.pause(&target);
                return vec![(self.draw_pause(), Due::Resume(target))];
            }
        }
        vec![(self.draw_downtime(), Due::Start(target))]
    }

    fn strike_network(&mut self, clients: &[Name]) -> Vec<(Duration, Due)> {
        if self.draws.chance(1, 3) {
            let broker = self.some_broker();
            let peer = self.draws.pick(clients).cloned().unwrap_or_else(|| ZOOKEEPER.into());
            self.reset(&peer, &broker);
            return Vec::new();
        }
        let directions = self.draw_cut(clients);
        self.cut(&directions);
        vec![(self.draw_lasting(), Due::Mend(directions))]
    }

    fn strike_disk(&mut self) -> Vec<(Duration, Due)> {
        let target = self.some_broker();
        match self.draws.below(6) {
            0..=1 => {
                let factor = *self.draws.pick(&[10, 100, 1000]).expect("not empty");
                self.slow_disk(&target, factor);
            }
            2 => self.fill_disk(&target),
            kind => {
                let operation = match kind {
                    3 => DiskOperation::Write,
                    4 => DiskOperation::Fsync,
                    _ => *self.draws.pick(&[DiskOperation::Read, DiskOperation::Rename]).expect("not empty"),
                };
                let rate = if self.draws.chance(1, 2) { Rate::Next(1) } else { Rate::OneIn(4) };
                self.break_disk(&target, operation, rate);
            }
        }
        vec![(self.draw_lasting(), Due::CureDisk(target))]
    }

    fn strike_zookeeper(&mut self) -> Vec<(Duration, Due)> {
        if let Some(target) = self.some_running_broker() {
            self.expire_session(&target);
        }
        Vec::new()
    }

    /// How long something lasts: from hardly noticed to longer than a session.
    fn draw_lasting(&mut self) -> Duration {
        let longest = if self.draws.chance(1, 3) { self.session.as_millis() as u64 * 2 } else { 2_000 };
        Duration::from_millis(self.draws.between(50, longest))
    }
}
