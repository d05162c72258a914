//! The network between nodes: cuts in one direction or both, delays, narrow links, and what befalls single connections.
//!
//! Cuts may overlap; a direction is mended when the last cut over it ends.

use std::time::Duration;

use seedlog::runtime::sim::net::{self, Bandwidth, Connection, Dialing, LinkLatency};

use super::ongoing::Ongoing;
use super::script::Later;
use super::storm::Due;
use super::{Injector, Name};
use crate::cluster::ZOOKEEPER;
use crate::history::{Injected, Refusal};

/// How late a process gets to accept that is slow to do so.
const LATE_ACCEPT: Duration = Duration::from_secs(1);

/// A link's bandwidth: this many bytes a second, doubled up to so many times, exclusive.
const BANDWIDTH_MIN: u64 = 2 * 1024;
const BANDWIDTH_DOUBLINGS: u64 = 8;

/// Directions that are cut together, and mended together.
pub(super) type Directions = Vec<(Name, Name)>;

impl Injector {
    pub(super) fn cut(&mut self, directions: &Directions) {
        for (from, to) in directions {
            let holds = self.cuts.entry((from.clone(), to.clone())).or_insert(0);
            *holds += 1;
            if *holds == 1 {
                self.state(Injected::Cut { from: from.clone(), to: to.clone() });
                net::control().cut(self.cluster.node(from), self.cluster.node(to));
            }
        }
    }

    pub(super) fn mend(&mut self, directions: &Directions) {
        for (from, to) in directions {
            let Some(holds) = self.cuts.get_mut(&(from.clone(), to.clone())) else { continue };
            *holds -= 1;
            if *holds == 0 {
                self.cuts.remove(&(from.clone(), to.clone()));
                self.state(Injected::Mend { from: from.clone(), to: to.clone() });
                net::control().heal(self.cluster.node(from), self.cluster.node(to));
            }
        }
    }

    pub(super) fn mend_everything(&mut self) {
        for (from, to) in std::mem::take(&mut self.cuts).into_keys() {
            self.state(Injected::Mend { from: from.clone(), to: to.clone() });
            net::control().heal(self.cluster.node(&from), self.cluster.node(&to));
        }
    }

    pub(super) fn reset(&mut self, a: &Name, b: &Name) {
        self.state(Injected::Reset { a: a.clone(), b: b.clone() });
        net::control().reset_connections(self.cluster.node(a), self.cluster.node(b));
    }

    /// The end that `of` has of every connection between the two is reset, and the other is not told.
    pub(super) fn reset_one_end(&mut self, of: &Name, with: &Name) {
        self.state(Injected::ResetOneEnd { of: of.clone(), with: with.clone() });
        net::control().reset_ends(self.cluster.node(of), self.cluster.node(with));
    }

    /// Makes a link slow: what is sent from now on takes a floor, and an exponential part of this mean.
    pub(super) fn delay(&mut self, from: &Name, to: &Name, floor: Duration, mean: Duration) {
        self.begin(Ongoing::Delay(from.clone(), to.clone()));
        self.state(Injected::Delay {
            from: from.clone(),
            to: to.clone(),
            floor_ms: floor.as_millis() as u32,
            mean_ms: mean.as_millis() as u32,
        });
        let latency = LinkLatency { floor, mean };
        net::control().set_latency(self.cluster.node(from), self.cluster.node(to), latency);
    }

    pub(super) fn end_delay(&mut self, from: &Name, to: &Name) {
        self.state(Injected::Prompt { from: from.clone(), to: to.clone() });
        net::control().restore_latency(self.cluster.node(from), self.cluster.node(to));
    }

    /// Bounds what gets from one node to the other, on all connections together.
    pub(super) fn limit(&mut self, from: &Name, to: &Name, bytes_per_second: u64) {
        self.begin(Ongoing::Bandwidth(from.clone(), to.clone()));
        self.state(Injected::Bandwidth { from: from.clone(), to: to.clone(), bytes_per_second });
        let bandwidth = Bandwidth::per_second(bytes_per_second);
        net::control().set_bandwidth(self.cluster.node(from), self.cluster.node(to), bandwidth);
    }

    pub(super) fn end_limit(&mut self, from: &Name, to: &Name) {
        self.state(Injected::FullBandwidth { from: from.clone(), to: to.clone() });
        net::control().restore_bandwidth(self.cluster.node(from), self.cluster.node(to));
    }

    /// Stalls so many of the connections between the two, drawn, or every one; how many.
    pub(super) fn stall_some(&mut self, a: &Name, b: &Name, count: Option<u32>) -> u32 {
        let mut connections = self.unstalled(a, b);
        while count.is_some_and(|count| connections.len() > count as usize) {
            connections.remove(self.draws.below(connections.len() as u64) as usize);
        }
        self.stall(a, b, connections)
    }

    /// Stalls a drawn part of the connections between the two; how many.
    pub(super) fn stall_drawn(&mut self, a: &Name, b: &Name) -> u32 {
        let mut connections = self.unstalled(a, b);
        connections.retain(|_| self.draws.chance(2, 3));
        self.stall(a, b, connections)
    }

    fn unstalled(&self, a: &Name, b: &Name) -> Vec<Connection> {
        let (node_a, node_b) = (self.cluster.node(a), self.cluster.node(b));
        let mut connections = net::control().connections();
        connections.retain(|c| c.nodes == (node_a, node_b) || c.nodes == (node_b, node_a));
        connections.retain(|c| !c.stalled);
        connections
    }

