//! Which rare things a run met, by number: `marks` names them.

use std::cell::Cell;

use super::task;

thread_local! {
    static MET: Cell<u64> = const { Cell::new(0) };
}

/// Numbers from 0 to 63, each met or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met(u64);

impl Met {
    pub fn has(self, number: u8) -> bool {
        self.0 & (1 << number) != 0
    }
}

/// Says that it happened, here and now; a dead incarnation meets nothing.
pub fn meet(number: u8) {
    assert!(number < 64, "as many as there are bits");
    if task::current_is_alive() {
        MET.set(MET.get() | 1 << number);
    }
}

/// Forgets everything: a new run begins.
pub(super) fn begin() {
    MET.set(0);
}

/// What this thread's run has met so far.
pub(super) fn so_far() -> Met {
    Met(MET.get())
}
