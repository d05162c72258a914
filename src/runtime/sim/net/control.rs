//! The testbed's hand on the network: latencies, bandwidths, cuts, injuries to single connections, and counts.
//!
//! Every change is a trace event of the testbed, and takes effect at once.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::bandwidth::Bandwidth;
use super::conns::ConnKey;
use super::kernel::{Net, with_net};
use super::link::{Dialing, LinkLatency};
use crate::runtime::Instant;
use crate::runtime::sim::effects;
use crate::runtime::sim::identity::{Identity, NodeId};
use crate::runtime::sim::trace::{self, Kind, mix};

/// What has happened on the network so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetStats {
    /// Connections whose handshake ended well.
    pub connections: u64,
    /// Handshakes answered by a machine on which nobody listened.
    pub refused: u64,
    /// Resets sent, by kernels and by the testbed.
    pub resets: u64,
    /// Connections that failed by TCP's timeout.
    pub timed_out: u64,
    pub bytes_sent: u64,
    pub bytes_delivered: u64,
    /// Segments sent while a link on their way, there or back, was cut.
    pub segments_held: u64,
}

/// A connection that at least one kernel or process still has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    id: ConnKey,
    /// The node that connected, and the one that accepted.
    pub nodes: (NodeId, NodeId),
    pub addresses: (SocketAddr, SocketAddr),
    /// Bytes read from it, in both directions.
    pub bytes_delivered: u64,
    pub stalled: bool,
    /// When the node that connected sent data last, and the one that accepted.
    pub last_sent: (Option<Instant>, Option<Instant>),
}

/// The controls of this thread's simulated network.
#[derive(Clone, Copy, Debug)]
pub struct Control(());

/// The controls of this thread's simulated network. They panic outside of a run.
pub fn control() -> Control {
    Control(())
}

fn fault(code: u64, a: u64, b: u64) {
    trace::event_of(Identity::TESTBED, Kind::Fault, mix(mix(0x6e65_7400 | code, a), b));
}

fn link_fault(code: u64, from: NodeId, to: NodeId) {
    fault(code, u64::from(from.0), u64::from(to.0));
}

impl Control {
    // -- latency --------------------------------------------------------------------------------------

    /// Sets how long segments sent from now on take from `from` to `to`.
    pub fn set_latency(self, from: NodeId, to: NodeId, latency: LinkLatency) {
        link_fault(1, from, to);
        with_net(|net| {
            net.links.set_latency(from, to, latency);
            net.refresh_between(from, to);
        });
    }

    /// Sets the latency of every link that has none of its own.
    pub fn set_default_latency(self, latency: LinkLatency) {
        fault(2, 0, 0);
        with_net(|net| {
            net.links.set_default_latency(Some(latency));
            net.refresh_all();
        });
    }

    /// Undoes [`Control::set_latency`] for one link.
    pub fn restore_latency(self, from: NodeId, to: NodeId) {
        link_fault(14, from, to);
        with_net(|net| {
            net.links.forget_latency(from, to);
            net.refresh_between(from, to);
        });
    }

    // -- bandwidth ------------------------------------------------------------------------------------

    /// Bounds how much gets from `from` to `to` from now on, on all connections together.
    pub fn set_bandwidth(self, from: NodeId, to: NodeId, bandwidth: Bandwidth) {
        link_fault(16, from, to);
        with_net(|net| net.links.bottlenecks.set(from, to, bandwidth));
    }

    /// Undoes [`Control::set_bandwidth`]. What waited for its turn goes on its way at once.
    pub fn restore_bandwidth(self, from: NodeId, to: NodeId) {
        link_fault(17, from, to);
        with_net(|net| net.lift_bandwidth(from, to));
    }

    // -- cuts -----------------------------------------------------------------------------------------

    /// Cuts one direction: nothing sent by `from` reaches `to`, what is on its way included. Connections
    /// live on until TCP gives up; `to` can still send, but hears of no receipt.
    pub fn cut(self, from: NodeId, to: NodeId) {
        link_fault(4, from, to);
        with_net(|net| {
            if net.links.cut(from, to) {
                net.refresh_between(from, to);
            }
        });
    }

    /// Cuts both directions.
    pub fn cut_both(self, a: NodeId, b: NodeId) {
        self.cut(a, b);
        self.cut(b, a);
    }

    /// Undoes [`Control::cut`]. What was held arrives when TCP next sends it again: the longer the cut, the
    /// later.
    pub fn heal(self, from: NodeId, to: NodeId) {
        link_fault(5, from, to);
        with_net(|net| {
            if net.links.heal(from, to) {
                net.refresh_between(from, to);
            }
        });
    }

    /// Heals every cut.
    pub fn heal_all(self) {
        fault(6, 0, 0);
        with_net(|net| {
            if net.links.heal_all() {
                net.refresh_all();
            }
        });
    }

    /// The directions that are cut.
    pub fn cuts(self) -> Vec<(NodeId, NodeId)> {
        with_net(|net| net.links.cuts())
    }

    // -- connections ----------------------------------------------------------------------------------

    /// Every connection, in an order that depends on the seed alone. One that neither kernel knows any more,
    /// but a process still holds, is left out.
    pub fn connections(self) -> Vec<Connection> {
        with_net(|net| {
            let keys = net.conns.keys();
            keys.into_iter().filter_map(|key| describe(net, key)).collect()
        })
    }

