//! The ways in which disks and listeners fail, as the history names them.

use serde::{Deserialize, Serialize};

pub use seedlog::runtime::sim::disk::Errno;

/// Which disk operations fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskOperation {
    Read,
    Write,
    SetLen,
    Fsync,
    Rename,
    Open,
    Mkdir,
    ReadDir,
    Unlink,
}

impl DiskOperation {
    pub const ALL: [DiskOperation; 9] = [
        DiskOperation::Read,
        DiskOperation::Write,
        DiskOperation::SetLen,
        DiskOperation::Fsync,
        DiskOperation::Rename,
        DiskOperation::Open,
        DiskOperation::Mkdir,
        DiskOperation::ReadDir,
        DiskOperation::Unlink,
    ];

    pub fn word(self) -> &'static str {
        match self {
            DiskOperation::Read => "read",
            DiskOperation::Write => "write",
            DiskOperation::SetLen => "set-len",
            DiskOperation::Fsync => "fsync",
            DiskOperation::Rename => "rename",
            DiskOperation::Open => "open",
            DiskOperation::Mkdir => "mkdir",
            DiskOperation::ReadDir => "read-dir",
            DiskOperation::Unlink => "unlink",
        }
    }

    pub fn of_word(word: &str) -> Option<DiskOperation> {
        DiskOperation::ALL.into_iter().find(|operation| operation.word() == word)
    }

    /// Whether it is done to the file of a log while that is in use.
    pub fn is_of_a_log(self) -> bool {
        matches!(
            self,
            DiskOperation::Read | DiskOperation::Write | DiskOperation::SetLen | DiskOperation::Fsync
        )
    }

    /// What it may fail with on a machine.
    pub fn errnos(self) -> &'static [Errno] {
        match self {
            DiskOperation::Read => &[Errno::Eio],
            DiskOperation::Fsync => &[Errno::Eio, Errno::Enospc],
            DiskOperation::Open => &[Errno::Eio, Errno::Enfile, Errno::Enospc, Errno::Erofs],
            DiskOperation::ReadDir => &[Errno::Eio, Errno::Enfile],
            DiskOperation::SetLen | DiskOperation::Unlink => &[Errno::Eio, Errno::Erofs],
            DiskOperation::Write | DiskOperation::Rename | DiskOperation::Mkdir => {
                &[Errno::Eio, Errno::Enospc, Errno::Erofs]
            }
        }
    }
}

/// What becomes of a disk operation that fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Failure {
    /// Nothing was done. After an fsync programs go on reading what was not stored.
    #[default]
    Plain,
    /// A part was written.
    Short,
    /// After the fsync programs read the old bytes again.
    Reverts,
    /// The fsync that lost the bytes succeeds, and the file's next one fails.
    Late,
}

/// How a machine treats those who want to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Refusal {
    /// "Connection refused", as though nobody listened.
    Refused,
    /// No answer at all: the attempt times out.
    Unanswered,
    /// The process accepts late.
    Late,
}

impl Refusal {
    /// As a fault.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Refusal::Refused => "connect-refused",
            Refusal::Unanswered => "connect-unanswered",
            Refusal::Late => "slow-accept",
        }
    }
}
