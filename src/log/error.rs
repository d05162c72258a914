//! What can go wrong with a log, a variant per reaction.

use std::io;

use crate::runtime::disk;
use crate::types::{LeaderEpoch, Offset};

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The reader asked for what is not there (any more, or yet).
    #[error("offset {from} is outside of the log ({log_start}..{log_end})")]
    OutOfRange { from: Offset, log_start: Offset, log_end: Offset },
    /// A write or read failed; the log is as it was before and may be used on. What a failed append wrote was
    /// cut off again, yet a crash soon after may bring it back: to a producer the outcome is unknown.
    #[error("disk error: {0}")]
    Io(io::Error),
    /// The device is full: what needed space was refused, nothing is lost, and the log is as it was before. The
    /// same may succeed once there is space.
    #[error("no space left: {0}")]
    NoSpace(io::Error),
    /// The process (or the machine) has too many files open: as above, once some are closed.
    #[error("no file descriptor left: {0}")]
    NoDescriptors(io::Error),
    /// The log can no longer say what is on disk: it takes no appends until it was opened anew, and its
    /// directory fails.
    #[error("the log has failed: {reason}")]
    Failed { reason: String },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// A flush is under way; until it came back, nobody knows whether the log can be closed cleanly.
    #[error("a flush of the log is under way")]
    FlushUnderWay,
    /// Stored bytes below what was flushed are damaged or gone: nothing is cut, an operator (or a replica)
    /// must decide.
    #[error("damage at offset {at} below the flushed point {flushed}, in {file} at byte {position}: {what}")]
    CorruptBelowFlushed { at: Offset, flushed: Offset, file: String, position: u64, what: String },
    /// Stored bytes that may or may not have been flushed are damaged, with a sound batch behind them, and the
    /// machine has not lost its page cache: no crash of a process leaves that. Nothing is cut, as above.
    #[error(
        "damage at offset {at}, in {file} at byte {position}: {what}; a sound batch lies behind it ({behind})"
    )]
    CorruptAmidst { at: Offset, file: String, position: u64, what: String, behind: String },
    /// Stored bytes met while reading are not a batch of this log, or a file beside it is damaged.
    #[error("damage in {file} at byte {position}: {what}")]
    Corrupt { file: String, position: u64, what: String },
    /// A batch that no log can hold, or batches that no segment can hold together: none was appended.
    #[error("not to be stored: {what}")]
    InvalidBatch { what: &'static str },
    /// An append in an epoch before the log's last.
    #[error("append in epoch {epoch}, the log is in {last}")]
    StaleEpoch { epoch: LeaderEpoch, last: LeaderEpoch },
    /// A truncation below the checkpoint: the checkpoint must be lowered first.
    #[error("truncation to {end}, below the checkpoint at {checkpoint}")]
    BelowCheckpoint { end: Offset, checkpoint: Offset },
}

impl From<io::Error> for LogError {
    fn from(error: io::Error) -> LogError {
        if disk::is_no_space(&error) {
            LogError::NoSpace(error)
        } else if disk::is_out_of_descriptors(&error) {
            LogError::NoDescriptors(error)
        } else {
            LogError::Io(error)
        }
    }
}

impl LogError {
    /// Whether what is stored is damaged: the log cannot be used until somebody decided what to do.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            LogError::CorruptBelowFlushed { .. } | LogError::CorruptAmidst { .. } | LogError::Corrupt { .. }
        )
    }

    /// Whether nothing is wrong with the disk: it, or the process, only has no room for more just now.
    pub fn is_refusal(&self) -> bool {
        matches!(self, LogError::NoSpace(_) | LogError::NoDescriptors(_))
    }
}
