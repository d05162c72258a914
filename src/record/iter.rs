//! The records inside a batch, unpacked within bounds.

use bytes::Bytes;

use super::varint::{read_varint, read_varlong};
use super::{BatchError, BatchHeader, Compression, HEADER_BYTES, compression};
use crate::types::{Offset, Timestamp};

/// More headers on one record than anybody uses; each costs memory beyond its bytes.
const RECORD_HEADERS_MAX: i32 = 1 << 16;

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
        self.remaining -= 1;
        let record = self.next_record();
        if record.is_err() {
            self.remaining = 0;
            self.plain.clear();
        }
        Some(record)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // The count is the batch's own claim: only what the bytes can hold is a hint.
        (0, Some((self.remaining as usize).min(self.plain.len()) + 1))
    }
}

impl RecordIter {
    fn next_record(&mut self) -> Result<Record, BatchError> {
        let mut rest = &self.plain[..];
        let length = read_length(&mut rest)?.ok_or(BatchError::Invalid("record length is negative"))?;
        let start = self.plain.len() - rest.len();
        if rest.len() < length {
            return Err(BatchError::Truncated { need: length, have: rest.len() });
        }
        let body = self.plain.slice(start..start + length);
        let record = self.decode(&body)?;
        bytes::Buf::advance(&mut self.plain, start + length);
        Ok(record)
    }

    fn decode(&mut self, body: &Bytes) -> Result<Record, BatchError> {
        let (_attributes, mut rest) =
            body.split_first().ok_or(BatchError::Invalid("a record without attributes"))?;
        let timestamp_delta = read_varlong(&mut rest)?;
        let offset_delta = i64::from(read_varint(&mut rest)?);
        if !(self.next_delta_min..=i64::from(self.header.last_offset_delta)).contains(&offset_delta) {
            return Err(BatchError::Invalid("offset deltas are not in order"));
        }
        self.next_delta_min = offset_delta + 1;
        let key = read_bytes(body, &mut rest)?;
        let value = read_bytes(body, &mut rest)?;
        let headers = read_headers(body, &mut rest)?;
        if !rest.is_empty() {
            return Err(BatchError::Invalid("bytes follow a record's headers"));
        }
        let offset = self.header.base_offset.plus(offset_delta);
        Ok(Record { offset, timestamp: self.timestamp(timestamp_delta), key, value, headers })
    }

    fn timestamp(&self, delta: i64) -> Timestamp {
        if self.header.is_log_append_time() {
            return self.header.max_timestamp;
        }
        // Any 64 bits are a timestamp to a producer; Java wraps around.
        Timestamp(self.header.base_timestamp.0.wrapping_add(delta))
    }
}

/// A length that is never more than what a record can hold; `None` stands for -1.
fn read_length(rest: &mut &[u8]) -> Result<Option<usize>, BatchError> {
    match read_varint(rest)? {
        -1 => Ok(None),
        length => match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_) => Err(BatchError::Invalid("a length is negative")),
        },
    }
}

/// `rest` is the tail of `whole`; what is read shares its memory.
fn read_bytes(whole: &Bytes, rest: &mut &[u8]) -> Result<Option<Bytes>, BatchError> {
    let Some(length) = read_length(rest)? else { return Ok(None) };
    let Some((_, after)) = rest.split_at_checked(length) else {
        return Err(BatchError::Truncated { need: length, have: rest.len() });
    };
    let start = whole.len() - rest.len();
    *rest = after;
    Ok(Some(whole.slice(start..start + length)))
}

fn read_headers(whole: &Bytes, rest: &mut &[u8]) -> Result<Vec<RecordHeader>, BatchError> {
    let count = read_varint(rest)?;
    if !(0..=RECORD_HEADERS_MAX).contains(&count) {
        return Err(BatchError::Invalid("the number of record headers is out of bounds"));
    }
    // A header takes two bytes at least, so the bytes present bound what is reserved.
    let mut headers = Vec::with_capacity((count as usize).min(rest.len() / 2));
    for _ in 0..count {
        let key = read_bytes(whole, rest)?.ok_or(BatchError::Invalid("a header without a key"))?;
        let value = read_bytes(whole, rest)?;
        headers.push(RecordHeader { key, value });
    }
    Ok(headers)
}
