//! Simulated disks, one per node: a page cache over stable storage that fails as the testbed says.
//!
//! A kill keeps the page cache; a power failure leaves of unsynced data and names what the crash model draws
//! (`crash`, `names`). An operation of a dead incarnation has no effect. `/data` is there, and durable, from
//! a machine's first day; every other name is durable only after the [`sync_dir`] of each directory above it.
//!
//! `tree` and what it stands on are pure; `machine` adds faults, locks and latency; this file asks who acts
//! and waits; `control` is the testbed's side.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use madsim::plugin::Simulator;

use super::clock;
use super::identity::{self, Identity, NodeId};
use super::process::{self, Descriptor};
use super::trace::{self, Kind, mix};
use super::world::{self, Death};
use machine::{Effect, LockHolder, Machine, On};
use names::InodeId;
pub(super) use pages::Pages;
use underway::Sync;

mod control;
mod crash;
mod data;
mod effects;
mod faults;
mod machine;
mod names;
mod pages;
mod tree;
mod underway;

pub use crate::runtime::disk_types::{DirEntry, OpenMode, is_no_space, is_out_of_descriptors};
pub use control::{
    View, bytes_from, current_image, delete_file, durable_image, faults, faults_fired, flip_bit, heal,
    last_performed, last_write, leave_free, list_files, losses, rot_bit, set_faults, truncate_file, wipe,
};
pub use faults::{CrashInside, Errno, FailedSync, Faults, Hang, Operation, Rate, Slow, Tally};

thread_local! {
    /// The disks of this thread's one run.
    static MACHINES: RefCell<BTreeMap<NodeId, Machine>> = const { RefCell::new(BTreeMap::new()) };
}

/// madsim's view of the disks: registering it begins a run with none.
pub struct DiskSim;

impl Simulator for DiskSim {
    fn new(_: &madsim::rand::GlobalRng, _: &madsim::time::TimeHandle, _: &madsim::Config) -> DiskSim {
        MACHINES.with_borrow_mut(BTreeMap::clear);
        process::reset();
        super::effects::forget();
        DiskSim
    }
}

pub(super) fn on_birth(_life: Identity) {}

pub(super) fn on_death(life: Identity, death: Death) {
    on_machine(life.node, |machine| end_life(machine, life, death));
}

/// Ends a life, and notes what the disk lost with it.
fn end_life(machine: &mut Machine, life: Identity, death: Death) {
    if death != Death::PowerFailure {
        // What the page cache does not lose is not lost.
        return machine.on_death(life, death);
    }
    let before = effects::images(&machine.tree);
    machine.on_death(life, death);
    effects::note_losses(life.node, "power-failure", before, &machine.tree);
}

fn on_machine<T>(node: NodeId, f: impl FnOnce(&mut Machine) -> T) -> T {
    MACHINES.with_borrow_mut(|machines| f(machines.entry(node).or_insert_with(|| Machine::new(node))))
}

/// For destructors: a run's last handles may go when its disks already have.
fn while_disks_last(node: NodeId, f: impl FnOnce(&mut Machine)) {
    let run = |machines: &RefCell<BTreeMap<NodeId, Machine>>| {
        if let Some(machine) = machines.borrow_mut().get_mut(&node) {
            f(machine);
        }
    };
    MACHINES.try_with(run).unwrap_or_default();
}

/// `life`, if what it does has an effect.
fn acting(life: Identity) -> io::Result<Identity> {
    if life.may_act() { Ok(life) } else { Err(io::Error::other("the process is dead")) }
}

/// Ends the node if the operation was to be its last; no machine may be borrowed here.
fn conclude<T>(life: Identity, effect: Effect<T>) -> io::Result<T> {
    match effect {
        Effect::Done(result) => result,
        Effect::Ends(death) => {
            world::end(life.node, death);
            Err(io::Error::other("the node crashed inside this operation"))
        }
    }
}

fn path_hash(path: &Path) -> u64 {
    trace::hash_bytes(path.as_os_str().as_encoded_bytes())
}

/// An open file; cheap to clone, all clones are the same open file. Every operation but `sync_data` is a
/// page-cache operation: synchronous, visible at once, durable only after `sync_data` (and, for the name,
/// [`sync_dir`]).
#[derive(Clone)]
pub struct File(Arc<Handle>);

/// Belongs to the life that opened it.
struct Handle {
    life: Identity,
    inode: InodeId,
    writable: bool,
    power_cycle: u32,
    /// Of the path as it was opened; names the file in the trace.
    path_hash: u64,
    /// `None`: each operation takes one for its time.
    descriptor: Option<Descriptor>,
    /// How many of the file's lost writes this description was told of, or need not be.
    told: AtomicU32,
}

const EBADF: i32 = 9;
const EINVAL: i32 = 22;
/// A directory's own length: a small one's on ext4.
const DIRECTORY_BYTES: u64 = 4096;

