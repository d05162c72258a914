//! One partition: its state and its log behind one short lock, the only door to both.
//!
//! Every method is synchronous and takes the lock once. What waits for the disk leaves as a ticket for the
//! flusher; who waits for the partition registers (see `waiting`). Who leads is decided elsewhere ([`Partition::lead`]).

mod leader;
mod waiting;

use std::io;
use std::path::Path;

use super::descriptors::Permit;
use super::metrics::PartitionCounts;
use super::purgatory::{WaitFor, Waiters};
use crate::facts::{self, Fact};
use crate::log::{
    AppendBatch, CheckpointTicket, CloseTicket, FlushTicket, Log, LogConfig, LogError, TimeLookup, TimeTarget,
};
use crate::record::RecordRules;
use crate::runtime::lock::{Mutex, MutexGuard};
use crate::runtime::{FileRange, Instant, clock};
use crate::types::{BrokerId, Durability, LeaderEpoch, Offset, TopicId, TopicPartition};

pub(super) use leader::EpochFence;
pub(super) use waiting::Waiting;

/// A partition that this broker stores.
pub(super) struct Partition {
    name: TopicPartition,
    broker: BrokerId,
    topic_id: TopicId,
    durability: Durability,
    batch_bytes_max: usize,
    record_rules: RecordRules,
    flush_interval: Option<std::time::Duration>,
    pub counts: PartitionCounts,
    state: Mutex<State>,
    /// For the file of the log's last segment.
    _descriptor: Permit,
}

struct State {
    log: Log,
    /// The epoch in which this broker leads; `None` before it was raised.
    epoch: Option<LeaderEpoch>,
    waiters: Waiters,
    /// A flush is asked for: the flusher has this partition on its list, or will put it there when the flush
    /// under way is over.
    is_flush_queued: bool,
    /// A flush is under way.
    is_flushing: bool,
    /// A flush by time is arranged.
    is_flush_timed: bool,
    /// A checkpoint is arranged, or under way.
    is_checkpoint_arranged: bool,
}

/// Why a partition does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum PartitionError {
    #[error("this broker does not lead {0} (yet)")]
    NotLeader(TopicPartition),
    /// The caller's idea of the leadership is older than ours.
    #[error("the leader epoch is {ours}, not {theirs}")]
    FencedEpoch { ours: LeaderEpoch, theirs: LeaderEpoch },
    /// The caller's idea of the leadership is newer than ours.
    #[error("leader epoch {theirs} is not known, ours is {ours}")]
    UnknownEpoch { ours: LeaderEpoch, theirs: LeaderEpoch },
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Where batches came to lie.
#[derive(Debug)]
pub(super) struct Appended {
    /// The offset of each batch's first record.
    pub bases: Vec<Offset>,
    pub log_start: Offset,
    /// Acknowledge when the log is flushed up to here; `None`: at once.
    pub flush_to: Option<Offset>,
    /// What the flusher has to be told.
    pub flush: FlushNeed,
}

/// What an append asks of the flusher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FlushNeed {
    /// Nothing new.
    None,
    Now,
    At(Instant),
}

/// What is to be done after a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AfterFlush {
    pub flush: FlushNeed,
    /// When the checkpoint has to follow, if nobody knows yet.
    pub checkpoint_at: Option<Instant>,
}

/// Where a partition begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub epoch: LeaderEpoch,
    pub log_start: Offset,
    pub log_end: Offset,
    pub readable_end: Offset,
}

/// What a read found.
pub(super) struct ReadResult {
    pub bounds: Bounds,
    /// `None`: nothing yet.
    pub range: Option<FileRange>,
    /// There is more to read behind the range, or in its place: its segment ends, or no more was asked for.
    pub continues: bool,
}

/// What metrics say of a partition, whoever leads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PartitionGauges {
    pub log_start: Offset,
    pub log_end: Offset,
    pub readable_end: Offset,
    /// Of the segment files.
    pub log_bytes: u64,
}

