//! What the load does: producers that fall silent, send all at once, under one key, or something huge, and
//! applications that are slow.

use super::ongoing::Ongoing;
use super::{Injector, Name};
use crate::history::Injected;
use crate::workload::Pace;

impl Injector {
    /// The producer has nothing to send for a while.
    pub(super) fn idle(&mut self, target: &Name) {
        self.begin(Ongoing::UnusualLoad(target.clone()));
        self.state(Injected::Idle { target: target.clone() });
        self.cluster.shared().set_pace(target, Pace::Idle);
    }

    /// The producer sends as fast as it can.
    pub(super) fn burst(&mut self, target: &Name) {
        self.begin(Ongoing::UnusualLoad(target.clone()));
        self.state(Injected::Burst { target: target.clone() });
        self.cluster.shared().set_pace(target, Pace::Burst);
    }

    /// Every record of the producer has the same key for a while.
    pub(super) fn heat_key(&mut self, target: &Name) {
        self.begin(Ongoing::UnusualLoad(target.clone()));
        self.state(Injected::HotKey { target: target.clone() });
        self.cluster.shared().set_pace(target, Pace::HotKey);
    }

    /// The producer's next record has a value of so many bytes.
    pub(super) fn send_huge_record(&mut self, target: &Name, bytes: u64) {
        self.state(Injected::HugeRecord { target: target.clone(), bytes });
        self.cluster.shared().make_huge(target, bytes);
    }

    pub(super) fn end_unusual_load(&mut self, target: &Name) {
        self.state(Injected::UsualLoad { target: target.clone() });
        self.cluster.shared().set_pace(target, Pace::Usual);
    }

    /// The member's application takes `factor` times as long for a record.
    pub(super) fn slow_down(&mut self, target: &Name, factor: u32) {
        self.begin(Ongoing::Slowness(target.clone()));
        self.state(Injected::Slow { target: target.clone(), factor });
        self.cluster.shared().slow_down(target, factor);
    }

    pub(super) fn end_slowness(&mut self, target: &Name) {
        self.state(Injected::UsualPace { target: target.clone() });
        self.cluster.shared().slow_down(target, 1);
    }
}
