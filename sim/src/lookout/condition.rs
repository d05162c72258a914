//! Whether what a story demands in time has come true.

use std::collections::BTreeMap;

use seedlog::facts::Fact;
use seedlog::types::{Offset, TopicPartition};

use super::scene::Scene;
use crate::history::{Entry, What};
use crate::scenario::Condition;
use crate::scenario::happening::{Known, Watch};

/// A condition whose time runs.
pub(super) enum Watching {
    /// `since`: the first offset that was appended in this time.
    Writable {
        partition: TopicPartition,
        since: Option<Offset>,
    },
    Readable {
        partition: TopicPartition,
        since: Option<Offset>,
    },
    Rebalanced {
        group: String,
        has_ended: bool,
    },
    CaughtUp {
        who: String,
        ends: BTreeMap<TopicPartition, Offset>,
    },
    Happens(Watch),
}

impl Watching {
    pub(super) fn new(condition: &Condition, scene: &Scene) -> Watching {
        match condition {
            Condition::Writable(partition) => {
                Watching::Writable { partition: partition.clone(), since: None }
            }
            Condition::Readable(partition) => {
                Watching::Readable { partition: partition.clone(), since: None }
            }
            Condition::Rebalanced(group) => Watching::Rebalanced { group: group.clone(), has_ended: false },
            Condition::CaughtUp(who) => Watching::CaughtUp { who: who.clone(), ends: scene.ends_for(who) },
            Condition::Happens(happening) => Watching::Happens(Watch::new(happening)),
        }
    }

    /// Whether it is true as things stand.
    pub(super) fn is_met(&self, scene: &Scene) -> bool {
        match self {
            Watching::CaughtUp { who, ends } => {
                ends.iter().all(|(partition, end)| scene.has_reached(who, partition, *end))
            }
            Watching::Rebalanced { group, has_ended } => *has_ended && scene.is_balanced(group),
            Watching::Writable { .. } | Watching::Readable { .. } | Watching::Happens(_) => false,
        }
    }

    /// Takes an entry into account; whether it came true.
    pub(super) fn sees(&mut self, entry: &Entry, known: &Known, scene: &Scene) -> bool {
        if let Watching::Happens(watch) = self {
            return watch.sees(entry, known);
        }
        let What::Fact(fact) = &entry.what else { return false };
        match (&mut *self, fact) {
            (
                Watching::Writable { partition, since } | Watching::Readable { partition, since },
                Fact::Appended { partition: appended, base, .. },
            ) if appended == partition => {
                // An offset that was cut off may be given again: what counts is the latest lowest one.
                *since = Some(since.map_or(*base, |since| since.min(*base)));
                false
            }
            (
                Watching::Writable { partition, since: Some(since) },
                Fact::SendOk { partition: acked, offset: Some(offset), .. },
            ) => acked == partition && *offset >= *since,
            (
                Watching::Readable { partition, since: Some(since) },
                Fact::Delivered { partition: read, offset, .. },
            ) => read == partition && *offset >= *since,
            (Watching::Rebalanced { group, has_ended }, fact) => {
                *has_ended |= matches!(fact, Fact::RebalanceFinished { group: of, .. } if of == group);
                self.is_met(scene)
            }
            (Watching::CaughtUp { .. }, Fact::Delivered { .. } | Fact::Assigned { .. }) => self.is_met(scene),
            _ => false,
        }
    }
}
