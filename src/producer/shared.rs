//! What `send` and the producer's tasks share: the accumulator, the room in the buffer, and who wakes whom.
//!
//! Sending itself is `sender`'s.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, SemaphorePermit, TryAcquireError};

use super::accumulator::{Accumulator, AttemptId, BatchLimits, RequestLimits};
use super::batch::{AttemptEnd, Outcome, RecordData, Reply, Resolution, RetryPolicy};
use super::config::{ProducerConfig, RETRY_BACKOFF_MAX};
use super::partitioner::{Choices, TopicShape};
use super::{RecordMetadata, SendError};
use crate::client::{
    Backoff, Cluster, ClusterConfig, Leader, LeaderTasks, NoBroker, StartLeaderTask, TopicView,
};
use crate::facts::{self, Fact, RecordTag};
use crate::protocol::ErrorCode;
use crate::record::RecordHeader;
use crate::rules::{self, Rule};
use crate::runtime::lock::{Mutex, MutexGuard};
use crate::runtime::rng::{self, Rng};
use crate::runtime::task::TaskGroup;
use crate::runtime::{buggify, clock};
use crate::types::{Acks, BrokerId, Instant, TopicPartition};

/// Order of locks: the state, then the choices or what the cluster locks inside of its methods. Never the state under
/// one of those, and `senders` with no other one.
pub(super) struct Shared {
    pub(super) config: ProducerConfig,
    pub(super) cluster: Cluster,
    room: Semaphore,
    state: Mutex<State>,
    choices: Mutex<(Choices, Rng)>,
    senders: LeaderTasks<Shared>,
    refresh_wanted: Notify,
    expiry_moved: Notify,
    /// Some batch got its outcome.
    resolved: Notify,
}

struct State {
    accumulator: Accumulator,
    closed: bool,
    /// When the expiry task looks next.
    expiry_watched: Option<Instant>,
}

