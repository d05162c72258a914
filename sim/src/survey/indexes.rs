//! What a stored index says of its segment, read by the testbed's own eyes.
//!
//! Pure. An index that is torn or damaged says nothing: its CRCs tell, and whoever looks something up scans. One that can
//! be read has to be right.

use std::collections::BTreeMap;

use seedlog::record::BatchHeader;
use seedlog::types::Offset;

const MAGIC: &[u8] = b"SLINDEX1";
/// Magic, four numbers of 8 bytes, epoch, count, CRC.
const SUMMARY_BYTES: usize = 52;
/// Relative offset, position, CRC.
const ENTRY_BYTES: usize = 12;

/// Why the index of the segment with this base offset is wrong about `log`, and at which offset.
pub fn objection(base: Offset, index: &[u8], log: &[u8]) -> Option<(Offset, String)> {
    let summary = index.get(..SUMMARY_BYTES).filter(|summary| has_true_crc(&[], summary))?;
    if !summary.starts_with(MAGIC) {
        return Some((base, "its index is no index".to_owned()));
    }
    if number(summary, 8) != base.0 {
        return Some((base, format!("its index is of the segment {}", number(summary, 8))));
    }
    let begins = batches(log);
    let entries = index[SUMMARY_BYTES..].chunks_exact(ENTRY_BYTES);
    let mut before = None;
    for entry in entries.filter(|entry| has_true_crc(&base.0.to_be_bytes(), entry)) {
        let point = (base.plus(i64::from(word(entry, 0))), u64::from(word(entry, 4)));
        let (offset, position) = point;
        if before
            .is_some_and(|(last_offset, last_position)| offset <= last_offset || position <= last_position)
        {
            return Some((offset, format!("its index does not rise to {offset} at byte {position}")));
        }
        if begins.get(&position) != Some(&offset) {
            return Some((
                offset,
                format!("its index points to byte {position}, where that batch does not begin"),
            ));
        }
        before = Some(point);
    }
    None
}

/// Where each batch begins, and its base offset.
fn batches(log: &[u8]) -> BTreeMap<u64, Offset> {
    let mut begins = BTreeMap::new();
    let mut at = 0;
    while let Ok(header) = BatchHeader::parse(log.get(at..).unwrap_or_default()) {
        begins.insert(at as u64, header.base_offset);
        at = at.saturating_add(header.size());
    }
    begins
}

/// Whether the last four bytes are the CRC-32 of `salt` and those before them.
pub fn has_true_crc(salt: &[u8], bytes: &[u8]) -> bool {
    let Some((body, crc)) = bytes.split_last_chunk::<4>() else { return false };
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(salt);
    hasher.update(body);
    hasher.finalize() == u32::from_be_bytes(*crc)
}

fn number(bytes: &[u8], at: usize) -> i64 {
    bytes[at..].first_chunk().copied().map(i64::from_be_bytes).unwrap_or_default()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().copied().map(u32::from_be_bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::survey::tests::log;

    fn with_crc(salt: &[u8], body: Vec<u8>) -> Vec<u8> {
        let crc = crc32fast::hash(&[salt, &body].concat());
        [body, crc.to_be_bytes().to_vec()].concat()
    }

    /// An index of the segment `base` with these entries: relative offset and position.
    fn index(base: i64, entries: &[(u32, u64)]) -> Vec<u8> {
        let mut summary = [MAGIC, &base.to_be_bytes()].concat();
        summary.resize(SUMMARY_BYTES - 4, 0);
        let mut index = with_crc(&[], summary);
        for (relative, position) in entries {
            let entry = [relative.to_be_bytes(), (*position as u32).to_be_bytes()].concat();
            index.extend(with_crc(&base.to_be_bytes(), entry));
        }
        index
    }

    fn objects(base: i64, entries: &[(u32, u64)]) -> Option<i64> {
        objection(Offset(0), &index(base, entries), &log().0).map(|(at, _)| at.0)
    }

    #[test]
    fn entries_that_point_at_batches_and_rise_are_right() {
        let (_, [_, second, third]) = log();
        assert_eq!(objects(0, &[(2, second), (4, third)]), None);
        assert_eq!(objects(0, &[]), None);
    }

    #[test]
    fn entries_that_point_elsewhere_or_fall_are_not() {
        let (_, [_, second, third]) = log();
        assert_eq!(objects(0, &[(2, second + 1)]), Some(2));
        assert_eq!(objects(0, &[(2, third)]), Some(2));
        assert_eq!(objects(0, &[(4, third), (2, second)]), Some(2));
        assert_eq!(objects(6, &[]), Some(0), "it is of another segment");
    }

    #[test]
    fn an_index_that_is_torn_says_nothing() {
        let (log, [_, second, _]) = log();
        let mut torn = index(0, &[(2, second + 1)]);
        *torn.last_mut().unwrap() ^= 1;
        assert_eq!(objection(Offset(0), &torn, &log), None);
        assert_eq!(objection(Offset(0), &torn[..SUMMARY_BYTES - 1], &log), None);
    }
}
