//! What a log does when it is opened: finds out how much of what lies on disk is the log.
//!
//! After a clean shutdown the files are taken as they are. Otherwise every batch from the segment of the
//! checkpoint on is checked. Damage below what the checkpoint says was flushed is nobody's to cut. What damage
//! above it means depends on whether the page cache outlived the process:
//!
//! - It did (same boot of the machine): everything written is there, in order. Damage with a sound batch behind
//!   it is damage; with none behind it is the end of an append that was cut short, a torn tail, and is cut.
//! - It did not: whatever was not flushed may be missing, in any order. The log is cut where the first unsound
//!   batch begins.
//!
//! What is cut is kept aside: of a last batch nobody can tell a torn one from one that went bad.
//!
//! A checkpoint that is damaged says nothing. Then every batch is checked, and only a torn tail is cut: in front of a
//! sound batch, damage may lie below what was flushed.
//!
//! [`recover`] only reads and decides; [`Recovered::make_durable`] changes files. What remains is synced before
//! it counts as flushed: after a kill it may be in the page cache only. Interrupted anywhere, recovery does the
//! same again.

mod aside;
mod without_rule;

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use super::LogError;
use super::checkpoint::{Boot, Checkpoint, Loaded, TEMPORARY_SUFFIX};
use super::index::offset::OffsetIndex;
use super::names::{base_of_log, index_path, log_name, log_path};
use super::scan::{BatchScan, Damage, RECOVERY_WINDOW_BYTES, ScanError};
use super::search::{self, Behind};
use super::segment::Segment;
use crate::marks::{self, Mark};
use crate::runtime::disk::{self, File, OpenMode};
use crate::runtime::durable;
use crate::types::{LeaderEpoch, Offset};

pub(super) use aside::Aside;
use aside::Piece;

/// Has the next open in this boot not rely upon the page cache.
pub(super) fn note_failed_sync(directory: &Path) {
    if let Err(error) = Checkpoint::distrust(directory) {
        tracing::warn!(directory = %directory.display(), %error, "failed_sync_not_noted");
    }
}

/// Whether what was written last can be missing where later bytes are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PageCache {
    /// The page cache has outlived the process: nothing is missing but the end of the last write.
    Kept,
    Lost,
    /// The checkpoint that would say so is damaged.
    Unknown,
}

/// What was found.
pub(super) struct Recovered {
    /// By base offset; never empty once durable.
    pub segments: Vec<Segment>,
    pub last_epoch: LeaderEpoch,
    /// The files end where the mark of a clean shutdown says, so nothing was scanned.
    pub clean: bool,
    pub bytes_cut: u64,
    /// Where what was cut is kept.
    pub aside: Option<Aside>,
    /// What the checkpoint on disk says was flushed.
    pub checkpoint: Offset,
    /// Where the segments end.
    pub end: Offset,
    /// The segments from here on were scanned, and may be in the page cache only.
    first_scanned: usize,
    /// In the first of them, only what lies behind this.
    flushed_bytes: u64,
    /// Files that are no part of the log: left over from what a crash interrupted.
    leftovers: Vec<PathBuf>,
    cut: Option<Cut>,
    page_cache: PageCache,
}

/// What is to be cut off the log's end.
#[derive(Default)]
struct Cut {
    /// The segment that is cut inside, at its `size`, and how many bytes its file has.
    tail: Option<(usize, u64)>,
    /// Files that go as a whole.
    removed: Vec<Found>,
}

impl Recovered {
    /// Whether nothing can have been appended since the log was closed. In another boot the mark proves less: the log
    /// may have been in use again, and the appends lost with the page cache.
    pub fn is_as_left(&self) -> bool {
        self.clean && self.page_cache == PageCache::Kept
    }

    /// Does what was decided, makes all of it durable, and says so in the checkpoint; only then may anything be
    /// appended.
    pub async fn make_durable(mut self, directory: &Path) -> Result<Recovered, LogError> {
        for path in std::mem::take(&mut self.leftovers) {
            remove_if_there(&path)?;
        }
        if let Some(cut) = self.cut.take() {
            self.cut_off(directory, cut).await?;
        }
        if self.segments.is_empty() {
            self.first_scanned = 0;
            self.segments.push(Segment::create(directory, self.end)?);
        }
        let (_last, closed) = self.segments.split_last_mut().expect("made just above if absent");
        for segment in closed.iter_mut().filter(|segment| segment.index.file().is_none()) {
            segment.close(directory);
            segment.open_on_demand(directory)?;
        }
        if !self.clean {
            self.sync(directory).await.inspect_err(|error| {
                // A file that could not be opened says nothing of the disk.
                if !disk::is_out_of_descriptors(error) {
                    note_failed_sync(directory);
                }
            })?;
        }
        for segment in &mut self.segments {
            segment.is_name_synced = true;
        }
        self.store_checkpoint(directory).await?;
        Ok(self)
    }

