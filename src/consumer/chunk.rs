//! Verifies what a fetch brought: whole batches with a true CRC, whose offsets lie between those of their neighbours.
//!
//! Pure: bytes and the offset that was asked for in, batches and damage out. Unpacking them is `partition`'s, at
//! the moment of delivery. A base offset is not covered by the CRC: one that is wrong and leaves room on both sides
//! is taken for the edge of a gap, which compaction may leave.

use bytes::Bytes;

use crate::record::{self, BatchError, BatchHeader};
use crate::types::Offset;

/// A batch whose CRC is true.
#[derive(Clone, Debug)]
pub(super) struct VerifiedBatch {
    pub(super) header: BatchHeader,
    pub(super) bytes: Bytes,
}

/// What must not reach the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    /// The first offset that is missing because of it.
    pub(super) offset: Offset,
    pub(super) reason: String,
    /// Where to go on behind it.
    pub(super) resume: Offset,
}

/// A stretch of what was fetched.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Batch(VerifiedBatch),
    Damage(Damage),
}

/// What one partition's share of a fetch response is worth.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    /// In offset order.
    pub(super) parts: Vec<Part>,
    /// Behind everything above.
    pub(super) next: Offset,
}

/// Base offset and length: what frames a batch, and what the CRC does not cover.
const FRAME_BYTES: usize = 12;
/// Behind damage: places that look like a batch, and whose CRC is computed to know.
const LOOKS_MAX: usize = 1_000;

/// Reads `records`, fetched from `from`. A trailing partial batch is left for the next fetch.
pub(super) fn verify(records: Bytes, from: Offset, high_watermark: Offset) -> Chunk {
    let mut chunk = Chunk { parts: Vec::new(), next: from };
    if is_beyond_every_log(from) {
        return chunk;
    }
    let is_empty = records.is_empty();
    let stretches = split(records);
    for (index, stretch) in stretches.iter().enumerate() {
        // One that cannot be in the log (its base offset is not covered by its CRC) says nothing of what is before it.
        let is_in_log =
            |header: &&BatchHeader| header.base_offset.0 >= 0 && header.next_offset() <= high_watermark;
        let behind = stretches[index + 1..].iter().filter_map(Stretch::sound).find(is_in_log);
        chunk.take(stretch, behind, high_watermark);
    }
    if chunk.next == from && !is_empty {
        // A broker sends at least one whole batch, or nothing: without this the fetch would repeat for ever.
        let reason = "the response has no whole batch at this offset".to_owned();
        chunk.skip(reason, from.next());
    }
    chunk
}

/// The chunk for an offset that the broker cannot read: of what lies behind it nothing is known.
pub(super) fn unreadable(at: Offset) -> Chunk {
    let mut chunk = Chunk { parts: Vec::new(), next: at };
    if is_beyond_every_log(at) {
        return chunk;
    }
    chunk.skip("the broker finds damage there".to_owned(), at.next());
    chunk
}

/// Nothing can stand there, for the end of a log is an offset too: whoever answers for it lies.
fn is_beyond_every_log(offset: Offset) -> bool {
    offset.checked_plus(1).is_none()
}

/// Bytes between two places where a batch may begin.
enum Stretch {
    Sound(VerifiedBatch),
    Unsound { bytes: Bytes, reason: String },
}

impl Stretch {
    fn sound(&self) -> Option<&BatchHeader> {
        match self {
            Stretch::Sound(batch) => Some(&batch.header),
            Stretch::Unsound { .. } => None,
        }
    }
}

/// Cuts the response at its frames; behind damage that hides the next frame, at the next sound batch.
fn split(mut rest: Bytes) -> Vec<Stretch> {
    let mut stretches = Vec::new();
    let mut looks = LOOKS_MAX;
    // Frames are known to be in step until so many bytes are left.
    let mut in_step = None;
    while !rest.is_empty() {
        let size = frame(&rest);
        let reason = match size.map(|size| sound(&rest[..size])) {
            Some(Ok(header)) => {
                let bytes = rest.split_to(header.size());
                stretches.push(Stretch::Sound(VerifiedBatch { header, bytes }));
                continue;
            }
            Some(Err(error)) => error.to_string(),
            // What comes last may be the begin of a batch that did not fit; what comes first may not.
            None if !stretches.is_empty() => break,
            None => "no whole batch is there".to_owned(),
        };
        let framed = size.filter(|size| {
            let left = rest.len() - size;
            if in_step.is_none_or(|until| left < until) {
                in_step = left_in_step(&rest[*size..]);
            }
            in_step.is_some()
        });
        let Some(size) = framed.or_else(|| next_sound(&rest, &mut looks)) else {
            stretches.push(Stretch::Unsound { bytes: rest, reason });
            break;
        };
        stretches.push(Stretch::Unsound { bytes: rest.split_to(size), reason });
    }
    stretches
}

