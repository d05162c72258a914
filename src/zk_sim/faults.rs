//! The faults that a test has a server show to its clients: replies that are lost or cut short, watch events that are
//! late, no quorum.
//!
//! Pure. A server has none of them unless somebody asked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use crate::types::SessionId;
use crate::zookeeper::codec::{Op, Reader, opcode};

#[derive(Debug, Default)]
pub(super) struct Faults {
    no_quorum: bool,
    lost_replies: BTreeSet<SessionId>,
    /// Each set is for one create, of any of these nodes.
    lost_creates: Vec<BTreeSet<String>>,
    cut_short: BTreeMap<SessionId, CutShort>,
    breaking: Vec<Breaking>,
    watch_delays: BTreeMap<SessionId, Duration>,
    /// Sessions that no server attaches.
    unattachable: BTreeSet<SessionId>,
}

/// Reads that break off: so many are answered first, and so many break their connections after that.
#[derive(Clone, Copy, Debug)]
struct CutShort {
    answered: u32,
    broken: u32,
}

/// Requests about one node, or about those below it, whosever they are: so many are served first, and so many break their
/// connections after that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaking {
    pub below: String,
    pub answered: u32,
    pub broken: u32,
    /// Whether a write whose connection breaks is made all the same.
    pub applies: bool,
    /// Whether reads count as well.
    pub reads: bool,
}

/// What becomes of a request whose connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// It is served; the connection ends in the middle of the reply with this xid.
    InTheReply(i32),
    /// It is served; the connection ends in place of the reply with this xid.
    BeforeTheReply(i32),
    /// It never came to be served.
    BeforeTheRequest,
}

/// The operations that only look.
const READS: [i32; 5] =
    [opcode::EXISTS, opcode::GET_DATA, opcode::GET_ACL, opcode::GET_CHILDREN, opcode::GET_CHILDREN2];
/// The operations that change the tree.
const WRITES: [i32; 9] = [1, 2, 5, 7, 14, 15, 19, 20, 21];
/// Where a connect request names its session: behind a version, a zxid and a timeout.
const SESSION_AT: usize = 4 + 8 + 4;
/// The xid of a watch event.
const EVENT: i32 = -1;

impl Faults {
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

    pub fn lose_reply(&mut self, session: SessionId) {
        self.lost_replies.insert(session);
    }

    /// The next create of one of these nodes loses its reply, whosever it is. A path that ends in `*` stands for
    /// all that begin as it does.
    pub fn lose_reply_to_create(&mut self, paths: BTreeSet<String>) {
        self.lost_creates.push(paths);
    }

    /// `answered` more reads of the session are answered; then the next `broken` ones each end their connection in the
    /// middle of the reply.
    pub fn cut_short(&mut self, session: SessionId, answered: u32, broken: u32) {
        self.cut_short.insert(session, CutShort { answered, broken });
    }

    /// The xid of `request` if its reply is to break off.
    pub fn cuts_reply_to(&mut self, session: SessionId, request: &[u8]) -> Option<i32> {
        let left = self.cut_short.get_mut(&session)?;
        word(request, 4).filter(|operation| READS.contains(operation))?;
        if left.answered > 0 {
            left.answered -= 1;
            return None;
        }
        left.broken = left.broken.checked_sub(1)?;
        if left.broken == 0 {
            self.cut_short.remove(&session);
        }
        word(request, 0)
    }

    pub fn break_off(&mut self, breaking: Breaking) {
        self.breaking.push(breaking);
    }

