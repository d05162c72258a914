//! `score`: which suspended rules the sweep notices.

use std::ops::Range;

use clap::Args;
use seedlog::rules::Rule;

use super::flags::{Common, parse_range, parse_rule};
use crate::runner::{Exit, score};
use crate::scenario::{Library, SWEEP};

#[derive(Args)]
pub(super) struct Score {
    /// Only this rule; may be repeated
    #[arg(long = "rule", value_parser = parse_rule)]
    rules: Vec<Rule>,
    /// Every rule, not only those that the default sweep must find
    #[arg(long)]
    all: bool,
    #[arg(long, default_value = "0..500", value_parser = parse_range)]
    seeds: Range<u64>,
    #[arg(long)]
    scenario: Option<String>,
    /// Draws no fault of this kind; may be repeated
    #[arg(long, value_name = "KIND")]
    leave_out: Vec<String>,
    #[command(flatten)]
    common: Common,
}

impl Score {
    pub fn run(&self) -> anyhow::Result<Exit> {
        let rules = match (self.rules.is_empty(), self.all) {
            (false, _) => self.rules.clone(),
            (true, true) => Rule::ALL.to_vec(),
            (true, false) => score::REQUIRED.to_vec(),
        };
        let scenario = Library::load()?.named(self.scenario.as_deref().unwrap_or(SWEEP))?;
        let scenario = scenario.leaving_out(&self.leave_out)?;
        score::score(&scenario, &rules, &self.seeds, &self.common.settings(0))
    }
}
