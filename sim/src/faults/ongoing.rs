//! Faults that last: what must be undone one day, by their own end or by the heal.
//!
//! Beginning a fault that lasts already changes it; the first end ends it.

use seedlog::types::SessionId;

use super::{Injector, Name};

/// A fault under way, as far as its end needs to know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ongoing {
    Delay(Name, Name),
    Bandwidth(Name, Name),
    Stall(Name, Name),
    Refusal(Name),
    WrongClock(Name),
    WrongTimers(Name),
    FewDescriptors(Name),
    LateWatches(Name, SessionId),
    Detached(Name, SessionId),
    LaggingServer,
    NoQuorum,
    UnusualLoad(Name),
    Slowness(Name),
}

impl Injector {
    pub(super) fn begin(&mut self, fault: Ongoing) {
        self.ongoing.insert(fault);
    }

    /// Ends the fault, unless it has ended.
    pub(super) fn end(&mut self, fault: &Ongoing) {
        if !self.ongoing.remove(fault) {
            return;
        }
        match fault {
            Ongoing::Delay(from, to) => self.end_delay(from, to),
            Ongoing::Bandwidth(from, to) => self.end_limit(from, to),
            Ongoing::Stall(a, b) => self.release_all(a, b),
            Ongoing::Refusal(target) => self.accept(target),
            Ongoing::WrongClock(target) => self.right_clock(target),
            Ongoing::WrongTimers(target) => self.right_timers(target),
            Ongoing::FewDescriptors(target) => self.give_descriptors(target),
            Ongoing::LateWatches(target, session) => self.end_late_watches(target, *session),
            Ongoing::Detached(target, session) => self.rejoin(target, *session),
            Ongoing::LaggingServer => self.catch_up(),
            Ongoing::NoQuorum => self.regain_quorum(),
            Ongoing::UnusualLoad(target) => self.end_unusual_load(target),
            Ongoing::Slowness(target) => self.end_slowness(target),
        }
    }

    /// Ends every fault that lasts.
    pub(super) fn end_all(&mut self) {
        for fault in self.ongoing.clone() {
            self.end(&fault);
        }
    }
}
