//! What each group has of its partitions: the owner as ZooKeeper has it, how far it is, and what is committed.
//!
//! An owner node lives as long as its session: the death of a member does not end it.

use std::collections::BTreeMap;

use seedlog::facts::Fact;
use seedlog::types::{Offset, SessionId};
use serde::Serialize;

use super::State;

/// A group's partitions by name.
pub type Places = BTreeMap<String, Place>;

/// One partition as a group reads it.
#[derive(Debug, Default, Serialize)]
pub struct Place {
    pub owner: Option<Owner>,
    /// The next offset that the owner reads.
    pub position: Option<Offset>,
    /// The next offset to read, as committed.
    pub committed: Option<Offset>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Owner {
    pub consumer: String,
    pub session: SessionId,
}

impl State {
    pub(super) fn group_fact(&mut self, fact: &Fact) {
        match fact {
            Fact::PartitionOwned { group, consumer, partition, session, .. } => {
                let place = self.place(group, &partition.to_string());
                place.owner = Some(Owner { consumer: consumer.clone(), session: *session });
                place.position = None;
            }
            Fact::PartitionReleased { group, consumer, partition } => {
                let place = self.place(group, &partition.to_string());
                place.give_up(|owner| owner.consumer == *consumer);
            }
            Fact::GroupLeft { consumer, .. } => {
                self.give_up(|owner| owner.consumer == *consumer);
            }
            Fact::SessionExpired { session } => self.give_up(|owner| owner.session == *session),
            Fact::CommitOk { group, partition, offset, .. } => {
                self.place(group, &partition.to_string()).committed = Some(*offset);
            }
            _ => {
                let (Some(name), Some(partition)) = (fact.consumer(), fact.partition()) else { return };
                let partition = partition.to_string();
                let Some(consumer) = self.consumers.get(name) else { return };
                let position = consumer.positions.get(&partition).copied();
                let Some(group) = consumer.group.clone() else { return };
                let place = self.place(&group, &partition);
                if place.owner.as_ref().is_some_and(|owner| owner.consumer == name) {
                    place.position = position;
                }
            }
        }
    }

    /// The owner's process ended; its nodes stay.
    pub(super) fn lose_positions_of(&mut self, node: &str) {
        for place in self.groups.values_mut().flat_map(BTreeMap::values_mut) {
            if place.owner.as_ref().is_some_and(|owner| owner.consumer == node) {
                place.position = None;
            }
        }
    }

    fn place(&mut self, group: &str, partition: &str) -> &mut Place {
        self.groups.entry(group.to_owned()).or_default().entry(partition.to_owned()).or_default()
    }

    fn give_up(&mut self, is_it: impl Fn(&Owner) -> bool) {
        self.groups.values_mut().flat_map(BTreeMap::values_mut).for_each(|place| place.give_up(&is_it));
    }
}

impl Place {
    fn give_up(&mut self, is_it: impl Fn(&Owner) -> bool) {
        if self.owner.as_ref().is_some_and(is_it) {
            (self.owner, self.position) = (None, None);
        }
    }
}
