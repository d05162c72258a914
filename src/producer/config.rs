//! What a producer is told at its start.

use std::time::Duration;

use crate::record::Compression;
use crate::types::Acks;

/// How a record without an explicit partition gets one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Partitioner {
    /// Records with a key by Kafka's murmur2 of the key, so that equal keys meet; the others sticky.
    #[default]
    Key,
    /// One partition drawn at random until its batch is closed, then another; keys are not looked at.
    Sticky,
    /// The partitions in turn; keys are not looked at.
    RoundRobin,
}

/// A producer's settings; Kafka's keys are noted where they exist.
///
/// ```
/// use std::time::Duration;
///
/// use seedlog::producer::{Partitioner, ProducerConfig};
/// use seedlog::types::Acks;
///
/// // Larger batches for more throughput: each record waits for company for up to 20 ms.
/// let config = ProducerConfig {
///     bootstrap: vec!["127.0.0.1:9092".to_owned()],
///     linger: Duration::from_millis(20),
///     batch_bytes_max: 256 << 10,
///     partitioner: Partitioner::RoundRobin,
///     ..ProducerConfig::default()
/// };
/// assert_eq!(config.acks, Acks::All);
/// ```
#[derive(Clone, Debug)]
pub struct ProducerConfig {
    /// `host:port` of some brokers (`bootstrap.servers`).
    pub bootstrap: Vec<String>,
    /// Names this producer to brokers and in facts (`client.id`).
    pub client_id: String,
    pub acks: Acks,
    /// How long an open batch waits for more records (`linger.ms`).
    pub linger: Duration,
    /// A batch closes at this many bytes before compression (`batch.size`). One record may exceed it.
    pub batch_bytes_max: usize,
    /// A batch closes at this many records.
    pub batch_records_max: usize,
    /// `send` waits while this many bytes are unresolved (`buffer.memory`).
    pub buffer_bytes_max: usize,
    /// A larger request is refused or cut (`max.request.size`).
    pub request_bytes_max: usize,
    /// How long a request may stay unanswered before its connection is given up (`request.timeout.ms`).
    pub request_timeout: Duration,
    /// From acceptance to verdict, at most (`delivery.timeout.ms`).
    pub delivery_timeout: Duration,
    /// How long `send` waits to learn of a topic (`max.block.ms`).
    pub metadata_timeout: Duration,
    /// What is known of topics and leaders is asked anew when it is so old, sent or not (`metadata.max.age.ms`).
    pub metadata_age_max: Duration,
    /// A topic that was not sent to for so long is not asked about any more, unless records wait for it; the next `send`
    /// looks for it again (`metadata.max.idle.ms`).
    pub metadata_idle_max: Duration,
    /// The first pause before a batch is sent again; doubles up to [`RETRY_BACKOFF_MAX`] (`retry.backoff.ms`).
    /// Less than a millisecond counts as one.
    pub retry_backoff: Duration,
    /// How often a batch is sent again (`retries`).
    pub retries: u32,
    pub compression: Compression,
    pub partitioner: Partitioner,
    /// Requests in flight per broker where the rule `one-request-in-flight-while-retrying` does not bind
    /// (`max.in.flight.requests.per.connection`).
    pub in_flight_max: usize,
}

/// The longest pause between two attempts.
pub const RETRY_BACKOFF_MAX: Duration = Duration::from_secs(1);

/// How much longer than the delivery timeout `close` waits for the last verdict.
const VERDICT_LATE_MAX: Duration = Duration::from_secs(1);

impl ProducerConfig {
    /// How long `close` flushes at most: every attempt ends within the delivery timeout, and `Duration::MAX` is one.
    pub(super) fn close_limit(&self) -> Duration {
        self.delivery_timeout.saturating_add(VERDICT_LATE_MAX)
    }
}

impl Default for ProducerConfig {
    fn default() -> ProducerConfig {
        ProducerConfig {
            bootstrap: Vec::new(),
            client_id: "seedlog-producer".to_owned(),
            acks: Acks::All,
            linger: Duration::from_millis(5),
            batch_bytes_max: 64 << 10,
            batch_records_max: 10_000,
            buffer_bytes_max: 32 << 20,
            request_bytes_max: 1 << 20,
            request_timeout: Duration::from_secs(30),
            delivery_timeout: Duration::from_secs(120),
            metadata_timeout: Duration::from_secs(60),
            metadata_age_max: Duration::from_secs(300),
            metadata_idle_max: Duration::from_secs(300),
            retry_backoff: Duration::from_millis(100),
            retries: u32::MAX,
            compression: Compression::None,
            partitioner: Partitioner::default(),
            in_flight_max: 5,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_waits_a_second_over_the_delivery_timeout_and_for_ever_where_that_is_for_ever() {
        let with = |delivery_timeout| ProducerConfig { delivery_timeout, ..ProducerConfig::default() };
        assert_eq!(with(Duration::from_secs(8)).close_limit(), Duration::from_secs(9));
        assert_eq!(with(Duration::MAX).close_limit(), Duration::MAX);
    }
}
