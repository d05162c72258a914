//! What faults did, for the testbed: operations that they struck, messages that they held up, and stored bytes that are not
//! what was written.
//!
//! A fault that is armed and meets nothing has no effect, and is not here. Nothing of the simulated world depends on it.

use std::cell::RefCell;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use super::identity::NodeId;

/// Nobody asks for them in a run without a testbed.
const EFFECTS_MAX: usize = 10_000;
/// A delay by less changes nothing worth speaking of.
pub const NOTICEABLE: Duration = Duration::from_millis(10);

/// One effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// An operation of the node had another result because of the fault, or was noticeably late.
    Struck { node: NodeId, fault: &'static str },
    /// A message was noticeably late, or lost.
    HeldUp { from: NodeId, to: NodeId },
    /// These bytes of the file are lost, or others.
    Damaged {
        node: NodeId,
        fault: &'static str,
        path: PathBuf,
        bytes: Range<u64>,
        /// The file as programs had reason to take it to be.
        meant: Vec<u8>,
    },
}

thread_local! {
    static EFFECTS: RefCell<Vec<Effect>> = const { RefCell::new(Vec::new()) };
}

/// A run begins.
pub(super) fn forget() {
    EFFECTS.with_borrow_mut(Vec::clear);
}

/// What happened since the last call, in order.
pub fn take() -> Vec<Effect> {
    EFFECTS.with_borrow_mut(std::mem::take)
}

pub(super) fn note(effect: Effect) {
    EFFECTS.with_borrow_mut(|effects| {
        // Many alike come in a row.
        if effects.len() < EFFECTS_MAX && effects.last() != Some(&effect) {
            effects.push(effect);
        }
    });
}

pub(super) fn struck(node: NodeId, fault: &'static str) {
    note(Effect::Struck { node, fault });
}

pub(super) fn held_up(from: NodeId, to: NodeId) {
    note(Effect::HeldUp { from, to });
}
