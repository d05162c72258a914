//! Reads what the brokers' simulated disks hold, without asking a broker.
//!
//! Sees whole batches with a true CRC, and where bytes begin that are none. Judging is the checks' job.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use seedlog::facts::RecordTag;
use seedlog::log::partition_of_directory;
use seedlog::record::{self, BatchHeader, RecordHeader};
use seedlog::runtime::sim::disk;
use seedlog::runtime::sim::identity::NodeId;
use seedlog::types::{BrokerId, TopicPartition};

use crate::cluster::LOG_DIR;
use crate::history::{FileByte, RecordAt, Seen};

/// What a batch may unpack to.
const UNPACKED_BYTES_MAX: usize = 1 << 28;

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
        while let Some(batch) = first_batch(&rest) {
            drop(rest.split_to(batch.0.size()));
            seen.push(batch_seen(partition, &batch));
        }
        if !rest.is_empty() && unreadable_from.is_none() {
            let byte = (whole - rest.len()) as u64;
            unreadable_from = Some(FileByte { file: path.display().to_string().into(), byte });
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
        last: seedlog::types::Offset(header.next_offset().0 - 1),
        records: records.collect(),
    }
}
