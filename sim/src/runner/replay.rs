//! `replay TOKEN|FILE`: one run again, with everything kept.

use super::console::tell;
use super::named;
use super::session::{self, Portion, Telling};
use super::worker::Keep;
use super::{Exit, Settings};
use crate::report;

/// Replays what `what` names: a token, a seed, a scenario file with its seed, or a run's folder.
pub fn replay(what: &str, scenario: Option<&str>, settings: &Settings) -> anyhow::Result<Exit> {
    let named = named::find(what, scenario, &settings.without)?;
    let folder = report::seed_folder(&named.scenario.name, named.seeds.start);
    let settings = Settings { rerun_percent: 100, without: named.without, ..settings.clone() };
    let portion = Portion { scenario: named.scenario, seeds: named.seeds };
    let exit = session::run(&[portion], &settings, Keep::Everything, Telling::Stories)?;
    if !settings.json {
        tell(&format!("kept in {}", folder.0.display()));
    }
    Ok(exit)
}
