//! What a log is told by its topic's configuration.

use std::time::Duration;

use crate::record::RecordRules;
use crate::types::{Durability, Expose};

/// A partition's storage settings. Kafka's keys in parentheses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A segment is closed before it would grow beyond this (`segment.bytes`); at most 2 GiB.
    pub segment_bytes: u64,
    /// A segment is closed this long after its first append (`segment.ms`).
    pub segment_ms: Option<Duration>,
    /// One index entry for about this many bytes (`index.interval.bytes`).
    pub index_interval_bytes: u64,
    /// Flush when this many messages are not flushed (`flush.messages`).
    pub flush_messages: u64,
    /// Flush when the oldest unflushed message is this old (`flush.ms`).
    pub flush_interval: Option<Duration>,
    /// The largest batch accepted (`max.message.bytes`).
    pub batch_bytes_max: usize,
    /// What is demanded of the records of a produced batch; the log itself asks for nothing.
    pub records: RecordRules,
    pub durability: Durability,
    pub expose: Expose,
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: Some(Duration::from_secs(7 * 24 * 3600)),
            index_interval_bytes: 4096,
            flush_messages: u64::MAX,
            flush_interval: None,
            batch_bytes_max: (1 << 20) + 12,
            records: RecordRules::default(),
            durability: Durability::Fsync,
            expose: Expose::Flushed,
        }
    }
}