/// One partition of a fetch request.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadRequest {
    pub from: Offset,
    pub bytes_max: u64,
    /// Return one batch even if it is larger than `bytes_max`.
    pub at_least_one: bool,
    pub fence: EpochFence,
}

impl Partition {
    /// Opens (recovers) the log. Nobody may append before [`Partition::lead`].
    pub async fn open(
        directory: &Path,
        broker: BrokerId,
        name: TopicPartition,
        topic_id: TopicId,
        config: LogConfig,
        descriptor: Permit,
    ) -> Result<Partition, LogError> {
        let (durability, batch_bytes_max) = (config.durability, config.batch_bytes_max);
        let (flush_interval, record_rules) = (config.flush_interval, config.records);
        let log = Log::open(directory.to_owned(), broker, name.clone(), config).await?;
        let state = Mutex::new(State {
            log,
            epoch: None,
            waiters: Waiters::default(),
            is_flush_queued: false,
            is_flushing: false,
            is_flush_timed: false,
            is_checkpoint_arranged: false,
        });
        Ok(Partition {
            name,
            broker,
            topic_id,
            durability,
            batch_bytes_max,
            record_rules,
            flush_interval,
            counts: PartitionCounts::default(),
            state,
            _descriptor: descriptor,
        })
    }

    pub fn name(&self) -> &TopicPartition {
        &self.name
    }

    pub fn is_named(&self, topic: &str, partition: i32) -> bool {
        self.name.partition == partition && *self.name.topic == *topic
    }

    pub fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    /// The largest batch accepted, in bytes.
    pub fn batch_bytes_max(&self) -> usize {
        self.batch_bytes_max
    }

    /// What is demanded of produced records.
    pub fn record_rules(&self) -> &RecordRules {
        &self.record_rules
    }

    /// The epoch in which this broker leads, if it does.
    pub fn epoch(&self) -> Option<LeaderEpoch> {
        self.state().epoch
    }

    /// The highest leader epoch that a batch of the log says it was appended in; unknown if there is none.
    pub fn last_epoch(&self) -> LeaderEpoch {
        self.state().log.last_epoch()
    }

    /// This broker leads the partition in `epoch`, which nobody else was given. Nothing happens if it does so
    /// already, or in a later one.
    pub fn lead(&self, epoch: LeaderEpoch) {
        let mut state = self.state();
        if state.epoch.is_some_and(|current| current >= epoch) {
            return;
        }
        facts::record(|| Fact::BecameLeader { broker: self.broker, partition: self.name.clone(), epoch });
        tracing::info!(partition = %self.name, %epoch, "leadership_taken");
        state.epoch = Some(epoch);
        state.wake_readers();
    }

    /// This broker leads no longer. Readers are told; what was appended is still flushed, and acknowledged.
    pub fn resign(&self) {
        let mut state = self.state();
        state.epoch = None;
        state.wake_readers();
    }

    /// Appends validated batches, in order, in one write.
    pub fn append(&self, batches: &[AppendBatch]) -> Result<Appended, PartitionError> {
        let mut state = self.state();
        let epoch = state.epoch.ok_or_else(|| PartitionError::NotLeader(self.name.clone()))?;
        let bases = state.log.append(batches, epoch)?;
        let flush_to = (self.durability == Durability::Fsync).then(|| state.log.log_end());
        let flush = self.flush_need(&mut state);
        state.wake();
        Ok(Appended { bases, log_start: state.log.log_start(), flush_to, flush })
    }

    fn flush_need(&self, state: &mut State) -> FlushNeed {
        if state.is_flush_queued {
            return FlushNeed::None;
        }
        let now = clock::now();
        if state.log.needs_flush(now) {
            state.is_flush_queued = true;
            // The one under way asks what is next when it is over.
            return if state.is_flushing { FlushNeed::None } else { FlushNeed::Now };
        }
        match self.flush_interval {
            Some(interval) if !state.is_flush_timed => {
                state.is_flush_timed = true;
                FlushNeed::At(now + interval)
            }
            _ => FlushNeed::None,
        }
    }

