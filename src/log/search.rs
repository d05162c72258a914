//! Looks for a sound batch behind damage: what tells bytes that went bad from an append that was cut short.
//!
//! A process that is killed in the middle of a write leaves a part of it, and nothing behind that part. The
//! search believes the CRC and the offset alone, so a batch that lies whole inside of a torn one (somebody stored
//! batches as values) is taken for a sound one too where its offset could follow: then nothing is cut, which is the
//! safe side.

use std::io;

use super::scan::{BatchScan, RECOVERY_WINDOW_BYTES, ScanError, read_full};
use crate::record::{BatchHeader, HEADER_BYTES, MAGIC, PREFIX_BYTES};
use crate::runtime::disk::File;
use crate::types::Offset;

/// CRCs are computed over at most so many bytes: bytes made to look like headers, each of a large batch, would
/// cost the square of their number.
const CHECKED_BYTES_MAX: u64 = 4 << 30;

/// What lies behind damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    Nothing,
    /// A batch whose CRC is right, at this byte.
    Sound {
        position: u64,
    },
    /// Too much looks like a batch to look at all of it.
    Undecided,
}

/// Searches the first `len` bytes of `file` from byte `from` on, for a batch at or above `offset_min`.
pub(super) fn sound_batch(file: &File, from: u64, len: u64, offset_min: Offset) -> io::Result<Behind> {
    let mut checks = BatchScan::new(file, from, len, None, RECOVERY_WINDOW_BYTES);
    let mut window = vec![0; RECOVERY_WINDOW_BYTES.min(len.saturating_sub(from) as usize)];
    let (mut start, mut checked) = (from, 0);
    loop {
        let filled = read_full(file, &mut window, start)?;
        if filled < HEADER_BYTES {
            return Ok(Behind::Nothing);
        }
        let starts = filled - HEADER_BYTES + 1;
        for at in 0..starts {
            if window[at + PREFIX_BYTES] as i8 != MAGIC {
                continue;
            }
            let position = start + at as u64;
            let room = len.saturating_sub(position);
            let header = BatchHeader::parse(&window[at..filled]);
            let Ok(header) = header else { continue };
            if header.base_offset < offset_min || header.size() as u64 > room {
                continue;
            }
            match checks.check_crc(position, &header) {
                Ok(()) => return Ok(Behind::Sound { position }),
                Err(ScanError::Damage(_)) => checked += header.size() as u64,
                Err(ScanError::Io(error)) => return Err(error),
            }
            if checked > CHECKED_BYTES_MAX {
                return Ok(Behind::Undecided);
            }
        }
        start += starts as u64;
    }
}
