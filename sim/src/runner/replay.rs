//! `replay TOKEN|FILE`: one run again, with everything kept.

use std::path::Path;

use super::console::tell;
use super::session::{self, Portion, Telling};
use super::token::Token;
use super::worker::Keep;
use super::{Exit, Settings};
use crate::report;
use crate::scenario::library::load_file;
use crate::scenario::{Library, Scenario};

/// Replays what `what` names: a token, or a scenario file with its seed.
pub fn replay(what: &str, settings: &Settings) -> anyhow::Result<Exit> {
    let (scenario, seeds) = if Path::new(what).extension().is_some_and(|extension| extension == "toml") {
        let scenario = load_replayed(Path::new(what))?;
        let seeds = scenario.seeds.range();
        (scenario, seeds)
    } else {
        let token: Token = what.parse().map_err(anyhow::Error::msg)?;
        if let Some(warning) = token.warning() {
            eprintln!("warning: {warning}");
        }
        let scenario = Library::load()?.named(&token.scenario)?;
        (scenario, token.seed..token.seed.saturating_add(1))
    };
    let folder = report::seed_folder(&scenario.name, seeds.start);
    let settings = Settings { rerun_percent: 100, ..settings.clone() };
    let exit = session::run(&[Portion { scenario, seeds }], &settings, Keep::Always, Telling::Stories)?;
    if !settings.json {
        tell(&format!("kept in {}", folder.0.display()));
    }
    Ok(exit)
}

/// A file from a run folder carries its scenario's name in the folder's.
fn load_replayed(path: &Path) -> anyhow::Result<Scenario> {
    let mut scenario = load_file(path)?;
    let folder = path.parent().and_then(Path::parent).and_then(Path::file_name);
    if scenario.name == "scenario"
        && let Some(name) = folder.and_then(|name| name.to_str())
    {
        name.clone_into(&mut scenario.name);
    }
    Ok(scenario)
}
