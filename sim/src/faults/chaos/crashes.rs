//! Deaths at a point of the work: which point, and what else has to happen so that the node comes to it.

use std::time::Duration;

use seedlog::runtime::sim::world::Death;

use super::others_of_group;
use crate::faults::disk::operation_of;
use crate::faults::script::Later;
use crate::faults::storm::Due;
use crate::faults::{Injector, Name};
use crate::history::DiskOperation;
use crate::scenario::{CrashPoint, Damage, Plan};

/// How often, and how many times, the testbed looks whether an armed crash has come.
pub(in crate::faults) const NOTICE_EVERY: Duration = Duration::from_millis(20);
const NOTICE_LOOKS_MAX: u32 = 1_000;

/// Points at which a broker may die; the mean time between two differs, so the count to wait for is small.
const BROKER_POINTS: [&str; 4] = ["appended", "flushed", "segment-rolled", REGISTERED];
/// Who is registered comes to it when its session is over.
const REGISTERED: &str = "broker-registered";
/// Points at which a member of a group may die.
const MEMBER_POINTS: [&str; 6] = [OWNED, RELEASED, REBALANCE, "commit-invoked", "delivered", JOINED];
/// It comes to these when somebody comes or goes.
const OWNED: &str = "partition-owned";
const RELEASED: &str = "partition-released";
const REBALANCE: &str = "rebalance-started";
const JOINED: &str = "group-joined";

impl Injector {
    /// Dies inside of a disk operation: by loss of power where that is allowed.
    pub(super) fn crash_in_disk(&mut self, target: Name) -> Later {
        let operations =
            [DiskOperation::Fsync, DiskOperation::Fsync, DiskOperation::Write, DiskOperation::Rename];
        let brokers = self.running_brokers();
        let (target, operation) = self.aimed(
            |injector| {
                let operation = *injector.draws.pick(&operations).expect("not empty");
                (injector.draws.pick(&brokers).cloned().unwrap_or(target.clone()), operation)
            },
            |injector, (target, operation)| injector.does(target, operation_of(*operation)),
        );
        let nth = self.draws.between(1, 3) as u32;
        let death = self.draw_death();
        self.arm_crash(&target, &CrashPoint::Disk(operation), nth, death);
        vec![look_for_crash_of(&target)]
    }

    /// Where its work takes it; or where it gets when its session is over.
    pub(super) fn crash_broker_at_point(&mut self, target: Name) -> Later {
        let brokers = self.running_brokers();
        let (target, point) = self.aimed(
            |injector| {
                let point = *injector.draws.pick(&BROKER_POINTS).expect("not empty");
                (injector.draws.pick(&brokers).cloned().unwrap_or(target.clone()), point)
            },
            |injector, (target, point)| *point == REGISTERED || injector.has_lately(target, &[*point]),
        );
        let later = self.crash_at(&target, point);
        if point == REGISTERED {
            self.expire_session(&target);
        }
        later
    }

    /// Likewise; to a rebalance it gets when somebody's session is over: its own, or another member's.
    pub(super) fn crash_member_at_point(&mut self, target: Name, plan: &Plan) -> Later {
        let point = self.aimed(
            |injector| *injector.draws.pick(&MEMBER_POINTS).expect("not empty"),
            |injector, point| {
                [OWNED, RELEASED, REBALANCE, JOINED].contains(point)
                    || injector.has_lately(&target, &[*point])
            },
        );
        let later = self.crash_at(&target, point);
        match point {
            OWNED | JOINED => self.expire_session(&target),
            RELEASED | REBALANCE => {
                let others = others_of_group(&target, plan);
                let expired = self.draws.pick(&others).cloned().unwrap_or_else(|| target.clone());
                self.expire_session(&expired);
            }
            _ => {}
        }
        later
    }

    fn crash_at(&mut self, target: &Name, point: &str) -> Later {
        let comes_often = ["appended", "flushed", "delivered", "commit-invoked"].contains(&point);
        let nth = if comes_often || self.draws.chance(1, 8) { self.draws.between(1, 3) as u32 } else { 1 };
        let death = self.draw_death();
        self.arm_crash(target, &CrashPoint::Fact(point.to_owned()), nth, death);
        vec![look_for_crash_of(target)]
    }

    /// Dies, and again in the recovery after that.
    pub(super) fn crash_in_recovery(&mut self, target: Name) -> Later {
        let brokers = self.running_brokers();
        let target = self.aimed(
            |injector| injector.draws.pick(&brokers).cloned().unwrap_or(target.clone()),
            |injector, target| injector.has_lately(target, &["appended"]),
        );
        self.kill(&target);
        let death = self.draw_death();
        if self.draws.chance(1, 2) {
            self.arm_crash(&target, &CrashPoint::Fact("log-recovered".into()), 1, death);
        } else {
            let nth = self.draws.between(1, 8) as u32;
            self.arm_crash(&target, &CrashPoint::Disk(DiskOperation::Write), nth, death);
        }
        let (after, look) = look_for_crash_of(&target);
        let downtime = self.draw_downtime();
        vec![(downtime, Due::Start(target)), (downtime + after, look)]
    }

    fn draw_death(&mut self) -> Death {
        let power = self.damage > Damage::NoLoss && self.draws.chance(1, 2);
        if power { Death::PowerFailure } else { Death::Kill }
    }
}

fn look_for_crash_of(target: &Name) -> (Duration, Due) {
    (NOTICE_EVERY, Due::ArmedCrash { target: target.clone(), looks_left: Some(NOTICE_LOOKS_MAX) })
}
