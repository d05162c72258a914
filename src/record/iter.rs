//! The records inside a batch (stub).

use bytes::Bytes;

use super::BatchError;
use crate::types::{Offset, Timestamp};

/// One record as a consumer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub offset: Offset,
    pub timestamp: Timestamp,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    /// In the order of the batch; a key may occur more than once.
    pub headers: Vec<RecordHeader>,
}

/// A name and a value beside a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// UTF-8.
    pub key: Bytes,
    pub value: Option<Bytes>,
}

/// The records of `batch` (whole, CRC not checked here), unpacked to at most `unpacked_bytes_max` bytes.
pub fn records(_batch: &Bytes, _unpacked_bytes_max: usize) -> Result<RecordIter, BatchError> {
    Ok(RecordIter {})
}

/// Iterates over a batch's records; ends after its first error.
#[derive(Clone, Debug)]
pub struct RecordIter {}

impl Iterator for RecordIter {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Result<Record, BatchError>> {
        None
    }
}
