//! Records that one reader took over from a partition at once, to be handed out one by one without a lock.
//!
//! Promise: handing out the next record and ending the lease are changes of one word, so one of them is first.
//! A record is out before whoever ends the lease goes on, and is counted by him, or it never comes out. Pure.

mod atomics;
mod shared_half;

use std::collections::VecDeque;
use std::sync::Arc;

use super::ConsumedRecord;
use crate::record::Record;
use crate::types::{Instant, Offset, TopicPartition};

pub(super) use shared_half::Lease;

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
        !self.records.is_empty() && !self.lease.has_ended()
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
        self.lease.finish_at(index)
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
