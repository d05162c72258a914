//! From a failure to its cause: `replay`, `shrink`, `promote`, `explain`, `inspect`, `judge`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::flags::{Common, parse_moment, parse_time};
use crate::report;
use crate::runner::named::{self, SHRUNK_FILE};
use crate::runner::shrink::{self, Shrunk};
use crate::runner::{Exit, console, explain, inspect, judge, promote, replay, token};

/// Which run is meant.
#[derive(Args)]
pub(super) struct What {
    /// NAME@SEED#COMMIT, a seed, a scenario file with a seed, or the folder of a run
    what: String,
    /// What a plain seed is a seed of
    #[arg(long)]
    scenario: Option<String>,
    #[command(flatten)]
    pub common: Common,
}

impl What {
    fn named(&self) -> anyhow::Result<named::Named> {
        named::find(&self.what, self.scenario.as_deref(), &self.common.without)
    }
}

#[derive(Args)]
pub(super) struct Replay {
    #[command(flatten)]
    what: What,
}

impl Replay {
    pub fn run(&self) -> anyhow::Result<Exit> {
        replay::replay(self.what.named()?, &self.what.common.settings(100))
    }
}

#[derive(Args)]
pub(super) struct Shrink {
    #[command(flatten)]
    what: What,
    /// The check that must stay violated [default: the first that is]
    #[arg(long)]
    check: Option<String>,
    /// Stops after this long with the smallest so far
    #[arg(long = "for", value_parser = parse_time, default_value = "60s")]
    time: Duration,
    /// Where to write the scenario [default: shrunk.toml in the run's folder]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Measures: shrinks the first failure for each rule of the score, and writes nothing
    #[arg(long, conflicts_with_all = ["check", "out"])]
    each_rule: bool,
}

impl Shrink {
    pub fn run(&self) -> anyhow::Result<Exit> {
        let common = &self.what.common;
        let named = self.what.named()?;
        if self.each_rule {
            return shrink::each_rule(&named, self.time, &common.settings(0));
        }
        let shrunk = shrink::shrink(&named, self.check.as_deref(), self.time, &common.settings(0))?;
        let own = report::seed_folder(&shrunk.scenario, shrunk.seed).0.join(SHRUNK_FILE);
        let path = self.out.clone().unwrap_or(own);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, &shrunk.text)?;
        let file = path.display().to_string();
        if common.json {
            let mut line = serde_json::to_value(&shrunk)?;
            line["file"] = file.into();
            console::tell(&line.to_string());
        } else {
            console::tell(&text(&shrunk, &file, &named.without));
        }
        Ok(Exit::Pass)
    }
}

#[derive(Args)]
pub(super) struct Explain {
    #[command(flatten)]
    what: What,
    /// The check whose violation is explained [default: the first that is]
    #[arg(long)]
    check: Option<String>,
    /// How long to look for the necessary faults
    #[arg(long = "for", value_parser = parse_time, default_value = "20s")]
    time: Duration,
}

impl Explain {
    pub fn run(&self) -> anyhow::Result<Exit> {
        let settings = self.what.common.settings(0);
        explain::explain(&self.what.named()?, self.check.as_deref(), self.time, &settings)
    }
}

#[derive(Args)]
pub(super) struct Promote {
    #[command(flatten)]
    what: What,
    /// The scenario's name [default: from the check and the faults]
    name: Option<String>,
    /// What happens, in a sentence [default: what the check found]
    #[arg(long)]
    story: Option<String>,
    /// The check that must stay violated [default: the first that is]
    #[arg(long)]
    check: Option<String>,
    /// Stops shrinking after this long
    #[arg(long = "for", value_parser = parse_time, default_value = "60s")]
    time: Duration,
}

impl Promote {
    pub fn run(&self) -> anyhow::Result<Exit> {
        let filed = promote::As { name: self.name.clone(), story: self.story.clone() };
        let settings = self.what.common.settings(0);
        promote::promote(&self.what.named()?, &filed, self.check.as_deref(), self.time, &settings)
    }
}

#[derive(Args)]
pub(super) struct Inspect {
    #[command(flatten)]
    what: What,
    /// When, in virtual time since the run began, e.g. 12.4s
    #[arg(long, value_parser = parse_moment)]
    at: Duration,
}

impl Inspect {
    pub fn run(&self) -> anyhow::Result<Exit> {
        let What { what, scenario, common } = &self.what;
        inspect::inspect(what, scenario.as_deref(), self.at, &common.settings(0))
    }
}

#[derive(Args)]
pub(super) struct Judge {
    /// A history.jsonl with its scenario.toml beside it, or a run's folder
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    common: Common,
}

impl Judge {
    pub fn run(&self) -> anyhow::Result<Exit> {
        judge::judge(&self.files, &self.common.settings(0))
    }
}

fn text(shrunk: &Shrunk, file: &str, without: &[seedlog::rules::Rule]) -> String {
    let without: String = without.iter().map(|rule| format!(" --without {rule}")).collect();
    let drawn =
        if shrunk.is_literal { "" } else { "; what has no words as a step stays drawn from the seed" };
    let holds = match shrunk.holds_with_rules {
        Some(true) => "\npasses where the rule holds",
        Some(false) => "\ndoes not pass where the rule holds",
        None => "",
    };
    format!(
        "{}\n{}@{}: {} with {} instead of {} faults, {} runs, {:.1} s{drawn}{holds}\nrun it: {} run {}{without}",
        shrunk.text,
        shrunk.scenario,
        shrunk.seed,
        shrunk.check,
        shrunk.faults_after,
        shrunk.faults_before,
        shrunk.runs,
        shrunk.wall_ms as f64 / 1000.0,
        token::command(),
        token::shell_word(file)
    )
}
