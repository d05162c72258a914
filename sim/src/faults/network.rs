//! The network between nodes: cuts in one direction or both, and resets.
//!
//! Cuts may overlap; a direction is mended when the last cut over it ends.

use seedlog::runtime::sim::net;

use super::{Injector, Name};
use crate::cluster::ZOOKEEPER;
use crate::history::Injected;

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

    /// A broker, and a client, ZooKeeper or everybody on the other side.
    pub(super) fn draw_cut(&mut self, clients: &[Name]) -> Directions {
        let broker = self.some_broker();
        let others: Vec<Name> = match self.draws.below(4) {
            0 => vec![ZOOKEEPER.into()],
            1 => clients.iter().cloned().chain([ZOOKEEPER.into()]).collect(),
            _ => self.draws.pick(clients).cloned().into_iter().collect(),
        };
        let ways = self.draws.below(3);
        let mut directions = Directions::new();
        for other in others {
            if ways != 1 {
                directions.push((broker.clone(), other.clone()));
            }
            if ways != 2 {
                directions.push((other, broker.clone()));
            }
        }
        directions
    }
}
