//! `diff A B`, `diff RUN --commits A B`: the first event in which two runs differ.

use super::child::Worker;
use super::commits::Checkout;
use super::compare;
use super::console::tell;
use super::named;
use super::token::Token;
use super::worker::{Job, Keep};
use super::{Exit, Settings};
use crate::scenario::{Library, SWEEP};

/// Compares one run of two commits: the run as the working tree's scenario says it, the code as each commit has it.
pub fn diff_commits(
    what: &str,
    commits: (&str, &str),
    scenario: Option<&str>,
    settings: &Settings,
) -> anyhow::Result<Exit> {
    let named = named::find(what, scenario, &settings.without)?;
    let job = Job::new(&named.scenario, named.seeds.start, &named.without, Keep::Never);
    let (a, b) = (Checkout::of(commits.0)?, Checkout::of(commits.1)?);
    let (mut worker_a, mut worker_b) = (a.worker()?, b.worker()?);
    let difference =
        compare::first_difference((&job, &mut worker_a), (&job, &mut worker_b), settings.wall_limit)?;
    let run = format!("{}@{} of {} and {}", job.scenario, job.seed, commits.0, commits.1);
    match difference {
        Some(difference) => tell(&format!("{run}: {difference}")),
        None => tell(&format!("{run}: every event is equal")),
    }
    Ok(Exit::Pass)
}

/// Compares two runs, each a token or a seed of `scenario` (of the sweep where none is named). The same run
/// twice shows whether it repeats.
pub fn diff(a: &str, b: &str, scenario: Option<&str>, settings: &Settings) -> anyhow::Result<Exit> {
    let library = Library::load()?;
    let job = |what: &str| -> anyhow::Result<Job> {
        let token = if what.contains('@') {
            what.to_owned()
        } else {
            format!("{}@{what}", scenario.unwrap_or(SWEEP))
        };
        let token: Token = token.parse().map_err(anyhow::Error::msg)?;
        if let Some(warning) = token.warning() {
            eprintln!("warning: {warning}");
        }
        Ok(Job::new(&library.named(&token.scenario)?, token.seed, &settings.without, Keep::Never))
    };
    let (job_a, job_b) = (job(a)?, job(b)?);
    let (mut worker_a, mut worker_b) = (Worker::new()?, Worker::new()?);
    let difference =
        compare::first_difference((&job_a, &mut worker_a), (&job_b, &mut worker_b), settings.wall_limit)?;
    match &difference {
        Some(difference) => tell(&format!("{a} and {b}: {difference}")),
        None => tell(&format!("{a} and {b}: every event is equal")),
    }
    let is_same_run = job_a.seed == job_b.seed && job_a.scenario == job_b.scenario;
    Ok(if is_same_run && difference.is_some() { Exit::Nondeterminism } else { Exit::Pass })
}
