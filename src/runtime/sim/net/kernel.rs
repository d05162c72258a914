//! The kernels of all machines, as far as TCP goes: connections, what their ends may do, and how they end.
//!
//! State and decisions; the handles that processes hold are in the parent module, handshakes in `dial`, cut
//! links and dead machines in `outage`.

use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use madsim::time::TimeHandle;

use super::NetStats;
use super::conns::{ConnKey, Conns, Half};
use super::dial::Listeners;
use super::flow::{HELD, Item, Taken};
use super::link::Links;
use super::messages;
use super::timer::{Agenda, Event};
use crate::runtime::Instant;
use crate::runtime::random::Rng;
use crate::runtime::sim::disk::Pages;
use crate::runtime::sim::effects;
use crate::runtime::sim::trace::{self, Kind, hash_bytes, mix};
use crate::runtime::sim::{buggify, rng};

/// Bytes that a connection takes in each direction before the reader has read them; on an unusual machine one of
/// the others.
const WINDOW_BYTES: u64 = 64 * 1024;
const UNUSUAL_WINDOWS_BYTES: [u64; 2] = [4 * 1024, 4 << 20];
/// Connections that wait for a listener's process.
const ACCEPT_BACKLOG: usize = 128;
/// TCP gives up when nothing was acknowledged for this long (drawn per run), where it was told to; else after the
/// time that Linux takes over 15 retransmissions.
const TCP_TIMEOUT_SECONDS: (u64, u64) = (15, 25);
const TCP_TIMEOUT_UNTOLD: Duration = Duration::from_millis(924_600);
/// One run in so many has an unusual window; the same of timeouts.
const UNUSUAL_ONE_IN: u64 = 4;
/// One burst in this many is torn at a random byte, and the rest arrives later.
const TEAR_ONE_IN: u64 = 16;

pub(super) struct Settings {
    pub(super) window: u64,
    pub(super) backlog: usize,
    pub(super) tcp_timeout: Duration,
}

pub(super) struct Net {
    pub(super) time: TimeHandle,
    pub(super) draws: Rng,
    pub(super) settings: Settings,
    pub(super) conns: Conns,
    pub(super) links: Links,
    pub(super) listeners: Listeners,
    pub(super) agenda: Agenda,
    pub(super) stats: NetStats,
}

thread_local! {
    static NET: RefCell<Option<Net>> = const { RefCell::new(None) };
}

/// Runs `f` on the run's network. Nothing in `f` may run code of a node.
pub(super) fn with_net<T>(f: impl FnOnce(&mut Net) -> T) -> T {
    NET.with_borrow_mut(|net| f(net.as_mut().expect("a simulation runs on this thread")))
}

/// As [`with_net`], for destructors: they may run when the network is gone.
pub(super) fn with_net_if_any(f: impl FnOnce(&mut Net)) {
    // A thread that ends has no network either.
    let _gone = NET.try_with(|net| net.borrow_mut().as_mut().map(f));
}

pub(super) fn install(time: &TimeHandle) {
    let net = Net::new(time.clone());
    drop(NET.replace(Some(net)));
}

pub(super) fn uninstall() {
    // Taken out first: what is dropped with it must find the cell free.
    let net = NET.try_with(RefCell::take);
    drop(net);
}

fn error(kind: io::ErrorKind, text: &'static str) -> io::Error {
    io::Error::new(kind, text)
}

impl Net {
    fn new(time: TimeHandle) -> Net {
        let mut draws = rng::world_stream("net");
        let (shortest, longest) = TCP_TIMEOUT_SECONDS;
        let told = Duration::from_millis(draws.between(shortest * 1000, longest * 1000));
        let mut unusual = rng::world_stream("net unusual settings");
        let is_unusual = [(); 2].map(|()| unusual.chance(1, UNUSUAL_ONE_IN) && buggify::is_enabled());
        let window = *unusual.pick(&UNUSUAL_WINDOWS_BYTES).expect("not empty");
        let settings = Settings {
            window: if is_unusual[0] { window } else { WINDOW_BYTES },
            backlog: ACCEPT_BACKLOG,
            tcp_timeout: if is_unusual[1] { TCP_TIMEOUT_UNTOLD } else { told },
        };
        Net {
            time,
            draws,
            settings,
            conns: Conns::default(),
            links: Links::new(),
            listeners: Listeners::default(),
            agenda: Agenda::default(),
            stats: NetStats::default(),
        }
    }

