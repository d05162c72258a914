//! Points in a node's work at which its incarnation ends: traps that it steps into by stating a fact.
//!
//! Knows who would die where; ending the incarnation is the recorder's doing.

use std::cell::RefCell;
use std::sync::Arc;

use seedlog::runtime::sim::identity::NodeId;
use seedlog::runtime::sim::world::Death;

/// Ends a node's incarnation at the moment at which it states a fact.
#[derive(Clone, Debug)]
pub struct Trap {
    pub node: NodeId,
    /// The kind of the fact.
    pub point: Arc<str>,
    /// How many such facts still go well before the one that does not.
    pub spares: u32,
    pub death: Death,
}

#[derive(Default)]
pub struct Traps {
    set: RefCell<Vec<Trap>>,
    /// Who fell into a trap since this was asked last.
    trapped: RefCell<Vec<Arc<str>>>,
}

impl Traps {
    /// Sets a trap; another one of the same node goes.
    pub fn set(&self, trap: Trap) {
        self.disarm(trap.node);
        self.set.borrow_mut().push(trap);
    }

    /// Takes the node's trap away, if it has one.
    pub fn disarm(&self, node: NodeId) {
        self.set.borrow_mut().retain(|trap| trap.node != node);
    }

    /// Who fell into a trap since this was asked last.
    pub fn take_trapped(&self) -> Vec<Arc<str>> {
        self.trapped.take()
    }

    pub(super) fn note(&self, name: Arc<str>) {
        self.trapped.borrow_mut().push(name);
    }

    /// The trap that the node steps into, if it does: it is used up.
    pub(super) fn step(&self, node: NodeId, kind: &str) -> Option<Trap> {
        let mut traps = self.set.borrow_mut();
        let at = traps.iter().position(|trap| trap.node == node && *trap.point == *kind)?;
        match traps[at].spares.checked_sub(1) {
            Some(left) => {
                traps[at].spares = left;
                None
            }
            None => Some(traps.remove(at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(3);

    #[test]
    fn a_trap_spares_the_first_steps_and_closes_once() {
        let traps = Traps::default();
        traps.set(Trap { node: NODE, point: "appended".into(), spares: 1, death: Death::Kill });
        assert!(traps.step(NODE, "flushed").is_none());
        assert!(traps.step(NodeId(4), "appended").is_none());
        assert!(traps.step(NODE, "appended").is_none(), "the first is spared");
        assert!(traps.step(NODE, "appended").is_some());
        assert!(traps.step(NODE, "appended").is_none(), "it is used up");
    }

    #[test]
    fn a_disarmed_trap_does_not_close() {
        let traps = Traps::default();
        traps.set(Trap { node: NODE, point: "appended".into(), spares: 0, death: Death::Kill });
        traps.disarm(NODE);
        assert!(traps.step(NODE, "appended").is_none());
    }
}
