//! A broker's life in its cluster: session after session with ZooKeeper, registered in each, following what
//! changes.
//!
//! A session that expired ends nothing here but the registration: what is led goes on being served (at
//! replication factor 1 nobody else can lead it) until a new session raises the epochs.

mod opening;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use self::opening::Opened;
use super::assignment::{Availability, Held, Session, Step, decide};
use super::core::Core;
use super::data_dir::DataDir;
use super::descriptors::STEPS_AT_ONCE_MAX;
use super::metadata::{Image, Refresh};
use super::partition::Partition;
use super::replicas::{Local, Raise, Until};
use super::start_error::StartError;
use crate::facts::{self, Fact};
use crate::registry::{BrokerRegistration, PartitionState, Registry, RegistryError};
use crate::rules::{Rule, holds};
use crate::runtime::{Elapsed, clock, concurrently};
use crate::types::{LeaderEpoch, TopicId, TopicPartition};
use crate::zookeeper::{ZkError, ZooKeeper, ZooKeeperConfig};

/// Between attempts at what failed for want of ZooKeeper.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Between attempts to open what there was no room for.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);
/// A failed broker tries to close its session for so long.
const DEPARTURE_MAX: Duration = Duration::from_secs(2);
/// A registration of an earlier incarnation is waited for this many session timeouts.
const STALE_SESSIONS_MAX: u32 = 2;

pub(super) struct Membership {
    core: Arc<Core>,
    data_dir: Arc<DataDir>,
    registry: Registry,
    refresh: Refresh,
}

/// Why a session, or what is done in it, cannot go on.
enum Interrupted {
    /// ZooKeeper cannot be reached just now.
    Again(RegistryError),
    /// The session is over.
    Expired,
    /// Not to be mended by waiting.
    Fatal(StartError),
}

impl From<RegistryError> for Interrupted {
    fn from(error: RegistryError) -> Interrupted {
        match error {
            RegistryError::ZooKeeper(ZkError::SessionExpired | ZkError::Closed) => Interrupted::Expired,
            other => Interrupted::Again(other),
        }
    }
}

impl Membership {
    /// The first session: takes the partitions this broker leads, then registers.
    pub async fn join(core: Arc<Core>, data_dir: Arc<DataDir>) -> Result<Membership, StartError> {
        let registry = connect(&core).await?;
        registry.ensure_paths().await?;
        let cluster_id = registry.cluster_id().await?;
        data_dir.adopt(&cluster_id).await?;
        core.set_cluster_id(cluster_id);
        let refresh = Refresh::new(registry.clone());
        let mut membership = Membership { core, data_dir, registry, refresh };
        membership.begin_session().await.map_err(|interrupted| match interrupted {
            Interrupted::Again(error) => StartError::Registry(error),
            Interrupted::Expired => StartError::Registry(ZkError::SessionExpired.into()),
            Interrupted::Fatal(error) => error,
        })?;
        Ok(membership)
    }

    /// Follows the cluster for as long as the broker runs; when the broker fails, takes it out of the cluster.
    pub async fn run(mut self) {
        let core = Arc::clone(&self.core);
        tokio::select! {
            biased;
            _reason = core.failure.tripped() => {}
            () = self.follow_sessions() => {}
        }
        self.leave().await;
    }

    /// A failed broker's registration must not outlive it: until its session expired nobody else could lead.
    async fn leave(self) {
        self.core.set_registry(None);
        let closing = self.registry.zookeeper().clone().close();
        if let Err(Elapsed) = clock::timeout(DEPARTURE_MAX, closing).await {
            tracing::warn!(broker = %self.core.id, "zookeeper_session_left_to_expire");
        }
        self.core.departure.complete();
    }

    /// Session after session, until something is not to be mended.
    async fn follow_sessions(&mut self) {
        loop {
            match self.follow().await {
                Interrupted::Again(error) => {
                    tracing::warn!(%error, "zookeeper_read_failed");
                    clock::sleep(RETRY_PAUSE).await;
                }
                Interrupted::Expired => self.new_session().await,
                Interrupted::Fatal(error) => return self.core.failure.trip(error.to_string()),
            }
        }
    }

