//! What can be wrong with a batch, a variant per reaction.

use super::TimestampRange;
use crate::types::Timestamp;

/// Why bytes are not a batch we accept or can read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes end before the batch does.
    #[error("batch is truncated: {have} of {need} bytes")]
    Truncated { need: usize, have: usize },
    /// Bytes follow the one batch that was expected.
    #[error("{extra} bytes follow the batch")]
    TrailingBytes { extra: usize },
    #[error("batch has magic {0}, only 2 is supported")]
    UnsupportedMagic(i8),
    #[error("batch has CRC {computed:#010x} but says {stated:#010x}")]
    CorruptCrc { stated: u32, computed: u32 },
    #[error("batch has {size} bytes, {limit} are allowed")]
    TooLarge { size: usize, limit: usize },
    /// A field contradicts another, or the format.
    #[error("invalid batch: {0}")]
    Invalid(&'static str),
    /// One of the records is not what the format, or its batch, says it is.
    #[error("record {index} of the batch is invalid: {what}")]
    InvalidRecord {
        /// Counts from 0.
        index: i32,
        what: &'static str,
    },
    /// A time that the topic does not take (`message.timestamp.{before,after}.max.ms`).
    #[error(
        "record {index} of the batch has timestamp {timestamp}, the topic takes {earliest} to {latest}",
        timestamp = timestamp.0, earliest = range.earliest.0, latest = range.latest.0
    )]
    InvalidTimestamp {
        /// Counts from 0.
        index: i32,
        timestamp: Timestamp,
        range: TimestampRange,
    },
    /// Only a broker says when a record was appended.
    #[error("the batch says LogAppendTime, which is the broker's to set")]
    LogAppendTimeOfProducer,
    #[error("compression type {0} is unknown")]
    UnknownCompression(u8),
    /// The compressed records do not unpack.
    #[error("cannot unpack the batch's records: {0}")]
    Unpack(String),
    /// The records unpack to more than the caller allows.
    #[error("records unpack to more than {limit} bytes")]
    UnpackLimit { limit: usize },
}
