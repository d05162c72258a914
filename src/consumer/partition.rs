//! One assigned partition: its position, what was prefetched behind it, and what stands in the way.
//!
//! Pure: fetched bytes and the time in, portions of records out; handing those out is `lease`'s. Which
//! partitions there are is `positions`'.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::chunk::{Chunk, Damage, Part, VerifiedBatch};
use super::lease::{Lease, Portion};
use super::opened_batch::OpenedBatch;
use super::{ConsumeError, OnCorruption};
use crate::marks::{self, Mark};
use crate::record::Record;
use crate::types::{Instant, Offset, Timestamp, TopicPartition};

/// What damage counts for in the buffer: where nothing can be read, offset by offset, it is all there is.
const DAMAGE_BYTES: usize = 128;

/// A place in a log that its broker knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogPlace {
    Earliest,
    Latest,
    /// The end, before the log is asked for this time: what is appended between the two questions lies behind it, and
    /// is not passed over.
    EndBefore(Timestamp),
    /// The first record of this time or later; `end`, if there is none.
    Time {
        time: Timestamp,
        end: Offset,
    },
}

/// A position that does not exist is replaced by one end of the log, after both were looked up: first the
/// start, then the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reset {
    /// The position outside of the log; `None`: there was none.
    pub(super) from: Option<Offset>,
    pub(super) to: LogEnd,
    pub(super) log_start: Option<Offset>,
}

/// Where a reset goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogEnd {
    Earliest,
    Latest,
}

/// One who takes records: a plain consumer is reader 0, a group's streams have numbers of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reader(pub(super) u32);

/// Why the position had to be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LookupReason {
    Assigned,
    Sought,
    Reset(Reset),
}

/// Whether and how the partition can be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FetchState {
    /// The position is not known: a place of the log has to be looked up.
    LookingUp(LogPlace, LookupReason),
    /// The position is known; fetching goes on behind the buffer.
    Fetching,
    /// Nothing goes on until the application seeks.
    Failed(ConsumeError),
}

/// What happened, in the order in which it is to be stated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Assigned(TopicPartition, Offset),
    Seeked {
        partition: TopicPartition,
        position: Offset,
        reason: String,
    },
    PositionReset {
        partition: TopicPartition,
        from: Option<Offset>,
        to: Offset,
        log_start: Offset,
        log_end: Offset,
    },
    CorruptSkipped {
        partition: TopicPartition,
        damage: Damage,
    },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) name: TopicPartition,
    /// Who takes its records.
    pub(super) reader: Reader,
    /// Answers to requests of an earlier generation are ignored.
    pub(super) generation: u64,
    pub(super) fetch_state: FetchState,
    /// The next offset to hand over to the reader.
    position: Offset,
    /// Nobody will say where the position is: its look-up was refused.
    is_unplaced: bool,
    /// What the reader took over last. It ends with this partition's stay: see `drop`.
    lease: Option<Arc<Lease>>,
    /// The next offset to fetch.
    pub(super) fetch_offset: Offset,
    entries: VecDeque<Part>,
    opened: Option<OpenedBatch>,
    /// Of everything fetched and not yet handed out.
    pub(super) bytes: usize,
    /// The turn in which a fetch last brought something; whose is longest ago is asked for first.
    pub(super) served: u64,
    /// A request about it is in flight.
    pub(super) busy: bool,
    pub(super) not_before: Instant,
    pub(super) failures: u32,
}

impl Partition {
    pub(super) fn new(
        name: TopicPartition,
        reader: Reader,
        generation: u64,
        fetch_state: FetchState,
        at: Offset,
    ) -> Partition {
        Partition {
            name,
            reader,
            generation,
            fetch_state,
            position: at,
            is_unplaced: false,
            lease: None,
            fetch_offset: at,
            entries: VecDeque::new(),
            opened: None,
            bytes: 0,
            served: 0,
            busy: false,
            not_before: Instant::START,
            failures: 0,
        }
    }

    /// The next offset to hand out, if known.
    pub(super) fn position(&self) -> Option<Offset> {
        let is_unknown = matches!(
            self.fetch_state,
            FetchState::LookingUp(..) | FetchState::Failed(ConsumeError::NoPosition { .. })
        );
        (!is_unknown && !self.is_unplaced)
            .then(|| self.lease.as_ref().map_or(self.position, |lease| lease.position()))
    }

    /// Whether a request about it can go out.
    pub(super) fn is_free(&self, now: Instant) -> bool {
        !self.busy && self.not_before <= now
    }

