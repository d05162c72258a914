//! The server's one state behind its one lock, and what is waiting to be sent to each client.
//!
//! Synchronous: every method takes the lock for a moment and wakes the tasks that have something to do.

mod followers;

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use super::commit::{Arrival, Commit, Step};
use super::core::{Changed, Effect, Moment};
use super::faults::{Breaking, Broken, Faults, xid_of_reply};
use super::follower::CutFollower;
use super::lagging::LaggingServer;
use super::race::Race;
use super::watches::ConnectionId;
use crate::facts::{self, Fact};
use crate::runtime::lock::{Mutex, MutexGuard};
use crate::runtime::rng::Rng;
use crate::runtime::{Segment, clock, effects};
use crate::types::{Instant, SessionId};
use crate::zookeeper::codec::PASSWORD_BYTES;

/// Connections at once.
pub(super) const CONNECTIONS_MAX: usize = 10_000;
/// A connection with this many unanswered requests is not read from.
const UNANSWERED_MAX: usize = 1_000;
/// A connection with this many bytes still to be sent is not read from.
const OUTBOX_BYTES_MAX: usize = 4 << 20;

/// What wakes the halves of a connection's task.
#[derive(Default)]
pub(super) struct Wakers {
    /// There is something to send.
    pub writer: Notify,
    /// There is room again for requests.
    pub reader: Notify,
    /// Close at once.
    pub killer: Notify,
}

#[derive(Default)]
struct Outbox {
    segments: Vec<Segment>,
    bytes: usize,
    closes_after: bool,
    /// A late watch event stands in front of what is still to be sent: nothing overtakes it.
    held_until: Option<Instant>,
    /// The connection closes in place of the reply to this request.
    lost_reply: Option<i32>,
    /// The connection closes in the middle of the reply to this one.
    cut_reply: Option<i32>,
    /// Nothing that comes over the connection is looked at any more.
    is_deaf: bool,
    wakers: Arc<Wakers>,
}

/// What a connection's writer does next.
pub(super) struct Outgoing {
    pub segments: Vec<Segment>,
    /// Nothing follows these.
    pub last: bool,
    /// What is there must not be sent before.
    pub held_until: Option<Instant>,
}

struct State {
    commit: Commit,
    outboxes: BTreeMap<ConnectionId, Outbox>,
    connections_made: u64,
    passwords: Rng,
    to_save: Option<Bytes>,
    stopped: bool,
    faults: Faults,
    /// The connections that a follower serves which is cut from its leader.
    cut_followers: BTreeMap<ConnectionId, CutFollower>,
    /// Sessions to be cut from the leader as soon as what it knows is saved: a follower never knows more.
    to_cut: BTreeSet<SessionId>,
    /// Where every second new connection leads, and those that it serves.
    lagging: Option<LaggingServer>,
    /// One is to fall behind as soon as what the leader knows is saved.
    is_to_lag: bool,
    served_late: BTreeMap<ConnectionId, LaggingServer>,
    races: Vec<Race>,
}

pub(super) struct Shared {
    state: Mutex<State>,
    /// There is something to save.
    pub saver: Notify,
}

impl Shared {
    pub fn new(commit: Commit, passwords: Rng) -> Shared {
        let state = State {
            commit,
            outboxes: BTreeMap::new(),
            connections_made: 0,
            passwords,
            to_save: None,
            stopped: false,
            faults: Faults::default(),
            cut_followers: BTreeMap::new(),
            to_cut: BTreeSet::new(),
            lagging: None,
            is_to_lag: false,
            served_late: BTreeMap::new(),
            races: Vec::new(),
        };
        Shared { state: Mutex::new(state), saver: Notify::new() }
    }

    /// Takes in a connection, unless there are too many.
    pub fn open(&self) -> Option<(ConnectionId, Arc<Wakers>)> {
        let mut state = self.lock();
        if state.faults.has_no_quorum() {
            effects::struck_here("no-quorum");
            return None;
        }
        if state.stopped || state.outboxes.len() >= CONNECTIONS_MAX {
            return None;
        }
        state.connections_made += 1;
        let id = ConnectionId(state.connections_made);
        let outbox = Outbox::default();
        let wakers = Arc::clone(&outbox.wakers);
        state.outboxes.insert(id, outbox);
        self.arrive(&mut state, Arrival::Opened(id));
        Some((id, wakers))
    }

