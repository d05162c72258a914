//! The half of a lease that others see: how far the reader is, and what is finished.
//!
//! Promise: see `lease`. It names nothing of the crate but offsets, so that `models/lease` can build this very
//! file on atomics that try every order.

use super::atomics::{AtomicU64, Ordering};
use crate::types::Offset;

/// Nothing more is handed out: a bit above every count of records.
const ENDED: u64 = 1 << 63;
/// Marks do not count any more.
const FORGOTTEN: u64 = 1 << 62;
const FLAGS: u64 = ENDED | FORGOTTEN;

/// See the module.
#[derive(Debug)]
pub struct Lease {
    /// Of the records, ascending.
    offsets: Box<[Offset]>,
    /// The position behind the last one: offsets that a batch lacks do not exist.
    end: Offset,
    /// As fetched, of the batches that ended in this lease.
    pub bytes: usize,
    /// How many records were handed out, and the flags.
    handed_out: AtomicU64,
    /// A bit a record.
    finished: Box<[AtomicU64]>,
}

impl Lease {
    pub fn new(offsets: Box<[Offset]>, end: Offset, bytes: usize) -> Lease {
        assert!(offsets.is_sorted_by(|a, b| a < b), "records are found by their offset");
        assert!(offsets.last().is_none_or(|last| *last < end), "a position never steps back");
        let finished = (0..offsets.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Lease { offsets, end, bytes, handed_out: AtomicU64::new(0), finished }
    }

    /// Hands out the record behind `handed_out` others, unless the lease ended.
    pub fn hand_out(&self, handed_out: usize) -> bool {
        assert!(handed_out < self.offsets.len(), "a reader has no more records than its lease");
        let mut before = handed_out as u64;
        // Goes round once at most: only its reader counts, and there is one flag that does not end it.
        loop {
            // Whoever reads the new count sees what was finished before it.
            let swap =
                self.handed_out.compare_exchange(before, before + 1, Ordering::AcqRel, Ordering::Acquire);
            match swap {
                Ok(_) => return true,
                Err(word) if word & ENDED != 0 => return false,
                Err(word) => before = word,
            }
        }
    }

    /// From this call on nothing is handed out.
    pub fn end(&self) {
        self.handed_out.fetch_or(ENDED, Ordering::AcqRel);
    }

    pub fn has_ended(&self) -> bool {
        self.handed_out.load(Ordering::Acquire) & ENDED != 0
    }

    /// From this call on no mark counts.
    pub fn forget(&self) {
        self.handed_out.fetch_or(FORGOTTEN, Ordering::AcqRel);
    }

    fn count(&self) -> usize {
        (self.handed_out.load(Ordering::Acquire) & !FLAGS) as usize
    }

    /// Whether every record was handed out.
    pub fn is_exhausted(&self) -> bool {
        self.count() == self.offsets.len()
    }

    /// The next offset to hand out.
    pub fn position(&self) -> Offset {
        self.offsets.get(self.count()).copied().unwrap_or(self.end)
    }

    /// Finishes a record; says whether it was handed out, still counts, and was not finished before.
    pub fn finish(&self, offset: Offset) -> bool {
        self.offsets.binary_search(&offset).is_ok_and(|index| self.finish_nth(index))
    }

    /// As [`Lease::finish`], by the number of the record; says which it is.
    pub fn finish_at(&self, index: usize) -> Option<Offset> {
        self.finish_nth(index).then(|| self.offsets[index])
    }

    fn finish_nth(&self, index: usize) -> bool {
        let handed_out = self.handed_out.load(Ordering::Acquire);
        if handed_out & FORGOTTEN != 0 || index as u64 >= handed_out & !FLAGS {
            return false;
        }
        let bit = 1 << (index % 64);
        // In one order with who asks for room among the unfinished: see `GroupShared::mark_finished`.
        self.finished[index / 64].fetch_or(bit, Ordering::SeqCst) & bit == 0
    }

    fn is_finished(&self, index: usize) -> bool {
        self.finished[index / 64].load(Ordering::SeqCst) & 1 << (index % 64) != 0
    }

    /// What was handed out at one moment.
    pub fn delivered(&self) -> Delivered<'_> {
        Delivered { lease: self, count: self.count() }
    }
}

/// The records that were handed out until some moment; more may be finished of them since.
#[derive(Clone, Copy)]
pub struct Delivered<'a> {
    lease: &'a Lease,
    count: usize,
}

impl<'a> Delivered<'a> {
    /// Behind the last of them; `None`: there is none.
    pub fn end(self) -> Option<Offset> {
        self.lease.offsets[..self.count].last().map(|last| last.next())
    }

    pub fn unfinished(self) -> impl Iterator<Item = Offset> + 'a {
        let is_unfinished = move |index: &usize| !self.lease.is_finished(*index);
        (0..self.count).filter(is_unfinished).map(move |index| self.lease.offsets[index])
    }
}
