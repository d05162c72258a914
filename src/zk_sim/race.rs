//! A node that is made right behind somebody's look at it: whoever looks before it watches misses it.
//!
//! Pure. Any order in which a server takes in what different clients send is a legal one; this is the worst.

use std::time::Duration;

use bytes::Bytes;

use super::faults::{created_by, looks_at};
use super::watches::ConnectionId;
use crate::types::Instant;

/// How long what makes the node waits: far below a session's timeout, whose pings wait with it. Over at the next message or
/// tick after that.
const HELD_MAX: Duration = Duration::from_millis(300);

/// What makes the node waits, with all that follows on its connection, until another connection looks at the node.
pub(super) struct Race {
    path: String,
    held: Option<Held>,
}

struct Held {
    from: ConnectionId,
    since: Instant,
    messages: Vec<Bytes>,
}

impl Race {
    pub fn new(path: String) -> Race {
        Race { path, held: None }
    }

    /// Whether the message waits.
    pub fn holds(&mut self, from: ConnectionId, message: &Bytes, now: Instant) -> bool {
        if self.held.is_none() && created_by(message).contains(&self.path) {
            self.held = Some(Held { from, since: now, messages: Vec::new() });
        }
        let Some(held) = self.held.as_mut().filter(|held| held.from == from) else { return false };
        held.messages.push(message.clone());
        true
    }

    /// Whether what waits is to be taken in behind this message.
    pub fn ends_with(&self, message: &[u8]) -> bool {
        self.held.is_some() && looks_at(message, &self.path)
    }

    /// Whether it has waited for long enough.
    pub fn is_over(&self, now: Instant) -> bool {
        self.held.as_ref().is_some_and(|held| now >= held.since + HELD_MAX)
    }

    /// What the connection sent is lost with it; the next attempt is raced again.
    pub fn closed(&mut self, connection: ConnectionId) {
        self.held.take_if(|held| held.from == connection);
    }

    pub fn is_for(&self, path: &str) -> bool {
        self.path == path
    }

    /// What waits, and whose it is.
    pub fn release(self) -> Option<(ConnectionId, Vec<Bytes>)> {
        self.held.map(|held| (held.from, held.messages))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zookeeper::codec::{CreateFlags, CreateRequest, Op, PathWatch};

    fn create(path: &str) -> Bytes {
        let (data, acl, flags) = (None, Vec::new(), CreateFlags::PERSISTENT);
        Op::Create(CreateRequest { path: path.into(), data, acl, flags }).encode(1).slice(4..)
    }

    fn look(path: &str) -> Bytes {
        Op::Exists(PathWatch { path: path.into(), watch: true }).encode(2).slice(4..)
    }

    #[test]
    fn what_makes_the_node_waits_for_somebody_elses_look_with_what_follows_it() {
        let (maker, other, now) = (ConnectionId(1), ConnectionId(2), Instant::START);
        let mut race = Race::new("/a".to_owned());
        assert!(!race.holds(maker, &create("/b"), now) && !race.ends_with(&look("/a")));
        assert!(race.holds(maker, &create("/a"), now) && race.holds(maker, &look("/b"), now));
        assert!(!race.holds(other, &look("/a"), now), "only what follows it");
        assert!(race.ends_with(&look("/a")) && !race.ends_with(&look("/a/b")));
        assert!(!race.is_over(now) && race.is_over(now + HELD_MAX));
        race.closed(other);
        assert_eq!(race.release(), Some((maker, vec![create("/a"), look("/b")])));
    }

    #[test]
    fn who_tries_again_on_another_connection_is_raced_again() {
        let (first, second, now) = (ConnectionId(1), ConnectionId(2), Instant::START);
        let mut race = Race::new("/a".to_owned());
        assert!(race.holds(first, &create("/a"), now));
        race.closed(first);
        assert!(!race.ends_with(&look("/a")) && race.holds(second, &create("/a"), now));
        assert_eq!(race.release(), Some((second, vec![create("/a")])));
    }
}
