//! One partition on disk: segments of whole batches, a sparse index each, and what it takes to trust them
//! after a crash.
//!
//! A log is synchronous, for use under its partition's short lock; what waits for the disk comes out as a
//! ticket ([`FlushTicket`], [`CloseTicket`]) that is run without the lock and handed back. Recovery
//! ([`Log::open`]) and reads trust no byte unchecked.
//!
//! ```text
//! <data>/orders-3/00000000000000000000.log     batches, one after another
//!                 00000000000000000000.index   of a closed segment: its summary, and where batches lie
//!                 checkpoint                   up to where it was flushed, and whether it was closed cleanly
//!                 cut-000000-at-....bytes      what recovery cut off; never read
//!                 checkpoint.sync-failed       its name after a failed sync: the page cache may have lost what it held
//! ```
//!
//! Not here yet, each with its place: `retention` (by age, by size, DeleteRecords: moves the log start),
//! `compaction`, `index::time` (until then look-ups by time scan batch headers), `producer_state`
//! (idempotence), `epochs` (the leader epoch cache; until then only the last epoch is known). Replication
//! is `broker`'s.
//!
//! Files: the last segment's stays open, and those that are not flushed (a few); the others are opened when they are
//! read. So a broker has a file open for each partition, however many segments it stores.

mod append;
mod checkpoint;
mod config;
mod error;
mod flush;
mod index;
#[allow(clippy::module_inception)]
mod log;
mod lookup;
mod names;
mod read;
mod recovery;
mod scan;
mod search;
mod segment;
mod truncate;

#[cfg(test)]
mod tests;

pub use append::AppendBatch;
pub use config::LogConfig;
pub use error::LogError;
pub use flush::{CheckpointTicket, CloseTicket, FlushTicket};
pub use log::Log;
pub use lookup::{FoundRecord, LookupStep, TimeLookup, TimeTarget};
pub use names::{directory_name, partition_of_directory, stored_bytes};
pub use truncate::LowerCheckpointTicket;
