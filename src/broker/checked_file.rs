//! Small text files that a broker must never trust unchecked: `key=value` lines and a CRC over them.
//!
//! Written whole (temporary file, sync, rename, directory sync), so that a crash leaves the old or the new.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::runtime::disk::{self, OpenMode};
use crate::runtime::durable;

/// The line that ends the file.
const CRC_KEY: &str = "crc32";
/// Such a file is a few lines; a larger one is not ours.
const BYTES_MAX: u64 = 64 * 1024;

/// Why a checked file could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// Not what was written: damaged, cut, or edited.
    #[error("{0}")]
    Corrupt(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The file's lines, or `None` if there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<BTreeMap<String, String>>, ReadError> {
    let file = match disk::open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let len = file.len()?;
    if len > BYTES_MAX {
        return Err(ReadError::Corrupt(format!("{len} bytes are too many")));
    }
    let mut bytes = vec![0; len as usize];
    let mut have = 0;
    while have < bytes.len() {
        match file.read_at(&mut bytes[have..], have as u64)? {
            0 => return Err(ReadError::Corrupt("the file ends early".to_owned())),
            count => have += count,
        }
    }
    parse(&bytes).map(Some).map_err(ReadError::Corrupt)
}

fn parse(bytes: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not text".to_owned())?;
    let crc_at = text.rfind(CRC_KEY).ok_or_else(|| format!("no line `{CRC_KEY}=`"))?;
    let (lines, crc_line) = text.split_at(crc_at);
    let stated = crc_line[CRC_KEY.len()..].trim().strip_prefix('=').unwrap_or_default();
    let computed = format!("{:08x}", crc32fast::hash(lines.as_bytes()));
    if stated != computed {
        return Err(format!("the CRC is {computed}, the file says {stated:?}"));
    }
    let pair = |line: &str| line.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    lines.lines().map(|line| pair(line).ok_or_else(|| format!("{line:?} is no pair"))).collect()
}

fn render(pairs: &[(&str, &str)]) -> String {
    let lines: String = pairs.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    format!("{lines}{CRC_KEY}={:08x}\n", crc32fast::hash(lines.as_bytes()))
}

/// Replaces the file; when this returns the new content is durable, name included.
pub(super) async fn write(directory: &Path, name: &str, pairs: &[(&str, &str)]) -> io::Result<()> {
    durable::replace(directory, name, render(pairs).as_bytes()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let text = render(&[("cluster.id", "abc"), ("broker.id", "7")]);

        let pairs = parse(text.as_bytes()).expect("untouched");

        assert_eq!(pairs["cluster.id"], "abc");
        assert_eq!(pairs["broker.id"], "7");
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let text = render(&[("cluster.id", "abc"), ("broker.id", "7")]).into_bytes();
        for bit in 0..(text.len() - 1) * 8 {
            let mut damaged = text.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);

            assert!(parse(&damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_file_cut_short_is_noticed() {
        let text = render(&[("cluster.id", "abc")]).into_bytes();
        for len in 0..text.len() - 1 {
            assert!(parse(&text[..len]).is_err(), "{len} bytes");
        }
    }
}
