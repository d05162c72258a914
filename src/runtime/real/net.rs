//! TCP of the operating system: tokio's sockets, one system call per batch of replies, `sendfile` for ranges
//! of files.
//!
//! No timeouts but [`connect`]'s and no encryption: deadlines are the caller's, TLS a transport above this.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpSocket;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::clock;
use crate::runtime::pace::Pacer;
use crate::runtime::{AcceptError, Elapsed, FileRange, Pace, Segment};

/// Connections that the kernel holds for a listener which has not accepted them yet (cut by
/// `net.core.somaxconn`).
const ACCEPT_BACKLOG: u32 = 4096;
/// Pieces of one vectored write; IOV_MAX on Linux.
const WRITE_PIECES_MAX: usize = 1024;
/// A batch of up to this many pieces is written without an allocation.
const WRITE_PIECES_INLINE: usize = 64;
/// Room made in a reader's buffer when less than [`READ_ROOM_MIN`] is left.
const READ_ROOM: usize = 64 * 1024;
const READ_ROOM_MIN: usize = 4 * 1024;

/// A listening socket.
pub struct Listener {
    #[allow(clippy::disallowed_types)] // The seam's own listener.
    inner: tokio::net::TcpListener,
    local: SocketAddr,
}

impl Listener {
    /// Listens on `address`; port 0 picks a free one. `AddrInUse` if taken.
    pub async fn bind(address: SocketAddr) -> io::Result<Listener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restarted broker must not wait for its old connections' TIME_WAIT.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let inner = socket.listen(ACCEPT_BACKLOG)?;
        let local = inner.local_addr()?;
        Ok(Listener { inner, local })
    }

    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// The next connection, and who it is from. Safe to drop.
    pub async fn accept(&self) -> Result<(Stream, SocketAddr), AcceptError> {
        let (inner, peer) = self.inner.accept().await.map_err(accept_error)?;
        // The peer may have reset it already. Nobody but the peer is to notice.
        let stream = Stream::new(inner, Some(peer)).map_err(AcceptError::Peer)?;
        Ok((stream, peer))
    }
}

/// Linux tells of errors of the connection itself by `accept` (accept(2), "Error handling"). What is neither
/// one of those nor a lack is treated as a lack, so that nobody who waits in between turns in circles.
fn accept_error(error: io::Error) -> AcceptError {
    use rustix::io::Errno;
    const OF_THE_PEER: &[Errno] = &[
        Errno::CONNABORTED,
        Errno::CONNRESET,
        Errno::NETDOWN,
        Errno::PROTO,
        Errno::NOPROTOOPT,
        Errno::HOSTDOWN,
        Errno::NONET,
        Errno::HOSTUNREACH,
        Errno::OPNOTSUPP,
        Errno::NETUNREACH,
        Errno::PERM,
    ];
    match Errno::from_io_error(&error) {
        Some(errno) if OF_THE_PEER.contains(&errno) => AcceptError::Peer(error),
        _ => AcceptError::Exhausted(error),
    }
}

/// Connects within `timeout`, else `TimedOut`.
pub async fn connect(address: SocketAddr, timeout: Duration) -> io::Result<Stream> {
    #[allow(clippy::disallowed_types)] // The seam's own stream.
    let connecting = tokio::net::TcpStream::connect(address);
    match clock::timeout(timeout, connecting).await {
        Ok(connected) => Stream::new(connected?, None),
        Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// The first of the [`addresses`] of `host`.
pub async fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    Ok(addresses(host, port).await?[0])
}

/// The addresses of `host` (a name or an IP address), at least one. Those of IPv4 come first: the order of resolvers
/// differs for `localhost`.
pub async fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let mut addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    match addresses.is_empty() {
        true => Err(io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"))),
        false => Ok(addresses),
    }
}

/// A connected TCP stream.
pub struct Stream {
    #[allow(clippy::disallowed_types)] // The seam's own stream.
    inner: tokio::net::TcpStream,
    local: SocketAddr,
    peer: SocketAddr,
}

impl Stream {
    #[allow(clippy::disallowed_types)] // The seam's own stream.
    fn new(inner: tokio::net::TcpStream, peer: Option<SocketAddr>) -> io::Result<Stream> {
        inner.set_nodelay(true)?;
        let local = inner.local_addr()?;
        let peer = peer.map_or_else(|| inner.peer_addr(), Ok)?;
        Ok(Stream { inner, local, peer })
    }

    pub fn peer_address(&self) -> SocketAddr {
        self.peer
    }

    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// Two halves that may be used by two tasks. The connection closes when both are dropped; dropping the
    /// write half alone is a [`WriteHalf::shutdown`].
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        let (read, write) = self.inner.into_split();
        (ReadHalf { inner: read }, WriteHalf { inner: write })
    }
}

pub struct ReadHalf {
    inner: OwnedReadHalf,
}

