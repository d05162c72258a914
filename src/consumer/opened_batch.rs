//! The batch whose records are being handed over: unpacked, and known to be sound to its last record.
//!
//! Pure. Memory is bounded by what the batch unpacks to and by the records decoded at once: a few kilobytes may claim,
//! and hold, millions of records of seven bytes each, and a decoded one takes more than a hundred.

use std::collections::VecDeque;

use super::chunk::VerifiedBatch;
use crate::record::{self, BatchError, Record, RecordIter};
use crate::types::Offset;

/// A batch of more records is decoded piece by piece, after a walk through all of it.
const DECODED_AT_ONCE_MAX: usize = 10_000;

/// See the module.
#[derive(Debug)]
pub(super) struct OpenedBatch {
    decoded: VecDeque<Record>,
    /// What follows; walked through before.
    encoded: Option<RecordIter>,
    /// Records before it are not wanted.
    from: Offset,
    /// As fetched.
    pub(super) bytes: usize,
    /// Behind the last offset that belongs to the batch.
    pub(super) next: Offset,
}

impl OpenedBatch {
    /// All records of the batch from `from` on, or why it cannot be read.
    pub(super) fn open(
        batch: &VerifiedBatch,
        from: Offset,
        unpacked_bytes_max: usize,
    ) -> Result<OpenedBatch, BatchError> {
        let header = batch.header;
        let (bytes, next) = (batch.bytes.len(), header.next_offset());
        let mut opened = OpenedBatch { decoded: VecDeque::new(), encoded: None, from, bytes, next };
        if header.is_control() {
            return Ok(opened);
        }
        let records = record::records(&batch.bytes, unpacked_bytes_max)?;
        if header.record_count as usize <= DECODED_AT_ONCE_MAX {
            let wanted = records.filter(|record| !matches!(record, Ok(record) if record.offset < from));
            opened.decoded = wanted.collect::<Result<_, _>>()?;
        } else {
            records.clone().try_for_each(|record| record.map(drop))?;
            opened.encoded = Some(records);
            opened.decode_more();
        }
        Ok(opened)
    }

    fn decode_more(&mut self) {
        let Some(encoded) = &mut self.encoded else { return };
        let walked = encoded.map(|record| record.expect("walked through when the batch was opened"));
        self.decoded.extend(walked.filter(|record| record.offset >= self.from).take(DECODED_AT_ONCE_MAX));
        if self.decoded.is_empty() {
            self.encoded = None;
        }
    }

    /// Whether every record was moved.
    pub(super) fn is_empty(&self) -> bool {
        self.decoded.is_empty()
    }

    /// Moves records over until there are `records_max`, or none is left that is decoded.
    pub(super) fn move_to(&mut self, records: &mut VecDeque<Record>, records_max: usize) {
        let room = records_max - records.len();
        if records.is_empty() && self.decoded.len() <= room {
            std::mem::swap(records, &mut self.decoded);
        } else {
            let count = self.decoded.len().min(room);
            records.extend(self.decoded.drain(..count));
        }
        if self.decoded.is_empty() {
            self.decode_more();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, Compression};
    use crate::types::{LeaderEpoch, Timestamp};
    use bytes::Bytes;

    /// So many empty records: seven bytes each, and next to nothing when packed.
    fn batch(records: usize) -> VerifiedBatch {
        let mut builder = BatchBuilder::new(Compression::Gzip);
        for _ in 0..records {
            builder.push(Timestamp(0), None, None, &[]);
        }
        let mut bytes = builder.build().to_vec();
        record::patch(&mut bytes, Offset(100), LeaderEpoch(0));
        let header = record::validate(&bytes, bytes.len()).expect("a sound batch");
        VerifiedBatch { header, bytes: Bytes::from(bytes) }
    }

    /// The offsets, moved over by portions; and how many records were decoded at once.
    fn drain(opened: &mut OpenedBatch, portion: usize) -> (Vec<i64>, usize) {
        let (mut offsets, mut decoded_max) = (Vec::new(), 0);
        while !opened.is_empty() {
            decoded_max = decoded_max.max(opened.decoded.len());
            let mut records = VecDeque::new();
            opened.move_to(&mut records, portion);
            offsets.extend(records.iter().map(|record| record.offset.0));
        }
        (offsets, decoded_max)
    }

    #[test]
    fn a_batch_of_very_many_records_is_decoded_piece_by_piece() {
        for (records, portion) in
            [(100_000, 500), (20_000, 7_000), (10_000, 10_000), (10_001, 50_000), (1, 1)]
        {
            let mut opened = OpenedBatch::open(&batch(records), Offset(0), 1 << 20).expect("sound");
            let (offsets, decoded_max) = drain(&mut opened, portion);
            assert_eq!(offsets, (100..100 + records as i64).collect::<Vec<_>>());
            assert!(decoded_max <= DECODED_AT_ONCE_MAX, "{decoded_max} records at once");
        }
    }

    #[test]
    fn records_before_the_position_are_left_out_however_many_they_are() {
        for (records, from) in [(30_000, 29_990), (500, 490), (30_000, 30_000), (500, 500)] {
            let from = Offset(100 + from);
            let mut opened = OpenedBatch::open(&batch(records), from, 1 << 20).expect("sound");
            assert_eq!(drain(&mut opened, 500).0, (from.0..100 + records as i64).collect::<Vec<_>>());
        }
    }

    #[test]
    fn damage_in_the_last_record_of_very_many_keeps_the_whole_batch_back() {
        let mut builder = BatchBuilder::new(Compression::None);
        for _ in 0..20_000 {
            builder.push(Timestamp(0), None, None, &[]);
        }
        let mut bytes = builder.build().to_vec();
        // The number of headers of the last record: a negative one.
        *bytes.last_mut().expect("not empty") = 1;
        let header = crate::record::BatchHeader::parse(&bytes).expect("a header");
        let batch = VerifiedBatch { header, bytes: bytes.into() };
        assert!(OpenedBatch::open(&batch, Offset(0), 1 << 20).is_err());
    }
}
