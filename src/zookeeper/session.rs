//! One session as its client sees it: what is sent, what waits, what a message means.
//!
//! Pure: messages, requests and the time in, effects out, to be performed in order. The session is over when
//! a server says so or it was closed, never because of a clock here. Where every server refuses to say anything, because it
//! knows less than this client has seen, it is asked without a word of that, now and then.

mod timing;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::ZkError;
use super::codec::{
    ConnectRequest, ConnectResponse, ErrorCode, Op, PASSWORD_BYTES, REQUEST_BYTES_MAX, Reader, Reply,
    ReplyHeader, WatcherEvent, frame, xid,
};
use super::seen::{ReadOf, Seen};
use super::stated;
use super::watches::{Ticket, WatchOn, Watches};
use crate::facts::LeaderRequest;
use crate::rules::{self, Rule};
use crate::types::{Instant, SessionId, Zxid};

/// Requests sent and not yet answered.
pub(super) const SENT_MAX: usize = 1_000;
/// Requests that wait to be sent.
const WAITING_MAX: usize = 1_000;
/// Watches set.
const WATCHES_MAX: usize = 100_000;

/// Nobody can keep up with less: a client would do nothing else than send pings.
const SESSION_TIMEOUT_MIN: Duration = Duration::from_millis(20);
/// In front of every frame.
const LENGTH_BYTES: usize = 4;

/// For how long after a request was sent that a leader answered the session is alive: two thirds of its timeout.
///
/// The leader counts from what it heard last of this client. Through a follower it hears of a client when the follower
/// answers its pings, each half tick. So at the time of the answer it had heard of something that was at most a sixth
/// of the timeout and half a tick old: the session lives for five sixths, less half a tick. That is two thirds or more
/// where the timeout is at least three ticks.
pub(super) fn alive_after_answer(session_timeout: Duration) -> Duration {
    session_timeout * 2 / 3
}

/// What the session does to the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Send(Bytes),
    /// A request's outcome. Unless `watching`, the watch that it asked for was not set.
    Answer {
        ticket: Ticket,
        outcome: Result<Reply, ZkError>,
        watching: bool,
    },
    Fire(Ticket, WatchOutcome),
    /// The session is attached to a server, for the first time or again.
    Attached,
    /// The connection is of no more use: drop it, then say so by [`Session::connection_lost`].
    Disconnect(String),
    /// A server said that the session is over.
    Expired,
}

/// What a watch saw, or that it sees nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WatchOutcome {
    Event(super::codec::EventKind),
    SessionLost,
}

/// A request to make, and the watch that it is to set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub ticket: Ticket,
    pub op: Op,
    pub watch: Option<WatchRequest>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WatchRequest {
    pub on: WatchOn,
    pub path: String,
}

/// How long this client waits for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// Asked of the server; replaced by what it grants.
    pub session_timeout: Duration,
    /// For one attempt to be attached, at most; see [`Session::attempt_limit`].
    pub connect_timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Disconnected,
    /// Connected; the server has not answered the connect request yet.
    Handshake,
    Attached,
    /// For good, with what every further request is told.
    Over(ZkError),
}

struct Waiting {
    request: Request,
    /// When it is given up, unless a connection comes up.
    until: Instant,
}

struct Sent {
    xid: i32,
    code: i32,
    /// Who asked; nobody for the session's own `sync`.
    ticket: Option<Ticket>,
    watch: Option<WatchRequest>,
    at: Instant,
    read: Option<ReadOf>,
    asks: Option<LeaderRequest>,
    needs_leader: bool,
}

pub(super) struct Session {
    id: SessionId,
    password: Bytes,
    timing: Timing,
    /// No server that knows less than this ever attaches the session.
    last_zxid: Zxid,
    phase: Phase,
    next_xid: i32,
    sent: VecDeque<Sent>,
    waiting: VecDeque<Waiting>,
    watches: Watches,
    heard_at: Instant,
    /// When the last answer came that only a leader gives.
    leader_heard_at: Instant,
    sent_at: Instant,
    /// When the session's own `sync` was sent last.
    synced_at: Instant,
    /// When each ping was sent that was not answered yet; bounded, for silence ends the connection.
    pings: VecDeque<Instant>,
    /// When the connect request was sent.
    opened_at: Instant,
    /// Until when it may be answered.
    attempt_until: Instant,
    /// Whether the last connection ended before the connect request was answered.
    was_refused: bool,
    /// Whether the connect request hides what was seen, and only asks whether the session still exists.
    only_asks: bool,
    /// When that was asked last.
    asked_at: Instant,
    /// When the last message was sent that a server answered.
    confirmed_at: Instant,
    /// When the last message was sent that only a leader can have answered. Never later than `confirmed_at`.
    leader_confirmed_at: Instant,
    /// Asked or learned, and not taken yet.
    seen: Vec<Seen>,
}

