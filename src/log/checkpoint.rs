//! The checkpoint beside a partition's segments: up to where the log was flushed when it was written, in which
//! boot of the machine, and whether the log was closed cleanly there.
//!
//! It is replaced whole (temporary file, sync, rename, directory sync), so that a crash leaves the old one or
//! the new one. Damage below what it says was flushed is never cut away.

use std::io;
use std::path::Path;

use super::LogError;
use super::scan::read_full;
use crate::runtime::disk::{self, OpenMode};
use crate::runtime::durable;
use crate::types::{LeaderEpoch, Offset};

const NAME: &str = "checkpoint";
/// Its name after a sync failed: what was written before that may be gone from the page cache too, in any order, as
/// after a power failure (fsyncgate). A rename takes no descriptor and hardly ever room, of which there may be none either.
const DISTRUSTED: &str = "checkpoint.sync-failed";
pub(super) const TEMPORARY_SUFFIX: &str = ".tmp";
const MAGIC: [u8; 8] = *b"SLCHECK2";
/// As version 2, without the boot.
const MAGIC_1: [u8; 8] = *b"SLCHECK1";
/// Four 8-byte numbers, epoch, clean flag.
const NUMBERS_BYTES: usize = 4 * 8 + 4 + 1;
/// A boot id of Linux has 36 characters.
const BOOT_BYTES: usize = 40;
/// Magic, numbers, boot, CRC.
const BYTES: usize = 8 + NUMBERS_BYTES + BOOT_BYTES + 4;

/// One boot of a machine: as long as it lasts, the page cache does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Boot([u8; BOOT_BYTES]);

impl Boot {
    /// The present one.
    pub fn current() -> Boot {
        Boot::named(&disk::boot_id())
    }

    pub fn named(id: &str) -> Boot {
        let mut name = [0; BOOT_BYTES];
        name.iter_mut().zip(id.as_bytes()).for_each(|(to, from)| *to = *from);
        Boot(name)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub log_start: Offset,
    /// Everything below was on stable storage, names included.
    pub flushed_end: Offset,
    /// The segment in which `flushed_end` lies, and at which byte.
    pub segment: Offset,
    pub position: u64,
    pub last_epoch: LeaderEpoch,
    /// The log was closed, and ends at `flushed_end`.
    pub clean: bool,
    /// The boot in which the log was in use. `None`: written by a version that did not say.
    pub boot: Option<Boot>,
}

/// What lies where the checkpoint belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loaded {
    Absent,
    /// It was written whole, and went bad since. What it said of the log is found in the log, but for up to where
    /// nothing may be cut.
    Damaged,
    Sound(Checkpoint),
}

impl Loaded {
    pub fn sound(self) -> Option<Checkpoint> {
        match self {
            Loaded::Sound(checkpoint) => Some(checkpoint),
            Loaded::Absent | Loaded::Damaged => None,
        }
    }
}

impl Checkpoint {
    /// Reads the checkpoint in `directory`. Errors: `Io`, `NoDescriptors`.
    pub fn load(directory: &Path) -> Result<Loaded, LogError> {
        for name in [NAME, DISTRUSTED] {
            let path = directory.join(name);
            if disk::exists(&path)? {
                return Checkpoint::read(&path);
            }
        }
        Ok(Loaded::Absent)
    }

    fn read(path: &Path) -> Result<Loaded, LogError> {
        let mut bytes = [0; BYTES + 1];
        let read = read_full(&disk::open(path, OpenMode::Read)?, &mut bytes, 0)?;
        Ok(Checkpoint::decode(&bytes[..read]).map_or_else(
            || {
                tracing::warn!(file = %path.display(), bytes = read, "checkpoint_damaged_whole_log_is_checked");
                Loaded::Damaged
            },
            Loaded::Sound,
        ))
    }

    /// Leaves the sign that a sync failed, for the next open in this boot; it needs no sync itself. Without a checkpoint
    /// nobody relies upon the page cache anyway.
    pub fn distrust(directory: &Path) -> io::Result<()> {
        let path = directory.join(NAME);
        if disk::exists(&path)? { disk::rename(&path, &directory.join(DISTRUSTED)) } else { Ok(()) }
    }

    /// Whether that sign is there. A checkpoint that was stored beside it takes nothing of it back.
    pub fn is_distrusted(directory: &Path) -> io::Result<bool> {
        disk::exists(&directory.join(DISTRUSTED))
    }

