//! What a session's client learned of the tree, for the history: reads with their zxid, events.
//!
//! Pure. Stating it is the driver's job.

use super::ZkError;
use super::codec::{EventKind, Op, Reply};
use crate::types::Zxid;

/// Learned from one message, before the application learns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Attached,
    /// `mzxid`: the write that the node's data comes from; `None`: no such node.
    Node {
        zxid: Zxid,
        path: String,
        mzxid: Option<Zxid>,
        watches: bool,
    },
    /// `names`: see [`names_digest`]; `None`: no such node.
    Children {
        zxid: Zxid,
        path: String,
        names: Option<u32>,
        watches: bool,
    },
    Event {
        path: String,
        kind: EventKind,
    },
}

/// A read of which the reply is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReadOf {
    path: String,
    lists: bool,
}

impl ReadOf {
    pub fn request(op: &Op) -> Option<ReadOf> {
        match op {
            Op::Exists(read) | Op::GetData(read) => Some(ReadOf { path: read.path.clone(), lists: false }),
            Op::GetChildren(read) => Some(ReadOf { path: read.path.clone(), lists: true }),
            _ => None,
        }
    }

    /// What the reply says; nothing if it is an error other than that the node does not exist.
    pub fn answered(self, zxid: Zxid, outcome: &Result<Reply, ZkError>, watches: bool) -> Option<Seen> {
        let ReadOf { path, lists } = self;
        let seen = match outcome {
            Ok(Reply::Stat(stat) | Reply::Data(_, stat)) => {
                Seen::Node { zxid, path, mzxid: Some(stat.mzxid), watches }
            }
            Ok(Reply::Children(names)) => {
                Seen::Children { zxid, path, names: Some(names_digest(names)), watches }
            }
            Err(ZkError::NoNode) if lists => Seen::Children { zxid, path, names: None, watches },
            Err(ZkError::NoNode) => Seen::Node { zxid, path, mzxid: None, watches },
            _ => return None,
        };
        Some(seen)
    }
}

/// Knows a set of names again whatever its order: the exclusive or of their crc32.
fn names_digest(names: &[String]) -> u32 {
    names.iter().fold(0, |digest, name| digest ^ crc32fast::hash(name.as_bytes()))
}
