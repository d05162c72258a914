//! What waits for the disk, taken out of the log so that no lock is held meanwhile.
//!
//! Nothing counts as flushed before the ticket that synced it was handed back. A closed segment is synced
//! before the one after it, and a new name with its directory. The checkpoint follows the flushed end at a
//! distance of time, so that it costs no append a sync.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::checkpoint::Checkpoint;
use super::log::Closing;
use super::{Log, LogError, recovery};
use crate::facts::{self, Fact};
use crate::rules::{Rule, holds};
use crate::runtime::disk::{self, File};
use crate::runtime::{buggify, clock, durable};
use crate::types::{Durability, Instant, Offset};

/// A checkpoint begins so long after the flush that it follows, to be on disk within a second.
const CHECKPOINT_DELAY: Duration = Duration::from_millis(750);

/// What must reach the disk for the log to be durable up to where it ended when the ticket was made. Run it,
/// then hand it back: to [`Log::finish_flush`] or, after an error, to [`Log::flush_failed`]. Tickets may
/// overlap. One that never comes back keeps the log from being closed cleanly.
#[must_use = "a ticket that does not come back keeps the log from being closed cleanly"]
pub struct FlushTicket {
    /// In the order in which they are synced.
    files: Vec<File>,
    /// Given when names in it are new.
    directory: Option<PathBuf>,
    /// Where the log ended when the ticket was made: what this makes durable (exclusive).
    end: Offset,
    mark: (Offset, u64),
    generation: u64,
    made_at: Instant,
}

impl FlushTicket {
    /// Syncs files and directory. Once begun it must run to its end, in a task of the log's owner: the operating
    /// system tells a sync's error once, and it must be heard.
    pub async fn run(&self) -> io::Result<()> {
        for file in &self.files {
            file.sync_data().await?;
        }
        match &self.directory {
            Some(directory) => durable::sync_names(directory).await,
            None => Ok(()),
        }
    }
}

/// What makes the checkpoint follow the flushed end. Run it, then hand it back to [`Log::finish_checkpoint`] or
/// [`Log::checkpoint_failed`].
#[must_use = "until the ticket comes back, no other checkpoint is written"]
pub struct CheckpointTicket {
    directory: PathBuf,
    serial: u64,
    checkpoint: Checkpoint,
}

impl CheckpointTicket {
    pub async fn run(&self) -> io::Result<()> {
        self.checkpoint.store(&self.directory, self.serial).await
    }
}

impl Log {
    /// Whether a flush is due by itself: by count, by time, after a roll, or always with `durability = fsync`.
    pub fn needs_flush(&self, now: Instant) -> bool {
        self.next_flush_at().is_some_and(|due| due <= now)
    }

    /// When the next flush is due by itself; `None` while nothing makes it so.
    pub fn next_flush_at(&self) -> Option<Instant> {
        let unflushed = self.log_end.since(self.flush.end);
        if unflushed == 0 || self.check_usable().is_err() {
            return None;
        }
        let is_due = self.config.durability == Durability::Fsync
            || self.flush.roll_pending
            || unflushed as u64 >= self.config.flush_messages;
        let since = self.flush.dirty_since?;
        if is_due { Some(since) } else { Some(since + self.config.flush_interval?) }
    }

    /// What must be synced now; `None` if everything is flushed or the log has failed.
    pub fn begin_flush(&mut self) -> Option<FlushTicket> {
        let is_needed = self.log_end > self.flush.end && self.check_usable().is_ok();
        is_needed.then(|| self.ticket())
    }

    fn ticket(&mut self) -> FlushTicket {
        self.flush.tickets_out += 1;
        let is_dirty = |base: Offset, end: Offset, is_name_synced: bool| {
            end > self.flush.end || base >= self.flush.mark.0 || !is_name_synced
        };
        let first = self.segments.partition_point(|s| !is_dirty(s.base, s.end, s.is_name_synced));
        let dirty = &self.segments[first..];
        let files = dirty.iter().flat_map(|s| [Some(&s.file), s.index.file()]).flatten().cloned().collect();
        let has_new_names = dirty.iter().any(|segment| !segment.is_name_synced);
        FlushTicket {
            files,
            directory: has_new_names.then(|| self.directory.clone()),
            end: self.log_end,
            mark: (self.active().base, self.active().size),
            generation: self.flush.generation,
            made_at: clock::now(),
        }
    }

