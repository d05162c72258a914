//! What both disks speak of: how a file is opened, what a directory lists, and which errors lose nothing.

use std::io::{self, ErrorKind};

/// How `open` treats a file that is, or is not, there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Reading only; the file must exist.
    Read,
    /// Reading and writing; the file must exist.
    ReadWrite,
    /// Reading and writing; made if absent.
    CreateOrOpen,
    /// Reading and writing; `AlreadyExists` if present.
    CreateNew,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    pub name: String,
    pub is_dir: bool,
    /// Bytes; 0 for a directory.
    pub len: u64,
}

/// Too many open files: in this process (EMFILE), on this machine (ENFILE).
const OUT_OF_DESCRIPTORS: [i32; 2] = [24, 23];

/// Whether the device, or the quota on it, is full. What asked for space did not get it, and nothing that was
/// stored is lost, unless it is a sync that says so.
pub fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// Whether a file could not be opened because too many are open. The disk was not asked at all.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|errno| OUT_OF_DESCRIPTORS.contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_lose_nothing_are_told_from_those_of_the_disk() {
        let judged = |errno| {
            let error = io::Error::from_raw_os_error(errno);
            (is_no_space(&error), is_out_of_descriptors(&error))
        };
        let (enospc, edquot, emfile, enfile, eio) = (28, 122, 24, 23, 5);

        assert_eq!([judged(enospc), judged(edquot)], [(true, false); 2]);
        assert_eq!([judged(emfile), judged(enfile)], [(false, true); 2]);
        assert_eq!(judged(eio), (false, false));
    }
}
