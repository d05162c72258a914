//! The checkpoint beside a partition's segments: up to where the log was flushed when it was written, and
//! whether the log was closed cleanly there.
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
pub(super) const TEMPORARY_SUFFIX: &str = ".tmp";
const MAGIC: [u8; 8] = *b"SLCHECK1";
/// Magic, four 8-byte numbers, epoch, clean flag, CRC.
const BYTES: usize = 8 + 4 * 8 + 4 + 1 + 4;

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
}

impl Checkpoint {
    /// Reads the checkpoint in `directory`; `None` if there is none. A damaged one is an error: it was written
    /// whole, and says below which point nothing may be cut.
    pub fn load(directory: &Path) -> Result<Option<Checkpoint>, LogError> {
        let path = directory.join(NAME);
        if !disk::exists(&path)? {
            return Ok(None);
        }
        let mut bytes = [0; BYTES + 1];
        let read = read_full(&disk::open(&path, OpenMode::Read)?, &mut bytes, 0)?;
        match bytes[..read].try_into().ok().and_then(Checkpoint::decode) {
            Some(checkpoint) => Ok(Some(checkpoint)),
            None => Err(LogError::Corrupt {
                file: NAME.to_owned(),
                position: 0,
                what: format!("{read} bytes that are no checkpoint"),
            }),
        }
    }

    /// Replaces the checkpoint in `directory`, durably. `serial` keeps replacements that overlap apart.
    pub async fn store(&self, directory: &Path, serial: u64) -> io::Result<()> {
        let temporary = format!("{NAME}.{serial}{TEMPORARY_SUFFIX}");
        durable::write_and_rename(directory, NAME, &temporary, &self.encode()).await?;
        durable::sync_names(directory).await
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.log_start.0.to_be_bytes());
        out.extend_from_slice(&self.flushed_end.0.to_be_bytes());
        out.extend_from_slice(&self.segment.0.to_be_bytes());
        out.extend_from_slice(&self.position.to_be_bytes());
        out.extend_from_slice(&self.last_epoch.0.to_be_bytes());
        out.push(u8::from(self.clean));
        out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
        out
    }

    fn decode(bytes: &[u8; BYTES]) -> Option<Checkpoint> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        let (magic, mut rest) = body.split_first_chunk::<8>()?;
        if crc32fast::hash(body) != u32::from_be_bytes(*crc) || *magic != MAGIC {
            return None;
        }
        let mut number = || {
            let (bytes, after) = rest.split_first_chunk::<8>()?;
            rest = after;
            Some(i64::from_be_bytes(*bytes))
        };
        let checkpoint = Checkpoint {
            log_start: Offset(number()?),
            flushed_end: Offset(number()?),
            segment: Offset(number()?),
            position: number()? as u64,
            last_epoch: LeaderEpoch(i32::from_be_bytes(*rest.first_chunk()?)),
            clean: *rest.last()? != 0,
        };
        checkpoint.is_possible().then_some(checkpoint)
    }

    /// Whether a log can be like this.
    fn is_possible(&self) -> bool {
        let rising = [Offset::ZERO, self.log_start, self.segment, self.flushed_end];
        rising.is_sorted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_reads_back_and_a_changed_byte_is_noticed() {
        let checkpoint = Checkpoint {
            log_start: Offset(3),
            flushed_end: Offset(900),
            segment: Offset(500),
            position: 1234,
            last_epoch: LeaderEpoch(7),
            clean: true,
        };
        let bytes: [u8; BYTES] = checkpoint.encode().try_into().unwrap();
        assert_eq!(Checkpoint::decode(&bytes), Some(checkpoint));
        for at in 0..BYTES {
            let mut damaged = bytes;
            damaged[at] ^= 4;
            assert_eq!(Checkpoint::decode(&damaged), None, "byte {at}");
        }
    }
}
