//! Which node, and which incarnation of it, the running code belongs to.
//!
//! madsim's own answer misleads in destructors (an old incarnation's drop reports the same node; a paused task's
//! drop reports the killer's), so every task of ours carries its identity and sets it while it is polled and
//! while it is dropped. An incarnation that has ended stays ended: what it still tries has no effect.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::time;
use crate::rules::{Rule, holds};
use crate::runtime::Instant;

/// A simulated machine; 0 is the testbed itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    pub const TESTBED: NodeId = NodeId(0);
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A node in one of its incarnations, which are counted from 1; the testbed's only one is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    pub node: NodeId,
    pub incarnation: u32,
}

impl Identity {
    pub const TESTBED: Identity = Identity { node: NodeId::TESTBED, incarnation: 0 };

    /// Whether this incarnation still lasts.
    pub fn is_alive(self) -> bool {
        self == Identity::TESTBED
            || LATEST.with_borrow(|latest| latest.get(self.node.0 as usize).is_some_and(|l| l.is_live(self)))
    }

    /// Whether an operation of this incarnation takes effect. Differs from [`Identity::is_alive`] only where the
    /// rule is suspended.
    pub fn may_act(self) -> bool {
        self.is_alive() || !holds(Rule::DeadIncarnationWritesNothing)
    }

    /// Whether a task of this incarnation runs on. Where the rule is suspended a dead incarnation's tasks do, for a moment:
    /// long enough to finish what they were at while the next incarnation begins.
    pub(super) fn may_run(self) -> bool {
        self.is_alive()
            || !holds(Rule::DeadIncarnationWritesNothing)
                && ENDS.with_borrow(|ends| {
                    ends.get(&self).is_some_and(|end| time::world_now().saturating_since(*end) < LINGER)
                })
    }
}

#[derive(Clone, Copy, Default)]
struct Latest {
    incarnation: u32,
    live: bool,
}

impl Latest {
    fn is_live(self, identity: Identity) -> bool {
        self.live && self.incarnation == identity.incarnation
    }
}

/// How long a dead incarnation's tasks run on where the rule is suspended.
pub(super) const LINGER: Duration = Duration::from_millis(300);

thread_local! {
    /// When incarnations ended, where the rule is suspended.
    static ENDS: RefCell<BTreeMap<Identity, Instant>> = const { RefCell::new(BTreeMap::new()) };
    static CURRENT: Cell<Identity> = const { Cell::new(Identity::TESTBED) };
    static LATEST: RefCell<Vec<Latest>> = const { RefCell::new(Vec::new()) };
}

/// The identity of the running code.
pub fn current() -> Identity {
    CURRENT.get()
}

/// Runs `f` as `identity`.
pub fn with<T>(identity: Identity, f: impl FnOnce() -> T) -> T {
    struct Reset(Identity);
    impl Drop for Reset {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _reset = Reset(CURRENT.replace(identity));
    f()
}

/// Begins a new incarnation of `node`.
pub(super) fn begin_incarnation(node: NodeId) -> Identity {
    LATEST.with_borrow_mut(|latest| {
        let index = node.0 as usize;
        if latest.len() <= index {
            latest.resize(index + 1, Latest::default());
        }
        let own = &mut latest[index];
        own.incarnation += 1;
        own.live = true;
        Identity { node, incarnation: own.incarnation }
    })
}

/// Ends the present incarnation of `node`, if it has one, and returns it.
pub(super) fn end_incarnation(node: NodeId) -> Option<Identity> {
    let ended = LATEST.with_borrow_mut(|latest| {
        let own = latest.get_mut(node.0 as usize)?;
        std::mem::replace(&mut own.live, false).then_some(Identity { node, incarnation: own.incarnation })
    })?;
    if !holds(Rule::DeadIncarnationWritesNothing) {
        ENDS.with_borrow_mut(|ends| ends.insert(ended, time::world_now()));
    }
    Some(ended)
}

/// The present incarnation of `node`.
pub fn incarnation_of(node: NodeId) -> Option<Identity> {
    LATEST.with_borrow(|latest| {
        let own = latest.get(node.0 as usize)?;
        own.live.then_some(Identity { node, incarnation: own.incarnation })
    })
}

pub(super) fn reset() {
    LATEST.with_borrow_mut(Vec::clear);
    ENDS.with_borrow_mut(BTreeMap::clear);
    CURRENT.set(Identity::TESTBED);
}
