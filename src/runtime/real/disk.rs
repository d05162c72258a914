//! Files of the operating system: page-cache operations inline, whatever waits for the device on tokio's
//! thread pool.
//!
//! Cold reads run inline too: a reader that must not stall others behind the device calls from a task of
//! its own.

#![allow(clippy::disallowed_methods)] // The one place of this half that touches files.

use std::fs;
use std::io::{self, ErrorKind, IoSlice};
use std::ops::Deref;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::{rng, task};
use on_demand::OnDemand;

mod on_demand;

pub use on_demand::keep_open_on_demand;

pub use crate::runtime::disk_types::{DirEntry, OpenMode, is_no_space, is_out_of_descriptors};

/// Parts that one `pwritev` takes (IOV_MAX on Linux); more go in several calls.
const PARTS_PER_CALL_MAX: usize = 1024;

/// An open file; cheap to clone, all clones are the same open file. Every operation but `sync_data` is a
/// page-cache operation: synchronous, visible at once, durable only after `sync_data` (and, for the name,
/// [`sync_dir`]).
#[derive(Clone)]
pub struct File(Arc<Inner>);

enum Inner {
    Open(fs::File),
    OnDemand(OnDemand),
}

/// The descriptor that one operation works with.
pub(in crate::runtime) enum Descriptor<'a> {
    Open(&'a fs::File),
    Lent(Arc<fs::File>),
}

impl Deref for Descriptor<'_> {
    type Target = fs::File;

    fn deref(&self) -> &fs::File {
        match self {
            Descriptor::Open(file) => file,
            Descriptor::Lent(file) => file,
        }
    }
}

impl File {
    /// Writes all of `parts` one after the other at `offset`, as one `pwritev`. After an error, how much
    /// was written is unknown.
    pub fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        match parts {
            [one] => self.descriptor()?.write_all_at(one, offset),
            several => self.write_all_vectored_at(several, offset),
        }
    }

    /// A short write goes on where it stopped: the next call then says why (a full disk, a signal).
    fn write_all_vectored_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let file = self.descriptor()?;
        let mut at = offset;
        let mut rest = parts.to_vec();
        let mut rest = rest.as_mut_slice();
        IoSlice::advance_slices(&mut rest, 0); // Drops empty leading parts.
        while !rest.is_empty() {
            let now = &rest[..rest.len().min(PARTS_PER_CALL_MAX)];
            match rustix::io::pwritev(&*file, now, at) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    at += written as u64;
                    IoSlice::advance_slices(&mut rest, written);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads up to `buffer.len()` bytes at `offset`; 0 at or past the end.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let file = self.descriptor()?;
        loop {
            match file.read_at(buffer, offset) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// Reads exactly `len` bytes at `offset`, which may have to come from the device. `UnexpectedEof` if the
    /// file is shorter.
    pub async fn read_range(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        // A length beyond the file must not cost its memory before the end of the file is noticed.
        if offset.saturating_add(len as u64) > self.len()? {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut buffer = vec![0; len];
        self.descriptor()?.read_exact_at(&mut buffer, offset)?;
        Ok(buffer.into())
    }

    /// Bytes in the file.
    pub fn len(&self) -> io::Result<u64> {
        Ok(self.descriptor()?.metadata()?.len())
    }

    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    pub fn truncate(&self, len: u64) -> io::Result<()> {
        self.descriptor()?.set_len(len)
    }

    /// fdatasync: the data and the size reach stable storage; the name does not. After an error what was
    /// written before is in an unknown state, for good. A dropped call still runs to its end.
    pub async fn sync_data(&self) -> io::Result<()> {
        let file = self.clone();
        task::blocking(move || file.descriptor()?.sync_data()).await
    }

    /// For one operation; also for `sendfile`.
    pub(in crate::runtime) fn descriptor(&self) -> io::Result<Descriptor<'_>> {
        match &*self.0 {
            Inner::Open(file) => Ok(Descriptor::Open(file)),
            Inner::OnDemand(file) => file.lend().map(Descriptor::Lent),
        }
    }
}

/// Opens a file.
pub fn open(path: &Path, mode: OpenMode) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.read(true);
    match mode {
        OpenMode::Read => &mut options,
        OpenMode::ReadWrite => options.write(true),
        OpenMode::CreateOrOpen => options.write(true).create(true).truncate(false),
        OpenMode::CreateNew => options.write(true).create_new(true),
    };
    Ok(File(Arc::new(Inner::Open(options.open(path)?))))
}

/// A file for reading and writing that is opened when it is used, and closed again when too many others were used
/// since ([`keep_open_on_demand`]). For files whose content is on stable storage: an error of a write in between
/// would be told to a descriptor that is gone.
pub fn open_on_demand(path: &Path) -> io::Result<File> {
    Ok(File(Arc::new(Inner::OnDemand(OnDemand::new(path)))))
}

/// Syncs a directory: the names made, renamed and removed in it reach stable storage.
pub async fn sync_dir(path: &Path) -> io::Result<()> {
    let path = path.to_owned();
    task::blocking(move || fs::File::open(path)?.sync_all()).await
}

pub fn create_dir_all(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// The entries of a directory, sorted by name.
pub fn read_dir(path: &Path) -> io::Result<Vec<DirEntry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let metadata = match fs::metadata(entry.path()) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue, // Removed since it was listed.
            found => found?,
        };
        let len = if metadata.is_dir() { 0 } else { metadata.len() };
        let name = entry.file_name().to_string_lossy().into_owned();
        entries.push(DirEntry { name, is_dir: metadata.is_dir(), len });
    }
    entries.sort();
    Ok(entries)
}

/// Whether a file or directory is there.
pub fn exists(path: &Path) -> io::Result<bool> {
    path.try_exists()
}

/// Atomic in the page cache; durable after [`sync_dir`] of the directory (both, if they differ).
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

pub fn remove_file(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

/// Waits for the deletion of topics (K7): nothing but tests calls it yet.
pub fn remove_dir_all(path: &Path) -> io::Result<()> {
    fs::remove_dir_all(path)
}

/// An exclusive lock on a file, held until dropped (or until the process dies).
pub struct Lock {
    /// The kernel releases the lock when this descriptor closes.
    _file: fs::File,
}

/// Takes the lock, or `WouldBlock` if another process (or handle) has it. Makes the file if absent.
pub fn lock(path: &Path) -> io::Result<Lock> {
    let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
    Ok(Lock { _file: file })
}

/// Pays the latency that this task's page-cache operations owe (a limping disk); at once on a real machine.
/// Called once before replies are flushed.
pub async fn settle() {}

/// Bytes that this process may still store in the file system of `path`.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// A number that changes when the machine loses its page cache (the boot id). Where the system does not
/// tell, each process has its own: as though every restart had lost the cache, which is the safe side.
pub fn boot_id() -> String {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    let id = BOOT_ID.get_or_init(|| match fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        Ok(id) if !id.trim().is_empty() => id.trim().to_owned(),
        _ => format!("unknown-{:016x}", rng::stream("boot-id").next_u64()),
    });
    id.clone()
}
