//! `score`: does the sweep notice when a safety rule is suspended?
//!
//! Each rule is suspended for itself; seeds of the default sweep are run until a check fires on one that passes
//! with the rule in force, and the replay token of that run must fail again, with the same trace. A seed in which nobody
//! asks for a rule is not run without it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};

use seedlog::rules::Rule;
use serde::Serialize;

use super::console::tell;
use super::pool::{self, Done, Task};
use super::token;
use super::worker::{Job, Keep};
use super::{Exit, Settings};
use crate::report::Outcome;
use crate::scenario::Scenario;

/// The rules that the default sweep must find.
pub const REQUIRED: [Rule; 19] = [
    Rule::CutTornTail,
    Rule::AppendBeforeAck,
    Rule::ExposeOnlyWhatIsDurable,
    Rule::SyncDirectoryOfNewName,
    Rule::DeadIncarnationWritesNothing,
    Rule::RaiseLeaderEpochOnStart,
    Rule::OneRequestInFlightWhileRetrying,
    Rule::FailLogDirOnFailedFsync,
    Rule::CommitOnlyFinished,
    Rule::CommitNothingPrefetched,
    Rule::QueueBeforeAdvancing,
    Rule::OwnBeforeDelivering,
    Rule::DropOwnershipOnExpiry,
    Rule::CompareEphemeralOwner,
    Rule::SettleAmbiguousCreate,
    Rule::SetWatchesAgain,
    Rule::KeepTryingToRebalance,
    Rule::PauseWhenUnheard,
    Rule::CommitThroughOwningSession,
];

/// What became of one rule; one line of `--json`.
#[derive(Debug, Serialize)]
struct Score {
    rule: &'static str,
    found: bool,
    check: String,
    /// Seeds up to the one that failed.
    seeds: u64,
    /// Those of them in which somebody asked for the rule.
    asked: u64,
    /// Of the runs without the rule.
    cpu_ms: u64,
    replay: String,
    /// The replay failed again, with the same trace.
    reproduced: bool,
}

