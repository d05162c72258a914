//! What the seed draws for ZooKeeper: sessions that end, replies and events that do not come, followers and quorums.

use std::time::Duration;

use seedlog::zk_sim::Breaking;

use super::{member_names, others_of_group};
use crate::cluster::ZOOKEEPER;
use crate::faults::ongoing::Ongoing;
use crate::faults::script::Later;
use crate::faults::storm::Due;
use crate::faults::{Injector, Name};
use crate::scenario::Plan;

/// So many requests that break off use up the attempts of several who try at the same time.
const BREAKS_FOR_EVERY_ATTEMPT: u64 = 40;

impl Injector {
    pub(super) fn strike_zookeeper(&mut self, kind: &str, plan: &Plan) -> Later {
        let zookeeper: Name = ZOOKEEPER.into();
        match kind {
            "reconnect-storm" => self.storm_of_reconnects(),
            "quorum-lost" => {
                self.lose_quorum();
                return vec![(self.draw_lasting(), Due::End(Ongoing::NoQuorum))];
            }
            "zookeeper-kill" => {
                self.kill(&zookeeper);
                return vec![(self.draw_downtime(), Due::Start(zookeeper))];
            }
            "zookeeper-power-failure" => {
                self.fail_power(&zookeeper);
                return vec![(self.draw_downtime(), Due::Start(zookeeper))];
            }
            "watches-late" => return self.stagger_watches(plan),
            "cut-short" => self.cut_reads_short(plan),
            "offset-garbled" => self.garble_some_offset(plan),
            "registry-breaks" => return self.break_some_registry(plan),
            "server-lags" => {
                let lag = self.let_server_lag();
                // Whoever has to connect in the middle of what it reads may get to the one that lags.
                self.cut_reads_short(plan);
                let lasting = self.draw_lasting();
                let storm = (lasting / 2, Due::ReconnectStorm);
                return vec![storm, (lasting, Due::End(lag))];
            }
            "detach" => return self.detach_some(plan),
            "lost-registration" => self.lose_some_registration(plan),
            _ => {
                if kind == "lost-reply" {
                    self.lose_some_reply(plan);
                } else if let Some(target) = self.some_session(plan) {
                    self.expire_session(&target);
                }
            }
        }
        Vec::new()
    }

    /// Whoever it is may be down. One that runs has to register again now, or some time later.
    fn lose_some_registration(&mut self, plan: &Plan) {
        let members = member_names(plan);
        let is_member = !members.is_empty() && self.draws.chance(3, 4);
        let candidates = if is_member { members } else { self.broker_names() };
        let Some(target) = self.draws.pick(&candidates).cloned() else { return };
        self.lose_registration(&target, plan);
        if !self.stated.is_empty() && self.draws.chance(9, 10) {
            self.expire_session(&target);
        }
    }

    /// Of somebody who writes: mostly a member, since a broker does so only when it registers.
    fn lose_some_reply(&mut self, plan: &Plan) {
        let members = member_names(plan);
        let is_member = !members.is_empty() && self.draws.chance(15, 16);
        let mut holders = if is_member { members } else { self.session_holders(plan) };
        holders.retain(|name| self.is_running(name));
        if holders.is_empty() {
            return;
        }
        let target = self.aimed(
            |injector| injector.draws.pick(&holders).cloned().expect("somebody runs"),
            |injector, target| injector.has_lately(target, &["leader-asked"]),
        );
        self.lose_reply(&target);
        // A member writes when another one comes or goes.
        let others = others_of_group(&target, plan);
        if !self.stated.is_empty()
            && self.draws.chance(3, 4)
            && let Some(other) = self.draws.pick(&others).cloned()
        {
            self.expire_session(&other);
        }
    }

    /// Many read at once when somebody comes or goes, so one whose session ends is often among them.
    fn cut_reads_short(&mut self, plan: &Plan) {
        for target in self.session_holders(plan) {
            let (answered, broken) = (self.draws.below(8) as u32, self.draws.between(1, 6) as u32);
            if self.draws.chance(2, 3) {
                self.cut_short(&target, answered, broken);
            }
        }
        if !self.stated.is_empty()
            && self.draws.chance(2, 3)
            && let Some(target) = self.some_session(plan)
        {
            self.expire_session(&target);
        }
    }

