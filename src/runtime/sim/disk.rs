//! Simulated disk (stub until the plugin lands).

use std::io;
use std::path::Path;

use bytes::Bytes;
use madsim::plugin::Simulator;

use super::identity::Identity;
use super::world::Death;

pub struct DiskSim;

impl Simulator for DiskSim {
    fn new(_: &madsim::rand::GlobalRng, _: &madsim::time::TimeHandle, _: &madsim::Config) -> DiskSim {
        DiskSim
    }
}

pub(super) fn on_birth(_life: Identity) {}

pub(super) fn on_death(_life: Identity, _death: Death) {}

fn stub<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

pub use crate::runtime::disk_types::{DirEntry, OpenMode};

/// An open file; cheap to clone, all clones are the same open file. Every operation but `sync_data` is a page-cache operation:
/// synchronous, visible at once, durable only after `sync_data` (and, for the name, [`sync_dir`]).
#[derive(Clone)]
pub struct File;

impl File {
    /// Writes all of `parts` one after the other at `offset`, as one `pwritev`. A short write is reported as
    /// an error; how much was written is unknown then.
    pub fn write_at(&self, _parts: &[io::IoSlice<'_>], _offset: u64) -> io::Result<()> {
        stub()
    }

    /// Reads up to `buffer.len()` bytes at `offset`; 0 at or past the end.
    pub fn read_at(&self, _buffer: &mut [u8], _offset: u64) -> io::Result<usize> {
        stub()
    }

    /// Reads exactly `len` bytes at `offset`, which may have to come from the device. `UnexpectedEof` if the
    /// file is shorter.
    pub async fn read_range(&self, _offset: u64, _len: usize) -> io::Result<Bytes> {
        stub()
    }

    /// Bytes in the file.
    pub fn len(&self) -> io::Result<u64> {
        stub()
    }

    pub fn is_empty(&self) -> io::Result<bool> {
        stub()
    }

    pub fn truncate(&self, _len: u64) -> io::Result<()> {
        stub()
    }

    /// fdatasync: the data and the size reach stable storage; the name does not. After an error what was
    /// written before is in an unknown state, for good.
    pub async fn sync_data(&self) -> io::Result<()> {
        stub()
    }
}

/// Opens a file. Paths are the node's own: `/data/...` of two simulated nodes are different files.
pub fn open(_path: &Path, _mode: OpenMode) -> io::Result<File> {
    stub()
}

/// Syncs a directory: the names made, renamed and removed in it reach stable storage.
pub async fn sync_dir(_path: &Path) -> io::Result<()> {
    stub()
}

pub fn create_dir_all(_path: &Path) -> io::Result<()> {
    stub()
}

/// The entries of a directory, sorted by name.
pub fn read_dir(_path: &Path) -> io::Result<Vec<DirEntry>> {
    stub()
}

/// Whether a file or directory is there.
pub fn exists(_path: &Path) -> io::Result<bool> {
    stub()
}

/// Atomic in the page cache; durable after [`sync_dir`] of the directory (both, if they differ).
pub fn rename(_from: &Path, _to: &Path) -> io::Result<()> {
    stub()
}

pub fn remove_file(_path: &Path) -> io::Result<()> {
    stub()
}

pub fn remove_dir_all(_path: &Path) -> io::Result<()> {
    stub()
}

/// An exclusive lock on a file, held until dropped (or until the process dies).
pub struct Lock;

/// Takes the lock, or `WouldBlock` if another process (or handle) has it.
pub fn lock(_path: &Path) -> io::Result<Lock> {
    stub()
}

/// Pays the latency that this task's page-cache operations owe (a limping disk); at once on a real machine.
/// Called once before replies are flushed.
pub async fn settle() {}

/// A number that changes when the machine loses its page cache (the boot id).
pub fn boot_id() -> String {
    String::new()
}