    /// Whole batches from the one that holds `request.from`, below the readable end. With `None` there is
    /// nothing to read yet; the bounds say where "yet" is.
    pub fn read(&self, request: ReadRequest) -> Result<ReadResult, PartitionError> {
        let state = self.state();
        let bounds = self.bounds_of(&state)?;
        request.fence.check(bounds.epoch)?;
        let bound = bounds.readable_end;
        if request.from > bounds.log_end || request.from < bounds.log_start {
            let (log_start, log_end) = (bounds.log_start, bounds.log_end);
            return Err(LogError::OutOfRange { from: request.from, log_start, log_end }.into());
        }
        if request.from >= bound {
            return Ok(ReadResult { bounds, range: None, continues: false });
        }
        let range = state.log.read(request.from, request.bytes_max, bound, request.at_least_one)?;
        let continues = match &range {
            Some(range) => state.log.continues_behind(range, request.from, bound),
            // The other partitions' bytes left no room for a batch of this one.
            None => !request.at_least_one,
        };
        Ok(ReadResult { bounds, range, continues })
    }

    /// Where the partition begins and ends, for the leader's clients.
    pub fn bounds(&self, fence: EpochFence) -> Result<Bounds, PartitionError> {
        let bounds = self.bounds_of(&self.state())?;
        fence.check(bounds.epoch)?;
        Ok(bounds)
    }

    pub fn gauges(&self) -> PartitionGauges {
        let state = self.state();
        PartitionGauges {
            log_start: state.log.log_start(),
            log_end: state.log.log_end(),
            readable_end: state.log.readable_end(),
            log_bytes: state.log.size(),
        }
    }

    /// Begins the look-up of a readable record by its time. It runs without the partition's lock.
    pub fn time_lookup(&self, target: TimeTarget, fence: EpochFence) -> Result<TimeLookup, PartitionError> {
        let state = self.state();
        let bounds = self.bounds_of(&state)?;
        fence.check(bounds.epoch)?;
        Ok(state.log.time_lookup(target, bounds.readable_end))
    }

    fn bounds_of(&self, state: &State) -> Result<Bounds, PartitionError> {
        if let Some(reason) = state.log.failure() {
            return Err(LogError::Failed { reason: reason.to_owned() }.into());
        }
        let epoch = state.epoch.ok_or_else(|| PartitionError::NotLeader(self.name.clone()))?;
        let log = &state.log;
        let (log_start, readable_end, log_end) = (log.log_start(), log.readable_end(), log.log_end());
        assert!(log_start <= readable_end, "what is held begins at or below the readable end");
        assert!(readable_end <= log_end, "a log's readable end is within it");
        Ok(Bounds { epoch, log_start, log_end, readable_end })
    }

    /// Queues a flush by time that has come due; whether the flusher has to put it on its list.
    pub fn flush_is_due(&self) -> bool {
        let mut state = self.state();
        state.is_flush_timed = false;
        let is_dirty = state.log.flushed_end() < state.log.log_end();
        is_dirty && !std::mem::replace(&mut state.is_flush_queued, true) && !state.is_flushing
    }

    /// What the flusher has to sync now.
    pub fn begin_flush(&self) -> Option<FlushTicket> {
        let mut state = self.state();
        assert!(!state.is_flushing, "one flush of a partition at a time");
        state.is_flush_queued = false;
        let ticket = state.log.begin_flush();
        state.is_flushing = ticket.is_some();
        ticket
    }

    pub fn finish_flush(&self, ticket: FlushTicket) -> AfterFlush {
        let mut state = self.state();
        assert!(state.is_flushing, "a flush that ends was begun");
        state.is_flushing = false;
        state.log.finish_flush(ticket);
        state.wake();
        state.assert_nobody_waits_in_vain();
        let flush = if state.is_flush_queued { FlushNeed::Now } else { FlushNeed::None };
        AfterFlush { flush, checkpoint_at: state.arrange_checkpoint() }
    }

