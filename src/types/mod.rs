//! The numbers and names of the domain, each with a type of its own. Imports nothing of ours.

mod instant;
mod topic_id;
mod zookeeper;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use instant::Instant;
pub use topic_id::TopicId;
pub use zookeeper::{SessionId, Zxid};

/// The consecutive number of a record in its partition. Never negative in a log; requests use the
/// protocol's sentinels (-1 latest, -2 earliest) only at the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub i64);

impl Offset {
    pub const ZERO: Offset = Offset(0);

    /// The offset `count` records later. Panics on overflow: 2^63 records do not happen.
    pub fn plus(self, count: i64) -> Offset {
        Offset(self.0.checked_add(count).expect("offset overflow"))
    }

    /// The offset `count` records later, if there is one: for counts that somebody else claims.
    pub fn checked_plus(self, count: i64) -> Option<Offset> {
        self.0.checked_add(count).map(Offset)
    }

    /// The next offset.
    pub fn next(self) -> Offset {
        self.plus(1)
    }

    /// How many offsets lie from `earlier` (inclusive) to `self` (exclusive); negative if it is later.
    pub fn since(self, earlier: Offset) -> i64 {
        self.0 - earlier.0
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a leadership of a partition; -1 means unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaderEpoch(pub i32);

impl LeaderEpoch {
    pub const UNKNOWN: LeaderEpoch = LeaderEpoch(-1);
}

impl fmt::Display for LeaderEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A broker's configured number, unique in its cluster, not negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BrokerId(pub i32);

impl fmt::Display for BrokerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A partition of a topic. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicPartition {
    pub topic: Arc<str>,
    pub partition: i32,
}

impl TopicPartition {
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> TopicPartition {
        TopicPartition { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// Milliseconds since 1970, by some node's wall clock; -1 means none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    pub const NONE: Timestamp = Timestamp(-1);
}

/// An idempotent producer's number; -1 means none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProducerId(pub i64);

impl ProducerId {
    pub const NONE: ProducerId = ProducerId(-1);
}

/// What an acknowledgement waits for (`acks`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Acks {
    /// 0: no response at all.
    None,
    /// 1: the leader's append (and its flush where `durability = fsync`).
    Leader,
    /// -1: every in-sync replica.
    All,
}

impl Acks {
    pub fn from_wire(acks: i16) -> Option<Acks> {
        match acks {
            0 => Some(Acks::None),
            1 => Some(Acks::Leader),
            -1 => Some(Acks::All),
            _ => None,
        }
    }

    pub fn to_wire(self) -> i16 {
        match self {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        }
    }
}

/// When an append counts as stored (topic config `durability`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// An acknowledgement waits for the flush: survives a power failure of every replica at once.
    Fsync,
    /// As Kafka does: an acknowledgement waits for the page cache alone.
    PageCache,
}

/// When a record becomes readable (topic config `expose`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expose {
    /// After the leader flushed it (the paper's rule; default for one replica).
    Flushed,
    /// Below the high watermark (default for more replicas).
    Replicated,
}
