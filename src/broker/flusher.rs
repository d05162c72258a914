//! Group commit: one task that syncs the partitions of the log directory, many acknowledgements a sync.
//!
//! A partition has one flush under way at a time. What is appended meanwhile is flushed next, together. Flushes
//! of different partitions run side by side, up to a limit, and none waits for another one. Checkpoints and
//! closing go the same way, so that whatever a sync says of a file is heard here. A sync that fails fails the
//! log directory: nobody knows then what is on disk, and asking again would only look like success.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::failure::Failure;
use super::metrics::Metrics;
use super::partition::{FlushNeed, Partition};
use super::purgatory::Waker;
use crate::log::{CheckpointTicket, CloseTicket, FlushTicket, LogError};
use crate::runtime::lock::{Mutex, MutexGuard};
use crate::runtime::{Instant, Running, clock};

/// Flushes, checkpoints and closings at a time.
const SYNCS_AT_A_TIME_MAX: usize = 32;
/// Of these, checkpoints: nobody waits for one.
const CHECKPOINTS_AT_A_TIME_MAX: usize = 8;
/// How long what the process had no file descriptor for is put off.
const REFUSED_RETRY: Duration = Duration::from_millis(200);
/// Where the rule that a failed sync fails the log directory is suspended.
const FORGETFUL_RETRY: Duration = Duration::from_millis(10);

/// What waits for the disk.
#[derive(Default)]
pub(super) struct Flusher {
    queue: Mutex<Queue>,
    waker: Waker,
}

#[derive(Default)]
struct Queue {
    flushes: VecDeque<Arc<Partition>>,
    checkpoints: VecDeque<Arc<Partition>>,
    closings: Vec<Closing>,
    /// By time; the number tells entries of one instant apart.
    later: BTreeMap<(Instant, u64), Later>,
    later_count: u64,
}

enum Later {
    Flush(Arc<Partition>),
    Checkpoint(Arc<Partition>),
}

/// A log that is to be closed once nothing of it is under way.
struct Closing {
    partition: Arc<Partition>,
    closed: oneshot::Sender<Result<(), LogError>>,
}

/// A ticket that waits for the disk. It is taken when the job is: from then on the partition counts as busy.
enum Job {
    Flush(Arc<Partition>, FlushTicket),
    Checkpoint(Arc<Partition>, CheckpointTicket),
    Close(Closing, CloseTicket),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Done {
    Checkpoint,
    Other,
}

impl Flusher {
    /// Puts a partition on the list, as its append demands.
    pub fn note(&self, partition: &Arc<Partition>, need: FlushNeed) {
        match need {
            FlushNeed::None => return,
            FlushNeed::Now => self.queue().flushes.push_back(Arc::clone(partition)),
            FlushNeed::At(at) => self.queue().put_off(at, Later::Flush(Arc::clone(partition))),
        }
        self.waker.wake();
    }

    /// Flushes a partition's log and closes it, after what is under way. Nothing more may be appended. Returns
    /// only while the flusher runs. After an error there is no mark of a clean shutdown.
    pub async fn close(&self, partition: &Arc<Partition>) -> Result<(), LogError> {
        partition.resign();
        let (closed, outcome) = oneshot::channel();
        self.queue().closings.push(Closing { partition: Arc::clone(partition), closed });
        self.waker.wake();
        outcome.await.unwrap_or(Err(LogError::Closed))
    }

    /// Syncs what comes, for as long as the broker runs.
    pub async fn run(&self, failure: &Failure, metrics: &Metrics) {
        let mut timer = clock::DeadlineTimer::new();
        let mut running = Running::default();
        let mut checkpoints = 0;
        loop {
            let now = clock::now();
            while running.len() < SYNCS_AT_A_TIME_MAX
                && let Some(job) = self.next_job(now, checkpoints < CHECKPOINTS_AT_A_TIME_MAX)
            {
                checkpoints += usize::from(matches!(job, Job::Checkpoint(..)));
                running.push(self.perform(job, failure, metrics));
            }
            assert!(running.len() <= SYNCS_AT_A_TIME_MAX, "syncs run within their limit");
            assert!(checkpoints <= CHECKPOINTS_AT_A_TIME_MAX, "checkpoints leave room for flushes");
            assert!(checkpoints <= running.len(), "every checkpoint that is counted runs");
            timer.set(self.next_deadline());
            tokio::select! {
                biased;
                done = running.next() => checkpoints -= usize::from(done == Done::Checkpoint),
                () = self.waker.woken() => {}
                () = timer.expired() => {}
            }
        }
    }

