//! What a consumer is told at its start.

use std::time::Duration;

/// What to do about a batch that cannot be read: its CRC is wrong, or its records cannot be decoded (P19).
///
/// ```
/// use seedlog::consumer::{ConsumerConfig, OnCorruption};
///
/// assert_eq!(ConsumerConfig::default().on_corruption, OnCorruption::Fail);
/// let never_stuck = ConsumerConfig { on_corruption: OnCorruption::Skip, ..ConsumerConfig::default() };
/// # assert_ne!(never_stuck.on_corruption, OnCorruption::Fail);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnCorruption {
    /// Every poll reports it until the application seeks.
    #[default]
    Fail,
    /// State it, and go on behind the batch.
    Skip,
}

/// Where to go when the position lies outside of the log (`auto.offset.reset`).
///
/// ```
/// use seedlog::consumer::{AutoReset, ConsumerConfig};
///
/// // As in Kafka, a consumer that does not know where it was begins with what is new.
/// assert_eq!(ConsumerConfig::default().auto_reset, AutoReset::Latest);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AutoReset {
    Earliest,
    #[default]
    Latest,
    /// Report it.
    None,
}

/// A consumer's settings; Kafka's keys are noted where they exist.
///
/// ```
/// use std::time::Duration;
///
/// use seedlog::consumer::ConsumerConfig;
///
/// let patient = ConsumerConfig {
///     bootstrap: vec!["broker-1:9092".to_owned(), "broker-2:9092".to_owned()],
///     client_id: "billing".to_owned(),
///     fetch_bytes_min: 64 << 10,
///     fetch_wait: Duration::from_secs(2),
///     ..ConsumerConfig::default()
/// };
/// assert_eq!(patient.poll_records_max, 500);
/// ```
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    /// `host:port` of some brokers (`bootstrap.servers`).
    pub bootstrap: Vec<String>,
    /// Names this consumer to brokers and in facts (`client.id`).
    pub client_id: String,
    /// How long a broker may hold a fetch that finds too little (`fetch.max.wait.ms`).
    pub fetch_wait: Duration,
    /// What "too little" is (`fetch.min.bytes`).
    pub fetch_bytes_min: usize,
    /// Of one response (`fetch.max.bytes`).
    pub fetch_bytes_max: usize,
    /// Of one partition in a response (`max.partition.fetch.bytes`); a larger batch still comes, alone.
    pub partition_bytes_max: usize,
    /// Fetched but not yet delivered, over all partitions. One response may exceed it.
    pub prefetch_bytes_max: usize,
    /// Records that one poll returns, or a stream takes over at once, at most (`max.poll.records`).
    pub poll_records_max: usize,
    pub on_corruption: OnCorruption,
    pub auto_reset: AutoReset,
    /// How long a request may stay unanswered, beyond the fetch wait (`request.timeout.ms`).
    pub request_timeout: Duration,
    /// A batch that unpacks to more is corrupt.
    pub unpacked_bytes_max: usize,
    /// The first pause after an error; doubles up to a second (`retry.backoff.ms`). Less than a millisecond counts
    /// as one.
    pub retry_backoff: Duration,
}

impl Default for ConsumerConfig {
    fn default() -> ConsumerConfig {
        ConsumerConfig {
            bootstrap: Vec::new(),
            client_id: "seedlog-consumer".to_owned(),
            fetch_wait: Duration::from_millis(500),
            fetch_bytes_min: 1,
            fetch_bytes_max: 50 << 20,
            partition_bytes_max: 1 << 20,
            prefetch_bytes_max: 32 << 20,
            poll_records_max: 500,
            on_corruption: OnCorruption::default(),
            auto_reset: AutoReset::default(),
            request_timeout: Duration::from_secs(30),
            unpacked_bytes_max: 64 << 20,
            retry_backoff: Duration::from_millis(100),
        }
    }
}
