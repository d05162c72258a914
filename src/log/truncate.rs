//! Truncation: the log forgets its end, because its leader says so.
//!
//! The checkpoint comes first: if it said that more was flushed than a crash in between leaves, the next open
//! would take the truncation for damage.
//!
//! Waits for replication (K4), whose followers truncate; until then only tests call it.

use std::io;
use std::path::PathBuf;

use super::checkpoint::Checkpoint;
use super::log::Closing;
use super::names::{index_path, log_path};
use super::{Log, LogError};
use crate::facts::{self, Fact};
use crate::runtime::disk;
use crate::types::Offset;

/// Lowers the checkpoint on disk. Run it, then hand it back to [`Log::checkpoint_lowered`].
pub struct LowerCheckpointTicket {
    directory: PathBuf,
    serial: u64,
    checkpoint: Checkpoint,
}

impl LowerCheckpointTicket {
    pub async fn run(&self) -> io::Result<()> {
        self.checkpoint.store(&self.directory, self.serial).await
    }
}

impl Log {
    /// What must be done before [`Log::truncate`] to `end`; `None` if nothing. No flush and no checkpoint may run
    /// meanwhile.
    pub fn begin_truncate(&mut self, end: Offset) -> Result<Option<LowerCheckpointTicket>, LogError> {
        self.check_usable()?;
        if end >= self.flush.checkpoint {
            return Ok(None);
        }
        let end = end.max(self.log_start());
        let segment = self.segment_of(end);
        let (position, flushed_end) = match end < segment.end {
            true => segment.locate(end).map(|(position, header)| (position, header.base_offset))?,
            false => (segment.size, segment.end),
        };
        let base = segment.base;
        self.flush.serial += 1;
        let checkpoint = self.checkpoint_at(flushed_end, (base, position), Closing::NotYet);
        let directory = self.directory.clone();
        Ok(Some(LowerCheckpointTicket { directory, serial: self.flush.serial, checkpoint }))
    }

    /// Takes back a ticket that ran well.
    pub fn checkpoint_lowered(&mut self, ticket: LowerCheckpointTicket) {
        self.flush.checkpoint = self.flush.checkpoint.min(ticket.checkpoint.flushed_end);
    }

    /// Removes every batch that reaches `end` or beyond; a batch that `end` lies inside of goes as a whole.
    /// States `Truncated`. An error in between fails the log. `BelowCheckpoint`: see [`Log::begin_truncate`].
    pub fn truncate(&mut self, end: Offset) -> Result<(), LogError> {
        self.check_usable()?;
        assert!(!self.flush.is_checkpoint_out, "no checkpoint is written while the log is cut");
        if end >= self.log_end {
            return Ok(());
        }
        let end = end.max(self.log_start());
        let (base, (position, header)) = {
            let segment = self.segment_of(end);
            (segment.base, segment.locate(end)?)
        };
        let end = header.base_offset;
        if end < self.flush.checkpoint {
            return Err(LogError::BelowCheckpoint { end, checkpoint: self.flush.checkpoint });
        }
        if let Err(error) = self.cut(base, position, end) {
            return Err(self.fail(format!("truncation failed: {error}")));
        }
        self.log_end = end;
        if self.flush.end >= end {
            (self.flush.end, self.flush.mark) = (end, (base, position));
            self.flush.dirty_since = None;
        }
        self.flush.generation += 1;
        self.assert_ends_agree();
        facts::record(|| Fact::Truncated { broker: self.broker, partition: self.partition.clone(), end });
        Ok(())
    }

    /// Removes the segments after `base`, the last one first, and cuts that one at `position`.
    fn cut(&mut self, base: Offset, position: u64, end: Offset) -> io::Result<()> {
        while self.active().base > base {
            let removed = self.active().base;
            disk::remove_file(&log_path(&self.directory, removed))?;
            remove_if_there(&index_path(&self.directory, removed))?;
            self.segments.pop();
        }
        let stored_index = index_path(&self.directory, base);
        let directory = self.directory.clone();
        let active = self.active_mut();
        if active.is_open_on_demand {
            active.keep_open(&directory)?;
        }
        active.file.truncate(position)?;
        if !active.index.load() {
            // Without its index the segment is scanned; entries gather again from here.
            active.index = super::index::offset::OffsetIndex::empty();
        }
        remove_if_there(&stored_index)?;
        active.cut(position, end);
        // Names are gone: the next flush syncs the directory before anything new counts.
        active.is_name_synced = false;
        Ok(())
    }
}

fn remove_if_there(path: &std::path::Path) -> io::Result<()> {
    if disk::exists(path)? { disk::remove_file(path) } else { Ok(()) }
}
