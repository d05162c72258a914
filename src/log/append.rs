//! Appending: one write for all the batches of a call, all or nothing.

use std::cell::RefCell;
use std::io::{self, IoSlice};

use bytes::Bytes;

use super::segment::Segment;
use super::{Log, LogError};
use crate::facts::{self, Fact};
use crate::record::{BatchHeader, HEADER_BYTES, PREFIX_BYTES, patch, patched_prefix};
use crate::runtime::disk::File;
use crate::runtime::{buggify, clock};
use crate::types::{Instant, LeaderEpoch, Offset};

/// Up to here, batches are copied together and written in one piece: cheaper than a vector of small ones.
const COPY_BYTES_MAX: usize = 64 << 10;
/// What the kernel takes in one vectored write (IOV_MAX is 1024), at two slices a batch.
const VECTORED_BATCHES_MAX: usize = 512;
/// Where a log is written faster than it is flushed, its segments grow beyond the size asked for instead of growing in
/// number: each of them keeps its files open.
const SEGMENTS_KEPT_OPEN_MAX: usize = 16;
/// What a thread keeps to copy batches into: one connection's requests come in reads of less.
const WRITE_BUFFER_KEPT_MAX: usize = 1 << 20;
/// A segment stays below what positions and relative offsets of 32 bits reach. One batch spans at most as many
/// offsets, and one append may not span more: whatever begins a segment fits in it.
const SEGMENT_BYTES_MAX: u64 = 1 << 31;
pub(super) const SEGMENT_OFFSETS_MAX: i64 = 1 << 31;

