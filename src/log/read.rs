//! Reading: where batches lie, never their bytes. Those go from the file to the socket.

use bytes::Bytes;

use super::scan::{BatchScan, read_full};
use super::segment::Segment;
use super::{Log, LogError};
use crate::record::{self, BatchError, BatchHeader};
use crate::runtime::FileRange;
use crate::types::{Offset, Timestamp};

/// A batch looked into for a timestamp unpacks to at most this many times the largest batch; beyond, the
/// batch's first offset is answered.
const UNPACK_FACTOR: usize = 16;

impl Log {
    /// Whole batches from the one that holds `from`, of at most `bytes_max` bytes (or one batch of any size,
    /// where `at_least_one`), all below `bound` (exclusive) and in one segment. `None`: there is nothing (yet).
    /// Errors: `OutOfRange`, `Corrupt`, `Io`.
    ///
    /// Reads index entries and a few headers, as a rule from the page cache.
    pub fn read(
        &self,
        from: Offset,
        bytes_max: u64,
        bound: Offset,
        at_least_one: bool,
    ) -> Result<Option<FileRange>, LogError> {
        let (log_start, log_end) = (self.log_start(), self.log_end());
        if from < log_start || from > log_end {
            return Err(LogError::OutOfRange { from, log_start, log_end });
        }
        let bound = bound.min(log_end);
        if from >= bound {
            return Ok(None);
        }
        let segment = self.segment_of(from);
        let (start, first) = segment.locate(from)?;
        if first.next_offset() > bound {
            return Ok(None);
        }
        let end = self.position_of_bound(segment, bound)?;
        let end = if end.saturating_sub(start) <= bytes_max {
            end
        } else {
            segment.end_of_batches_within(start, start.saturating_add(bytes_max))?
        };
        let end = if end == start && at_least_one { start + first.size() as u64 } else { end };
        if end < start {
            return Err(segment.corrupt(start, format!("batches below {bound} end at byte {end}")));
        }
        let range = FileRange { file: segment.file.clone(), offset: start, len: end - start };
        Ok((range.len > 0).then_some(range))
    }

    /// Whether a range that was read from `from` on ends only because its segment does, with more below `bound`.
    pub fn continues_behind(&self, range: &FileRange, from: Offset, bound: Offset) -> bool {
        let segment = self.segment_of(from);
        range.offset + range.len == segment.size && segment.end < bound
    }

    /// The segment that holds `offset`, which is not below the log's start.
    pub(super) fn segment_of(&self, offset: Offset) -> &Segment {
        let after = self.segments.partition_point(|segment| segment.base <= offset);
        &self.segments[after - 1]
    }

    /// Where in `segment` the batches below `bound` end.
    fn position_of_bound(&self, segment: &Segment, bound: Offset) -> Result<u64, LogError> {
        if bound >= segment.end {
            return Ok(segment.size);
        }
        // The two bounds that readers have all the time need no look-up: the end, and the flushed end.
        if bound == self.flush.end && self.flush.mark.0 == segment.base {
            return Ok(self.flush.mark.1);
        }
        segment.locate(bound).map(|(position, _)| position)
    }

    /// The first record below `bound` whose timestamp is `at` or later, with its timestamp. Scans the headers
    /// of the first segment that reaches `at`.
    pub fn lookup_timestamp(
        &self,
        at: Timestamp,
        bound: Offset,
    ) -> Result<Option<(Offset, Timestamp)>, LogError> {
        for segment in self.segments.iter().filter(|segment| segment.max_timestamp >= at) {
            if segment.base >= bound {
                break;
            }
            if let Some(found) = self.lookup_in(segment, at)? {
                return Ok(Some(found).filter(|(offset, _)| *offset < bound));
            }
        }
        Ok(None)
    }

    fn lookup_in(&self, segment: &Segment, at: Timestamp) -> Result<Option<(Offset, Timestamp)>, LogError> {
        let mut scan: BatchScan<'_> = segment.scan(None);
        while let Some((position, header)) = segment.step(&mut scan)? {
            if header.max_timestamp < at {
                continue;
            }
            scan.check_crc(position, &header).map_err(|error| segment.error(error))?;
            if let Some(found) = self.lookup_in_batch(segment, position, &header, at)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn lookup_in_batch(
        &self,
        segment: &Segment,
        position: u64,
        header: &BatchHeader,
        at: Timestamp,
    ) -> Result<Option<(Offset, Timestamp)>, LogError> {
        let mut bytes = vec![0; header.size()];
        let read = read_full(&segment.file, &mut bytes, position)?;
        bytes.truncate(read);
        let unpacked_bytes_max = self.config.batch_bytes_max.max(header.size()) * UNPACK_FACTOR;
        let found = record::records(&Bytes::from(bytes), unpacked_bytes_max).and_then(|mut records| {
            records
                .find(|record| record.as_ref().map_or(true, |record| record.timestamp >= at))
                .transpose()
                .map(|found| found.map(|record| (record.offset, record.timestamp)))
        });
        match found {
            Ok(found) => Ok(found),
            // What a producer packed is its own affair: the batch is the answer then.
            Err(BatchError::Unpack(_) | BatchError::UnpackLimit { .. } | BatchError::Invalid(_)) => {
                Ok(Some((header.base_offset, header.max_timestamp)))
            }
            Err(error) => Err(segment.corrupt(position, error.to_string())),
        }
    }
}
