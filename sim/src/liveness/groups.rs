//! What consumer groups have reached: who joined, who owns what, and how far the owners are.
//!
//! Replays the facts of members; what a group must have in the end comes from the terms.

use std::collections::{BTreeMap, BTreeSet};

use seedlog::facts::Fact;
use seedlog::types::{Offset, TopicPartition};

use super::Missing;
use crate::checkers::{Membership, Terms};
use crate::history::Injected;

/// The groups of a run, as far as facts tell.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    /// By group.
    memberships: BTreeMap<String, Membership>,
    /// By the member's name, which is its node's.
    members: BTreeMap<String, Member>,
    /// By group: what its members worked off, up to here.
    processed: BTreeMap<(String, TopicPartition), Offset>,
}

/// The present incarnation of a member.
#[derive(Clone, Debug, Default)]
struct Member {
    group: String,
    has_joined: bool,
    is_rebalancing: bool,
    is_paused: bool,
    /// With the next offset to be delivered, once it is known.
    owned: BTreeMap<TopicPartition, Option<Offset>>,
}

impl Groups {
    pub(super) fn new(terms: &Terms) -> Groups {
        // A group that nobody is left of owes nothing.
        let memberships = terms.memberships.iter().filter(|(_, group)| !group.members.is_empty());
        let members = terms.memberships.iter().flat_map(|(group, membership)| {
            let member = |name: &String| (name.clone(), Member::of(group));
            membership.members.iter().map(member).collect::<Vec<_>>()
        });
        Groups {
            members: members.collect(),
            memberships: memberships.map(|(name, membership)| (name.clone(), membership.clone())).collect(),
            processed: BTreeMap::new(),
        }
    }

    /// Whether `consumer` is a member of a group: it reads what it owns, not what it is assigned by hand.
    pub(super) fn has_member(&self, consumer: &str) -> bool {
        self.members.contains_key(consumer)
    }

    pub(super) fn observe_fault(&mut self, fault: &Injected) {
        let target = match fault {
            Injected::Kill { target } | Injected::PowerFailure { target } | Injected::Start { target } => {
                target
            }
            _ => return,
        };
        // Another incarnation: the old one's ownership ends with its session, and that is not this member's any more.
        if let Some(member) = self.members.get_mut(&**target) {
            *member = Member::of(&member.group);
        }
    }

    pub(super) fn observe_fact(&mut self, fact: &Fact) {
        let Some(member) = fact.consumer().and_then(|consumer| self.members.get_mut(consumer)) else {
            return;
        };
        match fact {
            Fact::GroupJoined { .. } => member.has_joined = true,
            Fact::GroupLeft { .. } | Fact::GroupSessionLost { .. } => *member = Member::of(&member.group),
            Fact::RebalanceStarted { .. } => member.is_rebalancing = true,
            Fact::RebalanceFinished { .. } => member.is_rebalancing = false,
            Fact::DeliveryPaused { .. } => member.is_paused = true,
            Fact::DeliveryResumed { .. } => member.is_paused = false,
            Fact::PartitionOwned { partition, .. } => {
                member.owned.insert(partition.clone(), None);
            }
            Fact::PartitionReleased { partition, .. } => {
                member.owned.remove(partition);
            }
            Fact::Assigned { partition, position, .. } | Fact::Seeked { partition, position, .. } => {
                member.reach(partition, *position);
            }
            Fact::Delivered { partition, offset, .. } => member.reach(partition, offset.next()),
            Fact::Processed { partition, offset, .. } | Fact::CorruptSkipped { partition, offset, .. } => {
                let key = (member.group.clone(), partition.clone());
                let processed = self.processed.entry(key).or_insert(Offset::ZERO);
                *processed = offset.next().max(*processed);
            }
            _ => {}
        }
    }

    /// Everything that still has to happen; `log_end` tells how far logs reach.
    pub(super) fn missing(&self, log_end: &dyn Fn(&TopicPartition) -> Offset) -> Vec<Missing> {
        let mut missing = Vec::new();
        for (group, membership) in &self.memberships {
            for name in &membership.members {
                missing.extend(self.members[name].what_is_missing(group, name));
            }
            for partition in &membership.partitions {
                missing.extend(self.missing_of_partition(group, membership, partition, log_end(partition)));
            }
        }
        missing
    }

    /// Whether every group has worked off all of `partition` that is there, as far as applications tell.
    pub(super) fn have_processed(&self, partition: &TopicPartition, end: Offset) -> bool {
        let readers =
            self.memberships.iter().filter(|(_, membership)| membership.partitions.contains(partition));
        let processed = |group: &String| self.processed.get(&(group.clone(), partition.clone()));
        readers.map(|(group, _)| group).all(|group| processed(group).copied().unwrap_or(Offset::ZERO) >= end)
    }

    fn missing_of_partition(
        &self,
        group: &str,
        membership: &Membership,
        partition: &TopicPartition,
        end: Offset,
    ) -> Option<Missing> {
        let owners: BTreeSet<&String> = membership
            .members
            .iter()
            .filter(|name| self.members[*name].owned.contains_key(partition))
            .collect();
        let mut owners = owners.into_iter();
        match (owners.next(), owners.next()) {
            (None, _) => Some(Missing::Owner { group: group.to_owned(), partition: partition.clone() }),
            (Some(a), Some(b)) => Some(Missing::SingleOwner {
                group: group.to_owned(),
                partition: partition.clone(),
                owners: [a.clone(), b.clone()],
            }),
            (Some(owner), None) => {
                let position = self.members[owner].owned[partition].unwrap_or(Offset::ZERO);
                let (consumer, partition) = (owner.clone(), partition.clone());
                (position != end).then_some(Missing::Lag { consumer, partition, position, end })
            }
        }
    }
}

