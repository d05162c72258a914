//! What is wrong with a node's disk: which operations fail, how, and how slow the rest is.
//!
//! The testbed sets [`Faults`]; each operation of a living process asks `judge` once. A dead life's late
//! writes meet no faults.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::runtime::random::Rng;
use crate::runtime::sim::world::Death;

/// What faults are told apart by. `Sync` is `sync_data` and `sync_dir`; `Open` is every opening of a file, whether
/// asked for or because one that is opened on demand is used, and of a directory that is to be synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Read,
    Write,
    SetLen,
    Sync,
    Rename,
    Open,
    CreateDir,
    ReadDir,
    Remove,
}

impl Operation {
    /// How an error of it is counted.
    fn error_name(self) -> &'static str {
        match self {
            Operation::Read => "read-error",
            Operation::Write => "write-error",
            Operation::SetLen => "set-len-error",
            Operation::Sync => "sync-error",
            Operation::Rename => "rename-error",
            Operation::Open => "open-error",
            Operation::CreateDir => "create-dir-error",
            Operation::ReadDir => "read-dir-error",
            Operation::Remove => "remove-error",
        }
    }

    /// How one that does not come to its end is counted.
    pub(super) fn hanging_name(self) -> &'static str {
        match self {
            Operation::Read => "hanging-read",
            Operation::Write => "hanging-write",
            Operation::SetLen => "hanging-set-len",
            Operation::Sync => "hanging-sync",
            Operation::Rename => "hanging-rename",
            Operation::Open => "hanging-open",
            Operation::CreateDir => "hanging-create-dir",
            Operation::ReadDir => "hanging-read-dir",
            Operation::Remove => "hanging-remove",
        }
    }

    /// Whether a crash that is armed for `armed` strikes here.
    fn is_crash_point(self, armed: Operation) -> bool {
        self == armed || (self == Operation::SetLen && armed == Operation::Write)
    }
}

/// What an operation fails with that fails.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Errno {
    /// The device gives up.
    #[default]
    Eio,
    /// No space; of a sync: none was found for what was written before.
    Enospc,
    /// The machine has too many files open.
    Enfile,
    /// The file system has gone read-only.
    Erofs,
}

impl Errno {
    pub const ALL: [Errno; 4] = [Errno::Eio, Errno::Enospc, Errno::Enfile, Errno::Erofs];

    pub fn name(self) -> &'static str {
        match self {
            Errno::Eio => "EIO",
            Errno::Enospc => "ENOSPC",
            Errno::Enfile => "ENFILE",
            Errno::Erofs => "EROFS",
        }
    }

    /// As Linux numbers it.
    pub fn number(self) -> i32 {
        match self {
            Errno::Eio => 5,
            Errno::Enfile => 23,
            Errno::Enospc => 28,
            Errno::Erofs => 30,
        }
    }
}

/// How often a fault strikes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rate {
    #[default]
    Never,
    /// The next so many operations, then never again.
    Next(u32),
    /// One operation in so many, drawn.
    OneIn(u64),
}

impl Rate {
    fn strikes(&mut self, draws: &mut Rng) -> bool {
        match self {
            Rate::Never | Rate::Next(0) => false,
            Rate::Next(left) => {
                *left -= 1;
                true
            }
            Rate::OneIn(n) => draws.chance(1, *n),
        }
    }
}

/// What a failed fsync leaves behind. In no mode does a later successful sync make the lost bytes durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailedSync {
    /// The pages count as clean: programs read the new bytes, a power failure loses them (ext4).
    #[default]
    KeepsNewBytes,
    /// Programs read the old bytes again (btrfs).
    Reverts,
    /// The sync that lost the pages succeeds; the file's next one fails (ext4 in data mode).
    ReportsNextTime,
}

/// Ends the node inside an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashInside {
    pub operation: Operation,
    /// How many such operations still go well before the one that does not.
    pub after: u32,
    pub death: Death,
}

/// Operations that the device does not answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hang {
    /// `None`: each.
    pub operation: Option<Operation>,
    /// On this file or directory; `None`: on any.
    pub file: Option<PathBuf>,
}

