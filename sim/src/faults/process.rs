//! Processes and machines: kill, power failure, pause, and the start of what is down.

use std::time::Duration;

use seedlog::runtime::sim::disk::{self, CrashInside, Operation};
use seedlog::runtime::sim::world::{self, Death};

use super::{Injector, Name};
use crate::history::Injected;

impl Injector {
    /// The process dies; the machine keeps its page cache.
    pub(super) fn kill(&mut self, target: &Name) {
        if self.is_running(target) {
            self.paused.remove(target);
            self.put_down.insert(target.clone());
            self.state(Injected::Kill { target: target.clone() });
            world::end(self.cluster.node(target), Death::Kill);
        }
    }

    /// The machine dies, whether or not its process ran: what was not synced is at the mercy of the disk.
    pub(super) fn fail_power(&mut self, target: &Name) {
        let node = self.cluster.node(target);
        if world::is_powered(node) {
            self.paused.remove(target);
            self.put_down.insert(target.clone());
            self.state(Injected::PowerFailure { target: target.clone() });
            world::end(node, Death::PowerFailure);
        }
    }

    /// The machine's power will fail inside of one of its next fsyncs, when what it writes is on its way.
    pub(super) fn arm_power_failure(&mut self, target: &Name) {
        let after = self.draws.below(3) as u32;
        let crash = CrashInside { operation: Operation::Sync, after, death: Death::PowerFailure };
        disk::set_faults(self.cluster.node(target), |faults| faults.crash_inside = Some(crash));
    }

    /// Whether an armed power failure has come; states it, or lets it come now if `impatient`.
    pub(super) fn notice_power_failure(&mut self, target: &Name, impatient: bool) -> bool {
        let node = self.cluster.node(target);
        let came = disk::faults(node).crash_inside.is_none() && !world::is_powered(node);
        if came && self.put_down.insert(target.clone()) {
            self.paused.remove(target);
            self.state(Injected::PowerFailure { target: target.clone() });
        } else if impatient {
            disk::set_faults(node, |faults| faults.crash_inside = None);
            self.fail_power(target);
        }
        came || impatient
    }

    /// The process stands still; its kernel goes on.
    pub(super) fn pause(&mut self, target: &Name) {
        if self.is_running(target) && self.paused.insert(target.clone()) {
            self.state(Injected::Pause { target: target.clone() });
            world::pause(self.cluster.node(target));
        }
    }

    pub(super) fn resume(&mut self, target: &Name) {
        self.paused.remove(target);
        if self.is_running(target) {
            self.state(Injected::Resume { target: target.clone() });
            world::resume(self.cluster.node(target));
        }
    }

    /// Starts the process, unless it runs.
    pub(super) fn start(&mut self, target: &Name) {
        if !self.is_running(target) {
            self.put_down.remove(target);
            self.state(Injected::Start { target: target.clone() });
            world::start(self.cluster.node(target));
        }
    }

    /// How long a process stays down: at once, shorter than a session, or longer than one.
    pub(super) fn draw_downtime(&mut self) -> Duration {
        let session_ms = self.session.as_millis() as u64;
        let millis = match self.draws.below(4) {
            0 => 0,
            1 => self.draws.between(1, 500),
            2 => self.draws.between(500, session_ms.max(501)),
            _ => self.draws.between(session_ms, 2 * session_ms),
        };
        Duration::from_millis(millis)
    }

    /// How long a process is paused: half of, about, or one and a half times its session.
    pub(super) fn draw_pause(&mut self) -> Duration {
        let halves = self.draws.between(1, 3) as u32;
        self.session * halves / 2
    }
}
