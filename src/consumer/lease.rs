//! Records that one reader took over from a partition at once, to be handed out one by one without a lock.
//!
//! Promise: handing out the next record and ending the lease are changes of one word, so one of them is first.
//! A record is out before whoever ends the lease goes on, and is counted by him, or it never comes out. Pure.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ConsumedRecord;
use crate::record::Record;
use crate::types::{Instant, Offset, TopicPartition};

/// Nothing more is handed out: a bit above every count of records.
const ENDED: u64 = 1 << 63;
/// Marks do not count any more.
const FORGOTTEN: u64 = 1 << 62;
const FLAGS: u64 = ENDED | FORGOTTEN;

/// The half of a lease that others see: how far the reader is, and what is finished.
#[derive(Debug)]
pub(super) struct Lease {
    /// Of the records, ascending.
    offsets: Box<[Offset]>,
    /// The position behind the last one: offsets that a batch lacks do not exist.
    end: Offset,
    /// As fetched, of the batches that ended in this lease.
    pub(super) bytes: usize,
    /// How many records were handed out, and the flags.
    handed_out: AtomicU64,
    /// A bit a record.
    finished: Box<[AtomicU64]>,
}

impl Lease {
    fn new(offsets: Box<[Offset]>, end: Offset, bytes: usize) -> Lease {
        let finished = (0..offsets.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Lease { offsets, end, bytes, handed_out: AtomicU64::new(0), finished }
    }

    /// Hands out the record behind `handed_out` others, unless the lease ended.
    fn hand_out(&self, handed_out: usize) -> bool {
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
    pub(super) fn end(&self) {
        self.handed_out.fetch_or(ENDED, Ordering::AcqRel);
    }

    /// From this call on no mark counts.
    pub(super) fn forget(&self) {
        self.handed_out.fetch_or(FORGOTTEN, Ordering::AcqRel);
    }

    fn count(&self) -> usize {
        (self.handed_out.load(Ordering::Acquire) & !FLAGS) as usize
    }

    /// Whether every record was handed out.
    pub(super) fn is_exhausted(&self) -> bool {
        self.count() == self.offsets.len()
    }

    /// The next offset to hand out.
    pub(super) fn position(&self) -> Offset {
        self.offsets.get(self.count()).copied().unwrap_or(self.end)
    }

    /// Finishes a record; says whether it was handed out, still counts, and was not finished before.
    pub(super) fn finish(&self, offset: Offset) -> bool {
        self.offsets.binary_search(&offset).is_ok_and(|index| self.finish_at(index))
    }

    fn finish_at(&self, index: usize) -> bool {
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
    pub(super) fn delivered(&self) -> Delivered<'_> {
        Delivered { lease: self, count: self.count() }
    }
}

/// The records that were handed out until some moment; more may be finished of them since.
#[derive(Clone, Copy)]
pub(super) struct Delivered<'a> {
    lease: &'a Lease,
    count: usize,
}

impl<'a> Delivered<'a> {
    /// Behind the last of them; `None`: there is none.
    pub(super) fn end(self) -> Option<Offset> {
        self.lease.offsets[..self.count].last().map(|last| last.next())
    }

    pub(super) fn unfinished(self) -> impl Iterator<Item = Offset> + 'a {
        let is_unfinished = move |index: &usize| !self.lease.is_finished(*index);
        (0..self.count).filter(is_unfinished).map(move |index| self.lease.offsets[index])
    }
}

/// The reader's half: the records themselves.
#[derive(Debug)]
pub(super) struct Portion {
    pub(super) partition: TopicPartition,
    records: VecDeque<Record>,
    pub(super) lease: Arc<Lease>,
    handed_out: usize,
    /// Until when records may be handed out; `None`: whenever.
    open_until: Option<Instant>,
    /// How many records may be handed out before somebody counts the unfinished ones again.
    handed_out_max: usize,
}

impl Portion {
    /// `end` is the position behind the records, `bytes` the size of the batches that end with them.
    pub(super) fn new(
        partition: TopicPartition,
        records: VecDeque<Record>,
        end: Offset,
        bytes: usize,
    ) -> Portion {
        let offsets = records.iter().map(|record| record.offset).collect();
        let lease = Arc::new(Lease::new(offsets, end, bytes));
        Portion { partition, records, lease, handed_out: 0, open_until: None, handed_out_max: usize::MAX }
    }

    /// Whether there may be more to hand out.
    pub(super) fn has_more(&self) -> bool {
        !self.records.is_empty() && self.lease.handed_out.load(Ordering::Acquire) & ENDED == 0
    }

    /// Until when records may be handed out from now on.
    pub(super) fn open(&mut self, until: Option<Instant>) {
        self.open_until = until;
    }

    /// How many records may be handed out from now on.
    pub(super) fn allow(&mut self, more: usize) {
        self.handed_out_max = self.handed_out.saturating_add(more);
    }

    /// The next record, if it may be handed out now. The clock is read for each: however long the process was
    /// stopped between two of them, none comes out too late.
    pub(super) fn next(&mut self, now: impl FnOnce() -> Instant) -> Option<ConsumedRecord> {
        if self.handed_out >= self.handed_out_max || self.records.is_empty() {
            return None;
        }
        if self.open_until.is_some_and(|until| now() >= until) {
            return None;
        }
        if !self.lease.hand_out(self.handed_out) {
            self.records.clear();
            return None;
        }
        self.handed_out += 1;
        let record = self.records.pop_front()?;
        Some(consumed(&self.partition, record))
    }

    /// Finishes the record that was handed out last; says which, if that is news.
    pub(super) fn finish_last(&self) -> Option<Offset> {
        let index = self.handed_out.checked_sub(1)?;
        self.lease.finish_at(index).then(|| self.lease.offsets[index])
    }
}

fn consumed(partition: &TopicPartition, record: Record) -> ConsumedRecord {
    ConsumedRecord {
        partition: partition.clone(),
        offset: record.offset,
        timestamp: record.timestamp,
        key: record.key,
        value: record.value,
        headers: record.headers,
    }
}

#[cfg(test)]
pub(super) mod tests;
