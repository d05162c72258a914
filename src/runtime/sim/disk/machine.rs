//! One node's disk: its tree of files, with the faults, locks, latency and lives that the tree knows nothing
//! about.
//!
//! Synchronous: an operation that crashes its node says so in its [`Effect`]; ending the node is the shell's
//! job, because the end comes back here.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, IoSlice};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use super::crash::SECTOR_BYTES;
use super::effects;
use super::faults::{Errno, Faults, Operation, Tally, Verdict};
use super::names::InodeId;
use super::tree::Tree;
use crate::runtime::Instant;
use crate::runtime::disk_types::{DirEntry, OpenMode};
use crate::runtime::random::Rng;
use crate::runtime::sim::effects::{NOTICEABLE, struck};
use crate::runtime::sim::identity::{Identity, NodeId};
use crate::runtime::sim::trace::{self, Kind};
use crate::runtime::sim::world::Death;
use crate::runtime::sim::{buggify, clock, rng};

mod hang;
mod sync;

pub(super) use hang::On;
pub(super) use sync::Covered;

/// No file of a simulation is larger; a write beyond is a bug, and would cost the memory.
const FILE_BYTES_MAX: usize = 1 << 30;
/// A process never owes more than this, however slow its disk.
const OWED_MAX: Duration = Duration::from_secs(30);

const WRITE_NANOS: u64 = 10_000;
const WRITE_NANOS_PER_KIB: u64 = 1_000;
const READ_NANOS: u64 = 100_000;

const EFBIG: i32 = 27;

/// An operation is over, or it was the last one of its node's life.
pub(super) enum Effect<T> {
    Done(io::Result<T>),
    Ends(Death),
}

impl<T> Effect<T> {
    fn errno(errno: Errno) -> Effect<T> {
        Effect::Done(Err(io::Error::from_raw_os_error(errno.number())))
    }

    fn too_large() -> Effect<T> {
        Effect::Done(Err(io::Error::from_raw_os_error(EFBIG)))
    }
}

pub(super) struct Machine {
    pub(super) node: NodeId,
    pub(super) tree: Tree,
    pub(super) faults: Faults,
    /// Counts power failures: what changes when the page cache is lost.
    pub(super) power_cycle: u32,
    locks: BTreeMap<InodeId, LockHolder>,
    locks_taken: u64,
    /// What the present life's writes have cost and nobody has waited for yet.
    owed: Duration,
    /// When the device will have done what was asked of it, while it limps.
    busy_until: Instant,
    /// Bytes that were damaged behind the back of programs.
    pub(super) damaged: Vec<(InodeId, Range<u64>)>,
    /// When a living process last did each.
    pub(super) performed: BTreeMap<Operation, Instant>,
    pub(super) faults_fired: Tally,
    pub(super) losses: Tally,
    crash_draws: Rng,
    fault_draws: Rng,
    latency_draws: Rng,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct LockHolder {
    life: Identity,
    ticket: u64,
}

impl Machine {
    pub(super) fn new(node: NodeId) -> Machine {
        let stream = |purpose: &str| rng::world_stream(&format!("disk {purpose} of node {node}"));
        Machine {
            node,
            tree: Tree::new(),
            faults: Faults::default(),
            power_cycle: 0,
            locks: BTreeMap::new(),
            locks_taken: 0,
            owed: Duration::ZERO,
            busy_until: Instant::START,
            damaged: Vec::new(),
            performed: BTreeMap::new(),
            faults_fired: Tally::new(),
            losses: Tally::new(),
            crash_draws: stream("crashes"),
            fault_draws: stream("faults"),
            latency_draws: stream("latency"),
        }
    }

    // -- lives -------------------------------------------------------------------------------------

    pub(super) fn on_death(&mut self, life: Identity, death: Death) {
        for (inode, holder) in self.locks.clone() {
            if holder.life == life {
                self.unlock(inode, holder);
            }
        }
        self.owed = Duration::ZERO;
        if death != Death::PowerFailure {
            self.tree.evict_rotten();
        } else {
            self.lose_page_cache();
            for (name, count) in self.tree.crash(&mut self.crash_draws) {
                *self.losses.entry(name).or_default() += count;
            }
        }
    }

    fn lose_page_cache(&mut self) {
        self.power_cycle += 1;
        self.locks.clear();
        self.busy_until = Instant::START;
    }

