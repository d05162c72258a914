//! The task that owns the connection: it finds a server, performs what the session decides, and finds the
//! next server when the connection ends.
//!
//! Limit: every decision is `session`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::{mpsc, oneshot};

use super::codec::{EventKind, Op, REPLY_BYTES_MAX, Reply, next_frame};
use super::dial::dial;
use super::seen::Seen;
use super::session::{
    Effect, Request, SENT_MAX, Session, Timing, WatchOutcome, WatchRequest, alive_after_answer,
};
use super::watches::Ticket;
use super::{WatchEvent, ZkError, ZooKeeperConfig};
use crate::facts::{self, Fact, ZnodeChange};
use crate::runtime::clock::{self, DeadlineTimer};
use crate::runtime::lock::{Mutex, MutexGuard};
use crate::runtime::net::{Stream, WriteHalf};
use crate::runtime::rng::{self, Rng};
use crate::runtime::{Instant, Segment, buggify};
use crate::types::SessionId;

/// Frames between the session and the socket: every request in flight, pings, and watches set again.
const OUTGOING_MAX: usize = SENT_MAX + 1_000;
/// What one read may bring.
const READ_BYTES_MAX: usize = 64 * 1024;
/// The pause after the first failed attempt to attach; it doubles up to the maximum.
const BACKOFF_MIN: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// The watches that nobody waits for any longer are looked for when this many are set, and at each doubling.
const SWEEP_AT: usize = 64;

/// A caller's request and where its outcome goes.
pub(super) struct Call {
    pub op: Op,
    pub watch: Option<(WatchRequest, oneshot::Sender<WatchEvent>)>,
    pub answer: oneshot::Sender<Result<Reply, ZkError>>,
}

/// What all handles of a session may look at.
pub(super) struct Status {
    inner: Mutex<StatusInner>,
}

struct StatusInner {
    session_id: SessionId,
    timeout: Duration,
    confirmed_at: Instant,
    leader_confirmed_at: Instant,
    expired: bool,
    waiters: Vec<oneshot::Sender<()>>,
}

impl Status {
    /// Of a session that does not exist yet.
    pub fn new() -> Status {
        let inner = StatusInner {
            session_id: SessionId::NONE,
            timeout: Duration::ZERO,
            confirmed_at: Instant::START,
            leader_confirmed_at: Instant::START,
            expired: false,
            waiters: Vec::new(),
        };
        Status { inner: Mutex::new(inner) }
    }

    pub fn session_id(&self) -> SessionId {
        self.lock().session_id
    }

    pub fn timeout(&self) -> Duration {
        self.lock().timeout
    }

    pub fn confirmed_at(&self) -> Instant {
        self.lock().confirmed_at
    }

    pub fn leader_confirmed_at(&self) -> Instant {
        self.lock().leader_confirmed_at
    }

    /// Until when the session is alive; see [`alive_after_answer`].
    pub fn alive_until(&self) -> Instant {
        let inner = self.lock();
        inner.leader_confirmed_at + alive_after_answer(inner.timeout)
    }

    pub fn has_expired(&self) -> bool {
        self.lock().expired
    }

    /// Resolves when a server has said that the session is over.
    pub async fn expired(self: Arc<Status>) {
        let (waiter, expired) = oneshot::channel();
        {
            let mut inner = self.lock();
            if inner.expired {
                return;
            }
            inner.waiters.retain(|waiter| !waiter.is_closed());
            inner.waiters.push(waiter);
        }
        if expired.await.is_err() {
            unreachable!("the waiter lives in what this future holds");
        }
    }

    fn attached(&self, session_id: SessionId, timeout: Duration) {
        let mut inner = self.lock();
        inner.session_id = session_id;
        inner.timeout = timeout;
    }

    fn confirmed(&self, session: &Session) {
        let mut inner = self.lock();
        let is_kept = session.leader_confirmed_at() >= inner.leader_confirmed_at;
        assert!(is_kept, "what a leader confirmed is not taken back");
        inner.confirmed_at = session.confirmed_at();
        inner.leader_confirmed_at = session.leader_confirmed_at();
    }

