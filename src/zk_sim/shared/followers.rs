//! Servers beside the leader, as tests ask for them: one that is cut from it, and one that lags behind.

use std::mem;

use bytes::Bytes;

use super::{Shared, State, moment};
use crate::runtime::effects;
use crate::types::SessionId;
use crate::zk_sim::core::Moment;
use crate::zk_sim::faults::{is_read, session_asked_for};
use crate::zk_sim::follower::CutFollower;
use crate::zk_sim::lagging::{Handled, LaggingServer};
use crate::zk_sim::watches::ConnectionId;

impl Shared {
    /// The session's connection is from now on served by a follower that is cut from its leader: pings and reads are
    /// answered from what is known now, nothing else is, and the leader does not hear the session. The session can
    /// attach nowhere else, unless its client `reaches_others` that have a leader. Returns whether it was attached.
    pub fn cut_from_leader(&self, session: SessionId, reaches_others: bool) -> bool {
        let mut state = self.lock();
        if state.connection_of(session).is_none() {
            return false;
        }
        if !reaches_others {
            state.faults.refuse_to_attach(session);
        }
        match state.commit.is_saving() {
            true => drop(state.to_cut.insert(session)),
            false => state.cut(session),
        }
        true
    }

    /// The session's follower has a leader again. It drops its client, as one does that joins an ensemble.
    pub fn rejoin(&self, session: SessionId) {
        let mut state = self.lock();
        state.to_cut.remove(&session);
        state.faults.let_attach(session);
        state.drop_clients_of_followers(|follower| follower.session == session);
    }

    /// Every follower has a leader again, and drops its client.
    pub fn join_leader(&self) {
        let mut state = self.lock();
        state.to_cut.clear();
        state.faults.let_all_attach();
        state.drop_clients_of_followers(|_| true);
    }

    /// Every second new connection leads to a server that lags behind from now on; none does any more with `false`.
    pub fn lag(&self, begins: bool) {
        let mut state = self.lock();
        let at = moment();
        state.is_to_lag = begins && state.commit.is_saving();
        if begins {
            if !state.is_to_lag {
                state.fall_behind();
            }
            return;
        }
        state.lagging = None;
        for (from, server) in mem::take(&mut state.served_late) {
            state.take_in(from, server.catch_up(), at);
        }
        self.step(&mut state, at);
    }
}

impl State {
    fn connection_of(&self, session: SessionId) -> Option<ConnectionId> {
        self.commit.core().sessions.get(session)?.connection
    }

    pub(super) fn cut(&mut self, session: SessionId) {
        let Some(connection) = self.connection_of(session) else { return };
        let core = self.commit.core();
        let follower = CutFollower::new(session, core.tree.clone(), core.zxid);
        self.cut_followers.insert(connection, follower);
    }

    pub(super) fn fall_behind(&mut self) {
        let core = self.commit.core();
        self.lagging = Some(LaggingServer::new(core.tree.clone(), core.zxid));
    }

    fn drop_clients_of_followers(&mut self, is_meant: impl Fn(&CutFollower) -> bool) {
        let meant = self.cut_followers.iter().filter(|(_, follower)| is_meant(follower));
        for connection in meant.map(|(connection, _)| *connection).collect::<Vec<_>>() {
            self.cut_followers.remove(&connection);
            self.kill(connection);
        }
    }

    /// Deals with a message that no leader gets to see; returns whether it is one.
    pub(super) fn is_without_leader(&mut self, from: ConnectionId, message: &Bytes) -> bool {
        if let Some(follower) = self.cut_followers.get_mut(&from) {
            let session = follower.session;
            let is_behind = follower.zxid < self.commit.core().zxid;
            match follower.answer(message) {
                Some(answer) => {
                    if is_behind && is_read(message) {
                        effects::session_struck(session, "old-state");
                    }
                    self.send(from, answer);
                }
                None => effects::session_struck(session, "unanswered"),
            }
            return true;
        }
        let is_first = self.commit.core().session_of(from).is_none();
        let is_refused = is_first && self.faults.refuses_to_attach(message);
        if is_refused {
            if let Some(session) = session_asked_for(message) {
                effects::session_struck(session, "sent-away");
            }
            self.kill(from);
        }
        is_refused
    }

    /// Deals with a message to a server that lags behind; returns whether that is all.
    pub(super) fn is_served_late(&mut self, from: ConnectionId, message: &Bytes, at: Moment) -> bool {
        let is_first = self.commit.core().session_of(from).is_none();
        if let Some(server) = self.lagging.as_ref().filter(|_| is_first && from.0 % 2 == 1) {
            let attaches = server.attaches(message);
            if attaches == Some(true) {
                self.served_late.insert(from, server.clone());
            }
            if attaches == Some(false) {
                effects::struck_here("sent-away");
                self.kill(from);
            }
            return attaches == Some(false);
        }
        let Some(server) = self.served_late.get_mut(&from) else { return false };
        let is_behind = server.zxid < self.commit.core().zxid;
        match server.handle(message) {
            Handled::Answered(answers) => {
                if is_behind && is_read(message) {
                    effects::struck_here("old-state");
                }
                self.commit.heard(from, at);
                answers.into_iter().for_each(|answer| self.send(from, answer));
                true
            }
            Handled::CatchesUp(watches) => {
                self.served_late.remove(&from);
                self.take_in(from, watches, at);
                false
            }
        }
    }
}
