//! H17, `commit-regresses`: a member fetched a committed offset below one that was acknowledged before the
//! fetch could have begun, or none at all.
//!
//! The fetch began after the member's latest start of a rebalance and its latest taking of the partition.
//! A rewind that the group asked for excuses it.

use std::collections::HashMap;

use seedlog::facts::Fact;
use seedlog::types::{Offset, TopicPartition};

use super::groups::{GroupPartition, Life, Turn};
use super::{Case, Check, Finding};

pub const CHECK: Check = Check { id: "H17", slug: "commit-regresses", judge };

#[derive(Default)]
struct Commits {
    /// Acknowledged ones, as they were.
    acked: Vec<(usize, Offset)>,
    rewound: Option<usize>,
}

#[derive(Default)]
struct Begun<'a> {
    rebalance: HashMap<Life<'a>, usize>,
    taking: HashMap<(Life<'a>, &'a TopicPartition), usize>,
}

fn judge(case: &Case) -> Vec<Finding> {
    let mut commits: HashMap<GroupPartition, Commits> = HashMap::new();
    let mut begun = Begun::default();
    let mut findings = Vec::new();
    for (at, turn) in case.groups.turns(case.history) {
        let Turn::Stated { life, group, fact } = turn else { continue };
        match fact {
            Fact::RebalanceStarted { .. } => {
                begun.rebalance.insert(life, at);
            }
            Fact::PartitionOwned { partition, .. } => {
                begun.taking.insert((life, partition), at);
            }
            Fact::CommitOk { partition, offset, .. } => {
                commits.entry((group, partition)).or_default().acked.push((at, *offset));
            }
            Fact::Seeked { partition, .. } => {
                commits.entry((group, partition)).or_default().rewound = Some(at);
            }
            Fact::OffsetFetched { partition, offset, .. } => {
                let Some(commits) = commits.get(&(group, partition)) else { continue };
                let Some((acked_at, acked)) = commits.latest_before(begun.fetch(life, partition, at)) else {
                    continue;
                };
                if offset.is_none_or(|offset| offset < acked) {
                    let found = offset.map_or("nothing".to_owned(), |offset| offset.to_string());
                    let message = format!(
                        "{} fetched {found} for {partition} of {group}, which had committed {acked}",
                        life.consumer
                    );
                    let excuse = commits.rewound.filter(|&rewound| rewound > acked_at);
                    let finding = Finding::new(Some(partition), message, vec![acked_at, at]);
                    findings.push(finding.excused_by(excuse.map(|_| "the group was told to rewind".into())));
                }
            }
            _ => {}
        }
    }
    findings
}

impl<'a> Begun<'a> {
    /// The latest entry before which the fetch that ended at `at` cannot have begun.
    fn fetch(&self, life: Life<'a>, partition: &'a TopicPartition, at: usize) -> usize {
        let rebalance = self.rebalance.get(&life);
        rebalance.max(self.taking.get(&(life, partition))).copied().unwrap_or(at)
    }
}

impl Commits {
    fn latest_before(&self, begun: usize) -> Option<(usize, Offset)> {
        let before = self.acked.partition_point(|(at, _)| *at < begun);
        before.checked_sub(1).map(|index| self.acked[index])
    }
}

#[cfg(test)]
mod tests {
    use super::CHECK;
    use crate::checkers::story::Story;

    fn committed() -> Story {
        Story::new().member("a", 1, 0).commits("a", 5).commits("a", 8).released("a")
    }

    #[test]
    fn fetching_the_last_commit_or_one_that_was_never_answered_passes() {
        assert!(committed().member("b", 2, 8).violations(&CHECK).is_empty());
        let unanswered = Story::new().member("a", 1, 0).commits("a", 5).committing("a", 8).released("a");
        assert!(unanswered.member("b", 2, 8).violations(&CHECK).is_empty());
    }

    #[test]
    fn fetching_less_than_the_last_commit_is_found() {
        assert_eq!(
            committed().member("b", 2, 5).violations(&CHECK),
            ["b fetched 5 for orders-0 of billing, which had committed 8"]
        );
    }

    #[test]
    fn fetching_nothing_after_a_commit_is_found() {
        let story = committed().joined("b", 2).owned("b", 2).fetched("b", None);
        assert_eq!(
            story.violations(&CHECK),
            ["b fetched nothing for orders-0 of billing, which had committed 8"]
        );
    }

    #[test]
    fn a_group_that_never_committed_fetches_nothing() {
        let story = Story::new().joined("a", 1).owned("a", 1).fetched("a", None);
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_commit_acknowledged_while_the_fetch_was_under_way_does_not_count() {
        let story = Story::new()
            .member("a", 1, 0)
            .commits("a", 5)
            .joined("b", 2)
            .rebalancing("b")
            .commits("a", 8)
            .fetched("b", Some(5));
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_commit_before_the_partition_was_taken_counts() {
        let story = Story::new()
            .member("a", 1, 0)
            .joined("b", 2)
            .rebalancing("b")
            .commits("a", 8)
            .released("a")
            .owned("b", 2)
            .fetched("b", Some(5));
        assert_eq!(story.violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_rewind_excuses_it() {
        let story = Story::new().member("a", 1, 0).commits("a", 8).sought("a", 2).committing("a", 3);
        let story = story.released("a").member("b", 2, 3);
        assert!(story.violations(&CHECK).is_empty());
        assert_eq!(story.excused(&CHECK).len(), 1);
    }

    #[test]
    fn a_commit_behind_a_rewind_is_the_last_commit() {
        let story = Story::new().member("a", 1, 0).commits("a", 8).sought("a", 2).commits("a", 3);
        assert!(story.released("a").member("b", 2, 3).excused(&CHECK).is_empty());
    }
}
