//! What this client asks of a leader and what it is answered, for the history: writes, `sync`, the end of the session.
//!
//! Pure. Stating it is the driver's job.

use super::ZkError;
use super::codec::{CreateRequest, ErrorCode, MultiReply, Op, Reply, Stat};
use crate::facts::{LeaderAnswer, LeaderRequest, Znode, ZnodeChange, ZnodeWrite, ZnodeWritten};
use crate::types::{SessionId, Zxid};

/// What the operation asks of a leader; nothing if a follower answers it.
pub(super) fn asked(op: &Op) -> Option<LeaderRequest> {
    Some(match op {
        Op::Sync(_) => LeaderRequest::Sync,
        Op::Close => LeaderRequest::Close,
        Op::Multi(operations) => LeaderRequest::Write(operations.iter().filter_map(write).collect()),
        single => LeaderRequest::Write(vec![write(single)?]),
    })
}

/// The change of one node. Access lists do not count as one.
fn write(op: &Op) -> Option<ZnodeWrite> {
    Some(match op {
        Op::Create(CreateRequest { path, data, flags, .. })
        | Op::Create2(CreateRequest { path, data, flags, .. }) => ZnodeWrite {
            path: path.clone(),
            change: ZnodeChange::Created,
            data: data_digest(data.as_deref()),
            ephemeral: flags.is_ephemeral(),
        },
        Op::Delete(request) => {
            ZnodeWrite { path: request.path.clone(), change: ZnodeChange::Deleted, data: 0, ephemeral: false }
        }
        Op::SetData(request) => ZnodeWrite {
            path: request.path.clone(),
            change: ZnodeChange::DataChanged,
            data: data_digest(request.data.as_deref()),
            ephemeral: false,
        },
        _ => return None,
    })
}

/// Knows data again; a node without any counts as one with none.
pub(super) fn data_digest(data: Option<&[u8]>) -> u32 {
    crc32fast::hash(data.unwrap_or_default())
}

/// What the reply says of what was asked.
pub(super) fn answered(
    asks: &LeaderRequest,
    session: SessionId,
    zxid: Zxid,
    outcome: &Result<Reply, ZkError>,
) -> LeaderAnswer {
    let (LeaderRequest::Write(writes), Ok(reply)) = (asks, outcome) else {
        return if outcome.is_ok() { LeaderAnswer::Done(Vec::new()) } else { LeaderAnswer::Refused };
    };
    let results = match reply {
        Reply::Path(path) => vec![MultiReply::Created(path.clone())],
        Reply::Created(path, stat) => vec![MultiReply::Created2(path.clone(), *stat)],
        Reply::Stat(stat) => vec![MultiReply::DataSet(*stat)],
        Reply::Multi(results) => results.clone(),
        _ => vec![MultiReply::Deleted],
    };
    if results.iter().any(|result| matches!(result, MultiReply::Error(code) if *code != ErrorCode::OK)) {
        return LeaderAnswer::Refused;
    }
    let done = results.iter().filter(|result| **result != MultiReply::Checked);
    let written = writes.iter().zip(done).map(|(write, result)| written(write, session, zxid, result));
    LeaderAnswer::Done(written.collect())
}

fn written(write: &ZnodeWrite, session: SessionId, zxid: Zxid, result: &MultiReply) -> ZnodeWritten {
    let data = Some(write.data);
    match result {
        MultiReply::Created(path) | MultiReply::Created2(path, _) => {
            let owner = if write.ephemeral { session } else { SessionId::NONE };
            let node = Znode { mzxid: zxid, version: 0, owner, data };
            ZnodeWritten { path: path.clone(), node: Some(node) }
        }
        MultiReply::DataSet(stat) => {
            ZnodeWritten { path: write.path.clone(), node: Some(Znode { data, ..znode(stat) }) }
        }
        _ => ZnodeWritten { path: write.path.clone(), node: None },
    }
}

/// A node as its stat tells it.
pub(super) fn znode(stat: &Stat) -> Znode {
    Znode { mzxid: stat.mzxid, version: stat.version, owner: stat.ephemeral_owner, data: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zookeeper::codec::{CreateFlags, PathDataVersion, PathVersion};

    const SESSION: SessionId = SessionId(7);

    fn create(path: &str, flags: CreateFlags) -> Op {
        Op::Create(CreateRequest { path: path.into(), data: Some("x".into()), acl: Vec::new(), flags })
    }

    fn set(path: &str) -> Op {
        Op::SetData(PathDataVersion { path: path.into(), data: Some("y".into()), version: -1 })
    }

    fn answer(op: &Op, outcome: Result<Reply, ZkError>) -> LeaderAnswer {
        answered(&asked(op).expect("it needs a leader"), SESSION, Zxid(9), &outcome)
    }

    fn path_version(path: &str) -> PathVersion {
        PathVersion { path: path.into(), version: -1 }
    }

    #[test]
    fn a_sequential_ephemeral_node_is_told_under_its_whole_name_and_as_its_sessions() {
        let done = answer(&create("/a-", CreateFlags::EPHEMERAL_SEQUENTIAL), Ok(Reply::Path("/a-7".into())));
        let node = Znode { mzxid: Zxid(9), version: 0, owner: SESSION, data: Some(crc32fast::hash(b"x")) };
        assert_eq!(done, LeaderAnswer::Done(vec![ZnodeWritten { path: "/a-7".into(), node: Some(node) }]));
    }

    #[test]
    fn a_multi_tells_each_change_and_no_check() {
        let operations = vec![
            Op::Check(path_version("/c")),
            create("/a", CreateFlags::PERSISTENT),
            Op::Delete(path_version("/b")),
            set("/d"),
        ];
        let stat = Stat { mzxid: Zxid(9), version: 4, ..Stat::default() };
        let results = vec![
            MultiReply::Checked,
            MultiReply::Created("/a".into()),
            MultiReply::Deleted,
            MultiReply::DataSet(stat),
        ];
        let LeaderAnswer::Done(written) = answer(&Op::Multi(operations), Ok(Reply::Multi(results))) else {
            panic!("it was done")
        };
        let told = written.iter().map(|one| (&*one.path, one.node.map(|node| node.version)));
        assert_eq!(told.collect::<Vec<_>>(), [("/a", Some(0)), ("/b", None), ("/d", Some(4))]);
    }

    #[test]
    fn what_failed_was_refused_whole() {
        assert_eq!(answer(&set("/a"), Err(ZkError::BadVersion)), LeaderAnswer::Refused);
        let results = vec![MultiReply::Error(ErrorCode::OK), MultiReply::Error(ErrorCode::NO_NODE)];
        let both = Op::Multi(vec![set("/a"), set("/b")]);
        assert_eq!(answer(&both, Ok(Reply::Multi(results))), LeaderAnswer::Refused);
    }

    #[test]
    fn what_a_follower_answers_is_not_asked_of_a_leader() {
        assert_eq!(asked(&Op::Ping), None);
        assert_eq!(asked(&Op::Sync("/".into())), Some(LeaderRequest::Sync));
        assert_eq!(answer(&Op::Close, Ok(Reply::Empty)), LeaderAnswer::Done(Vec::new()));
    }
}
