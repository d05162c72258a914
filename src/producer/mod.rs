//! Publishes records: batches them per partition, sends them to the leaders, tries again, and tells the fate
//! of each one.
//!
//! Records of one producer to one partition are appended in the order in which `send` accepted them (G1).
//! A retry may store a record twice: this producer is not idempotent.

mod accumulator;
mod batch;
mod config;
mod error;
mod partitioner;
mod reaction;
mod sender;
mod shared;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::oneshot;

use self::batch::RecordData;
use self::shared::Shared;
use crate::client::NoBroker;
use crate::record::RecordHeader;
use crate::runtime::clock;
use crate::runtime::task::{Lane, TaskGroup};
use crate::types::{Offset, Timestamp, TopicPartition};

pub use config::{Partitioner, ProducerConfig, RETRY_BACKOFF_MAX};
pub use error::SendError;
pub use partitioner::partition_of_key;

/// What the application hands over.
#[derive(Clone, Debug, Default)]
pub struct ProducerRecord {
    pub topic: String,
    /// `None` leaves the choice to the partitioner.
    pub partition: Option<i32>,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<RecordHeader>,
    /// `None` stamps the record with this machine's wall clock.
    pub timestamp: Option<Timestamp>,
}

/// Where a confirmed record stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordMetadata {
    pub partition: TopicPartition,
    /// `None` with acks = 0.
    pub offset: Option<Offset>,
}

/// The fate of one record, once known. Dropping it loses nothing but the knowledge.
pub struct Delivery {
    outcome: oneshot::Receiver<Result<RecordMetadata, SendError>>,
}

impl Future for Delivery {
    type Output = Result<RecordMetadata, SendError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.outcome).poll(cx).map(|outcome| {
            outcome.unwrap_or_else(|_| Err(SendError::Unknown("the producer was dropped".into())))
        })
    }
}

/// A producer; its tasks end when it is dropped, and what has no fate yet gets one.
///
/// ```no_run
/// use seedlog::producer::{Producer, ProducerConfig, ProducerRecord};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let bootstrap = vec!["127.0.0.1:9092".to_owned()];
/// let producer = Producer::start(ProducerConfig { bootstrap, ..ProducerConfig::default() });
/// producer.connect().await?;
/// let record = ProducerRecord {
///     topic: "greetings".to_owned(),
///     value: Some("hello".into()),
///     ..ProducerRecord::default()
/// };
/// // Accepted here, stored when the delivery says so.
/// let delivery = producer.send(record).await?;
/// let stored = delivery.await?;
/// println!("{} at {:?}", stored.partition, stored.offset);
/// producer.close().await;
/// # Ok(())
/// # }
/// ```
pub struct Producer {
    shared: Arc<Shared>,
    tasks: Arc<TaskGroup>,
}

impl Producer {
    /// Starts the producer's tasks; connects when there is something to send.
    pub fn start(config: ProducerConfig) -> Producer {
        let tasks = Arc::new(TaskGroup::new(Lane::Data));
        let shared = Shared::new(config, &tasks, sender::start);
        tasks.spawn("producer-refresh", Arc::clone(&shared).keep_refreshed());
        tasks.spawn("producer-expiry", Arc::clone(&shared).expire());
        Producer { shared, tasks }
    }

    /// Asks the brokers given once, and fails at once when none answers: [`Producer::send`] waits for its metadata
    /// timeout instead, in which a cluster may come up.
    pub async fn connect(&self) -> Result<(), NoBroker> {
        self.shared.refresh().await
    }

    /// Accepts a record, waiting for its topic's metadata and for room in the buffer. Records accepted one
    /// after the other keep their order in a partition. Dropped half-way, the record is not accepted.
    pub async fn send(&self, record: ProducerRecord) -> Result<Delivery, SendError> {
        let data = RecordData {
            timestamp: record.timestamp.unwrap_or_else(clock::wall_now),
            key: record.key,
            value: record.value,
            headers: record.headers,
        };
        let bytes = data.size_bound();
        let config = &self.shared.config;
        let limit = config.request_bytes_max.min(config.buffer_bytes_max);
        if bytes > limit {
            return Err(SendError::TooLarge { bytes, limit });
        }
        let topic = self.shared.topic(&record.topic).await?;
        let room = self.shared.reserve(bytes as u32).await?;
        let (reply, outcome) = oneshot::channel();
        self.shared.accept(&topic, record.partition, data, reply)?;
        // The room is free again when the record's batch has met its fate.
        room.forget();
        Ok(Delivery { outcome })
    }

    /// Waits until everything accepted so far has met its fate. Batches do not linger meanwhile.
    pub async fn flush(&self) {
        self.shared.flush().await;
    }

    /// Accepts nothing more, flushes for at most a second over the delivery timeout, and gives up the rest.
    pub async fn close(&self) {
        self.shared.refuse_more();
        if clock::timeout(self.shared.config.close_limit(), self.shared.flush()).await.is_err() {
            tracing::warn!(producer = %self.shared.config.client_id, "producer_closed_with_records_unresolved");
        }
        self.tasks.abort_all();
        self.shared.abandon("the producer was closed");
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.shared.refuse_more();
        self.tasks.abort_all();
        self.shared.abandon("the producer was dropped");
    }
}