    /// Takes back a ticket that ran well; returns the new flushed end. States `Flushed` if it moved.
    pub fn finish_flush(&mut self, ticket: FlushTicket) -> Offset {
        self.came_back();
        let is_news = ticket.generation == self.flush.generation && ticket.end > self.flush.end;
        if !is_news || self.failure.is_some() {
            return self.flush.end;
        }
        self.is_flushed(&ticket);
        let due = if buggify::fires("log.eager-checkpoint") { Duration::ZERO } else { CHECKPOINT_DELAY };
        self.flush.checkpoint_due.get_or_insert_with(|| clock::now() + due);
        self.flush.end
    }

    fn is_flushed(&mut self, ticket: &FlushTicket) {
        assert!(ticket.end <= self.log_end, "what was flushed is in the log");
        assert!(ticket.end >= self.flush.end, "a flushed end does not go back");
        let is_news = ticket.end > self.flush.end;
        self.flush.end = ticket.end;
        self.flush.mark = ticket.mark;
        self.flush.dirty_since = (self.log_end > ticket.end).then_some(ticket.made_at);
        for segment in self.segments.iter_mut().rev() {
            if segment.is_name_synced {
                break;
            }
            segment.is_name_synced = segment.base <= ticket.mark.0;
        }
        self.flush.roll_pending = self.active().base > ticket.mark.0;
        self.assert_ends_agree();
        self.open_flushed_on_demand();
        if is_news {
            let (broker, end) = (self.broker, ticket.end);
            facts::record(|| Fact::Flushed { broker, partition: self.partition.clone(), end });
        }
    }

    /// Segments before the one where the flushed end lies will be synced no more: their files need not stay open.
    fn open_flushed_on_demand(&mut self) {
        let flushed = self.segments.partition_point(|segment| segment.base < self.flush.mark.0);
        let kept_open = self.segments[..flushed].iter_mut().rev();
        for segment in kept_open.take_while(|segment| !segment.is_open_on_demand) {
            if let Err(error) = segment.open_on_demand(&self.directory) {
                tracing::warn!(segment = segment.base.0, %error, "closed_segment_stays_open");
                return;
            }
        }
    }

    /// Takes back a ticket whose run failed: the log fails for good, and its directory must too. What the disk
    /// holds of it is unknown from here on; a second sync that succeeds would prove nothing (fsyncgate).
    /// `NoDescriptors`: a directory could not be opened to be synced, which says nothing of the disk; begin
    /// another flush later.
    pub fn flush_failed(&mut self, _ticket: FlushTicket, error: io::Error) -> LogError {
        self.came_back();
        if disk::is_out_of_descriptors(&error) {
            return LogError::NoDescriptors(error);
        }
        recovery::note_failed_sync(&self.directory);
        if holds(Rule::FailLogDirOnFailedFsync) {
            self.fail(format!("flush failed: {error}"))
        } else {
            LogError::Io(error)
        }
    }

    fn came_back(&mut self) {
        let out = self.flush.tickets_out.checked_sub(1);
        self.flush.tickets_out = out.expect("a ticket of this log comes back once");
    }

    /// When the checkpoint must be written again; `None` while it says all that was flushed, or is being written.
    pub fn next_checkpoint_at(&self) -> Option<Instant> {
        let is_possible = !self.flush.is_checkpoint_out && self.check_usable().is_ok();
        self.flush.checkpoint_due.filter(|_| is_possible)
    }

    /// What brings the checkpoint up to the flushed end; `None` if it is there, or being written.
    pub fn begin_checkpoint(&mut self) -> Option<CheckpointTicket> {
        self.next_checkpoint_at()?;
        self.flush.checkpoint_due = None;
        self.flush.is_checkpoint_out = true;
        self.flush.serial += 1;
        Some(CheckpointTicket {
            directory: self.directory.clone(),
            serial: self.flush.serial,
            checkpoint: self.checkpoint_at(self.flush.end, self.flush.mark, Closing::NotYet),
        })
    }