    /// Takes over what changes, until something is in the way.
    async fn follow(&mut self) -> Interrupted {
        let expired = self.registry.zookeeper().session_expired();
        tokio::pin!(expired);
        loop {
            // Before the wait: the look before may have been interrupted half-way.
            if let Err(interrupted) = self.reconcile(Session::Same).await {
                return interrupted;
            }
            let is_short = self.core.replicas.any_waits();
            let again = async {
                match is_short {
                    true => clock::sleep(REOPEN_PAUSE).await,
                    false => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = &mut expired => return Interrupted::Expired,
                () = self.refresh.changed() => {}
                () = again => {}
            }
        }
    }

    async fn new_session(&mut self) {
        self.core.set_registry(None);
        self.core.metrics.zookeeper_sessions_expired.add(1);
        tracing::warn!(broker = %self.core.id, "zookeeper_session_expired");
        loop {
            match self.try_new_session().await {
                Ok(()) => return,
                Err(Interrupted::Fatal(error)) => {
                    self.core.failure.trip(error.to_string());
                    return std::future::pending().await;
                }
                Err(Interrupted::Again(error)) => tracing::warn!(%error, "zookeeper_session_not_opened"),
                Err(Interrupted::Expired) => {}
            }
            clock::sleep(RETRY_PAUSE).await;
        }
    }

    async fn try_new_session(&mut self) -> Result<(), Interrupted> {
        let registry = match connect(&self.core).await {
            Ok(registry) => registry,
            Err(error) => {
                tracing::warn!(%error, "zookeeper_not_reached");
                return Err(Interrupted::Expired);
            }
        };
        self.refresh = Refresh::new(registry.clone());
        self.registry = registry;
        let begun = match self.check_cluster().await {
            Ok(()) => self.begin_session().await,
            Err(interrupted) => Err(interrupted),
        };
        if begun.is_err() {
            // Else the next attempt would wait for this one's registration to expire.
            self.registry.zookeeper().clone().close().await;
        }
        begun
    }

    /// Behind the same addresses there may be another ensemble now, or one that has lost everything: what it does
    /// not know of would be closed here, and made anew.
    async fn check_cluster(&self) -> Result<(), Interrupted> {
        let found = self.registry.existing_cluster_id().await?;
        match self.core.cluster_id() {
            Some(ours) if found.as_ref() != Some(&ours) => {
                let found = found.unwrap_or_else(|| "(none)".to_owned());
                Err(Interrupted::Fatal(StartError::OtherCluster { ours, found }))
            }
            _ => Ok(()),
        }
    }

    /// Once nobody else is registered as this broker: raises the epochs of what it leads, and registers after
    /// that. Whoever sees the registration then reads the raised epochs.
    async fn begin_session(&mut self) -> Result<(), Interrupted> {
        self.core.metrics.zookeeper_sessions.add(1);
        self.await_predecessor().await?;
        self.reconcile(Session::New).await?;
        self.register().await?;
        let session = self.registry.zookeeper().session_id();
        facts::record(|| Fact::BrokerRegistered { broker: self.core.id, session });
        tracing::info!(broker = %self.core.id, address = %self.core.advertised, %session, "broker_registered");
        self.core.set_registry(Some(self.registry.clone()));
        // The brokers were read before this one was among them.
        self.reconcile(Session::Same).await
    }

    /// An earlier incarnation of this broker may still be registered. If it is known to have been of this very data
    /// directory its process is dead, and its registration is removed; otherwise it is waited for, because it
    /// may as well be another process that was given the same number.
    async fn await_predecessor(&self) -> Result<(), Interrupted> {
        let broker = self.core.id;
        let Some(session) = self.registry.registration_session(broker).await? else { return Ok(()) };
        if self.data_dir.last_session() == Some(session) {
            self.registry.remove_registration(broker, session).await?;
        }
        tracing::info!(%broker, %session, "earlier_registration_awaited");
        let waited = self.registry.zookeeper().session_timeout() * STALE_SESSIONS_MAX;
        match clock::timeout(waited, self.registry.wait_unregistered(broker)).await {
            Ok(gone) => Ok(gone?),
            // ZooKeeper may have been silent all the time: then nobody knows.
            Err(Elapsed) => match self.registry.registration_session(broker).await? {
                Some(_) => Err(Interrupted::Fatal(StartError::RegisteredElsewhere { broker, waited })),
                None => Ok(()),
            },
        }
    }

    async fn register(&self) -> Result<(), Interrupted> {
        let session = self.registry.zookeeper().session_id();
        match self.data_dir.note_session(session).await {
            Ok(()) => {}
            // After a crash this registration is waited for then, instead of being removed.
            Err(error) if error.is_shortage() => tracing::warn!(%error, "zookeeper_session_not_noted"),
            Err(error) => return Err(Interrupted::Fatal(error.into())),
        }
        let registration = BrokerRegistration {
            broker: self.core.id,
            host: self.core.advertised.host.clone(),
            port: self.core.advertised.port,
            rack: None,
        };
        match self.registry.register_broker(&registration).await {
            Ok(_epoch) => Ok(()),
            Err(RegistryError::RegisteredElsewhere { broker, .. }) => {
                let waited = Duration::ZERO;
                Err(Interrupted::Fatal(StartError::RegisteredElsewhere { broker, waited }))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reads what changed, does what follows from it for the partitions here, and only then publishes it: a
    /// client that is told of a partition finds it served.
    async fn reconcile(&mut self, session: Session) -> Result<(), Interrupted> {
        if session == Session::New {
            self.registry.zookeeper().sync("/brokers").await.map_err(RegistryError::from)?;
        }
        let mut image = self.refresh.read().await?;
        let steps = decide(&image, self.core.id, &self.held(), session);
        // What is closed may have to be opened again, as another topic's.
        let (ending, taking): (Vec<_>, Vec<_>) = steps.into_iter().partition(Step::is_end);
        self.perform_all(ending, &mut image).await?;
        self.perform_all(taking, &mut image).await?;
        self.core.metadata.publish(image);
        Ok(())
    }

    fn held(&self) -> BTreeMap<TopicPartition, Held> {
        let held = |local: &Local| match local {
            Local::Open(partition) => Held {
                topic_id: partition.topic_id(),
                epoch: partition.epoch(),
                availability: Availability::Open,
            },
            Local::Offline { topic_id, until, .. } => Held {
                topic_id: *topic_id,
                epoch: None,
                availability: match until {
                    Until::Operator => Availability::Offline,
                    Until::Room(raise) => Availability::Waiting(*raise),
                },
            },
        };
        self.core.replicas.all().iter().map(|(name, local)| (name.clone(), held(local))).collect()
    }

    /// Steps of different partitions side by side: each waits for the disk and for ZooKeeper several times. What was
    /// taken is noted even if another step could not be made. Without a deadline: a long log takes its time to recover,
    /// and a disk that hangs is the disk of all logs there are. What is open goes on being served; what is new waits.
    async fn perform_all(&mut self, steps: Vec<Step>, image: &mut Image) -> Result<(), Interrupted> {
        let (this, seen) = (&*self, &*image);
        let performing = steps.into_iter().map(|step| this.perform(step, seen));
        let performed = concurrently(STEPS_AT_ONCE_MAX, performing.collect()).await;
        let mut interrupted = Ok(());
        for outcome in performed {
            match outcome {
                Ok(Some((name, epoch))) => self.note_epoch(&name, epoch, image),
                Ok(None) => {}
                Err(error) => interrupted = interrupted.and(Err(error)),
            }
        }
        interrupted
    }

    /// Returns the epoch in which this broker now leads, if it does.
    async fn perform(
        &self,
        step: Step,
        image: &Image,
    ) -> Result<Option<(TopicPartition, LeaderEpoch)>, Interrupted> {
        let (partition, epoch, raise) = match step {
            Step::Close(name) => {
                self.close(&name).await?;
                return Ok(None);
            }
            Step::Resign(name) => {
                if let Some(partition) = self.open_partition(&name) {
                    partition.resign();
                }
                return Ok(None);
            }
            Step::Open { partition: name, topic_id, epoch, raise } => {
                match self.open(name.clone(), topic_id, raise, image).await? {
                    Opened::Open { partition, is_found } => (Some(partition), epoch, raise.is_due(is_found)),
                    Opened::Waiting if raise == Raise::AtOnce => {
                        return self.raise_without_room(name, topic_id, epoch).await;
                    }
                    Opened::Waiting | Opened::Offline => return Ok(None),
                }
            }
            Step::Raise { partition, epoch } => (self.open_partition(&partition), epoch, true),
            Step::Lead { partition, epoch } => (self.open_partition(&partition), epoch, false),
        };
        match partition {
            Some(partition) => self.lead(&partition, epoch, raise).await,
            None => Ok(None),
        }
    }

    fn open_partition(&self, name: &TopicPartition) -> Option<Arc<Partition>> {
        match self.core.replicas.get(&name.topic, name.partition) {
            Some(Local::Open(partition)) => Some(partition),
            _ => None,
        }
    }

    async fn close(&self, name: &TopicPartition) -> Result<(), Interrupted> {
        tracing::info!(partition = %name, "partition_closed");
        let open = self.open_partition(name);
        self.core.replicas.remove(name);
        let Some(partition) = open else { return Ok(()) };
        match self.core.flusher.close(&partition).await {
            Ok(()) => Ok(()),
            // Nothing is wrong with the disk: whoever opens the log again recovers it.
            Err(error) if error.is_refusal() => {
                tracing::warn!(partition = %name, %error, "log_not_closed_cleanly");
                Ok(())
            }
            Err(error) => Err(Interrupted::Fatal(StartError::Log { partition: name.clone(), error })),
        }
    }

    async fn lead(
        &self,
        partition: &Partition,
        stored: LeaderEpoch,
        raise: bool,
    ) -> Result<Option<(TopicPartition, LeaderEpoch)>, Interrupted> {
        let (name, in_log) = (partition.name(), partition.last_epoch());
        // The CRC of a batch does not cover its epoch: with a flipped bit it says one that nobody was given, and below
        // that nothing can be appended.
        let raise = raise || in_log > stored;
        let epoch = if raise { self.raise(name, stored, in_log).await? } else { Some(stored) };
        let Some(epoch) = epoch else { return Ok(None) };
        partition.lead(epoch);
        Ok(Some((name.clone(), epoch)))
    }

    /// The new epoch; none if somebody else leads, or the partition is gone.
    async fn raise(
        &self,
        name: &TopicPartition,
        stored: LeaderEpoch,
        in_log: LeaderEpoch,
    ) -> Result<Option<LeaderEpoch>, Interrupted> {
        if !holds(Rule::RaiseLeaderEpochOnStart) {
            return Ok(Some(stored));
        }
        match self.registry.raise_leader_epoch(name, self.core.id, in_log).await {
            Ok(epoch) => Ok(Some(epoch)),
            // Deleted or given away meanwhile: the next look at the cluster says so.
            Err(
                RegistryError::NotLeader { .. }
                | RegistryError::NoSuchPartition(_)
                | RegistryError::NoSuchTopic(_),
            ) => Ok(None),
            // It is this partition's alone.
            Err(RegistryError::Corrupt { path, reason }) => {
                tracing::error!(partition = %name, path, reason, "partition_state_not_understood");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// There is no room for the log just now; it will lead in this epoch when there is.
    async fn raise_without_room(
        &self,
        name: TopicPartition,
        topic_id: TopicId,
        stored: LeaderEpoch,
    ) -> Result<Option<(TopicPartition, LeaderEpoch)>, Interrupted> {
        let Some(epoch) = self.raise(&name, stored, LeaderEpoch::UNKNOWN).await? else { return Ok(None) };
        if let Some(Local::Offline { reason, .. }) = self.core.replicas.get(&name.topic, name.partition) {
            let until = Until::Room(Raise::Done);
            self.core.replicas.insert(&name, Local::Offline { topic_id, reason, until });
        }
        Ok(Some((name, epoch)))
    }

    fn note_epoch(&mut self, name: &TopicPartition, epoch: LeaderEpoch, image: &mut Image) {
        let known = image.partition(&name.topic, name.partition).and_then(|p| p.state.clone());
        if let Some(state) = known {
            let state = PartitionState { leader_epoch: epoch, ..state };
            self.refresh.note_state(name, state.clone());
            image.set_state(name, state);
        }
    }
}

async fn connect(core: &Core) -> Result<Registry, StartError> {
    let config = ZooKeeperConfig {
        servers: core.config.zookeeper_servers.clone(),
        session_timeout: core.config.zookeeper_session_timeout,
        connect_timeout: core.config.zookeeper_connect_timeout,
    };
    let connected = ZooKeeper::connect(config).await;
    let servers = || core.config.zookeeper_servers.join(",");
    connected.map(Registry::new).map_err(|error| StartError::ZooKeeper { servers: servers(), error })
}
