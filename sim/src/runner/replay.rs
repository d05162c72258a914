//! `replay`: one run again, with everything kept.

use super::console::tell;
use super::named::Named;
use super::session::{self, Portion, Telling};
use super::worker::Keep;
use super::{Exit, Settings};
use crate::report;

/// Runs what is named twice, and keeps the first run's files.
pub fn replay(named: Named, settings: &Settings) -> anyhow::Result<Exit> {
    let folder = report::seed_folder(&named.scenario.name, named.seeds.start);
    let settings = Settings { rerun_percent: 100, without: named.without, ..settings.clone() };
    let portion = Portion { scenario: named.scenario, seeds: named.seeds };
    let exit = session::run(&[portion], &settings, Keep::Everything, Telling::Stories)?;
    if !settings.json {
        tell(&format!("kept in {}", folder.0.display()));
    }
    Ok(exit)
}
