//! What a test has a server do to its clients: replies that are lost, watch events that are late, no quorum.
//!
//! Pure. A server that nobody tampers with has none of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[derive(Debug, Default)]
pub(super) struct Mischief {
    no_quorum: bool,
    lost_replies: BTreeSet<i64>,
    watch_delays: BTreeMap<i64, Duration>,
}

/// The operations that change the tree.
const WRITES: [i32; 9] = [1, 2, 5, 7, 14, 15, 19, 20, 21];
/// The xid of a watch event.
const EVENT: i32 = -1;

impl Mischief {
    pub fn has_no_quorum(&self) -> bool {
        self.no_quorum
    }

    pub fn lose_quorum(&mut self) {
        self.no_quorum = true;
    }

    /// Whether it was lost.
    pub fn regain_quorum(&mut self) -> bool {
        std::mem::take(&mut self.no_quorum)
    }

    pub fn lose_reply(&mut self, session: i64) {
        self.lost_replies.insert(session);
    }

    /// The xid of `request` if its reply is to be lost; once a session.
    pub fn loses_reply_to(&mut self, session: i64, request: &[u8]) -> Option<i32> {
        let operation = word(request, 4).filter(|operation| WRITES.contains(operation));
        operation.filter(|_| self.lost_replies.remove(&session))?;
        word(request, 0)
    }

    pub fn delay_watches(&mut self, session: i64, by: Option<Duration>) {
        match by {
            Some(by) => self.watch_delays.insert(session, by),
            None => self.watch_delays.remove(&session),
        };
    }

    /// How long `message`, with its length in front, has to wait if it is a watch event.
    pub fn watch_delay(&self, session: i64, message: &[u8]) -> Option<Duration> {
        let by = self.watch_delays.get(&session)?;
        (xid_of_reply(message) == Some(EVENT)).then_some(*by)
    }
}

/// The xid that a framed reply answers.
pub(super) fn xid_of_reply(message: &[u8]) -> Option<i32> {
    word(message, 4)
}

fn word(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..)?.first_chunk::<4>().map(|word| i32::from_be_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(words: &[i32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn only_a_write_of_the_session_loses_its_reply_and_only_once() {
        let (read, write) = (message(&[7, 4]), message(&[8, 5]));
        let mut mischief = Mischief::default();
        mischief.lose_reply(1);
        assert_eq!(mischief.loses_reply_to(2, &write), None);
        assert_eq!(mischief.loses_reply_to(1, &read), None);
        assert_eq!(mischief.loses_reply_to(1, &write), Some(8));
        assert_eq!(mischief.loses_reply_to(1, &write), None);
    }

    #[test]
    fn only_watch_events_are_late() {
        let (event, reply) = (message(&[4, EVENT]), message(&[4, 8]));
        let by = Duration::from_secs(2);
        let mut mischief = Mischief::default();
        mischief.delay_watches(1, Some(by));
        assert_eq!(mischief.watch_delay(1, &event), Some(by));
        assert_eq!(mischief.watch_delay(1, &reply), None);
        mischief.delay_watches(1, None);
        assert_eq!(mischief.watch_delay(1, &event), None);
    }
}
