//! What is checked of every batch, by the broker and by consumers: everything but the records themselves.

use super::header::{CONTROL_BIT, CRC_START, DELETE_HORIZON_BIT};
use super::{BatchError, BatchHeader};
use crate::types::ProducerId;

/// Checks that `batch` is exactly one whole batch that a producer may send: size within `batch_bytes_max`,
/// magic, CRC-32C, counts, offsets, attributes, producer fields. Nothing is unpacked.
pub fn validate(batch: &[u8], batch_bytes_max: usize) -> Result<BatchHeader, BatchError> {
    let header = BatchHeader::parse(batch)?;
    let size = header.size();
    // The size first: a client whose batch is too large is told so, even if the frame cut it short.
    if size > batch_bytes_max {
        return Err(BatchError::TooLarge { size, limit: batch_bytes_max });
    }
    if batch.len() < size {
        return Err(BatchError::Truncated { need: size, have: batch.len() });
    }
    if batch.len() > size {
        return Err(BatchError::TrailingBytes { extra: batch.len() - size });
    }
    check_crc(&header, batch)?;
    check_fields(&header)?;
    Ok(header)
}

/// Checks the CRC of a whole batch.
pub fn check_crc(header: &BatchHeader, batch: &[u8]) -> Result<(), BatchError> {
    let covered = batch.get(CRC_START..header.size());
    let covered = covered.ok_or(BatchError::Truncated { need: header.size(), have: batch.len() })?;
    let computed = crc32c::crc32c(covered);
    if computed != header.crc {
        return Err(BatchError::CorruptCrc { stated: header.crc, computed });
    }
    Ok(())
}

fn check_fields(header: &BatchHeader) -> Result<(), BatchError> {
    if header.record_count <= 0 {
        return Err(BatchError::Invalid("no records"));
    }
    // Gaps are compaction's to make, never a producer's.
    if header.last_offset_delta != header.record_count - 1 {
        return Err(BatchError::Invalid("last offset delta does not match the record count"));
    }
    header.compression()?;
    if header.attributes & CONTROL_BIT != 0 {
        return Err(BatchError::Invalid("control records are the broker's to write"));
    }
    if header.attributes & DELETE_HORIZON_BIT != 0 {
        return Err(BatchError::Invalid("a delete horizon is the broker's to set"));
    }
    check_producer(header)
}

fn check_producer(header: &BatchHeader) -> Result<(), BatchError> {
    if header.producer_id < ProducerId::NONE {
        return Err(BatchError::Invalid("producer id is negative"));
    }
    if header.producer_id == ProducerId::NONE {
        // Clients fill epoch and sequence with -1 or 0 then: neither means anything.
        return match header.is_transactional() {
            true => Err(BatchError::Invalid("a transaction without a producer id")),
            false => Ok(()),
        };
    }
    if header.producer_epoch < 0 {
        return Err(BatchError::Invalid("producer epoch is negative"));
    }
    if header.base_sequence < 0 {
        return Err(BatchError::Invalid("base sequence is negative"));
    }
    Ok(())
}
