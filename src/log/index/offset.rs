//! The sparse offset index: for about every 4 KiB of a segment, which offset lies at which byte.
//!
//! The segment that is appended to has its index in memory; when it closes, the index is written to a file,
//! which also sums the segment up. Every entry on disk has a CRC, over the segment's base offset too, so that
//! no entry of another file passes; one that fails makes the look-up start at the segment's begin.

use std::io::{self, IoSlice};
use std::path::Path;

use crate::log::scan::read_full;
use crate::runtime::disk::{self, File, OpenMode};
use crate::types::{LeaderEpoch, Offset, Timestamp};

const MAGIC: [u8; 8] = *b"SLINDEX1";
/// Magic, four 8-byte numbers, epoch, count, CRC.
const SUMMARY_BYTES: usize = 8 + 4 * 8 + 4 + 4 + 4;
/// Relative offset, position, CRC.
const ENTRY_BYTES: usize = 12;

/// Says that the batch with this base offset starts at this byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::log) struct Entry {
    pub offset: Offset,
    pub position: u32,
}

impl Entry {
    /// `None` for a batch too far behind the segment's begin to be told in 32 bits. No append leads there, but
    /// files from elsewhere may; their look-ups scan.
    pub fn new(segment: Offset, offset: Offset, position: u64) -> Option<Entry> {
        u32::try_from(offset.since(segment)).ok()?;
        Some(Entry { offset, position: u32::try_from(position).ok()? })
    }

    /// Both numbers grow from an entry to the next.
    fn precedes(&self, next: &Entry) -> bool {
        self.offset < next.offset && self.position < next.position
    }
}

/// What a closed segment's index file says about the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::log) struct Summary {
    pub base: Offset,
    /// Exclusive.
    pub next_offset: Offset,
    pub log_bytes: u64,
    pub max_timestamp: Timestamp,
    pub last_epoch: LeaderEpoch,
}

impl Summary {
    /// Whether a segment can be like this.
    fn is_possible(&self) -> bool {
        let is_empty = self.log_bytes == 0;
        self.base >= Offset::ZERO
            && self.next_offset >= self.base
            && is_empty == (self.next_offset == self.base)
    }
}

pub(in crate::log) enum OffsetIndex {
    Memory(Vec<Entry>),
    Stored { file: File, summary: Summary, count: u32 },
}

impl OffsetIndex {
    pub fn empty() -> OffsetIndex {
        OffsetIndex::Memory(Vec::new())
    }

    /// Opens the stored index of segment `base`, if it is there and sums up a segment of `log_bytes` bytes.
    pub fn open(path: &Path, base: Offset, log_bytes: u64) -> io::Result<Option<(OffsetIndex, Summary)>> {
        if !disk::exists(path)? {
            return Ok(None);
        }
        let file = disk::open_on_demand(path)?;
        let mut bytes = [0; SUMMARY_BYTES];
        if read_full(&file, &mut bytes, 0)? < SUMMARY_BYTES {
            return Ok(None);
        }
        let Some((summary, count)) = decode_summary(&bytes) else { return Ok(None) };
        let is_whole = file.len()? == (SUMMARY_BYTES + ENTRY_BYTES * count as usize) as u64;
        let is_ours = summary.base == base && summary.log_bytes == log_bytes && summary.is_possible();
        Ok((is_whole && is_ours).then_some((OffsetIndex::Stored { file, summary, count }, summary)))
    }

    /// Writes the index to its file, as yet unsynced.
    pub fn store(&mut self, path: &Path, summary: &Summary) -> io::Result<()> {
        let OffsetIndex::Memory(entries) = self else { return Ok(()) };
        let last = entries.last();
        assert!(
            last.is_none_or(|last| last.offset < summary.next_offset),
            "entries are of the segment's batches"
        );
        let bytes = encode(summary, entries);
        let file = disk::open(path, OpenMode::CreateOrOpen)?;
        file.truncate(0)?;
        file.write_at(&[IoSlice::new(&bytes)], 0)?;
        *self = OffsetIndex::Stored { file, summary: *summary, count: entries.len() as u32 };
        Ok(())
    }

    /// Keeps a stored index open no longer than it is read.
    pub fn open_on_demand(&mut self, path: &Path) -> io::Result<()> {
        if let OffsetIndex::Stored { file, .. } = self {
            *file = disk::open_on_demand(path)?;
        }
        Ok(())
    }

