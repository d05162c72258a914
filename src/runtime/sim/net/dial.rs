//! Listeners and handshakes: who listens where, how a connection comes to be, and how that fails.
//!
//! The waiting in between is done by `connect` in the parent module.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll, Waker};

use super::conns::{BOTH_HALVES, Conn, ConnKey, End};
use super::flow::Item;
use super::kernel::Net;
use super::link::Dialing;
use super::timer::Event;
use crate::runtime::sim::effects;
use crate::runtime::sim::identity::{Identity, NodeId};
use crate::runtime::sim::trace::{self, Kind, mix};
use crate::runtime::sim::world;
use crate::runtime::{AcceptError, Instant};

/// The range that free ports are given from, in order.
const EPHEMERAL_PORTS: std::ops::RangeInclusive<u16> = 32768..=60999;

type Place = (NodeId, u16, IpAddr);

/// Names one listener for good: places are used again, ids are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ListenerKey {
    place: Place,
    id: u64,
}

struct Listening {
    id: u64,
    owner: Identity,
    /// Connections whose handshake has not ended.
    handshaking: Vec<ConnKey>,
    /// Connections that may be accepted, first come first.
    ready: VecDeque<ConnKey>,
    acceptors: Vec<Waker>,
}

#[derive(Default)]
pub(super) struct Listeners {
    places: BTreeMap<Place, Listening>,
    last_id: u64,
    next_port: BTreeMap<NodeId, u16>,
}

impl Listeners {
    fn is_taken(&self, node: NodeId, port: u16, ip: IpAddr) -> bool {
        let first = (node, port, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let last = (node, port, IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)));
        let mut listening = self.places.range(first..=last).map(|((_, _, ip), _)| *ip);
        listening.any(|other| ip == other || ip.is_unspecified() || other.is_unspecified())
    }

    /// Who listens to connections to `address` at `node`.
    fn at(&mut self, node: NodeId, address: SocketAddr) -> Option<ListenerKey> {
        let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let places = [address.ip(), any[0], any[1]].map(|ip| (node, address.port(), ip));
        places.into_iter().find_map(|place| Some(ListenerKey { place, id: self.places.get(&place)?.id }))
    }

    fn get(&mut self, key: ListenerKey) -> Option<&mut Listening> {
        self.places.get_mut(&key.place).filter(|listening| listening.id == key.id)
    }

    fn free_port(&mut self, node: NodeId) -> io::Result<u16> {
        for _ in EPHEMERAL_PORTS {
            let next = self.next_port.entry(node).or_insert(*EPHEMERAL_PORTS.start());
            let port = *next;
            *next = if port == *EPHEMERAL_PORTS.end() { *EPHEMERAL_PORTS.start() } else { port + 1 };
            if !self.is_taken(node, port, Ipv4Addr::UNSPECIFIED.into()) {
                return Ok(port);
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, "every port is taken"))
    }

    /// The listener's machine is dead: nobody is told.
    pub(super) fn forget(&mut self, key: ListenerKey) {
        self.places.remove(&key.place);
    }

    /// The listeners of a life (or, without one, of a node).
    pub(super) fn of(&self, node: NodeId, life: Option<Identity>) -> Vec<ListenerKey> {
        let of_node = self.places.iter().filter(|((n, _, _), _)| *n == node);
        let of_life = of_node.filter(|(_, listening)| life.is_none_or(|life| listening.owner == life));
        of_life.map(|(place, listening)| ListenerKey { place: *place, id: listening.id }).collect()
    }
}

/// One attempt to connect.
pub(super) struct Dial {
    pub(super) owner: Identity,
    pub(super) target: NodeId,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
}

/// What a SYN brings.
pub(super) enum Answer {
    /// Nothing comes back; TCP tries again after a while.
    Lost,
    /// The machine answers, at the given time, that nobody listens.
    Refused(Instant),
    /// The machine answers at the given time.
    Agreed(ConnKey, Instant),
}

