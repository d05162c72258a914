//! What a log does when it is opened: finds out how much of what lies on disk is the log.
//!
//! After a clean shutdown the files are taken as they are. Otherwise every batch from the segment of the
//! checkpoint on is checked, and a torn or corrupt batch is cut off with all that follows it, unless it lies
//! below what the checkpoint says was flushed: that is damage, and nobody's to cut. What remains is synced
//! before it counts as flushed: after a kill it may be in the page cache only. Interrupted anywhere, recovery
//! does the same again.

use std::io::{self, IoSlice};
use std::path::Path;

use super::LogError;
use super::checkpoint::{Checkpoint, TEMPORARY_SUFFIX};
use super::index::offset::OffsetIndex;
use super::names::{base_of_log, index_path, log_name, log_path};
use super::scan::{BatchScan, Damage, RECOVERY_WINDOW_BYTES, ScanError};
use super::segment::Segment;
use crate::marks::{self, Mark};
use crate::rules::{Rule, holds};
use crate::runtime::disk::{self, File, OpenMode};
use crate::runtime::durable;
use crate::types::{LeaderEpoch, Offset};

/// What was found.
pub(super) struct Recovered {
    /// By base offset, never empty.
    pub segments: Vec<Segment>,
    pub last_epoch: LeaderEpoch,
    /// The log had been closed, so nothing was scanned.
    pub clean: bool,
    pub bytes_cut: u64,
    /// The segments from here on were scanned, and may be in the page cache only.
    first_scanned: usize,
    /// In the first of them, only what lies behind this.
    flushed_bytes: u64,
}

impl Recovered {
    /// Makes all of it durable, and says so in the checkpoint; only then may anything be appended.
    pub async fn make_durable(mut self, directory: &Path) -> Result<Recovered, LogError> {
        if !self.clean {
            let mut flushed_bytes = self.flushed_bytes;
            for segment in &self.segments[self.first_scanned..] {
                write_again(&segment.file, std::mem::take(&mut flushed_bytes), segment.size)?;
                segment.file.sync_data().await?;
            }
            durable::sync_names(directory).await?;
            if let Some(parent) = directory.parent() {
                durable::sync_names(parent).await?;
            }
        }
        let last = self.segments.last().expect("recovery leaves a segment");
        let checkpoint = Checkpoint {
            log_start: self.segments[0].base,
            flushed_end: last.end,
            segment: last.base,
            position: last.size,
            last_epoch: self.last_epoch,
            clean: false,
        };
        checkpoint.store(directory, 0).await?;
        for segment in &mut self.segments {
            segment.is_name_synced = true;
        }
        Ok(self)
    }
}

/// Writes bytes that are in the file already. Where an fsync failed, the page cache may hold bytes that storage
/// never got as clean, and a sync of clean pages does nothing (fsyncgate).
fn write_again(file: &File, from: u64, end: u64) -> io::Result<()> {
    let mut window = vec![0; RECOVERY_WINDOW_BYTES.min(end.saturating_sub(from) as usize)];
    let mut position = from;
    while position < end {
        let room = window.len().min((end - position) as usize);
        let count = file.read_at(&mut window[..room], position)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.write_at(&[IoSlice::new(&window[..count])], position)?;
        position += count as u64;
    }
    Ok(())
}

/// Reads the partition's directory, made if absent, and cuts off what is not the log.
pub(super) fn recover(directory: &Path, index_interval_bytes: u64) -> Result<Recovered, LogError> {
    disk::create_dir_all(directory)?;
    let found = find_segments(directory)?;
    let checkpoint = Checkpoint::load(directory)?;
    let start = found.first().map_or(Offset::ZERO, |first| first.base);
    let mut recovery = Recovery {
        directory,
        index_interval_bytes,
        flushed: checkpoint.map_or(start, |checkpoint| checkpoint.flushed_end),
        end: checkpoint.map_or(start, |checkpoint| checkpoint.log_start),
        segments: Vec::new(),
        first_scanned: None,
        bytes_cut: 0,
    };
    let clean = checkpoint.is_some_and(|checkpoint| is_as_closed(&checkpoint, &found));
    recovery.take(found, checkpoint, clean)?;
    recovery.finish(checkpoint, clean)
}