    pub(super) fn now(&self) -> Instant {
        Instant::from_nanos(self.time.elapsed().as_nanos() as u64)
    }

    pub(super) fn schedule(&mut self, at: Instant, event: Event) {
        let now = self.now();
        self.agenda.schedule(at, event, now, &self.time);
    }

    // -- sending --------------------------------------------------------------------------------------

    /// Bytes that end `from` may send now; waits for some.
    pub(super) fn poll_room(&mut self, key: ConnKey, from: usize, cx: &Context<'_>) -> Poll<io::Result<u64>> {
        let (now, window) = (self.now(), self.settings.window);
        let conn = self.conns.of(key);
        if let Some(failure) = conn.ends[from].tell_failure() {
            return Poll::Ready(Err(failure));
        }
        let (sender, receiver) = conn.nodes(from);
        let flow = &mut conn.flows[from];
        if !conn.ends[from].open || flow.fin_sent {
            return Poll::Ready(Err(error(io::ErrorKind::BrokenPipe, "this half is closed")));
        }
        let room = flow.room(window, now);
        let next = match self.links.bottlenecks.room(sender, receiver, now) {
            Ok(turn) if room > 0 => {
                flow.writer.stop_waiting();
                return Poll::Ready(Ok(room.min(turn)));
            }
            Ok(_) => flow.next_update(),
            Err(at) => Some(at),
        };
        flow.writer.wait(cx, next, now, &self.time);
        if !conn.is_clear() {
            // TCP probes a closed window, and gives up like for data if no probe is answered.
            self.starve(key, from);
        }
        Poll::Pending
    }

    /// Sends pieces of `total` bytes, which [`Net::poll_room`] had room for, as one burst.
    pub(super) fn send_burst(
        &mut self,
        key: ConnKey,
        from: usize,
        total: u64,
        pieces: impl Iterator<Item = Bytes>,
    ) {
        let mut latency = self.draw_latency(key, from);
        let torn = self.draws.chance(1, TEAR_ONE_IN);
        let mut tear_after = torn.then(|| self.draws.below(total) as usize);
        for mut piece in pieces {
            self.stats.bytes_sent += piece.len() as u64;
            if let Some(left) = tear_after {
                if left < piece.len() {
                    let head = piece.split_to(left);
                    if !head.is_empty() {
                        self.push_data(key, from, head, latency);
                    }
                    latency = self.draw_latency(key, from);
                    tear_after = None;
                } else {
                    tear_after = Some(left - piece.len());
                }
            }
            self.push_data(key, from, piece, latency);
        }
    }

    /// Sends a piece of a file in one burst. Now and then it leaves the page cache only when it arrives.
    pub(super) fn send_pages(&mut self, key: ConnKey, from: usize, bytes: Bytes, pages: Pages) {
        self.send_burst(key, from, bytes.len() as u64, std::iter::once(bytes.clone()));
        if buggify::fires("net.file-sent-late") {
            let flow = &mut self.conns.of(key).flows[from];
            flow.sent_from(pages, bytes.len());
        }
    }

    fn draw_latency(&mut self, key: ConnKey, from: usize) -> Duration {
        let latency = self.conns.of(key).flows[from].latency;
        latency.draw(&mut self.draws)
    }

    /// When `bytes` that end `from` sends now have left its machine.
    pub(super) fn depart(&mut self, key: ConnKey, from: usize, bytes: u64) -> Instant {
        let now = self.now();
        if self.links.bottlenecks.is_none() {
            return now;
        }
        let (sender, receiver) = self.conns.of(key).nodes(from);
        self.links.bottlenecks.depart(sender, receiver, bytes, now)
    }

    fn push_data(&mut self, key: ConnKey, from: usize, bytes: Bytes, latency: Duration) {
        let departure = self.depart(key, from, bytes.len() as u64);
        self.push(key, from, Item::Data(bytes), departure + latency);
    }

    /// Sends one item by itself.
    pub(super) fn send_item(&mut self, key: ConnKey, from: usize, item: Item) {
        let latency = self.draw_latency(key, from);
        self.push(key, from, item, self.now() + latency);
    }

