//! What is known of how far consumer groups are behind, and whether anybody asks.
//!
//! Who finds it out stands in `group_lag_reader`.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::runtime::lock::Mutex;
use crate::runtime::{Instant, clock};

/// Who did not ask for metrics for this long is not waiting for the next look.
const ASKED_WITHIN: Duration = Duration::from_secs(60);

/// Records that a group has not read yet, by group and topic.
pub(super) type Lag = BTreeMap<(String, Arc<str>), u64>;

/// What the last look found.
#[derive(Clone, Default)]
pub(super) struct LagReport {
    pub lag: Lag,
    /// Groups and partitions that were not looked at, or could not be read.
    pub left_out: u64,
}

#[derive(Default)]
pub(super) struct GroupLag {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    report: LagReport,
    asked_at: Option<Instant>,
}

impl GroupLag {
    /// What is known; somebody wants to know it.
    pub fn ask(&self) -> LagReport {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked_at = Some(clock::now());
        state.report.clone()
    }

    pub fn is_asked_for(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked_at.is_some_and(|at| clock::now().saturating_since(at) < ASKED_WITHIN)
    }

    pub fn publish(&self, report: LagReport) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).report = report;
    }
}
