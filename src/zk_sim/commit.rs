//! When what the core decided may be seen: at once, or, for a server that saves, when it is saved.
//!
//! Pure. Arrivals queue while a snapshot is being written; then all of them are applied and saved together
//! (group commit). Nothing that depends on an unsaved change leaves the server, replies to reads included.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::core::{Core, Effect, Moment};
use super::sessions::Password;
use super::snapshot;
use super::watches::ConnectionId;
use crate::types::{SessionId, Zxid};

/// Something for the core to deal with, in order.
pub(super) enum Arrival {
    Opened(ConnectionId),
    /// A message; `password` is for the session that it may open.
    Message {
        from: ConnectionId,
        message: Bytes,
        password: Password,
    },
    Closed(ConnectionId),
    Tick,
    Expire(SessionId),
    /// Every session's timeout starts anew.
    Renew,
}

/// What to do now.
pub(super) enum Step {
    /// Perform these.
    Release(Vec<Effect>),
    /// Save these bytes, then call [`Commit::saved`].
    Save(Bytes),
    /// Wait for the save under way.
    Wait,
}

pub(super) struct Commit {
    core: Core,
    saves: bool,
    waiting: VecDeque<Arrival>,
    /// Messages waiting, by connection.
    unanswered: BTreeMap<ConnectionId, usize>,
    tick_waits: bool,
    held: Option<Vec<Effect>>,
    saved_zxid: Zxid,
}

impl Commit {
    pub fn new(core: Core, saves: bool) -> Commit {
        // A new server's first snapshot is written with its first change.
        let saved_zxid = core.zxid;
        Commit {
            core,
            saves,
            waiting: VecDeque::new(),
            unanswered: BTreeMap::new(),
            tick_waits: false,
            held: None,
            saved_zxid,
        }
    }

    pub fn core(&self) -> &Core {
        &self.core
    }

    /// Something arrived that the core has nothing to do with: the session stays alive.
    pub fn heard(&mut self, from: ConnectionId, at: Moment) {
        self.core.heard(from, at.now);
    }

    /// Whether what the core holds is not on stable storage yet.
    pub fn is_saving(&self) -> bool {
        self.held.is_some()
    }

    /// How many of the connection's messages wait for a save under way.
    pub fn unanswered(&self, connection: ConnectionId) -> usize {
        self.unanswered.get(&connection).copied().unwrap_or(0)
    }

    pub fn arrive(&mut self, arrival: Arrival, at: Moment) {
        match &arrival {
            Arrival::Message { from, .. } => {
                // Heard now, though it may be applied only after a slow save.
                self.core.heard(*from, at.now);
                *self.unanswered.entry(*from).or_default() += 1;
            }
            Arrival::Tick if std::mem::replace(&mut self.tick_waits, true) => return,
            Arrival::Closed(connection) => drop(self.unanswered.remove(connection)),
            Arrival::Opened(_) | Arrival::Tick | Arrival::Expire(_) | Arrival::Renew => {}
        }
        self.waiting.push_back(arrival);
    }

    /// Applies what waits, unless a save is under way.
    pub fn step(&mut self, at: Moment) -> Step {
        if self.held.is_some() {
            return Step::Wait;
        }
        while let Some(arrival) = self.waiting.pop_front() {
            self.apply(arrival, at);
        }
        assert!(self.core.zxid >= self.saved_zxid, "a zxid does not go back");
        let effects = std::mem::take(&mut self.core.effects);
        if !self.saves || self.core.zxid == self.saved_zxid {
            return Step::Release(effects);
        }
        self.held = Some(effects);
        self.saved_zxid = self.core.zxid;
        Step::Save(snapshot::encode(self.core.zxid, &self.core.sessions, &self.core.tree))
    }

    /// The save asked for is on stable storage: what it held may be seen.
    pub fn saved(&mut self) -> Vec<Effect> {
        self.held.take().expect("a save was under way")
    }

    fn apply(&mut self, arrival: Arrival, at: Moment) {
        match arrival {
            Arrival::Opened(connection) => self.core.connection_opened(connection),
            Arrival::Message { from, message, password } => {
                if let Some(count) = self.unanswered.get_mut(&from) {
                    *count = count.checked_sub(1).expect("a message that waits was counted");
                }
                self.core.message(from, message, password, at);
            }
            Arrival::Closed(connection) => self.core.connection_closed(connection),
            Arrival::Tick => {
                self.tick_waits = false;
                self.core.tick(at);
            }
            Arrival::Expire(session) => {
                self.core.expire(session, at);
            }
            Arrival::Renew => self.core.sessions.renew(at.now),
        }
    }
}

#[cfg(test)]
mod tests;
