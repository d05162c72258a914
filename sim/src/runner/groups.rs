//! Failures that are alike, grouped by their cause.
//!
//! At first the message's shape stands for the cause. Where the necessary faults of a group's first failure are
//! known, groups of one check that need faults of the same kinds become one.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::token;
use crate::report::Verdict;
use crate::report::cause::{Cause, Necessary};

/// Seeds named of one cause; the first is explained.
const SEEDS_TOLD_MAX: usize = 20;

#[derive(Debug, Default)]
pub struct Groups {
    by_cause: BTreeMap<Cause, Group>,
}

/// Runs that failed alike.
#[derive(Debug)]
struct Group {
    /// Over the first of them.
    first: Verdict,
    runs: u64,
    seeds: Vec<u64>,
    /// How the failures of groups that were merged into this one are told.
    also: BTreeSet<String>,
}

/// A group in the last line of `--json`.
#[derive(Debug, Serialize)]
pub struct GroupLine<'a> {
    #[serde(flatten)]
    cause: &'a Cause,
    runs: u64,
    /// The first ones.
    seeds: &'a [u64],
    #[serde(skip_serializing_if = "Option::is_none")]
    necessary: Option<&'a Necessary>,
    /// Shapes of the messages under which it was found too.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    also: &'a BTreeSet<String>,
    replay: String,
}

/// What equal causes have in common: the scenario, the suspended rules, the check, and the kinds of the faults.
type Need = (String, Vec<String>, String, BTreeSet<String>);

impl Groups {
    /// Takes a failed run in.
    pub fn take(&mut self, verdict: &Verdict) {
        let new = || Group { first: verdict.clone(), runs: 0, seeds: Vec::new(), also: BTreeSet::new() };
        let group = self.by_cause.entry(Cause::of(verdict)).or_insert_with(new);
        group.runs += 1;
        if group.seeds.len() < SEEDS_TOLD_MAX {
            group.seeds.push(verdict.seed);
        }
    }

    /// Makes groups one that need the same. What was not found out, or not in time, stays by itself.
    pub fn merge(&mut self) {
        let mut first_with: BTreeMap<Need, Cause> = BTreeMap::new();
        for (cause, group) in std::mem::take(&mut self.by_cause) {
            let like = need(&cause, &group.first)
                .map(|need| first_with.entry(need).or_insert_with(|| cause.clone()).clone());
            match like.and_then(|like| self.by_cause.get_mut(&like)) {
                Some(earlier) => earlier.absorb(cause.shape, group),
                None => drop(self.by_cause.insert(cause, group)),
            }
        }
    }

    /// How many causes there are.
    pub fn count(&self) -> usize {
        self.by_cause.len()
    }

    /// How else the failures of the group are told whose first one this is.
    pub fn also(&self, first: &Verdict) -> impl Iterator<Item = &str> {
        let group = self.by_cause.get(&Cause::of(first));
        group.into_iter().flat_map(|group| &group.also).map(String::as_str)
    }

    /// The first failure of each group, and how many there were.
    pub fn firsts(&self) -> impl Iterator<Item = (&Verdict, u64)> {
        self.by_cause.values().map(|group| (&group.first, group.runs))
    }

    /// The first failures, to add what was found out about them.
    pub fn firsts_mut(&mut self) -> impl Iterator<Item = &mut Verdict> {
        self.by_cause.values_mut().map(|group| &mut group.first)
    }

    pub fn lines(&self) -> Vec<GroupLine<'_>> {
        self.by_cause.iter().map(|(cause, group)| line(cause, group)).collect()
    }
}

impl Group {
    fn absorb(&mut self, shape: String, other: Group) {
        self.runs += other.runs;
        self.seeds.extend(other.seeds);
        self.seeds.sort_unstable();
        self.seeds.truncate(SEEDS_TOLD_MAX);
        self.also.insert(shape);
    }
}

fn need(cause: &Cause, first: &Verdict) -> Option<Need> {
    let necessary = first.necessary.as_ref().filter(|necessary| !necessary.is_bounded)?;
    Some((cause.scenario.clone(), cause.without.clone(), cause.check.clone(), necessary.kinds.clone()))
}

fn line<'a>(cause: &'a Cause, group: &'a Group) -> GroupLine<'a> {
    GroupLine {
        cause,
        runs: group.runs,
        seeds: &group.seeds,
        necessary: group.first.necessary.as_ref(),
        also: &group.also,
        replay: token::arguments(&group.first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Breakdown;

    fn failed(seed: u64, message: &str) -> Verdict {
        let mut verdict = Verdict::empty("sweep", seed);
        verdict.violations.push(Breakdown::Panic.violation(message));
        verdict
    }

    #[test]
    fn runs_that_fail_alike_are_one_group_with_their_seeds() {
        let mut groups = Groups::default();
        for (seed, message) in [(1, "index 3 of 2"), (5, "index 17 of 9"), (7, "queue is full")] {
            groups.take(&failed(seed, message));
        }
        let lines = serde_json::to_value(groups.lines()).unwrap();
        assert_eq!(lines[0]["shape"], "index # of #");
        assert_eq!(lines[0]["seeds"], serde_json::json!([1, 5]));
        assert_eq!((lines[1]["runs"].as_u64(), groups.count()), (Some(1), 2));
        assert!(lines[0]["replay"].as_str().unwrap().starts_with("sweep@1#"));
    }

    /// A group's failures, whose first one needs faults of these kinds; `None`: not found out.
    fn needing(groups: &mut Groups, seed: u64, message: &str, kinds: Option<&[&str]>) {
        groups.take(&failed(seed, message));
        let first = groups.firsts_mut().find(|first| first.seed == seed).expect("taken just now");
        first.necessary = kinds.map(|kinds| Necessary {
            faults: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            of: 9,
            is_bounded: false,
        });
    }

    #[test]
    fn failures_of_one_check_that_need_faults_of_one_kind_are_one_cause() {
        let mut groups = Groups::default();
        needing(&mut groups, 5, "a lost it", Some(&["kill"]));
        needing(&mut groups, 2, "b lost it", Some(&["kill"]));
        needing(&mut groups, 3, "c lost it", Some(&["kill", "cut"]));
        needing(&mut groups, 4, "d lost it", None);
        needing(&mut groups, 6, "e lost it", None);
        groups.merge();
        let lines = serde_json::to_value(groups.lines()).unwrap();
        let seeds: Vec<_> = lines.as_array().unwrap().iter().map(|line| line["seeds"].to_string()).collect();
        assert_eq!(seeds, ["[2,5]", "[3]", "[4]", "[6]"]);
        assert_eq!((&lines[0]["shape"], &lines[0]["runs"]), (&"a lost it".into(), &2.into()));
        assert_eq!(lines[0]["also"], serde_json::json!(["b lost it"]));
        let first = groups.firsts().next().unwrap().0.clone();
        assert_eq!(groups.also(&first).collect::<Vec<_>>(), ["b lost it"]);
    }

    #[test]
    fn what_was_not_found_out_in_time_is_not_merged() {
        let mut groups = Groups::default();
        needing(&mut groups, 1, "a lost it", Some(&["kill"]));
        needing(&mut groups, 2, "b lost it", Some(&["kill"]));
        groups.firsts_mut().last().unwrap().necessary.as_mut().unwrap().is_bounded = true;
        groups.merge();
        assert_eq!(groups.count(), 2);
    }
}