    /// The sync failed: nobody knows what is on disk, so the partition fails for good. What [`Log::flush_failed`]
    /// says may be tried again is for the caller to note.
    pub fn flush_failed(&self, ticket: FlushTicket, error: io::Error) -> LogError {
        let mut state = self.state();
        assert!(state.is_flushing, "a flush that fails was begun");
        (state.is_flushing, state.is_flush_queued) = (false, false);
        let error = state.log.flush_failed(ticket, error);
        if state.log.failure().is_some() {
            state.waiters.wake_all();
        }
        error
    }

    /// What makes the checkpoint follow.
    pub fn begin_checkpoint(&self) -> Option<CheckpointTicket> {
        let mut state = self.state();
        let ticket = state.log.begin_checkpoint();
        state.is_checkpoint_arranged = ticket.is_some();
        ticket
    }

    /// When the next one is due, if flushes went on meanwhile.
    pub fn finish_checkpoint(&self, ticket: CheckpointTicket) -> Option<Instant> {
        let mut state = self.state();
        state.is_checkpoint_arranged = false;
        state.log.finish_checkpoint(ticket);
        state.arrange_checkpoint()
    }

    /// When the next one is due, if only room was missing; else the partition has failed.
    pub fn checkpoint_failed(
        &self,
        ticket: CheckpointTicket,
        error: io::Error,
    ) -> Result<Option<Instant>, LogError> {
        let mut state = self.state();
        state.is_checkpoint_arranged = false;
        let error = state.log.checkpoint_failed(ticket, error);
        if state.log.failure().is_none() {
            tracing::warn!(partition = %self.name, %error, "checkpoint_put_off");
            return Ok(state.arrange_checkpoint());
        }
        state.waiters.wake_all();
        Err(error)
    }

    /// Whether nothing of the log is under way at the flusher.
    pub fn is_settled(&self) -> bool {
        self.state().log.is_settled()
    }

    /// Ends appends; the ticket, run, leaves the log clean.
    pub fn begin_close(&self) -> Result<CloseTicket, LogError> {
        let mut state = self.state();
        state.epoch = None;
        state.log.begin_close()
    }

    pub fn finish_close(&self, ticket: CloseTicket) {
        let mut state = self.state();
        state.log.finish_close(ticket);
        state.waiters.wake_all();
    }

    pub fn close_failed(&self, ticket: CloseTicket, error: io::Error) -> LogError {
        let mut state = self.state();
        let error = state.log.close_failed(ticket, error);
        state.waiters.wake_all();
        error
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a panic under the partition's lock ends the process")
    }
}

impl State {
    fn is_met(&self, wait: WaitFor) -> Result<bool, PartitionError> {
        if let Some(reason) = self.log.failure() {
            return Err(LogError::Failed { reason: reason.to_owned() }.into());
        }
        let is_met = match wait {
            WaitFor::Flushed(end) => self.log.flushed_end() >= end,
            WaitFor::ReadableBeyond(end) => self.log.readable_end() > end,
        };
        // While it is being closed it is being flushed.
        if !is_met && self.log.is_closed() && self.log.is_settled() {
            return Err(LogError::Closed.into());
        }
        Ok(is_met)
    }

    /// When the checkpoint has to follow the flushed end, told once.
    fn arrange_checkpoint(&mut self) -> Option<Instant> {
        let at = self.log.next_checkpoint_at().filter(|_| !self.is_checkpoint_arranged)?;
        self.is_checkpoint_arranged = true;
        Some(at)
    }

    /// Another leadership, or none. Whoever waits for a flush waits on: he would not be woken again.
    fn wake_readers(&mut self) {
        self.waiters.wake(self.log.flushed_end(), Offset(i64::MAX));
    }

    /// The next flush may be long in coming: who waits for this one is not left to it.
    fn assert_nobody_waits_in_vain(&self) {
        let is_somebody_due = self.waiters.has_due(self.log.flushed_end(), self.log.readable_end());
        assert!(!is_somebody_due, "whoever waited for what is flushed was woken");
    }

    fn wake(&mut self) {
        let (flushed_end, readable_end) = (self.log.flushed_end(), self.log.readable_end());
        self.waiters.wake(flushed_end, readable_end);
    }
}
