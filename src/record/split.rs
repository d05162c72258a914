//! Cuts concatenated batches apart, without copying.

use bytes::Bytes;

use super::{BatchError, BatchHeader, SIZE_BYTES};

/// Splits a fetch response's records, for who fetches by a `client::Connection` of his own (our consumer cuts by itself,
/// around damage). A trailing partial batch ends the iteration without an error: a broker may send one.
pub fn batches(records: Bytes) -> Batches {
    Batches { rest: records, partial_tail_allowed: true }
}

/// As [`batches`]; a trailing partial batch is `Truncated`.
#[cfg(test)]
pub fn batches_exact(records: Bytes) -> Batches {
    Batches { rest: records, partial_tail_allowed: false }
}

/// Iterates over whole batches; ends after its first error. CRCs are not checked.
#[derive(Clone, Debug)]
pub struct Batches {
    rest: Bytes,
    partial_tail_allowed: bool,
}

impl Iterator for Batches {
    type Item = Result<Bytes, BatchError>;

    fn next(&mut self) -> Option<Result<Bytes, BatchError>> {
        if self.rest.is_empty() {
            return None;
        }
        let size = match self.next_size() {
            Ok(size) => size,
            Err(error) => {
                let is_partial = matches!(error, BatchError::Truncated { .. });
                self.rest = Bytes::new();
                return if is_partial && self.partial_tail_allowed { None } else { Some(Err(error)) };
            }
        };
        Some(Ok(self.rest.split_to(size)))
    }
}

impl Batches {
    fn next_size(&self) -> Result<usize, BatchError> {
        if self.rest.len() < SIZE_BYTES {
            return Err(BatchError::Truncated { need: SIZE_BYTES, have: self.rest.len() });
        }
        let size = BatchHeader::parse(&self.rest)?.size();
        if size > self.rest.len() {
            return Err(BatchError::Truncated { need: size, have: self.rest.len() });
        }
        Ok(size)
    }
}
