//! The 61 bytes in front of every batch's records.
//!
//! ```text
//!  0 base offset (8)    12 leader epoch (4)   21 attributes (2)         27 base timestamp (8)   43 producer id (8)
//!  8 batch length (4)   16 magic (1)          23 last offset delta (4)  35 max timestamp (8)    51 producer epoch (2)
//!                       17 CRC-32C (4)                                                          53 base sequence (4)
//!                                                                                               57 record count (4)
//! ```
//! The length counts from byte 12, the CRC covers from byte 21 to the end: base offset and leader epoch are
//! the broker's to set, without touching the CRC.

use bytes::Bytes;

use super::{BatchError, Compression, TimestampType};
use crate::types::{LeaderEpoch, Offset, ProducerId, Timestamp};

/// Bytes in front of the records.
pub const HEADER_BYTES: usize = 61;
/// Bytes in front of what the length field counts.
pub const SIZE_BYTES: usize = 12;
/// Bytes that hold everything a broker patches.
pub const PREFIX_BYTES: usize = 16;
/// Where the bytes that the CRC covers begin.
pub const CRC_START: usize = 21;
/// Length, attributes, two deltas, two lengths and a count, one byte each: no record is smaller.
const RECORD_BYTES_MIN: usize = 7;
/// The only format version supported.
pub const MAGIC: i8 = 2;

pub(super) const COMPRESSION_BITS: i16 = 0x07;
pub(super) const LOG_APPEND_TIME_BIT: i16 = 0x08;
pub(super) const TRANSACTIONAL_BIT: i16 = 0x10;
pub(super) const CONTROL_BIT: i16 = 0x20;
pub(super) const DELETE_HORIZON_BIT: i16 = 0x40;

/// A batch's header as it stands in the bytes; nothing is checked but magic and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: Offset,
    /// Bytes after the length field itself.
    pub batch_length: i32,
    pub leader_epoch: LeaderEpoch,
    pub magic: i8,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: Timestamp,
    pub max_timestamp: Timestamp,
    pub producer_id: ProducerId,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`, which may be the header alone. Errors: `Truncated` below 61
    /// bytes, `UnsupportedMagic`, `Invalid` where length or offsets cannot be those of a batch.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        // The magic stands at the same place in all versions: say so before asking for v2's 61 bytes.
        if let Some(&magic) = bytes.get(PREFIX_BYTES)
            && magic as i8 != MAGIC
        {
            return Err(BatchError::UnsupportedMagic(magic as i8));
        }
        let Some(fixed) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(BatchError::Truncated { need: HEADER_BYTES, have: bytes.len() });
        };
        let header = BatchHeader::decode(fixed);
        if header.batch_length < (HEADER_BYTES - SIZE_BYTES) as i32 {
            return Err(BatchError::Invalid("batch length is smaller than a header"));
        }
        if header.last_offset_delta < 0 {
            return Err(BatchError::Invalid("last offset delta is negative"));
        }
        // Requests may carry any base offset (the broker sets it), a log never a negative one.
        if header.base_offset.0.checked_add(i64::from(header.last_offset_delta) + 1).is_none() {
            return Err(BatchError::Invalid("offsets overflow"));
        }
        Ok(header)
    }

    fn decode(bytes: &[u8; HEADER_BYTES]) -> BatchHeader {
        fn at<const N: usize>(bytes: &[u8; HEADER_BYTES], from: usize) -> [u8; N] {
            *bytes[from..].first_chunk().expect("the field lies within the header")
        }
        BatchHeader {
            base_offset: Offset(i64::from_be_bytes(at(bytes, 0))),
            batch_length: i32::from_be_bytes(at(bytes, 8)),
            leader_epoch: LeaderEpoch(i32::from_be_bytes(at(bytes, 12))),
            magic: bytes[16] as i8,
            crc: u32::from_be_bytes(at(bytes, 17)),
            attributes: i16::from_be_bytes(at(bytes, 21)),
            last_offset_delta: i32::from_be_bytes(at(bytes, 23)),
            base_timestamp: Timestamp(i64::from_be_bytes(at(bytes, 27))),
            max_timestamp: Timestamp(i64::from_be_bytes(at(bytes, 35))),
            producer_id: ProducerId(i64::from_be_bytes(at(bytes, 43))),
            producer_epoch: i16::from_be_bytes(at(bytes, 51)),
            base_sequence: i32::from_be_bytes(at(bytes, 53)),
            record_count: i32::from_be_bytes(at(bytes, 57)),
        }
    }

    /// Bytes of the whole batch, header included.
    pub fn size(&self) -> usize {
        SIZE_BYTES + self.batch_length as usize
    }

    /// Whether as many records as the batch has offsets can be in its bytes. What compressed bytes hold, only
    /// unpacking tells.
    pub fn can_hold_its_offsets(&self) -> bool {
        let records_max = self.size().saturating_sub(HEADER_BYTES) / RECORD_BYTES_MIN;
        !matches!(self.compression(), Ok(Compression::None))
            || i64::from(self.last_offset_delta) < records_max as i64
    }

    /// The offset of the last record (inclusive). After compaction the record itself may be gone.
    pub fn last_offset(&self) -> Offset {
        self.base_offset.plus(i64::from(self.last_offset_delta))
    }

    /// The first offset after this batch.
    pub fn next_offset(&self) -> Offset {
        self.last_offset().next()
    }

    pub fn compression(&self) -> Result<Compression, BatchError> {
        Compression::from_attributes(self.attributes)
    }

    /// Whether every record has the batch's max timestamp, set by the broker.
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME_BIT != 0
    }

    /// The time of a record with this delta. Any 64 bits are a timestamp to a producer; Java wraps around.
    pub(super) fn timestamp_of(&self, delta: i64) -> Timestamp {
        if self.is_log_append_time() {
            return self.max_timestamp;
        }
        Timestamp(self.base_timestamp.0.wrapping_add(delta))
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }
}

/// A copy of `batch` that says `timestamp_type` and, as its largest timestamp, `max_timestamp`; with its CRC made right
/// again. Panics below 61 bytes.
pub(super) fn stamped(batch: &[u8], timestamp_type: TimestampType, max_timestamp: Timestamp) -> Bytes {
    let mut bytes = batch.to_vec();
    let attributes = i16::from_be_bytes([bytes[21], bytes[22]]);
    let attributes = match timestamp_type {
        TimestampType::CreateTime => attributes & !LOG_APPEND_TIME_BIT,
        TimestampType::LogAppendTime => attributes | LOG_APPEND_TIME_BIT,
    };
    bytes[21..23].copy_from_slice(&attributes.to_be_bytes());
    bytes[35..43].copy_from_slice(&max_timestamp.0.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[CRC_START..]);
    bytes[17..CRC_START].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(bytes)
}

/// Sets base offset and leader epoch. The CRC does not cover them. Panics below 16 bytes.
pub fn patch(batch: &mut [u8], base: Offset, epoch: LeaderEpoch) {
    batch[0..8].copy_from_slice(&base.0.to_be_bytes());
    batch[12..PREFIX_BYTES].copy_from_slice(&epoch.0.to_be_bytes());
}

/// The first 16 bytes of `batch` as [`patch`] would make them, for a vectored write that copies nothing else.
pub fn patched_prefix(batch: &[u8], base: Offset, epoch: LeaderEpoch) -> [u8; PREFIX_BYTES] {
    let mut prefix: [u8; PREFIX_BYTES] = *batch.first_chunk().expect("a batch is longer than its prefix");
    patch(&mut prefix, base, epoch);
    prefix
}
