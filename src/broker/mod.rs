//! A broker: serves the partitions that ZooKeeper assigns to it over the Kafka protocol.
//!
//! [`Broker::start`] returns once the broker is registered and serving; [`Broker::shutdown`] closes everything
//! cleanly. Dropping a [`Broker`] stops it at once, as a crash would. Replicas, groups, transactions and
//! quotas are to come, each in a module of its own.

mod assignment;
mod checked_file;
pub mod config;
mod core;
mod data_dir;
mod departure;
mod descriptors;
mod exposition;
mod failure;
mod flusher;
mod gauges;
mod group_lag;
mod group_lag_reader;
mod health;
mod http;
mod membership;
mod metadata;
mod metrics;
mod partition;
mod purgatory;
mod replicas;
mod server;
mod shortage;
mod start_error;
mod supervision;
mod topics;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use self::core::Core;
use config::{CheckedConfig, Endpoint};
use data_dir::DataDir;
use descriptors::Descriptors;
use membership::Membership;

use crate::facts::{self, Fact};
use crate::runtime::net::{self, Listener};
use crate::runtime::task::{Lane, TaskGroup};
use crate::runtime::{Elapsed, clock, concurrently, disk, process};

pub use data_dir::DataDirError;
pub use descriptors::TooFewDescriptors;
pub use start_error::StartError;

/// Logs that wait for the flusher to close them, at a time.
const CLOSINGS_AT_A_TIME_MAX: usize = 64;

/// A running broker.
pub struct Broker {
    core: Arc<Core>,
    address: SocketAddr,
    http_address: Option<SocketAddr>,
    /// Accepting; ended first when the broker stops.
    accepting: TaskGroup,
    connections: Arc<TaskGroup>,
    /// Follows the cluster; ended before the logs are closed, so that nothing is opened or led again.
    following: TaskGroup,
    /// The flusher and HTTP: ended last.
    background: TaskGroup,
    http_connections: Arc<TaskGroup>,
}

impl Broker {
    /// Starts a broker and waits until it serves.
    pub async fn start(config: CheckedConfig) -> Result<Broker, StartError> {
        let limit = process::raise_open_files_limit().map_err(StartError::OpenFilesLimit)?;
        let descriptors = Descriptors::share_out(limit)?;
        disk::keep_open_on_demand(descriptors.closed_files_max());
        let data_dir = Arc::new(DataDir::open(&config.data_dir, config.broker_id)?);
        let listener = bind(&config.listen).await?;
        let http_listener = match &config.http_listen {
            Some(endpoint) => Some(bind(endpoint).await?),
            None => None,
        };
        let address = listener.local_address();
        let advertised = advertised(&config, address);
        let core = Arc::new(Core::new(config, advertised, Arc::clone(&data_dir), descriptors));
        let broker = Broker {
            core: Arc::clone(&core),
            address,
            http_address: http_listener.as_ref().map(Listener::local_address),
            accepting: TaskGroup::new(Lane::Data),
            connections: Arc::new(TaskGroup::new(Lane::Data)),
            following: TaskGroup::new(Lane::Data),
            background: TaskGroup::new(Lane::Data),
            http_connections: Arc::new(TaskGroup::new(Lane::Data)),
        };
        broker.start_flusher();
        if let Some(http_listener) = http_listener {
            let tasks = Arc::clone(&broker.http_connections);
            let serving = http::serve(Arc::clone(&core), http_listener, tasks);
            core.supervision.spawn(&broker.background, "http", serving);
            core.supervision.spawn(
                &broker.background,
                "group_lag",
                group_lag_reader::read_when_asked(Arc::clone(&core)),
            );
        }
        let membership = match Membership::join(Arc::clone(&core), data_dir).await {
            Ok(membership) => membership,
            Err(error) => {
                broker.end_background().await;
                return Err(error);
            }
        };
        core.supervision.spawn(&broker.following, "membership", membership.run());
        let connections = Arc::clone(&broker.connections);
        let accepting = server::accept_connections(Arc::clone(&core), listener, connections);
        core.supervision.spawn(&broker.accepting, "accept", accepting);
        Ok(broker)
    }

