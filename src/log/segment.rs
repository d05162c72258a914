//! A segment: one file of batches, and where to find them in it.

use std::io;
use std::path::Path;

use super::LogError;
use super::index::offset::{Entry, OffsetIndex, Summary};
use super::names::{index_path, log_name, log_path};
use super::scan::{BatchScan, LOOKUP_WINDOW_BYTES, ScanError};
use crate::record::BatchHeader;
use crate::runtime::buggify;
use crate::runtime::disk::{self, File, OpenMode};
use crate::types::{LeaderEpoch, Offset, Timestamp};

pub(super) struct Segment {
    pub base: Offset,
    /// Exclusive; the next segment's base.
    pub end: Offset,
    pub file: File,
    /// Bytes of whole batches; what the file holds beyond is the rest of a failed append.
    pub size: u64,
    pub index: OffsetIndex,
    /// `NONE` without batches.
    pub max_timestamp: Timestamp,
    /// `UNKNOWN` without batches.
    pub last_epoch: LeaderEpoch,
    /// Whether the names of its files are on stable storage.
    pub is_name_synced: bool,
    /// Its files are open only while they are read: they take no more writes, and are flushed.
    pub is_open_on_demand: bool,
}

impl Segment {
    /// Makes an empty segment. A file of that name can only be left over from a roll that failed.
    pub fn create(directory: &Path, base: Offset) -> io::Result<Segment> {
        let file = disk::open(&log_path(directory, base), OpenMode::CreateOrOpen)?;
        file.truncate(0)?;
        Ok(Segment::over(file, base))
    }

    /// A segment over a file of which nothing is known yet.
    pub fn over(file: File, base: Offset) -> Segment {
        Segment {
            base,
            end: base,
            file,
            size: 0,
            index: OffsetIndex::empty(),
            max_timestamp: Timestamp::NONE,
            last_epoch: LeaderEpoch::UNKNOWN,
            is_name_synced: false,
            is_open_on_demand: false,
        }
    }

    /// Keeps the files of a closed and flushed segment open no longer than they are read.
    pub fn open_on_demand(&mut self, directory: &Path) -> io::Result<()> {
        self.file = disk::open_on_demand(&log_path(directory, self.base))?;
        self.index.open_on_demand(&index_path(directory, self.base))?;
        self.is_open_on_demand = true;
        Ok(())
    }

    /// Keeps the file open from now on: a write is followed by a sync of the same open file.
    pub fn keep_open(&mut self, directory: &Path) -> io::Result<()> {
        self.file = disk::open(&log_path(directory, self.base), OpenMode::ReadWrite)?;
        self.is_open_on_demand = false;
        Ok(())
    }

    /// A closed segment as its stored index sums it up.
    pub fn summed_up(file: File, index: OffsetIndex, summary: &Summary) -> Segment {
        Segment {
            end: summary.next_offset,
            size: summary.log_bytes,
            index,
            max_timestamp: summary.max_timestamp,
            last_epoch: summary.last_epoch,
            ..Segment::over(file, summary.base)
        }
    }

    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Takes note of a batch that now lies behind the others.
    pub fn push(&mut self, header: &BatchHeader, index_interval_bytes: u64) {
        assert_eq!(header.base_offset, self.end, "batches follow each other");
        let interval = if buggify::fires("log.dense-index") { 1 } else { index_interval_bytes.max(1) };
        // The last entry may lie behind only where somebody rewrote the file under the log's hands.
        if self.size.saturating_sub(self.index.last_position()) >= interval
            && let Some(entry) = Entry::new(self.base, header.base_offset, self.size)
        {
            self.index.push(entry);
        }
        self.size += header.size() as u64;
        self.end = header.next_offset();
        assert!(self.end > header.base_offset, "a batch has an offset at least");
        self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
        self.last_epoch = self.last_epoch.max(header.leader_epoch);
    }

    /// Writes the index of a segment that takes no more batches. Without it a look-up scans, and the next open
    /// makes it anew: an error is only worth a warning.
    pub fn close(&mut self, directory: &Path) {
        let summary = Summary {
            base: self.base,
            next_offset: self.end,
            log_bytes: self.size,
            max_timestamp: self.max_timestamp,
            last_epoch: self.last_epoch,
        };
        if let Err(error) = self.index.store(&index_path(directory, self.base), &summary) {
            tracing::warn!(segment = self.base.0, %error, "index_not_stored");
        }
    }