thread_local! {
    /// One a thread and not one a log: writing never waits, and there are many logs.
    static WRITE_BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A batch to append: validated, its header parsed from `bytes`.
#[derive(Clone, Debug)]
pub struct AppendBatch {
    pub header: BatchHeader,
    pub bytes: Bytes,
}

impl AppendBatch {
    /// The offset after the batch's last one, if it begins at `base`. Errors: it is not what its header says, or
    /// claims more records than its bytes can hold. (What compressed bytes hold, only unpacking tells.)
    fn end_from(&self, base: Offset) -> Result<Offset, LogError> {
        let invalid = |what| LogError::InvalidBatch { what };
        let header = &self.header;
        let (size, count) = (header.size(), i64::from(header.last_offset_delta) + 1);
        if size < HEADER_BYTES || size != self.bytes.len() {
            return Err(invalid("the batch is not as long as its header says"));
        }
        if count < 1 || !header.can_hold_its_offsets() {
            return Err(invalid("the batch claims more offsets than its bytes can hold"));
        }
        base.checked_plus(count).ok_or(invalid("no offsets are left"))
    }

    /// The header that the batch gets in the log.
    fn placed(&self, base: Offset, epoch: LeaderEpoch) -> BatchHeader {
        BatchHeader { base_offset: base, leader_epoch: epoch, ..self.header }
    }
}

impl Log {
    /// Appends `batches` in one write, in leader epoch `epoch`; returns the base offset of each. States
    /// `Appended` for each. After an error the log ends where it ended; `Failed` says that it cannot be used
    /// on, `Io`, `NoSpace` and `NoDescriptors` that it can.
    pub fn append(&mut self, batches: &[AppendBatch], epoch: LeaderEpoch) -> Result<Vec<Offset>, LogError> {
        self.check_usable()?;
        if epoch < self.last_epoch {
            return Err(LogError::StaleEpoch { epoch, last: self.last_epoch });
        }
        if batches.is_empty() {
            return Ok(Vec::new());
        }
        let bytes: u64 = batches.iter().map(|batch| batch.bytes.len() as u64).sum();
        let (bases, end) = self.bases_of(batches)?;
        let now = clock::now();
        self.roll_if_due(bytes, end, now)?;
        self.write(batches, &bases, epoch)?;
        self.flush.dirty_since.get_or_insert(now);
        self.segment_since.get_or_insert(now);
        (self.log_end, self.last_epoch) = (end, epoch);
        self.take_note(batches, &bases, epoch);
        Ok(bases)
    }

    /// The base offset that each batch gets, and the log's end after them.
    fn bases_of(&self, batches: &[AppendBatch]) -> Result<(Vec<Offset>, Offset), LogError> {
        let mut bases = Vec::with_capacity(batches.len());
        let mut next = self.log_end;
        for batch in batches {
            bases.push(next);
            next = batch.end_from(next)?;
        }
        if next.since(self.log_end) > SEGMENT_OFFSETS_MAX {
            return Err(LogError::InvalidBatch { what: "together the batches span more than 2^31 offsets" });
        }
        Ok((bases, next))
    }

    fn roll_if_due(&mut self, bytes: u64, end: Offset, now: Instant) -> Result<(), LogError> {
        let active = self.active();
        if active.is_empty() {
            return Ok(());
        }
        let must_roll =
            active.size + bytes > SEGMENT_BYTES_MAX || end.since(active.base) > SEGMENT_OFFSETS_MAX;
        let is_full = must_roll || active.size + bytes > self.config.segment_bytes;
        let is_old = match (self.config.segment_ms, self.segment_since) {
            (Some(age_max), Some(since)) => now.saturating_since(since) >= age_max,
            _ => false,
        };
        if !(is_full || is_old || buggify::fires("log.tiny-segment")) {
            return Ok(());
        }
        if self.segments_kept_open() >= SEGMENTS_KEPT_OPEN_MAX && !must_roll {
            return Ok(());
        }
        match self.roll() {
            // The segment takes more for once: a batch that is there is worth more than a segment's size.
            Err(error) if error.is_refusal() && !must_roll => {
                tracing::debug!(partition = %self.partition, %error, "segment_not_rolled");
                Ok(())
            }
            rolled => rolled,
        }
    }

    /// Segments that are not flushed stay open.
    fn segments_kept_open(&self) -> usize {
        self.segments.iter().rev().take_while(|segment| !segment.is_open_on_demand).count()
    }

    /// Closes the last segment and begins a new one. Neither is synced here: the next flush syncs the closed
    /// one first, and the new name with its directory.
    fn roll(&mut self) -> Result<(), LogError> {
        let active = self.active();
        assert_eq!(active.end, self.log_end, "a segment begins where the one before ends");
        assert!(active.base < self.log_end, "a new segment does not take the name of one that is in use");
        let segment = Segment::create(&self.directory, self.log_end)?;
        let directory = self.directory.clone();
        self.active_mut().close(&directory);
        self.segments.push(segment);
        self.segment_since = None;
        self.flush.roll_pending = true;
        facts::record(|| Fact::SegmentRolled {
            broker: self.broker,
            partition: self.partition.clone(),
            base: self.log_end,
        });
        Ok(())
    }

    fn write(
        &mut self,
        batches: &[AppendBatch],
        bases: &[Offset],
        epoch: LeaderEpoch,
    ) -> Result<(), LogError> {
        let active = self.segments.last().expect("a log has a segment");
        let written = write_batches(&active.file, active.size, batches, bases, epoch);
        let Err(error) = written else { return Ok(()) };
        // Whatever part of it was written must not be taken for a batch later (KAFKA-7866).
        match active.file.truncate(active.size) {
            Ok(()) => Err(error.into()),
            Err(cut_error) => {
                Err(self.fail(format!("append failed ({error}), and cutting it off failed ({cut_error})")))
            }
        }
    }

    fn take_note(&mut self, batches: &[AppendBatch], bases: &[Offset], epoch: LeaderEpoch) {
        let interval = self.config.index_interval_bytes;
        for (batch, &base) in batches.iter().zip(bases) {
            let header = batch.placed(base, epoch);
            self.active_mut().push(&header, interval);
            facts::record(|| Fact::Appended {
                broker: self.broker,
                partition: self.partition.clone(),
                epoch,
                base,
                last: header.last_offset(),
                crc: header.crc,
            });
        }
        self.assert_ends_agree();
        let active = self.active();
        assert!(active.end.since(active.base) <= SEGMENT_OFFSETS_MAX, "relative offsets fit");
    }
}

fn write_batches(
    file: &File,
    position: u64,
    batches: &[AppendBatch],
    bases: &[Offset],
    epoch: LeaderEpoch,
) -> io::Result<()> {
    let bytes: usize = batches.iter().map(|batch| batch.bytes.len()).sum();
    let placed = || batches.iter().zip(bases.iter().copied());
    if bytes > COPY_BYTES_MAX && batches.len() <= VECTORED_BATCHES_MAX {
        let prefixes: Vec<_> = placed().map(|(b, base)| patched_prefix(&b.bytes, base, epoch)).collect();
        let pairs = prefixes.iter().zip(batches);
        let slices: Vec<IoSlice<'_>> = pairs
            .flat_map(|(prefix, batch)| [IoSlice::new(prefix), IoSlice::new(&batch.bytes[PREFIX_BYTES..])])
            .collect();
        return file.write_at(&slices, position);
    }
    WRITE_BUFFER.with_borrow_mut(|buffer| {
        buffer.clear();
        buffer.reserve(bytes);
        for (batch, base) in placed() {
            let start = buffer.len();
            buffer.extend_from_slice(&batch.bytes);
            patch(&mut buffer[start..], base, epoch);
        }
        let written = file.write_at(&[IoSlice::new(buffer)], position);
        buffer.shrink_to(WRITE_BUFFER_KEPT_MAX);
        written
    })
}