    /// What becomes of `request` if it is one whose connection is to break.
    pub fn breaks(&mut self, request: &[u8]) -> Option<Broken> {
        if self.breaking.is_empty() {
            return None;
        }
        let (xid, code) = (word(request, 0)?, word(request, 4)?);
        let is_write = WRITES.contains(&code);
        if !is_write && !READS.contains(&code) {
            return None;
        }
        let paths = paths_of(request);
        let is_meant = |breaking: &Breaking| {
            (is_write || breaking.reads) && paths.iter().any(|path| is_below(&breaking.below, path))
        };
        let index = self.breaking.iter().position(is_meant)?;
        let meant = &mut self.breaking[index];
        if meant.answered > 0 {
            meant.answered -= 1;
            return None;
        }
        let applies = meant.applies;
        meant.broken = meant.broken.saturating_sub(1);
        if meant.broken == 0 {
            self.breaking.remove(index);
        }
        Some(match (is_write, applies) {
            (false, _) => Broken::InTheReply(xid),
            (true, true) => Broken::BeforeTheReply(xid),
            (true, false) => Broken::BeforeTheRequest,
        })
    }

    /// No reply is lost or cut short any more, and no request.
    pub fn keep_replies(&mut self) {
        self.breaking.clear();
        self.cut_short.clear();
        self.lost_replies.clear();
        self.lost_creates.clear();
    }

    /// Whether this session's next write is to lose its reply, whatever it is.
    pub fn owes_lost_reply(&self, session: SessionId) -> bool {
        self.lost_replies.contains(&session)
    }

    /// The xid of `request` if its reply is to be lost: once for each time that somebody asked for it.
    pub fn loses_reply_to(&mut self, session: SessionId, request: &[u8]) -> Option<i32> {
        word(request, 4).filter(|operation| WRITES.contains(operation))?;
        if !self.lost_replies.remove(&session) && !self.loses_create(request) {
            return None;
        }
        word(request, 0)
    }

    fn loses_create(&mut self, request: &[u8]) -> bool {
        if self.lost_creates.is_empty() {
            return false;
        }
        let created = created_by(request);
        let is_meant = |wanted: &String| created.iter().any(|path| matches(wanted, path));
        let Some(index) = self.lost_creates.iter().position(|paths| paths.iter().any(is_meant)) else {
            return false;
        };
        self.lost_creates.remove(index);
        true
    }

    pub fn refuse_to_attach(&mut self, session: SessionId) {
        self.unattachable.insert(session);
    }

    pub fn let_attach(&mut self, session: SessionId) {
        self.unattachable.remove(&session);
    }

    pub fn let_all_attach(&mut self) {
        self.unattachable.clear();
    }

    /// Whether `connect_request` asks for a session that is not attached anywhere.
    pub fn refuses_to_attach(&self, connect_request: &[u8]) -> bool {
        session_asked_for(connect_request).is_some_and(|session| self.unattachable.contains(&session))
    }

    pub fn delay_watches(&mut self, session: SessionId, by: Option<Duration>) {
        match by {
            Some(by) => self.watch_delays.insert(session, by),
            None => self.watch_delays.remove(&session),
        };
    }

    /// How long `message`, with its length in front, has to wait if it is a watch event.
    pub fn watch_delay(&self, session: SessionId, message: &[u8]) -> Option<Duration> {
        let by = self.watch_delays.get(&session)?;
        (xid_of_reply(message) == Some(EVENT)).then_some(*by)
    }
}

/// The session that a connect request names.
pub(super) fn session_asked_for(connect_request: &[u8]) -> Option<SessionId> {
    let id = connect_request.get(SESSION_AT..)?.first_chunk::<8>()?;
    Some(SessionId(i64::from_be_bytes(*id)))
}

/// Whether a request only looks at the tree.
pub(super) fn is_read(request: &[u8]) -> bool {
    word(request, 4).is_some_and(|operation| READS.contains(&operation))
}

/// The xid that a framed reply answers.
pub(super) fn xid_of_reply(message: &[u8]) -> Option<i32> {
    word(message, 4)
}

fn word(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..)?.first_chunk::<4>().map(|word| i32::from_be_bytes(*word))
}

/// What a request asks for, alone or in a multi.
fn operations_of(request: &[u8]) -> Vec<Op> {
    let mut reader = Reader::new(Bytes::copy_from_slice(request));
    let (Ok(_xid), Ok(code)) = (reader.read::<i32>(), reader.read()) else { return Vec::new() };
    match Op::decode(code, &mut reader) {
        Ok(Op::Multi(operations)) => operations,
        Ok(single) => vec![single],
        Err(_) => Vec::new(),
    }
}

