//! The log of one partition: its state, and what can be asked of it.
//!
//! Appending, reading, flushing and truncating stand in files of their own.

use std::path::PathBuf;

use super::checkpoint::{Boot, Checkpoint};
use super::segment::Segment;
use super::{LogConfig, LogError, recovery};
use crate::facts::{self, Fact};
use crate::rules::{Rule, holds};
use crate::runtime::{clock, task};
use crate::types::{BrokerId, Durability, Expose, Instant, LeaderEpoch, Offset, TopicPartition};

/// One partition on disk. Page-cache operations only; used under the partition's lock.
pub struct Log {
    pub(super) directory: PathBuf,
    pub(super) broker: BrokerId,
    pub(super) partition: TopicPartition,
    pub(super) config: LogConfig,
    /// By base offset, never empty; the last one is appended to.
    pub(super) segments: Vec<Segment>,
    pub(super) log_end: Offset,
    pub(super) last_epoch: LeaderEpoch,
    /// When the last segment got its first batch (or was opened with some).
    pub(super) segment_since: Option<Instant>,
    pub(super) flush: FlushState,
    pub(super) failure: Option<String>,
    pub(super) closed: bool,
}

/// Whether a checkpoint ends the log's use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    Clean,
    NotYet,
}

/// How far the log is on stable storage.
pub(super) struct FlushState {
    /// Everything below was synced, names included.
    pub end: Offset,
    /// The segment and byte where `end` lies.
    pub mark: (Offset, u64),
    /// When the oldest append above `end` was made.
    pub dirty_since: Option<Instant>,
    /// A segment was closed whose files are not synced yet.
    pub roll_pending: bool,
    /// Flush tickets that have not come back: until then nobody knows what the disk said.
    pub tickets_out: u32,
    /// What the checkpoint on disk says; nothing below it may be truncated before it was lowered.
    pub checkpoint: Offset,
    /// When the checkpoint has to follow the flushed end; `None` while it does.
    pub checkpoint_due: Option<Instant>,
    /// A checkpoint is being written.
    pub is_checkpoint_out: bool,
    /// Keeps temporary checkpoint files apart.
    pub serial: u64,
    /// Counts truncations: a ticket from before one says nothing.
    pub generation: u64,
}

impl Log {
    /// Opens (or makes) the log in `directory` and recovers it: everything it then holds is on stable storage.
    /// States `LogRecovered`, and `UnsoundTailCut`. Errors: `CorruptBelowFlushed`, `CorruptAmidst`, `Corrupt`
    /// (checkpoint), `NoSpace`, `NoDescriptors`, `Io`.
    pub async fn open(
        directory: PathBuf,
        broker: BrokerId,
        partition: TopicPartition,
        config: LogConfig,
    ) -> Result<Log, LogError> {
        let (place, interval) = (directory.clone(), config.index_interval_bytes);
        let recovered = task::blocking(move || recovery::recover(&place, interval)).await?;
        let mut recovered = recovered.make_durable(&directory).await?;
        let (last, closed) = recovered.segments.split_last_mut().expect("recovery leaves a segment");
        last.keep_open(&directory)?;
        closed.iter_mut().try_for_each(|segment| segment.open_on_demand(&directory))?;
        let last = recovered.segments.last().expect("recovery leaves a segment");
        let (log_start, log_end) = (recovered.segments[0].base, last.end);
        let flush = FlushState {
            end: log_end,
            mark: (last.base, last.size),
            dirty_since: None,
            roll_pending: false,
            tickets_out: 0,
            checkpoint: recovered.checkpoint,
            checkpoint_due: (recovered.checkpoint < log_end).then(clock::now),
            is_checkpoint_out: false,
            serial: 0,
            generation: 0,
        };
        facts::record(|| Fact::LogRecovered {
            broker,
            partition: partition.clone(),
            clean: recovered.is_as_left(),
            log_start,
            log_end,
            bytes_cut: recovered.bytes_cut,
        });
        if let Some(aside) = &recovered.aside {
            tracing::warn!(%partition, at = log_end.0, bytes_cut = recovered.bytes_cut, bytes_kept = aside.bytes, file = aside.file, "unsound_tail_cut");
            facts::record(|| Fact::UnsoundTailCut {
                broker,
                partition: partition.clone(),
                at: log_end,
                bytes_cut: recovered.bytes_cut,
                bytes_kept: aside.bytes,
            });
        }
        let log = Log {
            segment_since: (!last.is_empty()).then(clock::now),
            directory,
            broker,
            partition,
            config,
            log_end,
            last_epoch: recovered.last_epoch,
            segments: recovered.segments,
            flush,
            failure: None,
            closed: false,
        };
        log.assert_ends_agree();
        Ok(log)
    }

    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// The first offset held (inclusive).
    pub fn log_start(&self) -> Offset {
        self.segments[0].base
    }

