//! Simulated TCP: back-pressure, latency, half-close, resets, half-open connections, and links that delay as
//! TCP's retransmission does and fail as its timeout does.
//!
//! Below is what processes hold; `kernel` is what they hold it of. Links carry any number of bytes a second unless
//! the testbed bounds them. No congestion control, no keep-alive: an idle connection survives any outage, and a
//! stream never loses, reorders or repeats bytes. The testbed injures the network through [`control`].

mod bandwidth;
mod conns;
mod control;
mod dial;
mod flow;
mod kernel;
mod link;
pub mod messages;
mod outage;
mod timer;

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use madsim::plugin::Simulator;

pub use bandwidth::Bandwidth;
pub use control::{Connection, Control, NetStats, control};
pub use link::{Dialing, LinkLatency};

use self::conns::{ConnKey, Half};
use self::dial::{Answer, ListenerKey};
use self::kernel::{with_net, with_net_if_any};
use self::timer::sleep_exactly_until;
use super::clock;
use super::identity::{self, Identity};
use super::process::Descriptor;
use super::world::{self, Death};
use crate::runtime::pace::Pacer;
use crate::runtime::{AcceptError, Elapsed, FileRange, Instant, Pace, Segment};

/// The plugin. The network itself is thread-local, as the run is; this marks its beginning and its end.
pub struct NetSim;

impl Simulator for NetSim {
    fn new(_: &madsim::rand::GlobalRng, time: &madsim::time::TimeHandle, _: &madsim::Config) -> NetSim {
        kernel::install(time);
        NetSim
    }
}

impl Drop for NetSim {
    fn drop(&mut self) {
        kernel::uninstall();
    }
}

pub(super) fn on_birth(life: Identity) {
    with_net(|net| net.on_birth(life.node));
}

pub(super) fn on_death(life: Identity, death: Death) {
    with_net(|net| net.on_death(life, death));
}

/// The network's own task ends, before the run's last moments.
pub(super) fn end_run() {
    with_net_if_any(|net| net.agenda.stop());
}

/// A dead process's operations have no effect.
fn check(owner: Identity) -> io::Result<()> {
    if owner.may_act() {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::NotConnected, "the process is dead"))
    }
}

/// A listening socket.
pub struct Listener {
    key: ListenerKey,
    owner: Identity,
    local: SocketAddr,
    _descriptor: Descriptor,
}

impl Listener {
    /// Listens on `address`; port 0 picks a free one. `AddrInUse` if taken.
    pub async fn bind(address: SocketAddr) -> io::Result<Listener> {
        let owner = identity::current();
        check(owner)?;
        let descriptor = Descriptor::take(owner)?;
        let (key, local) = with_net(|net| net.bind(owner, address))?;
        Ok(Listener { key, owner, local, _descriptor: descriptor })
    }

    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// The next connection, and who it is from. Safe to drop.
    pub async fn accept(&self) -> Result<(Stream, SocketAddr), AcceptError> {
        check(self.owner).map_err(AcceptError::Exhausted)?;
        let descriptor = Descriptor::take(self.owner).map_err(AcceptError::Exhausted)?;
        let key = poll_fn(|cx| with_net(|net| net.poll_accept(self.key, cx))).await?;
        let stream = Stream::of(key, 1, self.owner, descriptor);
        let peer = stream.peer;
        Ok((stream, peer))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        with_net_if_any(|net| net.close_listener(self.key));
    }
}

/// The first wait before a SYN without an answer is sent again; each further wait doubles.
const SYN_RETRY_FIRST: Duration = Duration::from_secs(1);

/// Connects within `timeout`, else `TimedOut`.
pub async fn connect(address: SocketAddr, timeout: Duration) -> io::Result<Stream> {
    let owner = identity::current();
    check(owner)?;
    let descriptor = Descriptor::take(owner)?;
    let deadline = clock::world_now() + timeout;
    let dial = with_net(|net| net.dial(owner, address))?;
    let mut retry_wait = SYN_RETRY_FIRST;
    loop {
        let retry_at = clock::world_now() + retry_wait;
        wait_until(with_net(|net| net.send_syn(&dial)), deadline).await?;
        match with_net(|net| net.syn_arrived(&dial)) {
            Answer::Refused(answered) => {
                wait_until(answered, deadline).await?;
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            Answer::Agreed(key, answered) => {
                let embryo = Embryo(key);
                wait_until(answered, deadline).await?;
                if with_net(|net| net.establish(key))? {
                    std::mem::forget(embryo);
                    return Ok(Stream::of(key, 0, owner, descriptor));
                }
            }
            Answer::Lost => {}
        }
        wait_until(retry_at, deadline).await?;
        retry_wait *= 2;
    }
}

async fn wait_until(at: Instant, deadline: Instant) -> io::Result<()> {
    sleep_exactly_until(at.min(deadline)).await;
    if at > deadline { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
}

/// A connection that vanishes unless its handshake ends.
struct Embryo(ConnKey);

impl Drop for Embryo {
    fn drop(&mut self) {
        with_net_if_any(|net| net.discard(self.0));
    }
}

/// The address of `host` (a node's name, `localhost`, or an IP address).
pub async fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    let ip = match host.parse::<IpAddr>() {
        Ok(ip) => Some(ip),
        Err(_) if host == "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
        Err(_) => world::node_named(host).map(world::ip_of),
    };
    let ip = ip.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address")))?;
    Ok(SocketAddr::new(ip, port))
}

/// The addresses of `host`: one, as [`resolve`] says.
pub async fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(vec![resolve(host, port).await?])
}