/// Whether the files end where the checkpoint of a clean shutdown says.
fn is_as_closed(checkpoint: &Checkpoint, found: &[Found]) -> bool {
    let last = found.last().map(|last| (last.base, last.len));
    checkpoint.clean && last == Some((checkpoint.segment, checkpoint.position))
}

/// A log file of the directory.
struct Found {
    base: Offset,
    file: File,
    len: u64,
}

/// The log files by base offset. Removes temporary files, and the empty files that a failed roll left between
/// others.
fn find_segments(directory: &Path) -> Result<Vec<Found>, LogError> {
    let mut found: Vec<Found> = Vec::new();
    for entry in disk::read_dir(directory)? {
        if entry.name.ends_with(TEMPORARY_SUFFIX) {
            disk::remove_file(&directory.join(&entry.name))?;
        }
        if let Some(base) = base_of_log(&entry.name) {
            let file = disk::open(&directory.join(&entry.name), OpenMode::ReadWrite)?;
            let len = file.len()?;
            found.push(Found { base, file, len });
        }
    }
    found.sort_by_key(|segment| segment.base);
    let last = found.last().map(|last| last.base);
    let (kept, empty): (Vec<_>, Vec<_>) = found.into_iter().partition(|f| f.len > 0 || Some(f.base) == last);
    for segment in empty {
        remove(directory, segment.base)?;
    }
    Ok(kept)
}

fn remove(directory: &Path, base: Offset) -> Result<(), LogError> {
    remove_index(directory, base)?;
    Ok(disk::remove_file(&log_path(directory, base))?)
}

fn remove_index(directory: &Path, base: Offset) -> Result<(), LogError> {
    let path = index_path(directory, base);
    if disk::exists(&path)? {
        disk::remove_file(&path)?;
    }
    Ok(())
}

struct Recovery<'a> {
    directory: &'a Path,
    index_interval_bytes: u64,
    /// Below this nothing is cut.
    flushed: Offset,
    /// Where the segments so far end.
    end: Offset,
    segments: Vec<Segment>,
    first_scanned: Option<usize>,
    bytes_cut: u64,
}

