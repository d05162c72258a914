//! One assigned partition: its position, what was prefetched behind it, and what stands in the way.
//!
//! Pure: fetched bytes and the time in, records out. Which partitions there are is `positions`'.

use std::collections::VecDeque;
use std::time::Duration;

use super::chunk::{Chunk, Damage, VerifiedBatch};
use super::{ConsumeError, ConsumedRecord, OnCorruption};
use crate::marks::{self, Mark};
use crate::record::{self, Record};
use crate::types::{Instant, Offset, Timestamp, TopicPartition};

/// A place in a log that its broker knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogPlace {
    Earliest,
    Latest,
    /// The first record of this time or later; the end, if there is none.
    Time(Timestamp),
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
pub(super) enum Why {
    Assigned,
    Sought,
    Reset(Reset),
}

/// Whether and how the partition can be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The position is not known: a place of the log has to be looked up.
    Lookup(LogPlace, Why),
    /// The position is known; fetching goes on behind the buffer.
    Fetching,
    /// Nothing goes on until the application seeks.
    Stuck(ConsumeError),
}

/// What happened, in the order in which it is to be stated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Delivered(ConsumedRecord),
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

#[derive(Debug)]
enum Entry {
    Batch(VerifiedBatch),
    Damage(Damage),
}

/// The batch that is being handed out.
#[derive(Debug)]
struct Opened {
    records: VecDeque<Record>,
    bytes: usize,
    next: Offset,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) name: TopicPartition,
    /// Who takes its records.
    pub(super) reader: Reader,
    /// Answers to requests of an earlier generation are ignored.
    pub(super) generation: u64,
    pub(super) standing: Standing,
    /// The next offset to hand out.
    position: Offset,
    /// The next offset to fetch.
    pub(super) fetch_offset: Offset,
    entries: VecDeque<Entry>,
    opened: Option<Opened>,
    /// Of everything buffered, as fetched.
    pub(super) bytes: usize,
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
        standing: Standing,
        at: Offset,
    ) -> Partition {
        Partition {
            name,
            reader,
            generation,
            standing,
            position: at,
            fetch_offset: at,
            entries: VecDeque::new(),
            opened: None,
            bytes: 0,
            busy: false,
            not_before: Instant::START,
            failures: 0,
        }
    }

    /// The next offset to hand out, if known.
    pub(super) fn position(&self) -> Option<Offset> {
        let is_unknown =
            matches!(self.standing, Standing::Lookup(..) | Standing::Stuck(ConsumeError::NoPosition { .. }));
        (!is_unknown).then_some(self.position)
    }

    /// Whether a request about it can go out.
    pub(super) fn is_free(&self, now: Instant) -> bool {
        !self.busy && self.not_before <= now
    }

    /// The place was found; `None`: the log has nothing of that time or later.
    pub(super) fn found(&mut self, offset: Option<Offset>) -> Vec<Event> {
        let Standing::Lookup(_, why) = self.standing else { return Vec::new() };
        self.busy = false;
        self.failures = 0;
        let Some(offset) = offset else {
            self.standing = Standing::Lookup(LogPlace::Latest, why);
            return Vec::new();
        };
        let partition = self.name.clone();
        match why {
            Why::Assigned => {
                self.fetch_from(offset);
                vec![Event::Assigned(partition, offset)]
            }
            Why::Sought => {
                self.fetch_from(offset);
                let reason = "sought by the application".to_owned();
                vec![Event::Seeked { partition, position: offset, reason }]
            }
            Why::Reset(reset) => self.end_found(reset, offset),
        }
    }

    fn fetch_from(&mut self, position: Offset) {
        self.standing = Standing::Fetching;
        self.position = position;
        self.fetch_offset = position;
    }

    fn end_found(&mut self, reset: Reset, offset: Offset) -> Vec<Event> {
        let Reset { from, to, log_start } = reset;
        let Some(log_start) = log_start else {
            let reset = Reset { log_start: Some(offset), ..reset };
            self.standing = Standing::Lookup(LogPlace::Latest, Why::Reset(reset));
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
        self.busy = false;
        self.failures = 0;
        self.fetch_offset = chunk.next;
    }

    /// The second half: the chunk waits to be handed out.
    pub(super) fn queue(&mut self, chunk: Chunk, on_corruption: OnCorruption) {
        for batch in chunk.batches {
            self.bytes += batch.bytes.len();
            self.entries.push_back(Entry::Batch(batch));
        }
        if let Some(damage) = chunk.damage {
            if on_corruption == OnCorruption::Fail {
                // What lies behind is not fetched before the application said what to do.
                self.standing = Standing::Stuck(self.corrupt(&damage));
            }
            self.entries.push_back(Entry::Damage(damage));
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
        assert!(!self.has_entries(), "the position is not the offset to fetch");
        self.busy = false;
        self.standing = match reset {
            Some(to) => {
                let reset = Reset { from: Some(self.fetch_offset), to, log_start: None };
                Standing::Lookup(LogPlace::Earliest, Why::Reset(reset))
            }
            None => {
                marks::sometimes(Mark::OutOfRangeLeftToApplication);
                let (partition, offset) = (self.name.clone(), self.fetch_offset);
                Standing::Stuck(ConsumeError::OutOfRange { partition, offset })
            }
        };
    }

    /// No question about it will ever be answered.
    pub(super) fn refused(&mut self, error: ConsumeError) {
        self.busy = false;
        self.standing = Standing::Stuck(error);
    }

    /// Whether anything fetched waits to be handed out.
    pub(super) fn has_entries(&self) -> bool {
        self.opened.is_some() || !self.entries.is_empty()
    }

    /// What stops this partition for good: its error, once everything before it was handed out.
    pub(super) fn trouble(&self) -> Option<&ConsumeError> {
        let at_trouble =
            self.opened.is_none() && matches!(self.entries.front(), None | Some(Entry::Damage(_)));
        match &self.standing {
            Standing::Stuck(error) if at_trouble => Some(error),
            _ => None,
        }
    }

    /// Hands out up to `records_max` records, unpacking one batch after the other. Returns how many.
    pub(super) fn take(
        &mut self,
        records_max: usize,
        unpacked_bytes_max: usize,
        on_corruption: OnCorruption,
        events: &mut Vec<Event>,
    ) -> usize {
        let mut taken = 0;
        while taken < records_max {
            if let Some(record) = self.opened.as_mut().and_then(|opened| opened.records.pop_front()) {
                self.position = record.offset.next();
                events.push(Event::Delivered(consumed(&self.name, record)));
                taken += 1;
                self.close_batch_if_empty();
                continue;
            }
            match self.entries.pop_front() {
                None => break,
                Some(Entry::Batch(batch)) => self.open_batch(batch, unpacked_bytes_max, on_corruption),
                Some(Entry::Damage(damage)) if on_corruption == OnCorruption::Skip => {
                    self.position = damage.resume;
                    events.push(Event::CorruptSkipped { partition: self.name.clone(), damage });
                }
                Some(Entry::Damage(damage)) => {
                    self.entries.push_front(Entry::Damage(damage));
                    break;
                }
            }
        }
        taken
    }

    /// All of a batch or nothing: damage that shows only while unpacking keeps the whole batch back.
    fn open_batch(&mut self, batch: VerifiedBatch, unpacked_bytes_max: usize, on_corruption: OnCorruption) {
        let (header, position) = (batch.header, self.position);
        let next = header.next_offset();
        let bytes = batch.bytes.len();
        let unpacked = match header.is_control() {
            true => Ok(VecDeque::new()),
            false => record::records(&batch.bytes, unpacked_bytes_max)
                .and_then(|records| records.filter(|r| !matches!(r, Ok(r) if r.offset < position)).collect()),
        };
        match unpacked {
            Ok(records) => {
                self.opened = Some(Opened { records, bytes, next });
                self.close_batch_if_empty();
            }
            Err(error) => {
                self.bytes -= bytes;
                let offset = header.base_offset.max(self.position);
                let damage = Damage { offset, reason: error.to_string(), resume: next };
                if on_corruption == OnCorruption::Fail {
                    self.standing = Standing::Stuck(self.corrupt(&damage));
                }
                self.entries.push_front(Entry::Damage(damage));
            }
        }
    }

    /// Behind its last record the position moves to the batch's end: offsets that a batch lacks do not exist.
    fn close_batch_if_empty(&mut self) {
        if let Some(opened) = self.opened.take_if(|opened| opened.records.is_empty()) {
            self.bytes -= opened.bytes;
            self.position = self.position.max(opened.next);
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
