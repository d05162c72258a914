//! The partitions that this broker stores, by name.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use super::partition::Partition;
use crate::types::{TopicId, TopicPartition};

/// Looked up once per partition of a request; changed only when topics come and go.
#[derive(Default)]
pub(super) struct Replicas {
    by_topic: RwLock<BTreeMap<Arc<str>, BTreeMap<i32, Local>>>,
}

/// What is here of a partition.
#[derive(Clone)]
pub(super) enum Local {
    Open(Arc<Partition>),
    /// Its log cannot be used; says why, and until when.
    Offline {
        topic_id: TopicId,
        reason: Arc<str>,
        until: Until,
    },
}

/// What has to come before an offline partition is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// An operator's decision: something is damaged.
    Operator,
    /// Space on the disk, or file descriptors: tried again and again.
    Room(Raise),
}

/// Whether the leader epoch is raised with the opening of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Raise {
    /// Even if there is no room to open the log: an earlier incarnation may have led, though nothing may be left of that,
    /// and the other brokers read the epochs again now that this one has a new session, and not later.
    AtOnce,
    /// Where an earlier incarnation left something.
    IfFound,
    /// It was raised at once when there was no room, or the first attempt found nothing: what is there now is its own.
    Done,
}

impl Raise {
    pub fn is_due(self, is_found: bool) -> bool {
        match self {
            Raise::AtOnce => true,
            Raise::IfFound => is_found,
            Raise::Done => false,
        }
    }
}

impl Replicas {
    pub fn get(&self, topic: &str, partition: i32) -> Option<Local> {
        self.by_topic.read().expect("replicas").get(topic)?.get(&partition).cloned()
    }

    pub fn insert(&self, name: &TopicPartition, local: Local) {
        let mut by_topic = self.by_topic.write().expect("replicas");
        by_topic.entry(Arc::clone(&name.topic)).or_default().insert(name.partition, local);
    }

    pub fn remove(&self, name: &TopicPartition) {
        let mut by_topic = self.by_topic.write().expect("replicas");
        if let Some(partitions) = by_topic.get_mut(&name.topic) {
            partitions.remove(&name.partition);
            if partitions.is_empty() {
                by_topic.remove(&name.topic);
            }
        }
    }

    /// All of them, sorted.
    pub fn all(&self) -> Vec<(TopicPartition, Local)> {
        let by_topic = self.by_topic.read().expect("replicas");
        let named = by_topic.iter().flat_map(|(topic, partitions)| {
            partitions
                .iter()
                .map(|(number, local)| (TopicPartition::new(Arc::clone(topic), *number), local.clone()))
        });
        named.collect()
    }

    /// Whether a partition waits for room.
    pub fn any_waits(&self) -> bool {
        let by_topic = self.by_topic.read().expect("replicas");
        let mut locals = by_topic.values().flat_map(BTreeMap::values);
        locals.any(|local| matches!(local, Local::Offline { until: Until::Room(_), .. }))
    }

    /// Those whose log is open, sorted.
    pub fn open(&self) -> Vec<Arc<Partition>> {
        let open = |(_, local)| match local {
            Local::Open(partition) => Some(partition),
            Local::Offline { .. } => None,
        };
        self.all().into_iter().filter_map(open).collect()
    }
}
