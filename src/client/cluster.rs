//! The cluster as a client sees it: who leads what, and a connection per broker.
//!
//! Refreshes are single-flight and paced; connecting to a broker that failed waits a growing, jittered pause.
//! All methods are safe to drop half-way.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::address;
use super::backoff::Backoff;
use super::connection::{ConnectError, Connection, ConnectionConfig, RequestError};
use super::metadata::{Answer, Leader, Metadata, PartitionView, TopicAnswer, TopicView};
use super::no_broker::{NoBroker, Tried};
use super::slots::{Slot, Slots};
use crate::protocol::messages::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic,
};
use crate::protocol::{Api, ErrorCode};
use crate::runtime::lock::{Mutex, MutexGuard};
use crate::runtime::rng::{self, Rng};
use crate::runtime::{Instant, clock};
use crate::types::{BrokerId, LeaderEpoch, TopicPartition};

/// How long one broker may take to answer a question that any broker can answer.
const ASK_TIMEOUT_MAX: Duration = Duration::from_secs(5);

/// A client's view of a cluster: settings.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// `host:port` of some brokers.
    pub bootstrap: Vec<String>,
    pub client_id: Arc<str>,
    pub connect_timeout: Duration,
    pub request_timeout: Duration,
    /// Pauses between attempts to connect, and between refreshes.
    pub backoff: Backoff,
    /// Older knowledge is refreshed (`metadata.max.age.ms`).
    pub metadata_age_max: Duration,
    pub response_bytes_max: usize,
}

impl ClusterConfig {
    /// Kafka's defaults around what every client is told.
    pub fn new(bootstrap: Vec<String>, client_id: &str, request_timeout: Duration) -> ClusterConfig {
        ClusterConfig {
            bootstrap,
            client_id: client_id.into(),
            connect_timeout: Duration::from_secs(3).min(request_timeout),
            request_timeout,
            backoff: Backoff { first: Duration::from_millis(100), max: Duration::from_secs(1) },
            metadata_age_max: Duration::from_secs(300),
            response_bytes_max: 64 << 20,
        }
    }
}

/// Why a question that any broker can answer has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    #[error(transparent)]
    NoBroker(#[from] NoBroker),
    /// A broker answers, and speaks no version of it that we do.
    #[error("{address}: {error}")]
    Unsupported { address: String, error: RequestError },
}

/// See the module. Clones share everything.
///
/// ```no_run
/// use std::time::Duration;
///
/// use seedlog::client::{Cluster, ClusterConfig};
/// use seedlog::types::TopicPartition;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let bootstrap = vec!["127.0.0.1:9092".to_owned()];
/// let cluster = Cluster::new(ClusterConfig::new(bootstrap, "tool", Duration::from_secs(5)));
/// cluster.track(&"orders".into());
/// cluster.refresh().await?;
/// if let Some(leader) = cluster.leader(&TopicPartition::new("orders", 0)) {
///     let connection = cluster.connection(leader.broker).await?;
///     println!("connected to {}: {}", leader.broker, connection.is_open());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Cluster {
    shared: Arc<Shared>,
}

/// Order of locks: `turn` or a slot's `attempts` (both held over awaits), then any one of the others alone.
struct Shared {
    config: ClusterConfig,
    connection_config: ConnectionConfig,
    metadata: Mutex<Metadata>,
    slots: Mutex<Slots>,
    draws: Mutex<Rng>,
    turn: tokio::sync::Mutex<Turn>,
    /// Refreshes that ended, well or not: who waited for `turn` while one ended need not do its own.
    rounds: AtomicU64,
}

/// What the refresh whose turn it is knows of the earlier ones.
#[derive(Default)]
struct Turn {
    failures: u32,
    last: Option<(Instant, Result<(), NoBroker>)>,
}

impl Cluster {
    /// Connects when there is something to ask.
    pub fn new(config: ClusterConfig) -> Cluster {
        let connection_config = ConnectionConfig {
            client_id: Arc::clone(&config.client_id),
            connect_timeout: config.connect_timeout,
            response_bytes_max: config.response_bytes_max,
        };
        let shared = Shared {
            metadata: Mutex::new(Metadata::new(config.metadata_age_max)),
            connection_config,
            config,
            slots: Mutex::new(Slots::default()),
            draws: Mutex::new(rng::stream("client.backoff")),
            turn: tokio::sync::Mutex::new(Turn::default()),
            rounds: AtomicU64::new(0),
        };
        Cluster { shared: Arc::new(shared) }
    }

