//! One partition on disk: segments of whole batches, a sparse index each, and what it takes to trust them
//! after a crash.
//!
//! A log is synchronous, for use under its partition's short lock; what waits for the disk comes out as a
//! ticket ([`FlushTicket`], [`CloseTicket`]) that is run without the lock and handed back. Recovery
//! ([`Log::open`]) and reads trust no byte unchecked.
//!
//! Not here yet, each with its place: `retention` (by age, by size, DeleteRecords: moves the log start),
//! `compaction`, `time_index` (until then look-ups by time scan batch headers), `producer_state` (idempotence),
//! `epochs` (the leader epoch cache; until then only the last epoch is known). Replication is `broker`'s.

mod config;
mod error;
mod flush;
#[allow(clippy::module_inception)]
mod log;

pub use config::LogConfig;
pub use error::LogError;
pub use flush::{CloseTicket, FlushTicket};
pub use log::{AppendBatch, Log};

use crate::types::TopicPartition;

/// The name of a partition's directory inside a data directory.
pub fn directory_name(partition: &TopicPartition) -> String {
    partition.to_string()
}

/// The partition whose directory has this name.
pub fn partition_of_directory(name: &str) -> Option<TopicPartition> {
    let (topic, partition) = name.rsplit_once('-')?;
    let number: i32 = partition.parse().ok()?;
    // "orders-007" and "orders-+7" are nobody's directory.
    let is_canonical = number >= 0 && !topic.is_empty() && partition == number.to_string();
    is_canonical.then(|| TopicPartition::new(topic, number))
}
