//! `run`: scenarios by name, or files.

use clap::Args;

use super::ci::Ci;
use super::flags::Common;
use crate::runner::Exit;
use crate::runner::sabotage;
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
    /// Runs passes of the same code again instead of taking them from target/sim/cache
    #[arg(long)]
    no_cache: bool,
    #[command(flatten)]
    ci: Ci,
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
        let mut settings = self.common.settings(0);
        self.ci.apply(&mut settings)?;
        // Who names a seed wants its files, who wants repeats wants two runs.
        let is_plain = self.seed.is_none() && settings.rerun_percent == 0 && !sabotage::is_on();
        settings.cached = is_plain && !self.no_cache;
        session::run(&portions, &settings, Keep::Always, Telling::Stories)
    }
}
