//! What a session does as time passes: pings, requests that only a leader answers, and when a silent server is left.
//!
//! Pure: the time in, effects out.

use std::time::Duration;

use super::{Effect, Phase, Session, alive_after_answer, refusal};
use crate::types::{Instant, SessionId};
use crate::zookeeper::ZkError;
use crate::zookeeper::codec::{Op, xid};

/// Signs of life that a server gets, at least, in one session timeout.
const PINGS_PER_SESSION: u32 = 6;
/// Requests that only a leader answers, at least, in one session timeout.
const SYNCS_PER_SESSION: u32 = 3;
/// Attempts to be attached, at least, in one session timeout.
const ATTEMPTS_PER_SESSION: usize = 3;
/// Session timeouts without a leader's answer, and between two such questions, after which a client that is refused asks
/// whether its session still exists. More than one: each question that finds the session keeps it alive for one.
const DOUBTED_AFTER_SESSIONS: u32 = 3;
/// A `sync` needs a path and looks at none.
const SYNCED_PATH: &str = "/";

impl Session {
    /// How long one attempt may take, from the name's resolution to the server's answer, with so many servers to try: so
    /// little that each is tried in one session timeout. The connection to a server that is down is never refused where
    /// its whole host is.
    pub fn attempt_limit(&self, servers: usize) -> Duration {
        let attempts = servers.max(ATTEMPTS_PER_SESSION);
        let share = self.timing.session_timeout / u32::try_from(attempts).unwrap_or(u32::MAX);
        self.timing.connect_timeout.min(share)
    }

    /// When [`Session::time_passed`] has something to do, if nothing happens before.
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Attached => Some(self.ping_due().min(self.sync_due()).min(self.silence_limit())),
            Phase::Handshake => Some(self.first_give_up().min(self.silence_limit())),
            Phase::Disconnected => Some(self.first_give_up()).filter(|at| *at < Instant::FAR_FUTURE),
            Phase::Over(_) => None,
        }
    }

    pub fn time_passed(&mut self, now: Instant) -> Vec<Effect> {
        let mut effects = Vec::new();
        match self.phase {
            Phase::Attached if now >= self.silence_limit() => {
                effects.push(Effect::Disconnect(self.silence_reason().to_owned()));
            }
            Phase::Attached if now >= self.sync_due() => {
                self.synced_at = now;
                let sync = self.send(Op::Sync(SYNCED_PATH.to_owned()), None, None, now);
                effects.push(Effect::Send(sync.expect("a sync is small")));
            }
            Phase::Attached if now >= self.ping_due() => {
                effects.push(Effect::Send(Op::Ping.encode(xid::PING)));
                self.sent_at = now;
                self.pings.push_back(now);
            }
            Phase::Handshake if now >= self.silence_limit() => {
                effects.push(Effect::Disconnect("the server does not answer the connect request".to_owned()));
            }
            _ => {}
        }
        while self.phase != Phase::Attached && self.first_give_up() <= now {
            let given_up = self.waiting.pop_front().expect("there is a first one");
            effects.push(refusal(given_up.request.ticket, ZkError::ConnectionLost));
        }
        effects
    }

    /// A sixth of the session timeout after the last sign of life that the server got. A leader hears of a
    /// follower's clients only when the follower answers its pings; what it heard last may be older than a `sync`
    /// that it answered, by this much and half a tick.
    fn ping_due(&self) -> Instant {
        self.sent_at + self.timing.session_timeout / PINGS_PER_SESSION
    }

    /// A third of the session timeout after the last request was sent that a leader answered. An answered ping
    /// proves nothing: a follower that is cut from its leader answers while the leader expires the session.
    fn sync_due(&self) -> Instant {
        self.synced_at.max(self.leader_confirmed_at) + self.timing.session_timeout / SYNCS_PER_SESSION
    }

    /// A server behind which no leader was heard for two thirds of the session timeout is left while there is
    /// time to find another.
    fn silence_limit(&self) -> Instant {
        match self.phase {
            Phase::Attached => self.leader_heard_at + alive_after_answer(self.timing.session_timeout),
            _ => self.attempt_until,
        }
    }

    fn silence_reason(&self) -> &'static str {
        match self.heard_at > self.leader_heard_at {
            true => "the server answers, but no leader does",
            false => "the server is silent",
        }
    }

    /// Whether the next connect request should only ask whether the session still exists. A server does not answer whoever
    /// has seen more than it knows. It lags behind, or the ensemble was restored from a backup: then no server would ever
    /// say that the session is over.
    pub(super) fn is_doubtful(&self, now: Instant) -> bool {
        let doubted_from = self.leader_heard_at.max(self.asked_at);
        let patience = self.timing.session_timeout * DOUBTED_AFTER_SESSIONS;
        self.id != SessionId::NONE && self.was_refused && now >= doubted_from + patience
    }

    fn first_give_up(&self) -> Instant {
        self.waiting.front().map_or(Instant::FAR_FUTURE, |waiting| waiting.until)
    }
}
