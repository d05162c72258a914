//! Connects to a server by its name.
//!
//! Limit: what is said on the connection is `session`'s.

use std::io;

use crate::runtime::net::{self, Stream};
use crate::runtime::{Instant, clock};

/// Resolves `server` (`host:port`) and connects to it, both before `until`, else `TimedOut`.
pub(super) async fn dial(server: &str, until: Instant) -> io::Result<Stream> {
    let (host, port) = super::split_address(server).ok_or(io::ErrorKind::InvalidInput)?;
    let left = || until.saturating_since(clock::now());
    let resolved = clock::timeout(left(), net::resolve(host, port)).await;
    let address = resolved.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    net::connect(address, left()).await
}
