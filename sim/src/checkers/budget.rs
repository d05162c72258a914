//! Whether a run's damage stayed within what the cluster promised to survive.
//!
//! With one replica a record has one copy: a power failure is in budget only where acknowledgements waited
//! for the flush, and so is a failed fsync, which may take what it was to store out of the page cache. Kills
//! are always in budget. A disk that fails is in budget as long as it works again before the cluster must have
//! healed; one that is replaced, lies or damages what it holds never is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use seedlog::facts::Fact;
use seedlog::types::{Acks, BrokerId, Durability, TopicPartition};
use serde::{Deserialize, Serialize};

use crate::history::{DiskOperation, Entry, Injected, What, broker_of_node};

/// What was promised: the settings under which the verdicts hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    pub topics: BTreeMap<Arc<str>, TopicTerms>,
    pub producers: BTreeMap<String, ProducerTerms>,
    /// A group that is not named here is held to the default terms.
    #[serde(default)]
    pub groups: BTreeMap<String, GroupTerms>,
    /// Who is in each group, and what it reads.
    #[serde(default)]
    pub memberships: BTreeMap<String, Membership>,
}

/// A group as it must be once the cluster has healed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The members' names, which are their nodes'.
    pub members: BTreeSet<String>,
    pub partitions: BTreeSet<TopicPartition>,
    /// Without a committed offset it begins at the smallest one, so that nothing may be missed.
    pub reads_everything: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicTerms {
    pub durability: Durability,
    pub replicas: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerTerms {
    pub acks: Acks,
    /// Whether a later request may be on its way while an earlier one may still be sent again.
    pub may_overtake: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupTerms {
    /// Of the members' ZooKeeper sessions, as granted.
    pub session_timeout: Duration,
    /// The longest that the application works on one record.
    pub processing: Duration,
}

impl Default for GroupTerms {
    fn default() -> GroupTerms {
        GroupTerms { session_timeout: Duration::from_secs(6), processing: Duration::ZERO }
    }
}

/// The damage of one run, measured against the terms.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    /// Power failures of brokers.
    pub lossy_crashes: u64,
    over: BTreeMap<TopicPartition, &'static str>,
    /// Partitions whose only copy was taken away or changed behind the broker's back.
    damaged: BTreeMap<TopicPartition, &'static str>,
    ill_brokers: BTreeSet<BrokerId>,
    ill: BTreeSet<TopicPartition>,
}

impl Budget {
    /// One pass over the history.
    pub fn of(history: &[Entry], terms: &Terms) -> Budget {
        let mut hosted: BTreeMap<BrokerId, BTreeSet<TopicPartition>> = BTreeMap::new();
        let mut lost_cache: BTreeSet<BrokerId> = BTreeSet::new();
        let mut ill: BTreeSet<BrokerId> = BTreeSet::new();
        let mut damaged: BTreeMap<BrokerId, &'static str> = BTreeMap::new();
        let mut lossy_crashes = 0;
        for entry in history {
            match &entry.what {
                What::Fact(
                    Fact::Appended { broker, partition, .. } | Fact::LogRecovered { broker, partition, .. },
                ) => {
                    hosted.entry(*broker).or_default().insert(partition.clone());
                }
                What::Fault(Injected::PowerFailure { target }) => {
                    lossy_crashes += u64::from(broker_of_node(target).is_some());
                    lost_cache.extend(broker_of_node(target));
                }
                What::Fault(Injected::DiskError { target, operation }) => {
                    ill.extend(broker_of_node(target));
                    if *operation == DiskOperation::Fsync {
                        lost_cache.extend(broker_of_node(target));
                    }
                }
                What::Fault(Injected::DiskFull { target } | Injected::DiskSectorLost { target, .. }) => {
                    ill.extend(broker_of_node(target));
                }
                What::Fault(Injected::DiskHealthy { target }) => {
                    ill.retain(|&broker| Some(broker) != broker_of_node(target));
                }
                What::Fault(fault) => {
                    let broker = fault.targets().first().and_then(|target| broker_of_node(target));
                    damaged.extend(broker.zip(damage_of(fault)));
                }
                _ => {}
            }
        }
        let on = |brokers: &BTreeSet<BrokerId>| -> BTreeSet<TopicPartition> {
            brokers.iter().filter_map(|broker| hosted.get(broker)).flatten().cloned().collect()
        };
        let over = on(&lost_cache).into_iter().filter(|partition| !terms.survive_loss_of_cache(partition));
        let reason = "the page cache was lost without `durability = fsync` and with one replica";
        let on_damaged = |(broker, reason): (&BrokerId, &&'static str)| {
            let partitions = hosted.get(broker).into_iter().flatten();
            partitions.map(|partition| (partition.clone(), *reason)).collect::<Vec<_>>()
        };
        let damaged: BTreeMap<_, _> = damaged.iter().flat_map(on_damaged).collect();
        let over = over.map(|partition| (partition, reason));
        Budget {
            lossy_crashes,
            over: over.chain(damaged.clone()).collect(),
            damaged,
            ill: on(&ill),
            ill_brokers: ill,
        }
    }

    /// Why acknowledged records of `partition` may be lost, if they may.
    pub fn excuses_loss(&self, partition: &TopicPartition) -> Option<String> {
        self.over.get(partition).map(|reason| format!("over budget: {reason}"))
    }

    /// Why the stored log of `partition` may be anything, if it may.
    pub fn excuses_damage(&self, partition: &TopicPartition) -> Option<String> {
        self.damaged.get(partition).map(|reason| format!("over budget: {reason}"))
    }

    /// Why `partition` may be out of service at the end, if it may.
    pub fn excuses_outage(&self, partition: &TopicPartition) -> Option<String> {
        let left_broken = self.ill.contains(partition).then_some("the disk of its broker was left broken");
        let unreadable =
            self.damaged.get(partition).copied().filter(|reason| MAKES_UNREADABLE.contains(reason));
        left_broken.or(unreadable).map(str::to_owned)
    }

    /// Whether the broker's disk was left broken.
    pub fn ill_broker(&self, broker: BrokerId) -> bool {
        self.ill_brokers.contains(&broker)
    }

    /// The partitions whose records may be lost, and why.
    pub fn over(&self) -> impl Iterator<Item = (&TopicPartition, &'static str)> {
        self.over.iter().map(|(partition, reason)| (partition, *reason))
    }
}

const MISDIRECTED: &str = "the only replica's disk misdirected a write";
const FLIPPED: &str = "a bit of the only replica flipped";
/// Damage in the middle of a log: with one replica nobody can say what stood there, nor where the next batch
/// begins, and a reader may have to stop in front of it.
const MAKES_UNREADABLE: [&str; 2] = [MISDIRECTED, FLIPPED];

/// How a fault takes a partition's only copy away, or changes it.
fn damage_of(fault: &Injected) -> Option<&'static str> {
    match fault {
        Injected::Wipe { .. } => Some("the only replica's disk was replaced by an empty one"),
        Injected::DiskLies { .. } => Some("the only replica's disk lied about fsync"),
        Injected::DiskMisdirects { .. } => Some(MISDIRECTED),
        Injected::BitFlip { .. } => Some(FLIPPED),
        _ => None,
    }
}

impl Terms {
    fn survive_loss_of_cache(&self, partition: &TopicPartition) -> bool {
        self.topics
            .get(&partition.topic)
            .is_none_or(|topic| topic.durability == Durability::Fsync || topic.replicas > 1)
    }

    /// What was promised about the group.
    pub fn group(&self, group: &str) -> GroupTerms {
        self.groups.get(group).copied().unwrap_or_default()
    }

    /// Whether an acknowledgement with `acks` promises the record as long as the run stays in budget. With
    /// one replica there is no fail-over, and the leader's own append is all there is to wait for.
    pub fn ack_promises(&self, partition: &TopicPartition, acks: Acks) -> bool {
        let replicas = self.topics.get(&partition.topic).map_or(1, |topic| topic.replicas);
        match acks {
            Acks::None => false,
            Acks::Leader => replicas == 1,
            Acks::All => true,
        }
    }
}