    fn start_flusher(&self) {
        let core = Arc::clone(&self.core);
        self.core.supervision.spawn(&self.background, "flusher", async move {
            core.flusher.run(&core.failure, &core.metrics).await;
        });
    }

    /// Where clients connect (the port that was picked, where the config said 0).
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where `/metrics` and `/health` are served.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http_address
    }

    /// Why the broker is not as it should be, one text a reason; empty while it is well. `/health` says the same.
    pub fn health_problems(&self) -> Vec<String> {
        self.core.health_problems()
    }

    /// Resolves with the reason when the broker must stop (its log directory failed) and has closed its session, so
    /// that the cluster need not wait for the session to expire.
    pub fn failed(&self) -> impl Future<Output = String> + Send + 'static {
        let (failure, departure) = (Arc::clone(&self.core.failure), Arc::clone(&self.core.departure));
        async move {
            let reason = failure.tripped().await;
            departure.completed().await;
            reason
        }
    }

    /// Stops accepting, answers what is in flight, closes the logs cleanly and leaves the cluster. The error says why
    /// the broker had failed before (its log directory did), or failed on its way out.
    pub async fn shutdown(self) -> Result<(), String> {
        if self.core.failure.reason().is_some() {
            // The broker leaves its cluster already; who stops it now ends that half-way.
            self.core.departure.completed().await;
        }
        // One that fails from here on may have begun to leave, and is stopped before it has left.
        let registry_before = self.core.registry();
        self.accepting.abort_all();
        // What is being accepted is accepted, and told to close with the others.
        self.accepting.all_gone().await;
        self.core.connections.close_all();
        let drain_max = self.core.config.shutdown_drain_max;
        if let Err(Elapsed) = clock::timeout(drain_max, self.core.connections.all_closed()).await {
            tracing::warn!(connections = self.core.connections.count(), "connections_cut_off");
        }
        self.connections.abort_all();
        self.following.abort_all();
        // A task that is stopped takes its present step to its end: only then nothing is appended, opened or led.
        for group in [&self.connections, &self.following] {
            group.all_gone().await;
        }
        let registry = self.core.registry().or(registry_before);
        self.core.set_registry(None);
        self.close_logs().await;
        self.end_background().await;
        if let Some(registry) = registry {
            registry.zookeeper().clone().close().await;
        }
        facts::record(|| Fact::BrokerStopped { broker: self.core.id });
        tracing::info!(broker = %self.core.id, "broker_stopped");
        self.core.failure.reason().map_or(Ok(()), Err)
    }

    /// On return nothing is left that holds the data directory, but for the broker itself.
    async fn end_background(&self) {
        self.background.abort_all();
        self.background.all_gone().await;
        // Only now does nobody accept one more.
        self.http_connections.abort_all();
        self.http_connections.all_gone().await;
    }

    /// A log that cannot be closed cleanly is recovered at the next start.
    async fn close_logs(&self) {
        let open = self.core.replicas.open();
        let closings = open.iter().map(|partition| async {
            if let Err(error) = self.core.flusher.close(partition).await {
                tracing::error!(partition = %partition.name(), %error, "log_not_closed_cleanly");
            }
        });
        concurrently(CLOSINGS_AT_A_TIME_MAX, closings.collect()).await;
    }
}

async fn bind(endpoint: &Endpoint) -> Result<Listener, StartError> {
    let failed = |source: io::Error| StartError::Listen { address: endpoint.to_string(), source };
    let address = net::resolve(&endpoint.host, endpoint.port).await.map_err(failed)?;
    Listener::bind(address).await.map_err(failed)
}

/// Port 0 in the configuration stands for the port that was picked.
fn advertised(config: &CheckedConfig, bound: SocketAddr) -> Endpoint {
    let mut told = config.advertised.clone().unwrap_or_else(|| config.listen.clone());
    if told.port == 0 {
        told.port = bound.port();
    }
    told
}
