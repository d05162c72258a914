//! Files that have a descriptor only while they are used, and for a while after.
//!
//! Limit: at most as many stay open as [`keep_open_on_demand`] says, and besides one for each operation under way.

#![allow(clippy::disallowed_methods)] // Opens files: part of the one place that does.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use crate::runtime::disk_types::is_out_of_descriptors;

/// Until somebody who knows the process's limit says otherwise.
const KEPT_DEFAULT: usize = 64;

static KEPT_MAX: AtomicUsize = AtomicUsize::new(KEPT_DEFAULT);
/// What is open, in the order in which it was opened.
static KEPT: Mutex<VecDeque<Weak<Slot>>> = Mutex::new(VecDeque::new());

/// Where the descriptor is while the file is open.
type Slot = Mutex<Option<Arc<fs::File>>>;

pub(super) struct OnDemand {
    path: PathBuf,
    slot: Arc<Slot>,
}

/// How many files that are opened on demand stay open after their use, in this process.
pub fn keep_open_on_demand(max: usize) {
    KEPT_MAX.store(max, Ordering::Relaxed);
}

impl OnDemand {
    pub fn new(path: &Path) -> OnDemand {
        OnDemand { path: path.to_owned(), slot: Arc::default() }
    }

    /// The open file, for one use.
    pub fn lend(&self) -> io::Result<Arc<fs::File>> {
        if let Some(file) = &*locked(&self.slot) {
            return Ok(Arc::clone(file));
        }
        let file = match self.open() {
            Err(error) if is_out_of_descriptors(&error) => {
                close_the_oldest(0);
                self.open()?
            }
            opened => opened?,
        };
        *locked(&self.slot) = Some(Arc::clone(&file));
        KEPT.lock().expect("files kept open").push_back(Arc::downgrade(&self.slot));
        close_the_oldest(KEPT_MAX.load(Ordering::Relaxed));
        Ok(file)
    }

    fn open(&self) -> io::Result<Arc<fs::File>> {
        fs::OpenOptions::new().read(true).write(true).open(&self.path).map(Arc::new)
    }
}

/// Closes those that were opened first, once nobody uses them, until `max` are left. No two locks are held at once.
fn close_the_oldest(max: usize) {
    let closed: Vec<Weak<Slot>> = {
        let mut kept = KEPT.lock().expect("files kept open");
        let surplus = kept.len().saturating_sub(max);
        kept.drain(..surplus).collect()
    };
    for slot in closed.iter().filter_map(Weak::upgrade) {
        *locked(&slot) = None;
    }
}

fn locked(slot: &Slot) -> MutexGuard<'_, Option<Arc<fs::File>>> {
    slot.lock().expect("a file kept open")
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::super::{OpenMode, open, open_on_demand};

    #[test]
    fn more_files_than_may_stay_open_are_read_in_any_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |number: usize| folder.path().join(number.to_string());
        let files: Vec<_> = (0..3 * super::KEPT_DEFAULT)
            .map(|number| {
                let file = open(&path(number), OpenMode::CreateNew).expect("a new file");
                file.write_at(&[IoSlice::new(&[number as u8])], 0).expect("room");
                open_on_demand(&path(number)).expect("it is there")
            })
            .collect();

        for round in 0..3 {
            for number in (0..files.len()).rev().step_by(round + 1) {
                let mut byte = [0];
                assert_eq!(files[number].read_at(&mut byte, 0).expect("it opens"), 1);
                assert_eq!(byte, [number as u8]);
            }
        }
        let open = files.iter().filter(|file| match &*file.0 {
            super::super::Inner::OnDemand(file) => super::locked(&file.slot).is_some(),
            super::super::Inner::Open(_) => false,
        });
        assert!(open.count() <= super::KEPT_DEFAULT);
    }
}
