//! A member of a consumer group: the application that runs on its node, or the testbed's own.
//!
//! The testbed's own application says when it is done with a record; it does nothing that would hide a fault of the
//! library: whatever goes wrong ends its process. How it works is the plan's: see `habits`.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::bail;
use seedlog::consumer::membership::{GroupConsumer, MessageStream};
use seedlog::consumer::{ConsumeError, ConsumedRecord, StartPosition};
use seedlog::facts::{self, Fact};
use seedlog::runtime::clock;
use seedlog::runtime::task::{Lane, TaskGroup};
use seedlog::types::{Offset, TopicPartition};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::client::PAUSE;
use super::consume::target;
use crate::app::{AppContext, Application, Place};
use crate::scenario::{Commit, Finish};

/// It goes back by less than this, or to what it has in hand.
const REWOUND_MAX: u64 = 13;
/// Once its consumer is closed, a stream says so within this.
const CLOSED_WITHIN: Duration = Duration::from_secs(1);

/// One incarnation of a member's process.
pub(super) async fn live(place: Place, application: Option<Arc<dyn Application>>) {
    place.shared.begin(&place.member);
    let context = AppContext::new(place);
    let ended = match application {
        Some(application) => application.run(context.clone()).await,
        None => consume(context.clone()).await,
    };
    if let Err(error) = ended {
        context.report(format!("its process ended: {error:#}"));
    }
}

/// The testbed's own application: a task for each stream, until it is asked to leave.
async fn consume(context: AppContext) -> anyhow::Result<()> {
    let consumer = Arc::new(GroupConsumer::start(context.group_config()).await?);
    let streams = consumer.create_message_streams(context.subscription()).await?;
    let tasks = TaskGroup::new(Lane::Data);
    let (ends, mut ended) = mpsc::channel(1);
    let (close, closed) = watch::channel(false);
    let mut reading = 0;
    for stream in streams.into_values().flatten() {
        let worker = Arc::new(Worker {
            context: context.clone(),
            consumer: Arc::clone(&consumer),
            uncommitted: AtomicU64::new(0),
            since_rewind: AtomicU64::new(0),
            in_hand: Mutex::default(),
            closed: closed.clone(),
        });
        let ends = ends.clone();
        reading += 1;
        tasks.spawn("member-stream", async move {
            let error = worker.work_off(stream).await;
            // Nobody listens where another stream's end came first.
            let _unheard = ends.send(error).await;
        });
    }
    tokio::select! {
        biased;
        () = context.asked_to_leave() => {}
        error = ended.recv() => bail!("a stream ended: {error:?}"),
    }
    if context.plan.habit("closes-under-streams") == Some(1) {
        let result = consumer.close().await;
        close.send_replace(true);
        all_end(&context, ended, reading).await;
        return Ok(result?);
    }
    // What is under way is not finished, and another member's from now on.
    tasks.abort_all();
    consumer.close().await?;
    Ok(())
}

/// Each of so many streams says that its consumer is closed.
async fn all_end(context: &AppContext, mut ended: mpsc::Receiver<ConsumeError>, streams: u32) {
    let deadline = clock::now() + CLOSED_WITHIN;
    for _ in 0..streams {
        let left = deadline.saturating_since(clock::now());
        let end = clock::timeout(left, ended.recv()).await.ok().flatten();
        if end != Some(ConsumeError::Closed) {
            facts::record(|| Fact::WrongReply {
                client: context.name().to_owned(),
                partition: None,
                reason: format!("a stream of a closed consumer answers {end:?}"),
            });
        }
    }
}

/// Whether a record was worked on to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handled {
    Yes,
    NotAnyMore,
}

/// Works off one stream.
struct Worker {
    context: AppContext,
    consumer: Arc<GroupConsumer>,
    /// Records finished since the last commit.
    uncommitted: AtomicU64,
    /// Records handled since it went back.
    since_rewind: AtomicU64,
    /// What is worked on just now.
    in_hand: Mutex<BTreeSet<(TopicPartition, Offset)>>,
    /// Its consumer is closed.
    closed: watch::Receiver<bool>,
}

impl Worker {
    /// Goes on until the stream ends, and says why it did.
    async fn work_off(self: Arc<Worker>, mut stream: MessageStream) -> ConsumeError {
        // Ends with the stream's own task.
        let beside = TaskGroup::new(Lane::Data);
        let at_once = Arc::new(Semaphore::new(self.records_at_once()));
        loop {
            let turn = Arc::clone(&at_once).acquire_owned().await.expect("it is never closed");
            match self.next(&mut stream).await {
                Ok(record) if self.records_at_once() > 1 => {
                    self.in_hand().insert((record.partition.clone(), record.offset));
                    beside.spawn("member-record", Arc::clone(&self).handle_beside(record, turn));
                }
                Ok(record) => {
                    if self.handle(&record, Some(&stream)).await == Handled::Yes {
                        self.rewind_now_and_then(&record);
                    }
                }
                // With `reset = "none"` it is the application that says where to begin.
                Err(ConsumeError::NoPosition { partition }) => {
                    self.was_refused(&partition, None);
                    self.seek(&partition, StartPosition::Earliest);
                }
                Err(ConsumeError::OutOfRange { partition, offset }) => {
                    self.context.report(format!("{partition} has no offset {offset}"));
                    self.was_refused(&partition, Some(offset));
                    self.seek(&partition, StartPosition::Earliest);
                }
                Err(error) => return error,
            }
        }
    }

