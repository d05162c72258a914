//! Reads the partitions it is assigned, in offset order, from a bounded prefetch buffer.
//!
//! The position of a partition is the next offset to hand to the application; it moves only when `poll` or
//! `next` hands a record out (or skips a corrupt batch). Groups and commits are `membership`'s.

mod config;
pub mod membership;

use std::time::Duration;

use bytes::Bytes;

use crate::record::RecordHeader;
use crate::types::{Offset, Timestamp, TopicPartition};

pub use config::{AutoReset, ConsumerConfig, OnCorruption};

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartPosition {
    /// The log's start.
    Earliest,
    /// The readable end.
    Latest,
    At(Offset),
}

/// A record as handed to the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumedRecord {
    pub partition: TopicPartition,
    pub offset: Offset,
    pub timestamp: Timestamp,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<RecordHeader>,
}

/// Why a poll returns no records although it did not run out of time. Stays until the application reacts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConsumeError {
    /// The batch at this offset is damaged. Seek behind it to go on.
    #[error("{partition} is corrupt at offset {offset}: {reason}")]
    Corrupt { partition: TopicPartition, offset: Offset, reason: String },
    /// The position is outside of the log and `auto_reset` is `None`. Seek to go on.
    #[error("{partition} has no offset {offset}")]
    OutOfRange { partition: TopicPartition, offset: Offset },
    /// A broker refuses for good: not authorised, not supported. Seek to try again.
    #[error("{partition} cannot be read: {reason}")]
    Refused { partition: TopicPartition, reason: String },
    #[error("the consumer is closed")]
    Closed,
}

/// A consumer of assigned partitions; its tasks end when it is dropped.
pub struct Consumer {
    _config: ConsumerConfig,
}

impl Consumer {
    /// Starts the consumer's tasks; connects when something is assigned.
    pub fn start(config: ConsumerConfig) -> Consumer {
        Consumer { _config: config }
    }

    /// Replaces the assignment. What was prefetched before is dropped.
    pub fn assign(&self, _partitions: Vec<(TopicPartition, StartPosition)>) {}

    /// The next records, at most `poll_records_max`; waits up to `wait` for the first. Empty: none came.
    pub async fn poll(&self, _wait: Duration) -> Result<Vec<ConsumedRecord>, ConsumeError> {
        Err(ConsumeError::Closed)
    }

    /// The next record, however long it takes.
    pub async fn next(&self) -> Result<ConsumedRecord, ConsumeError> {
        Err(ConsumeError::Closed)
    }

    /// The next offset to deliver; `None` while it is not known yet, or not assigned.
    pub fn position(&self, _partition: &TopicPartition) -> Option<Offset> {
        None
    }

    /// Goes on from elsewhere. What was prefetched is dropped. Returns whether the partition is assigned.
    pub fn seek(&self, _partition: &TopicPartition, _to: StartPosition) -> bool {
        false
    }

    /// Stops fetching; later polls answer [`ConsumeError::Closed`].
    pub async fn close(&self) {}
}