impl ReadHalf {
    /// Appends what has arrived, at most `limit` bytes, to `buffer`; waits for at least one. 0 means the
    /// peer closed its half. Safe to drop: nothing is lost. Room in `buffer` is made only once something
    /// has arrived, so that an idle connection holds none.
    pub async fn read(&mut self, buffer: &mut BytesMut, limit: usize) -> io::Result<usize> {
        assert!(limit > 0, "a read of nothing looks like the end of the stream");
        self.inner.readable().await?;
        if buffer.capacity() - buffer.len() < limit.min(READ_ROOM_MIN) {
            buffer.reserve(limit.min(READ_ROOM));
        }
        // tokio's `poll_read` remembers that a short read emptied the socket; `try_read` would ask again.
        self.inner.read_buf(&mut buffer.limit(limit)).await
    }
}

/// Waits for room at the peer's; `TimedOut` once the peer has fallen behind its pace.
async fn in_time<T>(pacer: &mut Pacer, room: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match pacer.time_left(clock::now()) {
        None => room.await,
        Some(left) => {
            clock::timeout(left, room).await.unwrap_or_else(|Elapsed| Err(io::ErrorKind::TimedOut.into()))
        }
    }
}

pub struct WriteHalf {
    inner: OwnedWriteHalf,
}

impl WriteHalf {
    /// Sends the segments in order, draining the vector; consecutive bytes go in one vectored write, a file
    /// range goes from the file to the socket. Waits while the peer does not read. If dropped half-way, or
    /// after an error, the connection must be closed.
    pub async fn send(&mut self, segments: &mut Vec<Segment>) -> io::Result<()> {
        self.send_all(segments, Pacer::new(None)).await
    }

    /// The same, for as long as the peer keeps to `pace`; then `TimedOut`.
    pub async fn send_at_pace(&mut self, segments: &mut Vec<Segment>, pace: Pace) -> io::Result<()> {
        self.send_all(segments, Pacer::new(Some(pace))).await
    }

    async fn send_all(&mut self, segments: &mut Vec<Segment>, mut pacer: Pacer) -> io::Result<()> {
        let mut rest = segments.as_slice();
        while let Some(first) = rest.first() {
            if let Segment::File(range) = first {
                self.send_file(range, &mut pacer).await?;
                rest = &rest[1..];
            } else {
                let run = rest.iter().take_while(|s| matches!(s, Segment::Bytes(_))).count();
                self.send_bytes(&rest[..run], &mut pacer).await?;
                rest = &rest[run..];
            }
        }
        segments.clear();
        Ok(())
    }

    /// Half-close: the peer reads the end of the stream after what was sent.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        self.inner.shutdown().await
    }

    async fn send_bytes(&self, mut run: &[Segment], pacer: &mut Pacer) -> io::Result<()> {
        // Bytes of the first segment that are sent already.
        let mut skip = 0;
        loop {
            while run.first().is_some_and(|segment| segment.len() as usize == skip) {
                run = &run[1..];
                skip = 0;
            }
            if run.is_empty() {
                return Ok(());
            }
            let mut sent = match self.write_some(run, skip) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    in_time(pacer, self.inner.writable()).await?;
                    continue;
                }
                outcome => outcome?,
            };
            pacer.took(sent as u64);
            while sent > 0 {
                let left = run[0].len() as usize - skip;
                if sent < left {
                    skip += sent;
                    break;
                }
                sent -= left;
                run = &run[1..];
                skip = 0;
            }
        }
    }

    /// One vectored write of as much of `run` as the kernel takes; its first `skip` bytes are sent already.
    fn write_some(&self, run: &[Segment], skip: usize) -> io::Result<usize> {
        let pieces = run.iter().take(WRITE_PIECES_MAX).enumerate().map(|(index, segment)| match segment {
            Segment::Bytes(bytes) => IoSlice::new(if index == 0 { &bytes[skip..] } else { bytes }),
            Segment::File(_) => unreachable!("a run is of bytes alone"),
        });
        if run.len() <= WRITE_PIECES_INLINE {
            let mut inline = [IoSlice::new(&[]); WRITE_PIECES_INLINE];
            for (slot, piece) in inline.iter_mut().zip(pieces) {
                *slot = piece;
            }
            return self.inner.try_write_vectored(&inline[..run.len()]);
        }
        self.inner.try_write_vectored(&pieces.collect::<Vec<_>>())
    }

    async fn send_file(&self, range: &FileRange, pacer: &mut Pacer) -> io::Result<()> {
        let socket = self.inner.as_ref();
        let file = range.file.descriptor()?;
        let mut offset = range.offset;
        let end = range.offset + range.len;
        while offset < end {
            let left = usize::try_from(end - offset).unwrap_or(usize::MAX);
            let sent = socket.try_io(Interest::WRITABLE, || {
                let mut at = offset;
                Ok(rustix::fs::sendfile(socket, &*file, Some(&mut at), left)?)
            });
            let sent = match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    in_time(pacer, socket.writable()).await?;
                    continue;
                }
                outcome => outcome?,
            };
            if sent == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends within the range"));
            }
            pacer.took(sent as u64);
            offset += sent as u64;
            // A peer that takes as fast as this sends must not keep the thread from the others.
            tokio::task::consume_budget().await;
        }
        Ok(())
    }
}
