//! Verifies what a fetch brought: whole batches with a true CRC, up to the first damage.
//!
//! Pure: bytes and the offset that was asked for in, batches out. Unpacking them is `partition`'s, at the
//! moment of delivery.

use bytes::Bytes;

use crate::record::{self, BatchHeader};
use crate::types::Offset;

/// A batch whose CRC is true.
#[derive(Clone, Debug)]
pub(super) struct VerifiedBatch {
    pub(super) header: BatchHeader,
    pub(super) bytes: Bytes,
}

/// A batch that must not reach the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    /// Its first offset, or the position if that lies inside of it.
    pub(super) offset: Offset,
    pub(super) reason: String,
    /// Where to go on behind it.
    pub(super) resume: Offset,
}

/// What one partition's share of a fetch response is worth.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub(super) batches: Vec<VerifiedBatch>,
    /// Behind the batches, where the rest of the response could not be trusted.
    pub(super) damage: Option<Damage>,
    /// Behind everything above.
    pub(super) next: Offset,
}

/// Base offset and length: what frames a batch, and what the CRC does not cover.
const FRAME_BYTES: usize = 12;

/// Reads `records`, fetched from `from`. A trailing partial batch is left for the next fetch.
pub(super) fn verify(mut records: Bytes, from: Offset, high_watermark: Offset) -> Chunk {
    let mut chunk = Chunk { batches: Vec::new(), damage: None, next: from };
    let is_empty = records.is_empty();
    while let Some(bytes) = split_batch(&mut records) {
        match record::validate(&bytes, bytes.len()) {
            // A fetch at an offset inside a batch brings that whole batch; an earlier one is not wanted.
            Ok(header) if header.next_offset() <= chunk.next => {}
            Ok(header) => {
                chunk.next = header.next_offset();
                chunk.batches.push(VerifiedBatch { header, bytes });
            }
            Err(error) => {
                let damage = damage_of(&bytes, &records, chunk.next, high_watermark, error.to_string());
                chunk.next = damage.resume;
                chunk.damage = Some(damage);
                return chunk;
            }
        }
    }
    if chunk.next == from && !is_empty {
        // A broker sends at least one whole batch, or nothing: without this the fetch would repeat for ever.
        let reason = "the response has no whole batch at this offset".to_owned();
        chunk.next = from.next();
        chunk.damage = Some(Damage { offset: from, reason, resume: from.next() });
    }
    chunk
}

/// Cuts the next batch off by its frame alone. `None` if no whole batch is left.
fn split_batch(records: &mut Bytes) -> Option<Bytes> {
    let length = i32::from_be_bytes(*records.get(8..)?.first_chunk()?);
    let size = FRAME_BYTES.checked_add(usize::try_from(length).ok()?)?;
    (size <= records.len()).then(|| records.split_to(size))
}

fn damage_of(bytes: &Bytes, rest: &Bytes, next: Offset, high_watermark: Offset, reason: String) -> Damage {
    let base = Offset(i64::from_be_bytes(*bytes.first_chunk().expect("a batch is longer than its frame")));
    let offset = if base < high_watermark { base.max(next) } else { next };
    Damage { offset, reason, resume: resume_behind(bytes, rest.clone(), offset, high_watermark) }
}

/// Where the records behind a damaged batch begin, never skipping a good one: at the next sound batch of the
/// response; else where the damaged header says, if two of its fields agree; else one offset further, which
/// meets the same batch again.
fn resume_behind(damaged: &Bytes, mut rest: Bytes, offset: Offset, high_watermark: Offset) -> Offset {
    while let Some(bytes) = split_batch(&mut rest) {
        if let Ok(header) = record::validate(&bytes, bytes.len())
            && header.base_offset > offset
        {
            return header.base_offset;
        }
    }
    match BatchHeader::parse(damaged) {
        Ok(header)
            if i64::from(header.record_count) == i64::from(header.last_offset_delta) + 1
                && header.next_offset() > offset
                && header.next_offset() <= high_watermark =>
        {
            header.next_offset()
        }
        _ => offset.next(),
    }
}

#[cfg(test)]
pub(super) mod tests;