impl Session {
    pub fn new(timing: Timing) -> Session {
        Session {
            id: SessionId::NONE,
            password: Bytes::from_static(&[0; PASSWORD_BYTES]),
            timing,
            last_zxid: Zxid::ZERO,
            phase: Phase::Disconnected,
            next_xid: 1,
            sent: VecDeque::new(),
            waiting: VecDeque::new(),
            watches: Watches::default(),
            heard_at: Instant::START,
            leader_heard_at: Instant::START,
            sent_at: Instant::START,
            synced_at: Instant::START,
            pings: VecDeque::new(),
            opened_at: Instant::START,
            attempt_until: Instant::START,
            was_refused: false,
            only_asks: false,
            asked_at: Instant::START,
            confirmed_at: Instant::START,
            leader_confirmed_at: Instant::START,
            seen: Vec::new(),
        }
    }

    pub fn id(&self) -> SessionId {
        self.id
    }

    pub fn timeout(&self) -> Duration {
        self.timing.session_timeout
    }

    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over(_))
    }

    /// When the last message was sent that a server answered: that server heard this client then or later. It says
    /// nothing of the session: a follower that lost its leader goes on answering pings and reads.
    pub fn confirmed_at(&self) -> Instant {
        self.confirmed_at
    }

    /// When the last message was sent that only a leader can have answered: the session lived then.
    pub fn leader_confirmed_at(&self) -> Instant {
        self.leader_confirmed_at
    }

    pub fn watches_set(&self) -> usize {
        self.watches.count()
    }

    /// What was asked and learned since; to be taken before anybody can see an effect of it.
    pub fn take_seen(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.seen)
    }

    /// Nobody waits for these watches any longer.
    pub fn forget_watches(&mut self, gone: &BTreeSet<Ticket>) {
        for (on, path) in self.watches.forget(gone) {
            self.seen.push(Seen::Forgotten { path, of_children: on == WatchOn::Children });
        }
    }

    /// A connection to a server came up, by an attempt that lasts `until`.
    pub fn connection_opened(&mut self, now: Instant, until: Instant) -> Vec<Effect> {
        assert_eq!(self.phase, Phase::Disconnected, "one connection at a time");
        self.phase = Phase::Handshake;
        self.heard_at = now;
        self.opened_at = now;
        self.attempt_until = until;
        self.pings.clear();
        self.only_asks = self.is_doubtful(now);
        if self.only_asks {
            self.asked_at = now;
        }
        let shown = if self.only_asks { Zxid::ZERO } else { self.last_zxid };
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: shown,
            timeout_ms: i32::try_from(self.timing.session_timeout.as_millis()).unwrap_or(i32::MAX),
            session_id: self.id,
            password: Some(self.password.clone()),
            read_only: Some(false),
        };
        vec![Effect::Send(frame(|writer| {
            writer.write(&request);
        }))]
    }

    /// The connection ended. What was sent may or may not have been done.
    pub fn connection_lost(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.is_over() {
            return effects;
        }
        self.was_refused = self.phase == Phase::Handshake;
        self.phase = Phase::Disconnected;
        let asked = std::mem::take(&mut self.sent).into_iter().filter_map(|sent| sent.ticket);
        effects.extend(asked.map(|ticket| refusal(ticket, ZkError::ConnectionLost)));
        effects
    }

    /// Makes a request, now or when the session is attached.
    pub fn request(&mut self, request: Request, now: Instant) -> Vec<Effect> {
        let ticket = request.ticket;
        if let Phase::Over(error) = &self.phase {
            return vec![refusal(ticket, error.clone())];
        }
        if self.waiting.len() >= WAITING_MAX {
            return vec![refusal(ticket, ZkError::TooMany("requests"))];
        }
        if request.watch.is_some() && self.watches.count() >= WATCHES_MAX {
            return vec![refusal(ticket, ZkError::TooMany("watches"))];
        }
        self.waiting.push_back(Waiting { request, until: now + self.timing.session_timeout });
        let mut effects = Vec::new();
        self.send_waiting(now, &mut effects);
        effects
    }

    /// A whole message arrived.
    pub fn message(&mut self, message: Bytes, now: Instant) -> Vec<Effect> {
        self.heard_at = now;
        let mut reader = Reader::new(message);
        let outcome = match self.phase {
            Phase::Handshake => self.connect_response(&mut reader, now),
            Phase::Attached => self.reply(&mut reader, now),
            Phase::Disconnected | Phase::Over(_) => Ok(Vec::new()),
        };
        outcome.unwrap_or_else(|reason| vec![Effect::Disconnect(reason)])
    }

    fn connect_response(&mut self, reader: &mut Reader, now: Instant) -> Result<Vec<Effect>, String> {
        let response: ConnectResponse = reader.read().map_err(|error| error.to_string())?;
        if response.session_id == SessionId::NONE {
            if self.id == SessionId::NONE {
                return Err("the server grants no session".to_owned());
            }
            let mut effects = vec![Effect::Expired];
            effects.extend(self.end(ZkError::SessionExpired));
            return Ok(effects);
        }
        if self.id != SessionId::NONE && self.id != response.session_id {
            return Err("the server attached another session".to_owned());
        }
        if self.only_asks {
            // It may know less than this client has seen.
            return Err("the session still exists".to_owned());
        }
        self.id = response.session_id;
        self.password = response.password.unwrap_or_default();
        let granted = Duration::from_millis(u64::try_from(response.timeout_ms).unwrap_or(0));
        if granted < SESSION_TIMEOUT_MIN {
            return Err(format!("the server grants {} ms", response.timeout_ms));
        }
        self.timing.session_timeout = granted;
        self.phase = Phase::Attached;
        self.sent_at = now;
        self.confirmed_at = self.opened_at;
        // A follower opens no session, and attaches none again, without its leader.
        self.leader_answered(self.opened_at, now);
        self.seen.push(Seen::Attached);
        let mut effects = vec![Effect::Attached];
        if rules::holds(Rule::SetWatchesAgain) {
            for request in self.watches.to_set_again(self.last_zxid) {
                effects.push(Effect::Send(Op::SetWatches(request).encode(xid::SET_WATCHES)));
            }
        }
        self.send_waiting(now, &mut effects);
        Ok(effects)
    }

    fn reply(&mut self, reader: &mut Reader, now: Instant) -> Result<Vec<Effect>, String> {
        let header: ReplyHeader = reader.read().map_err(|error| error.to_string())?;
        match header.xid {
            xid::EVENT => return self.event(reader),
            xid::PING => {
                self.confirmed_at =
                    self.pings.pop_front().unwrap_or(self.confirmed_at).max(self.confirmed_at);
                return Ok(Vec::new());
            }
            xid::AUTH => return Ok(Vec::new()),
            xid::SET_WATCHES if header.error == ErrorCode::OK => return Ok(Vec::new()),
            xid::SET_WATCHES => return Err("the server did not set the watches again".to_owned()),
            _ => {}
        }
        if self.sent.front().is_none_or(|sent| sent.xid != header.xid) {
            return Err(format!("a reply to request {}, which is not the next one", header.xid));
        }
        let sent = self.sent.pop_front().expect("looked at just now");
        self.confirmed_at = self.confirmed_at.max(sent.at);
        self.last_zxid = self.last_zxid.max(header.zxid);
        let outcome = match header.error {
            ErrorCode::OK => match Reply::decode(sent.code, reader) {
                Ok(reply) => Ok(reply),
                Err(error) => {
                    // Whatever it did, it is not known.
                    let refused = sent.ticket.map(|ticket| refusal(ticket, ZkError::ConnectionLost));
                    let disconnect = Effect::Disconnect(error.to_string());
                    return Ok(refused.into_iter().chain([disconnect]).collect());
                }
            },
            error => Err(ZkError::from(error)),
        };
        // A refusal may be the follower's own.
        if sent.needs_leader && outcome.is_ok() {
            self.leader_answered(sent.at, now);
        }
        let watching = self.set_watch(&sent, &outcome);
        let is_close = sent.code == Op::Close.code();
        self.seen.extend(sent.read.and_then(|read| read.answered(header.zxid, &outcome, watching)));
        if let Some(asks) = sent.asks {
            let answer = stated::answered(&asks, self.id, header.zxid, &outcome);
            self.seen.push(Seen::Answered { request: sent.xid, zxid: header.zxid, answer });
        }
        let mut effects = Vec::new();
        effects.extend(sent.ticket.map(|ticket| Effect::Answer { ticket, outcome, watching }));
        if is_close {
            effects.extend(self.end(ZkError::Closed));
        } else {
            self.send_waiting(now, &mut effects);
        }
        Ok(effects)
    }

    /// What was sent at `sent_at` was answered, by a leader.
    fn leader_answered(&mut self, sent_at: Instant, now: Instant) {
        self.leader_confirmed_at = self.leader_confirmed_at.max(sent_at);
        self.leader_heard_at = now;
        assert!(self.leader_confirmed_at <= now, "no answer comes before its request");
        assert!(self.leader_confirmed_at <= self.confirmed_at, "what a leader answered a server answered");
    }

    /// The server has set the watch if it answered the read, or if the node's absence was the answer.
    fn set_watch(&mut self, sent: &Sent, outcome: &Result<Reply, ZkError>) -> bool {
        let (Some(watch), Some(ticket)) = (&sent.watch, sent.ticket) else { return false };
        let on = match (outcome, watch.on) {
            (Ok(_), WatchOn::Existence) => WatchOn::Data,
            (Ok(_), on) => on,
            (Err(ZkError::NoNode), WatchOn::Existence) => WatchOn::Existence,
            (Err(_), _) => return false,
        };
        self.watches.add(on, watch.path.clone(), ticket);
        true
    }

    fn event(&mut self, reader: &mut Reader) -> Result<Vec<Effect>, String> {
        let event: WatcherEvent = reader.read().map_err(|error| error.to_string())?;
        let tickets = self.watches.fire(event.kind, &event.path);
        self.seen.push(Seen::Event { path: event.path.clone(), kind: event.kind });
        Ok(tickets.into_iter().map(|t| Effect::Fire(t, WatchOutcome::Event(event.kind))).collect())
    }

    fn send_waiting(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        while self.phase == Phase::Attached && self.sent.len() < SENT_MAX {
            let Some(Waiting { request, .. }) = self.waiting.pop_front() else { return };
            match self.send(request.op, Some(request.ticket), request.watch, now) {
                Ok(bytes) => effects.push(Effect::Send(bytes)),
                Err(error) => effects.push(refusal(request.ticket, error)),
            }
        }
    }

    /// Encodes a request and remembers that it is in flight.
    fn send(
        &mut self,
        op: Op,
        ticket: Option<Ticket>,
        watch: Option<WatchRequest>,
        now: Instant,
    ) -> Result<Bytes, ZkError> {
        let xid = self.take_xid();
        let framed = op.encode(xid);
        let bytes = framed.len() - LENGTH_BYTES;
        if bytes > REQUEST_BYTES_MAX {
            return Err(ZkError::TooLarge { bytes, limit: REQUEST_BYTES_MAX });
        }
        let asks = stated::asked(&op);
        self.seen.extend(asks.clone().map(|asks| Seen::Asked { request: xid, asks }));
        self.sent.push_back(Sent {
            xid,
            code: op.code(),
            ticket,
            watch,
            at: now,
            read: ReadOf::request(&op),
            asks,
            needs_leader: op.needs_leader(),
        });
        self.sent_at = now;
        Ok(framed)
    }

    /// Positive for ever: the negative ones mean something else.
    fn take_xid(&mut self) -> i32 {
        let xid = self.next_xid;
        self.next_xid = self.next_xid.checked_add(1).unwrap_or(1);
        xid
    }

    /// Ends the session for good: everybody who waits is told.
    fn end(&mut self, why: ZkError) -> Vec<Effect> {
        let sent = std::mem::take(&mut self.sent).into_iter().filter_map(|sent| sent.ticket);
        let waiting = std::mem::take(&mut self.waiting).into_iter().map(|waiting| waiting.request.ticket);
        let mut effects: Vec<_> = sent.chain(waiting).map(|ticket| refusal(ticket, why.clone())).collect();
        for ticket in self.watches.take_all() {
            effects.push(Effect::Fire(ticket, WatchOutcome::SessionLost));
        }
        self.phase = Phase::Over(why);
        effects
    }
}

fn refusal(ticket: Ticket, error: ZkError) -> Effect {
    Effect::Answer { ticket, outcome: Err(error), watching: false }
}

#[cfg(test)]
mod tests;