impl File {
    /// Writes all of `parts` one after the other at `offset`, as one `pwritev`. After an error, how much
    /// was written is unknown.
    pub fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let life = self.writing(EBADF)?;
        let content = parts.iter().fold(0, |hash, part| mix(hash, trace::hash_bytes(part)));
        self.trace(Kind::DiskWrite, mix(offset, content));
        conclude(life, on_machine(life.node, |machine| machine.write(life, self.0.inode, parts, offset)))
    }

    /// Reads up to `buffer.len()` bytes at `offset`; 0 at or past the end.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let life = acting(self.0.life)?;
        let _lent = self.lend()?;
        conclude(life, on_machine(life.node, |machine| machine.read(life, self.0.inode, buffer, offset)))
    }

    /// Reads exactly `len` bytes at `offset`, which may have to come from the device. `UnexpectedEof` if the
    /// file is shorter.
    pub async fn read_range(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        acting(self.0.life)?;
        // A length beyond the file must not cost its memory before the end of the file is noticed.
        if offset.saturating_add(len as u64) > self.len()? {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.warm_up().await;
        let mut buffer = vec![0; len];
        if self.read_at(&mut buffer, offset)? < len {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(buffer.into())
    }

    /// Waits for the device, where what is read next is not in the page cache.
    pub(super) async fn warm_up(&self) {
        let time = on_machine(self.0.life.node, |machine| machine.read_time());
        if let Some(time) = time {
            clock::sleep(time).await;
        }
    }

    /// Bytes in the file.
    pub fn len(&self) -> io::Result<u64> {
        let life = acting(self.0.life)?;
        on_machine(life.node, |machine| match machine.tree.file(self.0.inode) {
            Some(file) => Ok(file.current().len() as u64),
            None if machine.tree.is_directory(self.0.inode) => Ok(DIRECTORY_BYTES),
            None => Err(ErrorKind::NotFound.into()),
        })
    }

    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    pub fn truncate(&self, len: u64) -> io::Result<()> {
        let life = self.writing(EINVAL)?;
        self.trace(Kind::DiskWrite, mix(TRUNCATE, len));
        conclude(life, on_machine(life.node, |machine| machine.truncate(life, self.0.inode, len)))
    }

    /// fdatasync: the data and the size reach stable storage; the name does not. After an error what was
    /// written before is in an unknown state, for good. Only what was written before the call counts. A dropped
    /// call still runs to its end.
    pub async fn sync_data(&self) -> io::Result<()> {
        let life = acting(self.0.life)?;
        let lent = self.lend()?;
        self.trace(Kind::DiskSync, 0);
        let covered = on_machine(life.node, |machine| machine.covered_data(self.0.inode))?;
        let description = Some(Arc::clone(&self.0));
        underway::finished(Sync { life, covered, description, _lent: lent }).await?;
        self.trace(Kind::DiskSync, 1);
        Ok(())
    }

    /// Who writes; the error of one who may not is the operation's own.
    fn writing(&self, refusal: i32) -> io::Result<Identity> {
        let life = acting(self.0.life)?;
        drop(self.lend()?);
        if self.0.writable { Ok(life) } else { Err(io::Error::from_raw_os_error(refusal)) }
    }

    /// The descriptor that an operation works with, where the file has none of its own: another description each time.
    fn lend(&self) -> io::Result<Option<Descriptor>> {
        if self.0.descriptor.is_some() {
            return Ok(None);
        }
        let life = self.0.life;
        let lent = Descriptor::take(life)?;
        let on = On::Inode(self.0.inode);
        conclude(life, on_machine(life.node, |machine| machine.open_for_one(life, on)))?;
        let told = on_machine(life.node, |machine| machine.told_at_open(self.0.inode));
        self.0.told.store(told, Ordering::Relaxed);
        Ok(Some(lent))
    }

    fn trace(&self, kind: Kind, payload: u64) {
        trace::event_of(self.0.life, kind, mix(self.0.path_hash, payload));
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        while_disks_last(self.life.node, |machine| {
            if machine.power_cycle == self.power_cycle {
                machine.tree.close(self.inode);
            }
        });
    }
}

// What a name operation was, in the trace.
const TRUNCATE: u64 = 1;
const OPEN: u64 = 2;
const CREATE_DIR: u64 = 3;
const RENAME: u64 = 4;
const REMOVE_FILE: u64 = 5;
const REMOVE_DIR: u64 = 6;
const LOCK: u64 = 7;

/// Who acts now; the name operation goes into the trace.
fn naming(operation: u64, path: &Path) -> io::Result<Identity> {
    let life = acting(identity::current())?;
    trace::event_of(life, Kind::DiskName, mix(operation, path_hash(path)));
    Ok(life)
}

/// Opens a file. Paths are the node's own: `/data/...` of two simulated nodes are different files.
pub fn open(path: &Path, mode: OpenMode) -> io::Result<File> {
    let life = naming(OPEN, path)?;
    let descriptor = Descriptor::take(life)?;
    opened(life, path, mode, Some(descriptor))
}

/// A file for reading and writing that is opened when it is used, and closed again when too many others were used
/// since ([`keep_open_on_demand`]; here: at once). For files whose content is on stable storage.
pub fn open_on_demand(path: &Path) -> io::Result<File> {
    let life = naming(OPEN, path)?;
    opened(life, path, OpenMode::ReadWrite, None)
}

fn opened(life: Identity, path: &Path, mode: OpenMode, descriptor: Option<Descriptor>) -> io::Result<File> {
    let inode = conclude(life, on_machine(life.node, |machine| machine.open(life, path, mode)))?;
    let (power_cycle, told) =
        on_machine(life.node, |machine| (machine.power_cycle, machine.told_at_open(inode)));
    Ok(File(Arc::new(Handle {
        life,
        inode,
        writable: mode != OpenMode::Read,
        power_cycle,
        path_hash: path_hash(path),
        descriptor,
        told: AtomicU32::new(told),
    })))
}

/// How many files that are opened on demand stay open after their use, in this process.
pub fn keep_open_on_demand(_max: usize) {}

/// Syncs a directory: the names made, renamed and removed in it reach stable storage.
pub async fn sync_dir(path: &Path) -> io::Result<()> {
    let life = acting(identity::current())?;
    // A directory is opened to be synced.
    let lent = Some(Descriptor::take(life)?);
    conclude(life, on_machine(life.node, |machine| machine.open_for_one(life, On::path(path))))?;
    trace::event_of(life, Kind::DiskSync, mix(0, path_hash(path)));
    let covered = on_machine(life.node, |machine| machine.covered_names(path))?;
    underway::finished(Sync { life, covered, description: None, _lent: lent }).await?;
    trace::event_of(life, Kind::DiskSync, mix(1, path_hash(path)));
    Ok(())
}

pub fn create_dir_all(path: &Path) -> io::Result<()> {
    let life = naming(CREATE_DIR, path)?;
    conclude(life, on_machine(life.node, |machine| machine.create_dir_all(life, path)))
}

/// The entries of a directory, sorted by name.
pub fn read_dir(path: &Path) -> io::Result<Vec<DirEntry>> {
    let life = acting(identity::current())?;
    let _descriptor = Descriptor::take(life)?;
    conclude(life, on_machine(life.node, |machine| machine.read_dir(life, path)))
}

/// Whether a file or directory is there.
pub fn exists(path: &Path) -> io::Result<bool> {
    let life = acting(identity::current())?;
    on_machine(life.node, |machine| match machine.tree.resolve(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    })
}

/// Atomic in the page cache; durable after [`sync_dir`] of the directory (both, if they differ).
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let life = naming(mix(RENAME, path_hash(to)), from)?;
    conclude(life, on_machine(life.node, |machine| machine.rename(life, from, to)))
}

