//! What all parts of one broker share.

use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::Semaphore;

use super::config::{CheckedConfig, Endpoint};
use super::data_dir::DataDir;
use super::departure::Departure;
use super::descriptors::Descriptors;
use super::failure::Failure;
use super::flusher::Flusher;
use super::metadata::Metadata;
use super::metrics::{Gauges, Metrics};
use super::replicas::{Local, Replicas};
use super::server::{Connections, LOOKUPS_AT_ONCE_MAX, Notices, RequestMemory};
use super::shortage::Shortage;
use crate::registry::Registry;
use crate::runtime::disk;
use crate::types::BrokerId;

/// With less space than this the data directory counts as full: a large batch would be refused.
const FREE_BYTES_MIN: u64 = 1 << 20;

pub(super) struct Core {
    pub id: BrokerId,
    pub config: CheckedConfig,
    /// What clients are told.
    pub advertised: Endpoint,
    pub replicas: Replicas,
    pub metadata: Metadata,
    pub flusher: Flusher,
    pub failure: Arc<Failure>,
    /// Of a broker that failed, from its cluster.
    pub departure: Arc<Departure>,
    pub metrics: Metrics,
    pub connections: Connections,
    /// Who was told what is not built yet.
    pub notices: Notices,
    /// Memory that large requests may hold.
    pub memory: Arc<RequestMemory>,
    /// Look-ups by time that may run now.
    pub lookups: Semaphore,
    pub descriptors: Arc<Descriptors>,
    pub shortage: Shortage,
    registry: Mutex<Option<Registry>>,
    cluster_id: OnceLock<String>,
    /// Locked for as long as any task of the broker lives: whoever holds the core may still write to a log.
    _data_dir: Arc<DataDir>,
}

impl Core {
    pub fn new(
        config: CheckedConfig,
        advertised: Endpoint,
        data_dir: Arc<DataDir>,
        descriptors: Descriptors,
    ) -> Core {
        Core {
            id: config.broker_id,
            advertised,
            replicas: Replicas::default(),
            metadata: Metadata::default(),
            flusher: Flusher::default(),
            failure: Arc::new(Failure::new(config.broker_id)),
            departure: Arc::default(),
            metrics: Metrics::default(),
            connections: Connections::new(&config.limits),
            notices: Notices::default(),
            memory: Arc::new(RequestMemory::new(&config.limits)),
            lookups: Semaphore::new(LOOKUPS_AT_ONCE_MAX),
            descriptors: Arc::new(descriptors),
            shortage: Shortage::default(),
            registry: Mutex::new(None),
            cluster_id: OnceLock::new(),
            _data_dir: data_dir,
            config,
        }
    }

    /// The cluster's registry, while this broker is registered.
    pub fn registry(&self) -> Option<Registry> {
        self.registry.lock().expect("registry").clone()
    }

    /// Known from the first session on.
    pub fn cluster_id(&self) -> Option<String> {
        self.cluster_id.get().cloned()
    }

    pub fn set_cluster_id(&self, cluster_id: String) {
        self.cluster_id.get_or_init(|| cluster_id);
    }

    /// Registered (or no longer).
    pub fn set_registry(&self, registry: Option<Registry>) {
        *self.registry.lock().expect("registry") = registry;
    }

    /// Why the broker is not as it should be, for whoever watches over it.
    pub fn ill_health(&self) -> Option<String> {
        let failed = self.failure.reason().map(|reason| format!("log directory failed: {reason}"));
        let unregistered = || self.why_unregistered().map(str::to_owned);
        let offline = || {
            let all = self.replicas.all();
            all.iter().find_map(|(name, local)| match local {
                Local::Offline { reason, .. } => Some(format!("partition {name} is offline: {reason}")),
                Local::Open(_) => None,
            })
        };
        failed
            .or_else(unregistered)
            .or_else(offline)
            .or_else(|| self.shortage.reason())
            .or_else(|| self.lack_of_space())
    }

    fn lack_of_space(&self) -> Option<String> {
        let directory = &self.config.data_dir;
        let free_bytes = disk::free_bytes(directory).ok().filter(|free| *free < FREE_BYTES_MIN)?;
        Some(format!("no space left in {}: {free_bytes} bytes free", directory.display()))
    }

    /// Why the cluster may take this broker for gone. What a follower answers that lost its leader says nothing.
    fn why_unregistered(&self) -> Option<&'static str> {
        match self.registry() {
            None => Some("not registered in ZooKeeper"),
            Some(registry) if registry.zookeeper().may_have_expired() => {
                Some("no leader of ZooKeeper has confirmed the registration for a whole session")
            }
            Some(_) => None,
        }
    }

    pub fn gauges(&self) -> Gauges {
        let all = self.replicas.all();
        let leads = |local: &Local| matches!(local, Local::Open(partition) if partition.epoch().is_some());
        Gauges {
            connections: self.connections.count() as u64,
            partitions: all.len() as u64,
            partitions_led: all.iter().filter(|(_, local)| leads(local)).count() as u64,
            request_bytes_in_flight: self.memory.bytes_held() as u64,
            is_registered: self.why_unregistered().is_none(),
        }
    }
}

impl AsRef<Connections> for Core {
    fn as_ref(&self) -> &Connections {
        &self.connections
    }
}
