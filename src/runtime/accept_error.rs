//! Why a listener did not bring a connection.

use std::io;

/// The listener stays usable in both cases.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// One peer's connection ended before it was accepted: the next may be accepted at once.
    #[error("a connection ended before it was accepted: {0}")]
    Peer(io::Error),
    /// The process or the machine cannot hold one more (file descriptors, memory): the peers wait in the
    /// kernel's queue until something is given back.
    #[error("no room for one more connection: {0}")]
    Exhausted(io::Error),
}
