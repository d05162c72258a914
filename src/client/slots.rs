//! The connection to each broker, or the attempts to get one, and the connections to brokers that went away.
//!
//! Limit: connecting, and when to try again, is `cluster`'s.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::connection::{Connection, WeakConnection};
use crate::runtime::lock::Mutex;
use crate::types::{BrokerId, Instant};

/// See the module.
#[derive(Default)]
pub(super) struct Slots {
    by_broker: BTreeMap<BrokerId, Arc<Slot>>,
    /// Open connections to brokers that the metadata left out when it was last asked for. Their users may still have
    /// requests in flight on them.
    departed: BTreeMap<BrokerId, Departed>,
}

struct Departed {
    address: String,
    connection: WeakConnection,
}

/// The connection to one broker, or the attempts to get one.
pub(super) struct Slot {
    pub(super) address: String,
    pub(super) open: Mutex<Option<Connection>>,
    pub(super) attempts: tokio::sync::Mutex<Attempts>,
}

#[derive(Default)]
pub(super) struct Attempts {
    pub(super) failures: u32,
    pub(super) next: Instant,
}

impl Slots {
    pub(super) fn of(&mut self, broker: BrokerId, address: String) -> Arc<Slot> {
        let slot = self.by_broker.entry(broker).or_insert_with(|| Arc::new(Slot::new(address)));
        Arc::clone(slot)
    }

    /// Takes over who is where; an answer that names no broker tells nothing. Connections to brokers that are gone close
    /// with their last user. Answers those to brokers that are elsewhere now, to be retired: nobody may be left at the
    /// other end.
    pub(super) fn refreshed(&mut self, addresses: &BTreeMap<BrokerId, String>) -> Vec<Connection> {
        if addresses.is_empty() {
            return Vec::new();
        }
        let mut moved = Vec::new();
        self.departed.retain(|broker, departed| {
            let Some(address) = addresses.get(broker) else { return true };
            if *address != departed.address {
                moved.extend(departed.connection.upgrade());
            }
            false
        });
        let departed = &mut self.departed;
        self.by_broker.retain(|broker, slot| {
            let address = addresses.get(broker);
            if address == Some(&slot.address) {
                return true;
            }
            match slot.open() {
                Some(connection) if address.is_some() => moved.push(connection),
                Some(connection) => {
                    let left = Departed { address: slot.address.clone(), connection: connection.downgrade() };
                    departed.insert(*broker, left);
                }
                None => {}
            }
            false
        });
        self.departed.retain(|_, departed| departed.connection.upgrade().is_some());
        moved
    }
}

impl Slot {
    fn new(address: String) -> Slot {
        Slot { address, open: Mutex::new(None), attempts: tokio::sync::Mutex::new(Attempts::default()) }
    }

    pub(super) fn open(&self) -> Option<Connection> {
        let mut open = self.open.lock().expect("no holder of the slot panics");
        if open.as_ref().is_some_and(|connection| !connection.is_open()) {
            *open = None;
        }
        open.clone()
    }
}