impl Member {
    fn of(group: &str) -> Member {
        Member { group: group.to_owned(), ..Member::default() }
    }

    fn reach(&mut self, partition: &TopicPartition, position: Offset) {
        if let Some(reached) = self.owned.get_mut(partition) {
            *reached = Some(position);
        }
    }

    fn what_is_missing(&self, group: &str, name: &str) -> Option<Missing> {
        let state = match self {
            Member { has_joined: false, .. } => "has not joined",
            Member { is_rebalancing: true, .. } => "has not finished its rebalance",
            Member { is_paused: true, .. } => "delivers nothing",
            _ => return None,
        };
        Some(Missing::Member { group: group.to_owned(), member: name.to_owned(), state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seedlog::types::SessionId;

    fn orders() -> TopicPartition {
        TopicPartition::new("orders", 0)
    }

    /// Group `billing` of `billing-1` and `billing-2`, which reads one partition.
    fn billing() -> Groups {
        billing_of(["billing-1", "billing-2"])
    }

    fn billing_of<const N: usize>(members: [&str; N]) -> Groups {
        let members = members.map(str::to_owned).into();
        let membership = Membership { members, partitions: [orders()].into(), reads_everything: true };
        Groups::new(&Terms { memberships: [("billing".to_owned(), membership)].into(), ..Terms::default() })
    }

    fn joined(consumer: &str) -> Fact {
        let (group, consumer) = ("billing".to_owned(), consumer.to_owned());
        Fact::GroupJoined { group, consumer, session: SessionId(1), subscription: BTreeMap::new() }
    }

    fn owned(consumer: &str) -> Fact {
        let (group, consumer) = ("billing".to_owned(), consumer.to_owned());
        Fact::PartitionOwned { group, consumer, partition: orders(), stream: 0, session: SessionId(1) }
    }

    fn processed(consumer: &str, offset: i64) -> Fact {
        Fact::Processed { consumer: consumer.to_owned(), partition: orders(), offset: Offset(offset) }
    }

    fn assigned(consumer: &str, position: i64) -> Fact {
        Fact::Assigned { consumer: consumer.to_owned(), partition: orders(), position: Offset(position) }
    }

    fn missing_after(facts: &[Fact]) -> Vec<Missing> {
        let mut groups = billing();
        facts.iter().for_each(|fact| groups.observe_fact(fact));
        groups.missing(&|_| Offset(5))
    }

    #[test]
    fn a_group_whose_owner_has_read_to_the_end_lacks_nothing() {
        let facts = [joined("billing-1"), joined("billing-2"), owned("billing-2"), assigned("billing-2", 5)];
        assert_eq!(missing_after(&facts), []);
    }

    #[test]
    fn a_group_that_nobody_is_left_of_owes_nothing() {
        assert_eq!(billing_of([]).missing(&|_| Offset(5)), []);
    }

    #[test]
    fn a_member_that_did_not_join_is_missing() {
        let facts = [joined("billing-1"), owned("billing-1"), assigned("billing-1", 5)];
        let [Missing::Member { member, .. }] = &missing_after(&facts)[..] else { panic!("not one") };
        assert_eq!(member, "billing-2");
    }

    #[test]
    fn a_rebalance_that_does_not_end_and_a_partition_without_owner_are_missing() {
        let (group, consumer) = ("billing".to_owned(), "billing-1".to_owned());
        let started = Fact::RebalanceStarted { group, consumer };
        let missing = missing_after(&[joined("billing-1"), joined("billing-2"), started]);
        assert!(matches!(missing[..], [Missing::Member { .. }, Missing::Owner { .. }]), "{missing:?}");
    }

    #[test]
    fn two_owners_are_one_too_many() {
        let facts = [joined("billing-1"), joined("billing-2"), owned("billing-1"), owned("billing-2")];
        assert!(matches!(missing_after(&facts)[..], [Missing::SingleOwner { .. }]));
    }

    #[test]
    fn an_owner_that_does_not_know_where_to_begin_lags() {
        let facts = [joined("billing-1"), joined("billing-2"), owned("billing-1")];
        assert!(matches!(missing_after(&facts)[..], [Missing::Lag { .. }]));
    }

    #[test]
    fn a_killed_member_owns_nothing_until_it_joins_again() {
        let mut groups = billing();
        [joined("billing-1"), joined("billing-2"), owned("billing-1"), assigned("billing-1", 5)]
            .iter()
            .for_each(|fact| groups.observe_fact(fact));
        groups.observe_fault(&Injected::Kill { target: "billing-1".into() });
        let missing = groups.missing(&|_| Offset(5));
        assert!(matches!(missing[..], [Missing::Member { .. }, Missing::Owner { .. }]), "{missing:?}");
    }

    #[test]
    fn what_one_member_processed_counts_for_the_group() {
        let mut groups = billing();
        groups.observe_fact(&processed("billing-1", 2));
        assert!(groups.have_processed(&orders(), Offset(3)));
        assert!(!groups.have_processed(&orders(), Offset(4)));
    }
}
