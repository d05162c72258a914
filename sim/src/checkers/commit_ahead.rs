//! H16, `commit-ahead`: a group committed an offset although some record below it was never finished there
//! (P17). Whoever takes over begins at the commit, so that record is missed: the heart of at-least-once.
//!
//! An application that marks a record as finished before it works on it is check G4's business.
//!
//! What a group is bound to finish begins where it started to read. A forward seek or a reset explains what
//! it jumps over, and so does a corrupt batch that was skipped. A commit that certainly failed is none. Records
//! that were never delivered to the one that commits are excused where a flipped bit or a misdirected write may have
//! hidden them; and where a log lost what it promised to keep and the group was reset because of that, if whoever was
//! told could not commit where the group goes on: it died, or its session did, or its commit failed.

use std::collections::{HashMap, HashSet};

use seedlog::facts::Fact;
use seedlog::types::{Offset, TopicPartition};

use super::groups::{GroupPartition, Incarnation, Turn};
use super::{Case, Check, Feature, Finding};
use crate::history::Entry;

pub const CHECK: Check = Check::new("H16", "commit-ahead", Feature::Group, judge);

/// How far one group is with one partition.
#[derive(Default)]
struct Reading<'a> {
    /// Who took the partition last. Where others go, who have not noticed, is nothing to the group.
    owner: Option<Incarnation<'a>>,
    /// The lowest offset that the group has still to finish; `None` before it started.
    due: Option<Offset>,
    finished: HashSet<Offset>,
    /// What was due before the application went back, as long as the offset registry does not know that it did.
    before_rewind: Option<Offset>,
    /// A commit failed since it went back.
    could_not_say: bool,
    /// The next seek is the one that a reset leads to.
    is_reset: bool,
    /// A member stood outside of the log, was reset, and did not say so to the offset registry yet.
    untold: Option<Untold>,
    /// The group went on at a commit from before a reset, and nobody could help it.
    missed_reset: bool,
    /// The latest delivery of each offset.
    delivered: HashMap<Offset, usize>,
}

/// A reset that the offset registry does not know of.
#[derive(Clone, Copy)]
struct Untold {
    could_not_say: bool,
}

/// A commit that covers something unfinished.
struct Ahead<'a> {
    at: usize,
    place: GroupPartition<'a>,
    incarnation: Incarnation<'a>,
    offset: Offset,
    missing: Missing,
}

/// A record that is due.
#[derive(Clone, Copy)]
struct Missing {
    offset: Offset,
    delivered: Option<usize>,
    missed_reset: bool,
}

struct Commits<'a> {
    ahead: Vec<Option<Ahead<'a>>>,
    /// Commits under way, with their index in `ahead` if they are there.
    open: HashMap<(Incarnation<'a>, &'a TopicPartition, Offset), Option<usize>>,
}

fn judge(case: &Case) -> Vec<Finding> {
    let mut readings: HashMap<GroupPartition, Reading> = HashMap::new();
    let mut commits = Commits { ahead: Vec::new(), open: HashMap::new() };
    for (at, turn) in case.groups.turns(case.history) {
        let Turn::Stated { incarnation, group, fact } = turn else { continue };
        let Some(partition) = fact.partition() else { continue };
        let place = (group, partition);
        let reading = readings.entry(place).or_default();
        let is_owner = reading.owner.is_none_or(|owner| owner == incarnation);
        match fact {
            Fact::PartitionOwned { .. } => reading.owner = Some(incarnation),
            Fact::Assigned { .. } | Fact::Seeked { .. } | Fact::PositionReset { .. } if !is_owner => {}
            // It is to be refused, and is judged where it was not.
            Fact::CommitInvoked { .. } if !is_owner => {}
            Fact::OffsetFetched { offset: Some(offset), .. } => {
                reading.missed_reset |= reading.untold.take().is_some();
                reading.resume(*offset);
            }
            // It had its chance.
            Fact::PartitionReleased { .. } => {
                reading.untold = reading.untold.filter(|untold| untold.could_not_say);
                reading.before_rewind = reading.before_rewind.filter(|_| reading.could_not_say);
            }
            Fact::Assigned { position, .. } => {
                reading.is_reset = false;
                reading.due = reading.due.or(Some(*position));
            }
            Fact::Seeked { position, .. } => reading.seek(*position),
            Fact::PositionReset { from, to, .. } => {
                reading.is_reset = true;
                reading.due = reading.due.max(Some(*to));
                reading.untold = from.map(|_| Untold { could_not_say: false });
            }
            Fact::Delivered { offset, .. } => {
                reading.delivered.insert(*offset, at);
            }
            Fact::Finished { offset, .. } => drop(reading.finished.insert(*offset)),
            Fact::CorruptSkipped { offset, .. } => {
                let last = case.existing.batch_end(partition, *offset, at);
                reading.finished.extend((offset.0..=last.0).map(Offset));
            }
            Fact::CommitInvoked { offset, .. } => {
                let missing = reading.missing_below(case, partition, *offset);
                commits.invoked(at, place, incarnation, *offset, missing);
            }
            Fact::CommitOk { offset, .. } => {
                reading.untold = None;
                // One on its way when it went back says no more than what was due then.
                reading.before_rewind = reading.before_rewind.filter(|before| offset == before);
                // A commit of which only the end was stated is judged there.
                let was_open = commits.open.remove(&(incarnation, partition, *offset)).is_some();
                if !was_open {
                    let missing = reading.missing_below(case, partition, *offset);
                    commits.invoked(at, place, incarnation, *offset, missing);
                    commits.open.remove(&(incarnation, partition, *offset));
                }
            }
            Fact::CommitFailed { offset, is_unknown, .. } => {
                reading.untold = reading.untold.map(|_| Untold { could_not_say: true });
                reading.could_not_say = true;
                commits.failed((incarnation, partition, *offset), *is_unknown);
            }
            _ => {}
        }
    }
    commits.findings(case)
}