    /// Takes the sign away, once a checkpoint says what was found and stored since.
    pub fn trust(directory: &Path) -> io::Result<()> {
        if Checkpoint::is_distrusted(directory)? {
            disk::remove_file(&directory.join(DISTRUSTED))?;
        }
        Ok(())
    }

    /// Replaces the checkpoint in `directory`, durably. `serial` keeps replacements that overlap apart.
    pub async fn store(&self, directory: &Path, serial: u64) -> io::Result<()> {
        let temporary = format!("{NAME}.{serial}{TEMPORARY_SUFFIX}");
        let bytes = self.encode();
        assert_eq!(Checkpoint::decode(&bytes).as_ref(), Some(self), "what is written can be read back");
        durable::write_and_rename(directory, NAME, &temporary, &bytes).await?;
        durable::sync_names(directory).await
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(BYTES);
        out.extend_from_slice(if self.boot.is_some() { &MAGIC } else { &MAGIC_1 });
        out.extend_from_slice(&self.log_start.0.to_be_bytes());
        out.extend_from_slice(&self.flushed_end.0.to_be_bytes());
        out.extend_from_slice(&self.segment.0.to_be_bytes());
        out.extend_from_slice(&self.position.to_be_bytes());
        out.extend_from_slice(&self.last_epoch.0.to_be_bytes());
        out.push(u8::from(self.clean));
        out.extend_from_slice(self.boot.as_ref().map_or(&[], |boot| &boot.0));
        out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Checkpoint> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(body) != u32::from_be_bytes(*crc) {
            return None;
        }
        let (magic, rest) = body.split_first_chunk::<8>()?;
        let (mut numbers, boot) = rest.split_at_checked(NUMBERS_BYTES)?;
        let boot = match *magic {
            MAGIC => Some(Boot(boot.try_into().ok()?)),
            MAGIC_1 if boot.is_empty() => None,
            _ => return None,
        };
        let mut number = || {
            let (bytes, after) = numbers.split_first_chunk::<8>()?;
            numbers = after;
            Some(i64::from_be_bytes(*bytes))
        };
        let checkpoint = Checkpoint {
            log_start: Offset(number()?),
            flushed_end: Offset(number()?),
            segment: Offset(number()?),
            position: number()? as u64,
            last_epoch: LeaderEpoch(i32::from_be_bytes(*numbers.first_chunk()?)),
            clean: *numbers.last()? != 0,
            boot,
        };
        checkpoint.is_possible().then_some(checkpoint)
    }

    /// Whether a log can be like this.
    fn is_possible(&self) -> bool {
        [Offset::ZERO, self.log_start, self.segment, self.flushed_end].is_sorted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(boot: Option<Boot>) -> Checkpoint {
        Checkpoint {
            log_start: Offset(3),
            flushed_end: Offset(900),
            segment: Offset(500),
            position: 1234,
            last_epoch: LeaderEpoch(7),
            clean: true,
            boot,
        }
    }

    #[test]
    fn a_checkpoint_reads_back_and_a_changed_byte_is_noticed() {
        let checkpoint = checkpoint(Some(Boot::named("c9a1e1f2-67c5-4c5e-9dbb-1dfbd5b2f6a3")));
        let bytes = checkpoint.encode();
        assert_eq!(Checkpoint::decode(&bytes), Some(checkpoint));
        for at in 0..BYTES {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert_eq!(Checkpoint::decode(&damaged), None, "byte {at}");
        }
        assert_eq!(Checkpoint::decode(&bytes[..BYTES - 1]), None);
    }

    /// As the first version wrote it.
    #[test]
    fn a_checkpoint_of_the_version_before_is_read() {
        let mut bytes = b"SLCHECK1".to_vec();
        for number in [3_i64, 900, 500, 1234] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(&[0, 0, 0, 7, 1]);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());

        assert_eq!(bytes.len(), 49);
        assert_eq!(Checkpoint::decode(&bytes), Some(checkpoint(None)));
    }

    #[test]
    fn numbers_that_no_log_can_have_are_refused_although_the_crc_is_right() {
        for (log_start, segment, flushed_end) in [(-1, 0, 0), (5, 0, 9), (0, 9, 5)] {
            let checkpoint = Checkpoint {
                log_start: Offset(log_start),
                segment: Offset(segment),
                flushed_end: Offset(flushed_end),
                ..checkpoint(None)
            };
            assert_eq!(Checkpoint::decode(&checkpoint.encode()), None);
        }
    }
}