impl Net {
    pub(super) fn bind(
        &mut self,
        owner: Identity,
        address: SocketAddr,
    ) -> io::Result<(ListenerKey, SocketAddr)> {
        let (node, ip) = (owner.node, address.ip());
        if !ip.is_unspecified() && !ip.is_loopback() && ip != world::ip_of(node) {
            return Err(io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                format!("{ip} is not this machine's"),
            ));
        }
        let port = if address.port() == 0 { self.listeners.free_port(node)? } else { address.port() };
        if self.listeners.is_taken(node, port, ip) {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, format!("port {port} is taken")));
        }
        self.listeners.last_id += 1;
        let key = ListenerKey { place: (node, port, ip), id: self.listeners.last_id };
        let listening = Listening {
            id: key.id,
            owner,
            handshaking: Vec::new(),
            ready: VecDeque::new(),
            acceptors: Vec::new(),
        };
        self.listeners.places.insert(key.place, listening);
        Ok((key, SocketAddr::new(ip, port)))
    }

    pub(super) fn poll_accept(
        &mut self,
        key: ListenerKey,
        cx: &Context<'_>,
    ) -> Poll<Result<ConnKey, AcceptError>> {
        let Some(listening) = self.listeners.get(key) else {
            let closed = io::Error::new(io::ErrorKind::NotConnected, "the listener is closed");
            return Poll::Ready(Err(AcceptError::Exhausted(closed)));
        };
        // A connection that was reset before it was accepted may be gone without a trace.
        while let Some(key) = listening.ready.pop_front() {
            if let Some(conn) = self.conns.get(key) {
                // Or the process is told of it in place of a connection (accept(2), ECONNABORTED).
                if conn.ends[1].failure.is_some() {
                    self.conns.sweep(key);
                    // Or it gets the connection, and is told when it asks who is there (ENOTCONN).
                    let is_late = key.id % 2 == 1;
                    let kind =
                        if is_late { io::ErrorKind::NotConnected } else { io::ErrorKind::ConnectionAborted };
                    return Poll::Ready(Err(AcceptError::Peer(kind.into())));
                }
                conn.ends[1].held_halves = BOTH_HALVES;
                return Poll::Ready(Ok(key));
            }
        }
        if !listening.acceptors.iter().any(|waker| waker.will_wake(cx.waker())) {
            listening.acceptors.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Connections nobody accepted are reset.
    pub(super) fn close_listener(&mut self, key: ListenerKey) {
        if self.listeners.get(key).is_none() {
            return;
        }
        let listening = self.listeners.places.remove(&key.place).expect("found just above");
        for conn in listening.handshaking.into_iter().chain(listening.ready) {
            if self.conns.get(conn).is_some() {
                self.abort(conn, 1);
            }
        }
        for waker in listening.acceptors {
            waker.wake();
        }
    }

    pub(super) fn dial(&mut self, owner: Identity, to: SocketAddr) -> io::Result<Dial> {
        let local = to.ip().is_loopback() || to.ip().is_unspecified();
        let target = if local { Some(owner.node) } else { world::node_of(to.ip()) };
        let Some(target) = target else {
            let text = format!("no machine of the simulation has the address {}", to.ip());
            return Err(io::Error::new(io::ErrorKind::NetworkUnreachable, text));
        };
        let ip = if local { to.ip() } else { world::ip_of(owner.node) };
        let from = SocketAddr::new(ip, self.listeners.free_port(owner.node)?);
        Ok(Dial { owner, target, from, to })
    }

    /// Sends a SYN: when it arrives, if it does.
    pub(super) fn send_syn(&mut self, dial: &Dial) -> Instant {
        self.now() + self.links.latency(dial.owner.node, dial.target).draw(&mut self.draws)
    }

    /// The SYN is there, unless the link is cut or the machine has no power.
    pub(super) fn syn_arrived(&mut self, dial: &Dial) -> Answer {
        let (here, there) = (dial.owner.node, dial.target);
        let cut = self.links.is_cut(here, there) || self.links.is_cut(there, here);
        if cut {
            effects::held_up(here, there);
            effects::held_up(there, here);
        }
        if cut || !world::is_powered(there) {
            return Answer::Lost;
        }
        let dialing = self.links.dialing(there);
        if dialing.is_some() {
            effects::struck(there, "connect-hindered");
        }
        if dialing == Some(Dialing::Unanswered) {
            return Answer::Lost;
        }
        let answered = self.now() + self.links.latency(there, here).draw(&mut self.draws);
        let listener = self.listeners.at(there, dial.to).filter(|_| dialing != Some(Dialing::Refused));
        let Some(key) = listener else {
            self.stats.refused += 1;
            return Answer::Refused(answered);
        };
        let backlog = self.settings.backlog;
        let listening = self.listeners.get(key).expect("found just above");
        if listening.handshaking.len() + listening.ready.len() >= backlog {
            return Answer::Lost;
        }
        let ends = [End::new(dial.owner, dial.from, BOTH_HALVES), End::new(listening.owner, dial.to, 0)];
        let conn = self.conns.add(Conn::new(ends, key, &self.links));
        self.listeners.get(key).expect("as above").handshaking.push(conn);
        Answer::Agreed(conn, answered)
    }

    /// The answer to the SYN is there. Whether the connection stands; if not, TCP tries again.
    pub(super) fn establish(&mut self, key: ConnKey) -> io::Result<bool> {
        let conn = self.conns.of(key);
        if let Some(kind) = conn.ends[0].failure {
            return Err(io::Error::new(kind, "the listener closed"));
        }
        let (here, there) = conn.nodes(0);
        if self.links.is_cut(there, here) {
            self.discard(key);
            return Ok(false);
        }
        conn.established = true;
        let payload = mix(key.id, u64::from(conn.ends[1].address.port()));
        trace::event_of(conn.ends[0].owner, Kind::Connect, payload);
        self.stats.connections += 1;
        self.refresh(key);
        self.send_item(key, 0, Item::Open);
        Ok(true)
    }

    /// The last step of the handshake is there: the connection may be accepted, perhaps later.
    pub(super) fn opening_arrived(&mut self, key: ConnKey) {
        let there = self.conns.of(key).ends[1].owner.node;
        match self.links.dialing(there) {
            Some(Dialing::Late(by)) => self.schedule(self.now() + by, Event::Opened(key)),
            _ => self.opened(key),
        }
    }

    /// The connection may be accepted, if there still is one.
    pub(super) fn opened(&mut self, key: ConnKey) {
        let Some(listener) = self.conns.get(key).and_then(|conn| conn.listener.take()) else { return };
        let Some(listening) = self.listeners.get(listener) else { return };
        listening.handshaking.retain(|other| *other != key);
        listening.ready.push_back(key);
        for waker in listening.acceptors.drain(..) {
            waker.wake();
        }
    }

    /// The connecting process gives up before the handshake ended: no trace is left of it.
    pub(super) fn discard(&mut self, key: ConnKey) {
        let Some(conn) = self.conns.get(key) else { return };
        for end in &mut conn.ends {
            end.open = false;
            end.held_halves = 0;
        }
        if let Some(listener) = conn.listener.take()
            && let Some(listening) = self.listeners.get(listener)
        {
            listening.handshaking.retain(|other| *other != key);
        }
        self.conns.sweep(key);
    }
}