    pub fn closed(&self, id: ConnectionId) {
        let mut state = self.lock();
        state.outboxes.remove(&id);
        state.cut_followers.remove(&id);
        state.served_late.remove(&id);
        state.races.iter_mut().for_each(|race| race.closed(id));
        self.arrive(&mut state, Arrival::Closed(id));
    }

    /// Hands over what one read brought.
    pub fn messages(&self, from: ConnectionId, messages: Vec<Bytes>) {
        let mut state = self.lock();
        let at = moment();
        state.end_races(at, |race| race.is_over(at.now));
        for message in messages {
            if state.races.iter_mut().any(|race| race.holds(from, &message, at.now)) {
                continue;
            }
            if !state.receive(from, message.clone(), at) {
                break;
            }
            state.end_races(at, |race| race.ends_with(&message));
        }
        self.step(&mut state, at);
    }

    pub fn tick(&self) {
        let mut state = self.lock();
        let at = moment();
        state.end_races(at, |race| race.is_over(at.now));
        // Expiry takes a quorum.
        if !state.faults.has_no_quorum() {
            self.arrive(&mut state, Arrival::Tick);
        }
    }

    /// Closes every connection at once; sessions live on.
    pub fn close_connections(&self) {
        self.lock().close_connections();
    }

    /// Closes every connection and takes in none; no session expires meanwhile.
    pub fn lose_quorum(&self) {
        let mut state = self.lock();
        state.faults.lose_quorum();
        state.close_connections();
    }

    /// Serves again; every session's timeout starts anew.
    pub fn regain_quorum(&self) {
        let mut state = self.lock();
        if state.faults.regain_quorum() {
            self.arrive(&mut state, Arrival::Renew);
        }
    }

    /// The next write of this session is applied, and its connection closed in place of the reply.
    pub fn lose_reply(&self, session: SessionId) {
        self.lock().faults.lose_reply(session);
    }

    /// See [`Faults::lose_reply_to_create`].
    pub fn lose_reply_to_create(&self, paths: BTreeSet<String>) {
        self.lock().faults.lose_reply_to_create(paths);
    }

    /// See [`Faults::cut_short`].
    pub fn cut_short(&self, session: SessionId, answered: u32, broken: u32) {
        self.lock().faults.cut_short(session, answered, broken);
    }

    /// See [`Faults::break_off`].
    pub fn break_off(&self, breaking: Breaking) {
        self.lock().faults.break_off(breaking);
    }

    /// See [`Race`].
    pub fn race(&self, path: String) {
        let mut state = self.lock();
        if !state.races.iter().any(|race| race.is_for(&path)) {
            state.races.push(Race::new(path));
        }
    }

    pub fn keep_replies(&self) {
        self.lock().faults.keep_replies();
    }

    /// Watch events of this session leave so much later, and with them all that follows on its connection;
    /// at once again with `None`.
    pub fn delay_watches(&self, session: SessionId, by: Option<Duration>) {
        self.lock().faults.delay_watches(session, by);
    }

    /// Whether the session was alive; it is not any longer.
    pub fn expire(&self, session: SessionId) -> bool {
        let mut state = self.lock();
        let was_alive = !state.stopped && state.commit.core().sessions.get(session).is_some();
        if was_alive {
            self.arrive(&mut state, Arrival::Expire(session));
        }
        was_alive
    }

    pub fn sessions(&self) -> Vec<SessionId> {
        self.lock().commit.core().sessions.iter().map(|(id, _)| id).collect()
    }

    /// Whether a connection should be read from.
    pub fn has_room(&self, id: ConnectionId) -> bool {
        let state = self.lock();
        let outbox_has_room = state.outboxes.get(&id).is_some_and(|outbox| outbox.bytes < OUTBOX_BYTES_MAX);
        outbox_has_room && state.commit.unanswered(id) < UNANSWERED_MAX
    }

