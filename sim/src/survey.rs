//! Reads what the brokers' simulated disks hold, without asking a broker.
//!
//! Sees whole batches with a true CRC, and where bytes begin that are none. Judging is the checks' job.

mod indexes;
mod inspector;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use seedlog::facts::RecordTag;
use seedlog::log::partition_of_directory;
use seedlog::record::{self, BatchHeader, RecordHeader};
use seedlog::runtime::sim::disk;
use seedlog::runtime::sim::effects::{Bite, Effect};
use seedlog::runtime::sim::identity::NodeId;
use seedlog::types::{BrokerId, Offset, TopicPartition};

use crate::cluster::LOG_DIR;
use crate::history::{FileByte, RecordAt, Seen};

pub use inspector::Inspector;

/// What a batch may unpack to.
const UNPACKED_BYTES_MAX: usize = 1 << 28;

/// Takes away what was not flushed, and no more: a checkpoint that is lost so is an older one.
const FORGETS: &str = "power-failure";

/// Without what it says a broker does not start.
const META_FILE: &str = "meta.properties";
/// Without what it says a partition is not opened.
const PARTITION_FILE: &str = "partition.metadata";
/// Of a partition's directory; the second is its name after a failed sync.
const CHECKPOINTS: [&str; 2] = ["checkpoint", "checkpoint.sync-failed"];

/// What a fault did, in offsets. An index is no copy of a record.
pub fn effect(effect: Effect, name_of: impl Fn(NodeId) -> Arc<str>) -> Vec<Seen> {
    let (node, fault, path, bytes, meant) = match effect {
        Effect::Bite(bite) => return vec![bitten(bite, name_of)],
        Effect::Damaged { node, fault, path, bytes, meant, is_blank } => {
            if fault == FORGETS && is_blank && is_needed(&path) {
                let file = path.display().to_string().into();
                return vec![Seen::Forgotten { target: name_of(node), file }];
            }
            (node, fault, path, bytes, meant)
        }
    };
    let whole = || partition_of_checkpoint(&path).map(|partition| (partition, vec![(Offset::ZERO, None)]));
    let log = partition_of_log(&path).map(|partition| (partition, offsets_of(&meant, &bytes, fault)));
    let of_checkpoint = || whole().filter(|_| fault != FORGETS);
    let Some((partition, places)) = log.or_else(of_checkpoint) else { return Vec::new() };
    let damaged = |(from, to)| Seen::Damaged {
        target: name_of(node),
        fault: fault.into(),
        partition: partition.clone(),
        from,
        to,
    };
    places.into_iter().map(damaged).collect()
}

fn bitten(bite: Bite, name_of: impl Fn(NodeId) -> Arc<str>) -> Seen {
    match bite {
        Bite::Struck { node, fault } => Seen::Struck { target: name_of(node), fault: fault.into() },
        Bite::HeldUp { from, to } => Seen::HeldUp { from: name_of(from), to: name_of(to) },
        Bite::Session { session, fault } => Seen::SessionStruck { session, fault: fault.into() },
    }
}

/// What says where a batch ends and which offsets it has: who reads on from a wrong one does not find the next.
const FRAME_BYTES: u64 = 27;

/// The offsets of these bytes of a log, and those that a flipped bit makes of them. Where it is no longer said where
/// batches begin, whatever is behind is hidden too.
fn offsets_of(log: &[u8], bytes: &Range<u64>, fault: &str) -> Vec<(Offset, Option<Offset>)> {
    let (mut at, mut next, mut from) = (0, Offset::ZERO, None);
    let mut claimed = None;
    let mut hides_what_is_behind = ["misdirected-write", "truncate-file"].contains(&fault);
    while let Ok(header) = BatchHeader::parse(log.get(at..).unwrap_or_default()) {
        let end = at.saturating_add(header.size());
        if from.is_none() && end as u64 > bytes.start {
            from = Some(header.base_offset);
            // The base offset, which the CRC does not cover, is where the batch begins.
            hides_what_is_behind |= fault == "flip-bit" && bytes.start < at as u64 + FRAME_BYTES;
            let flips_base = fault == "flip-bit" && bytes.start < at as u64 + 8;
            let bit = || 1_i64.checked_shl(8 * (7 - (bytes.start - at as u64) as u32)).unwrap_or_default();
            claimed = flips_base.then(|| Offset(header.base_offset.0 ^ bit()));
        }
        next = header.next_offset();
        if end as u64 >= bytes.end || header.size() == 0 {
            let length = header.next_offset().since(header.base_offset);
            let elsewhere = claimed.map(|base| (base, base.checked_plus(length)));
            let to = (!hides_what_is_behind).then_some(next);
            return elsewhere.into_iter().chain([(from.unwrap_or(next), to)]).collect();
        }
        at = end;
    }
    // What follows is no batch, and what is there in its place is not known.
    vec![(from.unwrap_or(next), None)]
}

