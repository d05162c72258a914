//! What is the same and what is not: `diff`, `golden`.

use clap::Args;

use super::flags::Common;
use crate::runner::{Exit, diff, golden};

#[derive(Args)]
pub(super) struct Diff {
    /// A token, or a seed
    a: String,
    /// Another token or seed
    #[arg(required_unless_present = "commits", conflicts_with = "commits")]
    b: Option<String>,
    /// Two commits: builds the testbed of each and compares the one run
    #[arg(long, num_args = 2, value_names = ["A", "B"])]
    commits: Vec<String>,
    /// What plain seeds are seeds of
    #[arg(long)]
    scenario: Option<String>,
    #[command(flatten)]
    common: Common,
}

impl Diff {
    pub fn run(&self) -> anyhow::Result<Exit> {
        let (scenario, settings) = (self.scenario.as_deref(), self.common.settings(0));
        match (&self.b, self.commits.as_slice()) {
            (None, [a, b]) => diff::diff_commits(&self.a, (a, b), scenario, &settings),
            (Some(b), _) => diff::diff(&self.a, b, scenario, &settings),
            (None, _) => anyhow::bail!("name another run, or two --commits"),
        }
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
