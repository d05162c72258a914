//! A follower that is cut from its leader and does not know it: it answers pings and reads from what it knew last.
//!
//! Pure. Answers keep the order of the requests (observed): behind a write, a `sync` or anything else that needs a
//! leader nothing is answered any more. Limit: a real follower gives up after `syncLimit` ticks and closes its
//! connections; here the test says when.

use bytes::Bytes;

use super::tree::Tree;
use crate::types::{SessionId, Zxid};
use crate::zookeeper::codec::{ErrorCode, Op, Reader, Reply};

pub(super) struct CutFollower {
    /// Whose connection it serves.
    pub session: SessionId,
    tree: Tree,
    /// Of the last write that it heard of.
    pub zxid: Zxid,
    /// A request waits for the leader, and every later one behind it.
    is_stuck: bool,
}

impl CutFollower {
    pub fn new(session: SessionId, tree: Tree, zxid: Zxid) -> CutFollower {
        CutFollower { session, tree, zxid, is_stuck: false }
    }

    /// The answer to a request, with its length in front; none if it waits for the leader.
    pub fn answer(&mut self, request: &Bytes) -> Option<Bytes> {
        if self.is_stuck {
            return None;
        }
        let mut reader = Reader::new(request.clone());
        let (xid, code) = (reader.read().ok()?, reader.read().ok()?);
        let operation = Op::decode(code, &mut reader).ok()?;
        let answer = look(&self.tree, &operation);
        self.is_stuck = answer.is_none();
        Some(match answer? {
            Ok(reply) => reply.encode(xid, self.zxid),
            Err(error) => Reply::encode_error(xid, self.zxid, error),
        })
    }
}

/// What a server answers that needs nothing but its tree; none if that is not enough.
pub(super) fn look(tree: &Tree, operation: &Op) -> Option<Result<Reply, ErrorCode>> {
    Some(match operation {
        Op::Exists(request) => tree.stat(&request.path).map(Reply::Stat),
        Op::GetData(request) => tree.data(&request.path).map(|(data, stat)| Reply::Data(data, stat)),
        Op::GetChildren(request) => tree.children(&request.path).map(|(names, _)| Reply::Children(names)),
        Op::GetChildren2(request) => {
            tree.children(&request.path).map(|(names, stat)| Reply::Children2(names, stat))
        }
        Op::GetAcl(path) => tree.acl(path).map(|(acl, stat)| Reply::Acl(acl, stat)),
        Op::Check(request) => tree.check(&request.path, request.version).map(|()| Reply::Empty),
        Op::Ping | Op::SetWatches(_) => Ok(Reply::Empty),
        Op::Create(_)
        | Op::Create2(_)
        | Op::Delete(_)
        | Op::SetData(_)
        | Op::SetAcl(_)
        | Op::Sync(_)
        | Op::Multi(_)
        | Op::Auth(_)
        | Op::Close => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zookeeper::codec::{PathVersion, PathWatch, ReplyHeader, xid};

    fn answered(operation: &Op, xid: i32) -> Option<ReplyHeader> {
        let mut follower = CutFollower::new(SessionId(7), Tree::new(), Zxid(42));
        let answer = follower.answer(&operation.encode(xid).slice(4..))?;
        Some(Reader::new(answer.slice(4..)).read().expect("a header"))
    }

    #[test]
    fn it_answers_pings_and_reads_as_though_nothing_were_wrong() {
        let ping = answered(&Op::Ping, xid::PING).expect("an answer");
        assert_eq!((ping.xid, ping.zxid, ping.error), (xid::PING, Zxid(42), ErrorCode::OK));
        let read = |path: &str| Op::Exists(PathWatch { path: path.into(), watch: true });
        assert_eq!(answered(&read("/zookeeper"), 7).map(|header| header.error), Some(ErrorCode::OK));
        assert_eq!(answered(&read("/missing"), 8).map(|header| header.error), Some(ErrorCode::NO_NODE));
    }

    #[test]
    fn what_needs_a_leader_is_not_answered() {
        let delete = Op::Delete(PathVersion { path: "/zookeeper".into(), version: -1 });
        for operation in [Op::Sync("/".into()), delete, Op::Multi(Vec::new()), Op::Close] {
            assert_eq!(answered(&operation, 9), None, "{operation:?}");
        }
        assert_eq!(
            CutFollower::new(SessionId(7), Tree::new(), Zxid(1)).answer(&Bytes::from_static(b"garbage")),
            None
        );
    }

    #[test]
    fn nothing_overtakes_what_waits_for_the_leader() {
        let mut follower = CutFollower::new(SessionId(7), Tree::new(), Zxid(1));
        let ping = Op::Ping.encode(xid::PING).slice(4..);
        assert!(follower.answer(&ping).is_some());
        assert_eq!(follower.answer(&Op::Sync("/".into()).encode(1).slice(4..)), None);
        assert_eq!(follower.answer(&ping), None);
    }
}