    /// The batch that holds `offset`, or the first after it: its position and header. `offset` lies in this
    /// segment.
    pub fn locate(&self, offset: Offset) -> Result<(u64, BatchHeader), LogError> {
        let start = self.index.floor_of_offset(offset).filter(|entry| self.is_usable(*entry));
        let found = match self.first_reaching(offset, start) {
            // What a stored index says counts only if the batches agree.
            Err(LogError::Corrupt { .. }) if start.is_some() => self.first_reaching(offset, None)?,
            found => found?,
        };
        found.ok_or_else(|| self.corrupt(self.size, format!("no batch reaches offset {offset}")))
    }

    fn is_usable(&self, entry: Entry) -> bool {
        entry.offset >= self.base && u64::from(entry.position) < self.size
    }

    fn first_reaching(
        &self,
        offset: Offset,
        start: Option<Entry>,
    ) -> Result<Option<(u64, BatchHeader)>, LogError> {
        let mut scan = self.scan(start);
        while let Some((position, header)) = self.step(&mut scan)? {
            if header.next_offset() > offset {
                return Ok(Some((position, header)));
            }
        }
        Ok(None)
    }

    /// Where the last batch ends that starts at or after byte `from` (itself a batch's start) and does not
    /// reach beyond `limit`; `from` if there is none. Whole batches before damage count: whoever reads on finds it there.
    pub fn end_of_batches_within(&self, from: u64, limit: u64) -> Result<u64, LogError> {
        if self.size <= limit {
            return Ok(self.size);
        }
        let entry = self.index.floor_of_position(limit).filter(|entry| u64::from(entry.position) > from);
        match self.last_end_within(from, entry, limit) {
            Err(LogError::Corrupt { .. }) if entry.is_some() => self.last_end_within(from, None, limit),
            end => end,
        }
    }

    fn last_end_within(&self, from: u64, entry: Option<Entry>, limit: u64) -> Result<u64, LogError> {
        let start = entry.map_or(from, |entry| u64::from(entry.position));
        let expected = entry.map(|entry| entry.offset);
        let mut scan = BatchScan::new(&self.file, start, self.size, expected, LOOKUP_WINDOW_BYTES);
        let mut end = start;
        loop {
            match self.step(&mut scan) {
                Ok(Some((position, header))) if position + header.size() as u64 <= limit => {
                    end = position + header.size() as u64;
                }
                Ok(_) => return Ok(end),
                Err(LogError::Corrupt { .. }) if entry.is_none() && end > start => return Ok(end),
                Err(error) => return Err(error),
            }
        }
    }

    /// `end`, or where the last whole batch after `start` ends if the file itself ends before `end`: somebody cut it
    /// off under the log's hands. A range that is not there would end the connection it is sent over, and with it what
    /// is sent of other partitions, again and again.
    pub fn end_of_what_is_there(&self, start: u64, end: u64) -> Result<u64, LogError> {
        let there = self.file.len()?;
        if end <= there {
            return Ok(end);
        }
        let mut scan = BatchScan::new(&self.file, start, self.size, None, LOOKUP_WINDOW_BYTES);
        let mut whole = start;
        while let Ok(Some((position, header))) = scan.next_header()
            && position + header.size() as u64 <= there
        {
            whole = position + header.size() as u64;
        }
        if whole == start {
            return Err(
                self.corrupt(start, format!("the file ends at byte {there}, the log at {}", self.size))
            );
        }
        Ok(whole)
    }

    /// A walk over the batches from an index entry, or from the segment's begin.
    pub fn scan(&self, start: Option<Entry>) -> BatchScan<'_> {
        let (position, offset) =
            start.map_or((0, self.base), |entry| (u64::from(entry.position), entry.offset));
        BatchScan::new(&self.file, position, self.size, Some(offset), LOOKUP_WINDOW_BYTES)
    }

    /// The next batch of a walk.
    pub fn step(&self, scan: &mut BatchScan<'_>) -> Result<Option<(u64, BatchHeader)>, LogError> {
        scan.next_header().map_err(|error| self.error(error))
    }

    pub fn error(&self, error: ScanError) -> LogError {
        error.in_segment(self.base)
    }

    pub fn corrupt(&self, position: u64, what: String) -> LogError {
        LogError::Corrupt { file: log_name(self.base), position, what }
    }

    /// Forgets the batches from `position` on, the first of which has base offset `end`. What it knows of
    /// timestamps and epochs stays an upper bound.
    pub fn cut(&mut self, position: u64, end: Offset) {
        assert!(position <= self.size && end <= self.end, "a cut makes no segment longer");
        assert!(end >= self.base, "a segment does not end before it begins");
        self.size = position;
        self.end = end;
        self.index.truncate(end);
    }
}