/// Scores every rule of `rules` on `seeds` of `scenario`; each is told when it is found, the missed ones at the end.
pub fn score(
    scenario: &Scenario,
    rules: &[Rule],
    seeds: &Range<u64>,
    settings: &Settings,
) -> anyhow::Result<Exit> {
    // One that is named twice is scored once.
    let rules: BTreeSet<Rule> = rules.iter().copied().collect();
    let mut open: Vec<Search> = rules.iter().map(|&rule| Search::of(rule)).collect();
    let mut found = 0;
    let mut left = seeds.clone();
    let mut size = FIRST_SEEDS;
    while !open.is_empty() && !left.is_empty() {
        let some = left.start..left.end.min(left.start + size);
        (left.start, size) = (some.end, (2 * size).min(SEEDS_AT_ONCE_MAX));
        let in_force = runs_in_force(scenario, some, settings)?;
        search(scenario, &mut open, &in_force, settings)?;
        let (ended, others) = open.into_iter().partition(|search: &Search| search.failed.is_some());
        open = others;
        for search in ended {
            let is_reproduced = search.is_reproduced(scenario, settings)?;
            found += usize::from(is_reproduced);
            tell_score(&search.score(is_reproduced), settings)?;
        }
    }
    for search in open {
        tell_score(&search.score(false), settings)?;
    }
    if settings.json {
        tell(&format!(r#"{{"summary":true,"found":{found},"rules":{}}}"#, rules.len()));
    } else {
        tell(&format!("{found} of {} rules found", rules.len()));
    }
    Ok(if found == rules.len() { Exit::Pass } else { Exit::Violation })
}

/// Seeds are taken some at a time, for what is easily found is found by the first.
const FIRST_SEEDS: u64 = 4;
const SEEDS_AT_ONCE_MAX: u64 = 64;

/// A seed with every rule in force.
struct InForce {
    passes: bool,
    asked: BTreeSet<String>,
}

fn runs_in_force(
    scenario: &Scenario,
    seeds: Range<u64>,
    settings: &Settings,
) -> anyhow::Result<BTreeMap<u64, InForce>> {
    let mut runs = BTreeMap::new();
    let tasks = seeds.map(|seed| Task { job: Job::new(scenario, seed, &[], Keep::Never), rerun: false });
    pool::run_all(tasks, settings.jobs, settings.wall_limit, |done| {
        let passes = done.verdict.verdict != Outcome::Violation;
        let asked = done.asked.into_iter().collect();
        runs.insert(done.verdict.seed, InForce { passes, asked });
        ControlFlow::Continue(())
    })?;
    Ok(runs)
}

/// A rule that was not found yet.
struct Search {
    rule: Rule,
    seeds: u64,
    asked: u64,
    cpu_ms: u64,
    failed: Option<Done>,
}

/// Runs each seed without each rule that is asked for in it: without one that nobody asks for it would be the same run. A seed
/// that fails with every rule in force says nothing.
fn search(
    scenario: &Scenario,
    open: &mut [Search],
    in_force: &BTreeMap<u64, InForce>,
    settings: &Settings,
) -> anyhow::Result<()> {
    let says_something = |rule: Rule, run: &InForce| run.passes && run.asked.contains(rule.slug());
    let rules: Vec<Rule> = open.iter().map(|search| search.rule).collect();
    let pairs = rules.into_iter().flat_map(|rule| in_force.iter().map(move |run| (rule, run)));
    let tasks = pairs
        .filter(|(rule, (_, run))| says_something(*rule, run))
        .map(|(rule, (&seed, _))| task(scenario, rule, seed));
    let mut done: BTreeMap<(String, u64), Done> = BTreeMap::new();
    pool::run_all(tasks, settings.jobs, settings.wall_limit, |run| {
        let without = run.verdict.without.first().cloned().unwrap_or_default();
        done.insert((without, run.verdict.seed), run);
        ControlFlow::Continue(())
    })?;
    // In the order of their seeds, whatever finished first: two machines count the same.
    for search in open {
        let slug = search.rule.slug();
        search.count(in_force.keys().map(|&seed| done.remove(&(slug.to_owned(), seed))));
    }
    Ok(())
}

impl Search {
    fn of(rule: Rule) -> Search {
        Search { rule, seeds: 0, asked: 0, cpu_ms: 0, failed: None }
    }

    /// Takes the runs of further seeds, where there are any, up to the first that failed.
    fn count(&mut self, runs: impl Iterator<Item = Option<Done>>) {
        for run in runs {
            self.seeds += 1;
            let Some(run) = run else { continue };
            self.asked += 1;
            self.cpu_ms += run.cpu_ms;
            if run.verdict.verdict == Outcome::Violation {
                self.failed = Some(run);
                return;
            }
        }
    }

    /// Runs the failure once more, in a new process.
    fn is_reproduced(&self, scenario: &Scenario, settings: &Settings) -> anyhow::Result<bool> {
        let Some(failed) = &self.failed else { return Ok(false) };
        let mut reproduced = false;
        let again = std::iter::once(task(scenario, self.rule, failed.verdict.seed));
        pool::run_all(again, 1, settings.wall_limit, |done| {
            reproduced = done.verdict.trace_hash == failed.verdict.trace_hash
                && done.verdict.violations == failed.verdict.violations;
            ControlFlow::Continue(())
        })?;
        Ok(reproduced)
    }

    fn score(&self, reproduced: bool) -> Score {
        let first = self.failed.as_ref().and_then(|run| run.verdict.violations.first());
        Score {
            rule: self.rule.slug(),
            found: self.failed.is_some(),
            check: first.map_or_else(String::new, |v| format!("{} ({})", v.slug, v.check)),
            seeds: self.seeds,
            asked: self.asked,
            cpu_ms: self.cpu_ms,
            replay: self.failed.as_ref().map_or_else(String::new, |run| token::arguments(&run.verdict)),
            reproduced,
        }
    }
}

fn task(scenario: &Scenario, rule: Rule, seed: u64) -> Task {
    Task { job: Job::new(scenario, seed, &[rule], Keep::Failures), rerun: false }
}

fn tell_score(score: &Score, settings: &Settings) -> anyhow::Result<()> {
    if settings.json {
        tell(&serde_json::to_string(score)?);
    } else {
        tell(&text(score));
    }
    Ok(())
}

fn text(score: &Score) -> String {
    if !score.found {
        return format!(
            "MISSED {:<34} not found in {} seeds, asked for in {}, {} ms CPU",
            score.rule, score.seeds, score.asked, score.cpu_ms
        );
    }
    let word = if score.reproduced { "FOUND " } else { "NOT REPRODUCED" };
    format!(
        "{word} {:<34} by {:<28} after {:>3} seeds, {:>6} ms CPU; {} replay {}",
        score.rule,
        score.check,
        score.seeds,
        score.cpu_ms,
        token::command(),
        score.replay
    )
}