impl Shared {
    /// `start_sender` makes the task that sends to a broker.
    pub(super) fn new(
        config: ProducerConfig,
        tasks: &Arc<TaskGroup>,
        start_sender: StartLeaderTask<Shared>,
    ) -> Arc<Shared> {
        let limits = BatchLimits {
            linger: config.linger,
            batch_bytes_max: config.batch_bytes_max,
            batch_records_max: config.batch_records_max.max(1),
            retry_policy: RetryPolicy { retries: config.retries, delivery_timeout: config.delivery_timeout },
        };
        let mut cluster =
            ClusterConfig::new(config.bootstrap.clone(), &config.client_id, config.request_timeout);
        cluster.metadata_age_max = config.metadata_age_max;
        cluster.backoff = Backoff { first: config.retry_backoff, max: RETRY_BACKOFF_MAX };
        Arc::new_cyclic(|this| Shared {
            cluster: Cluster::new(cluster),
            room: Semaphore::new(config.buffer_bytes_max.min(Semaphore::MAX_PERMITS)),
            state: Mutex::new(State {
                accumulator: Accumulator::new(limits),
                closed: false,
                expiry_watched: None,
            }),
            choices: Mutex::new((Choices::default(), rng::stream("producer.partitioner"))),
            senders: LeaderTasks::new("producer-sender", tasks, Weak::clone(this), start_sender),
            refresh_wanted: Notify::new(),
            expiry_moved: Notify::new(),
            resolved: Notify::new(),
            config,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the accumulator panics")
    }

    /// The partitions of a topic; waits until some broker told.
    pub(super) async fn topic(&self, topic: &str) -> Result<Arc<TopicView>, SendError> {
        if let Some(view) = self.cluster.use_topic(topic) {
            return Ok(view);
        }
        let deadline = clock::now() + self.config.metadata_timeout;
        let name: Arc<str> = topic.into();
        let _sought = self.cluster.seek(&name);
        let mut unanswered = None;
        loop {
            if let Some(view) = self.cluster.use_topic(topic) {
                // From now on it is kept known.
                self.refresh_wanted.notify_one();
                return Ok(view);
            }
            if self.room.is_closed() {
                return Err(SendError::Closed);
            }
            let left = deadline.saturating_since(clock::now());
            let refreshed = clock::timeout(left, self.refresh()).await;
            let is_late = refreshed.is_err();
            if let Ok(outcome) = refreshed {
                unanswered = outcome.err();
            }
            if is_late || is_hopeless(self.cluster.topic_error(topic)) {
                return Err(self.why_unknown(topic, unanswered));
            }
        }
    }

    fn why_unknown(&self, topic: &str, unanswered: Option<NoBroker>) -> SendError {
        match (self.cluster.topic_error(topic), unanswered) {
            (Some(error), _) => SendError::Failed(format!("topic {topic}: {error}").into()),
            (None, Some(error)) => SendError::NoBroker(error),
            (None, None) => SendError::Failed(format!("topic {topic} is not known in time").into()),
        }
    }

    /// Waits for room in the buffer. Batches do not linger while somebody waits. Without a deadline of its own: each batch
    /// gives its room back when its delivery timeout is over, at the latest.
    pub(super) async fn reserve(&self, bytes: u32) -> Result<SemaphorePermit<'_>, SendError> {
        match self.room.try_acquire_many(bytes) {
            Ok(room) => return Ok(room),
            Err(TryAcquireError::Closed) => return Err(SendError::Closed),
            Err(TryAcquireError::NoPermits) => {}
        }
        self.state().accumulator.begin_flush();
        self.dispatch();
        self.room.acquire_many(bytes).await.map_err(|_| SendError::Closed)
    }

    /// Refreshes what is known of the cluster, and tells the senders.
    pub(super) async fn refresh(&self) -> Result<(), NoBroker> {
        let waited_for = self.state().accumulator.topics();
        self.cluster.used_only(&waited_for, self.config.metadata_idle_max);
        let outcome = self.cluster.refresh().await;
        if let Err(error) = &outcome {
            tracing::warn!(producer = %self.config.client_id, %error, "metadata_refresh_failed");
        }
        self.hand_over_deposed();
        self.dispatch();
        outcome
    }

    /// What is on its way to a broker that does not lead any more goes to the one that does.
    fn hand_over_deposed(&self) {
        let leader = |partition: &TopicPartition| self.cluster.leader(partition);
        let pause = |failures| self.retry_pause(failures);
        let resolutions = self.state().accumulator.leaders_changed(leader, clock::now(), pause);
        self.settle(resolutions);
    }

    fn retry_pause(&self, failures: u32) -> Duration {
        let backoff = Backoff { first: self.config.retry_backoff, max: RETRY_BACKOFF_MAX };
        self.cluster.pause(&backoff, failures)
    }

    /// Decides the partition and takes the record: one step, so that facts, order and batches agree.
    pub(super) fn accept(
        &self,
        topic: &TopicView,
        explicit: Option<i32>,
        record: RecordData,
        reply: Reply,
    ) -> Result<(), SendError> {
        if let Some(number) = explicit
            && !(0..topic.partitions.len() as i32).contains(&number)
        {
            return Err(SendError::Failed(format!("topic {} has no partition {number}", topic.name).into()));
        }
        let now = clock::now();
        let close_after = buggify::fires("producer.tiny-batch");
        let mut state = self.state();
        if state.closed {
            return Err(SendError::Closed);
        }
        let number = explicit.unwrap_or_else(|| self.choose(&state.accumulator, topic, &record));
        let partition = TopicPartition::new(Arc::clone(&topic.name), number);
        facts::record(|| Fact::SendInvoked {
            producer: self.config.client_id.clone(),
            seq: state.accumulator.next_seq(),
            partition: partition.clone(),
            record: RecordTag::of(record.key.as_deref(), record.value.as_deref())
                .with(record.headers.iter().map(RecordHeader::parts), record.timestamp),
            acks: self.config.acks,
        });
        let changed = state.accumulator.accept(&partition, record, reply, now, close_after);
        let expires = now + self.config.delivery_timeout;
        if state.expiry_watched.is_none_or(|watched| expires < watched) {
            state.expiry_watched = Some(expires);
            self.expiry_moved.notify_one();
        }
        drop(state);
        if changed {
            self.wake_sender_of(&partition);
        }
        Ok(())
    }

    fn choose(&self, accumulator: &Accumulator, topic: &TopicView, record: &RecordData) -> i32 {
        let mut choices = self.choices.lock().expect("no holder of the choices panics");
        let (choices, draws) = &mut *choices;
        let bytes = record.size_bound();
        let name = &topic.name;
        let shape = TopicShape { partitions: topic.partitions.len() as i32, available: &topic.led };
        choices.choose(
            self.config.partitioner,
            name,
            shape,
            record.key.as_deref(),
            |number| accumulator.joins_open_batch(&TopicPartition::new(Arc::clone(name), number), bytes),
            || draws.next_u64(),
        )
    }

    /// How many requests a broker may have in flight. While a retry is possible it is one, so that nothing
    /// overtakes it (G1): this producer has no sequence numbers by which a broker could tell.
    pub(super) fn in_flight_max(&self) -> usize {
        match self.config.retries > 0 && rules::holds(Rule::OneRequestInFlightWhileRetrying) {
            true => 1,
            false => self.config.in_flight_max.max(1),
        }
    }

    pub(super) fn request_limits(&self) -> RequestLimits {
        RequestLimits {
            request_bytes_max: self.config.request_bytes_max,
            in_flight_per_partition: self.in_flight_max(),
            early: buggify::fires("producer.early-linger"),
        }
    }

    /// Runs `act` on the accumulator with the test for what `broker` leads.
    pub(super) fn with_accumulator<T>(
        &self,
        broker: BrokerId,
        act: impl FnOnce(&mut Accumulator, &dyn Fn(&TopicPartition) -> Option<Leader>) -> T,
    ) -> T {
        let led = |partition: &TopicPartition| {
            self.cluster.leader(partition).filter(|leader| leader.broker == broker)
        };
        act(&mut self.state().accumulator, &led)
    }

    pub(super) fn attempt_ended(&self, partition: &TopicPartition, attempt: AttemptId, end: AttemptEnd) {
        let pause = |failures| self.retry_pause(failures);
        let ended = self.state().accumulator.attempt_ended(partition, attempt, end, clock::now(), pause);
        self.settle(ended);
    }

    /// States the outcomes, tells those who wait for them, and makes room.
    fn settle(&self, resolutions: impl IntoIterator<Item = Resolution>) {
        for resolution in resolutions {
            let Resolution { partition, waiters, bytes, outcome } = resolution;
            for (index, waiter) in waiters.into_iter().enumerate() {
                let outcome = self.outcome(&partition, &outcome, index as i64, waiter.seq);
                // The application may not care.
                drop(waiter.reply.send(outcome));
            }
            self.room.add_permits(bytes);
            let is_within = self.room.available_permits() <= self.config.buffer_bytes_max;
            assert!(is_within, "the room of a batch is given back once");
            self.resolved.notify_waiters();
        }
    }

    fn outcome(
        &self,
        partition: &TopicPartition,
        outcome: &Outcome,
        index: i64,
        seq: u64,
    ) -> Result<RecordMetadata, SendError> {
        let producer = || self.config.client_id.clone();
        let partition = || partition.clone();
        match outcome {
            Outcome::Stored(base) => {
                let told = base.filter(|_| self.config.acks != Acks::None);
                let offset = told.map(|base| base.plus(index));
                facts::record(|| Fact::SendOk { producer: producer(), seq, partition: partition(), offset });
                Ok(RecordMetadata { partition: partition(), offset })
            }
            Outcome::Failed(reason) => {
                let error = || reason.to_string();
                facts::record(|| Fact::SendFailed {
                    producer: producer(),
                    seq,
                    partition: partition(),
                    error: error(),
                });
                Err(SendError::Failed(Arc::clone(reason)))
            }
            Outcome::Unknown(reason) => {
                let error = || reason.to_string();
                facts::record(|| Fact::SendUnknown {
                    producer: producer(),
                    seq,
                    partition: partition(),
                    error: error(),
                });
                Err(SendError::Unknown(Arc::clone(reason)))
            }
        }
    }

    /// Wakes whoever sends to this partition, or has its leader looked for.
    fn wake_sender_of(&self, partition: &TopicPartition) {
        match self.cluster.leader(partition) {
            Some(leader) => self.senders.wake(leader.broker),
            None => {
                self.cluster.invalidate_leader(partition);
                self.refresh_wanted.notify_one();
            }
        }
    }

    /// Wakes the senders of everything that is queued.
    pub(super) fn dispatch(&self) {
        let queued: Vec<TopicPartition> = self.state().accumulator.queued_partitions().cloned().collect();
        for partition in &queued {
            self.wake_sender_of(partition);
        }
    }

    pub(super) fn want_refresh(&self) {
        self.refresh_wanted.notify_one();
    }

    /// Keeps the leaders of queued batches known, and what is known of topics in use no older than it may be.
    pub(super) async fn keep_refreshed(self: Arc<Shared>) {
        let mut timer = clock::DeadlineTimer::new();
        loop {
            let is_busy = self.state().accumulator.is_busy();
            if (is_busy && self.cluster.needs_refresh()) || self.cluster.is_too_old() {
                drop(self.refresh().await);
                continue;
            }
            timer.set(self.cluster.next_refresh());
            tokio::select! {
                biased;
                () = self.refresh_wanted.notified() => {}
                () = timer.expired() => {}
            }
        }
    }

    /// Gives up batches whose time is over.
    pub(super) async fn expire(self: Arc<Shared>) {
        let mut timer = clock::DeadlineTimer::new();
        loop {
            let expired = self.state().accumulator.expire(clock::now());
            self.settle(expired);
            let next = {
                let mut state = self.state();
                state.expiry_watched = state.accumulator.next_expiry();
                state.expiry_watched
            };
            timer.set(next);
            tokio::select! {
                biased;
                () = timer.expired() => {}
                () = self.expiry_moved.notified() => {}
            }
        }
    }

    /// Ends the linger of everything accepted so far and waits for its outcome.
    pub(super) async fn flush(&self) {
        let target = self.state().accumulator.begin_flush();
        self.dispatch();
        loop {
            let resolved = self.resolved.notified();
            if self.state().accumulator.is_resolved_below(target) {
                return;
            }
            resolved.await;
        }
    }

    /// Accepts nothing more.
    pub(super) fn refuse_more(&self) {
        self.state().closed = true;
        self.room.close();
    }

    /// Gives up everything that has no outcome yet.
    pub(super) fn abandon(&self, reason: &str) {
        let abandoned = self.state().accumulator.abandon(&reason.into());
        self.settle(abandoned);
    }
}

/// Errors about a topic that time does not heal.
fn is_hopeless(error: Option<&'static str>) -> bool {
    let hopeless = [ErrorCode::INVALID_TOPIC_EXCEPTION, ErrorCode::TOPIC_AUTHORIZATION_FAILED];
    error.is_some_and(|error| hopeless.iter().any(|code| code.name() == error))
}
