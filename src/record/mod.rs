//! Record batches, format v2: what producers send, the log stores and consumers read, byte for byte the same.
//!
//! The broker checks what it is sent ([`admit`]) and patches offsets in place ([`patch`]); it changes nothing else but a
//! timestamp that is its own to set or that is wrong. Records come out for clients ([`records`]) and for look-ups by
//! time ([`first_record_at`]). Hostile bytes give errors, never panics, and never allocate more than the caller's limit.
//!
//! Not here: formats v0 and v1 (nothing of ours writes them), producer state, control records' contents.

mod admit;
mod build;
mod compression;
mod error;
mod header;
mod iter;
mod rules;
mod scratch;
mod search;
mod snappy;
mod split;
mod validate;
mod varint;
mod walk;

#[cfg(test)]
mod tests;

pub use admit::{Admitted, admit, stamp, unpacked_bytes_max};
pub use build::BatchBuilder;
pub use compression::Compression;
pub use error::BatchError;
pub use header::{
    BatchHeader, CRC_START, HEADER_BYTES, MAGIC, PREFIX_BYTES, SIZE_BYTES, patch, patched_prefix,
};
pub use iter::{Record, RecordHeader, RecordIter, records};
pub use rules::{RecordRules, TimestampRange, TimestampType, Validation};
pub use search::first_record_at;
#[cfg(test)]
pub use split::batches_exact;
pub use split::{Batches, batches};
pub use validate::{check_crc, validate};
