//! Look-ups by time: over a snapshot of the segments, a bounded step at a time.
//!
//! There is no index by time yet: headers are walked, beginning in the first segment that can hold the answer. That
//! may take a second for a large segment of small batches, so it is not done under the partition's lock: [`Log`]
//! gives a [`TimeLookup`], which holds the files and needs the log no more; whoever runs it lets others go on
//! between its steps. What lies below the bound that readers have does not change meanwhile.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use super::names::log_name;
use super::scan::{BatchScan, LOOKUP_WINDOW_BYTES, read_full};
use super::{Log, LogError};
use crate::record::{self, BatchHeader};
use crate::runtime::disk::File;
use crate::types::{LeaderEpoch, Offset, Timestamp};

/// Headers that one step walks over, at most: well below a millisecond from the page cache.
const STEP_HEADERS_MAX: usize = 512;

/// Which record is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeTarget {
    /// The first whose timestamp is this or later.
    AtOrAfter(Timestamp),
    /// The first of those with the largest timestamp (KIP-734).
    Largest,
}

/// A record found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundRecord {
    pub offset: Offset,
    pub timestamp: Timestamp,
    /// Of the leader that appended it. `UNKNOWN` where what is stored cannot be true.
    pub epoch: LeaderEpoch,
}

/// How far a look-up came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupStep {
    /// Step again.
    Unfinished,
    /// The record, or `None`: there is none.
    Done(Option<FoundRecord>),
}

/// A look-up under way.
pub struct TimeLookup {
    target: TimeTarget,
    /// Only records below count (exclusive).
    bound: Offset,
    batch_bytes_max: usize,
    /// Those that may hold the answer, in the order in which they are walked.
    segments: VecDeque<SegmentView>,
    /// Where in the first of them the walk stands.
    place: Place,
    /// The batch that holds the largest timestamp so far.
    best: Option<Candidate>,
    /// A batch's bytes, kept from one to the next.
    buffer: Vec<u8>,
}

/// What a walk needs to know of a segment.
#[derive(Clone)]
struct SegmentView {
    base: Offset,
    size: u64,
    /// At least that of every batch.
    max_timestamp: Timestamp,
    /// No batch has an earlier epoch than the segments before reached, or a later one than this segment reached.
    epochs: RangeInclusive<LeaderEpoch>,
    file: File,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    position: u64,
    offset: Offset,
}

struct Candidate {
    segment: SegmentView,
    position: u64,
    header: BatchHeader,
}

impl Log {
    /// Begins the look-up of a record below `bound`, where a batch ends (exclusive). Clones the handles of the segments that may hold it.
    pub fn time_lookup(&self, target: TimeTarget, bound: Offset) -> TimeLookup {
        let mut segments: Vec<SegmentView> = Vec::new();
        let mut epoch_before = LeaderEpoch::UNKNOWN;
        for segment in self.segments.iter().filter(|segment| segment.base < bound && !segment.is_empty()) {
            let epochs = epoch_before..=segment.last_epoch;
            epoch_before = segment.last_epoch;
            if matches!(target, TimeTarget::AtOrAfter(at) if segment.max_timestamp < at) {
                continue;
            }
            segments.push(SegmentView {
                base: segment.base,
                size: segment.size,
                max_timestamp: segment.max_timestamp,
                epochs,
                file: segment.file.clone(),
            });
        }
        if target == TimeTarget::Largest {
            // Stable: of two that reach the same time the earlier stays in front.
            segments.sort_by_key(|segment| std::cmp::Reverse(segment.max_timestamp));
        }
        let mut lookup = TimeLookup {
            target,
            bound,
            batch_bytes_max: self.config().batch_bytes_max,
            segments: segments.into(),
            place: Place { position: 0, offset: bound },
            best: None,
            buffer: Vec::new(),
        };
        lookup.enter_segment();
        lookup
    }
}

