//! Finds a record inside of a stored batch by its time.

use super::scratch::with_unpacked;
use super::walk::take_record;
use super::{BatchError, BatchHeader, Compression, HEADER_BYTES};
use crate::types::{Offset, Timestamp};

/// The first record of `batch` (one whole batch, whose header this is) with a timestamp of `at` or later, and that
/// timestamp; unpacks to at most `unpacked_bytes_max` bytes. Records may be missing, as compaction leaves them.
///
/// Errors: the records cannot be read that far.
pub fn first_record_at(
    batch: &[u8],
    header: &BatchHeader,
    at: Timestamp,
    unpacked_bytes_max: usize,
) -> Result<Option<(Offset, Timestamp)>, BatchError> {
    let need = header.size();
    let packed = batch.get(HEADER_BYTES..need).ok_or(BatchError::Truncated { need, have: batch.len() })?;
    match header.compression()? {
        Compression::None => first_at(header, packed, at),
        codec => with_unpacked(codec, packed, unpacked_bytes_max, |plain| first_at(header, plain, at)),
    }
}

fn first_at(
    header: &BatchHeader,
    mut plain: &[u8],
    at: Timestamp,
) -> Result<Option<(Offset, Timestamp)>, BatchError> {
    for index in 0..header.record_count {
        let record = take_record(&mut plain).map_err(|what| BatchError::InvalidRecord { index, what })?;
        if !(0..=header.last_offset_delta).contains(&record.offset_delta) {
            let what = "its offset lies outside of the batch";
            return Err(BatchError::InvalidRecord { index, what });
        }
        let timestamp = header.timestamp_of(record.timestamp_delta);
        if timestamp >= at {
            return Ok(Some((header.base_offset.plus(i64::from(record.offset_delta)), timestamp)));
        }
    }
    Ok(None)
}