/// A disk that limps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slow {
    /// Everything takes so many times as long; 10 to 1000.
    pub factor: u32,
    /// Whether an inline write holds up every task of the node that settles, not only the writer.
    pub stalls_node: bool,
}

/// What is wrong with one node's disk. The default is a healthy disk.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Operations that fail, and with what: nothing was done. What a failed sync leaves, `failed_sync` says.
    pub errors: BTreeMap<Operation, (Rate, Errno)>,
    pub failed_sync: FailedSync,
    /// A part is written, then EIO.
    pub short_writes: Rate,
    /// Reported as done, and found elsewhere in the file; the place it was meant for keeps what it had.
    pub misdirected_writes: Rate,
    /// Reported as done; nothing became durable.
    pub sync_lies: Rate,
    /// Sectors that cannot be read: the file, and a byte of the sector.
    pub lost_sectors: BTreeSet<(PathBuf, u64)>,
    /// Bytes that fit on the disk; what no longer fits is ENOSPC, after what did. `Some(0)`: nothing grows.
    pub capacity_bytes: Option<u64>,
    pub slow: Option<Slow>,
    /// Files and directories whose syncs take so many times as long.
    pub slow_syncs: BTreeMap<PathBuf, u32>,
    /// Operations that do not come to their end while this is so.
    pub hung: BTreeSet<Hang>,
    pub crash_inside: Option<CrashInside>,
}

/// What an operation meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Proceed,
    Fail(Errno),
    Short,
    /// It is reported as done: a write that went astray, a sync that did nothing.
    SilentFailure,
    Crash(Death),
}

impl Verdict {
    /// The name under which it is counted; `None` where nothing strikes.
    pub(super) fn name(self, operation: Operation) -> Option<&'static str> {
        match self {
            Verdict::Proceed => None,
            Verdict::Crash(_) => Some("crash-inside"),
            Verdict::Short => Some("short-write"),
            Verdict::SilentFailure if operation == Operation::Sync => Some("lying-sync"),
            Verdict::SilentFailure => Some("misdirected-write"),
            Verdict::Fail(_) => Some(operation.error_name()),
        }
    }
}

impl Faults {
    /// Operations of this kind fail with EIO, so often.
    pub fn fail(&mut self, operation: Operation, rate: Rate) {
        self.fail_with(operation, rate, Errno::Eio);
    }

    pub fn fail_with(&mut self, operation: Operation, rate: Rate, errno: Errno) {
        self.errors.insert(operation, (rate, errno));
    }

    pub(super) fn judge(&mut self, operation: Operation, draws: &mut Rng) -> Verdict {
        if let Some(death) = self.crashes_inside(operation) {
            return Verdict::Crash(death);
        }
        if let Some((rate, errno)) = self.errors.get_mut(&operation)
            && rate.strikes(draws)
        {
            return Verdict::Fail(*errno);
        }
        if operation == Operation::Write && self.short_writes.strikes(draws) {
            return Verdict::Short;
        }
        let silent_failures = match operation {
            Operation::Write => &mut self.misdirected_writes,
            Operation::Sync => &mut self.sync_lies,
            _ => return Verdict::Proceed,
        };
        if silent_failures.strikes(draws) { Verdict::SilentFailure } else { Verdict::Proceed }
    }

    fn crashes_inside(&mut self, operation: Operation) -> Option<Death> {
        let armed = |crash: &&mut CrashInside| operation.is_crash_point(crash.operation);
        let crash = self.crash_inside.as_mut().filter(armed)?;
        if crash.after > 0 {
            crash.after -= 1;
            return None;
        }
        self.crash_inside.take().map(|crash| crash.death)
    }

    /// How many times as long as on a healthy disk things take.
    pub(super) fn slowness(&self) -> u64 {
        self.slow.map_or(1, |slow| u64::from(slow.factor.max(1)))
    }
}

/// How often each kind of fault or loss has struck, by name.
pub type Tally = BTreeMap<&'static str, u64>;
