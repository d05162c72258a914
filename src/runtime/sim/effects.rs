//! What faults did, for the testbed: operations that they struck, messages that they held up, and stored bytes that are not
//! what was written.
//!
//! A fault that is armed and meets nothing has no effect, and is not here. Nothing of the simulated world depends on it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use super::identity::{self, NodeId};
use crate::types::SessionId;

/// Nobody asks for them in a run without a testbed.
const EFFECTS_MAX: usize = 10_000;
/// A delay by less changes nothing worth speaking of.
pub const NOTICEABLE: Duration = Duration::from_millis(10);

/// One effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    Bite(Bite),
    /// These bytes of the file are lost, or others.
    Damaged {
        node: NodeId,
        fault: &'static str,
        path: PathBuf,
        bytes: Range<u64>,
        /// The file as programs had reason to take it to be.
        meant: Vec<u8>,
        /// Nothing is in the place of the bytes: the file ends before them, or has zeros from there on.
        is_blank: bool,
    },
}

/// A fault met somebody. Many alike come in a row: each is told once, until they are to be told again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bite {
    /// An operation of the node had another result because of the fault, or was noticeably late.
    Struck { node: NodeId, fault: &'static str },
    /// A message was noticeably late, or lost.
    HeldUp { from: NodeId, to: NodeId },
    /// ZooKeeper treated this session otherwise than a healthy ensemble would have.
    Session { session: SessionId, fault: &'static str },
}

struct Effects {
    untold: Vec<Effect>,
    noted: BTreeSet<Bite>,
}

thread_local! {
    static EFFECTS: RefCell<Effects> =
        const { RefCell::new(Effects { untold: Vec::new(), noted: BTreeSet::new() }) };
}

/// A run begins.
pub(super) fn forget() {
    EFFECTS.with_borrow_mut(|effects| {
        effects.untold.clear();
        effects.noted.clear();
    });
}

/// What happened since the last call, in order.
pub fn take() -> Vec<Effect> {
    EFFECTS.with_borrow_mut(|effects| std::mem::take(&mut effects.untold))
}

/// Bites that were told are told once more when they come again.
pub fn tell_again() {
    EFFECTS.with_borrow_mut(|effects| effects.noted.clear());
}

pub(super) fn note(effect: Effect) {
    EFFECTS.with_borrow_mut(|effects| {
        if effects.untold.len() < EFFECTS_MAX {
            effects.untold.push(effect);
        }
    });
}

fn bite(bite: Bite) {
    let is_new = EFFECTS.with_borrow_mut(|effects| effects.noted.insert(bite));
    if is_new {
        note(Effect::Bite(bite));
    }
}

pub(super) fn struck(node: NodeId, fault: &'static str) {
    bite(Bite::Struck { node, fault });
}

/// A fault met the process that runs now.
pub fn struck_here(fault: &'static str) {
    struck(identity::current().node, fault);
}

pub(super) fn held_up(from: NodeId, to: NodeId) {
    bite(Bite::HeldUp { from, to });
}

/// A fault met what this session asked for, or was to hear.
pub fn session_struck(session: SessionId, fault: &'static str) {
    bite(Bite::Session { session, fault });
}
