//! What a broker checks before it stores a produced batch: everything but the records themselves.

use super::{BatchError, BatchHeader};

/// Checks that `batch` is exactly one whole batch (stub).
pub fn validate(batch: &[u8], _batch_bytes_max: usize) -> Result<BatchHeader, BatchError> {
    BatchHeader::parse(batch)
}
