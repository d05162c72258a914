//! One file's bytes: as programs see them, as they would survive, and the changes in between.
//!
//! Pure. A sync costs what is pending, not what the file holds. Names are `names`'s business, and what a
//! power failure leaves of pending changes is `crash`'s.

use std::collections::VecDeque;
use std::ops::Range;

use super::crash::{self, FileSurvival};
use super::faults::Errno;
use crate::runtime::random::Rng;

/// Pending changes beyond which the oldest half reaches the device by itself, as the kernel's write-back has it.
const PENDING_CHANGES_MAX: usize = 4096;
/// The same in bytes.
const PENDING_BYTES_MAX: usize = 16 << 20;

/// A change that is in the page cache only.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { len: usize },
}

impl Change {
    pub(super) fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Change::Write { offset, bytes } => overwrite(image, *offset, bytes),
            Change::Truncate { len } => image.resize(*len, 0),
        }
    }

    fn byte_count(&self) -> usize {
        match self {
            Change::Write { bytes, .. } => bytes.len(),
            Change::Truncate { .. } => 0,
        }
    }
}

/// Puts `bytes` at `offset`; a gap before it reads as zeros.
fn overwrite(image: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    if image.len() < offset {
        image.resize(offset, 0);
    }
    let inside = bytes.len().min(image.len() - offset);
    image[offset..offset + inside].copy_from_slice(&bytes[..inside]);
    image.extend_from_slice(&bytes[inside..]);
}

/// A point in a file's order of changes: everything before it.
pub(super) type Mark = u64;

#[derive(Default)]
pub(super) struct FileData {
    current: Vec<u8>,
    durable: Vec<u8>,
    /// Applied to `current` in this order; `durable` plus these is what a sync would make durable. After a
    /// failed sync that is less than `current`.
    pending: VecDeque<Change>,
    pending_bytes: usize,
    /// What the device says that it has stored, where that is more than it has: it lied about a sync.
    claimed: Option<Vec<u8>>,
    /// How many changes have left `pending`.
    settled: Mark,
    /// Where the last write went.
    pub(super) last_write: Range<u64>,
    pub(super) lost_writes: LostWrites,
    /// The device holds something else than the page cache, which will show when the cache is gone.
    is_rotten: bool,
}

/// How often writing back failed, and who was told (Linux: `errseq_t`).
#[derive(Default)]
pub(super) struct LostWrites {
    count: u32,
    /// Somebody was told of the last.
    is_told: bool,
    errno: Errno,
}

impl LostWrites {
    pub(super) fn add(&mut self, errno: Errno) {
        self.count += 1;
        self.is_told = false;
        self.errno = errno;
    }

    /// What an open description counts as told to it when it is opened: all, but for what nobody was told of.
    pub(super) fn told_at_open(&self) -> u32 {
        if self.is_told { self.count } else { self.count.saturating_sub(1) }
    }

    /// Tells a description, once, that something was lost since it was told last.
    pub(super) fn tell(&mut self, told: &mut u32) -> Option<Errno> {
        (std::mem::replace(told, self.count) != self.count).then(|| {
            self.is_told = true;
            self.errno
        })
    }
}

impl FileData {
    pub(super) fn current(&self) -> &[u8] {
        &self.current
    }

    pub(super) fn durable(&self) -> &[u8] {
        &self.durable
    }

    pub(super) fn claimed(&self) -> &[u8] {
        self.claimed.as_ref().unwrap_or(&self.durable)
    }

