//! Names in a data directory: partitions' directories, and the files inside.

use std::io;
use std::path::{Path, PathBuf};

use crate::runtime::disk;
use crate::types::{Offset, TopicPartition};

/// The name of a partition's directory inside a data directory.
pub fn directory_name(partition: &TopicPartition) -> String {
    partition.to_string()
}

/// The partition whose directory has this name.
pub fn partition_of_directory(name: &str) -> Option<TopicPartition> {
    let (topic, partition) = name.rsplit_once('-')?;
    let number: i32 = partition.parse().ok()?;
    // "orders-007" and "orders-+7" are nobody's directory.
    let is_canonical = number >= 0 && !topic.is_empty() && partition == number.to_string();
    is_canonical.then(|| TopicPartition::new(topic, number))
}

/// Bytes of the segments in a partition's directory.
pub fn stored_bytes(directory: &Path) -> io::Result<u64> {
    let entries = disk::read_dir(directory)?;
    Ok(entries.iter().filter(|entry| base_of_log(&entry.name).is_some()).map(|entry| entry.len).sum())
}

pub(super) fn log_name(base: Offset) -> String {
    format!("{:020}.log", base.0)
}

pub(super) fn log_path(directory: &Path, base: Offset) -> PathBuf {
    directory.join(log_name(base))
}

pub(super) fn index_path(directory: &Path, base: Offset) -> PathBuf {
    directory.join(format!("{:020}.index", base.0))
}

/// The base offset of the segment whose log has this name.
pub(super) fn base_of_log(name: &str) -> Option<Offset> {
    let digits = name.strip_suffix(".log")?;
    let is_canonical = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_canonical { digits.parse().ok().map(Offset) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_names_its_partition() {
        for (topic, number) in [("orders", 0), ("a-b-1", 17), ("odd-", 7), ("x", i32::MAX)] {
            let partition = TopicPartition::new(topic, number);
            assert_eq!(partition_of_directory(&directory_name(&partition)), Some(partition));
        }
        for name in ["orders", "orders-", "-1", "orders-007", "orders-+7", "orders-3.tmp"] {
            assert_eq!(partition_of_directory(name), None, "{name}");
        }
    }

    #[test]
    fn a_log_file_names_its_first_offset() {
        assert_eq!(log_name(Offset(42)), "00000000000000000042.log");
        assert_eq!(base_of_log("00000000000000000042.log"), Some(Offset(42)));
        for name in ["42.log", "00000000000000000042.index", "99999999999999999999.log", "checkpoint"] {
            assert_eq!(base_of_log(name), None, "{name}");
        }
    }
}
