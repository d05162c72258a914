//! A ZooKeeper of one server that speaks the real wire protocol: what the simulation and `seedlog dev` run on.
//!
//! Limit: no ensemble, no authentication; every change is kept in memory and, where a snapshot directory is
//! given, saved whole before its reply.

mod commit;
mod connection;
mod core;
mod execute;
mod faults;
mod follower;
mod lagging;
mod path;
mod race;
mod server;
mod sessions;
mod shared;
mod snapshot;
mod store;
mod tree;
mod watches;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use faults::Breaking;
pub use server::{Control, Server};

/// How a server runs.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    pub listen: SocketAddr,
    /// Sessions expire on multiples of this.
    pub tick: Duration,
    /// Where changes are saved before they are answered. `None` keeps everything in memory: clients of such a
    /// server have seen a future that its next incarnation does not know, and are sent away by it for good.
    pub snapshot_dir: Option<PathBuf>,
    pub min_session_timeout: Duration,
    pub max_session_timeout: Duration,
}

impl ServerConfig {
    /// ZooKeeper's usual proportions: timeouts from 2 to 20 ticks of `tick`.
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
