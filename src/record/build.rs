//! Builds batches (stub).

use bytes::Bytes;

use super::{Compression, RecordHeader};
use crate::types::{ProducerId, Timestamp};

/// Collects records into one batch. Base offset 0; the leader epoch is left unknown (-1).
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    compression: Compression,
}

impl BatchBuilder {
    pub fn new(compression: Compression) -> BatchBuilder {
        BatchBuilder { compression }
    }

    /// Adds a record.
    pub fn push(
        &mut self,
        _timestamp: Timestamp,
        _key: Option<&[u8]>,
        _value: Option<&[u8]>,
        _headers: &[RecordHeader],
    ) {
    }

    /// Bytes of the batch if it were built now without compression.
    pub fn size_estimate(&self) -> usize {
        0
    }

    /// How many records were pushed.
    pub fn count(&self) -> usize {
        0
    }

    /// Stamps the batch as an idempotent producer's.
    pub fn producer(&mut self, _id: ProducerId, _epoch: i16, _base_sequence: i32) {}

    /// The batch's bytes. Panics without records: there is no empty batch.
    pub fn build(self) -> Bytes {
        let _ = self.compression;
        Bytes::new()
    }
}
