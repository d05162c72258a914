//! ZooKeeper's part: sessions that it ends, replies and watch events that it owes, connections and quorums that
//! it loses. Nothing of it happens while its process is down.

use std::collections::BTreeSet;
use std::time::Duration;

use seedlog::types::{SessionId, TopicPartition};
use seedlog::zk_sim::{Breaking, Control};

use super::ongoing::Ongoing;
use super::{Injector, Name};
use crate::cluster::{TINKERER, ZOOKEEPER};
use crate::history::{Injected, broker_of_node};
use crate::scenario::Plan;
use crate::workload::Slip;

impl Injector {
    /// Expires the session under which the node registered last, if it still lives.
    pub(super) fn expire_session(&mut self, target: &Name) {
        let Some((control, session)) = self.session_of(target) else { return };
        self.state(Injected::ExpireSession { target: target.clone(), session });
        control.expire_session(session);
    }

    /// The node's next write is applied, and its connection closed in place of the reply.
    pub(super) fn lose_reply(&mut self, target: &Name) {
        let Some((control, session)) = self.session_of(target) else { return };
        self.state(Injected::LoseReply { target: target.clone(), session });
        control.lose_reply(session);
    }

    /// The node under which it is registered is made once more, and its connection closed in place of the reply.
    pub(super) fn lose_registration(&mut self, target: &Name, plan: &Plan) {
        let (Some(control), paths) = (self.zookeeper(), registrations_of(target, plan)) else { return };
        if paths.is_empty() {
            return;
        }
        self.state(Injected::LoseRegistration { target: target.clone() });
        control.lose_reply_to_create(paths);
    }

    /// So many more of the node's reads are answered; then so many each break its connection in the middle of the reply.
    pub(super) fn cut_short(&mut self, target: &Name, answered: u32, broken: u32) {
        let Some((control, session)) = self.session_of(target) else { return };
        self.state(Injected::CutShort { target: target.clone(), session, answered, broken });
        control.cut_short(session, answered, broken);
    }

    /// Somebody with a tool of ZooKeeper writes what is no offset where the group has one, and mends it later.
    pub(super) fn garble_offset(&mut self, group: &str, partition: &TopicPartition, lasting: Duration) {
        let (target, millis) = (ZOOKEEPER.into(), lasting.as_millis() as u32);
        let partition = partition.clone();
        self.state(Injected::OffsetGarbled {
            target,
            group: group.into(),
            partition: partition.clone(),
            millis,
        });
        self.cluster.shared().slip(Slip { group: group.to_owned(), partition, lasting });
        self.start(&TINKERER.into());
    }

    /// Requests about the nodes below a path break their connections, whosever they are: so many after so many that are
    /// served.
    pub(super) fn break_registry(&mut self, breaking: Breaking) {
        let Some(control) = self.zookeeper() else { return };
        let Breaking { below, answered, broken, applies, reads } = breaking.clone();
        let (target, below) = (ZOOKEEPER.into(), below.into());
        self.state(Injected::RegistryBreaks { target, below, answered, broken, applies, reads });
        control.break_off(breaking);
    }

    /// The topic comes to be right behind somebody's look for it: whoever looks before it watches has missed it.
    /// Not where ZooKeeper is only just starting.
    pub fn race_to_make(&mut self, topic: &str) {
        if let Some(control) = self.zookeeper() {
            control.race(&format!("/brokers/topics/{topic}"));
        }
    }

    /// A follower without a leader serves the node; the fault that its end has to undo.
    pub(super) fn detach(&mut self, target: &Name, reaches_others: bool) -> Option<Ongoing> {
        let (control, session) = self.session_of(target)?;
        let fault = Ongoing::Detached(target.clone(), session);
        if !control.cut_from_leader(session, reaches_others) {
            return None;
        }
        self.begin(fault.clone());
        self.state(Injected::Detach { target: target.clone(), session, reaches_others });
        Some(fault)
    }

    /// Ends the detachment of the node, whichever session of its it was.
    pub(super) fn rejoin_all_of(&mut self, target: &Name) {
        let is_meant = |fault: &&Ongoing| matches!(fault, Ongoing::Detached(who, _) if who == target);
        for fault in self.ongoing.iter().filter(is_meant).cloned().collect::<Vec<_>>() {
            self.end(&fault);
        }
    }

