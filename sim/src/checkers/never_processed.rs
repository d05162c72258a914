//! G4, `never-processed`: an acknowledged record that a group went past, and that none of its applications ever
//! processed. What an application misses that commits before it processes.
//!
//! Only what applications state themselves counts; a group whose applications state nothing is not judged. A
//! group that starts at the log's end is judged from its first commit on.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use seedlog::facts::Fact;
use seedlog::types::{Offset, TopicPartition};

use super::groups::Turn;
use super::{Case, Check, Feature, Finding};

pub const CHECK: Check = Check::new("G4", "never-processed", Feature::Group, judge);

/// An acknowledged record that its group will never see again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostRecord {
    pub group: String,
    pub partition: TopicPartition,
    pub offset: Offset,
    /// The start of its value.
    pub label: String,
    /// Why it may be lost all the same.
    pub excuse: Option<String>,
    message: String,
    evidence: Vec<usize>,
}

/// What one group did with one partition.
#[derive(Default)]
struct Work {
    processed: HashSet<Offset>,
    first_commit: Option<Offset>,
    furthest: Option<Furthest>,
    /// The first delivery of each offset.
    delivered: HashMap<Offset, usize>,
}

/// The end of what a group left behind it.
#[derive(Clone, Copy)]
struct Furthest {
    end: Offset,
    at: usize,
    /// What the group did up to there.
    did: &'static str,
}

/// By partition, then by group.
type WorkOfGroups<'a> = HashMap<&'a TopicPartition, BTreeMap<&'a str, Work>>;

/// Every record that a group missed, in the order in which they were sent.
pub fn lost_records(case: &Case) -> Vec<LostRecord> {
    let work = work_of_groups(case);
    let mut lost = Vec::new();
    for (send, acked_at, offset) in case.ledger.acked() {
        if !case.terms.ack_promises(send.partition, send.acks) {
            continue;
        }
        for (group, work) in work.get(send.partition).into_iter().flatten() {
            case.obligations.meet_many(u64::from(work.furthest.is_some_and(|past| offset < past.end)));
            let Some(furthest) = work.missed(case, group, offset) else { continue };
            let (partition, label) = (send.partition, &send.record.label);
            let Furthest { end, at, did } = furthest;
            let message = format!("{partition}@{offset} {label:?} was acked; {group} {did} {end}, never it");
            let evidence = [Some(acked_at), work.delivered.get(&offset).copied(), Some(at)];
            lost.push(LostRecord {
                group: (*group).to_owned(),
                partition: partition.clone(),
                offset,
                label: label.clone(),
                excuse: case.budget.excuses_loss_of(partition, offset, send.invoked),
                message,
                evidence: evidence.into_iter().flatten().collect(),
            });
        }
    }
    lost
}

fn judge(case: &Case) -> Vec<Finding> {
    let finding = |lost: LostRecord| {
        Finding::new(Some(&lost.partition), lost.message, lost.evidence).excused_by(lost.excuse)
    };
    lost_records(case).into_iter().map(finding).collect()
}

fn work_of_groups<'a>(case: &Case<'a>) -> WorkOfGroups<'a> {
    let mut groups = WorkOfGroups::new();
    let mut telling: BTreeSet<&str> = BTreeSet::new();
    for (at, turn) in case.groups.turns(case.history) {
        let Turn::Stated { group, fact, .. } = turn else { continue };
        let Some(partition) = fact.partition() else { continue };
        let work = groups.entry(partition).or_default().entry(group).or_default();
        match fact {
            Fact::Delivered { offset, .. } => {
                work.delivered.entry(*offset).or_insert(at);
            }
            Fact::Processed { offset, .. } => {
                telling.insert(group);
                work.processed.insert(*offset);
                work.goes_past(Furthest { end: offset.next(), at, did: "processed up to" });
            }
            Fact::CommitOk { offset, .. } => {
                work.first_commit = work.first_commit.or(Some(*offset));
                work.goes_past(Furthest { end: *offset, at, did: "committed" });
            }
            _ => {}
        }
    }
    for groups in groups.values_mut() {
        groups.retain(|group, _| telling.contains(group));
    }
    groups
}

impl Work {
    fn goes_past(&mut self, to: Furthest) {
        if self.furthest.is_none_or(|furthest| furthest.end < to.end) {
            self.furthest = Some(to);
        }
    }

    /// Whether the group missed the record at `offset`; says how far it went without it.
    fn missed(&self, case: &Case, group: &str, offset: Offset) -> Option<Furthest> {
        let reads_everything = case.terms.memberships.get(group).is_none_or(|m| m.reads_everything);
        let is_due = reads_everything || self.first_commit.is_some_and(|first| offset >= first);
        self.furthest.filter(|past| is_due && offset < past.end && !self.processed.contains(&offset))
    }
}

#[cfg(test)]
mod tests {
    use seedlog::types::Durability;

    use super::CHECK;
    use crate::checkers::story::Story;

    /// Two records are acked; the group reads both and commits.
    fn reads_two() -> Story {
        Story::new()
            .send(0, "r-0")
            .acked(0, 0)
            .send(1, "r-1")
            .acked(1, 1)
            .member("billing-1", 1, 0)
            .read("billing-1", 0, "r-0")
            .processed("billing-1", 0)
            .read("billing-1", 1, "r-1")
    }

    #[test]
    fn a_record_that_was_committed_and_then_forgotten_is_found() {
        let story = reads_two().commits("billing-1", 2).killed("billing-1").member("billing-1", 2, 2);
        assert_eq!(
            story.violations(&CHECK),
            [r#"orders-0@1 "r-1" was acked; billing committed 2, never it"#]
        );
    }

    #[test]
    fn a_record_that_the_next_owner_processes_is_not_missed() {
        let story = reads_two()
            .commits("billing-1", 1)
            .killed("billing-1")
            .member("billing-2", 2, 1)
            .read("billing-2", 1, "r-1")
            .processed("billing-2", 1)
            .commits("billing-2", 2);
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_record_that_the_group_did_not_reach_yet_is_not_missed() {
        assert!(reads_two().commits("billing-1", 1).violations(&CHECK).is_empty());
    }

    #[test]
    fn a_record_passed_over_by_processing_the_next_one_is_found() {
        let story = reads_two().send(2, "r-2").acked(2, 2).processed("billing-1", 2);
        assert_eq!(story.violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_group_that_states_nothing_is_not_judged() {
        let story = Story::new().send(0, "r-0").acked(0, 0).member("billing-1", 1, 0).commits("billing-1", 1);
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_loss_of_the_log_excuses_it() {
        let story = Story::new()
            .durability(Durability::PageCache)
            .appended(0, 1, 1)
            .send(0, "r-0")
            .acked(0, 0)
            .member("billing-1", 1, 0)
            .power_failure()
            .processed("billing-1", 1);
        assert!(story.violations(&CHECK).is_empty());
        assert_eq!(story.excused(&CHECK).len(), 1);
    }
}
