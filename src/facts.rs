//! What brokers and clients state happened: the vocabulary of the history that checkers judge.
//!
//! [`record`] takes a closure and costs one check when nobody listens. In simulation the history listens; in
//! a deployed broker nothing does, or a JSON-lines journal. Log lines are for people; checkers read facts.

use serde::{Deserialize, Serialize};

use crate::types::{Acks, BrokerId, LeaderEpoch, Offset, TopicPartition};

/// Enough of a record to know it again: a hash over key and value, and the start of the value for people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordTag {
    /// crc32 of the key, or 0 without one.
    pub key: u32,
    /// crc32 of the value, or 0 without one.
    pub value: u32,
    /// The first 32 bytes of the value, as text.
    pub label: String,
}

impl RecordTag {
    pub fn of(key: Option<&[u8]>, value: Option<&[u8]>) -> RecordTag {
        let start = value.map(|v| &v[..v.len().min(32)]).unwrap_or_default();
        RecordTag {
            key: key.map_or(0, crc32fast::hash),
            value: value.map_or(0, crc32fast::hash),
            label: String::from_utf8_lossy(start).into_owned(),
        }
    }
}

/// One statement. Broker-side facts are stated before the effect can be seen from outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum Fact {
    // -- brokers ------------------------------------------------------------------------------------
    BrokerRegistered {
        broker: BrokerId,
        session: i64,
    },
    BrokerStopped {
        broker: BrokerId,
    },
    /// The process gave up before it served.
    BrokerStartFailed {
        broker: BrokerId,
        reason: String,
    },
    /// `clean` = the log was closed by a clean shutdown, so nothing was scanned.
    LogRecovered {
        broker: BrokerId,
        partition: TopicPartition,
        clean: bool,
        log_start: Offset,
        log_end: Offset,
        bytes_cut: u64,
    },
    BecameLeader {
        broker: BrokerId,
        partition: TopicPartition,
        epoch: LeaderEpoch,
    },
    /// One batch: offsets `base..=last`; `crc` is the batch's CRC-32C, which survives patching.
    Appended {
        broker: BrokerId,
        partition: TopicPartition,
        epoch: LeaderEpoch,
        base: Offset,
        last: Offset,
        crc: u32,
    },
    /// Everything below `end` is on stable storage, name included.
    Flushed {
        broker: BrokerId,
        partition: TopicPartition,
        end: Offset,
    },
    Truncated {
        broker: BrokerId,
        partition: TopicPartition,
        end: Offset,
    },
    SegmentRolled {
        broker: BrokerId,
        partition: TopicPartition,
        base: Offset,
    },
    LogDirFailed {
        broker: BrokerId,
        reason: String,
    },

    // -- producers ----------------------------------------------------------------------------------
    /// `seq` counts this producer's sends from 0. Partition is decided before the fact is stated.
    SendInvoked {
        producer: String,
        seq: u64,
        partition: TopicPartition,
        record: RecordTag,
        acks: Acks,
    },
    /// `offset` is None with acks = 0.
    SendOk {
        producer: String,
        seq: u64,
        partition: TopicPartition,
        offset: Option<Offset>,
    },
    /// Definitely not stored.
    SendFailed {
        producer: String,
        seq: u64,
        partition: TopicPartition,
        error: String,
    },
    /// May or may not be stored: time-outs, disconnects.
    SendUnknown {
        producer: String,
        seq: u64,
        partition: TopicPartition,
        error: String,
    },
    /// The producer sent the batch of these sends (inclusive) again.
    SendRetried {
        producer: String,
        first_seq: u64,
        last_seq: u64,
        partition: TopicPartition,
    },

    // -- consumers ----------------------------------------------------------------------------------
    Assigned {
        consumer: String,
        partition: TopicPartition,
        position: Offset,
    },
    Seeked {
        consumer: String,
        partition: TopicPartition,
        position: Offset,
        reason: String,
    },
    Delivered {
        consumer: String,
        partition: TopicPartition,
        offset: Offset,
        record: RecordTag,
    },
    /// A corrupt batch was met and not delivered (P19).
    CorruptSkipped {
        consumer: String,
        partition: TopicPartition,
        offset: Offset,
    },

    // -- ZooKeeper ----------------------------------------------------------------------------------
    SessionOpened {
        session: i64,
    },
    SessionExpired {
        session: i64,
    },
}

/// Receives facts as they are stated.
pub trait Sink {
    fn record(&self, fact: Fact);
}

#[cfg(feature = "real-runtime")]
mod sink {
    use super::{Fact, Sink};
    use std::sync::OnceLock;

    static SINK: OnceLock<Box<dyn Sink + Send + Sync>> = OnceLock::new();

    /// Installs the process's journal. The first one stays; returns whether this was it.
    pub fn install(sink: Box<dyn Sink + Send + Sync>) -> bool {
        SINK.set(sink).is_ok()
    }

    /// States a fact; `fact` is not called when nobody listens.
    #[inline]
    pub fn record(fact: impl FnOnce() -> Fact) {
        if let Some(sink) = SINK.get() {
            sink.record(fact());
        }
    }
}

#[cfg(not(feature = "real-runtime"))]
mod sink {
    use super::{Fact, Sink};
    use std::cell::RefCell;
    use std::rc::Rc;

    thread_local! {
        static SINK: RefCell<Option<Rc<dyn Sink>>> = const { RefCell::new(None) };
    }

    /// Installs the history of this thread's simulation, or removes it.
    pub fn install(sink: Option<Rc<dyn Sink>>) {
        SINK.set(sink);
    }

    /// States a fact; `fact` is not called when nobody listens, nor for a node's dead incarnation.
    pub fn record(fact: impl FnOnce() -> Fact) {
        let sink = SINK.with_borrow(|sink| sink.clone());
        if let Some(sink) = sink
            && crate::runtime::task::current_is_alive()
        {
            sink.record(fact());
        }
    }
}

pub use sink::{install, record};
