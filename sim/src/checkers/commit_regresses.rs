//! H17, `commit-regresses`: a member fetched a committed offset below one that was acknowledged before the
//! fetch could have begun, or none at all. A later commit of a lower offset is no explanation: it is what a
//! member leaves behind that commits what it no longer owns.
//!
//! The fetch began after the member's latest start of a rebalance and its latest taking of the partition.
//! A rewind that the group asked for, or a reset, excuses it down to where the group was told to go, as long as the
//! commit began before. It never excuses that the registry has nothing.

use std::collections::HashMap;

use seedlog::facts::Fact;
use seedlog::types::{Offset, TopicPartition};

use super::groups::{GroupPartition, Incarnation, Turn};
use super::{Case, Check, Feature, Finding};

pub const CHECK: Check = Check::new("H17", "commit-regresses", Feature::Group, judge);

#[derive(Default)]
struct Commits {
    /// Each acknowledgement with the highest one until then, no higher than a rewind since allows for.
    acked: Vec<(usize, Acked)>,
    /// Where the group was told to go, and when.
    rewinds: Vec<(usize, Offset)>,
    /// Where each offset was last said to be committed, acknowledged or not.
    written: HashMap<Offset, usize>,
}

#[derive(Clone, Copy)]
struct Acked {
    at: usize,
    invoked_at: usize,
    offset: Offset,
}

#[derive(Default)]
struct Begun<'a> {
    rebalance: HashMap<Incarnation<'a>, usize>,
    taking: HashMap<(Incarnation<'a>, &'a TopicPartition), usize>,
    commits: HashMap<(Incarnation<'a>, &'a TopicPartition, Offset), usize>,
}

