//! Every safety rule the cluster relies on, by name.
//!
//! Code asks [`holds`] where it keeps a rule. In the deployable build the answer is a constant `true`; the
//! simulation can suspend one rule, to prove that the checks would notice its absence.

use std::fmt;

macro_rules! rules {
    ($( $(#[doc = $doc:literal])+ $name:ident = $slug:literal ),+ $(,)?) => {
        /// A safety rule. The slug is its name in scenario files and on the command line.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Rule { $( $(#[doc = $doc])+ $name ),+ }

        impl Rule {
            pub const ALL: &'static [Rule] = &[ $( Rule::$name ),+ ];

            pub fn slug(self) -> &'static str {
                match self { $( Rule::$name => $slug ),+ }
            }

            /// What the rule says, for people.
            pub fn summary(self) -> &'static str {
                match self { $( Rule::$name => concat!($($doc),+) ),+ }
            }

            pub fn from_slug(slug: &str) -> Option<Rule> {
                match slug { $( $slug => Some(Rule::$name), )+ _ => None }
            }
        }
    };
}

rules! {
    /// Recovery after an unclean stop cuts a torn or corrupt batch, and all after it, off the unflushed tail.
    CutTornTail = "cut-torn-tail",
    /// A produce request is acknowledged only after its append (and, with `durability = fsync`, its flush).
    AppendBeforeAck = "append-before-ack",
    /// A new or renamed file counts as durable only after its directory was synced (KAFKA-3968).
    SyncDirectoryOfNewName = "sync-directory-of-new-name",
    /// An operation of a dead incarnation has no effect: no flush, no write, no send from a destructor.
    DeadIncarnationWritesNothing = "dead-incarnation-writes-nothing",
    /// A broker that starts raises the leader epoch of the partitions it leads before it appends to them.
    RaiseLeaderEpochOnStart = "raise-leader-epoch-on-start",
    /// A producer that may retry and is not idempotent has one request in flight per broker (G1).
    OneRequestInFlightWhileRetrying = "one-request-in-flight-while-retrying",
    /// A record is readable only where `expose` allows it: never more than what durability promises.
    ExposeOnlyWhatIsDurable = "expose-only-what-is-durable",
    /// A failed fsync fails the log directory; it is never tried again as though nothing had happened.
    FailLogDirOnFailedFsync = "fail-log-dir-on-failed-fsync",
    /// A group commits only up to the first record that the application has not finished (P17).
    CommitOnlyFinished = "commit-only-finished",
    /// A commit never counts what was merely fetched ahead (KAFKA-2942, KAFKA-919).
    CommitNothingPrefetched = "commit-nothing-prefetched",
    /// A position moves only when its records are in the queue they are delivered from (KAFKA-154).
    QueueBeforeAdvancing = "queue-before-advancing",
    /// A group member delivers a partition only after its owner node was created (P22).
    OwnBeforeDelivering = "own-before-delivering",
    /// A member whose session expired drops what it owned before it does anything else (P25).
    DropOwnershipOnExpiry = "drop-ownership-on-expiry",
    /// A node that exists already is one's own only if this very session owns it (KAFKA-992, KAFKA-1387).
    CompareEphemeralOwner = "compare-ephemeral-owner",
    /// After a lost reply a create is settled by reading; it is never repeated blindly under a new name.
    SettleAmbiguousCreate = "settle-ambiguous-create",
    /// A watch that fired, or that a new connection does not know, is set again before its data is trusted.
    SetWatchesAgain = "set-watches-again",
    /// A rebalance that used up its tries is reported and tried again later (KAFKA-242, P23).
    KeepTryingToRebalance = "keep-trying-to-rebalance",
    /// A member that no leader of ZooKeeper answered for two thirds of its session delivers nothing (P24).
    PauseWhenUnheard = "pause-when-unheard",
    /// A commit goes through the session that holds the owner node, and is never sent again on another.
    CommitThroughOwningSession = "commit-through-owning-session",
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.slug())
    }
}

/// Whether `rule` is in force.
#[cfg(feature = "real-runtime")]
#[inline(always)]
pub const fn holds(_rule: Rule) -> bool {
    true
}

#[cfg(not(feature = "real-runtime"))]
mod suspension {
    use super::Rule;
    use std::cell::Cell;

    thread_local! {
        static SUSPENDED: Cell<u128> = const { Cell::new(0) };
        static ASKED: Cell<u128> = const { Cell::new(0) };
    }

    /// Whether `rule` is in force in this thread's simulation.
    pub fn holds(rule: Rule) -> bool {
        ASKED.set(ASKED.get() | 1 << rule as u8);
        SUSPENDED.get() & (1 << rule as u8) == 0
    }

    /// The rules that were asked for in this thread's simulation. To suspend another one would have changed nothing.
    pub fn asked() -> Vec<Rule> {
        Rule::ALL.iter().copied().filter(|rule| ASKED.get() & (1 << *rule as u8) != 0).collect()
    }

    /// Suspends `rule` for the rest of this thread's life (one thread runs one seed).
    pub fn suspend(rule: Rule) {
        SUSPENDED.set(SUSPENDED.get() | 1 << rule as u8);
    }

    /// Puts every rule in force again.
    pub fn restore_all() {
        SUSPENDED.set(0);
    }
}

#[cfg(not(feature = "real-runtime"))]
pub use suspension::{asked, holds, restore_all, suspend};
