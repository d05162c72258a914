//! Properties of whole clusters, for proptest: strategies of topologies, workloads and fault schedules that shrink, and
//! a run of what they make.
//!
//! ```no_run
//! use seedlog_sim::prop;
//!
//! let mut runner = prop::runner(50);
//! let cases = (prop::scenario(), prop::seed());
//! let outcome = runner.run(&cases, |(scenario, seed)| {
//!     prop::uphold("my property", &scenario, seed, &["lost-write", "unseen"])
//! });
//! outcome.unwrap();
//! ```
//!
//! A schedule made here is written down step by step, so that proptest can leave steps out; the seed decides only
//! latencies, interleavings and what a power failure leaves.

mod faults;
mod render;
mod topology;
mod workload;

use std::path::PathBuf;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use seedlog::rules::Rule;

use crate::phases::{self, RunOptions};
use crate::report::{self, Outcome, Verdict};
use crate::runner::EVENT_LIMIT;
use crate::runner::token;
use crate::scenario::{Class, Scenario};
use crate::workspace::shown;

pub use faults::{Fault, Hit, faults};
pub use topology::{Topology, topology};
pub use workload::{Members, Producing, Workload, workload};

/// Steps that proptest may take to shrink a failure; each is a run.
const SHRINK_STEPS_MAX: u32 = 300;

/// Any cluster with any workload and any faults.
pub fn scenario() -> impl Strategy<Value = Scenario> {
    scenario_of(topology(), workload(), faults(&Class::ALL))
}

/// A scenario put together from three strategies of its parts.
pub fn scenario_of(
    topology: impl Strategy<Value = Topology>,
    workload: impl Strategy<Value = Workload>,
    faults: impl Strategy<Value = Vec<Fault>>,
) -> impl Strategy<Value = Scenario> {
    (topology, workload, faults)
        .prop_map(|(topology, workload, faults)| render::scenario(&topology, &workload, &faults))
}

/// A seed; another one is another run altogether, so seeds do not shrink.
pub fn seed() -> impl Strategy<Value = u64> {
    (0..1_000_000u64).no_shrink()
}

/// A runner of `cases` cases, the same ones every time. It writes no file of failures: what failed is in `target/sim`.
pub fn runner(cases: u32) -> TestRunner {
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: SHRINK_STEPS_MAX, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// Runs one seed.
pub fn run(scenario: &Scenario, seed: u64) -> Verdict {
    run_without(scenario, seed, &[])
}

/// Runs one seed with rules suspended.
pub fn run_without(scenario: &Scenario, seed: u64, without: &[Rule]) -> Verdict {
    let options = RunOptions { without: without.to_vec(), keep_trace: false, event_limit: EVENT_LIMIT };
    phases::run_seed(scenario, seed, &options).verdict
}

/// Runs one seed and demands that the checks `slugs` hold, and that the run did not break off. `property` names the
/// file that the failing scenario is kept in.
pub fn uphold(property: &str, scenario: &Scenario, seed: u64, slugs: &[&str]) -> Result<(), TestCaseError> {
    demand(property, scenario, &run(scenario, seed), slugs)
}

/// Demands of a run's verdict that the checks `slugs` hold; all of them, if there are none. The error has the run's
/// evidence, the scenario, and the line that replays it. A run in which nothing happened is rejected, not passed.
pub fn demand(
    property: &str,
    scenario: &Scenario,
    verdict: &Verdict,
    slugs: &[&str],
) -> Result<(), TestCaseError> {
    let is_demanded = |slug: &str| slugs.is_empty() || slugs.contains(&slug) || report::is_breakdown(slug);
    match verdict.verdict {
        Outcome::Vacuous => Err(TestCaseError::reject(verdict.vacuous.join("; "))),
        Outcome::Violation if verdict.violations.iter().any(|violation| is_demanded(&violation.slug)) => {
            Err(TestCaseError::fail(told(property, scenario, verdict)))
        }
        _ => Ok(()),
    }
}

fn told(property: &str, scenario: &Scenario, verdict: &Verdict) -> String {
    let text = report::with_seed(&scenario.text, verdict.seed);
    let failure = report::failure(verdict, "");
    // The file replays what the token cannot: no scenario of this name is in the repository.
    let failure: Vec<&str> =
        failure.lines().filter(|line| !line.trim_start().starts_with("replay:")).collect();
    let without: String = verdict.without.iter().map(|rule| format!(" --without {rule}")).collect();
    let replay = match keep(property, &text) {
        Ok(path) => {
            let path = token::shell_word(&shown(&path));
            format!("replay: {} replay {path}{without}", token::command())
        }
        Err(error) => format!("the scenario could not be kept for a replay: {error}"),
    };
    format!("{}\n\n{text}\n{replay}", failure.join("\n"))
}

/// Keeps the smallest failure so far: proptest goes on from each.
fn keep(property: &str, text: &str) -> std::io::Result<PathBuf> {
    let name: String =
        property.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(60).collect();
    let folder = report::sim_folder().join("prop");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{name}.toml"));
    std::fs::write(&path, text)?;
    Ok(path)
}

#[cfg(test)]
mod tests;