    pub(super) fn rejoin(&mut self, target: &Name, session: SessionId) {
        self.state(Injected::Rejoin { target: target.clone(), session });
        // A server that was started anew in between has forgotten it.
        if let Some(control) = self.zookeeper() {
            control.rejoin(session);
        }
    }

    /// What was to lose its reply, or to have it cut short, and was not asked for so far is answered.
    pub(super) fn keep_replies(&self) {
        if let Some(control) = self.zookeeper() {
            control.keep_replies();
        }
    }

    /// Watch events reach the node so much later; the fault that its end has to undo.
    pub(super) fn delay_watches(&mut self, target: &Name, by: Duration) -> Option<Ongoing> {
        let (control, session) = self.session_of(target)?;
        let fault = Ongoing::LateWatches(target.clone(), session);
        self.begin(fault.clone());
        let millis = by.as_millis() as u32;
        self.state(Injected::WatchesLate { target: target.clone(), session, millis });
        control.delay_watches(session, Some(by));
        Some(fault)
    }

    pub(super) fn end_late_watches(&mut self, target: &Name, session: SessionId) {
        self.state(Injected::WatchesPrompt { target: target.clone(), session });
        if let Some(control) = self.zookeeper() {
            control.delay_watches(session, None);
        }
    }

    /// Closes every connection to ZooKeeper at once.
    pub(super) fn storm_of_reconnects(&mut self) {
        let Some(control) = self.zookeeper() else { return };
        self.state(Injected::ReconnectStorm { target: ZOOKEEPER.into() });
        control.close_connections();
    }

    /// A second server falls behind, and has half of the new connections.
    pub(super) fn let_server_lag(&mut self) -> Ongoing {
        if let Some(control) = self.zookeeper() {
            self.begin(Ongoing::LaggingServer);
            self.state(Injected::ServerLags { target: ZOOKEEPER.into() });
            control.lag(true);
        }
        Ongoing::LaggingServer
    }

    pub(super) fn catch_up(&mut self) {
        self.state(Injected::ServerCaughtUp { target: ZOOKEEPER.into() });
        // A server that was started anew in between has forgotten it.
        if let Some(control) = self.zookeeper() {
            control.lag(false);
        }
    }

    /// ZooKeeper serves nobody; sessions survive.
    pub(super) fn lose_quorum(&mut self) {
        let Some(control) = self.zookeeper() else { return };
        self.begin(Ongoing::NoQuorum);
        self.state(Injected::QuorumLost { target: ZOOKEEPER.into() });
        control.lose_quorum();
    }

    pub(super) fn regain_quorum(&mut self) {
        self.state(Injected::QuorumBack { target: ZOOKEEPER.into() });
        // A server that was started anew in between has forgotten that it had none.
        if let Some(control) = self.zookeeper() {
            control.regain_quorum();
        }
    }

    /// How late watch events are: less than what makes a client believe that nobody is there.
    pub(super) fn draw_watch_delay(&mut self) -> Duration {
        Duration::from_millis(self.draws.between(11, self.session.as_millis() as u64 / 2))
    }

    /// The session of a node, if it is alive, and whom to ask about it.
    fn session_of(&self, target: &Name) -> Option<(Control, SessionId)> {
        let session = self.recorder.progress(|progress| progress.session_of(target))?;
        let control = self.zookeeper()?;
        control.sessions().contains(&session).then_some((control, session))
    }

    fn zookeeper(&self) -> Option<Control> {
        self.is_running(&ZOOKEEPER.into()).then(|| self.cluster.zookeeper_control()).flatten()
    }
}

/// Where a broker or a member of a group is registered. A member that gets a new name in each incarnation has its node's
/// name in it.
fn registrations_of(target: &Name, plan: &Plan) -> BTreeSet<String> {
    if let Some(broker) = broker_of_node(target) {
        return BTreeSet::from([format!("/brokers/ids/{}", broker.0)]);
    }
    let groups = plan.groups.iter().filter(|(_, group)| group.members.contains_key(&**target));
    let paths = groups.flat_map(|(group, _)| {
        let ids = format!("/consumers/{group}/ids");
        [format!("{ids}/{target}"), format!("{ids}/{group}_{target}-*")]
    });
    paths.collect()
}