    fn set_expired(&self) {
        let mut inner = self.lock();
        inner.expired = true;
        for waiter in inner.waiters.drain(..) {
            tell(waiter, ());
        }
    }

    fn lock(&self) -> MutexGuard<'_, StatusInner> {
        self.inner.lock().expect("the status is never left half changed")
    }
}

pub(super) struct Driver {
    config: ZooKeeperConfig,
    session: Session,
    status: Arc<Status>,
    calls: mpsc::Receiver<Call>,
    answers: BTreeMap<Ticket, oneshot::Sender<Result<Reply, ZkError>>>,
    watchers: BTreeMap<Ticket, oneshot::Sender<WatchEvent>>,
    tickets: u64,
    sweep_at: usize,
    first_attached: Option<oneshot::Sender<()>>,
    timer: DeadlineTimer,
    draws: Rng,
    next_server: usize,
    failures: u32,
}

/// Why the driver stops.
struct Over;

impl Driver {
    /// `first_attached` hears when the session exists.
    pub fn new(
        mut config: ZooKeeperConfig,
        status: Arc<Status>,
        calls: mpsc::Receiver<Call>,
        first_attached: oneshot::Sender<()>,
    ) -> Driver {
        let mut draws = rng::stream("zookeeper-client");
        draws.shuffle(&mut config.servers);
        let timing =
            Timing { session_timeout: config.session_timeout, connect_timeout: config.connect_timeout };
        Driver {
            config,
            session: Session::new(timing),
            status,
            calls,
            answers: BTreeMap::new(),
            watchers: BTreeMap::new(),
            tickets: 0,
            sweep_at: SWEEP_AT,
            first_attached: Some(first_attached),
            timer: DeadlineTimer::new(),
            draws,
            next_server: 0,
            failures: 0,
        }
    }

    /// Runs until the session is over or nobody holds a handle.
    pub async fn run(mut self) {
        let Over = self.attach_again_and_again().await;
    }

    async fn attach_again_and_again(&mut self) -> Over {
        loop {
            let servers = self.config.servers.len();
            let (turn, at) = (self.next_server / servers, self.next_server % servers);
            let server = self.config.servers[at].clone();
            self.next_server += 1;
            let until = clock::now() + self.session.attempt_limit(servers);
            let dialled = match self.meanwhile(dial(&server, turn, until)).await {
                Ok(dialled) => dialled,
                Err(over) => return over,
            };
            let talked = match dialled {
                Ok(stream) => self.converse(stream, until).await,
                Err(error) => Ok(error.to_string()),
            };
            match talked {
                Ok(reason) => tracing::warn!(%server, reason, "zookeeper_disconnected"),
                Err(over) => return over,
            }
            self.failures += 1;
            let pause = self.backoff();
            if let Err(over) = self.meanwhile(clock::sleep(pause)).await {
                return over;
            }
        }
    }

    fn backoff(&mut self) -> Duration {
        let doubled = BACKOFF_MIN.saturating_mul(1 << (self.failures - 1).min(10));
        let longest = doubled.min(BACKOFF_MAX).min(self.session.timeout() / 4).as_millis() as u64;
        let longest = longest.max(2);
        Duration::from_millis(self.draws.between(longest / 2, longest))
    }

    /// Waits for `future` while calls are taken in and given up in time.
    async fn meanwhile<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Over> {
        let mut future = pin!(future);
        loop {
            self.timer.set(self.session.deadline());
            tokio::select! {
                biased;
                output = &mut future => return Ok(output),
                () = self.timer.expired() => {
                    let effects = self.session.time_passed(clock::now());
                    self.perform(effects, None);
                }
                call = self.calls.recv() => {
                    self.take(call.ok_or(Over)?, None);
                }
            }
        }
    }

