//! A server that has a leader and lags behind it: whoever attaches to it reads what stood some time ago.
//!
//! Pure. It takes in nobody who has seen more than it knows, as ZooKeeper does it. What needs the leader makes it catch up
//! first: then the watches that were set on what was old hear of what they missed. A new session is made by the leader,
//! and waited for, so its first server does not lag.

use bytes::Bytes;

use super::execute::watches_to_set;
use super::follower::look;
use super::tree::Tree;
use crate::types::{SessionId, Zxid};
use crate::zookeeper::codec::{
    ConnectRequest, EventKind, Op, Reader, Reply, SetWatchesRequest, WatcherEvent, xid,
};

/// What a server knew when it fell behind.
#[derive(Clone)]
pub(super) struct LaggingServer {
    tree: Tree,
    pub zxid: Zxid,
    /// Set on what was old, to be set again when it catches up.
    watched: SetWatchesRequest,
}

/// What becomes of a message.
pub(super) enum Handled {
    Answered(Vec<Bytes>),
    /// The leader is needed. It catches up: first this, then the message.
    CatchesUp(Bytes),
}

impl LaggingServer {
    pub fn new(tree: Tree, zxid: Zxid) -> LaggingServer {
        let watched = SetWatchesRequest { relative_zxid: zxid, ..SetWatchesRequest::default() };
        LaggingServer { tree, zxid, watched }
    }

    /// What it does with a first message: whether it attaches the session, or sends it away. Nothing where it does not
    /// matter that it lags.
    pub fn attaches(&self, first: &Bytes) -> Option<bool> {
        let request: ConnectRequest = Reader::new(first.clone()).read().ok()?;
        (request.session_id != SessionId::NONE).then_some(request.last_zxid_seen <= self.zxid)
    }

    pub fn handle(&mut self, request: &Bytes) -> Handled {
        self.answer(request).map_or_else(|| Handled::CatchesUp(self.catch_up()), Handled::Answered)
    }

    /// The request that sets the watches anew on what is known by now.
    pub fn catch_up(&self) -> Bytes {
        const LENGTH_BYTES: usize = 4;
        Op::SetWatches(self.watched.clone()).encode(xid::SET_WATCHES).slice(LENGTH_BYTES..)
    }

    fn answer(&mut self, request: &Bytes) -> Option<Vec<Bytes>> {
        let mut reader = Reader::new(request.clone());
        let (xid, code) = (reader.read().ok()?, reader.read().ok()?);
        let operation = Op::decode(code, &mut reader).ok()?;
        let outcome = look(&self.tree, &operation)?;
        if waits_for_a_node(&operation, outcome.is_ok()) {
            return None;
        }
        let mut answers = Vec::new();
        if let Op::SetWatches(request) = &operation {
            for (kind, path) in self.set_watches(request) {
                answers.push(Reply::encode_event(&WatcherEvent::new(kind, path)));
            }
        }
        self.watch(&operation, outcome.is_ok());
        answers.push(match outcome {
            Ok(reply) => reply.encode(xid, self.zxid),
            Err(error) => Reply::encode_error(xid, self.zxid, error),
        });
        Some(answers)
    }

    fn set_watches(&mut self, request: &SetWatchesRequest) -> Vec<(EventKind, String)> {
        let (missed, mut kept) = watches_to_set(&self.tree, request);
        self.watched.data.append(&mut kept.data);
        self.watched.child.append(&mut kept.child);
        missed
    }

    fn watch(&mut self, operation: &Op, is_there: bool) {
        let list = match operation {
            Op::Exists(request) | Op::GetData(request) if request.watch && is_there => &mut self.watched.data,
            Op::GetChildren(request) | Op::GetChildren2(request) if request.watch && is_there => {
                &mut self.watched.child
            }
            _ => return,
        };
        let (Op::Exists(request)
        | Op::GetData(request)
        | Op::GetChildren(request)
        | Op::GetChildren2(request)) = operation
        else {
            return;
        };
        list.push(request.path.clone());
    }
}

/// A node may come and go again while the server lags, and who waits for it has to hear of that: it does not lag then.
fn waits_for_a_node(operation: &Op, is_there: bool) -> bool {
    match operation {
        Op::Exists(request) => request.watch && !is_there,
        Op::SetWatches(request) => !request.exist.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zookeeper::codec::{CreateFlags, CreateRequest, PathWatch, ReplyHeader};

    fn server() -> LaggingServer {
        LaggingServer::new(Tree::new(), Zxid(7))
    }

    fn connect(session: i64, last_zxid_seen: i64) -> Bytes {
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid(last_zxid_seen),
            timeout_ms: 3_000,
            session_id: SessionId(session),
            password: None,
            read_only: Some(false),
        };
        crate::zookeeper::codec::frame(|writer| {
            writer.write(&request);
        })
        .slice(4..)
    }

    fn read(path: &str) -> Bytes {
        Op::Exists(PathWatch { path: path.into(), watch: true }).encode(5).slice(4..)
    }

    #[test]
    fn it_attaches_nobody_who_has_seen_more() {
        assert_eq!(server().attaches(&connect(1, 7)), Some(true));
        assert_eq!(server().attaches(&connect(1, 8)), Some(false));
        assert_eq!(server().attaches(&connect(0, 0)), None, "the leader makes the session");
    }

    #[test]
    fn it_answers_reads_from_what_it_knew_and_a_write_makes_it_catch_up() {
        let mut server = server();
        let Handled::Answered(answers) = server.handle(&read("/zookeeper")) else { panic!("a read") };
        let header: ReplyHeader = Reader::new(answers[0].slice(4..)).read().expect("a header");
        assert_eq!((answers.len(), header.xid, header.zxid), (1, 5, Zxid(7)));
        let (data, acl, flags) = (None, Vec::new(), CreateFlags::PERSISTENT);
        let write = Op::Create(CreateRequest { path: "/a".into(), data, acl, flags }).encode(6).slice(4..);
        let Handled::CatchesUp(watches) = server.handle(&write) else { panic!("a write") };
        let mut reader = Reader::new(watches);
        let (_xid, code): (i32, i32) = (reader.read().unwrap(), reader.read().unwrap());
        let Ok(Op::SetWatches(request)) = Op::decode(code, &mut reader) else { panic!("watches") };
        assert_eq!((request.relative_zxid, request.data), (Zxid(7), vec!["/zookeeper".to_owned()]));
        assert!(matches!(server.handle(&read("/missing")), Handled::CatchesUp(_)), "it is waited for");
    }

    #[test]
    fn a_watch_that_is_set_again_hears_at_once_of_what_it_knew() {
        let request =
            SetWatchesRequest { relative_zxid: Zxid(3), data: vec!["/gone".into()], ..Default::default() };
        let Handled::Answered(answers) = server().handle(&Op::SetWatches(request).encode(-8).slice(4..))
        else {
            panic!("no leader is needed")
        };
        assert_eq!(answers.len(), 2, "an event and the reply");
    }
}
