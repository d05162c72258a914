//! TCP of the operating system (stub).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;

use crate::runtime::Segment;

fn stub<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A listening socket.
pub struct Listener;

impl Listener {
    /// Listens on `address`; port 0 picks a free one. `AddrInUse` if taken.
    pub async fn bind(_address: SocketAddr) -> io::Result<Listener> {
        stub()
    }

    pub fn local_address(&self) -> SocketAddr {
        SocketAddr::from(([0, 0, 0, 0], 0))
    }

    /// The next connection, and who it is from. Safe to drop.
    pub async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        stub()
    }
}

/// Connects within `timeout`, else `TimedOut`.
pub async fn connect(_address: SocketAddr, _timeout: Duration) -> io::Result<Stream> {
    stub()
}

/// The address of `host` (a name or an IP address).
pub async fn resolve(_host: &str, _port: u16) -> io::Result<SocketAddr> {
    stub()
}

/// A connected TCP stream.
pub struct Stream;

impl Stream {
    pub fn peer_address(&self) -> SocketAddr {
        SocketAddr::from(([0, 0, 0, 0], 0))
    }

    pub fn local_address(&self) -> SocketAddr {
        SocketAddr::from(([0, 0, 0, 0], 0))
    }

    /// Two halves that may be used by two tasks. The connection closes when both are dropped.
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        (ReadHalf, WriteHalf)
    }
}

pub struct ReadHalf;

impl ReadHalf {
    /// Appends what has arrived, at most `limit` bytes, to `buffer`; waits for at least one. 0 means the
    /// peer closed its half. Safe to drop: nothing is lost.
    pub async fn read(&mut self, _buffer: &mut BytesMut, _limit: usize) -> io::Result<usize> {
        stub()
    }
}

pub struct WriteHalf;

impl WriteHalf {
    /// Sends the segments in order, draining the vector; consecutive bytes go in one vectored write, a file
    /// range goes from the file to the socket. Waits while the peer does not read. If dropped half-way the
    /// connection must be closed.
    pub async fn send(&mut self, _segments: &mut Vec<Segment>) -> io::Result<()> {
        stub()
    }

    /// Half-close: the peer reads the end of the stream after what was sent.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        stub()
    }
}