    /// The place was found; `None`: the log has nothing of that time or later.
    pub(super) fn found(&mut self, offset: Option<Offset>) -> Vec<Event> {
        let FetchState::LookingUp(place, reason) = self.fetch_state else { return Vec::new() };
        self.busy = false;
        self.failures = 0;
        let offset = match (place, offset) {
            (LogPlace::EndBefore(time), Some(end)) => {
                self.fetch_state = FetchState::LookingUp(LogPlace::Time { time, end }, reason);
                return Vec::new();
            }
            (_, Some(offset)) => offset,
            (LogPlace::Time { end, .. }, None) => end,
            // A log always has its ends: they are asked for again.
            (_, None) => return Vec::new(),
        };
        let partition = self.name.clone();
        match reason {
            LookupReason::Assigned => {
                self.fetch_from(offset);
                vec![Event::Assigned(partition, offset)]
            }
            LookupReason::Sought => {
                self.fetch_from(offset);
                let reason = "sought by the application".to_owned();
                vec![Event::Seeked { partition, position: offset, reason }]
            }
            LookupReason::Reset(reset) => self.end_found(reset, offset),
        }
    }

    fn fetch_from(&mut self, position: Offset) {
        self.fetch_state = FetchState::Fetching;
        self.settle();
        self.position = position;
        self.fetch_offset = position;
    }

    fn end_found(&mut self, reset: Reset, offset: Offset) -> Vec<Event> {
        let Reset { from, to, log_start } = reset;
        let Some(log_start) = log_start else {
            let reset = Reset { log_start: Some(offset), ..reset };
            self.fetch_state = FetchState::LookingUp(LogPlace::Latest, LookupReason::Reset(reset));
            return Vec::new();
        };
        let log_end = offset.max(log_start);
        if let Some(from) = from.filter(|from| (log_start..=log_end).contains(from)) {
            // The log had not grown so far when the fetch was refused.
            self.fetch_from(from);
            return Vec::new();
        }
        let position = match to {
            LogEnd::Earliest => log_start,
            LogEnd::Latest => log_end,
        };
        self.fetch_from(position);
        let partition = self.name.clone();
        vec![
            Event::PositionReset { partition: partition.clone(), from, to: position, log_start, log_end },
            match from {
                None => Event::Assigned(partition, position),
                Some(from) => {
                    let reason = format!("offset {from} is out of range");
                    Event::Seeked { partition, position, reason }
                }
            },
        ]
    }

    /// A fetch brought data, or nothing new.
    pub(super) fn fetched(&mut self, chunk: Chunk, on_corruption: OnCorruption) {
        self.advance(&chunk);
        self.queue(chunk, on_corruption);
    }

    /// The first half of the above: the next fetch goes on behind the chunk.
    pub(super) fn advance(&mut self, chunk: &Chunk) {
        assert!(chunk.next >= self.fetch_offset, "fetching goes forward");
        self.busy = false;
        self.failures = 0;
        self.fetch_offset = chunk.next;
    }

    /// The second half: the chunk waits to be handed out.
    pub(super) fn queue(&mut self, chunk: Chunk, on_corruption: OnCorruption) {
        for part in chunk.parts {
            self.bytes += weight(&part);
            let stuck = match &part {
                Part::Damage(damage) if on_corruption == OnCorruption::Fail => Some(self.corrupt(damage)),
                _ => None,
            };
            self.entries.push_back(part);
            if let Some(error) = stuck {
                // What lies behind is not wanted before the application said what to do.
                self.fetch_state = FetchState::Failed(error);
                return;
            }
        }
    }

    /// A request failed; the next one waits.
    pub(super) fn back_off(&mut self, now: Instant, pause: impl FnOnce(u32) -> Duration) {
        self.busy = false;
        self.failures = self.failures.saturating_add(1);
        self.not_before = now + pause(self.failures);
    }

    /// The log does not have the offset to fetch. Only asked for, and only true of the position, once all that
    /// was prefetched before it is handed out.
    pub(super) fn out_of_range(&mut self, reset: Option<LogEnd>) {
        assert!(self.is_drained(), "the position is not the offset to fetch");
        self.busy = false;
        self.fetch_state = match reset {
            Some(to) => {
                let reset = Reset { from: Some(self.fetch_offset), to, log_start: None };
                FetchState::LookingUp(LogPlace::Earliest, LookupReason::Reset(reset))
            }
            None => {
                marks::sometimes(Mark::OutOfRangeLeftToApplication);
                let (partition, offset) = (self.name.clone(), self.fetch_offset);
                FetchState::Failed(ConsumeError::OutOfRange { partition, offset })
            }
        };
    }

    /// No request about it will ever be answered.
    pub(super) fn refused(&mut self, error: ConsumeError) {
        self.busy = false;
        self.is_unplaced = matches!(self.fetch_state, FetchState::LookingUp(..));
        self.fetch_state = FetchState::Failed(error);
    }

    /// Whether anything fetched waits to be handed over.
    pub(super) fn has_entries(&self) -> bool {
        self.opened.is_some() || !self.entries.is_empty()
    }

    /// Whether everything fetched was handed out.
    pub(super) fn is_drained(&self) -> bool {
        !self.has_entries() && self.is_handed_out()
    }

    /// Whether the reader handed out all that it took over.
    fn is_handed_out(&self) -> bool {
        self.lease.as_ref().is_none_or(|lease| lease.is_exhausted())
    }