pub fn remove_file(path: &Path) -> io::Result<()> {
    let life = naming(REMOVE_FILE, path)?;
    conclude(life, on_machine(life.node, |machine| machine.remove_file(life, path)))
}

/// Waits for the deletion of topics (K7): nothing but tests calls it yet.
pub fn remove_dir_all(path: &Path) -> io::Result<()> {
    let life = naming(REMOVE_DIR, path)?;
    // A directory is opened to be emptied. What is not there is not even opened.
    on_machine(life.node, |machine| machine.tree.resolve(path).map(drop))?;
    let _descriptor = Descriptor::take(life)?;
    conclude(life, on_machine(life.node, |machine| machine.remove_dir_all(life, path)))
}

/// An exclusive lock on a file, held until dropped (or until the process dies).
pub struct Lock {
    life: Identity,
    inode: InodeId,
    holder: LockHolder,
    _descriptor: Descriptor,
}

/// Takes the lock, or `WouldBlock` if another process (or handle) has it. Makes the file if absent.
pub fn lock(path: &Path) -> io::Result<Lock> {
    let life = naming(LOCK, path)?;
    let descriptor = Descriptor::take(life)?;
    let open = on_machine(life.node, |machine| machine.open(life, path, OpenMode::CreateOrOpen));
    let inode = conclude(life, open)?;
    let holder = on_machine(life.node, |machine| machine.lock(life, inode))?;
    Ok(Lock { life, inode, holder, _descriptor: descriptor })
}

impl Drop for Lock {
    fn drop(&mut self) {
        while_disks_last(self.life.node, |machine| machine.unlock(self.inode, self.holder));
    }
}

/// Pays the latency that this process's page-cache operations owe (a limping disk); at once otherwise.
/// Called once before replies are flushed.
pub async fn settle() {
    let now = clock::now();
    let settled_at = on_machine(identity::current().node, |machine| machine.settled_at(now));
    if settled_at > now {
        clock::sleep_until(settled_at).await;
    }
}

/// Bytes that still fit on the disk.
pub fn free_bytes(_path: &Path) -> io::Result<u64> {
    let life = acting(identity::current())?;
    Ok(on_machine(life.node, |machine| machine.free_bytes()))
}

/// A number that changes when the machine loses its page cache (the boot id).
pub fn boot_id() -> String {
    on_machine(identity::current().node, |machine| machine.boot_id())
}
