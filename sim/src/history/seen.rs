//! What the testbed sees for itself on the simulated disks. No process states it, and none can be wrong about it.

use std::sync::Arc;

use seedlog::facts::RecordTag;
use seedlog::types::{BrokerId, LeaderEpoch, Offset, SessionId, TopicPartition};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "seen", rename_all = "kebab-case")]
pub enum Seen {
    /// A fault met an operation of the node: it failed, had another result or was noticeably late.
    Struck { target: Arc<str>, fault: Arc<str> },
    /// A message between two nodes was noticeably late, or lost, because of a fault.
    HeldUp { from: Arc<str>, to: Arc<str> },
    /// ZooKeeper treated this session otherwise than a healthy ensemble would have, because of a fault.
    SessionStruck { session: SessionId, fault: Arc<str> },
    /// What the disk of the node holds of these offsets is lost, or not what was written. `None`: of whatever is behind.
    Damaged { target: Arc<str>, fault: Arc<str>, partition: TopicPartition, from: Offset, to: Option<Offset> },
    /// When the power failed, this file of the node, which holds no records, lost what had been written to it.
    Forgotten { target: Arc<str>, file: Arc<str> },
    /// A log at the end of the run is read from the disk, which holds bytes that are no whole batch from `unreadable_from`
    /// on. Its batches follow.
    FinalLog { broker: BrokerId, partition: TopicPartition, unreadable_from: Option<FileByte> },
    /// A broker stated that its log is flushed up to `stated`, and its disk would keep it up to `has` if the power failed
    /// now. `is_claimed`: the device had said that it has stored all of it.
    NotStored {
        broker: BrokerId,
        partition: TopicPartition,
        stated: Offset,
        has: Offset,
        is_claimed: bool,
        what: Arc<str>,
    },
    /// The files of a log are at this offset not what its broker has just stated of them.
    Misshapen { broker: BrokerId, partition: TopicPartition, at: Offset, what: Arc<str> },
    /// Before a broker's process begins, its disk holds a log that goes on behind what had been stated.
    Unstated {
        broker: BrokerId,
        partition: TopicPartition,
        from: Offset,
        to: Offset,
        /// All of it came by the last write to the log.
        is_one_write: bool,
    },
    /// The cluster was given all its time to work again, and this application still waits for a call of its producer.
    Unfinished { client: Arc<str> },
    /// One whole batch of it with a true CRC, and the leader epoch that stands in its header.
    FinalBatch {
        partition: TopicPartition,
        base: Offset,
        last: Offset,
        epoch: LeaderEpoch,
        records: Vec<RecordAt>,
    },
}

/// A byte of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileByte {
    pub file: Arc<str>,
    pub byte: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordAt {
    pub offset: Offset,
    pub record: RecordTag,
}

impl Seen {
    pub fn partition(&self) -> Option<&TopicPartition> {
        match self {
            Seen::Struck { .. }
            | Seen::HeldUp { .. }
            | Seen::SessionStruck { .. }
            | Seen::Forgotten { .. }
            | Seen::Unfinished { .. } => None,
            Seen::Damaged { partition, .. }
            | Seen::NotStored { partition, .. }
            | Seen::Misshapen { partition, .. }
            | Seen::Unstated { partition, .. }
            | Seen::FinalLog { partition, .. }
            | Seen::FinalBatch { partition, .. } => Some(partition),
        }
    }

    pub fn text(&self) -> String {
        match self {
            Seen::Struck { target, fault } => format!("{fault} struck {target}"),
            Seen::HeldUp { from, to } => format!("what {from} sends to {to} is held up"),
            Seen::SessionStruck { session, fault } => format!("{fault} struck session {session}"),
            Seen::Damaged { target, fault, partition, from, to } => {
                let to = to.map_or("the end".to_owned(), |to| to.to_string());
                format!("{fault} damaged {partition}@{from} to {to} on {target}")
            }
            Seen::Forgotten { target, file } => format!("{target} lost what had been written to {file}"),
            Seen::NotStored { broker, partition, stated, has, what, .. } => {
                format!(
                    "broker {broker} has {partition} on its disk up to {has}, and not up to {stated}: {what}"
                )
            }
            Seen::Unfinished { client } => format!("{client} still waits for a call of its producer"),
            Seen::Misshapen { broker, partition, at, what } => {
                format!("the files of {partition} on broker {broker}, at {at}: {what}")
            }
            Seen::Unstated { broker, partition, from, to, .. } => {
                format!(
                    "the disk of broker {broker} holds {partition} up to {to}, which was stated up to {from}"
                )
            }
            Seen::FinalLog { broker, partition, unreadable_from: None } => {
                format!("broker {broker} holds a log of {partition}")
            }
            Seen::FinalLog { broker, partition, unreadable_from: Some(at) } => {
                format!(
                    "broker {broker} holds a log of {partition}, unreadable from {}:{} on",
                    at.file, at.byte
                )
            }
            Seen::FinalBatch { partition, base, last, epoch, .. } => {
                format!("the disk holds {partition}@{base}..={last} of epoch {epoch}")
            }
        }
    }
}
