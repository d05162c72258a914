//! What waits for the disk, taken out of the log so that no lock is held meanwhile.
//!
//! Nothing counts as flushed before the ticket that synced it was handed back. A closed segment is synced
//! before the one after it, and a new name with its directory.

use std::io;
use std::path::PathBuf;

use super::checkpoint::Checkpoint;
use super::{Log, LogError};
use crate::facts::{self, Fact};
use crate::rules::{Rule, holds};
use crate::runtime::disk::{self, File};
use crate::runtime::{buggify, clock, durable};
use crate::types::{BrokerId, Durability, Instant, Offset, TopicPartition};

/// Damage between the checkpoint and the flushed end cannot be told from a torn tail: so much may lie there.
const CHECKPOINT_INTERVAL_BYTES: u64 = 16 << 20;

/// What must reach the disk for the log to be durable up to where it ended when the ticket was made. Run it,
/// then hand it back: to [`Log::finish_flush`] or, after an error, to [`Log::flush_failed`]. Tickets may
/// overlap, and may be dropped before they run.
pub struct FlushTicket {
    /// In the order in which they are synced.
    files: Vec<File>,
    /// Given when names in it are new.
    directory: Option<PathBuf>,
    checkpoint: Option<(PathBuf, u64, Checkpoint)>,
    end: Offset,
    mark: (Offset, u64),
    generation: u64,
    made_at: Instant,
}

impl FlushTicket {
    /// Where the log ended when the ticket was made: what this makes durable (exclusive).
    pub fn end(&self) -> Offset {
        self.end
    }

    /// Syncs files, directory, and now and then the checkpoint. Once begun it must run to its end, in a task of
    /// the log's owner: the operating system tells a sync's error once, and it must be heard.
    pub async fn run(&self) -> io::Result<()> {
        for file in &self.files {
            file.sync_data().await?;
        }
        if let Some(directory) = &self.directory {
            durable::sync_names(directory).await?;
        }
        if let Some((directory, serial, checkpoint)) = &self.checkpoint {
            checkpoint.store(directory, *serial).await?;
        }
        Ok(())
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
        is_needed.then(|| {
            let mut ticket = self.ticket();
            if self.is_checkpoint_due() {
                self.flush.serial += 1;
                let checkpoint = self.checkpoint_here(false);
                ticket.checkpoint = Some((self.directory.clone(), self.flush.serial, checkpoint));
            }
            ticket
        })
    }

    fn is_checkpoint_due(&self) -> bool {
        self.flush.roll_pending
            || self.flush.bytes_since_checkpoint >= CHECKPOINT_INTERVAL_BYTES
            || buggify::fires("log.eager-checkpoint")
    }

    fn ticket(&self) -> FlushTicket {
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
            checkpoint: None,
            end: self.log_end,
            mark: (self.active().base, self.active().size),
            generation: self.flush.generation,
            made_at: clock::now(),
        }
    }

    /// Takes back a ticket that ran well; returns the new flushed end. States `Flushed` if it moved.
    pub fn finish_flush(&mut self, ticket: FlushTicket) -> Offset {
        let is_news = ticket.generation == self.flush.generation && ticket.end > self.flush.end;
        if !is_news || self.failure.is_some() {
            return self.flush.end;
        }
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
        if let Some((_, _, checkpoint)) = &ticket.checkpoint {
            self.flush.checkpoint = self.flush.checkpoint.max(checkpoint.flushed_end);
            self.flush.bytes_since_checkpoint = 0;
        }
        state_flushed(self.broker, &self.partition, ticket.end);
        self.flush.end
    }

    /// Takes back a ticket whose run failed: the log fails for good, and its directory must too. What the disk
    /// holds of it is unknown from here on; a second sync that succeeds would prove nothing (fsyncgate).
    /// `NoDescriptors`: a directory could not be opened to be synced, which says nothing of the disk; begin
    /// another flush later.
    pub fn flush_failed(&mut self, _ticket: FlushTicket, error: io::Error) -> LogError {
        if disk::is_out_of_descriptors(&error) {
            return LogError::NoDescriptors(error);
        }
        if holds(Rule::FailLogDirOnFailedFsync) {
            self.fail(format!("flush failed: {error}"))
        } else {
            LogError::Io(error)
        }
    }

    /// Ends the log's use: later appends are refused. The ticket, run, flushes and leaves the mark of a clean
    /// shutdown.
    pub fn begin_close(&mut self) -> Result<CloseTicket, LogError> {
        self.check_usable()?;
        self.closed = true;
        let directory = self.directory.clone();
        self.active_mut().close(&directory);
        self.flush.serial += 1;
        let mut flush = self.ticket();
        // The index of the last segment is a new name.
        flush.directory = Some(directory);
        Ok(CloseTicket {
            flush,
            checkpoint: self.checkpoint_here(true),
            directory: self.directory.clone(),
            serial: self.flush.serial,
            broker: self.broker,
            partition: self.partition.clone(),
            states_flushed: self.log_end > self.flush.end,
        })
    }

    /// Flushes everything and leaves the mark of a clean shutdown.
    pub async fn close_clean(mut self) -> Result<(), LogError> {
        self.begin_close()?.run().await
    }
}

/// What makes the next open trust the log as it stands.
pub struct CloseTicket {
    flush: FlushTicket,
    checkpoint: Checkpoint,
    directory: PathBuf,
    serial: u64,
    broker: BrokerId,
    partition: TopicPartition,
    states_flushed: bool,
}

impl CloseTicket {
    /// Flushes everything, then leaves the mark of a clean shutdown. After an error there is no mark, and the
    /// next open recovers.
    pub async fn run(self) -> Result<(), LogError> {
        self.flush.run().await?;
        if self.states_flushed {
            state_flushed(self.broker, &self.partition, self.flush.end);
        }
        self.checkpoint.store(&self.directory, self.serial).await?;
        Ok(())
    }
}

fn state_flushed(broker: BrokerId, partition: &TopicPartition, end: Offset) {
    facts::record(|| Fact::Flushed { broker, partition: partition.clone(), end });
}