    /// Takes a stored index into memory, to be added to. `false`: it is damaged, and is left as it was.
    pub fn load(&mut self) -> bool {
        let OffsetIndex::Stored { file, summary, count } = &*self else { return true };
        let summary = *summary;
        let entries = read_all(file, summary.base, *count as usize);
        let is_inside = |entry: &Entry| {
            entry.offset < summary.next_offset && u64::from(entry.position) < summary.log_bytes
        };
        match entries {
            Some(entries)
                if entries.is_sorted_by(Entry::precedes) && entries.last().is_none_or(is_inside) =>
            {
                *self = OffsetIndex::Memory(entries);
                true
            }
            _ => false,
        }
    }

    /// The file of a stored index.
    pub fn file(&self) -> Option<&File> {
        match self {
            OffsetIndex::Memory(_) => None,
            OffsetIndex::Stored { file, .. } => Some(file),
        }
    }

    /// Where the last batch with an entry starts; 0 without entries. Only in memory.
    pub fn last_position(&self) -> u64 {
        match self {
            OffsetIndex::Memory(entries) => entries.last().map_or(0, |entry| u64::from(entry.position)),
            OffsetIndex::Stored { .. } => panic!("a closed segment takes no batches"),
        }
    }

    /// Adds an entry behind the others. Only in memory.
    pub fn push(&mut self, entry: Entry) {
        let OffsetIndex::Memory(entries) = self else { panic!("a closed segment takes no entries") };
        assert!(entries.last().is_none_or(|last| last.precedes(&entry)), "entries rise");
        entries.push(entry);
    }

    /// Drops the entries at and above `offset`. Only in memory.
    pub fn truncate(&mut self, offset: Offset) {
        let OffsetIndex::Memory(entries) = self else { panic!("a stored index is loaded before it is cut") };
        entries.truncate(entries.partition_point(|entry| entry.offset < offset));
    }

    /// The last entry at or below `offset`; `None` if there is none, or if damage hides it.
    pub fn floor_of_offset(&self, offset: Offset) -> Option<Entry> {
        match self {
            OffsetIndex::Memory(entries) => last_where(entries, |entry| entry.offset <= offset),
            OffsetIndex::Stored { summary, .. } => {
                let share = (offset.since(summary.base), summary.next_offset.since(summary.base));
                self.stored_floor(share, |entry| entry.offset <= offset)
            }
        }
    }

    /// The last entry at or below byte `position`.
    pub fn floor_of_position(&self, position: u64) -> Option<Entry> {
        let holds = |entry: &Entry| u64::from(entry.position) <= position;
        match self {
            OffsetIndex::Memory(entries) => last_where(entries, holds),
            OffsetIndex::Stored { summary, .. } => {
                let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
                self.stored_floor((signed(position), signed(summary.log_bytes)), holds)
            }
        }
    }

    /// Looks in the file, a block at a time: first where the entry is if they are spread evenly, as they mostly are,
    /// then by halves. `share` is the part of the segment that stands before what is looked for, of what whole.
    fn stored_floor(&self, share: (i64, i64), holds: impl Fn(&Entry) -> bool) -> Option<Entry> {
        let OffsetIndex::Stored { file, summary, count } = self else {
            panic!("an index in memory has no file")
        };
        let (mut low, mut high) = (0, *count as usize);
        let mut middle = share_of(high, share);
        let mut best = None;
        // Entries below `low` satisfy, entries from `high` on do not.
        while low < high {
            let start = middle.saturating_sub(BLOCK_ENTRIES / 2).clamp(low, high - 1);
            let block = Block::read(file, summary.base, start, BLOCK_ENTRIES.min(high - start))?;
            let below = block.count_below(&holds)?;
            match below.checked_sub(1) {
                None => high = start,
                Some(last) => {
                    best = Some(block.entry(last)?);
                    low = start + below;
                    if below < block.entries {
                        high = low;
                    }
                }
            }
            middle = usize::midpoint(low, high);
        }
        best
    }
}

/// All entries of a stored index; `None` if one is damaged.
fn read_all(file: &File, base: Offset, count: usize) -> Option<Vec<Entry>> {
    let mut all = Vec::with_capacity(count);
    for start in (0..count).step_by(BLOCK_ENTRIES) {
        let block = Block::read(file, base, start, BLOCK_ENTRIES.min(count - start))?;
        for index in 0..block.entries {
            all.push(block.entry(index)?);
        }
    }
    Some(all)
}

fn last_where(entries: &[Entry], holds: impl Fn(&Entry) -> bool) -> Option<Entry> {
    entries[..entries.partition_point(holds)].last().copied()
}