/// How much is left where the frames lead to a sound batch or exactly to the end; `None` if they do not.
fn left_in_step(mut records: &[u8]) -> Option<usize> {
    while !records.is_empty() && !is_sound(records) {
        records = &records[frame(records)?..];
    }
    Some(records.len())
}

/// The size of the first batch, by its frame alone. `None` if it is not whole.
fn frame(records: &[u8]) -> Option<usize> {
    let length = i32::from_be_bytes(*records.get(8..)?.first_chunk()?);
    let size = FRAME_BYTES.checked_add(usize::try_from(length).ok()?)?;
    (size <= records.len()).then_some(size)
}

/// The header of a whole batch whose CRC is true. What the broker may have done to it since it was produced is not
/// asked: compaction takes records out, and control batches are the broker's own.
fn sound(batch: &[u8]) -> Result<BatchHeader, BatchError> {
    let header = BatchHeader::parse(batch)?;
    record::check_crc(&header, batch)?;
    header.compression()?;
    Ok(header)
}

fn is_sound(records: &[u8]) -> bool {
    frame(records).is_some_and(|size| sound(&records[..size]).is_ok())
}

/// Where the next sound batch begins, at some byte behind the first.
fn next_sound(records: &[u8], looks: &mut usize) -> Option<usize> {
    // What costs little first.
    let looks_whole = |at: &usize| {
        let records = &records[*at..];
        BatchHeader::parse(records).is_ok() && frame(records).is_some()
    };
    (1..records.len()).filter(looks_whole).find_map(|at| {
        *looks = looks.checked_sub(1)?;
        is_sound(&records[at..]).then_some(at)
    })
}

impl Chunk {
    fn take(&mut self, stretch: &Stretch, behind: Option<&BatchHeader>, high_watermark: Offset) {
        let (reason, claimed_end) = match stretch {
            Stretch::Sound(batch) => match self.misplacement(&batch.header, behind, high_watermark) {
                // A fetch at an offset inside a batch brings that whole batch; an earlier one is not wanted.
                None if batch.header.next_offset() <= self.next => return,
                None => {
                    self.next = batch.header.next_offset();
                    return self.parts.push(Part::Batch(batch.clone()));
                }
                Some(reason) => (reason, None),
            },
            Stretch::Unsound { bytes, reason } => (reason.clone(), self.claimed_end(bytes, high_watermark)),
        };
        let behind = behind.map(|header| header.base_offset);
        if behind.is_some_and(|behind| behind <= self.next) || self.next >= high_watermark {
            // Nothing is missing because of it.
            return;
        }
        let resume = [claimed_end, behind].into_iter().flatten().min().unwrap_or(self.next.next());
        assert!(resume <= high_watermark, "damage leads nobody beyond the log's end");
        self.skip(reason, resume);
    }

    fn skip(&mut self, reason: String, resume: Offset) {
        assert!(resume > self.next, "who passes over damage gets on");
        self.parts.push(Part::Damage(Damage { offset: self.next, reason, resume }));
        self.next = resume;
    }

    /// Why a sound batch cannot have the offsets that it states, if so.
    fn misplacement(
        &self,
        header: &BatchHeader,
        behind: Option<&BatchHeader>,
        high_watermark: Offset,
    ) -> Option<String> {
        let (base, next) = (header.base_offset, self.next);
        let goes_back = base < next && !self.parts.is_empty();
        // The one behind would fit without it.
        let hides_another =
            base > next && behind.is_some_and(|b| (next..header.next_offset()).contains(&b.base_offset));
        if base.0 < 0 || goes_back || hides_another || base >= high_watermark {
            return Some(format!("a batch of offset {base} where {next} belongs"));
        }
        // Whoever believed it would go on behind the log's end, and be reset from there.
        let end = header.next_offset();
        (end > high_watermark)
            .then(|| format!("a batch that claims offsets up to {end}, behind {high_watermark}"))
    }

    /// Where a damaged batch says that it ends, if two of its fields agree and it lies around the next offset.
    fn claimed_end(&self, bytes: &[u8], high_watermark: Offset) -> Option<Offset> {
        let header = BatchHeader::parse(bytes).ok()?;
        let agrees = i64::from(header.record_count) == i64::from(header.last_offset_delta) + 1;
        let is_around = (header.base_offset..header.next_offset()).contains(&self.next);
        (agrees && is_around && header.next_offset() <= high_watermark).then(|| header.next_offset())
    }
}

#[cfg(test)]
pub(super) mod tests;