    fn push(&mut self, key: ConnKey, from: usize, item: Item, earliest: Instant) {
        let now = self.now();
        let conn = self.conns.of(key);
        if let Item::Data(bytes) = &item {
            messages::on_sent(key, from, conn, bytes, now);
            conn.flows[from].last_sent = Some(now);
        }
        let receiver_open = conn.ends[1 - from].open;
        let item = match item {
            Item::Data(_) | Item::Open if !receiver_open => Item::Stray,
            Item::Fin if !receiver_open => return,
            item => item,
        };
        let (sender, owner) = conn.nodes(from);
        let is_slowed = self.links.is_slowed(sender, owner);
        let calls_kernel = matches!(item, Item::Open | Item::Stray);
        let back = conn.flows[1 - from].latency.typical();
        let path_is_clear = conn.is_clear();
        let flow = &mut conn.flows[from];
        let arrival = flow.arrival(earliest);
        if arrival == HELD || is_slowed && arrival > now + effects::NOTICEABLE {
            effects::held_up(sender, owner);
        }
        flow.push(arrival, item);
        if arrival != HELD {
            flow.reader.wake_at(arrival, now, &self.time);
        }
        if path_is_clear && arrival != HELD {
            flow.expect_ack(arrival + back, now);
        } else {
            self.stats.segments_held += 1;
            self.starve(key, from);
        }
        if calls_kernel && arrival != HELD {
            self.schedule(arrival, Event::Inspect(key, from));
        }
    }

    /// Something of flow `from` waits for an acknowledgement that a cut link keeps away.
    pub(super) fn starve(&mut self, key: ConnKey, from: usize) {
        let now = self.now();
        let timeout = self.settings.tcp_timeout;
        if let Some(since) = self.conns.of(key).flows[from].starve(now) {
            self.schedule(since + timeout, Event::GiveUp(key, from));
        }
    }

    // -- receiving ------------------------------------------------------------------------------------

    /// Moves what has arrived for end `to` to `buffer`; waits for something.
    pub(super) fn poll_read(
        &mut self,
        key: ConnKey,
        to: usize,
        limit: usize,
        buffer: &mut BytesMut,
        cx: &Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let now = self.now();
        let start = buffer.len();
        let conn = self.conns.of(key);
        let flow = &mut conn.flows[1 - to];
        match flow.take(now, limit, buffer) {
            Taken::Bytes(count) => {
                flow.reader.stop_waiting();
                conn.bytes_delivered += count as u64;
                let payload = mix(key.id << 1 | to as u64, hash_bytes(&buffer[start..]));
                trace::event_of(conn.ends[to].owner, Kind::Deliver, payload);
                messages::on_read(key, 1 - to, count, now);
                self.give_room_back(key, to, count);
                Poll::Ready(Ok(count))
            }
            Taken::End => {
                flow.reader.stop_waiting();
                Poll::Ready(Ok(0))
            }
            Taken::Nothing => match (conn.ends[to].failure, conn.ends[to].open) {
                (Some(_), _) => Poll::Ready(conn.ends[to].tell_failure().map_or(Ok(0), Err)),
                (None, false) => Poll::Ready(Err(error(io::ErrorKind::NotConnected, "closed"))),
                (None, true) => {
                    let next = flow.next_arrival().filter(|at| *at > now);
                    flow.reader.wait(cx, next, now, &self.time);
                    Poll::Pending
                }
            },
        }
    }

    fn give_room_back(&mut self, key: ConnKey, to: usize, count: usize) {
        let (now, window) = (self.now(), self.settings.window);
        self.stats.bytes_delivered += count as u64;
        let conn = self.conns.of(key);
        let (back, back_open) = (conn.flows[to].latency.typical(), conn.flows[to].forward_open);
        let flow = &mut conn.flows[1 - to];
        if let Some(bytes) = flow.count_read(count, window) {
            flow.push_update(if back_open { now + back } else { HELD }, bytes);
            if let Some(at) = flow.next_update() {
                flow.writer.wake_at(at, now, &self.time);
            }
        }
    }

    // -- endings --------------------------------------------------------------------------------------

    /// Half-close, as a process asks for it. Of a connection that is over nothing is told (tokio swallows ENOTCONN).
    pub(super) fn shut_down(&mut self, key: ConnKey, from: usize) {
        self.send_fin(key, from);
    }