    /// The disk is replaced by an empty one.
    pub(super) fn wipe(&mut self) {
        self.lose_page_cache();
        self.tree = Tree::new();
    }

    // -- faults ------------------------------------------------------------------------------------

    /// What the operation meets. Only the living meet faults.
    fn judge(&mut self, life: Identity, operation: Operation) -> Verdict {
        if !life.is_alive() {
            return Verdict::Proceed;
        }
        self.performed.insert(operation, clock::world_now());
        let verdict = self.faults.judge(operation, &mut self.fault_draws);
        if let Some(name) = verdict.name(operation) {
            self.fired(life, name);
        }
        verdict
    }

    fn fired(&mut self, life: Identity, name: &'static str) {
        *self.faults_fired.entry(name).or_default() += 1;
        struck(self.node, name);
        trace::event_of(life, Kind::Fault, trace::hash_bytes(name.as_bytes()));
    }

    /// Likewise of what a thread calls, which may not return before the device answers.
    fn judge_call(&mut self, life: Identity, operation: Operation, on: On) -> Verdict {
        let verdict = self.judge(life, operation);
        if !matches!(verdict, Verdict::Crash(_)) {
            self.enter(life, operation, on);
        }
        verdict
    }

    /// How many of `growth` bytes still fit.
    fn room_for(&mut self, life: Identity, growth: usize) -> usize {
        let Some(capacity) = self.faults.capacity_bytes.filter(|_| growth > 0) else { return growth };
        let free = capacity.saturating_sub(self.tree.used_bytes());
        if free >= growth as u64 {
            return growth;
        }
        self.fired(life, "no-space");
        free as usize
    }

