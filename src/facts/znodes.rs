//! What ZooKeeper's clients state of nodes: what they asked for, what they were answered, what they read.

use serde::{Deserialize, Serialize};

use crate::types::{SessionId, Zxid};

/// What happened to a node of ZooKeeper's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ZnodeChange {
    Created,
    Deleted,
    DataChanged,
    ChildrenChanged,
}

/// A node as it stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Znode {
    /// The write that its data comes from.
    pub mzxid: Zxid,
    /// How often its data was set.
    pub version: i32,
    /// The session of an ephemeral node, or 0.
    pub owner: SessionId,
    /// The crc32 of its data; `None` where that was not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<u32>,
}

/// What a client asks of a leader.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeaderRequest {
    /// All of it or nothing.
    Write(Vec<ZnodeWrite>),
    /// What is read after the answer is no older than this request.
    Sync,
    /// The end of the session.
    Close,
}

/// A change of one node as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ZnodeWrite {
    /// Without the number that a sequential node gets.
    pub path: String,
    /// Created, deleted or data changed.
    pub change: ZnodeChange,
    /// The crc32 of its data; 0 of a node that is to go.
    pub data: u32,
    pub ephemeral: bool,
}

/// What a leader answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeaderAnswer {
    /// For each change that was asked for, in order, what stands there now.
    Done(Vec<ZnodeWritten>),
    /// Nothing of it was done.
    Refused,
}

/// What a change left of one node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ZnodeWritten {
    pub path: String,
    /// `None`: it is gone.
    pub node: Option<Znode>,
}
