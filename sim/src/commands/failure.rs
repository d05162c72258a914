//! From a failure to its cause: `replay`.

use clap::Args;

use super::common::Common;
use crate::runner::{Exit, replay};

#[derive(Args)]
pub(super) struct Replay {
    /// NAME@SEED#COMMIT, or a scenario file with a seed
    what: String,
    #[command(flatten)]
    common: Common,
}

impl Replay {
    pub fn run(&self) -> anyhow::Result<Exit> {
        replay::replay(&self.what, &self.common.settings(100))
    }
}
