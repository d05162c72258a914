//! A broker: serves the partitions that ZooKeeper assigns to it over the Kafka protocol.
//!
//! [`Broker::start`] returns once the broker is registered and serving; [`Broker::shutdown`] closes everything
//! cleanly. Dropping a [`Broker`] stops it at once, as a crash would.

pub mod config;

use std::future::Future;
use std::net::SocketAddr;

use config::CheckedConfig;

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("not built yet")]
    NotBuilt,
}

/// A running broker.
pub struct Broker {
    address: SocketAddr,
    http_address: Option<SocketAddr>,
}

impl Broker {
    /// Starts a broker and waits until it serves.
    pub async fn start(_config: CheckedConfig) -> Result<Broker, StartError> {
        Err(StartError::NotBuilt)
    }

    /// Where clients connect (the port that was picked, where the config said 0).
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where `/metrics` and `/health` are served.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http_address
    }

    /// Resolves with the reason when the broker must stop: its log directory failed.
    pub fn failed(&self) -> impl Future<Output = String> + Send + 'static {
        std::future::pending()
    }

    /// Stops accepting, answers what is in flight, closes the logs cleanly and leaves the cluster.
    pub async fn shutdown(self) {}
}
