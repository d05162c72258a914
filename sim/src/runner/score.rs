//! `score`: does the sweep notice when a safety rule is suspended?
//!
//! Each rule is suspended for itself; seeds of the default sweep are run until a check fires on one that passes
//! with the rule in force, and the replay token of that run must fail again, with the same trace.

use std::collections::BTreeMap;
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
    seeds: u64,
    cpu_ms: u64,
    replay: String,
    /// The replay failed again, with the same trace.
    reproduced: bool,
}

/// Scores every rule of `rules` on `seeds` of `scenario`.
pub fn score(
    scenario: &Scenario,
    rules: &[Rule],
    seeds: &Range<u64>,
    settings: &Settings,
) -> anyhow::Result<Exit> {
    let mut missed = 0;
    for &rule in rules {
        let score = score_rule(scenario, rule, seeds.clone(), settings)?;
        missed += u64::from(!(score.found && score.reproduced));
        if settings.json {
            tell(&serde_json::to_string(&score)?);
        } else {
            tell(&text(&score));
        }
    }
    let found = rules.len() as u64 - missed;
    if settings.json {
        tell(&format!(r#"{{"summary":true,"found":{found},"rules":{}}}"#, rules.len()));
    } else {
        tell(&format!("{found} of {} rules found", rules.len()));
    }
    Ok(if missed == 0 { Exit::Pass } else { Exit::Violation })
}

fn score_rule(
    scenario: &Scenario,
    rule: Rule,
    seeds: Range<u64>,
    settings: &Settings,
) -> anyhow::Result<Score> {
    let mut in_order = InOrder::from(seeds.start);
    let tasks = seeds.map(|seed| task(scenario, rule, seed));
    let (mut runs, mut cpu_ms, mut found) = (0, 0, Ok(None::<Done>));
    pool::run_all(tasks, settings.jobs, settings.wall_limit, |done| {
        in_order.put(done);
        while let Some(done) = in_order.next() {
            runs += 1;
            cpu_ms += done.cpu_ms;
            if done.verdict.verdict != Outcome::Violation {
                continue;
            }
            // A seed that fails anyhow says nothing about the rule.
            match passes_in_force(scenario, done.verdict.seed, settings) {
                Ok(false) => continue,
                Ok(true) => found = Ok(Some(done)),
                Err(error) => found = Err(error),
            }
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    let Some(found) = found? else {
        return Ok(Score {
            rule: rule.slug(),
            found: false,
            check: String::new(),
            seeds: runs,
            cpu_ms,
            replay: String::new(),
            reproduced: false,
        });
    };
    Ok(Score {
        rule: rule.slug(),
        found: true,
        check: found
            .verdict
            .violations
            .first()
            .map_or_else(String::new, |v| format!("{} ({})", v.slug, v.check)),
        seeds: runs,
        cpu_ms,
        replay: token::arguments(&found.verdict),
        reproduced: is_reproduced(scenario, rule, &found, settings)?,
    })
}

/// Results in the order of their seeds, whatever finishes first: two machines count the same.
struct InOrder {
    next: u64,
    early: BTreeMap<u64, Done>,
}

impl InOrder {
    fn from(first: u64) -> InOrder {
        InOrder { next: first, early: BTreeMap::new() }
    }

    fn put(&mut self, done: Done) {
        self.early.insert(done.verdict.seed, done);
    }

    fn next(&mut self) -> Option<Done> {
        let next = self.early.remove(&self.next)?;
        self.next += 1;
        Some(next)
    }
}

fn task(scenario: &Scenario, rule: Rule, seed: u64) -> Task {
    Task { job: Job::new(scenario, seed, &[rule], Keep::Failures), rerun: false }
}

/// Whether the seed passes while every rule is in force.
fn passes_in_force(scenario: &Scenario, seed: u64, settings: &Settings) -> anyhow::Result<bool> {
    let mut passes = false;
    let job = Job::new(scenario, seed, &[], Keep::Never);
    pool::run_all(std::iter::once(Task { job, rerun: false }), 1, settings.wall_limit, |done| {
        passes = done.verdict.verdict != Outcome::Violation;
        ControlFlow::Continue(())
    })?;
    Ok(passes)
}

/// Runs the failure once more, in a new process.
fn is_reproduced(scenario: &Scenario, rule: Rule, found: &Done, settings: &Settings) -> anyhow::Result<bool> {
    let mut reproduced = false;
    let again = std::iter::once(task(scenario, rule, found.verdict.seed));
    pool::run_all(again, 1, settings.wall_limit, |done| {
        reproduced = done.verdict.trace_hash == found.verdict.trace_hash
            && done.verdict.violations == found.verdict.violations;
        ControlFlow::Continue(())
    })?;
    Ok(reproduced)
}

fn text(score: &Score) -> String {
    if !score.found {
        return format!(
            "MISSED {:<34} not found in {} seeds, {} ms CPU",
            score.rule, score.seeds, score.cpu_ms
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