    /// Takes back a ticket that ran well.
    pub fn finish_checkpoint(&mut self, ticket: CheckpointTicket) {
        self.checkpoint_came_back();
        // The first one may have been stored right after a sync failed, which had found none to leave its sign on.
        if self.failure().is_some() {
            recovery::note_failed_sync(&self.directory);
        }
        let flushed_end = ticket.checkpoint.flushed_end;
        assert!(flushed_end >= self.flush.checkpoint, "a checkpoint that follows the flushed end rises");
        assert!(flushed_end <= self.flush.end, "a checkpoint says no more than was flushed");
        self.flush.checkpoint = flushed_end;
        if self.flush.end > self.flush.checkpoint {
            self.flush.checkpoint_due.get_or_insert_with(|| clock::now() + CHECKPOINT_DELAY);
        }
    }

    /// Takes back a ticket whose run failed. `NoSpace`, `NoDescriptors`: the checkpoint stays as it was, which
    /// says nothing wrong, and is due again later. Anything else fails the log, as a failed flush does.
    pub fn checkpoint_failed(&mut self, _ticket: CheckpointTicket, error: io::Error) -> LogError {
        self.checkpoint_came_back();
        self.flush.checkpoint_due = Some(clock::now() + CHECKPOINT_DELAY);
        let error = LogError::from(error);
        if error.is_refusal() || !holds(Rule::FailLogDirOnFailedFsync) {
            return error;
        }
        self.fail(format!("checkpoint not written: {error}"))
    }

    fn checkpoint_came_back(&mut self) {
        assert!(self.flush.is_checkpoint_out, "a checkpoint's ticket comes back once");
        self.flush.is_checkpoint_out = false;
    }

    /// Whether no ticket is out: the log can be closed.
    pub fn is_settled(&self) -> bool {
        self.flush.tickets_out == 0 && !self.flush.is_checkpoint_out
    }

    /// Ends the log's use: later appends are refused. The ticket, run, flushes and leaves the mark of a clean
    /// shutdown. `FlushUnderWay`, and nothing changes, while another ticket is out: what the disk tells it, it
    /// does not tell again.
    pub fn begin_close(&mut self) -> Result<CloseTicket, LogError> {
        self.check_usable()?;
        if !self.is_settled() {
            return Err(LogError::FlushUnderWay);
        }
        self.closed = true;
        let directory = self.directory.clone();
        self.active_mut().close(&directory);
        self.flush.serial += 1;
        let mut flush = self.ticket();
        // The index of the last segment is a new name.
        flush.directory = Some(directory);
        Ok(CloseTicket {
            checkpoint: self.checkpoint_at(flush.end, flush.mark, Closing::Clean),
            flush,
            directory: self.directory.clone(),
            serial: self.flush.serial,
        })
    }

    /// Takes back a ticket that ran well. States `Flushed` if something was left to flush.
    pub fn finish_close(&mut self, ticket: CloseTicket) {
        self.came_back();
        self.is_flushed(&ticket.flush);
        assert_eq!(self.flush.end, self.log_end, "a closed log is flushed to its end");
    }

    /// Takes back a ticket whose run failed: there is no mark of a clean shutdown, and the next open recovers.
    pub fn close_failed(&mut self, _ticket: CloseTicket, error: io::Error) -> LogError {
        self.came_back();
        if disk::is_out_of_descriptors(&error) {
            return LogError::NoDescriptors(error);
        }
        recovery::note_failed_sync(&self.directory);
        if disk::is_no_space(&error) {
            return LogError::NoSpace(error);
        }
        self.fail(format!("not closed cleanly: {error}"))
    }

    /// Whether the log takes no more appends because it was closed.
    pub fn is_closed(&self) -> bool {
        self.closed
    }
}

/// What makes the next open trust the log as it stands. Run it, then hand it back to [`Log::finish_close`] or
/// [`Log::close_failed`].
#[must_use = "a log is closed when its ticket has run"]
pub struct CloseTicket {
    flush: FlushTicket,
    checkpoint: Checkpoint,
    directory: PathBuf,
    serial: u64,
}

impl CloseTicket {
    /// Flushes everything, then leaves the mark of a clean shutdown.
    pub async fn run(&self) -> io::Result<()> {
        self.flush.run().await?;
        self.checkpoint.store(&self.directory, self.serial).await
    }
}