    async fn cut_off(&mut self, directory: &Path, cut: Cut) -> Result<(), LogError> {
        if self.bytes_cut > 0 {
            self.aside = Some(self.keep_aside(directory, &cut).await?);
        }
        for found in &cut.removed {
            remove_if_there(&index_path(directory, found.base))?;
            remove_if_there(&log_path(directory, found.base))?;
        }
        if let Some((index, _)) = cut.tail {
            let segment = &self.segments[index];
            segment.file.truncate(segment.size)?;
            assert_eq!(segment.file.len()?, segment.size, "nothing lies behind the last sound batch");
        }
        if self.bytes_cut > 0 {
            marks::sometimes(Mark::TornTailCut);
        }
        Ok(())
    }

    /// A device without room must not keep the log closed: what is cut was never promised.
    async fn keep_aside(&self, directory: &Path, cut: &Cut) -> Result<Aside, LogError> {
        let tail = cut.tail.map(|(index, end)| {
            let segment = &self.segments[index];
            Piece { file: segment.file.clone(), from: segment.size, end }
        });
        let removed = cut.removed.iter();
        let removed = removed.map(|found| Piece { file: found.file.clone(), from: 0, end: found.len });
        let pieces: Vec<Piece> = tail.into_iter().chain(removed).collect();
        match aside::keep(directory, self.end, &pieces).await.map_err(LogError::from) {
            Err(error) if error.is_refusal() => {
                tracing::warn!(directory = %directory.display(), %error, "cut_bytes_not_kept");
                Ok(Aside { file: None, bytes: 0 })
            }
            kept => kept,
        }
    }

    async fn sync(&self, directory: &Path) -> io::Result<()> {
        let mut flushed_bytes = self.flushed_bytes;
        for segment in &self.segments[self.first_scanned..] {
            // Open from the first write to the sync, which else might not hear of an error.
            let file = disk::open(&log_path(directory, segment.base), OpenMode::ReadWrite)?;
            write_again(&file, std::mem::take(&mut flushed_bytes), segment.size)?;
            file.sync_data().await?;
        }
        durable::sync_names(directory).await?;
        match directory.parent() {
            Some(parent) => durable::sync_names(parent).await,
            None => Ok(()),
        }
    }