impl Recovery<'_> {
    fn take(
        &mut self,
        found: Vec<Found>,
        checkpoint: Option<Checkpoint>,
        clean: bool,
    ) -> Result<(), LogError> {
        let bases: Vec<Offset> = found.iter().map(|segment| segment.base).collect();
        let mut rest = found.into_iter().enumerate();
        while let Some((index, segment)) = rest.next() {
            let next_base = bases.get(index + 1).copied();
            let is_trusted = clean || checkpoint.is_some_and(|checkpoint| segment.base < checkpoint.segment);
            let is_whole = if segment.base != self.end {
                let what =
                    format!("the segment starts at {}, the one before ends at {}", segment.base, self.end);
                self.judge(segment.base, Damage { position: 0, what, cut_short: None })?;
                self.drop_file(&segment)?;
                false
            } else if is_trusted {
                self.trust(segment, next_base)?;
                true
            } else {
                self.scan(segment)?
            };
            if !is_whole {
                rest.try_for_each(|(_, segment)| self.drop_file(&segment))?;
                break;
            }
        }
        Ok(())
    }

    /// Damage at the end so far: an error below the flushed point, else only the end of the log.
    fn judge(&self, segment: Offset, damage: Damage) -> Result<(), LogError> {
        if self.end >= self.flushed {
            return Ok(());
        }
        Err(LogError::CorruptBelowFlushed {
            at: self.end,
            flushed: self.flushed,
            file: log_name(segment),
            position: damage.position,
            what: damage.what,
        })
    }

    fn drop_file(&mut self, segment: &Found) -> Result<(), LogError> {
        self.bytes_cut += segment.len;
        remove(self.directory, segment.base)
    }

    /// Takes a segment without checking its batches: all of it was flushed, or the log was closed.
    fn trust(&mut self, found: Found, next_base: Option<Offset>) -> Result<(), LogError> {
        let stored = OffsetIndex::open(&index_path(self.directory, found.base), found.base, found.len)?;
        if let Some((mut index, summary)) = stored {
            // The last segment's index goes to memory, to be added to.
            let is_usable = next_base.map_or_else(|| index.load(), |next| next == summary.next_offset);
            if is_usable {
                self.keep(Segment::summed_up(found.file, index, &summary));
                return Ok(());
            }
        }
        let mut segment = Segment::over(found.file, found.base);
        if let Some(damage) = self.walk(&mut segment, found.len, false)? {
            self.end = segment.end;
            self.judge(segment.base, damage.clone())?;
            // Above the flushed point there is nothing to trust.
            return Err(segment.corrupt(damage.position, damage.what));
        }
        self.keep(segment);
        Ok(())
    }

    /// Checks every batch of a segment and cuts it where they end. `false`: it was cut.
    fn scan(&mut self, found: Found) -> Result<bool, LogError> {
        self.first_scanned.get_or_insert(self.segments.len());
        // An index from before the crash may describe batches that are about to be cut.
        remove_index(self.directory, found.base)?;
        let mut segment = Segment::over(found.file, found.base);
        let damage = self.walk(&mut segment, found.len, holds(Rule::CutTornTail))?;
        self.end = segment.end;
        if let Some(damage) = damage {
            tracing::warn!(segment = segment.base.0, damage.position, damage.what, "torn_tail_found");
            if let Some(torn) = damage.cut_short
                && !holds(Rule::CutTornTail)
            {
                segment.push(&torn, self.index_interval_bytes);
                segment.size = found.len;
            } else {
                self.judge(segment.base, damage)?;
            }
        }
        let cut = found.len - segment.size;
        if cut > 0 {
            segment.file.truncate(segment.size)?;
            self.bytes_cut += cut;
            marks::sometimes(Mark::TornTailCut);
        }
        self.keep(segment);
        Ok(cut == 0)
    }

    /// Pushes the segment's batches until its file ends or is damaged.
    fn walk(&self, segment: &mut Segment, len: u64, checks_crc: bool) -> Result<Option<Damage>, LogError> {
        let file = segment.file.clone();
        let mut scan = BatchScan::new(&file, 0, len, Some(segment.base), RECOVERY_WINDOW_BYTES);
        loop {
            let step = scan.next_header().and_then(|found| match found {
                Some((position, header)) if checks_crc => {
                    scan.check_crc(position, &header).map(|()| Some(header))
                }
                found => Ok(found.map(|(_, header)| header)),
            });
            match step {
                Ok(Some(header)) => segment.push(&header, self.index_interval_bytes),
                Ok(None) => return Ok(None),
                Err(ScanError::Damage(damage)) => return Ok(Some(damage)),
                Err(ScanError::Io(error)) => return Err(error.into()),
            }
        }
    }

    fn keep(&mut self, segment: Segment) {
        self.end = segment.end;
        self.segments.push(segment);
    }

    fn finish(mut self, checkpoint: Option<Checkpoint>, clean: bool) -> Result<Recovered, LogError> {
        if self.end < self.flushed || (clean && self.end != self.flushed) {
            let segment = self.segments.last().map_or(self.end, |segment| segment.base);
            let position = self.segments.last().map_or(0, |segment| segment.size);
            return Err(LogError::CorruptBelowFlushed {
                at: self.end,
                flushed: self.flushed,
                file: log_name(segment),
                position,
                what: "the log ends here".to_owned(),
            });
        }
        if self.segments.is_empty() {
            self.first_scanned = Some(0);
            let segment = Segment::create(self.directory, self.end)?;
            self.segments.push(segment);
        }
        let (_last, closed) = self.segments.split_last_mut().expect("made just above if absent");
        for segment in closed.iter_mut().filter(|segment| segment.index.file().is_none()) {
            segment.close(self.directory);
        }
        let known = checkpoint.map_or(LeaderEpoch::UNKNOWN, |checkpoint| checkpoint.last_epoch);
        let last_epoch = self.segments.iter().map(|segment| segment.last_epoch).fold(known, LeaderEpoch::max);
        let first_scanned = self.first_scanned.unwrap_or(self.segments.len());
        let checkpointed = self.segments.get(first_scanned).zip(checkpoint);
        let flushed_bytes = checkpointed
            .filter(|(segment, checkpoint)| segment.base == checkpoint.segment)
            .map_or(0, |(_, checkpoint)| checkpoint.position);
        Ok(Recovered {
            segments: self.segments,
            last_epoch,
            clean,
            bytes_cut: self.bytes_cut,
            first_scanned,
            flushed_bytes,
        })
    }
}