    /// The highest leader epoch of its batches, as they say themselves; unknown if there has been none.
    pub fn last_epoch(&self) -> LeaderEpoch {
        self.last_epoch
    }

    /// The offset that the next record gets.
    pub fn log_end(&self) -> Offset {
        self.log_end
    }

    /// Everything below is on stable storage, names included.
    pub fn flushed_end(&self) -> Offset {
        self.flush.end
    }

    /// Consumers may read below this (exclusive), for one replica: never more than durability promises.
    pub fn readable_end(&self) -> Offset {
        let is_flush_awaited =
            self.config.expose == Expose::Flushed || self.config.durability == Durability::Fsync;
        if is_flush_awaited && holds(Rule::ExposeOnlyWhatIsDurable) { self.flush.end } else { self.log_end }
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// Why the log takes no more appends, if it has failed.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// What holds of a log that has not failed: its ends stand in order, each in the segment that it should be in.
    pub(super) fn assert_ends_agree(&self) {
        let FlushState { end: flushed, mark, checkpoint, .. } = self.flush;
        assert!(self.log_start() <= flushed, "what is held begins at or below the flushed end");
        assert!(flushed <= self.log_end, "a log's flushed end is within it");
        assert!(mark.0 <= flushed, "the flushed end lies in the segment of its mark, or right behind");
        assert!(mark.0 <= self.active().base, "the flushed end's segment is one of the log's");
        assert!(checkpoint <= flushed, "a checkpoint says no more than was flushed");
        assert_eq!(self.active().end, self.log_end, "the last segment ends with the log");
        let is_dirty = self.flush.dirty_since.is_some();
        assert_eq!(is_dirty, flushed < self.log_end, "it is known since when something is not flushed");
    }

    pub(super) fn check_usable(&self) -> Result<(), LogError> {
        match &self.failure {
            Some(reason) => Err(LogError::Failed { reason: reason.clone() }),
            None if self.closed => Err(LogError::Closed),
            None => Ok(()),
        }
    }

    /// From here on the log takes nothing. The first reason stays.
    pub(super) fn fail(&mut self, reason: String) -> LogError {
        tracing::error!(partition = %self.partition, reason, "log_failed");
        LogError::Failed { reason: self.failure.get_or_insert(reason).clone() }
    }

    pub(super) fn active(&self) -> &Segment {
        self.segments.last().expect("a log has a segment")
    }

    pub(super) fn active_mut(&mut self) -> &mut Segment {
        self.segments.last_mut().expect("a log has a segment")
    }

    /// The checkpoint that says the log was flushed up to `end`, which lies at `mark`.
    pub(super) fn checkpoint_at(&self, end: Offset, mark: (Offset, u64), closing: Closing) -> Checkpoint {
        assert!(end <= self.log_end, "what was flushed is in the log");
        Checkpoint {
            log_start: self.log_start(),
            flushed_end: end,
            segment: mark.0,
            position: mark.1,
            last_epoch: self.last_epoch,
            clean: closing == Closing::Clean,
            boot: Some(Boot::current()),
        }
    }
}
