//! The log of one partition (stub).

use std::io;
use std::path::PathBuf;

use bytes::Bytes;

use super::{CloseTicket, FlushTicket, LogConfig, LogError};
use crate::record::BatchHeader;
use crate::runtime::{FileRange, Instant};
use crate::types::{BrokerId, LeaderEpoch, Offset, Timestamp, TopicPartition};

/// A batch to append: validated, its header parsed from `bytes`.
#[derive(Clone, Debug)]
pub struct AppendBatch {
    pub header: BatchHeader,
    pub bytes: Bytes,
}

/// One partition on disk. Page-cache operations only; used under the partition's lock.
pub struct Log {
    log_end: Offset,
}

impl Log {
    /// Opens (or makes) the log in `dir` and recovers it: everything it then holds is on stable storage.
    /// States `LogRecovered`. Errors: `CorruptBelowFlushed`, `Io`.
    pub async fn open(
        _dir: PathBuf,
        _broker: BrokerId,
        _partition: TopicPartition,
        _config: LogConfig,
    ) -> Result<Log, LogError> {
        Ok(Log { log_end: Offset::ZERO })
    }

    /// Appends `batches` in one write, in leader epoch `epoch`; returns the base offset of each. States
    /// `Appended` for each. After an error the log ends where it ended.
    pub fn append(&mut self, _batches: &[AppendBatch], _epoch: LeaderEpoch) -> Result<Vec<Offset>, LogError> {
        Err(LogError::Closed)
    }

    /// The first offset held (inclusive).
    pub fn log_start(&self) -> Offset {
        Offset::ZERO
    }

    /// The offset that the next record gets.
    pub fn log_end(&self) -> Offset {
        self.log_end
    }

    /// Everything below is on stable storage, names included.
    pub fn flushed_end(&self) -> Offset {
        Offset::ZERO
    }

    /// Consumers may read below this (exclusive), for one replica.
    pub fn readable_end(&self) -> Offset {
        Offset::ZERO
    }

    /// The epoch of the last batch, or `UNKNOWN` in an empty log.
    pub fn last_epoch(&self) -> LeaderEpoch {
        LeaderEpoch::UNKNOWN
    }

    /// Whole batches from the one that holds `from`, of at most `bytes_max` bytes (or one batch of any size,
    /// where `at_least_one`), all below `bound` and in one segment. `None`: there is nothing (yet).
    pub fn read(
        &self,
        _from: Offset,
        _bytes_max: u64,
        _bound: Offset,
        _at_least_one: bool,
    ) -> Result<Option<FileRange>, LogError> {
        Ok(None)
    }

    /// The first record below `bound` whose timestamp is `at` or later, with its timestamp.
    pub fn lookup_timestamp(
        &self,
        _at: Timestamp,
        _bound: Offset,
    ) -> Result<Option<(Offset, Timestamp)>, LogError> {
        Ok(None)
    }

    /// Whether a flush is due by itself: by count, by time, after a roll, or always with `durability = fsync`.
    pub fn needs_flush(&self, _now: Instant) -> bool {
        false
    }

    /// What must be synced now; `None` if everything is flushed or the log has failed.
    pub fn begin_flush(&mut self) -> Option<FlushTicket> {
        None
    }

    /// Takes back a ticket that ran well; returns the new flushed end. States `Flushed` if it moved.
    pub fn finish_flush(&mut self, _ticket: FlushTicket) -> Offset {
        Offset::ZERO
    }

    /// Takes back a ticket whose run failed: the log fails for good, and its directory must too.
    pub fn flush_failed(&mut self, _ticket: FlushTicket, error: io::Error) -> LogError {
        LogError::Failed { reason: error.to_string() }
    }

    /// Why the log takes no more appends, if it has failed.
    pub fn failure(&self) -> Option<&str> {
        None
    }

    /// Removes every batch that reaches `end` or beyond. States `Truncated`.
    pub fn truncate(&mut self, _end: Offset) -> Result<(), LogError> {
        Ok(())
    }

    /// Ends the log's use: later appends are refused. The ticket, run, flushes and leaves the mark of a clean
    /// shutdown.
    pub fn begin_close(&mut self) -> Result<CloseTicket, LogError> {
        Ok(CloseTicket {})
    }

    /// Flushes everything and leaves the mark of a clean shutdown.
    pub async fn close_clean(mut self) -> Result<(), LogError> {
        self.begin_close()?.run().await
    }
}
