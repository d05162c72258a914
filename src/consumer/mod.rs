//! Reads the partitions it is assigned, in offset order, from a bounded prefetch buffer.
//!
//! The position of a partition is the next offset to hand to the application; it moves only when `poll` or
//! `next` hands a record out (or skips a corrupt batch). Groups and commits are `membership`'s.

pub mod blocking;
mod chunk;
mod config;
mod fetcher;
mod lease;
pub mod membership;
mod opened_batch;
mod partition;
mod positions;
mod shared;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use self::lease::Portion;
use self::shared::Shared;
use crate::record::RecordHeader;
use crate::runtime::clock::{self, DeadlineTimer};
use crate::runtime::task::{Lane, TaskGroup};
use crate::types::{Offset, Timestamp, TopicPartition};

pub use config::{AutoReset, ConsumerConfig, OnCorruption};

/// Where to begin.
///
/// ```
/// use seedlog::consumer::StartPosition;
/// use seedlog::types::{Offset, Timestamp};
///
/// let from_the_start = StartPosition::Earliest;
/// let where_i_stopped = StartPosition::At(Offset(4_711));
/// let since_new_year = StartPosition::Time(Timestamp(1_767_225_600_000));
/// # assert!(from_the_start != where_i_stopped && where_i_stopped != since_new_year);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartPosition {
    /// The log's start.
    Earliest,
    /// The readable end.
    Latest,
    /// The first record of this time or later; the readable end, if there is none.
    Time(Timestamp),
    At(Offset),
}

/// A record as handed to the application.
///
/// ```
/// # use seedlog::consumer::ConsumedRecord;
/// fn print(record: &ConsumedRecord) {
///     let value = record.value.as_deref().unwrap_or_default();
///     println!("{} {}: {}", record.partition, record.offset, String::from_utf8_lossy(value));
/// }
/// ```
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
///
/// ```
/// use seedlog::consumer::{ConsumeError, Consumer, StartPosition};
///
/// /// Goes on behind one unreadable offset; whether it could.
/// fn pass_over(consumer: &Consumer, error: &ConsumeError) -> bool {
///     match error {
///         ConsumeError::Corrupt { partition, offset, .. } => {
///             consumer.seek(partition, StartPosition::At(offset.next()))
///         }
///         ConsumeError::OutOfRange { partition, .. } => consumer.seek(partition, StartPosition::Earliest),
///         _ => false,
///     }
/// }
/// ```
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
    /// The group has no offset of the partition yet, and `reset` is `None`. Seek to begin.
    #[error("the group has no offset of {partition}")]
    NoPosition { partition: TopicPartition },
    #[error("the consumer is closed")]
    Closed,
}

/// A consumer of assigned partitions; its tasks end when it is dropped.
///
/// ```no_run
/// use std::time::Duration;
///
/// use seedlog::consumer::{ConsumeError, Consumer, ConsumerConfig, StartPosition};
/// use seedlog::types::TopicPartition;
///
/// async fn print_orders() -> Result<(), ConsumeError> {
///     let bootstrap = vec!["localhost:9092".to_owned()];
///     let mut consumer = Consumer::start(ConsumerConfig { bootstrap, ..ConsumerConfig::default() });
///     consumer.assign(vec![(TopicPartition::new("orders", 0), StartPosition::Earliest)]);
///     loop {
///         for record in consumer.poll(Duration::from_secs(1)).await? {
///             println!("{}: {:?}", record.offset, record.value);
///         }
///     }
/// }
/// ```
pub struct Consumer {
    shared: Arc<Shared>,
    tasks: Arc<TaskGroup>,
    /// Taken over, and not yet handed out.
    portion: Option<Portion>,
    /// The timer of `poll`, kept between polls.
    timer: Option<DeadlineTimer>,
}

impl Consumer {
    /// Starts the consumer's tasks; connects when something is assigned.
    pub fn start(config: ConsumerConfig) -> Consumer {
        let tasks = Arc::new(TaskGroup::new(Lane::Data));
        let shared = Shared::new(config, &tasks, fetcher::start);
        tasks.spawn("consumer-refresh", Arc::clone(&shared).keep_refreshed());
        Consumer { shared, tasks, portion: None, timer: None }
    }

    /// Replaces the assignment. What was prefetched before is dropped.
    pub fn assign(&self, partitions: Vec<(TopicPartition, StartPosition)>) {
        self.shared.assign(partitions);
    }

    /// The next records, at most `poll_records_max`; waits up to `wait` for the first. Empty: none came.
    /// Dropped half-way, no record is lost.
    pub async fn poll(&mut self, wait: Duration) -> Result<Vec<ConsumedRecord>, ConsumeError> {
        let timer = self.timer.get_or_insert_with(DeadlineTimer::new);
        timer.set(Some(clock::now() + wait));
        self.shared.take(&mut self.portion, self.shared.config.poll_records_max.max(1), timer).await
    }

    /// The next record, however long it takes. Dropped half-way, no record is lost.
    pub async fn next(&mut self) -> Result<ConsumedRecord, ConsumeError> {
        if let Some(record) = self.next_ready() {
            return Ok(record);
        }
        let mut never = DeadlineTimer::new();
        let records = self.shared.take(&mut self.portion, 1, &mut never).await?;
        Ok(records.into_iter().next().expect("without a deadline there is a record"))
    }

    /// The next record, if it is at hand.
    fn next_ready(&mut self) -> Option<ConsumedRecord> {
        self.shared.hand_out(&mut self.portion)
    }

    /// The next offset to deliver; `None` while it is not known yet, or not assigned.
    pub fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        self.shared.position(partition)
    }

    /// Goes on from elsewhere. What was prefetched is dropped. Returns whether the partition is assigned.
    pub fn seek(&self, partition: &TopicPartition, to: StartPosition) -> bool {
        self.shared.seek(partition, to)
    }

    /// Stops fetching; later polls answer [`ConsumeError::Closed`].
    pub async fn close(&self) {
        self.shared.close();
        self.tasks.abort_all();
    }
}
