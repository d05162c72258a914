//! `run`: stories by name, or files.

use clap::Args;

use super::common::Common;
use crate::runner::Exit;
use crate::runner::session::{self, Portion, Telling};
use crate::runner::worker::Keep;
use crate::scenario::file::parse_seed;
use crate::scenario::{Library, Scenario};

#[derive(Args)]
pub(super) struct Run {
    /// Part of a scenario's name, or a .toml file
    names: Vec<String>,
    /// This seed alone, in decimal or hex
    #[arg(long, value_parser = parse_seed)]
    seed: Option<u64>,
    #[command(flatten)]
    common: Common,
}

impl Run {
    pub fn run(&self) -> anyhow::Result<Exit> {
        let portion = |scenario: Scenario| {
            let seeds = self.seed.map_or(scenario.seeds.range(), |seed| seed..seed.saturating_add(1));
            Portion { scenario, seeds }
        };
        let portions: Vec<Portion> =
            Library::load()?.matching(&self.names)?.into_iter().map(portion).collect();
        session::run(&portions, &self.common.settings(0), Keep::Always, Telling::Stories)
    }
}
