//! What readers and the consumer's tasks share: the positions, and who wakes whom.
//!
//! Limit: fetching itself is `fetcher`'s, and handing records out `delivery`'s.

mod delivery;
mod refresh;
mod statements;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::ConsumeError;
use super::StartPosition;
use super::config::ConsumerConfig;
use super::partition::{Event, Reader};
use super::positions::{Begin, Limits, Positions};
use crate::client::{Backoff, Cluster, ClusterConfig, LeaderTasks, StartLeaderTask};
use crate::runtime::lock::{Mutex, MutexGuard};
use crate::runtime::{buggify, task::TaskGroup};
use crate::types::{BrokerId, Instant, Offset, TopicPartition};

/// The longest pause between two attempts.
const RETRY_BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Locks are taken in this order: a group's progress, `state`, and under it one of the short ones that take no
/// other (the cluster's metadata, a session's status). Fetchers are woken when `state` is free again.
pub(super) struct Shared {
    pub(super) config: ConsumerConfig,
    pub(super) cluster: Cluster,
    state: Mutex<State>,
    fetchers: LeaderTasks<Shared>,
    refresh_wanted: Notify,
    /// There may be something to hand out.
    arrived: Notify,
}

struct State {
    positions: Positions,
    closed: bool,
    /// While it says no, nothing is handed out.
    gate: Option<Gate>,
}

/// Until when records may be handed out, as far as is known; `None`: not now.
pub(super) type Gate = Arc<dyn Fn() -> Option<Instant> + Send + Sync>;