/// The partition whose log is trusted up to what the file says.
fn partition_of_checkpoint(path: &Path) -> Option<TopicPartition> {
    let directory = path.strip_prefix(LOG_DIR).ok()?.parent()?.to_str()?;
    let is_checkpoint = path.file_name().is_some_and(|name| CHECKPOINTS.iter().any(|known| name == *known));
    partition_of_directory(directory).filter(|_| is_checkpoint)
}

/// Whether a broker, or a partition of it, that finds less in this file than was stored may not start. What a power failure
/// leaves whole is an older one, and says nothing wrong.
fn is_needed(path: &Path) -> bool {
    let Ok(inside) = path.strip_prefix(LOG_DIR) else { return false };
    let name = inside.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match inside.parent().and_then(Path::to_str).and_then(partition_of_directory) {
        Some(_) => [CHECKPOINTS[0], PARTITION_FILE].contains(&name),
        None => inside == Path::new(META_FILE),
    }
}

/// Every log on the node's disk, batch by batch, as programs see it.
pub fn final_logs(broker: BrokerId, node: NodeId) -> Vec<Seen> {
    let mut logs: BTreeMap<TopicPartition, Vec<PathBuf>> = BTreeMap::new();
    for path in disk::list_files(node) {
        if let Some(partition) = partition_of_log(&path) {
            logs.entry(partition).or_default().push(path);
        }
    }
    logs.into_iter()
        .flat_map(|(partition, segments)| final_log(broker, node, &partition, &segments))
        .collect()
}

/// The partition whose log the file is a segment of.
pub fn partition_of_log(path: &Path) -> Option<TopicPartition> {
    let directory = path.strip_prefix(LOG_DIR).ok()?.parent()?.to_str()?;
    let is_segment = path.extension().is_some_and(|extension| extension == "log");
    partition_of_directory(directory).filter(|_| is_segment)
}

fn final_log(broker: BrokerId, node: NodeId, partition: &TopicPartition, segments: &[PathBuf]) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut unreadable_from = None;
    for path in segments {
        let mut rest = Bytes::from(disk::current_image(node, path).unwrap_or_default());
        let whole = rest.len();
        while !rest.is_empty() {
            if let Some(batch) = first_batch(&rest) {
                drop(rest.split_to(batch.0.size()));
                seen.push(batch_seen(partition, &batch));
                continue;
            }
            let byte = (whole - rest.len()) as u64;
            unreadable_from =
                unreadable_from.or(Some(FileByte { file: path.display().to_string().into(), byte }));
            // What lies behind damage is there all the same.
            let behind = (1..rest.len()).find(|at| first_batch(&rest.slice(at..)).is_some());
            drop(rest.split_to(behind.unwrap_or(rest.len())));
        }
    }
    seen.insert(0, Seen::FinalLog { broker, partition: partition.clone(), unreadable_from });
    seen
}

/// The whole batch with a true CRC that the bytes begin with.
fn first_batch(bytes: &Bytes) -> Option<(BatchHeader, Bytes)> {
    let header = BatchHeader::parse(bytes).ok().filter(|header| header.size() <= bytes.len())?;
    let batch = bytes.slice(..header.size());
    record::check_crc(&header, &batch).ok()?;
    Some((header, batch))
}

fn batch_seen(partition: &TopicPartition, (header, batch): &(BatchHeader, Bytes)) -> Seen {
    let records = record::records(batch, UNPACKED_BYTES_MAX).into_iter().flatten().flatten();
    let records = records.map(|record| RecordAt {
        offset: record.offset,
        record: RecordTag::of(record.key.as_deref(), record.value.as_deref())
            .with(record.headers.iter().map(RecordHeader::parts), record.timestamp),
    });
    Seen::FinalBatch {
        partition: partition.clone(),
        base: header.base_offset,
        last: Offset(header.next_offset().0 - 1),
        epoch: header.leader_epoch,
        records: records.collect(),
    }
}

