//! A run as a picture: `report`.

use clap::Args;

use super::flags::Common;
use crate::runner::{Exit, picture};

#[derive(Args)]
pub(super) struct Report {
    /// NAME@SEED#COMMIT, a seed, a scenario file with a seed, or the folder of a run
    what: String,
    /// What a plain seed is a seed of
    #[arg(long)]
    scenario: Option<String>,
    #[command(flatten)]
    common: Common,
}

impl Report {
    pub fn run(&self) -> anyhow::Result<Exit> {
        picture::report(&self.what, self.scenario.as_deref(), &self.common.settings(0))
    }
}
