//! What is wrong with a node's disk: which operations fail, how, and how slow the rest is.
//!
//! The testbed sets [`Faults`]; each operation of a living process asks `judge` once. A dead life's late
//! writes meet no faults.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::runtime::random::Rng;
use crate::runtime::sim::world::Death;

/// What faults are told apart by. `Sync` is `sync_data` and `sync_dir`; `Write` includes `truncate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Read,
    Write,
    Sync,
    Rename,
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
    /// EIO; nothing was done.
    pub read_errors: Rate,
    pub write_errors: Rate,
    pub rename_errors: Rate,
    /// EIO, after which `failed_sync` says what became of the data.
    pub sync_errors: Rate,
    pub failed_sync: FailedSync,
    /// A part is written, then EIO.
    pub short_writes: Rate,
    /// Reported as done, and found elsewhere in the file; the place it was meant for keeps what it had.
    pub misdirected_writes: Rate,
    /// Reported as done; nothing became durable.
    pub sync_lies: Rate,
    /// Sectors that cannot be read: the file, and a byte of the sector.
    pub lost_sectors: BTreeSet<(PathBuf, u64)>,
    /// Bytes that fit on the disk; what no longer fits is ENOSPC. `Some(0)`: nothing grows.
    pub capacity_bytes: Option<u64>,
    pub slow: Option<Slow>,
    /// Files and directories whose syncs take so many times as long.
    pub slow_syncs: BTreeMap<PathBuf, u32>,
    pub crash_inside: Option<CrashInside>,
}

/// What an operation meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Proceed,
    Fail,
    Short,
    /// It is reported as done: a write that went astray, a sync that did nothing.
    SilentFailure,
    Crash(Death),
}

impl Faults {
    pub(super) fn judge(&mut self, operation: Operation, draws: &mut Rng) -> Verdict {
        if let Some(death) = self.crashes_inside(operation) {
            return Verdict::Crash(death);
        }
        let errors = match operation {
            Operation::Read => &mut self.read_errors,
            Operation::Write => &mut self.write_errors,
            Operation::Sync => &mut self.sync_errors,
            Operation::Rename => &mut self.rename_errors,
        };
        if errors.strikes(draws) {
            return Verdict::Fail;
        }
        if operation == Operation::Write && self.short_writes.strikes(draws) {
            return Verdict::Short;
        }
        let silent_failures = match operation {
            Operation::Write => &mut self.misdirected_writes,
            Operation::Sync => &mut self.sync_lies,
            Operation::Read | Operation::Rename => return Verdict::Proceed,
        };
        if silent_failures.strikes(draws) { Verdict::SilentFailure } else { Verdict::Proceed }
    }

    fn crashes_inside(&mut self, operation: Operation) -> Option<Death> {
        let crash = self.crash_inside.as_mut().filter(|crash| crash.operation == operation)?;
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