    /// Talks to one server until the connection ends, and returns why. The server has `until` to attach the session.
    async fn converse(&mut self, stream: Stream, until: Instant) -> Result<String, Over> {
        let (mut reader, writer) = stream.into_split();
        let (outgoing, queue) = mpsc::channel(OUTGOING_MAX);
        let mut writing = pin!(write_frames(writer, queue));
        let mut buffer = BytesMut::new();
        let opened = self.session.connection_opened(clock::now(), until);
        self.perform(opened, Some(&outgoing));
        let reason = loop {
            self.timer.set(self.session.deadline());
            let effects = tokio::select! {
                biased;
                () = self.timer.expired() => self.session.time_passed(clock::now()),
                error = &mut writing => break error.to_string(),
                read = reader.read(&mut buffer, READ_BYTES_MAX) => match read {
                    Ok(0) => break "the server closed the connection".to_owned(),
                    Ok(_) if self.loses_replies() => break "the replies were lost on purpose".to_owned(),
                    Ok(_) => self.arrived(&mut buffer),
                    Err(error) => break error.to_string(),
                },
                call = self.calls.recv() => {
                    if let Some(reason) = self.take(call.ok_or(Over)?, Some(&outgoing)) {
                        break reason;
                    }
                    continue;
                }
            };
            let disconnect = self.perform(effects, Some(&outgoing));
            // Whatever follows the end of a session, broken or not, nobody connects again.
            if self.session.is_over() {
                assert!(self.answers.is_empty(), "nobody waits for the answer of a session that is over");
                assert!(self.watchers.is_empty(), "nobody watches through a session that is over");
                return Err(Over);
            }
            if let Some(reason) = disconnect {
                break reason;
            }
        };
        let lost = self.session.connection_lost();
        self.perform(lost, None);
        Ok(reason)
    }
}

impl Driver {
    fn take(&mut self, call: Call, outgoing: Option<&mpsc::Sender<Bytes>>) -> Option<String> {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.answers.insert(ticket, call.answer);
        let watch = call.watch.map(|(request, event)| {
            self.watchers.insert(ticket, event);
            request
        });
        if watch.is_some() {
            self.sweep_watches();
        }
        let effects = self.session.request(Request { ticket, op: call.op, watch }, clock::now());
        self.perform(effects, outgoing)
    }

    /// Now and then, in simulation, what the server has done is not learned: rarely enough for three attempts
    /// in a row to be lost hardly ever.
    fn loses_replies(&mut self) -> bool {
        buggify::fires("zookeeper-reply-lost") && self.draws.chance(1, 8)
    }

    /// What one read brought. What follows a broken message is not looked at.
    fn arrived(&mut self, buffer: &mut BytesMut) -> Vec<Effect> {
        let effects = self.messages(buffer);
        self.status.confirmed(&self.session);
        effects
    }

    fn messages(&mut self, buffer: &mut BytesMut) -> Vec<Effect> {
        let mut effects = Vec::new();
        loop {
            match next_frame(buffer, REPLY_BYTES_MAX) {
                Ok(Some(message)) => {
                    effects.extend(self.session.message(message, clock::now()));
                    self.state_seen();
                }
                Ok(None) => return effects,
                Err(error) => effects.push(Effect::Disconnect(error.to_string())),
            }
            if matches!(effects.last(), Some(Effect::Disconnect(_))) {
                return effects;
            }
        }
    }

    /// Stated before the effects are performed, so that nobody has acted on it yet.
    fn state_seen(&mut self) {
        let session = self.session.id();
        for seen in self.session.take_seen() {
            facts::record(|| fact(session, seen));
        }
    }

    /// Performs the effects in order; returns why the connection must be dropped, if it must.
    fn perform(&mut self, effects: Vec<Effect>, outgoing: Option<&mpsc::Sender<Bytes>>) -> Option<String> {
        self.state_seen();
        let mut disconnect = None;
        for effect in effects {
            match effect {
                Effect::Send(bytes) => {
                    let outgoing = outgoing.expect("an unconnected session sends nothing");
                    if outgoing.try_send(bytes).is_err() {
                        disconnect = Some("the server takes nothing".to_owned());
                    }
                }
                Effect::Answer { ticket, outcome, watching } => self.answer(ticket, outcome, watching),
                Effect::Fire(ticket, outcome) => self.fire(ticket, outcome),
                Effect::Attached => self.attached(),
                Effect::Disconnect(reason) => disconnect = Some(reason),
                Effect::Expired => {
                    tracing::warn!(session = %self.session.id(), "zookeeper_session_expired");
                    self.status.set_expired();
                }
            }
        }
        disconnect
    }

