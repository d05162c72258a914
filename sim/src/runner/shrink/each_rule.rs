//! `shrink WHAT --each-rule`: how far, and how fast, the first failure of what is named shrinks, for each rule that
//! the sweep must notice the absence of. A measurement: nothing is written.

use std::time::Duration;

use serde::Serialize;

use super::{Shrunk, shrink};
use crate::runner::console::tell;
use crate::runner::named::Named;
use crate::runner::{Exit, Settings, score};

/// What is demanded of the median time, and of what is left.
const MEDIAN_MAX: Duration = Duration::from_secs(60);
const FAULTS_MAX: usize = 3;

/// The last line of `--json`.
#[derive(Debug, Serialize)]
struct Summary {
    summary: bool,
    rules: usize,
    shrunk: usize,
    median_wall_ms: u64,
    faults_after_max: usize,
}

/// Shrinks one failure a rule, each for at most `time`.
pub fn each_rule(named: &Named, time: Duration, settings: &Settings) -> anyhow::Result<Exit> {
    if !settings.json {
        tell("| rule | check | faults before | after | runs | seconds |\n|---|---|---|---|---|---|");
    }
    let mut all = Vec::new();
    for rule in score::REQUIRED {
        let without = Named { without: vec![rule], ..named.clone() };
        // One that shrinks nothing must not hide the others.
        match shrink(&without, None, time, settings) {
            Ok(shrunk) => {
                tell(&row(rule.slug(), &shrunk, settings.json));
                all.push(shrunk);
            }
            Err(error) => eprintln!("warning: {rule}: {error:#}"),
        }
    }
    let summary = summary(&all);
    if settings.json {
        tell(&serde_json::to_string(&summary)?);
    } else {
        let seconds = summary.median_wall_ms as f64 / 1000.0;
        tell(&format!("median {seconds:.1} s, {} of {} rules", summary.shrunk, summary.rules));
    }
    Ok(if is_met(&summary) { Exit::Pass } else { Exit::Violation })
}

fn row(rule: &str, shrunk: &Shrunk, json: bool) -> String {
    if json {
        let mut line = serde_json::to_value(shrunk).expect("a shrunk failure is plain data");
        line["without"] = rule.into();
        return line.to_string();
    }
    format!(
        "| {rule} | {} | {} | {} | {} | {:.1} |",
        shrunk.check,
        shrunk.faults_before,
        shrunk.faults_after,
        shrunk.runs,
        shrunk.wall_ms as f64 / 1000.0
    )
}

fn summary(all: &[Shrunk]) -> Summary {
    let mut times: Vec<u64> = all.iter().map(|shrunk| shrunk.wall_ms).collect();
    times.sort_unstable();
    Summary {
        summary: true,
        rules: score::REQUIRED.len(),
        shrunk: all.len(),
        median_wall_ms: times.get(times.len() / 2).copied().unwrap_or_default(),
        faults_after_max: all.iter().map(|shrunk| shrunk.faults_after).max().unwrap_or_default(),
    }
}

fn is_met(summary: &Summary) -> bool {
    summary.shrunk == summary.rules
        && u128::from(summary.median_wall_ms) <= MEDIAN_MAX.as_millis()
        && summary.faults_after_max <= FAULTS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Verdict;

    fn shrunk(faults_after: usize, wall_ms: u64) -> Shrunk {
        Shrunk {
            scenario: "many_faults".into(),
            seed: 3,
            check: "storage (S13)".into(),
            faults_before: 40,
            faults_after,
            runs: 100,
            wall_ms,
            faults_wall_ms: 50,
            is_literal: true,
            holds_with_rules: Some(true),
            text: String::new(),
            verdict: Verdict::empty("many_faults", 3),
        }
    }

    #[test]
    fn a_row_says_how_many_faults_there_were_and_are() {
        let told = row("cut-torn-tail", &shrunk(1, 2_340), false);
        assert_eq!(told, "| cut-torn-tail | storage (S13) | 40 | 1 | 100 | 2.3 |");
        assert!(row("cut-torn-tail", &shrunk(1, 2_340), true).contains(r#""without":"cut-torn-tail""#));
    }

    #[test]
    fn a_slow_median_a_fault_too_many_and_a_rule_not_found_are_not_what_is_demanded() {
        let of = |faults: usize, wall_ms: u64, count: usize| {
            is_met(&summary(&(0..count).map(|_| shrunk(faults, wall_ms)).collect::<Vec<_>>()))
        };
        let rules = score::REQUIRED.len();
        assert!(of(3, 60_000, rules));
        assert!(!of(4, 60_000, rules) && !of(3, 60_001, rules) && !of(3, 60_000, rules - 1));
    }
}