/// `before` of `whole`, as a share of `count`.
fn share_of(count: usize, (before, whole): (i64, i64)) -> usize {
    let share = i128::from(before.max(0)) * count as i128 / i128::from(whole.max(1));
    usize::try_from(share).unwrap_or(usize::MAX).min(count)
}

/// Entries that are read from a file at once: a page's worth.
const BLOCK_ENTRIES: usize = 4096 / ENTRY_BYTES;

/// Some entries of a stored index, of which only those are decoded that are looked at.
struct Block {
    base: Offset,
    bytes: [u8; BLOCK_ENTRIES * ENTRY_BYTES],
    entries: usize,
}

impl Block {
    /// Reads `entries` entries from the one at `index` on.
    fn read(file: &File, base: Offset, index: usize, entries: usize) -> Option<Block> {
        assert!(entries <= BLOCK_ENTRIES, "a block has its size");
        let mut block = Block { base, bytes: [0; BLOCK_ENTRIES * ENTRY_BYTES], entries };
        let bytes = &mut block.bytes[..entries * ENTRY_BYTES];
        let is_whole = read_full(file, bytes, (SUMMARY_BYTES + ENTRY_BYTES * index) as u64)
            .is_ok_and(|read| read == bytes.len());
        if !is_whole {
            tracing::warn!(segment = base.0, index, entries, "index_entries_unreadable");
        }
        is_whole.then_some(block)
    }

    /// `None` if it is damaged.
    fn entry(&self, index: usize) -> Option<Entry> {
        let entry = decode_entry(self.base, &self.bytes.as_chunks().0[index]);
        if entry.is_none() {
            tracing::warn!(segment = self.base.0, index, "index_entry_unusable");
        }
        entry
    }

    /// How many entries stand in front of the first for which it does not hold; `None` if damage hides it.
    fn count_below(&self, holds: impl Fn(&Entry) -> bool) -> Option<usize> {
        let (mut low, mut high) = (0, self.entries);
        while low < high {
            let middle = usize::midpoint(low, high);
            if holds(&self.entry(middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Some(low)
    }
}

fn encode(summary: &Summary, entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(SUMMARY_BYTES + ENTRY_BYTES * entries.len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&summary.base.0.to_be_bytes());
    out.extend_from_slice(&summary.next_offset.0.to_be_bytes());
    out.extend_from_slice(&summary.log_bytes.to_be_bytes());
    out.extend_from_slice(&summary.max_timestamp.0.to_be_bytes());
    out.extend_from_slice(&summary.last_epoch.0.to_be_bytes());
    out.extend_from_slice(&(entries.len() as u32).to_be_bytes());
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    for entry in entries {
        let relative = u32::try_from(entry.offset.since(summary.base)).expect("checked when it was made");
        out.extend_from_slice(&relative.to_be_bytes());
        out.extend_from_slice(&entry.position.to_be_bytes());
        out.extend_from_slice(&entry_crc(summary.base, relative, entry.position).to_be_bytes());
    }
    out
}

fn decode_summary(bytes: &[u8; SUMMARY_BYTES]) -> Option<(Summary, u32)> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(body) != u32::from_be_bytes(*crc) {
        return None;
    }
    let (magic, mut rest) = body.split_first_chunk::<8>()?;
    let mut number = || {
        let (bytes, after) = rest.split_first_chunk::<8>()?;
        rest = after;
        Some(i64::from_be_bytes(*bytes))
    };
    let summary = Summary {
        base: Offset(number()?),
        next_offset: Offset(number()?),
        log_bytes: number()? as u64,
        max_timestamp: Timestamp(number()?),
        last_epoch: LeaderEpoch(i32::from_be_bytes(*rest.first_chunk()?)),
    };
    let count = u32::from_be_bytes(*rest.last_chunk()?);
    (*magic == MAGIC).then_some((summary, count))
}

fn decode_entry(base: Offset, bytes: &[u8; ENTRY_BYTES]) -> Option<Entry> {
    let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let (relative, position, crc) = (word(0), word(4), word(8));
    let offset = base.checked_plus(i64::from(relative))?;
    (entry_crc(base, relative, position) == crc).then_some(Entry { offset, position })
}

fn entry_crc(base: Offset, relative: u32, position: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&base.0.to_be_bytes());
    hasher.update(&relative.to_be_bytes());
    hasher.update(&position.to_be_bytes());
    hasher.finalize()
}
