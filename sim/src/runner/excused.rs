//! In how many runs something was excused, by check, over a session of many runs: within what the cluster promised to
//! survive and beyond it, apart.
//!
//! What is excused in budget has no damage to blame: of some checks it may be no more than a trifle.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::checkers;
use crate::report::Verdict;

/// A sweep in which more than this share of the seeds was excused for some check proves too little of it.
const EXCUSED_PERCENT_MAX: u64 = 25;
/// Below this many runs a share says nothing.
const RUNS_MIN: u64 = 40;

/// Runs in which something was excused from one check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Runs {
    pub seeds: u64,
    /// Of these, those with an excuse that is no damage beyond the budget, and those with one that is: some have both.
    pub in_budget: u64,
    pub over_budget: u64,
}

/// By the checks' names.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Excuses {
    of: BTreeMap<String, Runs>,
}

impl Excuses {
    /// Adds one run.
    pub fn take(&mut self, verdict: &Verdict) {
        let mut kinds: BTreeMap<&str, (bool, bool)> = BTreeMap::new();
        for excused in &verdict.excused {
            let (in_budget, over_budget) = kinds.entry(&excused.slug).or_default();
            *(if excused.is_over_budget() { over_budget } else { in_budget }) = true;
        }
        for (slug, (in_budget, over_budget)) in kinds {
            let runs = self.of.entry(slug.to_owned()).or_default();
            runs.seeds += 1;
            runs.in_budget += u64::from(in_budget);
            runs.over_budget += u64::from(over_budget);
        }
    }

    /// For every check that excused something: in which share of the seeds.
    pub fn text(&self, runs: u64) -> String {
        let line = |(slug, of): (&String, &Runs)| {
            format!(
                "{slug} {:.1} % ({:.1} % in budget, {:.1} % over)",
                percent(of.seeds, runs),
                percent(of.in_budget, runs),
                percent(of.over_budget, runs)
            )
        };
        super::tally::listed(self.of.iter().map(line))
    }

    /// Why `runs` runs prove too little of a check, for each of which they do.
    pub fn objections(&self, runs: u64) -> Vec<String> {
        if runs < RUNS_MIN {
            return Vec::new();
        }
        let is_too_much = |(_, of): &(&String, &Runs)| of.seeds * 100 > runs * EXCUSED_PERCENT_MAX;
        let all = self.of.iter().filter(is_too_much).map(|(slug, _)| {
            format!("more than {EXCUSED_PERCENT_MAX} % of the seeds were excused from {slug}")
        });
        let in_budget = self.of.iter().filter_map(|(slug, of)| {
            let limit = checkers::named(slug)?.excused_in_budget_below?;
            (of.in_budget * 100 >= runs * limit).then(|| {
                let share = percent(of.in_budget, runs);
                format!(
                    "{share:.1} % of the seeds were excused from {slug} in budget, not less than {limit} %"
                )
            })
        });
        all.chain(in_budget).collect()
    }
}

fn percent(part: u64, runs: u64) -> f64 {
    part as f64 * 100.0 / runs.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Excused;

    const OVER: &str = "over budget: a bit of the only replica flipped";
    const IN: &str = "the scenario excepts this check";

    fn excused(slug: &str, reasons: &[&str]) -> Verdict {
        let excused = reasons.iter().map(|reason| Excused {
            check: "H2".into(),
            slug: slug.into(),
            reason: (*reason).into(),
            findings: 2,
        });
        Verdict { excused: excused.collect(), ..Verdict::empty("sweep", 1) }
    }

    fn taken(verdicts: &[(Verdict, u64)]) -> Excuses {
        let mut excuses = Excuses::default();
        for (verdict, times) in verdicts {
            (0..*times).for_each(|_| excuses.take(verdict));
        }
        excuses
    }

    #[test]
    fn what_is_excused_in_budget_and_beyond_it_is_told_apart() {
        let excuses = taken(&[
            (excused("duplicate", &[OVER]), 2),
            (excused("duplicate", &[OVER, IN]), 1),
            (excused("skip", &[IN]), 1),
        ]);
        assert_eq!(
            excuses.text(10),
            "duplicate 30.0 % (10.0 % in budget, 30.0 % over), skip 10.0 % (10.0 % in budget, 0.0 % over)"
        );
        let json = serde_json::to_value(&excuses).unwrap();
        assert_eq!(json["duplicate"], serde_json::json!({"seeds": 3, "in_budget": 1, "over_budget": 3}));
    }

    #[test]
    fn copies_that_are_excused_in_budget_are_no_more_than_a_trifle() {
        let objections = |reason, times| taken(&[(excused("duplicate", &[reason]), times)]).objections(100);
        assert_eq!(objections(IN, 2), [""; 0]);
        assert_eq!(
            objections(IN, 3),
            ["3.0 % of the seeds were excused from duplicate in budget, not less than 3 %"]
        );
        assert_eq!(objections(OVER, 25), [""; 0]);
        assert_eq!(objections(OVER, 26), ["more than 25 % of the seeds were excused from duplicate"]);
    }

    #[test]
    fn a_check_of_which_nothing_is_demanded_in_budget_may_be_excused_as_any_other() {
        assert_eq!(taken(&[(excused("commit-regresses", &[IN]), 10)]).objections(40), [""; 0]);
        assert_eq!(taken(&[(excused("duplicate", &[IN]), 39)]).objections(39), [""; 0], "too few to tell");
    }
}
