//! Record batches, format v2: what producers send, the log stores and consumers read, byte for byte the same.
//!
//! The broker looks at a batch's header alone: it validates ([`validate`]) and patches ([`patch`]), and never
//! unpacks. Records inside are for clients ([`records`], [`BatchBuilder`]) and for look-ups by time.
//! Hostile bytes give errors, never panics, and never allocate more than the caller's limit.
//!
//! Not here: formats v0 and v1 (nothing of ours writes them), producer state, control records' contents.

mod build;
mod compression;
mod error;
mod header;
mod iter;
mod snappy;
mod split;
mod validate;
mod varint;

#[cfg(test)]
mod tests;

pub use build::BatchBuilder;
pub use compression::Compression;
pub use error::BatchError;
pub use header::{
    BatchHeader, CRC_START, HEADER_BYTES, MAGIC, PREFIX_BYTES, SIZE_BYTES, patch, patched_prefix,
};
pub use iter::{Record, RecordHeader, RecordIter, records};
pub use split::{Batches, batches, batches_exact};
pub use validate::{check_crc, validate};