    /// What stops this partition for good: its error, once everything before it was handed out.
    pub(super) fn trouble(&self) -> Option<&ConsumeError> {
        let is_in_front =
            self.opened.is_none() && matches!(self.entries.front(), None | Some(Part::Damage(_)));
        match &self.fetch_state {
            FetchState::Failed(error) if is_in_front && self.is_handed_out() => Some(error),
            _ => None,
        }
    }

    /// Frees what was taken over and handed out. Says whether there is room again.
    pub(super) fn settle(&mut self) -> bool {
        let settled = self.lease.take_if(|lease| lease.is_exhausted());
        let bytes = settled.map_or(0, |lease| lease.bytes);
        self.free(bytes);
        bytes > 0
    }

    fn free(&mut self, bytes: usize) {
        assert!(bytes <= self.bytes, "what is freed was counted when it was fetched");
        self.bytes -= bytes;
    }

    /// Hands over up to `records_max` records, unpacking one batch after the other; `None` if damage, or nothing,
    /// is in front. Only for a reader that handed out all it had.
    pub(super) fn lease(
        &mut self,
        records_max: usize,
        unpacked_bytes_max: usize,
        on_corruption: OnCorruption,
        events: &mut Vec<Event>,
    ) -> Option<Portion> {
        self.settle();
        assert!(self.lease.is_none(), "records of two leases would overtake one another");
        let mut records = VecDeque::new();
        let mut bytes = 0;
        while records.len() < records_max {
            if self.opened.is_some() {
                bytes += self.drain_opened(records_max, &mut records);
                continue;
            }
            match self.entries.pop_front() {
                None => break,
                Some(Part::Batch(batch)) => self.open_batch(batch, unpacked_bytes_max, on_corruption),
                Some(Part::Damage(damage)) if records.is_empty() && on_corruption == OnCorruption::Skip => {
                    self.free(DAMAGE_BYTES);
                    self.go_on_at(damage.resume);
                    events.push(Event::CorruptSkipped { partition: self.name.clone(), damage });
                }
                Some(Part::Damage(damage)) => {
                    self.entries.push_front(Part::Damage(damage));
                    break;
                }
            }
        }
        if records.is_empty() {
            // Batches that hold nothing for an application.
            self.free(bytes);
            return None;
        }
        assert!(records.len() <= records_max, "a portion is as large as was asked for");
        let portion = Portion::new(self.name.clone(), records, self.position, bytes);
        self.lease = Some(Arc::clone(&portion.lease));
        Some(portion)
    }

    /// Moves records of the open batch over. Returns the batch's size once it is empty: behind its last record
    /// the position is the batch's end, for offsets that a batch lacks do not exist.
    fn drain_opened(&mut self, records_max: usize, records: &mut VecDeque<Record>) -> usize {
        let Some(opened) = &mut self.opened else { return 0 };
        opened.move_to(records, records_max);
        let empty = self.opened.take_if(|opened| opened.is_empty());
        if let Some(last) = records.back() {
            self.go_on_at(last.offset.next());
        }
        let Some(empty) = empty else { return 0 };
        self.go_on_at(empty.next);
        empty.bytes
    }

    /// What lies before `position` was handed over, or cannot be.
    fn go_on_at(&mut self, position: Offset) {
        assert!(position <= self.fetch_offset, "nothing is handed over that was not fetched");
        self.position = self.position.max(position);
    }

    /// All of a batch or nothing: damage that shows only while unpacking keeps the whole batch back.
    fn open_batch(&mut self, batch: VerifiedBatch, unpacked_bytes_max: usize, on_corruption: OnCorruption) {
        match OpenedBatch::open(&batch, self.position, unpacked_bytes_max) {
            Ok(opened) => self.opened = Some(opened),
            Err(error) => {
                self.free(batch.bytes.len());
                self.bytes += DAMAGE_BYTES;
                let header = batch.header;
                let offset = header.base_offset.max(self.position);
                let damage = Damage { offset, reason: error.to_string(), resume: header.next_offset() };
                if on_corruption == OnCorruption::Fail {
                    self.fetch_state = FetchState::Failed(self.corrupt(&damage));
                }
                self.entries.push_front(Part::Damage(damage));
            }
        }
    }

    /// From this call on the reader hands nothing out of what it took over.
    pub(super) fn end_lease(&self) {
        if let Some(lease) = &self.lease {
            lease.end();
        }
    }

    fn corrupt(&self, damage: &Damage) -> ConsumeError {
        ConsumeError::Corrupt {
            partition: self.name.clone(),
            offset: damage.offset,
            reason: damage.reason.clone(),
        }
    }
}

fn weight(part: &Part) -> usize {
    match part {
        Part::Batch(batch) => batch.bytes.len(),
        Part::Damage(_) => DAMAGE_BYTES,
    }
}

impl Drop for Partition {
    /// However it comes to go: removed, replaced, sought, or with the consumer.
    fn drop(&mut self) {
        self.end_lease();
    }
}
