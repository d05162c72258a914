//! What a person means by a run: a token, a seed, a scenario file, or a run's folder.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use seedlog::rules::Rule;

use super::token::{self, Token};
use crate::report::{Verdict, seed_folder};
use crate::scenario::file::parse_seed;
use crate::scenario::library::load_file;
use crate::scenario::{Library, SWEEP, Scenario};
use crate::workspace::{root, shown};

/// Runs of one scenario that were named on the command line.
#[derive(Clone, Debug)]
pub struct Named {
    pub scenario: Scenario,
    pub seeds: Range<u64>,
    /// The rules that the command line suspends, and those that were suspended in the run of a folder.
    pub without: Vec<Rule>,
}

const FORMS: &str = "write a token as NAME@SEED#COMMIT, a seed as 42 or 0x2a, a scenario file as PATH.toml, \
     or the folder of a run";

/// Finds the runs that `what` names; plain seeds are seeds of `scenario`, of the sweep where none is named.
pub fn find(what: &str, scenario: Option<&str>, without: &[Rule]) -> anyhow::Result<Named> {
    let path = Path::new(what);
    let is_file = path.extension().is_some_and(|extension| extension == "toml");
    if is_file {
        let scenario = load_of_run(path)?;
        return Ok(Named { seeds: scenario.seeds.range(), scenario, without: without.to_vec() });
    }
    if what.contains('@') {
        let token: Token = what.parse().map_err(anyhow::Error::msg)?;
        warn_of_other_code(&token);
        return of_token(&token, without);
    }
    if path.join("scenario.toml").is_file() {
        return of_folder(path, without);
    }
    let Ok(seed) = parse_seed(what) else { bail!("`{what}` names no run; {FORMS}") };
    let scenario = Library::load()?.named(scenario.unwrap_or(SWEEP))?;
    Ok(Named { scenario, seeds: one(seed), without: without.to_vec() })
}

fn one(seed: u64) -> Range<u64> {
    seed..seed.saturating_add(1)
}

/// A run of a scenario, or one whose folder is still there: a file need not lie under `scenarios/`.
fn of_token(token: &Token, without: &[Rule]) -> anyhow::Result<Named> {
    if let Some(file) = token.file() {
        let scenario = load_file(&place_of(file)?)?;
        return Ok(Named { scenario, seeds: one(token.seed), without: without.to_vec() });
    }
    let found = Library::load()?.named(&token.scenario);
    let folder = seed_folder(&token.scenario, token.seed).0;
    if found.is_err() && folder.join("scenario.toml").is_file() {
        return of_folder(&folder, without);
    }
    Ok(Named { scenario: found?, seeds: one(token.seed), without: without.to_vec() })
}

/// A token's path counts from the workspace's root; whoever types one may mean the current directory.
fn place_of(file: &Path) -> anyhow::Result<PathBuf> {
    let there = [root().join(file), file.to_owned()].into_iter().find(|path| path.is_file());
    there.with_context(|| format!("there is no file {} in {}", file.display(), root().display()))
}

fn of_folder(folder: &Path, without: &[Rule]) -> anyhow::Result<Named> {
    let mut scenario = load_of_run(&folder.join("scenario.toml"))?;
    let mut without = without.to_vec();
    let verdict = folder.join("verdict.json");
    if verdict.is_file() {
        let verdict: Verdict = serde_json::from_slice(&std::fs::read(&verdict)?)
            .with_context(|| format!("{} holds no verdict", verdict.display()))?;
        scenario.file = verdict.file;
        without.extend(verdict.without.iter().filter_map(|slug| Rule::from_slug(slug)));
        without.dedup();
    }
    Ok(Named { seeds: scenario.seeds.range(), scenario, without })
}

/// A file from a run's folder carries its scenario's name in the folder's.
fn load_of_run(path: &Path) -> anyhow::Result<Scenario> {
    let mut scenario = load_file(path)?;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = absolute.parent().and_then(Path::parent).and_then(Path::file_name);
    if scenario.name == "scenario"
        && let Some(name) = folder.and_then(|name| name.to_str())
    {
        name.clone_into(&mut scenario.name);
    }
    Ok(scenario)
}

/// A token of other code may name another run; what was shrunk from it survives such changes.
fn warn_of_other_code(token: &Token) {
    let Some(warning) = token.warning() else { return };
    eprintln!("warning: {warning}");
    let shrunk = shrunk_files(token);
    for file in &shrunk {
        let run = format!("{} run {}", token::command(), token::shell_word(file));
        eprintln!("         it was shrunk to a file that code changes do not move: {run}");
    }
    if shrunk.is_empty() {
        let shrink = format!("{} shrink {}", token::command(), token::shell_word(&token.to_string()));
        eprintln!("         nothing was shrunk from it; at its own commit: {shrink}");
    }
}

/// Scenario files that say they were shrunk from the run: in its folder, and among the regressions.
fn shrunk_files(token: &Token) -> Vec<String> {
    let mut found = Vec::new();
    let own = seed_folder(token.name(), token.seed).0.join(SHRUNK_FILE);
    if own.is_file() {
        found.push(shown(&own));
    }
    let regressions = root().join(REGRESSIONS);
    let files = std::fs::read_dir(&regressions).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = files.collect();
    files.sort();
    for file in files {
        let is_of_run = |text: String| text.contains(&format!("{}@{}#", token.scenario, token.seed));
        if std::fs::read_to_string(&file).is_ok_and(is_of_run) {
            found.push(shown(&file));
        }
    }
    found
}

/// What `shrink` leaves in a run's folder.
pub const SHRUNK_FILE: &str = "shrunk.toml";
/// Where `promote` files scenarios.
pub const REGRESSIONS: &str = "scenarios/regressions";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_one_of_the_sweep_unless_a_scenario_is_named() {
        let named = find("0x10", None, &[]).unwrap();
        assert_eq!((named.scenario.name.as_str(), named.seeds), (SWEEP, 16..17));
        assert_eq!(find("3", Some("slow_disk"), &[]).unwrap().scenario.name, "slow_disk");
    }

    #[test]
    fn what_names_no_run_is_answered_with_what_would() {
        for what in ["nonsense", "", "12k"] {
            let error = find(what, None, &[]).unwrap_err().to_string();
            assert!(error.contains("NAME@SEED#COMMIT") && error.contains("PATH.toml"), "{what}: {error}");
        }
        let error = find("slow_dsk@1", None, &[]).unwrap_err().to_string();
        assert!(error.contains("slow_disk"), "{error}");
    }
}