impl Reading<'_> {
    /// Another incarnation goes on at the committed offset: below what was seen so far, all is due that was not
    /// finished; above, what lies between stays due. That the application went back is forgotten where nobody could
    /// commit it: its member died, or its session did, or a commit failed. Who gives a partition up in order commits first.
    fn resume(&mut self, committed: Offset) {
        let due = self.before_rewind.take().or(self.due);
        self.due = Some(due.map_or(committed, |due| due.min(committed)));
    }

    fn seek(&mut self, position: Offset) {
        let of_application = !std::mem::take(&mut self.is_reset);
        let goes_back = of_application && self.due.is_some_and(|due| position < due);
        // A second way back may begin behind where the first one did.
        let before = if goes_back { self.before_rewind.max(self.due) } else { self.before_rewind };
        self.before_rewind = before.filter(|before| position < *before);
        self.due = Some(position);
        self.could_not_say = false;
        // What was finished from there on is to be worked on once more.
        self.finished.retain(|offset| *offset < position);
        // What was given before counts for nothing any more: it is given once more, or is hidden since.
        self.delivered.clear();
    }

    /// The first record below `committed` that is due and not finished, and when it was delivered.
    fn missing_below(
        &mut self,
        case: &Case,
        partition: &TopicPartition,
        committed: Offset,
    ) -> Option<Missing> {
        let mut due = self.due?;
        if case.existing.next(partition, due).is_some_and(|existing| existing < committed) {
            case.obligations.meet();
        }
        while let Some(existing) = case.existing.next(partition, due) {
            if existing >= committed {
                break;
            }
            if !self.finished.contains(&existing) {
                self.due = Some(existing);
                let delivered = self.delivered.get(&existing).copied();
                return Some(Missing { offset: existing, delivered, missed_reset: self.missed_reset });
            }
            due = existing.next();
        }
        self.due = Some(due);
        None
    }
}

impl<'a> Commits<'a> {
    fn invoked(
        &mut self,
        at: usize,
        place: GroupPartition<'a>,
        incarnation: Incarnation<'a>,
        offset: Offset,
        missing: Option<Missing>,
    ) {
        let index = missing.map(|missing| {
            self.ahead.push(Some(Ahead { at, place, incarnation, offset, missing }));
            self.ahead.len() - 1
        });
        self.open.insert((incarnation, place.1, offset), index);
    }

    fn failed(&mut self, commit: (Incarnation<'a>, &'a TopicPartition, Offset), is_unknown: bool) {
        if let Some(Some(index)) = self.open.remove(&commit)
            && !is_unknown
        {
            self.ahead[index] = None;
        }
    }

    /// One finding a missed record: later commits cover the same one again.
    fn findings(self, case: &Case) -> Vec<Finding> {
        let mut told = HashSet::new();
        let ahead = self.ahead.into_iter().flatten();
        let first = ahead.filter(|ahead| told.insert((ahead.place, ahead.missing.offset)));
        first.map(|ahead| describe(case, ahead)).collect()
    }
}

fn describe(case: &Case, ahead: Ahead) -> Finding {
    let (group, partition) = ahead.place;
    let Missing { offset, delivered, missed_reset } = ahead.missing;
    let state = if delivered.is_some() { "delivered and not finished" } else { "never delivered" };
    let message = format!(
        "{} committed {partition}@{} for {group}, but {offset} was {state}",
        ahead.incarnation.consumer, ahead.offset
    );
    let evidence = delivered.into_iter().chain([ahead.at]).collect();
    // What another one was given, and left unfinished, can be hidden since.
    let was_given = delivered.filter(|at| is_of(&case.history[*at], ahead.incarnation));
    let excuse = match was_given {
        Some(_) => None,
        None => case
            .budget
            .excuses_misplacement(partition, [offset])
            .or_else(|| case.budget.excuses_loss(partition, offset).filter(|_| missed_reset)),
    };
    Finding::new(Some(partition), message, evidence).excused_by(excuse)
}

fn is_of(entry: &Entry, incarnation: Incarnation) -> bool {
    *entry.node == *incarnation.consumer && entry.incarnation == incarnation.number
}

#[cfg(test)]
mod tests;