    fn stall(&mut self, a: &Name, b: &Name, connections: Vec<Connection>) -> u32 {
        let count = connections.len() as u32;
        if count > 0 {
            self.begin(Ongoing::Stall(a.clone(), b.clone()));
            self.state(Injected::Stall { a: a.clone(), b: b.clone(), connections: count });
            connections.iter().for_each(|connection| net::control().stall(connection));
            self.stalled.entry((a.clone(), b.clone())).or_default().extend(connections);
        }
        count
    }

    /// Releases one of the stalled connections between the two, drawn.
    pub(super) fn release_one(&mut self, a: &Name, b: &Name) {
        let Some(stalled) = self.stalled.get_mut(&(a.clone(), b.clone())) else { return };
        let at = self.draws.below(stalled.len() as u64) as usize;
        let connection = stalled.remove(at);
        if stalled.is_empty() {
            self.stalled.remove(&(a.clone(), b.clone()));
            self.ongoing.remove(&Ongoing::Stall(a.clone(), b.clone()));
        }
        self.state(Injected::Release { a: a.clone(), b: b.clone(), connections: 1 });
        net::control().release(&connection);
    }

    pub(super) fn release_all(&mut self, a: &Name, b: &Name) {
        let stalled = self.stalled.remove(&(a.clone(), b.clone())).unwrap_or_default();
        let connections = stalled.len() as u32;
        self.state(Injected::Release { a: a.clone(), b: b.clone(), connections });
        stalled.iter().for_each(|connection| net::control().release(connection));
    }

    /// Every connection between the two is half-open from now on.
    pub(super) fn drop_silently(&mut self, a: &Name, b: &Name) {
        self.state(Injected::Drop { a: a.clone(), b: b.clone() });
        net::control().drop_silently(self.cluster.node(a), self.cluster.node(b));
    }

    /// The node takes in no new connections, or takes long over it.
    pub(super) fn refuse(&mut self, target: &Name, how: Refusal) {
        self.begin(Ongoing::Refusal(target.clone()));
        self.state(Injected::Refuse { target: target.clone(), how });
        let dialing = match how {
            Refusal::Refused => Dialing::Refused,
            Refusal::Unanswered => Dialing::Unanswered,
            Refusal::Late => Dialing::Late(LATE_ACCEPT),
        };
        net::control().set_dialing(self.cluster.node(target), Some(dialing));
    }

    pub(super) fn accept(&mut self, target: &Name) {
        self.state(Injected::Accept { target: target.clone() });
        net::control().set_dialing(self.cluster.node(target), None);
    }

    /// Everything between `target` and everybody else.
    pub(super) fn around(&self, target: &Name) -> Directions {
        let others = self.cluster.names().filter(|name| *name != target);
        others.flat_map(|other| both_ways(target, other)).collect()
    }

    /// Everything between two halves of the nodes, drawn.
    pub(super) fn draw_halves(&mut self) -> Directions {
        let names: Vec<Name> = self.cluster.names().cloned().collect();
        let (left, right): (Vec<Name>, Vec<Name>) = names.into_iter().partition(|_| self.draws.chance(1, 2));
        left.iter().flat_map(|a| right.iter().flat_map(|b| both_ways(a, b))).collect()
    }

    /// A link in both directions, or in one of them.
    pub(super) fn draw_directions(&mut self, a: Name, b: Name) -> Directions {
        let mut links = vec![(a.clone(), b.clone()), (b, a)];
        if self.draws.chance(1, 3) {
            links.swap_remove(self.draws.below(2) as usize);
        }
        links
    }

    pub(super) fn limit_for_a_while(&mut self, a: Name, b: Name) -> Later {
        let links = self.draw_directions(a, b);
        let lasting = self.draw_lasting();
        let ends = links.into_iter().map(|(from, to)| {
            // What is said to ZooKeeper is short.
            let is_terse = *from == *ZOOKEEPER || *to == *ZOOKEEPER;
            let doublings = if is_terse { BANDWIDTH_DOUBLINGS / 2 } else { BANDWIDTH_DOUBLINGS };
            let bytes_per_second = BANDWIDTH_MIN << self.draws.below(doublings);
            self.limit(&from, &to, bytes_per_second);
            (lasting, Due::End(Ongoing::Bandwidth(from, to)))
        });
        ends.collect()
    }

    /// Two groups of nodes by their roles, cut in one direction or both.
    pub(super) fn draw_cut(&mut self, clients: &[Name]) -> Directions {
        let broker = self.some_broker();
        let zookeeper: Name = ZOOKEEPER.into();
        let client = self.draws.pick(clients).cloned().unwrap_or_else(|| zookeeper.clone());
        let (one, others): (Name, Vec<Name>) = match self.draws.below(8) {
            0 => return self.around(&broker),
            1 => return self.draw_halves(),
            2 => (broker, clients.iter().cloned().chain([zookeeper]).collect()),
            3 => (client, vec![zookeeper]),
            4 => (broker, vec![self.some_broker()]),
            5 => (broker, vec![zookeeper]),
            _ => (broker, vec![client]),
        };
        let ways = self.draws.below(3);
        let mut directions = Directions::new();
        for other in others.into_iter().filter(|other| *other != one) {
            if ways != 1 {
                directions.push((one.clone(), other.clone()));
            }
            if ways != 2 {
                directions.push((other, one.clone()));
            }
        }
        directions
    }
}

pub(super) fn both_ways(a: &Name, b: &Name) -> Directions {
    vec![(a.clone(), b.clone()), (b.clone(), a.clone())]
}