    /// While its owner loses the partition, so that another one, or the same one again, reads what stands there.
    fn garble_some_offset(&mut self, plan: &Plan) {
        let groups: Vec<_> = plan.groups.iter().collect();
        let Some((group, of_it)) = self.draws.pick(&groups).copied() else { return };
        let partitions = plan.partitions_of(of_it.topics.iter());
        let Some(partition) = self.draws.pick(&partitions).cloned() else { return };
        let owner = self.recorder.lookout(|lookout| lookout.owner(group, &partition)).flatten();
        let Some(owner) = owner else { return };
        let lasting = Duration::from_millis(self.draws.between(200, 3_000));
        self.garble_offset(group, &partition, lasting);
        self.expire_session(&owner);
    }

    /// Requests about one kind of nodes break off while somebody comes, goes, or takes over: that is when they are made.
    fn break_some_registry(&mut self, plan: &Plan) -> Later {
        let groups: Vec<&String> = plan.groups.keys().collect();
        let group = self.draws.pick(&groups).copied().filter(|_| self.draws.chance(2, 3));
        let below = match group {
            Some(group) => {
                let part = *self.draws.pick(&["ids", "owners", "offsets"]).expect("not empty");
                format!("/consumers/{group}/{part}")
            }
            None => {
                let paths = ["/brokers/ids", "/brokers/topics", "/brokers/topics"];
                (*self.draws.pick(&paths).expect("not empty")).to_owned()
            }
        };
        // Who tries again and again has to come to the end of it now and then.
        let most = if self.draws.chance(1, 2) { BREAKS_FOR_EVERY_ATTEMPT } else { 8 };
        // At once, or when some have come or gone already.
        let served = if self.draws.chance(1, 2) { 3 } else { 20 };
        let (answered, broken) = (self.draws.below(served) as u32, self.draws.between(1, most) as u32);
        let (applies, reads) = (self.draws.chance(1, 3), self.draws.chance(1, 2));
        self.break_registry(Breaking { below, answered, broken, applies, reads });
        let mut concerned = if group.is_none() { self.broker_names() } else { member_names(plan) };
        concerned.retain(|name| self.is_running(name));
        let Some(target) = self.draws.pick(&concerned).cloned() else { return Later::new() };
        match self.draws.below(8) {
            0..=1 => self.stop(&target),
            2..=3 => self.kill(&target),
            4..=6 => {
                self.expire_session(&target);
                return Later::new();
            }
            // Whoever comes next.
            _ => return Later::new(),
        }
        self.start_and_perhaps_once_more(target)
    }

    /// What was only believed to be written is met by whoever starts after that.
    fn start_and_perhaps_once_more(&mut self, target: Name) -> Later {
        let first = self.draw_downtime();
        let mut later = vec![(first, Due::Start(target.clone()))];
        if self.draws.chance(1, 2) {
            let stop = first + self.draw_lasting();
            later.push((stop, Due::Stop(target.clone())));
            later.push((stop + self.draw_downtime(), Due::Start(target)));
        }
        later
    }

    /// One follower loses its leader, with all whom it serves, for as long as it goes on looking for it.
    fn detach_some(&mut self, plan: &Plan) -> Later {
        let session_ms = self.session.as_millis() as u64;
        let sync_limit = Duration::from_millis(self.draws.between(session_ms / 3, session_ms * 5 / 2));
        let mut holders = self.session_holders(plan);
        self.draws.shuffle(&mut holders);
        let served = self.draws.between(1, 3) as usize;
        let reaches_others = self.draws.chance(1, 2);
        let faults = holders.iter().filter_map(|target| self.detach(target, reaches_others)).take(served);
        faults.map(|fault| (sync_limit, Due::End(fault))).collect()
    }

    /// Everybody who has a session hears of changes at a time of their own.
    fn stagger_watches(&mut self, plan: &Plan) -> Later {
        let lasting = self.draw_lasting();
        let mut ends = Later::new();
        for target in self.session_holders(plan) {
            let by = self.draw_watch_delay();
            if self.draws.chance(2, 3)
                && let Some(fault) = self.delay_watches(&target, by)
            {
                ends.push((lasting, Due::End(fault)));
            }
        }
        // Nobody hears of anything where nothing changes.
        if !ends.is_empty()
            && self.draws.chance(3, 4)
            && let Some(target) = self.some_session(plan)
        {
            self.expire_session(&target);
        }
        ends
    }

    /// A broker or a member of a group.
    fn some_session(&mut self, plan: &Plan) -> Option<Name> {
        let mut holders = self.session_holders(plan);
        holders.retain(|name| self.is_running(name));
        self.draws.pick(&holders).cloned()
    }

    fn session_holders(&self, plan: &Plan) -> Vec<Name> {
        self.broker_names().into_iter().chain(member_names(plan)).collect()
    }
}
