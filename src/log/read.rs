//! Reading: where batches lie, never their bytes. Those go from the file to the socket.

use super::segment::Segment;
use super::{Log, LogError};
use crate::runtime::FileRange;
use crate::types::Offset;

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
        if end == start {
            return Ok(None);
        }
        let end = end.min(segment.end_of_what_is_there(start, end)?);
        Ok(Some(FileRange { file: segment.file.clone(), offset: start, len: end - start }))
    }

    /// Whether there is more below `bound` than a range that was read from `from` on: its segment ends, or a limit did
    /// not let more of it be read.
    pub fn continues_behind(&self, range: &FileRange, from: Offset, bound: Offset) -> bool {
        let segment = self.segment_of(from);
        let end = range.offset + range.len;
        segment.end < bound || self.position_of_bound(segment, bound).is_ok_and(|readable| end < readable)
    }

    /// The segment that holds `offset`, which is not below the log's start.
    pub(super) fn segment_of(&self, offset: Offset) -> &Segment {
        let after = self.segments.partition_point(|segment| segment.base <= offset);
        assert!(after > 0, "no segment holds what is below the log's start");
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
}
