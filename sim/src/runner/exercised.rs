//! How much of what it is there for each check was given to judge, over a session of many runs.
//!
//! A check that no run gives anything to compare proves nothing, however many seeds pass.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::checkers::{self, CHECKS};
use crate::report::Verdict;

/// Below this many runs a share says nothing, and below so many of those that a check applies to.
const RUNS_MIN: u64 = 200;
const APPLICABLE_MIN: u64 = 10;

/// Runs of one check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// That have the feature which makes it applicable.
    pub applicable: u64,
    /// Of these, those in which it compared something.
    pub exercised: u64,
}

/// By the checks' names.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Exercised {
    shares: BTreeMap<String, Share>,
}

impl Share {
    fn percent(self) -> f64 {
        self.exercised as f64 * 100.0 / self.applicable.max(1) as f64
    }

    fn is_below(self, percent: u64) -> bool {
        self.applicable >= APPLICABLE_MIN && self.exercised * 100 < self.applicable * percent
    }
}

impl Exercised {
    /// Adds one run.
    pub fn take(&mut self, verdict: &Verdict) {
        for (slug, met) in &verdict.exercised {
            let share = self.shares.entry(slug.clone()).or_default();
            share.applicable += 1;
            share.exercised += u64::from(*met > 0);
        }
    }

    /// For every check: in how many of the seeds that it applies to it compared something, in the order of the checks.
    pub fn text(&self) -> String {
        let shares = CHECKS.iter().filter_map(|check| Some((check, self.shares.get(check.slug)?)));
        let lines = shares
            .map(|(check, share)| format!("{} {:.1} % of {}", check.slug, share.percent(), share.applicable));
        super::tally::listed(lines)
    }

    /// Why `runs` runs prove too little of a check, for each of which they do.
    pub fn objections(&self, runs: u64) -> Vec<String> {
        if runs < RUNS_MIN {
            return Vec::new();
        }
        let below = self.shares.iter().filter_map(|(slug, share)| {
            let demanded = checkers::named(slug)?.exercised_min;
            share.is_below(demanded).then(|| {
                format!(
                    "{slug} compared something in {:.1} % of the {} seeds that it applies to, not in {demanded} %",
                    share.percent(),
                    share.applicable
                )
            })
        });
        below.collect()
    }
}