    fn answer(&mut self, ticket: Ticket, outcome: Result<Reply, ZkError>, watching: bool) {
        if !watching {
            self.watchers.remove(&ticket);
        } else if !self.watchers.contains_key(&ticket) {
            // Whoever asked gave up while the request was on its way, and a sweep took his watcher.
            self.session.forget_watches(&BTreeSet::from([ticket]));
        }
        if let Some(answer) = self.answers.remove(&ticket) {
            tell(answer, outcome);
        }
    }

    fn fire(&mut self, ticket: Ticket, outcome: WatchOutcome) {
        let event = match outcome {
            WatchOutcome::SessionLost => WatchEvent::SessionLost,
            WatchOutcome::Event(EventKind::Created) => WatchEvent::Created,
            WatchOutcome::Event(EventKind::Deleted) => WatchEvent::Deleted,
            WatchOutcome::Event(EventKind::DataChanged) => WatchEvent::DataChanged,
            WatchOutcome::Event(EventKind::ChildrenChanged) => WatchEvent::ChildrenChanged,
        };
        if let Some(watcher) = self.watchers.remove(&ticket) {
            tell(watcher, event);
        }
    }

    fn attached(&mut self) {
        self.failures = 0;
        self.status.attached(self.session.id(), self.session.timeout());
        tracing::info!(session = %self.session.id(), "zookeeper_attached");
        if let Some(first) = self.first_attached.take() {
            tell(first, ());
        }
    }

    fn sweep_watches(&mut self) {
        if self.session.watches_set() < self.sweep_at {
            return;
        }
        let gone: BTreeSet<Ticket> =
            self.watchers.iter().filter(|(_, event)| event.is_closed()).map(|(ticket, _)| *ticket).collect();
        self.session.forget_watches(&gone);
        self.watchers.retain(|ticket, _| !gone.contains(ticket));
        self.sweep_at = (self.session.watches_set() * 2).max(SWEEP_AT);
    }
}

impl From<EventKind> for ZnodeChange {
    fn from(kind: EventKind) -> ZnodeChange {
        match kind {
            EventKind::Created => ZnodeChange::Created,
            EventKind::Deleted => ZnodeChange::Deleted,
            EventKind::DataChanged => ZnodeChange::DataChanged,
            EventKind::ChildrenChanged => ZnodeChange::ChildrenChanged,
        }
    }
}

fn fact(session: SessionId, seen: Seen) -> Fact {
    match seen {
        Seen::Attached => Fact::SessionAttached { session },
        Seen::Asked { request, asks } => Fact::LeaderAsked { session, request, asks },
        Seen::Answered { request, zxid, answer } => Fact::LeaderAnswered { session, request, zxid, answer },
        Seen::Node { zxid, path, node, watches } => {
            Fact::ZnodeRead { session, zxid, path, found: node, watches }
        }
        Seen::Children { zxid, path, names, watches } => {
            Fact::ChildrenRead { session, zxid, path, names, watches }
        }
        Seen::Event { path, kind } => Fact::WatchFired { session, path, change: kind.into() },
        Seen::Forgotten { path, of_children } => Fact::WatchForgotten { session, path, of_children },
    }
}

/// One who gave up waiting needs no word.
fn tell<T>(waiter: oneshot::Sender<T>, word: T) {
    if waiter.send(word).is_err() {
        tracing::trace!("zookeeper_caller_gone");
    }
}

/// Sends frames as they come, all that are there at once, until the connection fails.
async fn write_frames(mut writer: WriteHalf, mut queue: mpsc::Receiver<Bytes>) -> io::Error {
    let mut segments: Vec<Segment> = Vec::new();
    while let Some(frame) = queue.recv().await {
        segments.push(frame.into());
        while let Ok(frame) = queue.try_recv() {
            segments.push(frame.into());
        }
        if let Err(error) = writer.send(&mut segments).await {
            return error;
        }
    }
    io::ErrorKind::BrokenPipe.into()
}
