//! Operations that do not come to their end while the device does not answer.
//!
//! A sync has done nothing before it ends. Every other operation is done by the thread that asks, which cannot wait here:
//! it has its effect, and so has what the task does until it next waits. What comes then comes when the device answers
//! ([`Call`]). A thread that is inside of a call cannot be stopped either. Whoever wants a lock that it took before the call
//! waits for the same.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::faults::{Hang, Operation};
use super::machine::Machine;
use super::names::InodeId;
use super::on_machine;
use crate::runtime::sim::clock;
use crate::runtime::sim::effects::struck;
use crate::runtime::sim::identity::{self, Identity, NodeId};

/// How often who waits for a device that does not answer looks whether it does.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(50);

thread_local! {
    /// What the task that is polled now called last and did not return from.
    static CALLED: RefCell<Option<Call>> = const { RefCell::new(None) };
    /// How many calls of this thread's run have not returned at once.
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// What an operation works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum On {
    Inode(InodeId),
    Path(PathBuf),
}

impl On {
    pub(super) fn path(path: &Path) -> On {
        On::Path(path.to_owned())
    }
}

/// A call that its thread has not returned from.
#[derive(Clone, Debug)]
pub(in crate::runtime::sim) struct Call {
    node: NodeId,
    operation: Operation,
    on: On,
}

impl Call {
    /// The one that the task that was just polled is inside of.
    pub(in crate::runtime::sim) fn of_this_poll() -> Option<Call> {
        CALLED.take()
    }

    /// How many there were so far.
    pub(in crate::runtime::sim) fn count() -> u64 {
        CALLS.try_with(Cell::get).unwrap_or_default()
    }

    /// The last one, if there was one since there were so many.
    pub(in crate::runtime::sim) fn since(count: u64) -> Option<Call> {
        if Call::count() == count { None } else { CALLED.try_with(|call| call.borrow().clone()).ok()? }
    }

    /// The task that is polled waits for it as well, if it has not returned yet; whether that is so.
    pub(in crate::runtime::sim) fn wait_too(&self) -> bool {
        let hangs = self.hangs();
        if hangs {
            self.clone().begin();
        }
        hangs
    }

    /// Waits until it returns.
    pub(in crate::runtime::sim) async fn returned(self) {
        while self.hangs() {
            clock::sleep(LOOK_EVERY).await;
        }
    }

    fn hangs(&self) -> bool {
        on_machine(self.node, |machine| machine.hangs(self.operation, &self.on))
    }

    fn begin(self) {
        CALLS.set(CALLS.get() + 1);
        CALLED.set(Some(self));
    }
}

impl Machine {
    /// Whether the operation waits for a device that does not answer.
    pub(super) fn hangs(&self, operation: Operation, on: &On) -> bool {
        let hangs = self.faults.hung.iter().any(|hang| self.is_hung(hang, operation, on));
        if hangs {
            struck(self.node, operation.hanging_name());
        }
        hangs
    }

    fn is_hung(&self, hang: &Hang, operation: Operation, on: &On) -> bool {
        let is_it = |path: &PathBuf| match on {
            On::Inode(inode) => self.tree.resolve(path).is_ok_and(|found| found == *inode),
            On::Path(on) => on == path,
        };
        hang.operation.is_none_or(|hung| hung == operation) && hang.file.as_ref().is_none_or(is_it)
    }

    /// A thread of this life calls.
    pub(super) fn enter(&self, life: Identity, operation: Operation, on: On) {
        // A task is somebody's: what the testbed does on its own is no thread's of the node.
        if life == identity::current() && self.hangs(operation, &on) {
            Call { node: self.node, operation, on }.begin();
        }
    }
}
