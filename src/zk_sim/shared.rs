//! The server's one state behind its one lock, and what is waiting to be sent to each client.
//!
//! Synchronous: every method takes the lock for a moment and wakes the tasks that have something to do.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::Notify;

use super::commit::{Arrival, Commit, Step};
use super::core::{Effect, Moment};
use super::watches::ConnectionId;
use crate::facts::{self, Fact};
use crate::runtime::rng::Rng;
use crate::runtime::{Segment, clock};
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
    wakers: Arc<Wakers>,
}

/// What a connection's writer does next.
pub(super) struct Outgoing {
    pub segments: Vec<Segment>,
    /// Nothing follows these.
    pub last: bool,
}

struct State {
    commit: Commit,
    outboxes: BTreeMap<ConnectionId, Outbox>,
    connections_made: u64,
    passwords: Rng,
    to_save: Option<Bytes>,
    stopped: bool,
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
        };
        Shared { state: Mutex::new(state), saver: Notify::new() }
    }

    /// Takes in a connection, unless there are too many.
    pub fn open(&self) -> Option<(ConnectionId, Arc<Wakers>)> {
        let mut state = self.lock();
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
        self.arrive(&mut state, Arrival::Closed(id));
    }

    /// Hands over what one read brought.
    pub fn messages(&self, from: ConnectionId, messages: Vec<Bytes>) {
        let mut state = self.lock();
        let at = moment();
        for message in messages {
            let mut password = [0; PASSWORD_BYTES];
            state.passwords.fill(&mut password);
            state.commit.arrive(Arrival::Message { from, message, password }, at);
        }
        self.step(&mut state, at);
    }

    pub fn tick(&self) {
        self.arrive(&mut self.lock(), Arrival::Tick);
    }

    /// Whether the session was alive; it is not any longer.
    pub fn expire(&self, session: i64) -> bool {
        let mut state = self.lock();
        let was_alive = !state.stopped && state.commit.core().sessions.get(session).is_some();
        if was_alive {
            self.arrive(&mut state, Arrival::Expire(session));
        }
        was_alive
    }

    pub fn sessions(&self) -> Vec<i64> {
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
            return Outgoing { segments: Vec::new(), last: true };
        };
        outbox.bytes = 0;
        Outgoing { segments: mem::take(&mut outbox.segments), last: outbox.closes_after }
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
    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(to, bytes) => {
                    if let Some(outbox) = self.outboxes.get_mut(&to) {
                        outbox.bytes += bytes.len();
                        outbox.segments.push(Segment::Bytes(bytes));
                        outbox.wakers.writer.notify_one();
                    }
                }
                Effect::CloseAfterSend(connection) => {
                    if let Some(outbox) = self.outboxes.get_mut(&connection) {
                        outbox.closes_after = true;
                        outbox.wakers.writer.notify_one();
                    }
                }
                Effect::CloseNow(connection) => {
                    if let Some(outbox) = self.outboxes.get(&connection) {
                        outbox.wakers.killer.notify_one();
                    }
                }
                Effect::SessionOpened(session) => facts::record(|| Fact::SessionOpened { session }),
                Effect::SessionExpired(session) => facts::record(|| Fact::SessionExpired { session }),
            }
        }
    }
}

fn moment() -> Moment {
    Moment { now: clock::now(), wall_ms: clock::wall_now().0 }
}
