//! What a step does: `power-fail leader(orders-0)`, `cut shop -> broker(1) for 3s`.
//!
//! A new one is a variant here, its words in `read`, and what it does in `faults::script`.

mod forms;
mod read;

use std::time::Duration;

use seedlog::runtime::sim::world::Death;
use seedlog::types::TopicPartition;

use super::selector::Selector;
use crate::history::{DiskOperation, Errno, Failure, Refusal};

pub use read::parse;

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Kill(Selector),
    PowerFail(Selector),
    Pause {
        target: Selector,
        lasting: Option<Duration>,
    },
    /// The machine stands still, timers, links and all.
    Suspend {
        target: Selector,
        lasting: Option<Duration>,
    },
    /// So many more files and sockets.
    FewDescriptors {
        target: Selector,
        left: u32,
        lasting: Option<Duration>,
    },
    Resume(Selector),
    Restart(Selector),
    Cut {
        from: Selector,
        to: Selector,
        both_ways: bool,
        lasting: Option<Duration>,
    },
    Reset {
        a: Selector,
        b: Selector,
    },
    ResetOneEnd {
        of: Selector,
        with: Selector,
    },
    DiskError {
        target: Selector,
        operation: DiskOperation,
        failure: Failure,
        errno: Errno,
        /// One operation in so many; 0: the next one alone.
        one_in: u32,
        lasting: Option<Duration>,
    },
    DiskFull {
        target: Selector,
        /// So many more bytes fit.
        free_bytes: u64,
        lasting: Option<Duration>,
    },
    /// Operations on a file, or on any, that do not end.
    DiskHangs {
        target: Selector,
        /// `None`: each.
        operation: Option<DiskOperation>,
        file: Option<String>,
        lasting: Option<Duration>,
    },
    DiskSlow {
        target: Selector,
        factor: u32,
        /// Whether a write holds up every task of the process.
        stalls: bool,
        lasting: Option<Duration>,
    },
    DiskHeal(Selector),
    Expire(Selector),
    /// Asked to end in order; of a member: to leave its group.
    Stop(Selector),
    /// The process dies, and comes back with an empty disk when it is started.
    Wipe(Selector),
    /// Every broker is stopped and started again, one after the other.
    RollingRestart {
        every: Duration,
    },
    Crash {
        target: Selector,
        point: CrashPoint,
        nth: u32,
        death: Death,
    },
    /// What the broker's next incarnation runs with.
    Configure {
        target: Selector,
        key: String,
        value: toml::Value,
    },
    /// Cut off from everybody else.
    Isolate {
        target: Selector,
        lasting: Option<Duration>,
    },
    /// The nodes fall into two drawn halves that do not hear each other.
    Split {
        lasting: Option<Duration>,
    },
    Delay {
        from: Selector,
        to: Selector,
        both_ways: bool,
        by: Duration,
        /// Mean of what comes on top, exponentially distributed.
        mean: Duration,
        lasting: Option<Duration>,
    },
    Limit {
        from: Selector,
        to: Selector,
        bytes_per_second: u64,
        lasting: Option<Duration>,
    },
    Stall {
        a: Selector,
        b: Selector,
        /// So many of their connections, drawn, and not all of them.
        connections: Option<u32>,
        lasting: Option<Duration>,
    },
    Drop {
        a: Selector,
        b: Selector,
    },
    Refuse {
        target: Selector,
        how: Refusal,
        lasting: Option<Duration>,
    },
    DiskLies {
        target: Selector,
        lasting: Option<Duration>,
    },
    DiskMisdirects(Selector),
    DiskSectorLost {
        target: Selector,
        at: Option<Place>,
        lasting: Option<Duration>,
    },
    BitFlip {
        target: Selector,
        at: Option<Place>,
    },
    BitRot {
        target: Selector,
        at: Option<Place>,
    },
    Truncate {
        target: Selector,
        at: Option<Place>,
    },
    ClockBump {
        target: Selector,
        by_ms: i64,
        lasting: Option<Duration>,
    },
    ClockDrift {
        target: Selector,
        ppm: i64,
        lasting: Option<Duration>,
    },
    ClockStrobe {
        target: Selector,
        by_ms: i64,
        lasting: Duration,
    },
    MonotonicDrift {
        target: Selector,
        ppm: i64,
        lasting: Option<Duration>,
    },
    TimersLate {
        target: Selector,
        grid: Duration,
        lasting: Option<Duration>,
    },
    LoseReply(Selector),
    /// Of the creation of the node under which it is registered.
    LoseRegistration(Selector),
    /// What the group committed of the partition is no offset for so long.
    GarbleOffset {
        group: String,
        partition: TopicPartition,
        lasting: Duration,
    },
    /// Requests about what lies below a node of ZooKeeper.
    BreakOff {
        below: String,
        answered: u32,
        broken: u32,
        applies: bool,
        reads: bool,
    },
    /// So many more reads are answered, and so many break off after that.
    CutShort {
        target: Selector,
        answered: u32,
        broken: u32,
    },
    /// Served by a follower without a leader.
    Detach {
        target: Selector,
        /// That have a leader.
        reaches_others: bool,
        lasting: Option<Duration>,
    },
    Rejoin(Selector),
    ServerLags {
        lasting: Option<Duration>,
    },
    WatchesLate {
        target: Selector,
        by: Duration,
        lasting: Option<Duration>,
    },
    ReconnectStorm,
    QuorumLost {
        lasting: Option<Duration>,
    },
    Idle {
        target: Selector,
        lasting: Option<Duration>,
    },
    Burst {
        target: Selector,
        lasting: Option<Duration>,
    },
    HotKey {
        target: Selector,
        lasting: Option<Duration>,
    },
    HugeRecord {
        target: Selector,
        bytes: u64,
    },
    Slow {
        target: Selector,
        factor: u32,
        lasting: Option<Duration>,
    },
}

