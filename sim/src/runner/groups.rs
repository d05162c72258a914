//! Failures that are alike, grouped by their cause.

use std::collections::BTreeMap;

use serde::Serialize;

use super::token::Token;
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
    replay: String,
}

impl Groups {
    /// Takes a failed run in.
    pub fn take(&mut self, verdict: &Verdict) {
        let new = || Group { first: verdict.clone(), runs: 0, seeds: Vec::new() };
        let group = self.by_cause.entry(Cause::of(verdict)).or_insert_with(new);
        group.runs += 1;
        if group.seeds.len() < SEEDS_TOLD_MAX {
            group.seeds.push(verdict.seed);
        }
    }

    /// How many causes there are.
    pub fn count(&self) -> usize {
        self.by_cause.len()
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

fn line<'a>(cause: &'a Cause, group: &'a Group) -> GroupLine<'a> {
    let without: String = cause.without.iter().map(|rule| format!(" --without {rule}")).collect();
    GroupLine {
        cause,
        runs: group.runs,
        seeds: &group.seeds,
        necessary: group.first.necessary.as_ref(),
        replay: format!("{}{without}", Token::here(&group.first.scenario, group.first.seed)),
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
}