#[cfg(test)]
mod tests {
    use seedlog::record::{BatchBuilder, Compression};
    use seedlog::types::Timestamp;

    use super::*;

    /// Batches with the offsets 0..=1, 2..=3 and 4..=5, and where each begins.
    pub(super) fn log() -> (Vec<u8>, [u64; 3]) {
        let mut log = Vec::new();
        let begins = [0_i64, 2, 4].map(|base| {
            let mut builder = BatchBuilder::new(Compression::None);
            for record in base..base + 2 {
                builder.push(Timestamp(1), None, Some(format!("r-{record}").as_bytes()), &[]);
            }
            let begin = log.len() as u64;
            log.extend_from_slice(&builder.build());
            log[begin as usize..begin as usize + 8].copy_from_slice(&base.to_be_bytes());
            begin
        });
        (log, begins)
    }

    fn did(file: &str, bytes: Range<u64>, fault: &'static str, is_blank: bool) -> Vec<Seen> {
        let path = Path::new(LOG_DIR).join(file);
        let node = seedlog::runtime::sim::identity::Identity::TESTBED.node;
        let meant = log().0;
        effect(Effect::Damaged { node, fault, path, bytes, meant, is_blank }, |_| "broker-1".into())
    }

    fn damaged(file: &str, bytes: Range<u64>, fault: &'static str) -> Vec<(i64, Option<i64>)> {
        let places = did(file, bytes, fault, false).into_iter().map(|seen| match seen {
            Seen::Damaged { partition, from, to, .. } => {
                assert_eq!(partition, TopicPartition::new("orders", 0));
                (from.0, to.map(|to| to.0))
            }
            other => panic!("{other:?}"),
        });
        places.collect()
    }

    const LOG: &str = "orders-0/00000000000000000000.log";

    #[test]
    fn bytes_of_a_log_are_the_offsets_of_the_batches_that_they_touch() {
        let (log, [_, second, third]) = log();
        assert_eq!(damaged(LOG, second + 40..second + 41, "flip-bit"), [(2, Some(4))]);
        assert_eq!(damaged(LOG, third..log.len() as u64, "power-failure"), [(4, Some(6))]);
        let behind = log.len() as u64;
        assert_eq!(damaged(LOG, behind..behind + 9, "misdirected-write"), [(6, None)]);
    }

    #[test]
    fn bytes_that_say_where_a_batch_ends_hide_what_is_behind_it() {
        let (_, [_, second, third]) = log();
        assert_eq!(damaged(LOG, second + 20..second + 21, "flip-bit"), [(2, None)]);
        assert_eq!(damaged(LOG, second - 1..third + 1, "misdirected-write"), [(0, None)]);
    }

    #[test]
    fn a_bit_of_a_base_offset_makes_the_batch_stand_elsewhere_too() {
        let (_, [_, second, _]) = log();
        assert_eq!(damaged(LOG, second + 6..second + 7, "flip-bit"), [(258, Some(260)), (2, None)]);
    }

    #[test]
    fn a_checkpoint_stands_for_its_whole_log_and_an_index_for_nothing() {
        assert_eq!(damaged("orders-0/checkpoint", 3..4, "flip-bit"), [(0, None)]);
        assert_eq!(damaged("orders-0/checkpoint.sync-failed", 3..4, "flip-bit"), [(0, None)]);
        assert!(damaged("orders-0/00000000000000000000.index", 3..4, "flip-bit").is_empty());
        assert!(damaged("orders-0.8c1f-stray/00000000000000000000.log", 3..4, "flip-bit").is_empty());
    }

    #[test]
    fn what_a_power_failure_took_of_a_file_that_a_start_needs_is_told() {
        for file in ["orders-0/checkpoint", "orders-0/partition.metadata", "meta.properties"] {
            let name = Path::new(LOG_DIR).join(file).display().to_string().into();
            let forgotten = Seen::Forgotten { target: "broker-1".into(), file: name };
            assert_eq!(did(file, 3..4, "power-failure", true), [forgotten]);
            assert!(did(file, 3..4, "power-failure", false).is_empty(), "an older one is there");
        }
        for file in ["meta.properties.tmp", "orders-0/00000000000000000000.index", "orders-0/meta.properties"]
        {
            assert!(did(file, 3..4, "power-failure", true).is_empty(), "{file}");
        }
        assert!(did("meta.properties", 3..4, "truncate-file", true).is_empty());
    }
}
