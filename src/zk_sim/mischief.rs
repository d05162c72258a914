//! What a test has a server do to its clients: replies that are lost, watch events that are late, no quorum.
//!
//! Pure. A server that nobody tampers with has none of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[derive(Debug, Default)]
pub(super) struct Mischief {
    no_quorum: bool,
    lost_replies: BTreeSet<i64>,
    /// Each set is for one create, of any of these nodes.
    lost_creates: Vec<BTreeSet<String>>,
    watch_delays: BTreeMap<i64, Duration>,
}

/// The operations that change the tree.
const WRITES: [i32; 9] = [1, 2, 5, 7, 14, 15, 19, 20, 21];
/// Those of them that make a node, and are of nothing else.
const CREATES: [i32; 4] = [1, 15, 19, 21];
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

    /// The next create of one of these nodes loses its reply, whosever it is. A path that ends in `*` stands for
    /// all that begin as it does.
    pub fn lose_reply_to_create(&mut self, paths: BTreeSet<String>) {
        self.lost_creates.push(paths);
    }

    /// No reply is lost any more.
    pub fn keep_replies(&mut self) {
        self.lost_replies.clear();
        self.lost_creates.clear();
    }

    /// The xid of `request` if its reply is to be lost: once for each time that somebody asked for it.
    pub fn loses_reply_to(&mut self, session: i64, request: &[u8]) -> Option<i32> {
        let operation = word(request, 4).filter(|operation| WRITES.contains(operation))?;
        if !self.lost_replies.remove(&session) && !self.loses_create(operation, request) {
            return None;
        }
        word(request, 0)
    }

    fn loses_create(&mut self, operation: i32, request: &[u8]) -> bool {
        let Some(path) = text(request, 8).filter(|_| CREATES.contains(&operation)) else { return false };
        let is_meant = |paths: &BTreeSet<String>| paths.iter().any(|wanted| matches(wanted, path));
        let Some(index) = self.lost_creates.iter().position(is_meant) else { return false };
        self.lost_creates.remove(index);
        true
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

fn text(bytes: &[u8], at: usize) -> Option<&str> {
    let length = usize::try_from(word(bytes, at)?).ok()?;
    std::str::from_utf8(bytes.get(at + 4..)?.get(..length)?).ok()
}

fn matches(wanted: &str, path: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(beginning) => path.starts_with(beginning),
        None => path == wanted,
    }
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

    /// A request of this operation about this node.
    fn request(xid: i32, operation: i32, path: &str) -> Vec<u8> {
        let mut bytes = message(&[xid, operation, path.len() as i32]);
        bytes.extend(path.as_bytes());
        bytes
    }

    #[test]
    fn a_create_of_a_named_node_loses_its_reply_whosever_it_is_and_only_once() {
        let mut mischief = Mischief::default();
        mischief.lose_reply_to_create(BTreeSet::from(["/a/b".to_owned(), "/a/c-*".to_owned()]));
        for other in ["/a", "/a/bb", "/a/c"] {
            assert_eq!(mischief.loses_reply_to(1, &request(7, 1, other)), None, "{other}");
        }
        assert_eq!(mischief.loses_reply_to(1, &request(7, 2, "/a/b")), None, "a delete");
        assert_eq!(mischief.loses_reply_to(2, &request(8, 15, "/a/c-17")), Some(8));
        assert_eq!(mischief.loses_reply_to(2, &request(9, 1, "/a/b")), None);
        assert_eq!(mischief.loses_reply_to(2, &message(&[9, 1, 400])), None, "cut off");
    }

    #[test]
    fn replies_that_are_kept_again_are_not_lost() {
        let mut mischief = Mischief::default();
        mischief.lose_reply(1);
        mischief.lose_reply_to_create(BTreeSet::from(["/a".to_owned()]));
        mischief.keep_replies();
        assert_eq!(mischief.loses_reply_to(1, &request(7, 1, "/a")), None);
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
