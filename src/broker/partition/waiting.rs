//! Places among those who wait for a partition.
//!
//! A place is given up when it is dropped: a connection that ends in whatever way leaves nothing behind.

use std::sync::Arc;

use super::{Partition, PartitionError};
use crate::broker::purgatory::{WaitFor, WaiterKey, Waker};

/// A connection's place among those who wait for one partition.
#[must_use = "a place is given up when it is dropped"]
pub(in crate::broker) struct Waiting {
    partition: Arc<Partition>,
    wait: WaitFor,
    key: WaiterKey,
}

impl Waiting {
    /// Whether what was waited for has come true. After an error there is nothing to wait for.
    pub fn is_over(&self) -> Result<bool, PartitionError> {
        self.partition.state().is_met(self.wait)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.partition.state().waiters.remove(self.wait, self.key);
    }
}

impl Partition {
    /// Has `waker` woken when `wait` is met; `None` if it is met already. After an error there is nothing to
    /// wait for.
    pub fn wait(
        self: &Arc<Self>,
        wait: WaitFor,
        waker: &Arc<Waker>,
    ) -> Result<Option<Waiting>, PartitionError> {
        let mut state = self.state();
        if state.is_met(wait)? {
            return Ok(None);
        }
        let key = state.waiters.add(wait, waker);
        Ok(Some(Waiting { partition: Arc::clone(self), wait, key }))
    }
}