    fn metadata(&self) -> MutexGuard<'_, Metadata> {
        self.shared.metadata.lock().expect("no holder of the metadata panics")
    }

    /// Includes a topic in every refresh.
    pub fn track(&self, topic: &Arc<str>) {
        self.metadata().track(topic);
    }

    /// Includes these topics in every refresh, and no others.
    pub fn track_only(&self, topics: BTreeSet<Arc<str>>) {
        self.metadata().track_only(topics);
    }

    /// Includes a topic in every refresh until the guard is gone, and after that while it is used, if it was found.
    pub(crate) fn seek(&self, topic: &Arc<str>) -> Sought {
        self.metadata().seek(topic, clock::now());
        Sought { cluster: self.clone(), topic: Arc::clone(topic) }
    }

    /// A topic that is about to be used, if it is known.
    pub(crate) fn use_topic(&self, topic: &str) -> Option<Arc<TopicView>> {
        self.metadata().use_topic(topic, clock::now())
    }

    /// Includes these in the next refresh, and no more what was not used for `idle_max`.
    pub(crate) fn used_only(&self, topics: &BTreeSet<Arc<str>>, idle_max: Duration) {
        self.metadata().used_only(topics, clock::now(), idle_max);
    }

    /// A tracked topic, if it is known.
    pub fn topic(&self, topic: &str) -> Option<Arc<TopicView>> {
        self.metadata().topic(topic).cloned()
    }

    /// Kafka's name of the error that a broker gave for a topic.
    pub fn topic_error(&self, topic: &str) -> Option<&'static str> {
        self.metadata().error(topic)
    }

    /// Who leads a partition, as far as known.
    pub fn leader(&self, partition: &TopicPartition) -> Option<Leader> {
        self.metadata().leader(partition)
    }

    pub fn controller(&self) -> Option<BrokerId> {
        self.metadata().controller()
    }

    /// All brokers that are known.
    pub fn brokers(&self) -> Vec<BrokerId> {
        self.metadata().brokers().keys().copied().collect()
    }

    /// One of the brokers.
    pub fn some_broker(&self) -> Option<BrokerId> {
        self.metadata().brokers().keys().next().copied()
    }

    /// The leader said that it is not, or knows nothing of the partition.
    pub fn invalidate_leader(&self, partition: &TopicPartition) {
        self.metadata().invalidate_leader(partition);
    }

    /// A broker cannot be reached: others may lead by now, or its address may have changed.
    pub fn invalidate_brokers(&self) {
        self.metadata().invalidate_brokers();
    }

    /// Whether something tracked is unknown, stale or too old.
    pub fn needs_refresh(&self) -> bool {
        self.metadata().needs_refresh(clock::now())
    }

    /// Whether something is tracked, and what is known is too old.
    pub(crate) fn is_too_old(&self) -> bool {
        self.metadata().is_too_old(clock::now())
    }

    /// When what is known becomes too old; `None` while nothing is tracked.
    pub(crate) fn next_refresh(&self) -> Option<Instant> {
        self.metadata().next_refresh()
    }

    /// When what is known becomes too old.
    pub fn refresh_due(&self) -> Instant {
        self.metadata().expires()
    }

    /// A jittered pause after `failures` in a row, for the caller's own retries.
    pub fn pause(&self, backoff: &Backoff, failures: u32) -> Duration {
        let draw = self.shared.draws.lock().expect("no holder of the stream panics").next_u64();
        backoff.pause(failures, draw)
    }

    /// Asks the brokers, one after the other, until one describes the tracked topics. Waits for a refresh
    /// that is under way instead, and never asks more often than the back-off allows: safe to call in a loop.
    pub async fn refresh(&self) -> Result<(), NoBroker> {
        let rounds_before = self.shared.rounds.load(Ordering::Relaxed);
        let mut turn = self.shared.turn.lock().await;
        if self.shared.rounds.load(Ordering::Relaxed) != rounds_before
            && let Some((_, outcome)) = &turn.last
        {
            return outcome.clone();
        }
        if let Some((ended, _)) = &turn.last {
            let next = *ended + self.pause(&self.shared.config.backoff, turn.failures.max(1));
            if next > clock::now() {
                clock::sleep_until(next).await;
            }
        }
        let outcome = self.ask_for_metadata().await;
        // An answer that leaves questions open is no reason to ask faster.
        turn.failures = if self.needs_refresh() { turn.failures.saturating_add(1) } else { 0 };
        turn.last = Some((clock::now(), outcome.clone()));
        self.shared.rounds.fetch_add(1, Ordering::Relaxed);
        outcome
    }

    async fn ask_for_metadata(&self) -> Result<(), NoBroker> {
        let topics: Vec<Arc<str>> = self.metadata().tracked().cloned().collect();
        let named = topics.iter().map(|topic| MetadataRequestTopic { name: Some(topic.to_string()) });
        let request = MetadataRequest { topics: Some(named.collect()), ..never_create() };
        let response = self.ask_any(&request).await.map_err(|error| match error {
            AskError::NoBroker(error) => error,
            AskError::Unsupported { address, error } => {
                let mut attempts = Tried::default();
                attempts.failed(&address, error.to_string());
                attempts.into_error()
            }
        })?;
        let answer = answer_of(response);
        tracing::debug!(brokers = answer.brokers.len(), topics = answer.topics.len(), "metadata_refreshed");
        let addresses = answer.brokers.clone();
        self.metadata().refreshed(answer, clock::now());
        let mut slots = self.shared.slots.lock().expect("no holder of the slots panics");
        let moved = slots.refreshed(&addresses);
        drop(slots);
        for connection in moved {
            connection.retire(&"the broker has another address now".into());
        }
        Ok(())
    }

    /// Asks the brokers in some order until one has answered. A request that was written and not answered is
    /// asked again: use it for questions only.
    pub async fn ask_any<R: Api>(&self, question: &R) -> Result<R::Response, AskError> {
        let mut attempts = Tried::default();
        for candidate in self.candidates() {
            let address = self.address_of(&candidate);
            let connection = match self.connect_candidate(&candidate).await {
                Ok(connection) => connection,
                Err(error) => {
                    attempts.failed(&address, error.reason);
                    continue;
                }
            };
            // A produce that waits on the same connection waits on: sent again it would be stored twice.
            match connection.ask(question, ASK_TIMEOUT_MAX, self.shared.config.request_timeout).await {
                Ok(response) => return Ok(response),
                Err(error @ RequestError::Unsupported(_)) => {
                    return Err(AskError::Unsupported { address, error });
                }
                Err(error) => attempts.failed(&address, error.to_string()),
            }
        }
        Err(attempts.into_error().into())
    }

    /// Known brokers and bootstrap addresses in random order, those with an open connection first. Not a broker that
    /// is silent: a question to it would wait behind the requests that it may still answer.
    fn candidates(&self) -> Vec<Candidate> {
        let mut brokers: Vec<BrokerId> = self.metadata().brokers().keys().copied().collect();
        brokers.retain(|broker| !self.is_silent(*broker));
        let (mut open, mut others): (Vec<_>, Vec<_>) =
            brokers.into_iter().map(Candidate::Broker).partition(|candidate| self.is_open(candidate));
        let mut bootstrap: Vec<_> =
            self.shared.config.bootstrap.iter().cloned().map(Candidate::Bootstrap).collect();
        let mut draws = self.shared.draws.lock().expect("no holder of the stream panics");
        draws.shuffle(&mut open);
        draws.shuffle(&mut others);
        draws.shuffle(&mut bootstrap);
        open.extend(others);
        open.extend(bootstrap);
        open
    }

    fn is_silent(&self, broker: BrokerId) -> bool {
        let open = self.slot(broker).and_then(|slot| slot.open());
        open.is_some_and(|connection| connection.is_silent())
    }

    fn is_open(&self, candidate: &Candidate) -> bool {
        let Candidate::Broker(broker) = candidate else { return false };
        self.slot(*broker).is_some_and(|slot| slot.open().is_some())
    }

    fn address_of(&self, candidate: &Candidate) -> String {
        match candidate {
            Candidate::Bootstrap(address) => address.clone(),
            Candidate::Broker(broker) => {
                let known = self.metadata().brokers().get(broker).cloned();
                known.unwrap_or_else(|| format!("broker {broker}"))
            }
        }
    }

    async fn connect_candidate(&self, candidate: &Candidate) -> Result<Connection, ConnectError> {
        match candidate {
            Candidate::Broker(broker) => {
                if let Some(error) = self.backing_off(*broker) {
                    return Err(error);
                }
                self.connection(*broker).await
            }
            Candidate::Bootstrap(address) => {
                Connection::connect(address, &self.shared.connection_config).await
            }
        }
    }

    /// Where any broker will do, none is waited for.
    fn backing_off(&self, broker: BrokerId) -> Option<ConnectError> {
        let slot = self.slot(broker)?;
        if slot.open().is_some() {
            return None;
        }
        let is_busy = match slot.attempts.try_lock() {
            Ok(attempts) => attempts.next > clock::now(),
            Err(_) => true,
        };
        let reason = "waits before the next attempt".to_owned();
        is_busy.then(|| ConnectError { address: slot.address.clone(), reason })
    }

    /// The connection to a broker; makes one after the pause that earlier failures demand.
    pub async fn connection(&self, broker: BrokerId) -> Result<Connection, ConnectError> {
        let unknown = || ConnectError { address: format!("broker {broker}"), reason: "not known".to_owned() };
        let slot = self.slot(broker).ok_or_else(unknown)?;
        if let Some(connection) = slot.open() {
            return Ok(connection);
        }
        let mut attempts = slot.attempts.lock().await;
        if let Some(connection) = slot.open() {
            return Ok(connection);
        }
        if attempts.next > clock::now() {
            clock::sleep_until(attempts.next).await;
        }
        match Connection::connect(&slot.address, &self.shared.connection_config).await {
            Ok(connection) => {
                attempts.failures = 0;
                // A broker that accepts and closes at once must not be hammered either.
                attempts.next = clock::now() + self.pause(&self.shared.config.backoff, 1);
                *slot.open.lock().expect("no holder of the slot panics") = Some(connection.clone());
                Ok(connection)
            }
            Err(error) => {
                attempts.failures = attempts.failures.saturating_add(1);
                attempts.next = clock::now() + self.pause(&self.shared.config.backoff, attempts.failures);
                tracing::debug!(%broker, %error, "connect_failed");
                self.invalidate_brokers();
                Err(error)
            }
        }
    }

    fn slot(&self, broker: BrokerId) -> Option<Arc<Slot>> {
        let address = self.metadata().brokers().get(&broker)?.clone();
        let mut slots = self.shared.slots.lock().expect("no holder of the slots panics");
        Some(slots.of(broker, address))
    }
}

