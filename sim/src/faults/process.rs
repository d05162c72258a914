//! Processes and machines: kill, power failure, pause, and the start of what is down.

use std::time::Duration;

use seedlog::runtime::sim::disk::{self, CrashInside};
use seedlog::runtime::sim::world::{self, Death};
use seedlog::runtime::sim::{clock, identity, process};

use super::disk::operation_of;
use super::ongoing::Ongoing;
use super::{Injector, Name};
use crate::history::{Injected, Trap};
use crate::scenario::CrashPoint;

impl Injector {
    /// The process dies; the machine keeps its page cache.
    pub(super) fn kill(&mut self, target: &Name) {
        if self.is_running(target) {
            self.paused.remove(target);
            self.put_down.insert(target.clone());
            self.asked_to_end.remove(target);
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
            self.asked_to_end.remove(target);
            self.state(Injected::PowerFailure { target: target.clone() });
            world::end(node, Death::PowerFailure);
        }
    }

    /// The process is asked to end in order. Producers and plain consumers know no such end: theirs is a kill.
    pub(super) fn stop(&mut self, target: &Name) {
        if !self.supervised_names().contains(target) {
            return self.kill(target);
        }
        if self.is_running(target) && !self.paused.contains(target) {
            self.put_down.insert(target.clone());
            self.asked_to_end.insert(target.clone());
            self.state(Injected::Stop { target: target.clone() });
            self.cluster.shared().ask_to_leave(target);
        }
    }

    /// The process dies, and its machine gets an empty disk.
    pub(super) fn wipe(&mut self, target: &Name) {
        self.kill(target);
        self.put_down.insert(target.clone());
        self.state(Injected::Wipe { target: target.clone() });
        disk::wipe(self.cluster.node(target));
    }

    /// The broker's next incarnation runs with another setting.
    pub(super) fn reconfigure(&mut self, target: &Name, key: &str, value: &toml::Value) {
        self.state(Injected::Reconfigure {
            target: target.clone(),
            key: key.into(),
            value: value.to_string().into(),
        });
        self.cluster.reconfigure(target, key, value);
    }

    /// The process will die, or its machine's power fail, at the `nth` time from now that it comes to a point:
    /// a disk operation, or a kind of fact that it states.
    pub(super) fn arm_crash(&mut self, target: &Name, point: &CrashPoint, nth: u32, death: Death) {
        assert!(nth > 0, "the first time is number 1");
        // One at a time: of two the first to come would be taken for the other.
        self.notice_crashes();
        self.disarm(target);
        self.state(Injected::CrashArmed {
            target: target.clone(),
            point: point.name().into(),
            nth,
            power_failure: death == Death::PowerFailure,
        });
        let node = self.cluster.node(target);
        match point {
            CrashPoint::Disk(operation) => {
                let crash = CrashInside { operation: operation_of(*operation), after: nth - 1, death };
                disk::set_faults(node, |faults| faults.crash_inside = Some(crash));
            }
            CrashPoint::Fact(kind) => {
                let point = kind.as_str().into();
                self.recorder.traps().set(Trap { node, point, spares: nth - 1, death });
            }
        }
        self.armed.insert(target.clone(), point.clone());
    }

    /// States the deaths that armed crashes have brought since this was called last.
    pub(super) fn notice_crashes(&mut self) {
        for target in self.recorder.traps().take_trapped() {
            self.armed.remove(&target);
            self.paused.remove(&target);
            self.asked_to_end.remove(&target);
            self.put_down.insert(target);
        }
        for (target, point) in self.armed.clone() {
            let node = self.cluster.node(&target);
            let is_spent = disk::faults(node).crash_inside.is_none();
            if !matches!(point, CrashPoint::Disk(_)) || !is_spent {
                continue;
            }
            self.armed.remove(&target);
            // Who is put down died before that, unless it was on its way to an end that it was asked for.
            let was_ending = self.asked_to_end.remove(&target);
            if self.is_running(&target) || !(self.put_down.insert(target.clone()) || was_ending) {
                continue;
            }
            self.paused.remove(&target);
            self.recorder.fault(match world::is_powered(node) {
                true => Injected::Kill { target },
                false => Injected::PowerFailure { target },
            });
        }
    }

    /// Whether a crash of this node is armed and has not come.
    pub(super) fn is_armed(&self, target: &Name) -> bool {
        self.armed.contains_key(target)
    }

    pub(super) fn disarm_all(&mut self) {
        self.notice_crashes();
        for target in std::mem::take(&mut self.armed).into_keys() {
            self.disarm(&target);
        }
    }

    /// Whether the process was asked to end, and has not got there yet.
    pub(super) fn is_ending(&self, target: &Name) -> bool {
        self.is_put_down(target) && self.is_running(target)
    }

    /// Takes back an armed crash that did not come.
    pub(super) fn disarm(&mut self, target: &Name) {
        let node = self.cluster.node(target);
        self.recorder.traps().disarm(node);
        self.armed.remove(target);
        disk::set_faults(node, |faults| faults.crash_inside = None);
    }

    /// The process stands still; its kernel goes on.
    pub(super) fn pause(&mut self, target: &Name) {
        if self.is_running(target) && self.paused.insert(target.clone()) {
            self.state(Injected::Pause { target: target.clone() });
            world::pause(self.cluster.node(target));
        }
    }

    /// The machine stands still: its process, its timers and its links.
    pub(super) fn suspend(&mut self, target: &Name) {
        if self.is_running(target) && self.paused.insert(target.clone()) {
            self.state(Injected::Suspend { target: target.clone() });
            let node = self.cluster.node(target);
            clock::set_stands_still(node, true);
            world::pause(node);
            let around = self.around(target);
            self.cut(&around);
            self.suspended.insert(target.clone(), around);
        }
    }

    /// What is left of a suspension when the process goes on, or is over.
    fn wake_up(&mut self, target: &Name) {
        if let Some(around) = self.suspended.remove(target) {
            clock::set_stands_still(self.cluster.node(target), false);
            self.mend(&around);
        }
    }

    /// From now on the process may open so many more files and sockets.
    pub(super) fn take_descriptors(&mut self, target: &Name, left: u32) {
        self.begin(Ongoing::FewDescriptors(target.clone()));
        self.state(Injected::FewDescriptors { target: target.clone(), left });
        let node = self.cluster.node(target);
        let open = identity::incarnation_of(node).map_or(0, process::open_files_of);
        process::set_open_files_max(node, Some(open + u64::from(left)));
    }

    pub(super) fn give_descriptors(&mut self, target: &Name) {
        self.state(Injected::EnoughDescriptors { target: target.clone() });
        process::set_open_files_max(self.cluster.node(target), None);
    }

    pub(super) fn resume(&mut self, target: &Name) {
        self.paused.remove(target);
        self.wake_up(target);
        if self.is_running(target) {
            self.state(Injected::Resume { target: target.clone() });
            world::resume(self.cluster.node(target));
        }
    }

    /// Starts the process, unless it runs.
    pub(super) fn start(&mut self, target: &Name) {
        if !self.paused.contains(target) {
            self.wake_up(target);
        }
        self.notice_crashes();
        if !self.is_running(target) {
            self.put_down.remove(target);
            self.asked_to_end.remove(target);
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