impl Shared {
    /// `start_fetcher` makes the task that fetches from a broker.
    pub(super) fn new(
        config: ConsumerConfig,
        tasks: &Arc<TaskGroup>,
        start_fetcher: StartLeaderTask<Shared>,
    ) -> Arc<Shared> {
        let limits = Limits {
            unpacked_bytes_max: config.unpacked_bytes_max,
            on_corruption: config.on_corruption,
            auto_reset: config.auto_reset,
        };
        let mut cluster =
            ClusterConfig::new(config.bootstrap.clone(), &config.client_id, config.request_timeout);
        cluster.backoff = Backoff { first: config.retry_backoff, max: RETRY_BACKOFF_MAX };
        // A batch larger than the limit comes alone, and frames have headers.
        cluster.response_bytes_max = cluster.response_bytes_max.max(config.fetch_bytes_max.saturating_mul(2));
        Arc::new_cyclic(|this| Shared {
            cluster: Cluster::new(cluster),
            state: Mutex::new(State { positions: Positions::new(limits), closed: false, gate: None }),
            fetchers: LeaderTasks::new("consumer-fetcher", tasks, Weak::clone(this), start_fetcher),
            refresh_wanted: Notify::new(),
            arrived: Notify::new(),
            config,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the positions panics")
    }

    pub(super) fn assign(&self, assignment: Vec<(TopicPartition, StartPosition)>) {
        let mut state = self.state();
        if state.closed {
            return;
        }
        let events = state.positions.assign(assignment);
        self.state_facts(&events);
        self.cluster.track_only(state.positions.topics());
        drop(state);
        self.refresh_wanted.notify_one();
        self.dispatch();
    }

    /// `Closed` once it is.
    pub(super) fn check_open(&self) -> Result<(), ConsumeError> {
        if self.state().closed { Err(ConsumeError::Closed) } else { Ok(()) }
    }

    /// Takes partitions on, beside those that are there. Once closed, none.
    pub(super) fn add(&self, partitions: Vec<(TopicPartition, Reader, Begin)>) {
        let mut state = self.state();
        if state.closed {
            return;
        }
        let events = state.positions.add(partitions);
        self.state_facts(&events);
        self.cluster.track_only(state.positions.topics());
        drop(state);
        self.arrived.notify_waiters();
        self.refresh_wanted.notify_one();
        self.dispatch();
    }

    /// Forgets partitions with all that was prefetched of them: nothing more of them is handed out.
    /// Returns where those stood whose position was known.
    pub(super) fn remove(&self, names: &BTreeSet<TopicPartition>) -> BTreeMap<TopicPartition, Offset> {
        let mut state = self.state();
        let stood = state.positions.remove(names);
        self.cluster.track_only(state.positions.topics());
        drop(state);
        // The buffer is shared by fewer.
        self.dispatch();
        stood
    }

    pub(super) fn fetch_offset(&self, partition: &TopicPartition) -> Option<Offset> {
        self.state().positions.fetch_offset(partition)
    }

    /// Replaces the gate. Once closed nothing is handed out, and nothing is kept: a gate holds its session alive.
    pub(super) fn set_gate(&self, gate: Gate) {
        let mut state = self.state();
        if state.closed {
            return;
        }
        state.gate = Some(gate);
        drop(state);
        self.arrived.notify_waiters();
    }

    /// Whoever waits for records looks again.
    pub(super) fn wake_readers(&self) {
        self.arrived.notify_waiters();
    }

    pub(super) fn seek(&self, partition: &TopicPartition, to: StartPosition) -> bool {
        let mut state = self.state();
        let Some(events) = state.positions.seek(partition, to) else { return false };
        self.state_facts(&events);
        drop(state);
        self.wake_fetcher_of(partition);
        true
    }

    pub(super) fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        self.state().positions.position(partition)
    }

    /// Readers get nothing more, and are told so. They may outlive the consumer by far: what the gate holds, the
    /// session with ZooKeeper, goes now and not with them.
    pub(super) fn close(&self) {
        // Called by destructors: whoever panicked under the lock, nothing is handed out any more.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        state.gate = None;
        state.positions.end_leases();
        drop(state);
        self.arrived.notify_waiters();
    }

    /// Runs `act` on the positions with the test for what `broker` leads.
    pub(super) fn with_positions<T>(
        &self,
        broker: BrokerId,
        act: impl FnOnce(&mut Positions, &dyn Fn(&TopicPartition) -> bool) -> T,
    ) -> T {
        let led = |partition: &TopicPartition| {
            self.cluster.leader(partition).is_some_and(|leader| leader.broker == broker)
        };
        act(&mut self.state().positions, &led)
    }

    /// Runs `act` on the positions.
    pub(super) fn with_all_positions<T>(&self, act: impl FnOnce(&mut Positions) -> T) -> T {
        act(&mut self.state().positions)
    }

    /// As above, for answers of `broker`: states what they led to, and tells who polls. Who leads the partition by now may
    /// have waited for this.
    pub(super) fn answer(
        &self,
        broker: BrokerId,
        about: &TopicPartition,
        act: impl FnOnce(&mut Positions) -> Vec<Event>,
    ) {
        let mut state = self.state();
        let events = act(&mut state.positions);
        self.state_facts(&events);
        let has_news = state.positions.has_news(about);
        drop(state);
        if has_news {
            self.arrived.notify_waiters();
        }
        if let Some(leader) = self.cluster.leader(about).filter(|leader| leader.broker != broker) {
            self.fetchers.wake(leader.broker);
        }
    }

    pub(super) fn pause(&self, failures: u32) -> Duration {
        let backoff = Backoff { first: self.config.retry_backoff, max: RETRY_BACKOFF_MAX };
        self.cluster.pause(&backoff, failures)
    }

    pub(super) fn buffer_bytes_max(&self) -> usize {
        if buggify::fires("consumer.buffer-of-one") { 1 } else { self.config.prefetch_bytes_max }
    }

    fn wake_fetcher_of(&self, partition: &TopicPartition) {
        match self.cluster.leader(partition) {
            Some(leader) => self.fetchers.wake(leader.broker),
            None => {
                self.cluster.invalidate_leader(partition);
                self.refresh_wanted.notify_one();
            }
        }
    }

    /// Wakes the fetchers of everything assigned.
    fn dispatch(&self) {
        let names: Vec<TopicPartition> = self.state().positions.names().cloned().collect();
        for name in &names {
            self.wake_fetcher_of(name);
        }
    }

    pub(super) fn want_refresh(&self) {
        self.refresh_wanted.notify_one();
    }
}
