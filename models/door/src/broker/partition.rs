//! The door: the product's own way in and out, over two ends in place of a log.

use shuttle::sync::{Mutex, MutexGuard};

use super::purgatory::{WaitFor, Waiters};
use crate::types::Offset;

#[path = "../../../../src/broker/partition/waiting.rs"]
#[allow(dead_code)]
mod waiting;

/// As the product's, with two ends in place of a log.
pub(super) struct Partition {
    state: Mutex<State>,
}

pub(super) struct State {
    flushed_end: Offset,
    readable_end: Offset,
    is_failed: bool,
    pub waiters: Waiters,
}

#[derive(Debug)]
pub(super) struct PartitionError;

impl Partition {
    pub fn new() -> Partition {
        let state = State {
            flushed_end: Offset(0),
            readable_end: Offset(0),
            is_failed: false,
            waiters: Waiters::default(),
        };
        Partition { state: Mutex::new(state) }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics")
    }

    pub fn flush(&self, end: Offset) {
        let mut state = self.state();
        state.flushed_end = end;
        let (flushed, readable) = (state.flushed_end, state.readable_end);
        state.waiters.wake(flushed, readable);
    }

    pub fn expose(&self, end: Offset) {
        let mut state = self.state();
        state.readable_end = end;
        let (flushed, readable) = (state.flushed_end, state.readable_end);
        state.waiters.wake(flushed, readable);
    }

    pub fn fail(&self) {
        let mut state = self.state();
        state.is_failed = true;
        state.waiters.wake_all();
    }
}

impl State {
    pub fn is_met(&self, wait: WaitFor) -> Result<bool, PartitionError> {
        match wait {
            _ if self.is_failed => Err(PartitionError),
            WaitFor::Flushed(end) => Ok(self.flushed_end >= end),
            WaitFor::ReadableBeyond(end) => Ok(self.readable_end > end),
        }
    }
}