    /// Resets every connection between two nodes: both ends fail at once. How many there were.
    pub fn reset_connections(self, a: NodeId, b: NodeId) -> usize {
        for_each_between(a, b, |connection| self.reset(connection))
    }

    /// Resets one connection: both ends fail at once.
    pub fn reset(self, connection: &Connection) {
        fault(7, connection.id.id, 0);
        with_net(|net| {
            for end in [0, 1] {
                reset_end(net, connection, end);
            }
        });
    }

    /// Resets `of`'s end of every connection with `with`: its peer goes on as though nothing had happened, and is
    /// answered with a reset when it next sends. How many there were.
    pub fn reset_ends(self, of: NodeId, with: NodeId) -> usize {
        for_each_between(of, with, |connection| {
            fault(18, connection.id.id, u64::from(of.0));
            let end = usize::from(connection.nodes.0 != of);
            with_net(|net| reset_end(net, connection, end));
        })
    }

    /// How many bytes a connection takes in each direction before the reader has read them; also of those that stand.
    pub fn set_window(self, bytes: u64) {
        fault(19, bytes, 0);
        with_net(|net| net.settings.window = bytes);
    }

    /// Makes every connection between two nodes half-open: packets vanish, nobody is told, for good. How
    /// many there were.
    pub fn drop_silently(self, a: NodeId, b: NodeId) -> usize {
        for_each_between(a, b, |connection| self.drop_one_silently(connection))
    }

    /// As [`Control::drop_silently`], for one connection.
    pub fn drop_one_silently(self, connection: &Connection) {
        fault(8, connection.id.id, 0);
        with_net(|net| {
            if let Some(conn) = net.conns.get(connection.id) {
                conn.blackholed = true;
                net.refresh(connection.id);
            }
        });
    }

    /// Holds one connection's packets back, both ways, until [`Control::release`]. TCP's timeout counts.
    pub fn stall(self, connection: &Connection) {
        fault(9, connection.id.id, 0);
        self.set_stalled(connection, true);
    }

    /// Undoes [`Control::stall`]: what was held goes on its way at once.
    pub fn release(self, connection: &Connection) {
        fault(10, connection.id.id, 0);
        self.set_stalled(connection, false);
    }

    fn set_stalled(self, connection: &Connection, stalled: bool) {
        with_net(|net| {
            if let Some(conn) = net.conns.get(connection.id) {
                conn.stalled = stalled;
                net.refresh_unstuck(connection.id);
            }
        });
    }

    // -- handshakes -----------------------------------------------------------------------------------

    /// How `node` treats those who connect to it from now on; `None` as usual.
    pub fn set_dialing(self, node: NodeId, dialing: Option<Dialing>) {
        let code = match dialing {
            None => 0,
            Some(Dialing::Refused) => 1,
            Some(Dialing::Unanswered) => 2,
            Some(Dialing::Late(by)) => 3 + by.as_nanos() as u64,
        };
        fault(15, u64::from(node.0), code);
        with_net(|net| net.links.set_dialing(node, dialing));
    }

    // -- settings and counts --------------------------------------------------------------------------

    /// How long TCP goes on without an acknowledgement before it gives up; also for what waits already.
    pub fn set_tcp_timeout(self, timeout: Duration) {
        fault(11, timeout.as_millis() as u64, 0);
        with_net(|net| {
            net.settings.tcp_timeout = timeout;
            net.review_time_outs();
        });
    }

    /// The TCP timeout in force; drawn per run.
    pub fn tcp_timeout(self) -> Duration {
        with_net(|net| net.settings.tcp_timeout)
    }

    /// Connections that a listener's kernel holds before the process accepts them.
    pub fn set_accept_backlog(self, backlog: usize) {
        fault(13, backlog as u64, 0);
        with_net(|net| net.settings.backlog = backlog);
    }

    /// What has happened so far.
    pub fn stats(self) -> NetStats {
        with_net(|net| net.stats)
    }
}

fn describe(net: &mut Net, key: ConnKey) -> Option<Connection> {
    let conn = net.conns.of(key);
    let known = conn.established && conn.ends.iter().any(|end| end.open);
    known.then(|| Connection {
        id: key,
        nodes: conn.nodes(0),
        addresses: (conn.ends[0].address, conn.ends[1].address),
        bytes_delivered: conn.bytes_delivered,
        stalled: conn.stalled,
        last_sent: (conn.flows[0].last_sent, conn.flows[1].last_sent),
    })
}

fn reset_end(net: &mut Net, connection: &Connection, end: usize) {
    let Some(conn) = net.conns.get(connection.id) else { return };
    net.stats.resets += 1;
    if conn.ends[end].open {
        let (there, here) = conn.nodes(1 - end);
        effects::held_up(there, here);
    }
    net.fail(connection.id, end, io::ErrorKind::ConnectionReset);
}

fn for_each_between(a: NodeId, b: NodeId, injure: impl Fn(&Connection)) -> usize {
    let mut connections = control().connections();
    connections.retain(|connection| connection.nodes == (a, b) || connection.nodes == (b, a));
    connections.iter().for_each(injure);
    connections.len()
}
