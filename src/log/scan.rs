//! Walks over the batches of a segment's file, a header at a time.
//!
//! Says where a file stops being a chain of batches of one log; what to do about it is the caller's.

use std::io;

use super::LogError;
use super::names::log_name;
use crate::record::{BatchHeader, CRC_START, HEADER_BYTES};
use crate::runtime::disk::File;
use crate::types::Offset;

/// Enough for the few headers between two index entries.
pub(super) const LOOKUP_WINDOW_BYTES: usize = 8 << 10;
/// For reading whole segments.
pub(super) const RECOVERY_WINDOW_BYTES: usize = 1 << 20;

/// Why a walk cannot go on.
#[derive(Debug)]
pub(super) enum ScanError {
    Io(io::Error),
    Damage(Damage),
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> ScanError {
        ScanError::Io(error)
    }
}

impl ScanError {
    /// The same, of the segment with this base offset.
    pub fn in_segment(self, base: Offset) -> LogError {
        match self {
            ScanError::Io(error) => error.into(),
            ScanError::Damage(Damage { position, what, .. }) => {
                LogError::Corrupt { file: log_name(base), position, what }
            }
        }
    }
}

/// Where bytes are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    pub position: u64,
    pub what: String,
    /// The header of a batch that the file is too short for.
    pub cut_short: Option<BatchHeader>,
}

/// A walk from one batch to the next.
pub(super) struct BatchScan<'a> {
    window: Window<'a>,
    position: u64,
    /// Where the file, or what is trusted of it, ends.
    end: u64,
    /// The base offset of the next batch: batches follow each other without a gap. (Compaction will relax it.)
    expected: Option<Offset>,
}

impl<'a> BatchScan<'a> {
    /// Starts at `position`, which must be a batch's; its base offset is checked against `expected`, if given.
    pub fn new(
        file: &'a File,
        position: u64,
        end: u64,
        expected: Option<Offset>,
        window: usize,
    ) -> BatchScan<'a> {
        assert!(window >= HEADER_BYTES, "a window holds a header");
        BatchScan { window: Window::new(file, window), position, end, expected }
    }

    /// The next batch's position and header, and steps over it; `None` at the end.
    pub fn next_header(&mut self) -> Result<Option<(u64, BatchHeader)>, ScanError> {
        let position = self.position;
        if position >= self.end {
            return Ok(None);
        }
        let room = self.end - position;
        let bytes = self.window.bytes_at(position, HEADER_BYTES.min(room as usize))?;
        let header = match BatchHeader::parse(bytes) {
            Ok(header) => header,
            Err(error) => return Err(damage(position, error.to_string())),
        };
        if header.base_offset.0 < 0 || self.expected.is_some_and(|expected| expected != header.base_offset) {
            let expected = self.expected.unwrap_or_default();
            return Err(damage(position, format!("offset {} where {expected} belongs", header.base_offset)));
        }
        let size = header.size() as u64;
        if size > room {
            let what = format!("a batch of {size} bytes, {room} are there");
            return Err(ScanError::Damage(Damage { position, what, cut_short: Some(header) }));
        }
        self.position = position + size;
        self.expected = Some(header.next_offset());
        Ok(Some((position, header)))
    }

    /// Checks the CRC of the batch at `position`.
    pub fn check_crc(&mut self, position: u64, header: &BatchHeader) -> Result<(), ScanError> {
        let end = position + header.size() as u64;
        let mut at = position + CRC_START as u64;
        let mut computed = 0;
        while at < end {
            let bytes = self.window.bytes_at(at, (end - at).min(self.window.capacity() as u64) as usize)?;
            if bytes.is_empty() {
                return Err(damage(position, "the file ends inside of the batch".to_owned()));
            }
            computed = crc32c::crc32c_append(computed, bytes);
            at += bytes.len() as u64;
        }
        if computed != header.crc {
            return Err(damage(
                position,
                format!("CRC {computed:#010x} where {:#010x} is stated", header.crc),
            ));
        }
        Ok(())
    }
}

fn damage(position: u64, what: String) -> ScanError {
    ScanError::Damage(Damage { position, what, cut_short: None })
}

/// A piece of a file held in memory, moved along as the walk goes.
struct Window<'a> {
    file: &'a File,
    buffer: Vec<u8>,
    start: u64,
    filled: usize,
}

impl<'a> Window<'a> {
    fn new(file: &'a File, capacity: usize) -> Window<'a> {
        Window { file, buffer: vec![0; capacity], start: 0, filled: 0 }
    }

    fn capacity(&self) -> usize {
        self.buffer.len()
    }

    /// `len` bytes at `position`, fewer at the file's end. `len` is at most the capacity.
    fn bytes_at(&mut self, position: u64, len: usize) -> io::Result<&[u8]> {
        assert!(len <= self.capacity(), "a window shows no more than it holds");
        let held = self.start..self.start + self.filled as u64;
        if position < held.start || position + len as u64 > held.end {
            self.fill(position)?;
        }
        let from = (position - self.start) as usize;
        let to = (from + len).min(self.filled);
        Ok(&self.buffer[from.min(to)..to])
    }

    fn fill(&mut self, position: u64) -> io::Result<()> {
        (self.start, self.filled) = (position, 0);
        self.filled = read_full(self.file, &mut self.buffer, position)?;
        Ok(())
    }
}

/// Reads until the buffer is full or the file ends; returns how much was read.
pub(super) fn read_full(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], position + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}