fn judge(case: &Case) -> Vec<Finding> {
    let mut commits: HashMap<GroupPartition, Commits> = HashMap::new();
    let mut begun = Begun::default();
    let mut findings = Vec::new();
    for (at, turn) in case.groups.turns(case.history) {
        let Turn::Stated { incarnation, group, fact } = turn else { continue };
        match fact {
            Fact::RebalanceStarted { .. } => {
                begun.rebalance.insert(incarnation, at);
            }
            Fact::PartitionOwned { partition, .. } => {
                begun.taking.insert((incarnation, partition), at);
            }
            Fact::CommitInvoked { partition, offset, .. } => {
                begun.commits.insert((incarnation, partition, *offset), at);
                commits.entry((group, partition)).or_default().written.insert(*offset, at);
            }
            Fact::CommitOk { partition, offset, .. } => {
                let invoked_at = begun.commits.get(&(incarnation, partition, *offset)).copied().unwrap_or(at);
                let acked = Acked { at, invoked_at, offset: *offset };
                commits.entry((group, partition)).or_default().acked_at(acked);
            }
            Fact::Seeked { partition, position: to, .. } | Fact::PositionReset { partition, to, .. } => {
                commits.entry((group, partition)).or_default().rewinds.push((at, *to));
            }
            Fact::OffsetFetched { partition, offset, .. } => {
                let Some(commits) = commits.get(&(group, partition)) else { continue };
                let Some(Acked { at: acked_at, invoked_at, offset: acked }) =
                    commits.highest_before(begun.fetch(incarnation, partition, at))
                else {
                    continue;
                };
                case.obligations.meet();
                if offset.is_none_or(|offset| offset < acked) {
                    let found = offset.map_or("nothing".to_owned(), |offset| offset.to_string());
                    let message = format!(
                        "{} fetched {found} for {partition} of {group}, which had committed {acked}",
                        incarnation.consumer
                    );
                    let rewound = commits.lowest_rewind_since(invoked_at);
                    let excuse = rewound.filter(|&to| offset.is_some_and(|offset| offset >= to));
                    let written = offset.and_then(|offset| commits.written.get(&offset).copied());
                    let evidence = [acked_at].into_iter().chain(written).chain([at]).collect();
                    let finding = Finding::new(Some(partition), message, evidence);
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
    fn fetch(&self, incarnation: Incarnation<'a>, partition: &'a TopicPartition, at: usize) -> usize {
        let rebalance = self.rebalance.get(&incarnation);
        rebalance.max(self.taking.get(&(incarnation, partition))).copied().unwrap_or(at)
    }
}

impl Commits {
    fn acked_at(&mut self, acked: Acked) {
        let highest = self.acked.last().map(|(_, highest)| *highest);
        let highest = highest.map(|highest| self.lowered(highest));
        let highest = highest.filter(|highest| highest.offset > acked.offset);
        self.acked.push((acked.at, highest.unwrap_or(acked)));
    }

    /// What is left of a commit after the rewinds since it began.
    fn lowered(&self, acked: Acked) -> Acked {
        let told = self.lowest_rewind_since(acked.invoked_at);
        Acked { offset: told.map_or(acked.offset, |told| told.min(acked.offset)), ..acked }
    }

    fn lowest_rewind_since(&self, at: usize) -> Option<Offset> {
        let since = self.rewinds.iter().rev().take_while(|(rewound, _)| *rewound > at);
        since.map(|(_, to)| *to).min()
    }

    /// The highest offset acknowledged before that entry.
    fn highest_before(&self, begun: usize) -> Option<Acked> {
        let before = self.acked.partition_point(|(at, _)| *at < begun);
        before.checked_sub(1).map(|index| self.acked[index].1)
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
    fn the_evidence_is_the_commit_who_wrote_less_and_the_fetch() {
        let story = committed().member("b", 2, 8).committing("a", 3).released("b").member("c", 3, 3);
        let told = ["commits orders-0@3", "committed orders-0@8", "finds orders-0@3 committed"];
        let evidence = story.evidence(&CHECK);
        assert_eq!(evidence.len(), 3, "{evidence:?}");
        for text in told {
            assert!(evidence.iter().any(|line| line.ends_with(text)), "{text}: {evidence:?}");
        }
    }

    #[test]
    fn a_later_commit_of_less_does_not_hide_the_earlier_one() {
        let story = committed().member("b", 2, 8).commits("b", 12).commits("a", 9).released("b");
        assert_eq!(
            story.member("c", 3, 9).violations(&CHECK),
            ["c fetched 9 for orders-0 of billing, which had committed 12"]
        );
    }

    #[test]
    fn what_was_committed_after_a_rewind_counts_from_there() {
        let story = committed().member("b", 2, 8).sought("b", 0).commits("b", 3).released("b");
        assert!(story.member("c", 3, 3).violations(&CHECK).is_empty());
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
    fn a_rewind_excuses_nothing_below_where_the_group_was_told_to_go() {
        let rewound = || Story::new().member("a", 1, 0).commits("a", 8).sought("a", 5).released("a");
        assert_eq!(rewound().member("b", 2, 5).excused(&CHECK).len(), 1);
        assert_eq!(
            rewound().member("b", 2, 3).violations(&CHECK),
            ["b fetched 3 for orders-0 of billing, which had committed 8"]
        );
        let gone = rewound().joined("b", 2).owned("b", 2).fetched("b", None);
        assert_eq!(gone.violations(&CHECK).len(), 1, "a rewind takes no commit away");
    }

    #[test]
    fn a_seek_forward_does_not_forget_what_was_committed() {
        let story = Story::new().member("a", 1, 0).commits("a", 8).sought("a", 9).commits("a", 4);
        assert_eq!(story.released("a").member("b", 2, 4).violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_commit_that_was_under_way_at_the_rewind_is_of_before_it() {
        let overtaken = || Story::new().member("a", 1, 0).committing("a", 8).sought("a", 0).committed("a", 8);
        let went_on = overtaken().commits("a", 3).released("a").member("b", 2, 3);
        assert!(went_on.violations(&CHECK).is_empty());
        let unchanged = overtaken().released("a").member("b", 2, 3);
        assert_eq!(unchanged.excused(&CHECK).len(), 1);
        let stale = Story::new().member("a", 1, 0).sought("a", 0).commits("a", 8).commits("a", 3);
        assert_eq!(stale.released("a").member("b", 2, 3).violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_commit_behind_a_rewind_is_the_last_commit() {
        let story = Story::new().member("a", 1, 0).commits("a", 8).sought("a", 2).commits("a", 3);
        assert!(story.released("a").member("b", 2, 3).excused(&CHECK).is_empty());
    }
}