    /// Takes what is to be sent to a connection now.
    pub fn outgoing(&self, id: ConnectionId) -> Outgoing {
        let mut state = self.lock();
        let Some(outbox) = state.outboxes.get_mut(&id) else {
            return Outgoing { segments: Vec::new(), last: true, held_until: None };
        };
        if let Some(until) = outbox.held_until.filter(|until| *until > clock::now()) {
            return Outgoing { segments: Vec::new(), last: false, held_until: Some(until) };
        }
        outbox.held_until = None;
        outbox.bytes = 0;
        Outgoing { segments: mem::take(&mut outbox.segments), last: outbox.closes_after, held_until: None }
    }

    /// Sends what is no message of the protocol, and closes.
    pub fn answer_and_close(&self, id: ConnectionId, answer: Bytes) {
        self.lock().perform(vec![Effect::Send(id, answer), Effect::CloseAfterSend(id)]);
    }

    /// The bytes that wait to be saved.
    pub fn take_save(&self) -> Option<Bytes> {
        self.lock().to_save.take()
    }

    /// What was taken to be saved is safe.
    pub fn saved(&self) {
        let mut state = self.lock();
        let effects = state.commit.saved();
        state.perform(effects);
        for session in mem::take(&mut state.to_cut) {
            state.cut(session);
        }
        if mem::take(&mut state.is_to_lag) {
            state.fall_behind();
        }
        self.step(&mut state, moment());
    }

    /// Nothing happens any longer: the server stopped or its disk failed.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        for outbox in state.outboxes.values() {
            outbox.wakers.killer.notify_one();
        }
    }

    /// For people, as ZooKeeper's `srvr` prints it.
    pub fn describe(&self) -> String {
        let state = self.lock();
        let core = state.commit.core();
        format!(
            "Zookeeper version: 3.8.0-seedlog\nConnections: {}\nZxid: {:#x}\nMode: standalone\nNode count: {}\n",
            state.outboxes.len(),
            core.zxid,
            core.tree.nodes().count(),
        )
    }

    fn arrive(&self, state: &mut State, arrival: Arrival) {
        let at = moment();
        state.commit.arrive(arrival, at);
        self.step(state, at);
    }

    fn step(&self, state: &mut State, at: Moment) {
        if state.stopped {
            return;
        }
        match state.commit.step(at) {
            Step::Release(effects) => state.perform(effects),
            Step::Save(bytes) => {
                assert!(state.to_save.is_none(), "one save at a time");
                state.to_save = Some(bytes);
                self.saver.notify_one();
            }
            Step::Wait => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the state is never left half changed")
    }
}

impl State {
    /// Whether the connection goes on after the message.
    fn receive(&mut self, from: ConnectionId, message: Bytes, at: Moment) -> bool {
        if self.breaks_before(from, &message) {
            return false;
        }
        if !self.is_without_leader(from, &message) && !self.is_served_late(from, &message, at) {
            self.mark_reply(from, &message);
            self.take_in(from, message, at);
        }
        true
    }

    /// What these hold is taken in.
    fn end_races(&mut self, at: Moment, is_over: impl Fn(&Race) -> bool) {
        let over: Vec<Race> = self.races.extract_if(.., |race| is_over(race)).collect();
        for (from, messages) in over.into_iter().filter_map(Race::release) {
            for message in messages {
                if !self.receive(from, message, at) {
                    break;
                }
            }
        }
    }

    fn take_in(&mut self, from: ConnectionId, message: Bytes, at: Moment) {
        let mut password = [0; PASSWORD_BYTES];
        self.passwords.fill(&mut password);
        self.commit.arrive(Arrival::Message { from, message, password }, at);
    }

    fn kill(&self, connection: ConnectionId) {
        if let Some(outbox) = self.outboxes.get(&connection) {
            outbox.wakers.killer.notify_one();
        }
    }

