//! `judge FILE...`: stored histories judged once more, by the checks as they are now.
//!
//! What was promised stands in the scenario beside the history.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::console::tell;
use super::named;
use super::{Exit, Settings};
use crate::history::{Entry, stored};
use crate::report::{self, Outcome, Verdict};
use crate::scenario::{Plan, Scenario};

const HISTORY_FILE: &str = "history.jsonl";

/// Judges every file; a run's folder stands for the history in it.
pub fn judge(files: &[PathBuf], settings: &Settings) -> anyhow::Result<Exit> {
    let mut worst = Outcome::Pass;
    for file in files {
        let file = if file.is_dir() { file.join(HISTORY_FILE) } else { file.clone() };
        let verdict = judge_file(&file)?;
        worst = worst.max(verdict.verdict);
        if settings.json {
            tell(&serde_json::to_string(&verdict)?);
        } else if verdict.verdict == Outcome::Pass {
            tell(&format!("PASS    {}  {} events of the history", file.display(), verdict.events));
        } else {
            tell(&report::failure(&verdict, &format!("[{}]", file.display())));
        }
    }
    Ok(if worst == Outcome::Pass { Exit::Pass } else { Exit::Violation })
}

fn judge_file(file: &Path) -> anyhow::Result<Verdict> {
    let history = read(file)?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.join("scenario.toml").is_file() {
        bail!(
            "{}: there is no scenario.toml beside it, which says what was promised; judge a run's folder",
            file.display()
        );
    }
    let of_folder = folder.display().to_string();
    let run = named::find(&of_folder, None, &[])?;
    let plan = Plan::new(&run.scenario, run.seeds.start);
    check_nodes(&history, &plan).with_context(|| file.display().to_string())?;
    let mut verdict = Verdict::empty(&run.scenario.name, run.seeds.start);
    verdict.file = run.scenario.file.clone();
    verdict.without = run.without.iter().map(|rule| rule.slug().to_owned()).collect();
    verdict.events = history.len() as u64;
    verdict.sim_ms = history.last().map_or(0, |last| last.at_ns / 1_000_000);
    verdict.judge(&history, &plan.terms(), &except(&run.scenario));
    verdict.conclude();
    Ok(verdict)
}

/// Reads a stored history; an error names the file and the line.
pub fn read(file: &Path) -> anyhow::Result<Vec<Entry>> {
    let opened = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    stored::read(BufReader::new(opened)).with_context(|| file.display().to_string())
}

fn except(scenario: &Scenario) -> Vec<String> {
    scenario.expect.except.clone()
}

/// The history must be one of this scenario: clients that the plan does not have are another's.
fn check_nodes(history: &[Entry], plan: &Plan) -> anyhow::Result<()> {
    let known: BTreeSet<&str> = plan.clients().map(String::as_str).collect();
    for (index, entry) in history.iter().enumerate() {
        let crate::history::What::Fact(seedlog::facts::Fact::SendInvoked { producer, .. }) = &entry.what
        else {
            continue;
        };
        if !known.contains(producer.as_str()) && producer != crate::cluster::PROBE {
            bail!(
                "line {}: the scenario beside it has no producer `{producer}`: the two are of different runs",
                index + 1
            );
        }
    }
    Ok(())
}
