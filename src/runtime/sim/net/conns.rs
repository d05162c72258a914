//! The connections there are, by slot.

use std::io;
use std::net::SocketAddr;

use super::dial::ListenerKey;
use super::flow::Flow;
use super::link::Links;
use crate::runtime::sim::identity::{Identity, NodeId};

/// Names one connection for good: slots are used again, ids are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConnKey {
    slot: u32,
    pub(super) id: u64,
}

/// The half of a connection that a handle holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    Read = 1,
    Write = 2,
}

/// What the handles of a whole stream hold.
pub(super) const BOTH_HALVES: u8 = Half::Read as u8 | Half::Write as u8;

pub(super) struct End {
    pub(super) owner: Identity,
    pub(super) address: SocketAddr,
    /// Whether the kernel still knows the connection.
    pub(super) open: bool,
    pub(super) failure: Option<io::ErrorKind>,
    /// The process was told of the failure; it is told once, and then reads the end of the stream.
    is_told: bool,
    /// Bits of [`Half`].
    pub(super) held_halves: u8,
}

impl End {
    pub(super) fn new(owner: Identity, address: SocketAddr, held_halves: u8) -> End {
        End { owner, address, open: true, failure: None, is_told: false, held_halves }
    }

    /// The failure, if there is one and the process does not know.
    pub(super) fn tell_failure(&mut self) -> Option<io::Error> {
        let kind = self.failure.filter(|_| !self.is_told)?;
        self.is_told = true;
        Some(io::Error::new(kind, "the connection failed"))
    }
}

/// End 0 connected, end 1 accepted; flow n carries what end n sends.
pub(super) struct Conn {
    pub(super) ends: [End; 2],
    pub(super) flows: [Flow; 2],
    /// Where the connection waits for its handshake to end, and then to be accepted.
    pub(super) listener: Option<ListenerKey>,
    /// The connecting end knows that the other is there.
    pub(super) established: bool,
    /// Packets of this connection vanish, for good.
    pub(super) blackholed: bool,
    /// Packets of this connection are stuck, until released.
    pub(super) stalled: bool,
    pub(super) bytes_delivered: u64,
}

impl Conn {
    pub(super) fn new(ends: [End; 2], listener: ListenerKey, links: &Links) -> Conn {
        let [a, b] = [ends[0].owner.node, ends[1].owner.node];
        let flows = [Flow::new(links.latency(a, b)), Flow::new(links.latency(b, a))];
        Conn {
            ends,
            flows,
            listener: Some(listener),
            established: false,
            blackholed: false,
            stalled: false,
            bytes_delivered: 0,
        }
    }

    /// Whether packets travel both ways.
    pub(super) fn is_clear(&self) -> bool {
        self.flows[0].forward_open && self.flows[1].forward_open
    }

    /// The nodes that flow `from` leads from and to.
    pub(super) fn nodes(&self, from: usize) -> (NodeId, NodeId) {
        (self.ends[from].owner.node, self.ends[1 - from].owner.node)
    }

    /// Neither a kernel nor a process has it.
    fn is_over(&self) -> bool {
        self.ends.iter().all(|end| !end.open && end.held_halves == 0)
    }
}

#[derive(Default)]
pub(super) struct Conns {
    slots: Vec<Option<(u64, Conn)>>,
    free: Vec<u32>,
    last_id: u64,
}

impl Conns {
    pub(super) fn add(&mut self, conn: Conn) -> ConnKey {
        self.last_id += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.slots[slot as usize] = Some((self.last_id, conn));
        ConnKey { slot, id: self.last_id }
    }

    /// The connection, unless it is over.
    pub(super) fn get(&mut self, key: ConnKey) -> Option<&mut Conn> {
        match self.slots.get_mut(key.slot as usize)? {
            Some((id, conn)) if *id == key.id => Some(conn),
            _ => None,
        }
    }

    /// The connection of a key whose holder keeps it in being.
    pub(super) fn of(&mut self, key: ConnKey) -> &mut Conn {
        self.get(key).expect("a connection that somebody holds is in being")
    }

    /// Forgets the connection if it is over. Whether it is still there.
    pub(super) fn sweep(&mut self, key: ConnKey) -> bool {
        let Some(conn) = self.get(key) else { return false };
        if !conn.is_over() {
            return true;
        }
        self.slots[key.slot as usize] = None;
        self.free.push(key.slot);
        false
    }

    /// All connections, in the order of their slots.
    pub(super) fn keys(&self) -> Vec<ConnKey> {
        let conns = self.slots.iter().enumerate();
        conns
            .filter_map(|(slot, c)| c.as_ref().map(|(id, _)| ConnKey { slot: slot as u32, id: *id }))
            .collect()
    }

    /// The connections between two nodes, whoever connected.
    pub(super) fn between(&mut self, a: NodeId, b: NodeId) -> Vec<ConnKey> {
        let mut keys = self.keys();
        keys.retain(|key| {
            let nodes = self.of(*key).nodes(0);
            nodes == (a, b) || nodes == (b, a)
        });
        keys
    }
}
