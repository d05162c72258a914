//! A ZooKeeper of one server that speaks the real wire protocol: what the simulation and `seedlog dev` run on.
//!
//! Limit: no ensemble, no authentication; every change is kept in memory and, where a snapshot directory is
//! given, saved whole before its reply.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How a server runs.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    pub listen: SocketAddr,
    /// Sessions expire on multiples of this.
    pub tick: Duration,
    /// Where changes are saved before they are answered; `None` keeps everything in memory.
    pub snapshot_dir: Option<PathBuf>,
    pub min_session_timeout: Duration,
    pub max_session_timeout: Duration,
}

impl ServerConfig {
    /// ZooKeeper's usual proportions: time-outs from 2 to 20 ticks of `tick`.
    pub fn new(listen: SocketAddr, tick: Duration) -> ServerConfig {
        ServerConfig {
            listen,
            tick,
            snapshot_dir: None,
            min_session_timeout: tick * 2,
            max_session_timeout: tick * 20,
        }
    }
}

/// A running server; dropping it stops it.
pub struct Server {
    address: SocketAddr,
}

impl Server {
    /// Loads what was saved and listens. `InvalidData` if the snapshot is corrupt.
    pub async fn start(_config: ServerConfig) -> io::Result<Server> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn control(&self) -> Control {
        Control {}
    }

    /// Closes every connection and stops; sessions stay as they are in the snapshot.
    pub async fn shutdown(self) {}
}

/// What a test may do to a server behind its clients' backs.
#[derive(Clone)]
pub struct Control {}

impl Control {
    /// The sessions alive.
    pub fn sessions(&self) -> Vec<i64> {
        Vec::new()
    }

    /// Expires a session as the ticker would; returns whether it was alive.
    pub fn expire_session(&self, _session: i64) -> bool {
        false
    }
}