    /// What can begin now: closings first, for the longer they wait the longer does whoever wants the directory;
    /// checkpoints last, for nobody waits for one.
    fn next_job(&self, now: Instant, may_checkpoint: bool) -> Option<Job> {
        self.queue().take_due(now);
        while let Some(closing) = self.next_closing() {
            match closing.partition.begin_close() {
                Ok(ticket) => return Some(Job::Close(closing, ticket)),
                Err(error) => closing.answer(Err(error)),
            }
        }
        while let Some(partition) = self.next_flush() {
            if let Some(ticket) = partition.begin_flush() {
                return Some(Job::Flush(partition, ticket));
            }
        }
        while may_checkpoint && let Some(partition) = self.next_checkpoint() {
            if let Some(ticket) = partition.begin_checkpoint() {
                return Some(Job::Checkpoint(partition, ticket));
            }
        }
        None
    }

    fn next_closing(&self) -> Option<Closing> {
        let mut queue = self.queue();
        let at = queue.closings.iter().position(|closing| closing.partition.is_settled())?;
        Some(queue.closings.remove(at))
    }

    fn next_flush(&self) -> Option<Arc<Partition>> {
        self.queue().flushes.pop_front()
    }

    fn next_checkpoint(&self) -> Option<Arc<Partition>> {
        self.queue().checkpoints.pop_front()
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.queue().later.keys().next().map(|(at, _)| *at)
    }

    /// Without a deadline: the operating system tells a sync's error once, and nobody can call a sync back. One that does
    /// not end holds up its own partition, and nobody else while there is a place left.
    async fn perform(&self, job: Job, failure: &Failure, metrics: &Metrics) -> Done {
        match job {
            Job::Flush(partition, ticket) => self.flush(&partition, ticket, failure, metrics).await,
            Job::Checkpoint(partition, ticket) => {
                self.checkpoint(&partition, ticket, failure).await;
                return Done::Checkpoint;
            }
            Job::Close(closing, ticket) => {
                let closed = close(&closing.partition, ticket).await;
                closing.answer(closed);
            }
        }
        Done::Other
    }

    async fn flush(
        &self,
        partition: &Arc<Partition>,
        ticket: FlushTicket,
        failure: &Failure,
        metrics: &Metrics,
    ) {
        let begun_at = clock::now();
        match ticket.run().await {
            Ok(()) => {
                metrics.flushes.add(1);
                metrics.flush_time.observe(clock::now().saturating_since(begun_at), 1);
                let next = partition.finish_flush(ticket);
                self.note(partition, next.flush);
                if let Some(at) = next.checkpoint_at {
                    self.queue().put_off(at, Later::Checkpoint(Arc::clone(partition)));
                }
            }
            Err(error) => match partition.flush_failed(ticket, error) {
                // Nothing was lost, nothing counts as flushed: those who wait go on waiting.
                LogError::NoDescriptors(error) => {
                    tracing::warn!(partition = %partition.name(), %error, "flush_put_off");
                    self.note(partition, FlushNeed::At(clock::now() + REFUSED_RETRY));
                }
                // The log goes on as though nothing had happened: its rule is suspended.
                LogError::Io(_) => self.note(partition, FlushNeed::At(clock::now() + FORGETFUL_RETRY)),
                error => failure.trip(format!("{}: {error}", partition.name())),
            },
        }
    }

    async fn checkpoint(&self, partition: &Arc<Partition>, ticket: CheckpointTicket, failure: &Failure) {
        let next = match ticket.run().await {
            Ok(()) => Ok(partition.finish_checkpoint(ticket)),
            Err(error) => partition.checkpoint_failed(ticket, error),
        };
        match next {
            Ok(None) => {}
            Ok(Some(at)) => self.queue().put_off(at, Later::Checkpoint(Arc::clone(partition))),
            Err(error) => failure.trip(format!("{}: {error}", partition.name())),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("flush queue")
    }
}

async fn close(partition: &Partition, ticket: CloseTicket) -> Result<(), LogError> {
    match ticket.run().await {
        Ok(()) => {
            partition.finish_close(ticket);
            Ok(())
        }
        Err(error) => Err(partition.close_failed(ticket, error)),
    }
}

impl Closing {
    /// Who asked may have gone; the log is closed all the same.
    fn answer(self, outcome: Result<(), LogError>) {
        let _nobody_waits = self.closed.send(outcome);
    }
}

impl Queue {
    fn put_off(&mut self, at: Instant, what: Later) {
        self.later_count += 1;
        let key = (at, self.later_count);
        self.later.insert(key, what);
    }

    fn take_due(&mut self, now: Instant) {
        while let Some(entry) = self.later.first_entry()
            && entry.key().0 <= now
        {
            match entry.remove() {
                Later::Flush(partition) if partition.flush_is_due() => self.flushes.push_back(partition),
                Later::Flush(_) => {}
                Later::Checkpoint(partition) => self.checkpoints.push_back(partition),
            }
        }
    }
}
