//! What the final logs hold by value, as the testbed read them from the disks.
//!
//! An index, not a judge. Empty where the history tells nothing of it.

use std::collections::{BTreeMap, HashMap};

use seedlog::facts::RecordTag;
use seedlog::types::{Offset, TopicPartition};

use crate::history::{Entry, Seen, What};

#[derive(Default)]
struct FinalLog<'a> {
    seen_at: usize,
    records: BTreeMap<Offset, (usize, &'a RecordTag)>,
    copies: HashMap<&'a RecordTag, Vec<Offset>>,
}

pub struct Stored<'a> {
    logs: HashMap<&'a TopicPartition, FinalLog<'a>>,
}

impl<'a> Stored<'a> {
    pub fn new(history: &'a [Entry]) -> Stored<'a> {
        let mut logs: HashMap<&TopicPartition, FinalLog> = HashMap::new();
        for (at, entry) in history.iter().enumerate() {
            match &entry.what {
                What::Seen(Seen::FinalLog { partition, .. }) => {
                    logs.entry(partition).or_default().seen_at = at
                }
                What::Seen(Seen::FinalBatch { partition, records, .. }) => {
                    let log = logs.entry(partition).or_default();
                    for stored in records {
                        log.records.insert(stored.offset, (at, &stored.record));
                        log.copies.entry(&stored.record).or_default().push(stored.offset);
                    }
                }
                _ => {}
            }
        }
        Stored { logs }
    }

    /// The entry that begins to tell of the partition's final log, if anything does.
    pub fn seen_at(&self, partition: &TopicPartition) -> Option<usize> {
        self.logs.get(partition).map(|log| log.seen_at)
    }

    /// The record at this offset, and the entry that tells.
    pub fn at(&self, partition: &TopicPartition, offset: Offset) -> Option<(usize, &'a RecordTag)> {
        self.logs.get(partition)?.records.get(&offset).copied()
    }

    /// Every place of this very record.
    pub fn copies(&self, partition: &TopicPartition, record: &RecordTag) -> &[Offset] {
        let copies = self.logs.get(partition).and_then(|log| log.copies.get(record));
        copies.map_or(&[], Vec::as_slice)
    }
}