    /// Without room for a new checkpoint the old one stays, which says less and nothing wrong. After a clean shutdown
    /// in this boot there is nothing new to say: that the log is in use again shows in the first append, which makes
    /// the file longer than the checkpoint says.
    async fn store_checkpoint(&mut self, directory: &Path) -> Result<(), LogError> {
        if self.is_as_left() {
            return Ok(());
        }
        let last = self.segments.last().expect("there is one by now");
        let checkpoint = Checkpoint {
            log_start: self.segments[0].base,
            flushed_end: last.end,
            segment: last.base,
            position: last.size,
            last_epoch: self.last_epoch,
            clean: false,
            boot: Some(Boot::current()),
        };
        match checkpoint.store(directory, 0).await.map_err(LogError::from) {
            Ok(()) => {}
            Err(error) if error.is_refusal() => {
                tracing::warn!(directory = %directory.display(), %error, "checkpoint_not_stored");
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        self.checkpoint = last.end;
        Ok(Checkpoint::trust(directory)?)
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

/// Reads the partition's directory, made if absent, and decides what of it is the log.
pub(super) fn recover(directory: &Path, index_interval_bytes: u64) -> Result<Recovered, LogError> {
    disk::create_dir_all(directory)?;
    let (found, leftovers) = find_segments(directory)?;
    let loaded = Checkpoint::load(directory)?;
    let page_cache = page_cache(directory, &loaded)?;
    let checkpoint = loaded.sound();
    let start = found.first().map_or(Offset::ZERO, |first| first.base);
    let mut recovery = Recovery {
        directory,
        index_interval_bytes,
        checkpoint,
        page_cache,
        flushed: checkpoint.map_or(start, |checkpoint| checkpoint.flushed_end),
        clean: checkpoint.is_some_and(|checkpoint| is_as_closed(&checkpoint, &found)),
        end: checkpoint.map_or(start, |checkpoint| checkpoint.log_start),
        segments: Vec::new(),
        first_scanned: None,
        leftovers,
        cut: None,
    };
    recovery.take(found)?;
    recovery.finish()
}

fn page_cache(directory: &Path, loaded: &Loaded) -> io::Result<PageCache> {
    let Loaded::Sound(checkpoint) = loaded else {
        return Ok(if *loaded == Loaded::Absent { PageCache::Lost } else { PageCache::Unknown });
    };
    let is_same_boot = checkpoint.boot == Some(Boot::current());
    let is_kept = is_same_boot && !Checkpoint::is_distrusted(directory)?;
    Ok(if is_kept { PageCache::Kept } else { PageCache::Lost })
}

/// Whether the files end where the checkpoint of a clean shutdown says.
fn is_as_closed(checkpoint: &Checkpoint, found: &[Found]) -> bool {
    let last = found.last().map(|last| (last.base, last.len));
    checkpoint.clean && last == Some((checkpoint.segment, checkpoint.position))
}

/// A log file of the directory.
#[derive(Clone)]
struct Found {
    base: Offset,
    file: File,
    len: u64,
}

/// The log files by base offset; and what is left over: temporary files, and the empty files that a failed roll
/// left between others.
fn find_segments(directory: &Path) -> Result<(Vec<Found>, Vec<PathBuf>), LogError> {
    let mut found: Vec<Found> = Vec::new();
    let mut leftovers = Vec::new();
    for entry in disk::read_dir(directory)? {
        if entry.name.ends_with(TEMPORARY_SUFFIX) {
            leftovers.push(directory.join(&entry.name));
        }
        if let Some(base) = base_of_log(&entry.name) {
            let file = disk::open_on_demand(&directory.join(&entry.name))?;
            found.push(Found { base, file, len: entry.len });
        }
    }
    found.sort_by_key(|segment| segment.base);
    let last = found.last().map(|last| last.base);
    let (kept, empty): (Vec<_>, Vec<_>) = found.into_iter().partition(|f| f.len > 0 || Some(f.base) == last);
    for segment in empty {
        leftovers.extend([index_path(directory, segment.base), log_path(directory, segment.base)]);
    }
    Ok((kept, leftovers))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    if disk::exists(path)? { disk::remove_file(path) } else { Ok(()) }
}

struct Recovery<'a> {
    directory: &'a Path,
    index_interval_bytes: u64,
    checkpoint: Option<Checkpoint>,
    page_cache: PageCache,
    /// Below this nothing is cut.
    flushed: Offset,
    clean: bool,
    /// Where the segments so far end.
    end: Offset,
    segments: Vec<Segment>,
    first_scanned: Option<usize>,
    leftovers: Vec<PathBuf>,
    cut: Option<Cut>,
}

impl Recovery<'_> {
    /// Takes the segments that are the log's, and judges where it ends early.
    fn take(&mut self, found: Vec<Found>) -> Result<(), LogError> {
        for (index, segment) in found.iter().enumerate() {
            let behind = &found[index + 1..];
            let is_flushed = self.checkpoint.is_some_and(|checkpoint| segment.base < checkpoint.segment);
            if segment.base != self.end {
                let what =
                    format!("the segment starts at {}, the one before ends at {}", segment.base, self.end);
                let damage = Damage { position: 0, what, cut_short: None };
                self.judge(segment, &damage, &found[index..])?;
                self.cut = Some(Cut { tail: None, removed: found[index..].to_vec() });
                return Ok(());
            }
            if self.clean || is_flushed {
                self.trust(segment, behind.first().map(|next| next.base))?;
            } else if let Some(damage) = self.scan(segment)? {
                self.judge(segment, &damage, behind)?;
                let tail = Some((self.segments.len() - 1, segment.len));
                self.cut = Some(Cut { tail, removed: behind.to_vec() });
                return Ok(());
            }
        }
        Ok(())
    }

    /// Damage in `segment`, at the end so far: an error where it says that something was lost which was there,
    /// else only the end of the log. `behind`: the files that follow.
    fn judge(&self, segment: &Found, damage: &Damage, behind: &[Found]) -> Result<(), LogError> {
        let file = log_name(segment.base);
        let (position, what) = (damage.position, damage.what.clone());
        if self.end < self.flushed {
            let (at, flushed) = (self.end, self.flushed);
            return Err(LogError::CorruptBelowFlushed { at, flushed, file, position, what });
        }
        if self.page_cache == PageCache::Lost {
            tracing::warn!(segment = segment.base.0, position, what, "unsound_tail_found");
            return Ok(());
        }
        // Behind a torn batch nothing was written: what lies inside of it, a batch that somebody stored as a value, says
        // nothing. Where its length went bad, others follow its records.
        let offset_min = damage.cut_short.map_or(self.end, |torn| torn.next_offset());
        let places = std::iter::once((segment, position + 1)).chain(behind.iter().map(|found| (found, 0)));
        for (found, from) in places {
            let behind = match search::sound_batch(&found.file, from, found.len, offset_min)? {
                Behind::Nothing => continue,
                Behind::Sound { position } => format!("{} at byte {position}", log_name(found.base)),
                Behind::Undecided => format!("{}, too much to look at", log_name(found.base)),
            };
            return Err(LogError::CorruptAmidst { at: self.end, file, position, what, behind });
        }
        tracing::warn!(segment = segment.base.0, position, what, "torn_tail_found");
        Ok(())
    }

    /// Takes a segment without checking its batches: all of it was flushed, or the log was closed.
    fn trust(&mut self, found: &Found, next_base: Option<Offset>) -> Result<(), LogError> {
        let stored = OffsetIndex::open(&index_path(self.directory, found.base), found.base, found.len)?;
        if let Some((mut index, summary)) = stored {
            // The last segment's index goes to memory, to be added to.
            let is_usable = next_base.map_or_else(|| index.load(), |next| next == summary.next_offset);
            if is_usable {
                self.keep(Segment::summed_up(found.file.clone(), index, &summary));
                return Ok(());
            }
        }
        let mut segment = Segment::over(found.file.clone(), found.base);
        if let Some(damage) = self.walk(&mut segment, found.len, false)? {
            self.end = segment.end;
            self.judge(found, &damage, &[])?;
            // Above the flushed point there is nothing to trust.
            return Err(segment.corrupt(damage.position, damage.what));
        }
        self.keep(segment);
        Ok(())
    }

    /// Checks every batch of a segment, and takes those before the first unsound one.
    fn scan(&mut self, found: &Found) -> Result<Option<Damage>, LogError> {
        self.first_scanned.get_or_insert(self.segments.len());
        // An index from before the crash may describe batches that are about to be cut.
        self.leftovers.push(index_path(self.directory, found.base));
        let mut segment = Segment::over(found.file.clone(), found.base);
        let damage = self.walk(&mut segment, found.len, without_rule::checks_crc())?;
        let damage = damage.filter(|damage| {
            !without_rule::takes_torn_batch(&mut segment, found, damage, self.index_interval_bytes)
        });
        self.keep(segment);
        Ok(damage)
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
        assert_eq!(segment.base, self.end, "segments follow each other");
        assert!(segment.end >= segment.base, "a segment does not end before it begins");
        self.end = segment.end;
        self.segments.push(segment);
    }

    fn finish(self) -> Result<Recovered, LogError> {
        if self.end < self.flushed || (self.clean && self.end != self.flushed) {
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
        let known = self.checkpoint.map_or(LeaderEpoch::UNKNOWN, |checkpoint| checkpoint.last_epoch);
        let last_epoch = self.segments.iter().map(|segment| segment.last_epoch).fold(known, LeaderEpoch::max);
        let first_scanned = self.first_scanned.unwrap_or(self.segments.len());
        let checkpointed = self.segments.get(first_scanned).zip(self.checkpoint);
        let flushed_bytes = checkpointed
            .filter(|(segment, checkpoint)| segment.base == checkpoint.segment)
            .map_or(0, |(_, checkpoint)| checkpoint.position);
        assert!(self.end >= self.flushed, "nothing below the flushed end is cut");
        Ok(Recovered {
            bytes_cut: self.cut.as_ref().map_or(0, |cut| cut.bytes(&self.segments)),
            segments: self.segments,
            last_epoch,
            clean: self.clean,
            aside: None,
            checkpoint: self.flushed,
            end: self.end,
            first_scanned,
            flushed_bytes,
            leftovers: self.leftovers,
            cut: self.cut,
            page_cache: self.page_cache,
        })
    }
}

impl Cut {
    fn bytes(&self, segments: &[Segment]) -> u64 {
        let tail = self.tail.map_or(0, |(index, end)| end - segments[index].size);
        tail + self.removed.iter().map(|found| found.len).sum::<u64>()
    }
}