/// A connected TCP stream.
pub struct Stream {
    read: ReadHalf,
    write: WriteHalf,
    local: SocketAddr,
    peer: SocketAddr,
}

impl Stream {
    fn of(key: ConnKey, end: usize, owner: Identity, descriptor: Descriptor) -> Stream {
        let [local, peer] = with_net(|net| {
            let ends = &net.conns.of(key).ends;
            [ends[end].address, ends[1 - end].address]
        });
        let descriptor = Arc::new(descriptor);
        let half = |half| {
            let _descriptor = Arc::clone(&descriptor);
            Handle { key, end, owner, half, was_split: false, _descriptor }
        };
        let (read, write) = (ReadHalf(half(Half::Read)), WriteHalf(half(Half::Write)));
        Stream { read, write, local, peer }
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
        let Stream { mut read, mut write, .. } = self;
        (read.0.was_split, write.0.was_split) = (true, true);
        (read, write)
    }
}

/// A process's hold on one half of a connection.
struct Handle {
    key: ConnKey,
    end: usize,
    owner: Identity,
    half: Half,
    was_split: bool,
    _descriptor: Arc<Descriptor>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        with_net_if_any(|net| net.drop_half(self.key, self.end, self.half, self.was_split));
    }
}

pub struct ReadHalf(Handle);

impl ReadHalf {
    /// Appends what has arrived, at most `limit` bytes, to `buffer`; waits for at least one. 0 means the
    /// peer closed its half. Safe to drop: nothing is lost.
    pub async fn read(&mut self, buffer: &mut BytesMut, limit: usize) -> io::Result<usize> {
        assert!(limit > 0, "a read of nothing looks like the end of the stream");
        let Handle { key, end, owner, .. } = self.0;
        poll_fn(|cx| {
            check(owner)?;
            with_net(|net| net.poll_read(key, end, limit, buffer, cx))
        })
        .await
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

pub struct WriteHalf(Handle);

/// Bytes of a file that are read at once: never more than the window, so that the file may change under a
/// transfer as it may under `sendfile`.
const FILE_CHUNK_BYTES: u64 = 32 * 1024;

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
        let Handle { key, end, owner, .. } = self.0;
        check(owner)?;
        with_net(|net| net.shut_down(key, end));
        Ok(())
    }

    async fn send_bytes(&self, run: &[Segment], pacer: &mut Pacer) -> io::Result<()> {
        let Handle { key, end, owner, .. } = self.0;
        let mut left: u64 = run.iter().map(Segment::len).sum();
        let mut pieces = Pieces { run, skip: 0, room: 0 };
        while left > 0 {
            let sent = poll_fn(|cx| {
                check(owner)?;
                with_net(|net| {
                    pieces.room = ready!(net.poll_room(key, end, cx))?.min(left);
                    let sent = pieces.room;
                    net.send_burst(key, end, sent, &mut pieces);
                    Poll::Ready(Ok::<u64, io::Error>(sent))
                })
            });
            let sent = in_time(pacer, sent).await?;
            pacer.took(sent);
            left -= sent;
        }
        Ok(())
    }

    async fn send_file(&self, range: &FileRange, pacer: &mut Pacer) -> io::Result<()> {
        let Handle { key, end, owner, .. } = self.0;
        let mut sent = 0;
        while sent < range.len {
            let room = poll_fn(|cx| {
                check(owner)?;
                with_net(|net| net.poll_room(key, end, cx))
            });
            let count = in_time(pacer, room).await?.min(range.len - sent).min(FILE_CHUNK_BYTES);
            range.file.warm_up().await;
            let mut chunk = BytesMut::zeroed(count as usize);
            let read = range.file.read_at(&mut chunk, range.offset + sent)?;
            // Reading the file may have been what killed the process.
            check(owner)?;
            if read == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends within the range"));
            }
            chunk.truncate(read);
            let pages = range.file.pages(range.offset + sent);
            with_net(|net| net.send_pages(key, end, chunk.freeze(), pages));
            pacer.took(read as u64);
            sent += read as u64;
        }
        Ok(())
    }
}

/// Cuts a run of byte segments into pieces that fit the room there is.
struct Pieces<'a> {
    run: &'a [Segment],
    /// Bytes of the first segment that are sent already.
    skip: usize,
    room: u64,
}

impl Iterator for Pieces<'_> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        loop {
            let (first, rest) = self.run.split_first()?;
            let Segment::Bytes(bytes) = first else { unreachable!("a run is of bytes alone") };
            let left = bytes.len() - self.skip;
            if left > 0 {
                let count = (left as u64).min(self.room) as usize;
                if count == 0 {
                    return None;
                }
                let piece = bytes.slice(self.skip..self.skip + count);
                self.skip += count;
                self.room -= count as u64;
                return Some(piece);
            }
            self.run = rest;
            self.skip = 0;
        }
    }
}
