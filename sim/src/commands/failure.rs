//! From a failure to its cause: `replay`.

use clap::Args;

use super::common::Common;
use crate::runner::{Exit, replay};

#[derive(Args)]
pub(super) struct Replay {
    /// NAME@SEED#COMMIT, a seed, a scenario file with a seed, or the folder of a run
    what: String,
    /// What a plain seed is a seed of
    #[arg(long)]
    scenario: Option<String>,
    #[command(flatten)]
    common: Common,
}

impl Replay {
    pub fn run(&self) -> anyhow::Result<Exit> {
        replay::replay(&self.what, self.scenario.as_deref(), &self.common.settings(100))
    }
}