    fn send(&mut self, to: ConnectionId, bytes: Bytes) {
        let session = self.commit.core().session_of(to);
        let late = session.and_then(|id| self.faults.watch_delay(id, &bytes));
        let Some(outbox) = self.outboxes.get_mut(&to).filter(|outbox| !outbox.closes_after) else { return };
        if outbox.cut_reply.is_some() && outbox.cut_reply == xid_of_reply(&bytes) {
            outbox.segments.push(Segment::Bytes(bytes.slice(..bytes.len() / 2)));
            outbox.closes_after = true;
            return outbox.wakers.writer.notify_one();
        }
        if outbox.lost_reply.is_some() && outbox.lost_reply == xid_of_reply(&bytes) {
            outbox.segments.clear();
            return outbox.wakers.killer.notify_one();
        }
        if let (Some(by), Some(session)) = (late, session) {
            effects::session_struck(session, "watch-late");
            let until = clock::now() + by;
            // What stands before the event was sent, or waits for an earlier one.
            outbox.held_until = Some(outbox.held_until.map_or(until, |held| held.max(until)));
        }
        outbox.bytes += bytes.len();
        outbox.segments.push(Segment::Bytes(bytes));
        outbox.wakers.writer.notify_one();
    }

    fn close_connections(&mut self) {
        for (connection, outbox) in &self.outboxes {
            if let Some(session) = self.commit.core().session_of(*connection) {
                effects::session_struck(session, "connection-closed");
            }
            outbox.wakers.killer.notify_one();
        }
    }

    /// Whether the connection breaks before this request is served; notes it if it is to break in its reply.
    fn breaks_before(&mut self, from: ConnectionId, message: &[u8]) -> bool {
        let session = self.commit.core().session_of(from);
        let Some(outbox) = self.outboxes.get_mut(&from) else { return false };
        if outbox.is_deaf || outbox.cut_reply.is_some() || outbox.lost_reply.is_some() {
            // It breaks once.
            return outbox.is_deaf;
        }
        let broken = session.and_then(|session| {
            let broken = self.faults.breaks(message)?;
            effects::session_struck(session, "request-broken");
            Some(broken)
        });
        match broken {
            Some(Broken::InTheReply(xid)) => outbox.cut_reply = Some(xid),
            Some(Broken::BeforeTheReply(xid)) => outbox.lost_reply = Some(xid),
            Some(Broken::BeforeTheRequest) => {
                outbox.is_deaf = true;
                outbox.wakers.killer.notify_one();
            }
            None => {}
        }
        outbox.is_deaf
    }

    /// Notes what is to become of the reply to this request.
    fn mark_reply(&mut self, from: ConnectionId, message: &[u8]) {
        let Some(session) = self.commit.core().session_of(from) else { return };
        let loses_any = self.faults.owes_lost_reply(session);
        let lost = self.faults.loses_reply_to(session, message);
        if lost.is_some() {
            effects::session_struck(session, if loses_any { "reply-lost" } else { "registration-lost" });
        }
        let cut = self.faults.cuts_reply_to(session, message);
        if cut.is_some() {
            effects::session_struck(session, "cut-short");
        }
        let Some(outbox) = self.outboxes.get_mut(&from) else { return };
        outbox.lost_reply = lost.or(outbox.lost_reply);
        outbox.cut_reply = cut.or(outbox.cut_reply);
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                // What the leader decides does not get to a follower that is cut from it.
                Effect::Send(connection, _)
                | Effect::CloseAfterSend(connection)
                | Effect::CloseNow(connection)
                    if self.cut_followers.contains_key(&connection) =>
                {
                    effects::session_struck(self.cut_followers[&connection].session, "unheard");
                }
                Effect::Send(to, bytes) => self.send(to, bytes),
                Effect::CloseAfterSend(connection) => {
                    if let Some(outbox) = self.outboxes.get_mut(&connection) {
                        outbox.closes_after = true;
                        outbox.wakers.writer.notify_one();
                    }
                }
                Effect::CloseNow(connection) => self.kill(connection),
                Effect::SessionOpened(session) => facts::record(|| Fact::SessionOpened { session }),
                Effect::SessionExpired(session) => facts::record(|| Fact::SessionExpired { session }),
                Effect::Changed(Changed { zxid, path, kind, owner }) => {
                    facts::record(|| Fact::ZnodeChanged { zxid, path, change: kind.into(), owner });
                }
            }
        }
    }
}

fn moment() -> Moment {
    Moment { now: clock::now(), wall_ms: clock::wall_now().0 }
}