impl TimeLookup {
    /// Walks on for at most 512 headers, or looks into one batch. After `Done` or an error there is no next step.
    /// Errors: `Corrupt`, `Io`.
    pub fn step(&mut self) -> Result<LookupStep, LogError> {
        let Some(segment) = self.segments.front().cloned() else { return self.finish() };
        if self.best.as_ref().is_some_and(|best| !segment.may_precede(best)) {
            // Nor may any segment behind it: they come by falling timestamps.
            self.segments.clear();
            return self.finish();
        }
        let Place { position, offset } = self.place;
        let mut scan =
            BatchScan::new(&segment.file, position, segment.size, Some(offset), LOOKUP_WINDOW_BYTES);
        for _ in 0..STEP_HEADERS_MAX {
            let found = scan.next_header().map_err(|error| error.in_segment(segment.base))?;
            let Some((position, header)) = found.filter(|(_, header)| header.next_offset() <= self.bound)
            else {
                self.leave_segment();
                return Ok(LookupStep::Unfinished);
            };
            self.place = Place { position: position + header.size() as u64, offset: header.next_offset() };
            match self.target {
                TimeTarget::AtOrAfter(at) if header.max_timestamp >= at => {
                    let candidate = Candidate { segment, position, header };
                    return Ok(match self.look_into(&candidate, at)? {
                        Some(record) => self.found(record),
                        // Its header promises more than it holds.
                        None => LookupStep::Unfinished,
                    });
                }
                TimeTarget::AtOrAfter(_) => {}
                TimeTarget::Largest => self.weigh(&segment, position, header),
            }
        }
        Ok(LookupStep::Unfinished)
    }

    /// Keeps the batch if it reaches a later time than those before, or the same time earlier in the log.
    fn weigh(&mut self, segment: &SegmentView, position: u64, header: BatchHeader) {
        let rank = |header: &BatchHeader| (header.max_timestamp, std::cmp::Reverse(header.base_offset));
        if self.best.as_ref().is_none_or(|best| rank(&header) > rank(&best.header)) {
            self.best = Some(Candidate { segment: segment.clone(), position, header });
        }
    }

    fn finish(&mut self) -> Result<LookupStep, LogError> {
        let Some(best) = self.best.take() else { return Ok(LookupStep::Done(None)) };
        let found = self.look_into(&best, best.header.max_timestamp)?;
        Ok(self.found(found.unwrap_or_else(|| best.as_a_whole())))
    }

    fn found(&self, record: FoundRecord) -> LookupStep {
        assert!(record.offset < self.bound, "a look-up finds only what its asker may read");
        LookupStep::Done(Some(record))
    }

    fn enter_segment(&mut self) {
        if let Some(segment) = self.segments.front() {
            self.place = Place { position: 0, offset: segment.base };
        }
    }

    fn leave_segment(&mut self) {
        self.segments.pop_front();
        self.enter_segment();
    }

    /// The first record of the batch with this time or later.
    fn look_into(&mut self, candidate: &Candidate, at: Timestamp) -> Result<Option<FoundRecord>, LogError> {
        let Candidate { segment, position, header } = candidate;
        // First, and by a window: a length that is damaged must not cost its memory.
        let mut scan = BatchScan::new(&segment.file, *position, segment.size, None, LOOKUP_WINDOW_BYTES);
        scan.check_crc(*position, header).map_err(|error| error.in_segment(segment.base))?;
        self.buffer.clear();
        self.buffer.resize(header.size(), 0);
        if read_full(&segment.file, &mut self.buffer, *position)? < header.size() {
            let what = "the file ends inside of the batch".to_owned();
            return Err(LogError::Corrupt { file: log_name(segment.base), position: *position, what });
        }
        let unpacked_bytes_max = record::unpacked_bytes_max(self.batch_bytes_max.max(header.size()));
        match record::first_record_at(&self.buffer, header, at, unpacked_bytes_max) {
            Ok(found) => Ok(found.map(|(offset, timestamp)| FoundRecord {
                offset,
                timestamp,
                epoch: segment.epoch_of(header),
            })),
            // Stored unlooked at (`validation = header`): the batch is the answer then.
            Err(_) => Ok(Some(candidate.as_a_whole())),
        }
    }
}

impl SegmentView {
    /// The epoch that a batch states, if it can be: its CRC does not cover it.
    fn epoch_of(&self, header: &BatchHeader) -> LeaderEpoch {
        if self.epochs.contains(&header.leader_epoch) { header.leader_epoch } else { LeaderEpoch::UNKNOWN }
    }

    /// Whether it may hold a batch that comes before `best`.
    fn may_precede(&self, best: &Candidate) -> bool {
        let reached = best.header.max_timestamp;
        self.max_timestamp > reached || (self.max_timestamp == reached && self.base < best.header.base_offset)
    }
}

impl Candidate {
    fn as_a_whole(&self) -> FoundRecord {
        FoundRecord {
            offset: self.header.base_offset,
            timestamp: self.header.max_timestamp,
            epoch: self.segment.epoch_of(&self.header),
        }
    }
}
