//! What is the same and what is not: `diff`, `golden`.

use clap::Args;

use super::common::Common;
use crate::runner::{Exit, diff, golden};

#[derive(Args)]
pub(super) struct Diff {
    /// A token, or a seed
    a: String,
    b: String,
    /// What plain seeds are seeds of
    #[arg(long)]
    scenario: Option<String>,
    #[command(flatten)]
    common: Common,
}

impl Diff {
    pub fn run(&self) -> anyhow::Result<Exit> {
        diff::diff(&self.a, &self.b, self.scenario.as_deref(), &self.common.settings(0))
    }
}

#[derive(Args)]
pub(super) struct Golden {
    /// Writes the file anew
    #[arg(long)]
    write: bool,
    #[command(flatten)]
    common: Common,
}

impl Golden {
    pub fn run(&self) -> anyhow::Result<Exit> {
        golden::golden(self.write, &self.common.settings(0))
    }
}
