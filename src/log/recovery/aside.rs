//! Bytes that recovery cuts off, kept in a file that the log never reads: evidence for whoever wants to know what
//! was lost.
//!
//! Bounded in number and size. A device without room keeps none.

use std::io::{self, IoSlice};
use std::path::Path;

use crate::log::scan::RECOVERY_WINDOW_BYTES;
use crate::runtime::disk::{self, File, OpenMode};
use crate::runtime::durable;
use crate::types::Offset;

/// Files of this kind in a partition's directory; the oldest make room.
const FILES_MAX: usize = 4;
/// Bytes of a cut that are kept, from its begin on.
const BYTES_MAX: u64 = 16 << 20;
const PREFIX: &str = "cut-";
const SUFFIX: &str = ".bytes";

/// What was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::log) struct Aside {
    /// `None`: there was no room.
    pub file: Option<String>,
    pub bytes: u64,
}

/// Part of a file that is to be cut.
pub(super) struct Piece {
    pub file: File,
    pub from: u64,
    pub end: u64,
}

/// Copies `pieces`, one after the other, into a new file named after the offset at which the log was cut; durable
/// on return.
pub(super) async fn keep(directory: &Path, at: Offset, pieces: &[Piece]) -> io::Result<Aside> {
    let name = make_room(directory, at)?;
    let copy = disk::open(&directory.join(&name), OpenMode::CreateOrOpen)?;
    copy.truncate(0)?;
    let mut bytes = 0;
    for piece in pieces {
        bytes = append(&copy, bytes, piece)?;
    }
    copy.sync_data().await?;
    durable::sync_names(directory).await?;
    Ok(Aside { file: Some(name), bytes })
}

/// Removes the oldest files, so that one more may come, and names that one.
fn make_room(directory: &Path, at: Offset) -> io::Result<String> {
    let mut kept: Vec<(u64, String)> = disk::read_dir(directory)?
        .into_iter()
        .filter_map(|entry| serial_of(&entry.name).map(|serial| (serial, entry.name)))
        .collect();
    kept.sort();
    let surplus = (kept.len() + 1).saturating_sub(FILES_MAX);
    for (_, name) in &kept[..surplus] {
        disk::remove_file(&directory.join(name))?;
    }
    let serial = kept.last().map_or(0, |(last, _)| last.wrapping_add(1));
    Ok(format!("{PREFIX}{serial:06}-at-{:020}{SUFFIX}", at.0))
}

fn serial_of(name: &str) -> Option<u64> {
    let (serial, _offset) = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.split_once("-at-")?;
    serial.parse().ok()
}

/// Adds a piece at `position` of the copy, as far as there is room; returns where the copy then ends.
fn append(copy: &File, mut position: u64, piece: &Piece) -> io::Result<u64> {
    let mut window = vec![0; RECOVERY_WINDOW_BYTES.min(piece.end.saturating_sub(piece.from) as usize)];
    let mut from = piece.from;
    while from < piece.end && position < BYTES_MAX {
        let wanted = (window.len() as u64).min(piece.end - from).min(BYTES_MAX - position);
        let count = piece.file.read_at(&mut window[..wanted as usize], from)?;
        if count == 0 {
            break;
        }
        copy.write_at(&[IoSlice::new(&window[..count])], position)?;
        from += count as u64;
        position += count as u64;
    }
    assert!(position <= BYTES_MAX, "what is kept of a cut is bounded");
    Ok(position)
}
