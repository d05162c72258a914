//! Rare things that a long sweep must have met at least once, by name.
//!
//! Code calls [`sometimes`] where one of them happens. In the deployable build that is nothing; in simulation
//! the run's verdict lists what it met, and a nightly sweep fails on a mark that no seed met.

#[cfg(not(feature = "real-runtime"))]
use crate::runtime::sim::met;

macro_rules! marks {
    ($( $(#[doc = $doc:literal])+ $name:ident = $slug:literal ),+ $(,)?) => {
        /// A rare thing. The slug is its name in reports.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Mark { $( $(#[doc = $doc])+ $name ),+ }

        impl Mark {
            pub const ALL: &'static [Mark] = &[ $( Mark::$name ),+ ];

            pub fn slug(self) -> &'static str {
                match self { $( Mark::$name => $slug ),+ }
            }

            /// What happened, for people.
            pub fn summary(self) -> &'static str {
                match self { $( Mark::$name => concat!($($doc),+) ),+ }
            }
        }
    };
}

marks! {
    /// Recovery cut a torn tail off a log.
    TornTailCut = "torn-tail-cut",
    /// A broker found its registration held by its own previous session.
    OldRegistrationInTheWay = "old-registration-in-the-way",
    /// A write whose reply was lost turned out to have been applied.
    LostReplyWasApplied = "lost-reply-was-applied",
    /// A group member met a partition that another member still owned.
    RebalanceMetConflict = "rebalance-met-conflict",
    /// A rebalance used up its tries and went on later.
    RebalanceTriesUsedUp = "rebalance-tries-used-up",
    /// A session expired while its member owned partitions.
    SessionExpiredWhileOwning = "session-expired-while-owning",
    /// A member's second session expired as well.
    SessionExpiredTwice = "session-expired-twice",
    /// Delivery paused because ZooKeeper was not heard, and went on under the same session.
    PausedAndResumedDelivery = "paused-and-resumed-delivery",
    /// A commit was refused because the session it belonged to had gone.
    CommitOfLostSessionDropped = "commit-of-lost-session-dropped",
    /// A stream without partitions took over from a member that left.
    SurplusStreamTookOver = "surplus-stream-took-over",
    /// A partition was given up while the application had a record of it in hand.
    RecordInHandAtRelease = "record-in-hand-at-release",
    /// A member found no committed offset, and began at the end of the log.
    BeganAtTheLogsEnd = "began-at-the-logs-end",
    /// A member found no committed offset, and left it to the application where to begin.
    BeginningLeftToApplication = "beginning-left-to-application",
    /// A member's position was outside of the log, and where to go on was left to the application.
    OutOfRangeLeftToApplication = "out-of-range-left-to-application",
    /// A group shared the partitions of several topics.
    SeveralTopicsShared = "several-topics-shared",
}

/// Says that it happened, here and now.
#[cfg(feature = "real-runtime")]
#[inline(always)]
pub const fn sometimes(_mark: Mark) {}

/// Says that it happened, here and now; a dead incarnation meets nothing.
#[cfg(not(feature = "real-runtime"))]
pub fn sometimes(mark: Mark) {
    met::meet(mark as u8);
}

/// Which marks a run met.
#[cfg(not(feature = "real-runtime"))]
pub fn of(met: met::Met) -> impl Iterator<Item = Mark> {
    Mark::ALL.iter().copied().filter(move |mark| met.has(*mark as u8))
}
