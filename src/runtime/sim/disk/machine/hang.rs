//! Operations that do not come to their end while the device does not answer.
//!
//! A sync has done nothing before it ends. Every other operation is done by the thread that asks, which cannot wait here:
//! it has its effect, and so has what the task does until it next waits. What comes then comes when the device answers
//! ([`Call`]).

use std::path::{Path, PathBuf};

use super::super::faults::{Hang, Operation};
use super::super::names::InodeId;
use super::super::on_machine;
use super::Machine;
use crate::runtime::sim::calls::Call;
use crate::runtime::sim::effects::struck;
use crate::runtime::sim::identity::{self, Identity};

/// What an operation works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum On {
    Inode(InodeId),
    Path(PathBuf),
}

impl On {
    pub(in super::super) fn path(path: &Path) -> On {
        On::Path(path.to_owned())
    }
}

impl Machine {
    /// Whether the operation waits for a device that does not answer.
    pub(in super::super) fn is_hung(&self, operation: Operation, on: &On) -> bool {
        let hangs = self.faults.hung.iter().any(|hang| self.is_of(hang, operation, on));
        if hangs {
            struck(self.node, operation.hanging_name());
        }
        hangs
    }

    fn is_of(&self, hang: &Hang, operation: Operation, on: &On) -> bool {
        let is_it = |path: &PathBuf| match on {
            On::Inode(inode) => self.tree.resolve(path).is_ok_and(|found| found == *inode),
            On::Path(on) => on == path,
        };
        hang.operation.is_none_or(|hung| hung == operation) && hang.file.as_ref().is_none_or(is_it)
    }

    /// A thread of this life calls.
    pub(super) fn enter(&self, life: Identity, operation: Operation, on: On) {
        // A task is somebody's: what the testbed does on its own is no thread's of the node.
        if life == identity::current() && self.is_hung(operation, &on) {
            let node = self.node;
            Call::begin(move || on_machine(node, |machine| machine.is_hung(operation, &on)));
        }
    }
}
