//! The records inside a batch, unpacked within bounds.

use bytes::Bytes;

use super::varint::Fault;
use super::walk::{RawRecord, take_header, take_record};
use super::{BatchError, BatchHeader, Compression, HEADER_BYTES, compression};
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
    /// UTF-8, where the producer kept to the rules: not checked.
    pub key: Bytes,
    pub value: Option<Bytes>,
}

impl RecordHeader {
    /// Key and value as bytes.
    pub fn parts(&self) -> (&[u8], Option<&[u8]>) {
        (&self.key, self.value.as_deref())
    }
}

/// The records of `batch` (one whole batch, its CRC not checked here), unpacked to at most
/// `unpacked_bytes_max` bytes. Records of an uncompressed batch share its memory. The records of a control
/// batch are yielded like others: ask its header.
pub fn records(batch: &Bytes, unpacked_bytes_max: usize) -> Result<RecordIter, BatchError> {
    let header = BatchHeader::parse(batch)?;
    if batch.len() < header.size() {
        return Err(BatchError::Truncated { need: header.size(), have: batch.len() });
    }
    if header.record_count < 0 {
        return Err(BatchError::Invalid("record count is negative"));
    }
    let packed = batch.slice(HEADER_BYTES..header.size());
    let plain = match header.compression()? {
        Compression::None if packed.len() <= unpacked_bytes_max => packed,
        codec => Bytes::from(compression::decompress(codec, &packed, unpacked_bytes_max)?),
    };
    Ok(RecordIter { remaining: header.record_count, next_delta_min: 0, header, plain })
}

/// Iterates over a batch's records; ends after its first error.
#[derive(Clone, Debug)]
pub struct RecordIter {
    header: BatchHeader,
    plain: Bytes,
    remaining: i32,
    /// Offset deltas rise from record to record.
    next_delta_min: i64,
}

impl Iterator for RecordIter {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Result<Record, BatchError>> {
        if self.remaining == 0 {
            if self.plain.is_empty() {
                return None;
            }
            self.plain.clear();
            return Some(Err(BatchError::Invalid("bytes follow the last record")));
        }
        let index = self.header.record_count - self.remaining;
        self.remaining -= 1;
        let record = self.next_record();
        if record.is_err() {
            self.remaining = 0;
            self.plain.clear();
        }
        Some(record.map_err(|what| BatchError::InvalidRecord { index, what }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // The count is the batch's own claim: only what the bytes can hold is a hint.
        (0, Some((self.remaining as usize).min(self.plain.len()) + 1))
    }
}

impl RecordIter {
    fn next_record(&mut self) -> Result<Record, Fault> {
        let whole = self.plain.clone();
        let mut rest = &whole[..];
        let raw = take_record(&mut rest)?;
        bytes::Buf::advance(&mut self.plain, whole.len() - rest.len());
        let offset_delta = i64::from(raw.offset_delta);
        if !(self.next_delta_min..=i64::from(self.header.last_offset_delta)).contains(&offset_delta) {
            return Err("the offset delta is not in order");
        }
        self.next_delta_min = offset_delta + 1;
        Ok(Record {
            offset: self.header.base_offset.plus(offset_delta),
            timestamp: self.header.timestamp_of(raw.timestamp_delta),
            key: raw.key.map(|key| whole.slice_ref(key)),
            value: raw.value.map(|value| whole.slice_ref(value)),
            headers: headers_of(&whole, &raw)?,
        })
    }
}

/// What is read shares the memory of `whole`. A header takes two bytes at least, so the bytes present bound what is
/// reserved.
fn headers_of(whole: &Bytes, raw: &RawRecord<'_>) -> Result<Vec<RecordHeader>, Fault> {
    let mut rest = raw.headers;
    let mut headers = Vec::with_capacity(raw.header_count);
    for _ in 0..raw.header_count {
        let (key, value) = take_header(&mut rest)?;
        headers.push(RecordHeader { key: whole.slice_ref(key), value: value.map(|v| whole.slice_ref(v)) });
    }
    Ok(headers)
}
