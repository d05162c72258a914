//! The process itself: how many files, sockets and locks it may have open at once.
//!
//! Limit: signals are none of a simulated process's; it is killed from outside.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;

use super::effects;
use super::identity::{self, Identity, NodeId};

thread_local! {
    static TABLES: RefCell<Tables> = const { RefCell::new(Tables { limits: BTreeMap::new(), open: BTreeMap::new() }) };
}

struct Tables {
    limits: BTreeMap<NodeId, u64>,
    /// By life: what a dead one had open is closed.
    open: BTreeMap<Identity, u64>,
}

const EMFILE: i32 = 24;

/// A place in the table of the process that opened something, given back when dropped.
pub(super) struct Descriptor(Identity);

impl Descriptor {
    /// EMFILE where the process has as much open as it may.
    pub fn take(life: Identity) -> io::Result<Descriptor> {
        TABLES.with_borrow_mut(|tables| {
            let open = tables.open.entry(life).or_default();
            if tables.limits.get(&life.node).is_some_and(|limit| *open >= *limit) {
                effects::struck(life.node, "too-many-files");
                return Err(io::Error::from_raw_os_error(EMFILE));
            }
            *open += 1;
            Ok(Descriptor(life))
        })
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        let give_back = |tables: &RefCell<Tables>| {
            if let Some(open) = tables.borrow_mut().open.get_mut(&self.0) {
                *open = open.saturating_sub(1);
            }
        };
        // A run's last handles may go when its thread's state already has.
        TABLES.try_with(give_back).unwrap_or_default();
    }
}

/// A run begins: nothing is open, nothing limited.
pub(super) fn reset() {
    TABLES.with_borrow_mut(|tables| {
        tables.limits.clear();
        tables.open.clear();
    });
}

/// Raises the limit of open files as far as this process may. Returns the limit in force.
pub fn raise_open_files_limit() -> io::Result<u64> {
    let node = identity::current().node;
    Ok(TABLES.with_borrow(|tables| tables.limits.get(&node).copied().unwrap_or(u64::MAX)))
}

/// How many files, sockets and locks the process has open: for tests that look for what is not given back.
pub fn open_files() -> io::Result<u64> {
    Ok(open_files_of(identity::current()))
}

/// The testbed's side: how much a process has open.
pub fn open_files_of(life: Identity) -> u64 {
    TABLES.with_borrow(|tables| tables.open.get(&life).copied().unwrap_or_default())
}

/// The testbed's side: from now on the node's process may have so much open; what is open stays so.
pub fn set_open_files_max(node: NodeId, max: Option<u64>) {
    TABLES.with_borrow_mut(|tables| match max {
        Some(max) => drop(tables.limits.insert(node, max)),
        None => drop(tables.limits.remove(&node)),
    });
}
