//! `sweep`: many seeds of one scenario.

use std::ops::Range;
use std::time::Duration;

use clap::Args;

use super::ci::{Ci, Marks, parse_marks};
use super::flags::{Common, parse_range, parse_time};
use crate::runner::Exit;
use crate::runner::sabotage;
use crate::runner::session::{self, Portion, Telling};
use crate::runner::worker::Keep;
use crate::scenario::{Library, SWEEP};

/// Share of a sweep's seeds that are run twice, in percent.
const SWEEP_RERUN_PERCENT: u64 = 5;

#[derive(Args)]
pub(super) struct Sweep {
    /// FIRST..END, the end not included
    #[arg(long, value_parser = parse_range)]
    seeds: Option<Range<u64>>,
    /// Sweeps for this long, e.g. 10m; with --seeds: gives up after it (exit code 124)
    #[arg(long = "for", value_parser = parse_time)]
    time: Option<Duration>,
    /// Another scenario than the built-in one
    #[arg(long)]
    scenario: Option<String>,
    /// Takes passes of the same code from target/sim/cache, without repeating them
    #[arg(long)]
    cache: bool,
    /// Fails if no seed met this mark; may be repeated; `all` for every mark
    #[arg(long, value_name = "MARK", value_parser = parse_marks)]
    must_meet: Vec<Marks>,
    #[command(flatten)]
    ci: Ci,
    #[command(flatten)]
    common: Common,
}

impl Sweep {
    pub fn run(&self) -> anyhow::Result<Exit> {
        let mut settings = self.common.settings(SWEEP_RERUN_PERCENT);
        settings.time_budget = self.time;
        settings.cached = self.cache && !sabotage::is_on();
        settings.must_meet = Marks::of(&self.must_meet);
        self.ci.apply(&mut settings)?;
        let is_bounded_by_time_alone = self.seeds.is_none() && self.time.is_some();
        let all = if is_bounded_by_time_alone { 0..u64::MAX } else { 0..200 };
        let seeds = self.seeds.clone().unwrap_or(all);
        let scenario = Library::load()?.named(self.scenario.as_deref().unwrap_or(SWEEP))?;
        let portions = [Portion { scenario, seeds }];
        let exit = session::run(&portions, &settings, Keep::Failures, Telling::Sums)?;
        // A sweep that was given nothing but time has done what was asked when the time is up.
        Ok(if is_bounded_by_time_alone && exit == Exit::TimeBudget { Exit::Pass } else { exit })
    }
}
