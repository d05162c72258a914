//! In how many runs a send ended without anybody knowing whether it was done, over a session of many runs.
//!
//! Most of what can go wrong with records goes wrong around such sends: a sweep that has few of them proves little.

use serde::Serialize;

use crate::report::Verdict;
use crate::scenario::SWEEP;

/// The mark of a run in which a producer gave a record up without knowing its fate.
const MARK: &str = "send-unknown";
/// Below this many runs a share says nothing.
const RUNS_MIN: u64 = 200;
/// Of the seeds of the built-in scenario.
const AMBIGUOUS_PERCENT_MIN: u64 = 30;

/// Runs of the built-in scenario: another one need not have such sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ambiguous {
    pub runs: u64,
    /// Of these, those with an ambiguous send at least.
    pub with: u64,
}

impl Ambiguous {
    /// Adds one run.
    pub fn take(&mut self, verdict: &Verdict) {
        if verdict.scenario == SWEEP {
            self.runs += 1;
            self.with += u64::from(verdict.marks.iter().any(|mark| mark == MARK));
        }
    }

    /// The share, if there are runs that count.
    pub fn text(self) -> Option<String> {
        (self.runs > 0).then(|| format!("{:.1} % of {}", self.percent(), self.runs))
    }

    /// Why the runs prove too little, if they do.
    pub fn objection(self) -> Option<String> {
        let suffices = self.with * 100 >= self.runs * AMBIGUOUS_PERCENT_MIN;
        (self.runs >= RUNS_MIN && !suffices).then(|| {
            format!(
                "{:.1} % of the {} seeds have an ambiguous send, not {AMBIGUOUS_PERCENT_MIN} %",
                self.percent(),
                self.runs
            )
        })
    }

    fn percent(self) -> f64 {
        self.with as f64 * 100.0 / self.runs.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(scenario: &str, with: u64, of: u64) -> Ambiguous {
        let mut ambiguous = Ambiguous::default();
        for seed in 0..of {
            let marks = if seed < with { vec![MARK.to_owned()] } else { Vec::new() };
            ambiguous.take(&Verdict { marks, ..Verdict::empty(scenario, seed) });
        }
        ambiguous
    }

    #[test]
    fn a_sweep_with_too_few_ambiguous_sends_is_objected_to() {
        let few = taken(SWEEP, 59, 200);
        assert_eq!(few.text().unwrap(), "29.5 % of 200");
        assert_eq!(few.objection().unwrap(), "29.5 % of the 200 seeds have an ambiguous send, not 30 %");
        assert_eq!(taken(SWEEP, 60, 200).objection(), None);
        assert_eq!(taken(SWEEP, 0, 199).objection(), None, "too few runs to tell");
    }

    #[test]
    fn another_scenario_need_not_have_any() {
        let other = taken("power", 0, 300);
        assert_eq!((other.text(), other.objection()), (None, None));
    }

    #[test]
    fn the_mark_is_one_that_verdicts_have() {
        let happening = crate::scenario::happening::parse(MARK);
        assert!(happening.is_ok());
        assert!(crate::report::MARKS.contains(&MARK));
    }
}
