//! One assigned partition: its position, what was prefetched behind it, and what stands in the way.
//!
//! Pure: fetched bytes and the time in, records out. Which partitions there are is `positions`'.

use std::collections::VecDeque;
use std::time::Duration;

use super::chunk::{Chunk, Damage, VerifiedBatch};
use super::{ConsumeError, ConsumedRecord, OnCorruption};
use crate::record::{self, Record};
use crate::types::{Instant, Offset, TopicPartition};

/// One end of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogEnd {
    Earliest,
    Latest,
}

/// Why the position had to be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Assigned,
    Sought,
    OutOfRange(Offset),
}

/// Whether and how the partition can be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The position is not known: one end of the log has to be looked up.
    Lookup(LogEnd, Why),
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
    Seeked { partition: TopicPartition, position: Offset, reason: String },
    CorruptSkipped { partition: TopicPartition, damage: Damage },
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
    pub(super) fn new(name: TopicPartition, generation: u64, standing: Standing, at: Offset) -> Partition {
        Partition {
            name,
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
        (!matches!(self.standing, Standing::Lookup(..))).then_some(self.position)
    }

    /// Whether a request about it can go out.
    pub(super) fn is_free(&self, now: Instant) -> bool {
        !self.busy && self.not_before <= now
    }

    /// The position was found.
    pub(super) fn found(&mut self, position: Offset) -> Option<Event> {
        let Standing::Lookup(_, why) = self.standing else { return None };
        self.busy = false;
        self.failures = 0;
        self.standing = Standing::Fetching;
        self.position = position;
        self.fetch_offset = position;
        let partition = self.name.clone();
        Some(match why {
            Why::Assigned => Event::Assigned(partition, position),
            Why::Sought => Event::Seeked { partition, position, reason: "sought by the application".into() },
            Why::OutOfRange(from) => {
                Event::Seeked { partition, position, reason: format!("offset {from} is out of range") }
            }
        })
    }

    /// A fetch brought data, or nothing new.
    pub(super) fn fetched(&mut self, chunk: Chunk, on_corruption: OnCorruption) {
        self.busy = false;
        self.failures = 0;
        self.fetch_offset = chunk.next;
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
            Some(end) => Standing::Lookup(end, Why::OutOfRange(self.fetch_offset)),
            None => Standing::Stuck(ConsumeError::OutOfRange {
                partition: self.name.clone(),
                offset: self.fetch_offset,
            }),
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
