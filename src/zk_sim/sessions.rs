//! The sessions alive, and when each expires unless its client is heard.
//!
//! Pure: time is an argument. Expiry rounds up to a tick, as ZooKeeper's does.

use std::collections::BTreeMap;
use std::time::Duration;

use super::watches::ConnectionId;
use crate::types::{Instant, SessionId};
use crate::zookeeper::codec::PASSWORD_BYTES;

pub(super) type Password = [u8; PASSWORD_BYTES];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    pub password: Password,
    pub timeout: Duration,
    pub expires_at: Instant,
    pub connection: Option<ConnectionId>,
}

/// How long sessions may last unheard.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionLimits {
    pub tick: Duration,
    pub timeout_min: Duration,
    pub timeout_max: Duration,
    pub sessions_max: usize,
}

#[derive(Debug)]
pub(super) struct Sessions {
    sessions: BTreeMap<SessionId, Session>,
    limits: SessionLimits,
    next_id: SessionId,
}

impl Sessions {
    /// `first_id` must lie above every id that this server ever gave out.
    pub fn new(limits: SessionLimits, first_id: SessionId) -> Sessions {
        assert!(!limits.tick.is_zero(), "a tick takes time");
        Sessions { sessions: BTreeMap::new(), limits, next_id: first_id }
    }

    /// Opens a session, unless there are too many.
    pub fn open(&mut self, password: Password, asked_ms: i32, now: Instant) -> Option<SessionId> {
        if self.sessions.len() >= self.limits.sessions_max {
            return None;
        }
        let id = self.next_id;
        self.next_id = SessionId(id.0 + 1);
        self.restore(id, password, self.clamp(asked_ms), now);
        Some(id)
    }

    /// Puts back a session that was saved; its timeout starts anew.
    pub fn restore(&mut self, id: SessionId, password: Password, timeout: Duration, now: Instant) {
        let expires_at = self.expiry(now, timeout);
        self.sessions.insert(id, Session { password, timeout, expires_at, connection: None });
    }

    /// The session, if it is alive and this is its password; its timeout is negotiated anew.
    pub fn reattach(
        &mut self,
        id: SessionId,
        password: &[u8],
        asked_ms: i32,
        now: Instant,
    ) -> Option<&mut Session> {
        let timeout = self.clamp(asked_ms);
        let expires_at = self.expiry(now, timeout);
        let session = self.sessions.get_mut(&id).filter(|session| session.password == password)?;
        session.timeout = timeout;
        session.expires_at = expires_at;
        Some(session)
    }

    pub fn get(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id)
    }

    pub fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(&id)
    }

    pub fn remove(&mut self, id: SessionId) -> Option<Session> {
        self.sessions.remove(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.sessions.iter().map(|(id, session)| (*id, session))
    }

    pub fn next_id(&self) -> SessionId {
        self.next_id
    }

    /// The session's client was heard.
    pub fn heard(&mut self, id: SessionId, now: Instant) {
        let Some(timeout) = self.sessions.get(&id).map(|session| session.timeout) else { return };
        let expires_at = self.expiry(now, timeout);
        let session = self.sessions.get_mut(&id).expect("it was there just now");
        session.expires_at = session.expires_at.max(expires_at);
    }

    /// As though every session's client were heard now.
    pub fn renew(&mut self, now: Instant) {
        let ids: Vec<SessionId> = self.sessions.keys().copied().collect();
        for id in ids {
            self.heard(id, now);
        }
    }

    /// The sessions whose time is up.
    pub fn overdue(&self, now: Instant) -> Vec<SessionId> {
        self.iter().filter(|(_, session)| session.expires_at <= now).map(|(id, _)| id).collect()
    }

    fn clamp(&self, asked_ms: i32) -> Duration {
        let asked = Duration::from_millis(u64::try_from(asked_ms).unwrap_or(0));
        asked.clamp(self.limits.timeout_min, self.limits.timeout_max)
    }

    fn expiry(&self, now: Instant, timeout: Duration) -> Instant {
        let tick = self.limits.tick.as_nanos() as u64;
        let due = (now + timeout).as_nanos();
        Instant::from_nanos((due / tick + 1).saturating_mul(tick))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: SessionLimits = SessionLimits {
        tick: Duration::from_millis(500),
        timeout_min: Duration::from_secs(1),
        timeout_max: Duration::from_secs(10),
        sessions_max: 2,
    };

    fn at(ms: u64) -> Instant {
        Instant::START + Duration::from_millis(ms)
    }

    #[test]
    fn expiry_rounds_up_to_a_tick() {
        let mut sessions = Sessions::new(LIMITS, SessionId(7));
        let id = sessions.open([1; 16], 1_200, at(100)).expect("room");
        assert!(sessions.overdue(at(1_499)).is_empty());
        assert_eq!(sessions.overdue(at(1_500)), [id]);
    }

    #[test]
    fn the_timeout_asked_for_is_clamped() {
        let mut sessions = Sessions::new(LIMITS, SessionId(7));
        let short = sessions.open([1; 16], -5, at(0)).expect("room");
        let long = sessions.open([1; 16], i32::MAX, at(0)).expect("room");
        assert_eq!(sessions.get(short).map(|s| s.timeout), Some(Duration::from_secs(1)));
        assert_eq!(sessions.get(long).map(|s| s.timeout), Some(Duration::from_secs(10)));
        assert_eq!(sessions.open([1; 16], 1_000, at(0)), None, "the limit is two");
    }

    #[test]
    fn only_the_password_reattaches() {
        let mut sessions = Sessions::new(LIMITS, SessionId(7));
        let id = sessions.open([1; 16], 1_000, at(0)).expect("room");
        assert!(sessions.reattach(id, &[2; 16], 1_000, at(0)).is_none());
        assert!(sessions.reattach(id, &[], 1_000, at(0)).is_none());
        assert!(sessions.reattach(SessionId(id.0 + 1), &[1; 16], 1_000, at(0)).is_none());
        assert!(sessions.reattach(id, &[1; 16], 1_000, at(0)).is_some());
    }

    proptest! {
        #[test]
        fn a_session_expires_when_and_only_when_it_was_unheard_for_its_timeout(
            gaps in proptest::collection::vec(0_u64..3_000, 1..20),
        ) {
            let mut sessions = Sessions::new(LIMITS, SessionId(1));
            let id = sessions.open([0; 16], 1_000, at(0)).expect("room");
            let mut now = 0;
            for gap in gaps {
                now += gap;
                let overdue = !sessions.overdue(at(now)).is_empty();
                prop_assert!(gap > 1_000 || !overdue, "expired after {} ms", gap);
                prop_assert!(gap < 1_500 || overdue, "still alive after {} ms", gap);
                if overdue {
                    break;
                }
                sessions.heard(id, at(now));
            }
        }
    }
}
