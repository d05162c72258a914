//! Whether a produced batch may be stored, and as what: the rules of Kafka's `LogValidator`.
//!
//! A batch is exactly one, whole, sealed by its CRC, and contradicts itself nowhere ([`validate`]). With
//! [`Validation::Records`] its records are looked into as well: as many as the header says, offset deltas 0, 1, 2 ...,
//! every length within its bounds, nothing behind the last one, every timestamp one that the topic takes. A largest
//! timestamp that is not the records' own is corrected, as Kafka does, for look-ups by time believe it. Compressed
//! records are unpacked for this, within [`unpacked_bytes_max`], into memory that the thread keeps.
//!
//! Not here: keys that a compacted topic demands, sequences of idempotent producers.

use bytes::Bytes;

use super::header::stamped;
use super::scratch::with_unpacked;
use super::walk::take_record;
use super::{
    BatchError, BatchHeader, Compression, HEADER_BYTES, RecordRules, TimestampRange, TimestampType,
    Validation, validate,
};
use crate::types::{Offset, Timestamp};

/// Records may unpack to this many times the largest batch. No client goes near it: librdkafka holds batches to
/// the limit before it compresses them, Java splits a batch that is answered with MESSAGE_TOO_LARGE.
const UNPACK_FACTOR: usize = 16;

/// The most bytes that the records of one batch may unpack to where batches have at most `batch_bytes_max`.
pub fn unpacked_bytes_max(batch_bytes_max: usize) -> usize {
    batch_bytes_max.saturating_mul(UNPACK_FACTOR)
}

/// A batch that may be stored.
#[derive(Clone, Debug)]
pub struct Admitted {
    pub header: BatchHeader,
    pub bytes: Bytes,
    /// Bytes of records that were walked over, unpacked; 0 where only the header counts.
    pub walked_bytes: usize,
}

/// Checks `batch`, which came to a topic with these rules at `now`, the wall clock. Does not set the time of the
/// append: see [`stamp`].
///
/// Errors: those of [`validate`]; `InvalidRecord`, `InvalidTimestamp`, `LogAppendTimeOfProducer`, `Unpack`,
/// `UnpackLimit`.
pub fn admit(
    batch: Bytes,
    batch_bytes_max: usize,
    rules: &RecordRules,
    now: Timestamp,
) -> Result<Admitted, BatchError> {
    let header = validate(&batch, batch_bytes_max)?;
    if header.base_offset != Offset::ZERO {
        return Err(BatchError::Invalid("the base offset of a produced batch must be 0"));
    }
    if header.is_log_append_time() {
        return Err(BatchError::LogAppendTimeOfProducer);
    }
    let range = rules.timestamp_range(now);
    if rules.validation == Validation::Header {
        if !header.can_hold_its_offsets() {
            return Err(BatchError::Invalid("more records than its bytes can hold"));
        }
        judge_timestamp(header.record_count - 1, header.max_timestamp, range)?;
        return Ok(Admitted { header, bytes: batch, walked_bytes: 0 });
    }
    let packed = &batch[HEADER_BYTES..];
    let (max_timestamp, walked_bytes) = match header.compression()? {
        Compression::None => (check_records(&header, packed, range)?, packed.len()),
        codec => with_unpacked(codec, packed, unpacked_bytes_max(batch_bytes_max), |plain| {
            Ok((check_records(&header, plain, range)?, plain.len()))
        })?,
    };
    if max_timestamp == header.max_timestamp {
        return Ok(Admitted { header, bytes: batch, walked_bytes });
    }
    let bytes = stamped(&batch, TimestampType::CreateTime, max_timestamp);
    Ok(Admitted { header: BatchHeader::parse(&bytes)?, bytes, walked_bytes })
}

/// The batch as it is stored where the broker's clock counts (`message.timestamp.type = LogAppendTime`): all its
/// records have the time `now`. Copies it.
pub fn stamp(batch: &[u8], now: Timestamp) -> (BatchHeader, Bytes) {
    let bytes = stamped(batch, TimestampType::LogAppendTime, now);
    let header = BatchHeader::parse(&bytes).expect("only attributes, a timestamp and the CRC were changed");
    assert!(header.is_log_append_time(), "the batch says whose time it has");
    assert_eq!(header.max_timestamp, now, "the batch says when it was appended");
    (header, bytes)
}

/// Walks over the records, which must be exactly those that the header promises; returns their largest timestamp.
fn check_records(
    header: &BatchHeader,
    mut plain: &[u8],
    range: TimestampRange,
) -> Result<Timestamp, BatchError> {
    assert!(header.record_count > 0, "an empty batch was refused before");
    let mut largest = Timestamp(i64::MIN);
    for index in 0..header.record_count {
        let record = take_record(&mut plain).map_err(|what| BatchError::InvalidRecord { index, what })?;
        if record.offset_delta != index {
            let what = "its offset delta is not its place in the batch";
            return Err(BatchError::InvalidRecord { index, what });
        }
        let timestamp = header.timestamp_of(record.timestamp_delta);
        judge_timestamp(index, timestamp, range)?;
        largest = largest.max(timestamp);
    }
    if !plain.is_empty() {
        return Err(BatchError::Invalid("bytes follow the last record"));
    }
    Ok(largest)
}

#[inline]
fn judge_timestamp(index: i32, timestamp: Timestamp, range: TimestampRange) -> Result<(), BatchError> {
    if range.takes(timestamp) {
        Ok(())
    } else {
        Err(BatchError::InvalidTimestamp { index, timestamp, range })
    }
}

#[cfg(test)]
mod tests;
