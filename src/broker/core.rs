//! What all parts of one broker share.

use std::sync::{Arc, OnceLock};

use tokio::sync::Semaphore;

use super::config::{CheckedConfig, Endpoint};
use super::data_dir::DataDir;
use super::departure::Departure;
use super::descriptors::Descriptors;
use super::failure::Failure;
use super::flusher::Flusher;
use super::group_lag::GroupLag;
use super::metadata::Metadata;
use super::metrics::Metrics;
use super::replicas::Replicas;
use super::server::{Connections, LOOKUPS_AT_ONCE_MAX, Notices, RequestMemory};
use super::shortage::Shortage;
use super::supervision::Supervision;
use crate::registry::Registry;
use crate::runtime::lock::Mutex;
use crate::types::BrokerId;

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
    pub supervision: Arc<Supervision>,
    pub metrics: Metrics,
    pub group_lag: GroupLag,
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
            supervision: Arc::default(),
            metrics: Metrics::default(),
            group_lag: GroupLag::default(),
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
}

impl AsRef<Connections> for Core {
    fn as_ref(&self) -> &Connections {
        &self.connections
    }
}
