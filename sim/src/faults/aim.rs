//! Whom a drawn fault is for: those who do now what it makes fail. Where nobody does, it is for anybody.
//!
//! A few are not aimed: what nobody does now may be done next.

use std::collections::BTreeSet;
use std::time::Duration;

use seedlog::runtime::Instant;
use seedlog::runtime::sim::disk::{self, Operation};
use seedlog::runtime::sim::identity::NodeId;
use seedlog::runtime::sim::{clock, net};

use super::network::Directions;
use super::{Injector, Name};
use crate::scenario::Plan;

/// What was done within this is likely to be done again soon.
const LATELY: Duration = Duration::from_secs(3);
/// How many targets are drawn until one is met that does what is asked for.
const TRIES_MAX: u32 = 24;
/// One fault in so many is for whomever it is drawn.
const UNAIMED_ONE_IN: u64 = 40;

impl Injector {
    /// Draws until it is a good target, or for so often that there seems to be none.
    pub(super) fn aimed<T>(
        &mut self,
        mut draw: impl FnMut(&mut Injector) -> T,
        is_good: impl Fn(&Injector, &T) -> bool,
    ) -> T {
        let tries = if self.draws.chance(1, UNAIMED_ONE_IN) { 0 } else { TRIES_MAX };
        for _ in 0..tries {
            let drawn = draw(self);
            if is_good(self, &drawn) {
                return drawn;
            }
        }
        draw(self)
    }

    /// Whether something was sent in one of these directions, on a connection that stands.
    pub(super) fn speak(&self, directions: &Directions) -> bool {
        let sent: BTreeSet<_> = self.sent_lately().collect();
        let node = |name| self.cluster.node(name);
        directions.iter().any(|(from, to)| sent.contains(&(node(from), node(to))))
    }

    /// Somebody who has connected to `target` and uses it.
    pub(super) fn some_client_of(&mut self, target: &Name) -> Option<Name> {
        let target = self.cluster.node(target);
        let connections = net::control().connections().into_iter();
        let used = connections.filter(|c| c.nodes.1 == target && is_lately(c.last_sent.0));
        let clients: BTreeSet<NodeId> = used.map(|connection| connection.nodes.0).collect();
        let named: Vec<Name> =
            self.cluster.names().filter(|name| clients.contains(&self.cluster.node(name))).cloned().collect();
        self.draws.pick(&named).cloned()
    }

    fn sent_lately(&self) -> impl Iterator<Item = (NodeId, NodeId)> {
        net::control().connections().into_iter().filter(|c| !c.stalled).flat_map(|connection| {
            let (a, b) = connection.nodes;
            let ways = [(connection.last_sent.0, (a, b)), (connection.last_sent.1, (b, a))];
            ways.into_iter().filter(|(at, _)| is_lately(*at)).map(|(_, way)| way)
        })
    }

    /// Whether a process of the node did such an operation lately, on a disk that nothing is wrong with.
    pub(super) fn does(&self, target: &Name, operation: Operation) -> bool {
        let node = self.cluster.node(target);
        self.is_running(target)
            && !self.ill_disks.contains(target)
            && is_lately(disk::last_performed(node, operation))
    }

    /// Whether the node's process asks for the time again and again.
    pub(super) fn looks_at_clock(&self, target: &Name) -> bool {
        self.is_running(target) && is_lately(clock::wall_read_before(self.cluster.node(target)))
    }

    /// Whether the node's process has something left to do.
    pub(super) fn is_at_work(&self, target: &Name) -> bool {
        self.is_running(target) && !self.cluster.shared().has_finished(target)
    }

    /// Whether the node stated one of these kinds of facts lately.
    pub(super) fn has_lately(&self, target: &Name, kinds: &[&'static str]) -> bool {
        let node = self.cluster.node(target);
        self.is_running(target) && kinds.iter().any(|kind| is_lately(self.recorder.last_stated(node, kind)))
    }

    /// Producers that have something left to send, and do with it what a load of this kind is about.
    pub(super) fn senders(&self, kind: &str, plan: &Plan) -> Vec<Name> {
        let looks_at_records = ["hot-key", "huge-record"].contains(&kind);
        let producers = plan.producers.iter().filter(|(_, producer)| !looks_at_records || !producer.is_wire);
        let names = producers.map(|(name, _)| name.as_str());
        names.filter(|name| !self.cluster.shared().has_finished(name)).map(Name::from).collect()
    }

    pub(super) fn running_brokers(&self) -> Vec<Name> {
        self.broker_names().into_iter().filter(|name| self.is_running(name)).collect()
    }

    /// A broker for a fault of its disk: one that does this operation, if any does.
    pub(super) fn broker_that(&mut self, operation: Operation) -> Name {
        self.aimed(Injector::some_broker, |injector, target| injector.does(target, operation))
    }
}

fn is_lately(at: Option<Instant>) -> bool {
    at.is_some_and(|at| clock::world_now().saturating_since(at) < LATELY)
}