/// A byte of a file below a broker's log directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    pub offset: u64,
}

/// How disk operations fail, as steps call it.
pub(crate) const DISK_FAILURES: [(&str, DiskOperation, Failure); 12] = [
    ("read", DiskOperation::Read, Failure::Plain),
    ("write", DiskOperation::Write, Failure::Plain),
    ("short-write", DiskOperation::Write, Failure::Short),
    ("fsync", DiskOperation::Fsync, Failure::Plain),
    ("fsync-reverts", DiskOperation::Fsync, Failure::Reverts),
    ("fsync-late", DiskOperation::Fsync, Failure::Late),
    ("rename", DiskOperation::Rename, Failure::Plain),
    ("set-len", DiskOperation::SetLen, Failure::Plain),
    ("open", DiskOperation::Open, Failure::Plain),
    ("mkdir", DiskOperation::Mkdir, Failure::Plain),
    ("read-dir", DiskOperation::ReadDir, Failure::Plain),
    ("unlink", DiskOperation::Unlink, Failure::Plain),
];

/// Where in its work a process dies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// Inside of a disk operation.
    Disk(DiskOperation),
    /// Where it states a fact of this kind.
    Fact(String),
}

impl CrashPoint {
    /// As the history calls it.
    pub fn name(&self) -> &str {
        match self {
            CrashPoint::Disk(operation) => operation.word(),
            CrashPoint::Fact(kind) => kind,
        }
    }
}

impl Action {
    /// Everyone whom the action names.
    pub fn selectors(&self) -> Vec<&Selector> {
        match self {
            Action::Kill(who)
            | Action::PowerFail(who)
            | Action::Resume(who)
            | Action::Restart(who)
            | Action::DiskHeal(who)
            | Action::Stop(who)
            | Action::Wipe(who)
            | Action::DiskMisdirects(who)
            | Action::LoseReply(who)
            | Action::LoseRegistration(who)
            | Action::Rejoin(who)
            | Action::Expire(who) => vec![who],
            Action::Pause { target, .. }
            | Action::Suspend { target, .. }
            | Action::FewDescriptors { target, .. }
            | Action::MonotonicDrift { target, .. }
            | Action::TimersLate { target, .. }
            | Action::Crash { target, .. }
            | Action::Configure { target, .. }
            | Action::Isolate { target, .. }
            | Action::Refuse { target, .. }
            | Action::DiskError { target, .. }
            | Action::DiskFull { target, .. }
            | Action::DiskSlow { target, .. }
            | Action::DiskHangs { target, .. }
            | Action::DiskLies { target, .. }
            | Action::DiskSectorLost { target, .. }
            | Action::BitFlip { target, .. }
            | Action::BitRot { target, .. }
            | Action::Truncate { target, .. }
            | Action::ClockBump { target, .. }
            | Action::ClockDrift { target, .. }
            | Action::ClockStrobe { target, .. }
            | Action::CutShort { target, .. }
            | Action::Detach { target, .. }
            | Action::WatchesLate { target, .. }
            | Action::Idle { target, .. }
            | Action::Burst { target, .. }
            | Action::HotKey { target, .. }
            | Action::HugeRecord { target, .. }
            | Action::Slow { target, .. } => vec![target],
            Action::Cut { from, to, .. }
            | Action::Delay { from, to, .. }
            | Action::Limit { from, to, .. } => {
                vec![from, to]
            }
            Action::ResetOneEnd { of, with } => vec![of, with],
            Action::Reset { a, b } | Action::Stall { a, b, .. } | Action::Drop { a, b } => vec![a, b],
            Action::RollingRestart { .. } => vec![&Selector::Brokers],
            Action::Split { .. }
            | Action::ReconnectStorm
            | Action::BreakOff { .. }
            | Action::GarbleOffset { .. }
            | Action::ServerLags { .. }
            | Action::QuorumLost { .. } => vec![&Selector::ZooKeeper],
        }
    }
}
