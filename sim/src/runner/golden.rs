//! Golden hashes: what certain runs' traces hash to on every machine and in every build.
//!
//! A change of behaviour changes them; `cargo sim golden --write` writes the file anew, and the change is seen
//! in review.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::console::tell;
use super::pool::{self, Task};
use super::worker::{Job, Keep};
use super::{Exit, Settings};
use crate::scenario::library::built_in_sweep;
use crate::scenario::{Library, Scenario};
use crate::workspace::root;

/// Seeds of the sweep, and of every story, that have a golden hash.
const SWEEP_SEEDS: u64 = 8;
const STORY_SEEDS: u64 = 1;

/// `sim/golden.toml`: by scenario and seed.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    pub hashes: BTreeMap<String, BTreeMap<String, String>>,
}

impl Golden {
    pub fn path() -> PathBuf {
        root().join("sim/golden.toml")
    }

    pub fn load() -> anyhow::Result<Golden> {
        let path = Golden::path();
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }
}

/// The runs that have golden hashes.
pub fn runs() -> anyhow::Result<Vec<(Scenario, u64)>> {
    let library = Library::load()?;
    let stories = library.stories().iter().flat_map(|scenario| {
        let first = scenario.seeds.range().start;
        (first..first + STORY_SEEDS).map(|seed| (scenario.clone(), seed))
    });
    Ok((0..SWEEP_SEEDS).map(|seed| (built_in_sweep(), seed)).chain(stories).collect())
}

/// Compares with the file, or writes it.
pub fn golden(write: bool, settings: &Settings) -> anyhow::Result<Exit> {
    let tasks = runs()?
        .into_iter()
        .map(|(scenario, seed)| Task { job: Job::new(&scenario, seed, &[], Keep::Failures), rerun: false });
    let mut now = Golden::default();
    pool::run_all(tasks, settings.jobs, settings.wall_limit, |done| {
        let of_scenario = now.hashes.entry(done.verdict.scenario).or_default();
        of_scenario.insert(done.verdict.seed.to_string(), done.verdict.trace_hash);
        ControlFlow::Continue(())
    })?;
    if write {
        let text = format!("# Written by `cargo sim golden --write`.\n\n{}", toml::to_string(&now)?);
        std::fs::write(Golden::path(), text).context("cannot write sim/golden.toml")?;
        tell(&format!("wrote {}", Golden::path().display()));
        return Ok(Exit::Pass);
    }
    let committed = Golden::load()?;
    if committed == now {
        tell("every golden hash agrees");
        return Ok(Exit::Pass);
    }
    for (scenario, seeds) in &now.hashes {
        for (seed, hash) in seeds {
            let golden = committed.hashes.get(scenario).and_then(|seeds| seeds.get(seed));
            if golden != Some(hash) {
                tell(&format!("{scenario}@{seed}: {hash}, golden {}", golden.map_or("none", String::as_str)));
            }
        }
    }
    Ok(Exit::Nondeterminism)
}