/// Somebody looks for a topic.
pub(crate) struct Sought {
    cluster: Cluster,
    topic: Arc<str>,
}

impl Drop for Sought {
    fn drop(&mut self) {
        self.cluster.metadata().seek_ended(&self.topic);
    }
}

enum Candidate {
    Broker(BrokerId),
    Bootstrap(String),
}

fn never_create() -> MetadataRequest {
    MetadataRequest { allow_auto_topic_creation: false, ..MetadataRequest::default() }
}

fn answer_of(response: MetadataResponse) -> Answer {
    let brokers = response.brokers.into_iter();
    let brokers = brokers.map(|b| (BrokerId(b.node_id), address::join(&b.host, b.port))).collect();
    let controller = (response.controller_id >= 0).then_some(BrokerId(response.controller_id));
    let topics = response.topics.into_iter().filter_map(|mut topic| {
        let name: Arc<str> = topic.name.take()?.into();
        Some((Arc::clone(&name), topic_of(name, topic)))
    });
    Answer { brokers, controller, topics: topics.collect() }
}

/// A topic whose partitions are not 0 to n - 1 is no topic.
fn topic_of(name: Arc<str>, mut topic: MetadataResponseTopic) -> TopicAnswer {
    match ErrorCode(topic.error_code) {
        ErrorCode::NONE => {}
        error => return Err(error.name()),
    }
    topic.partitions.sort_by_key(|partition| partition.partition_index);
    let is_dense = topic.partitions.iter().zip(0..).all(|(partition, n)| partition.partition_index == n);
    if !is_dense || topic.partitions.is_empty() {
        return Err(ErrorCode::LEADER_NOT_AVAILABLE.name());
    }
    let ids = |nodes: Vec<i32>| nodes.into_iter().map(BrokerId).collect();
    let partitions = topic.partitions.into_iter().map(|partition| PartitionView {
        leader: (partition.leader_id >= 0).then_some(BrokerId(partition.leader_id)),
        leader_epoch: LeaderEpoch(partition.leader_epoch),
        replicas: ids(partition.replica_nodes),
        in_sync: ids(partition.isr_nodes),
    });
    Ok(TopicView::new(name, partitions.collect()))
}