    /// The peer reads the end of the stream behind what was sent.
    fn send_fin(&mut self, key: ConnKey, from: usize) {
        let conn = self.conns.of(key);
        if !conn.ends[from].open || std::mem::replace(&mut conn.flows[from].fin_sent, true) {
            return;
        }
        trace::event_of(conn.ends[from].owner, Kind::Close, key.id << 2);
        self.send_item(key, from, Item::Fin);
    }

    /// The kernel of end `end` closes the connection, as `close` does: with a reset if bytes that arrived
    /// are thrown away.
    pub(super) fn close(&mut self, key: ConnKey, end: usize) {
        let now = self.now();
        if !self.conns.of(key).ends[end].open {
            return;
        }
        if self.conns.of(key).flows[1 - end].has_unread(now) {
            self.abort(key, end);
            return;
        }
        self.send_fin(key, end);
        self.leave(key, end);
    }

    /// The kernel of end `end` closes the connection with a reset.
    pub(super) fn abort(&mut self, key: ConnKey, end: usize) {
        if !self.conns.of(key).ends[end].open {
            return;
        }
        self.send_reset(key, end);
        self.leave(key, end);
    }

    /// End `end` is no more; what is on its way to it strays.
    pub(super) fn leave(&mut self, key: ConnKey, end: usize) {
        let now = self.now();
        let conn = self.conns.of(key);
        conn.ends[end].open = false;
        if let Some(first) = conn.flows[1 - end].abandon(now) {
            self.schedule(first, Event::Inspect(key, 1 - end));
        }
        self.wake_end(key, end);
        self.conns.sweep(key);
    }

    /// The kernel of end `from` answers with a reset, and forgets what it wanted to say. A reset that does
    /// not get through is never sent again by itself: only another segment of the peer brings another.
    pub(super) fn send_reset(&mut self, key: ConnKey, from: usize) {
        let latency = self.draw_latency(key, from);
        let earliest = self.now() + latency;
        let now = self.now();
        let conn = self.conns.of(key);
        let flow = &mut conn.flows[from];
        flow.forget_held();
        if buggify::fires("net.reset-overtakes") {
            // Who resets throws away what had not left yet.
            let survivors = self.draws.below(flow.in_flight(now) as u64 + 1) as usize;
            flow.lose_in_flight(now, survivors);
        }
        if flow.has_reset() || !flow.forward_open || !conn.ends[1 - from].open {
            return;
        }
        trace::event_of(conn.ends[from].owner, Kind::Close, key.id << 2 | 1);
        self.stats.resets += 1;
        let arrival = flow.arrival(earliest);
        assert!(arrival != HELD, "nothing is held on an open way");
        flow.push(arrival, Item::Rst);
        self.schedule(arrival, Event::Inspect(key, from));
    }

    /// The connection is over for end `end`, which learns `kind`; what has arrived can still be read.
    pub(super) fn fail(&mut self, key: ConnKey, end: usize, kind: io::ErrorKind) {
        let now = self.now();
        let conn = self.conns.of(key);
        if !std::mem::replace(&mut conn.ends[end].open, false) {
            return;
        }
        conn.ends[end].failure = Some(kind);
        let first_stray = conn.flows[1 - end].keep_arrived_data(now);
        conn.flows[end].forget_held();
        let code = 2 | u64::from(kind == io::ErrorKind::TimedOut);
        trace::event_of(conn.ends[end].owner, Kind::Close, key.id << 2 | code);
        if let Some(first) = first_stray {
            self.schedule(first, Event::Inspect(key, 1 - end));
        }
        self.wake_end(key, end);
        self.conns.sweep(key);
    }

    fn wake_end(&mut self, key: ConnKey, end: usize) {
        let conn = self.conns.of(key);
        conn.flows[1 - end].reader.wake();
        conn.flows[end].writer.wake();
    }

    /// A process drops a half. A dead one changes nothing by it: its kernel closed the connection, or has no
    /// power. A write half ends the stream, be it the last half or not: even where bytes are thrown away the reset has
    /// an end in front of it. That of a stream which was never split does not.
    pub(super) fn drop_half(&mut self, key: ConnKey, end: usize, half: Half, was_split: bool) {
        let Some(conn) = self.conns.get(key) else { return };
        conn.ends[end].held_halves &= !(half as u8);
        let is_last = conn.ends[end].held_halves == 0;
        if half == Half::Write && was_split {
            self.send_fin(key, end);
        }
        if is_last {
            self.close(key, end);
        }
        self.conns.sweep(key);
    }
}
