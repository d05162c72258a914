//! A ZooKeeper client: the wire format, one session's state machine, and the task that performs it.
//!
//! `codec` and `session` are pure. The handle is [`ZooKeeper`]; it never declares a session expired by itself:
//! only a server's word does.

pub mod client;
pub mod codec;
mod dial;
mod driver;
mod seen;
mod session;
mod stated;
mod watches;

use std::time::Duration;

pub use client::{CreateMode, MultiOp, MultiResult, Watch, WatchEvent, ZooKeeper, multi_bytes};
pub use codec::{REQUEST_BYTES_MAX, Stat};

/// Where ZooKeeper is and how long a session outlives its connection.
#[derive(Clone, Debug)]
pub struct ZooKeeperConfig {
    /// `host:port` of every server; tried in an order drawn at random.
    pub servers: Vec<String>,
    /// Asked for; the server may grant another. Pings go at a third of what was granted.
    pub session_timeout: Duration,
    /// How long one attempt to connect, the handshake included, may take. A third of the session timeout at most, so
    /// that a server which is down does not cost the session.
    pub connect_timeout: Duration,
}

/// Why an operation did not succeed. Every variant but `ConnectionLost` and `SessionExpired` says that it had
/// no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZkError {
    #[error("no such node")]
    NoNode,
    #[error("the node exists already")]
    NodeExists,
    #[error("the node has another version")]
    BadVersion,
    #[error("the node has children")]
    NotEmpty,
    #[error("an ephemeral node cannot have children")]
    NoChildrenForEphemerals,
    #[error("bad arguments")]
    BadArguments,
    #[error("not permitted")]
    NoAuth,
    /// The connection ended, or none came up in time. A write may have been applied.
    #[error("the connection to ZooKeeper was lost; a write may have been applied")]
    ConnectionLost,
    /// ZooKeeper said that the session is over. A write in flight before may have been applied.
    #[error("the ZooKeeper session expired")]
    SessionExpired,
    /// This client was closed.
    #[error("the ZooKeeper client is closed")]
    Closed,
    /// The request is larger than a server accepts.
    #[error("a request of {bytes} bytes exceeds the limit of {limit}")]
    TooLarge { bytes: usize, limit: usize },
    /// `host:port` was expected.
    #[error("{0:?} is no address of a ZooKeeper server")]
    BadAddress(String),
    /// A limit of this client, named.
    #[error("too many {0}")]
    TooMany(&'static str),
    /// Any other code of ZooKeeper's.
    #[error("ZooKeeper error {0}")]
    Other(i32),
}

impl From<codec::ErrorCode> for ZkError {
    fn from(code: codec::ErrorCode) -> ZkError {
        use codec::ErrorCode as Code;
        match code {
            Code::NO_NODE => ZkError::NoNode,
            Code::NODE_EXISTS => ZkError::NodeExists,
            Code::BAD_VERSION => ZkError::BadVersion,
            Code::NOT_EMPTY => ZkError::NotEmpty,
            Code::NO_CHILDREN_FOR_EPHEMERALS => ZkError::NoChildrenForEphemerals,
            Code::BAD_ARGUMENTS => ZkError::BadArguments,
            Code::NO_AUTH => ZkError::NoAuth,
            Code::SESSION_EXPIRED => ZkError::SessionExpired,
            // The connection that said so is about to end; the session lives on elsewhere.
            Code::SESSION_MOVED => ZkError::ConnectionLost,
            Code(other) => ZkError::Other(other),
        }
    }
}

/// The host and the port of `host:port`; a host of IPv6 stands in brackets.
fn split_address(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() { None } else { Some((host, port.parse().ok()?)) }
}