/// The nodes that a request looks at or changes.
fn paths_of(request: &[u8]) -> Vec<String> {
    let paths = operations_of(request).into_iter().filter_map(|operation| match operation {
        Op::Create(create) | Op::Create2(create) => Some(create.path),
        Op::Delete(node) | Op::Check(node) => Some(node.path),
        Op::SetData(node) => Some(node.path),
        Op::Exists(node) | Op::GetData(node) | Op::GetChildren(node) | Op::GetChildren2(node) => {
            Some(node.path)
        }
        _ => None,
    });
    paths.collect()
}

/// Whether `path` is `node`, or lies below it.
fn is_below(node: &str, path: &str) -> bool {
    path.strip_prefix(node).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether the request is a look at this node.
pub(super) fn looks_at(request: &[u8], node: &str) -> bool {
    let is_look = word(request, 4).is_some_and(|code| READS.contains(&code));
    is_look && paths_of(request).iter().any(|path| path == node)
}

/// The nodes that a request makes, alone or in a multi.
pub(super) fn created_by(request: &[u8]) -> Vec<String> {
    let paths = operations_of(request).into_iter().filter_map(|operation| match operation {
        Op::Create(create) | Op::Create2(create) => Some(create.path),
        _ => None,
    });
    paths.collect()
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
    use crate::zookeeper::codec::{CreateFlags, CreateRequest, PathVersion, PathWatch};

    fn message(words: &[i32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn only_a_write_of_the_session_loses_its_reply_and_only_once() {
        let (read, write) = (message(&[7, 4]), message(&[8, 5]));
        let mut faults = Faults::default();
        faults.lose_reply(SessionId(1));
        assert_eq!(faults.loses_reply_to(SessionId(2), &write), None);
        assert_eq!(faults.loses_reply_to(SessionId(1), &read), None);
        assert_eq!(faults.loses_reply_to(SessionId(1), &write), Some(8));
        assert_eq!(faults.loses_reply_to(SessionId(1), &write), None);
    }

    fn create(path: &str) -> Op {
        let (data, acl, flags) = (None, Vec::new(), CreateFlags::PERSISTENT);
        Op::Create(CreateRequest { path: path.into(), data, acl, flags })
    }

    #[test]
    fn a_create_of_a_named_node_loses_its_reply_whosever_it_is_and_only_once() {
        let request = |xid: i32, operation: Op| operation.encode(xid).slice(4..);
        let mut faults = Faults::default();
        faults.lose_reply_to_create(BTreeSet::from(["/a/b".to_owned(), "/a/c-*".to_owned()]));
        for other in ["/a", "/a/bb", "/a/c"] {
            assert_eq!(faults.loses_reply_to(SessionId(1), &request(7, create(other))), None, "{other}");
        }
        let delete = Op::Delete(PathVersion { path: "/a/b".into(), version: -1 });
        assert_eq!(faults.loses_reply_to(SessionId(1), &request(7, delete)), None, "a delete");
        let in_a_multi = Op::Multi(vec![create("/x"), create("/a/c-17")]);
        assert_eq!(faults.loses_reply_to(SessionId(2), &request(8, in_a_multi)), Some(8));
        assert_eq!(faults.loses_reply_to(SessionId(2), &request(9, create("/a/b"))), None);
        assert_eq!(faults.loses_reply_to(SessionId(2), &message(&[9, 1, 400])), None, "cut off");
    }

    #[test]
    fn replies_that_are_kept_again_are_not_lost() {
        let mut faults = Faults::default();
        faults.lose_reply(SessionId(1));
        faults.lose_reply_to_create(BTreeSet::from(["/a".to_owned()]));
        faults.keep_replies();
        assert_eq!(faults.loses_reply_to(SessionId(1), &create("/a").encode(7).slice(4..)), None);
    }

    #[test]
    fn only_the_session_named_is_not_attached() {
        let mut faults = Faults::default();
        faults.refuse_to_attach(SessionId(7));
        let connect = |session: i32| message(&[0, 0, 0, 3_000, 0, session, 16]);
        assert!(faults.refuses_to_attach(&connect(7)));
        assert!(!faults.refuses_to_attach(&connect(8)));
        assert!(!faults.refuses_to_attach(&connect(7)[..20]), "cut off");
        faults.let_attach(SessionId(8));
        assert!(faults.refuses_to_attach(&connect(7)));
        faults.let_attach(SessionId(7));
        assert!(!faults.refuses_to_attach(&connect(7)));
        faults.refuse_to_attach(SessionId(7));
        faults.let_all_attach();
        assert!(!faults.refuses_to_attach(&connect(7)));
    }

    #[test]
    fn reads_break_off_after_so_many_and_no_write_does() {
        let (read, write) = (|xid: i32| message(&[xid, 4]), message(&[9, 5]));
        let mut faults = Faults::default();
        faults.cut_short(SessionId(1), 1, 2);
        assert_eq!(faults.cuts_reply_to(SessionId(2), &read(1)), None, "another session");
        assert_eq!(faults.cuts_reply_to(SessionId(1), &read(2)), None, "answered first");
        assert_eq!(faults.cuts_reply_to(SessionId(1), &write), None);
        assert_eq!(faults.cuts_reply_to(SessionId(1), &read(3)), Some(3));
        assert_eq!(faults.cuts_reply_to(SessionId(1), &read(4)), Some(4));
        assert_eq!(faults.cuts_reply_to(SessionId(1), &read(5)), None, "twice is enough");
    }

    #[test]
    fn requests_about_what_lies_below_a_node_break_off_whosever_they_are() {
        let read = |xid: i32, path: &str| {
            Op::GetData(PathWatch { path: path.into(), watch: false }).encode(xid).slice(4..)
        };
        let breaking =
            |applies| Breaking { below: "/a/b".into(), answered: 1, broken: 2, applies, reads: applies };
        let mut faults = Faults::default();
        faults.break_off(breaking(true));
        assert_eq!(faults.breaks(&read(1, "/a")), None, "above");
        assert_eq!(faults.breaks(&read(1, "/a/bb")), None, "beside");
        assert_eq!(faults.breaks(&read(1, "/a/b")), None, "answered first");
        assert_eq!(faults.breaks(&message(&[1, opcode::PING])), None);
        assert_eq!(faults.breaks(&read(2, "/a/b/c")), Some(Broken::InTheReply(2)));
        let write = create("/a/b/d").encode(3).slice(4..);
        assert_eq!(faults.breaks(&write), Some(Broken::BeforeTheReply(3)));
        assert_eq!(faults.breaks(&write), None, "twice is enough");
        faults.break_off(Breaking { answered: 0, ..breaking(false) });
        assert_eq!(faults.breaks(&read(1, "/a/b")), None, "a read");
        let in_a_multi = Op::Multi(vec![create("/x"), create("/a/b")]).encode(4).slice(4..);
        assert_eq!(faults.breaks(&in_a_multi), Some(Broken::BeforeTheRequest));
        faults.keep_replies();
        assert_eq!(faults.breaks(&write), None);
    }

    #[test]
    fn only_watch_events_are_late() {
        let (event, reply) = (message(&[4, EVENT]), message(&[4, 8]));
        let by = Duration::from_secs(2);
        let mut faults = Faults::default();
        faults.delay_watches(SessionId(1), Some(by));
        assert_eq!(faults.watch_delay(SessionId(1), &event), Some(by));
        assert_eq!(faults.watch_delay(SessionId(1), &reply), None);
        faults.delay_watches(SessionId(1), None);
        assert_eq!(faults.watch_delay(SessionId(1), &event), None);
    }
}