    pub(super) fn write(&mut self, offset: usize, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.last_write = offset as u64..(offset + bytes.len()) as u64;
            self.change(Change::Write { offset, bytes });
        }
    }

    pub(super) fn truncate(&mut self, len: usize) {
        if len != self.current.len() {
            self.change(Change::Truncate { len });
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.pending_bytes += change.byte_count();
        self.pending.push_back(change);
        if self.pending.len() > PENDING_CHANGES_MAX || self.pending_bytes > PENDING_BYTES_MAX {
            self.harden(self.settled + self.pending.len().div_ceil(2) as Mark);
        }
    }

    /// The mark after everything done so far.
    pub(super) fn mark(&self) -> Mark {
        self.settled + self.pending.len() as Mark
    }

    /// Makes the changes before `upto` durable.
    pub(super) fn harden(&mut self, upto: Mark) {
        while let Some(change) = self.take_before(upto) {
            change.apply(&mut self.durable);
            if let Some(claimed) = &mut self.claimed {
                change.apply(claimed);
            }
        }
    }

    /// A sync says that the changes before `upto` are durable, and they are not.
    pub(super) fn claim(&mut self, upto: Mark) {
        let mut claimed = self.claimed.take().unwrap_or_else(|| self.durable.clone());
        let before = upto.saturating_sub(self.settled) as usize;
        self.pending.iter().take(before).for_each(|change| change.apply(&mut claimed));
        self.claimed = Some(claimed);
    }

    /// The pages of the changes before `upto` count as clean without being durable: no later sync writes them.
    pub(super) fn forget(&mut self, upto: Mark) {
        while self.take_before(upto).is_some() {}
    }

    /// Forgets the changes before `upto`, and programs no longer see them either.
    pub(super) fn revert(&mut self, upto: Mark) {
        self.forget(upto);
        self.current.clone_from(&self.durable);
        for change in &self.pending {
            change.apply(&mut self.current);
        }
    }

    fn take_before(&mut self, upto: Mark) -> Option<Change> {
        if self.settled >= upto {
            return None;
        }
        let change = self.pending.pop_front()?;
        self.settled += 1;
        self.pending_bytes -= change.byte_count();
        Some(change)
    }

    /// The power fails. `None` if nothing was pending.
    pub(super) fn crash(&mut self, draws: &mut Rng) -> Option<FileSurvival> {
        self.settled = self.mark();
        let pending = Vec::from(std::mem::take(&mut self.pending));
        self.pending_bytes = 0;
        self.lost_writes = LostWrites::default();
        self.is_rotten = false;
        self.claimed = None;
        let survival = (!pending.is_empty()).then(|| {
            let (image, survival) = crash::survive(&self.durable, &pending, draws);
            self.durable = image;
            survival
        });
        self.current.clone_from(&self.durable);
        survival
    }

    /// Damages what is stored, below programs and page cache: `damage` sees one image after the other. What
    /// is pending reaches the device first, or it would undo the damage later.
    pub(super) fn damage(&mut self, damage: impl Fn(&mut Vec<u8>)) {
        self.harden(self.mark());
        damage(&mut self.current);
        damage(&mut self.durable);
        self.claimed.iter_mut().for_each(damage);
    }

    /// Flips the lowest bit of a byte on the device; programs read on what is in the page cache. False if the
    /// device has no such byte.
    pub(super) fn rot(&mut self, offset: usize) -> bool {
        let Some(byte) = self.durable.get_mut(offset) else { return false };
        *byte ^= 1;
        self.is_rotten = true;
        true
    }

    /// The file's clean pages leave the page cache while no process is there to see it, if that can show.
    pub(super) fn evict_rotten(&mut self) {
        if std::mem::take(&mut self.is_rotten) {
            self.revert(self.settled);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_hardens_only_what_came_before_its_mark() {
        let mut file = FileData::default();
        file.write(0, b"before".to_vec());
        let mark = file.mark();
        file.write(6, b" after".to_vec());
        file.harden(mark);
        assert_eq!(file.durable(), b"before");
        assert_eq!(file.current(), b"before after");
    }

    #[test]
    fn what_a_lie_claims_is_not_durable_until_a_later_sync_or_gone_with_the_power() {
        let mut file = FileData::default();
        file.write(0, b"lied".to_vec());
        file.claim(file.mark());
        file.write(4, b" more".to_vec());
        assert_eq!((file.durable(), file.claimed()), (&b""[..], &b"lied"[..]));
        file.harden(file.mark());
        assert_eq!((file.durable(), file.claimed()), (&b"lied more"[..], &b"lied more"[..]));

        file.write(0, b"LIED".to_vec());
        file.claim(file.mark());
        file.crash(&mut Rng::from_seed_u64(1));
        assert_eq!(file.claimed(), file.durable());
    }

    #[test]
    fn forgotten_changes_stay_visible_and_never_harden() {
        let mut file = FileData::default();
        file.write(0, b"lost".to_vec());
        file.forget(file.mark());
        file.write(4, b"kept".to_vec());
        file.harden(file.mark());
        assert_eq!(file.current(), b"lostkept");
        assert_eq!(file.durable(), b"\0\0\0\0kept");
    }

    #[test]
    fn reverted_changes_are_gone_and_later_ones_stay() {
        let mut file = FileData::default();
        file.write(0, b"base".to_vec());
        file.harden(file.mark());
        file.write(0, b"LOST".to_vec());
        let mark = file.mark();
        file.write(4, b"more".to_vec());
        file.revert(mark);
        assert_eq!(file.current(), b"basemore");
    }

    #[test]
    fn a_lost_write_is_told_once_to_each_description_and_to_one_opened_later_if_nobody_heard_of_it() {
        let mut lost = LostWrites::default();
        let (mut first, mut second) = (lost.told_at_open(), lost.told_at_open());
        lost.add(Errno::Enospc);
        assert_eq!(lost.tell(&mut first), Some(Errno::Enospc));
        assert_eq!(lost.tell(&mut first), None, "once");
        assert_eq!(lost.tell(&mut second), Some(Errno::Enospc), "the other one, too");

        let mut later = lost.told_at_open();
        assert_eq!(lost.tell(&mut later), None, "somebody had been told");
        lost.add(Errno::Eio);
        let mut later = lost.told_at_open();
        assert_eq!(lost.tell(&mut later), Some(Errno::Eio), "nobody had been told");
    }

    #[test]
    fn a_bit_that_rots_shows_when_the_page_cache_is_gone() {
        let mut file = FileData::default();
        file.write(0, b"aaaa".to_vec());
        file.harden(file.mark());
        assert!(file.rot(1));
        assert!(!file.rot(4));
        file.write(4, b"more".to_vec());
        assert_eq!(file.current(), b"aaaamore");
        file.evict_rotten();
        assert_eq!(file.current(), b"a`aamore", "what is not written back yet stays");
    }

    #[test]
    fn too_many_pending_changes_reach_the_device_by_themselves() {
        let mut file = FileData::default();
        for _ in 0..=PENDING_CHANGES_MAX {
            file.write(file.current().len(), b"x".to_vec());
        }
        assert!(file.durable().len() > PENDING_CHANGES_MAX / 2);
        assert!(file.pending.len() <= PENDING_CHANGES_MAX);
    }
}