    /// What is finished by asking for the next record is worked on alone.
    fn records_at_once(&self) -> usize {
        let plan = &self.context.plan;
        let wanted = plan.habit("records-at-once").unwrap_or(1);
        let is_explicit = plan.finish == Finish::Explicit && plan.commit != Commit::BeforeProcessing;
        if is_explicit { wanted as usize } else { 1 }
    }

    async fn next(&self, stream: &mut MessageStream) -> Result<ConsumedRecord, ConsumeError> {
        let Some(patience) = self.context.plan.habit("asks-again-ms") else { return stream.next().await };
        loop {
            if let Ok(next) = clock::timeout(Duration::from_millis(patience), stream.next()).await {
                return next;
            }
        }
    }

    async fn handle_beside(self: Arc<Worker>, record: ConsumedRecord, turn: OwnedSemaphorePermit) {
        if self.handle(&record, None).await == Handled::Yes {
            self.in_hand().remove(&(record.partition.clone(), record.offset));
            self.rewind_now_and_then(&record);
        }
        drop(turn);
    }

    /// Works on a record. What is under way when the consumer is closed is another member's from then on.
    async fn work(&self) -> Handled {
        let mut closed = self.closed.clone();
        tokio::select! {
            biased;
            () = self.context.work() => Handled::Yes,
            // Its sender goes with the process.
            _closed = closed.wait_for(|closed| *closed) => Handled::NotAnyMore,
        }
    }

    async fn handle(&self, record: &ConsumedRecord, stream: Option<&MessageStream>) -> Handled {
        let plan = &self.context.plan;
        let (commits, marks) = (plan.commit, plan.finish == Finish::Explicit);
        if commits == Commit::BeforeProcessing {
            self.mark(record, stream);
            self.commit().await;
        }
        if self.work().await == Handled::NotAnyMore {
            return Handled::NotAnyMore;
        }
        self.context.processed(record);
        if marks {
            self.mark(record, stream);
        }
        let uncommitted = self.uncommitted.fetch_add(1, Ordering::Relaxed) + 1;
        if commits == Commit::Manual && uncommitted >= plan.commit_records {
            self.uncommitted.store(0, Ordering::Relaxed);
            self.commit().await;
        }
        Handled::Yes
    }

    /// An application that finds something amiss goes back to look at it again, but not to behind what it has in hand
    /// beside: to go there would be to pass over that.
    fn rewind_now_and_then(&self, record: &ConsumedRecord) {
        let Some(every) = self.context.plan.habit("rewinds-every") else { return };
        let handled = self.since_rewind.fetch_add(1, Ordering::Relaxed) + 1;
        if handled < every || self.context.shared.is_storm_over() {
            return;
        }
        self.since_rewind.store(0, Ordering::Relaxed);
        let back = i64::try_from(handled % REWOUND_MAX).expect("a few");
        let to = Offset(record.offset.0.saturating_sub(back).max(0));
        let from_here_on = (record.partition.clone(), Offset::ZERO)..;
        let lowest = self.in_hand().range(from_here_on).next().cloned();
        let lowest = lowest.filter(|(partition, _)| *partition == record.partition);
        let to = lowest.map_or(to, |(_, lowest)| to.min(lowest));
        self.seek(&record.partition, StartPosition::At(to));
    }

    fn in_hand(&self) -> MutexGuard<'_, BTreeSet<(TopicPartition, Offset)>> {
        self.in_hand.lock().expect("nobody panics with it")
    }

    fn seek(&self, partition: &TopicPartition, to: StartPosition) {
        if let Some(to) = target(to) {
            let consumer = self.context.name().to_owned();
            facts::record(|| Fact::Sought { consumer, partition: partition.clone(), to });
        }
        // Not its own any more: whoever has it goes on where the group is.
        if !self.consumer.seek(partition, to) {
            self.context.report(format!("{partition} is not its own to seek in"));
        }
    }

    fn was_refused(&self, partition: &TopicPartition, at: Option<Offset>) {
        let consumer = self.context.name().to_owned();
        facts::record(|| Fact::PositionRefused { consumer, partition: partition.clone(), at });
    }

    fn mark(&self, record: &ConsumedRecord, stream: Option<&MessageStream>) {
        let on_stream = self.context.plan.habit("marks-on-stream") == Some(1);
        match stream.filter(|_| on_stream) {
            Some(stream) => stream.mark_finished(&record.partition, record.offset),
            None => self.consumer.mark_finished(&record.partition, record.offset),
        }
    }

    async fn commit(&self) {
        if let Err(error) = self.consumer.commit().await {
            self.context.report(format!("could not commit: {error}"));
            clock::sleep(PAUSE).await;
        }
    }
}
