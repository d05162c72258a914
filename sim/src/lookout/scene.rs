//! How things stand: log ends, who owns what, how far readers are. As much as conditions ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use seedlog::facts::Fact;
use seedlog::types::{Offset, TopicPartition};

use crate::history::{Entry, Injected, What};
use crate::scenario::Plan;
use crate::scenario::happening::Known;

#[derive(Clone, Debug, Default)]
pub(super) struct Scene {
    /// What a group or consumer reads.
    reads: BTreeMap<String, BTreeSet<TopicPartition>>,
    log_ends: BTreeMap<TopicPartition, Offset>,
    /// By group and partition: the living members that own it.
    owners: BTreeMap<(String, TopicPartition), BTreeSet<Arc<str>>>,
    rebalancing: BTreeMap<Arc<str>, String>,
    /// By group or consumer: the next offset to be delivered.
    reached: BTreeMap<(String, TopicPartition), Offset>,
}

impl Scene {
    pub(super) fn new(plan: &Plan) -> Scene {
        let partitions = |topics: &[String]| -> BTreeSet<TopicPartition> {
            plan.partitions_of(topics.iter()).into_iter().collect()
        };
        let consumers = plan.consumers.iter().map(|(name, c)| (name.clone(), partitions(&c.topics)));
        let groups = plan.groups.iter().map(|(name, group)| (name.clone(), partitions(&group.topics)));
        Scene { reads: consumers.chain(groups).collect(), ..Scene::default() }
    }

    pub(super) fn observe(&mut self, entry: &Entry, known: &Known) {
        match &entry.what {
            What::Fault(
                Injected::Kill { target } | Injected::PowerFailure { target } | Injected::Start { target },
            ) => self.forget(target),
            What::Fact(Fact::SessionExpired { session }) => {
                if let Some(holder) = known.holder(*session) {
                    self.forget(&Arc::clone(holder));
                }
            }
            What::Fact(fact) => self.observe_fact(&entry.node, fact, known),
            What::Fault(_) | What::Phase(_) | What::Seen(_) => {}
        }
    }

    pub(super) fn log_end(&self, partition: &TopicPartition) -> Offset {
        self.log_ends.get(partition).copied().unwrap_or(Offset::ZERO)
    }

    /// What `who` reads, with the present ends of those logs.
    pub(super) fn ends_for(&self, who: &str) -> BTreeMap<TopicPartition, Offset> {
        let partitions = self.reads.get(who).into_iter().flatten();
        partitions.map(|partition| (partition.clone(), self.log_end(partition))).collect()
    }

    pub(super) fn has_reached(&self, who: &str, partition: &TopicPartition, end: Offset) -> bool {
        let reached = self.reached.get(&(who.to_owned(), partition.clone()));
        reached.copied().unwrap_or(Offset::ZERO) >= end
    }

    pub(super) fn owners(&self, group: &str, partition: &TopicPartition) -> impl Iterator<Item = &Arc<str>> {
        self.owners.get(&(group.to_owned(), partition.clone())).into_iter().flatten()
    }

    /// Whether no member rebalances and every partition has one living owner.
    pub(super) fn is_balanced(&self, group: &str) -> bool {
        let partitions = self.reads.get(group);
        !self.rebalancing.values().any(|of| of == group)
            && partitions.is_some_and(|all| all.iter().all(|p| self.owners(group, p).count() == 1))
    }

    /// The node died, or its session did: it owns nothing.
    fn forget(&mut self, node: &Arc<str>) {
        self.rebalancing.remove(node);
        self.owners.values_mut().for_each(|owners| {
            owners.remove(node);
        });
    }

    fn observe_fact(&mut self, node: &Arc<str>, fact: &Fact, known: &Known) {
        match fact {
            Fact::Appended { partition, last, .. } => {
                self.log_ends.insert(partition.clone(), last.next());
            }
            Fact::LogRecovered { partition, log_end: end, .. } | Fact::Truncated { partition, end, .. } => {
                self.log_ends.insert(partition.clone(), *end);
            }
            Fact::GroupLeft { .. } | Fact::GroupSessionLost { .. } => self.forget(node),
            Fact::RebalanceStarted { group, .. } => {
                self.rebalancing.insert(Arc::clone(node), group.clone());
            }
            Fact::RebalanceFinished { .. } => {
                self.rebalancing.remove(node);
            }
            Fact::PartitionOwned { group, partition, .. } => {
                let owners = self.owners.entry((group.clone(), partition.clone())).or_default();
                owners.insert(Arc::clone(node));
            }
            Fact::PartitionReleased { group, partition, .. } => {
                if let Some(owners) = self.owners.get_mut(&(group.clone(), partition.clone())) {
                    owners.remove(node);
                }
            }
            Fact::Assigned { partition, position, .. } => self.reach(node, partition, *position, known),
            Fact::Delivered { partition, offset, .. } => self.reach(node, partition, offset.next(), known),
            _ => {}
        }
    }

    fn reach(&mut self, node: &Arc<str>, partition: &TopicPartition, position: Offset, known: &Known) {
        let who = known.group(node).unwrap_or(node);
        let reached = self.reached.entry((who.to_owned(), partition.clone())).or_insert(Offset::ZERO);
        *reached = position.max(*reached);
    }
}
