//! What a session's client asked for and learned of the tree, for the history.
//!
//! Pure. Stating it is the driver's job.

use super::ZkError;
use super::codec::{EventKind, Op, Reply};
use super::stated::{data_digest, znode};
use crate::facts::{LeaderAnswer, LeaderRequest, Znode};
use crate::types::Zxid;

/// Asked before it is sent, or learned from one message before the application learns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Attached,
    Asked {
        request: i32,
        asks: LeaderRequest,
    },
    Answered {
        request: i32,
        zxid: Zxid,
        answer: LeaderAnswer,
    },
    /// `None`: no such node.
    Node {
        zxid: Zxid,
        path: String,
        node: Option<Znode>,
        watches: bool,
    },
    /// `None`: no such node.
    Children {
        zxid: Zxid,
        path: String,
        names: Option<Vec<String>>,
        watches: bool,
    },
    Event {
        path: String,
        kind: EventKind,
    },
    /// Nobody waits for this watch any longer.
    Forgotten {
        path: String,
        of_children: bool,
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
            Ok(Reply::Stat(stat)) => Seen::Node { zxid, path, node: Some(znode(stat)), watches },
            Ok(Reply::Data(data, stat)) => {
                let node = Znode { data: Some(data_digest(data.as_deref())), ..znode(stat) };
                Seen::Node { zxid, path, node: Some(node), watches }
            }
            Ok(Reply::Children(names)) => Seen::Children { zxid, path, names: Some(names.clone()), watches },
            Err(ZkError::NoNode) if lists => Seen::Children { zxid, path, names: None, watches },
            Err(ZkError::NoNode) => Seen::Node { zxid, path, node: None, watches },
            _ => return None,
        };
        Some(seen)
    }
}