    pub(super) fn free_bytes(&self) -> u64 {
        let capacity = self.faults.capacity_bytes;
        capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.tree.used_bytes()))
    }

    // -- names -------------------------------------------------------------------------------------

    /// A change of names; a crash inside of it comes before it or after.
    fn change_names<T>(
        &mut self,
        life: Identity,
        (operation, path): (Operation, &Path),
        change: impl FnOnce(&mut Tree) -> io::Result<T>,
    ) -> Effect<T> {
        match self.judge_call(life, operation, On::path(path)) {
            Verdict::Fail(errno) => Effect::errno(errno),
            Verdict::Crash(death) => {
                if self.fault_draws.chance(1, 2)
                    && let Err(error) = change(&mut self.tree)
                {
                    return Effect::Done(Err(error));
                }
                Effect::Ends(death)
            }
            Verdict::Short | Verdict::SilentFailure | Verdict::Proceed => {
                Effect::Done(change(&mut self.tree))
            }
        }
    }

    pub(super) fn open(&mut self, life: Identity, path: &Path, mode: OpenMode) -> Effect<InodeId> {
        if self.tree.would_create(path, mode) && self.room_for(life, 1) == 0 {
            return Effect::errno(Errno::Enospc);
        }
        match self.judge_call(life, Operation::Open, On::path(path)) {
            Verdict::Fail(errno) => Effect::errno(errno),
            Verdict::Crash(death) => {
                if self.fault_draws.chance(1, 2)
                    && let Ok(inode) = self.tree.open(path, mode)
                {
                    self.tree.close(inode);
                }
                Effect::Ends(death)
            }
            _ => Effect::Done(self.tree.open(path, mode)),
        }
    }

    /// The same as often as a file that is opened on demand, or a directory, is opened for one operation.
    pub(super) fn open_for_one(&mut self, life: Identity, on: On) -> Effect<()> {
        match self.judge_call(life, Operation::Open, on) {
            Verdict::Fail(errno) => Effect::errno(errno),
            Verdict::Crash(death) => Effect::Ends(death),
            _ => Effect::Done(Ok(())),
        }
    }

    pub(super) fn create_dir_all(&mut self, life: Identity, path: &Path) -> Effect<()> {
        if self.tree.resolve(path).is_err() && self.room_for(life, 1) == 0 {
            return Effect::errno(Errno::Enospc);
        }
        self.change_names(life, (Operation::CreateDir, path), |tree| tree.create_dir_all(path))
    }

    pub(super) fn read_dir(&mut self, life: Identity, path: &Path) -> Effect<Vec<DirEntry>> {
        self.change_names(life, (Operation::ReadDir, path), |tree| tree.read_dir(path))
    }

    pub(super) fn rename(&mut self, life: Identity, from: &Path, to: &Path) -> Effect<()> {
        self.change_names(life, (Operation::Rename, from), |tree| tree.rename(from, to))
    }

    pub(super) fn remove_file(&mut self, life: Identity, path: &Path) -> Effect<()> {
        self.change_names(life, (Operation::Remove, path), |tree| tree.remove_file(path))
    }

    pub(super) fn remove_dir_all(&mut self, life: Identity, path: &Path) -> Effect<()> {
        self.change_names(life, (Operation::Remove, path), |tree| tree.remove_dir_all(path))
    }

    // -- files -------------------------------------------------------------------------------------

    pub(super) fn write(
        &mut self,
        life: Identity,
        inode: InodeId,
        parts: &[IoSlice<'_>],
        offset: u64,
    ) -> Effect<()> {
        let verdict = self.judge_call(life, Operation::Write, On::Inode(inode));
        let Some(file) = self.tree.file(inode) else { return Effect::Done(Err(stale_handle())) };
        let mut bytes = concatenated(parts);
        let Some((offset, end)) = range_of(offset, bytes.len()) else { return Effect::too_large() };
        let growth = end.saturating_sub(file.current().len());
        let beyond = growth - self.room_for(life, growth);
        let wanted = bytes.len() as u64;
        match verdict {
            Verdict::Fail(errno) => return Effect::errno(errno),
            Verdict::Short => bytes.truncate(self.fault_draws.below(wanted.max(1)) as usize),
            Verdict::Crash(_) => bytes.truncate(self.fault_draws.below(wanted + 1) as usize),
            Verdict::Proceed | Verdict::SilentFailure => bytes.truncate(bytes.len().saturating_sub(beyond)),
        }
        self.owe(WRITE_NANOS + WRITE_NANOS_PER_KIB * (bytes.len() as u64 >> 10));
        let landed = if verdict == Verdict::SilentFailure {
            self.fault_draws.below(offset as u64 + 1) as usize
        } else {
            offset
        };
        if landed != offset {
            effects::went_astray(self.node, &self.tree, inode, &bytes, [landed, offset]);
        }
        let file = self.tree.file_mut(inode).expect("looked up above");
        if landed != offset {
            // The size is the file system's to know, and right.
            file.truncate(file.current().len().max(offset + bytes.len()));
        }
        file.write(landed, bytes);
        match verdict {
            Verdict::Crash(death) => Effect::Ends(death),
            Verdict::Short => Effect::errno(Errno::Eio),
            _ if beyond > 0 => Effect::errno(Errno::Enospc),
            _ => Effect::Done(Ok(())),
        }
    }

    pub(super) fn truncate(&mut self, life: Identity, inode: InodeId, len: u64) -> Effect<()> {
        let verdict = self.judge_call(life, Operation::SetLen, On::Inode(inode));
        let Some(file) = self.tree.file(inode) else { return Effect::Done(Err(stale_handle())) };
        let Some((len, _)) = range_of(len, 0) else { return Effect::too_large() };
        let growth = len.saturating_sub(file.current().len());
        if self.room_for(life, growth) < growth {
            return Effect::errno(Errno::Enospc);
        }
        let happens = match verdict {
            Verdict::Proceed | Verdict::SilentFailure => true,
            Verdict::Fail(errno) => return Effect::errno(errno),
            Verdict::Short => return Effect::errno(Errno::Eio),
            Verdict::Crash(_) => self.fault_draws.chance(1, 2),
        };
        if happens {
            self.tree.file_mut(inode).expect("looked up above").truncate(len);
        }
        match verdict {
            Verdict::Crash(death) => Effect::Ends(death),
            _ => Effect::Done(Ok(())),
        }
    }

    pub(super) fn read(
        &mut self,
        life: Identity,
        inode: InodeId,
        buffer: &mut [u8],
        offset: u64,
    ) -> Effect<usize> {
        match self.judge_call(life, Operation::Read, On::Inode(inode)) {
            Verdict::Crash(death) => return Effect::Ends(death),
            Verdict::Fail(errno) => return Effect::errno(errno),
            Verdict::Short | Verdict::SilentFailure | Verdict::Proceed => {}
        }
        if self.meets_lost_sector(inode, offset, buffer.len() as u64) {
            self.fired(life, "sector-lost");
            return Effect::errno(Errno::Eio);
        }
        if self.tree.is_directory(inode) {
            return Effect::Done(Err(ErrorKind::IsADirectory.into()));
        }
        let Some(file) = self.tree.file(inode) else { return Effect::Done(Err(stale_handle())) };
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(file.current().len());
        let found = &file.current()[start..];
        let len = found.len().min(buffer.len());
        buffer[..len].copy_from_slice(&found[..len]);
        if self.damaged.iter().any(|(of, bytes)| {
            *of == inode && offset < bytes.end && bytes.start < offset + buffer.len() as u64
        }) {
            struck(self.node, "damage-read");
        }
        Effect::Done(Ok(len))
    }

    fn meets_lost_sector(&self, inode: InodeId, offset: u64, len: u64) -> bool {
        let sectors = offset / SECTOR_BYTES..(offset + len).div_ceil(SECTOR_BYTES);
        self.faults.lost_sectors.iter().any(|(path, byte)| {
            sectors.contains(&(byte / SECTOR_BYTES))
                && self.tree.resolve(path).is_ok_and(|found| found == inode)
        })
    }

    // -- locks -------------------------------------------------------------------------------------

    /// The lock on an open file; without it the file is closed.
    pub(super) fn lock(&mut self, life: Identity, inode: InodeId) -> io::Result<LockHolder> {
        if self.locks.contains_key(&inode) {
            self.tree.close(inode);
            return Err(ErrorKind::WouldBlock.into());
        }
        self.locks_taken += 1;
        let holder = LockHolder { life, ticket: self.locks_taken };
        self.locks.insert(inode, holder);
        Ok(holder)
    }

    pub(super) fn unlock(&mut self, inode: InodeId, holder: LockHolder) {
        if self.locks.get(&inode) == Some(&holder) {
            self.locks.remove(&inode);
            self.tree.close(inode);
        }
    }

    // -- time --------------------------------------------------------------------------------------

    /// How long a read takes that has to come from the device: on a limping disk each one, else one now and then.
    pub(super) fn read_time(&mut self) -> Option<Duration> {
        let slowness = self.faults.slowness();
        let is_cold = slowness > 1 || buggify::fires("disk.cold-read");
        let time = is_cold.then(|| Duration::from_nanos(READ_NANOS * slowness))?;
        if time > NOTICEABLE {
            struck(self.node, "slow");
        }
        Some(time)
    }

    /// An inline operation of a limping disk costs `nanos` on a healthy one.
    fn owe(&mut self, nanos: u64) {
        let slowness = self.faults.slowness();
        if slowness > 1 {
            let cost = Duration::from_nanos(nanos * slowness);
            let now = crate::runtime::clock::now();
            self.owed = OWED_MAX.min(self.owed + cost);
            self.busy_until = (now + OWED_MAX).min(self.busy_until.max(now) + cost);
        }
    }

    /// Until when the task that asks has to wait for the node's inline writes.
    pub(super) fn settled_at(&mut self, now: Instant) -> Instant {
        let owed = std::mem::take(&mut self.owed);
        let stalls = self.faults.slow.is_some_and(|slow| slow.stalls_node);
        let until = if stalls { self.busy_until } else { now + owed };
        if until > now + NOTICEABLE {
            struck(self.node, "slow");
        }
        until
    }

    /// The machine's boot id.
    pub(super) fn boot_id(&self) -> String {
        format!("node-{}-power-cycle-{}", self.node, self.power_cycle)
    }
}

/// Where an operation ends, or `None` beyond what a file may hold.
fn range_of(offset: u64, len: usize) -> Option<(usize, usize)> {
    let offset = usize::try_from(offset).ok()?;
    let end = offset.checked_add(len)?;
    (end <= FILE_BYTES_MAX).then_some((offset, end))
}

/// The file did not survive the crash that ended the handle's life.
fn stale_handle() -> io::Error {
    ErrorKind::NotFound.into()
}

fn concatenated(parts: &[IoSlice<'_>]) -> Vec<u8> {
    let mut all = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        all.extend_from_slice(part);
    }
    all
}
