//! The command `cargo sim`: runs stories, sweeps seeds, replays, compares, scores.

use std::ops::Range;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use seedlog::rules::Rule;
use seedlog_sim::runner::session::{self, Portion, Telling};
use seedlog_sim::runner::worker::{self, Keep};
use seedlog_sim::runner::{Exit, Settings, diff, golden, replay, score};
use seedlog_sim::scenario::file::parse_seed;
use seedlog_sim::scenario::{Library, SWEEP, Scenario};

#[derive(Parser)]
#[command(name = "cargo sim", about = "Injures a simulated Seedlog cluster from one seed, and judges it")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs stories: every file under scenarios/, or those whose names contain NAME
    Run {
        /// Part of a scenario's name, or a .toml file
        names: Vec<String>,
        /// This seed alone, in decimal or hex
        #[arg(long, value_parser = parse_seed)]
        seed: Option<u64>,
        #[command(flatten)]
        common: Common,
    },
    /// Runs many seeds of the built-in scenario that leaves everything to the seed
    Sweep {
        /// FIRST..END, the end not included
        #[arg(long, value_parser = parse_range)]
        seeds: Option<Range<u64>>,
        /// Sweeps for this long, e.g. 10m; with --seeds: gives up after it (exit code 124)
        #[arg(long = "for", value_parser = parse_time)]
        time: Option<Duration>,
        /// Another scenario than the built-in one
        #[arg(long)]
        scenario: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Runs one seed again and keeps everything
    Replay {
        /// NAME@SEED#COMMIT, or a scenario file with a seed
        what: String,
        #[command(flatten)]
        common: Common,
    },
    /// Names the first event in which two runs differ
    Diff {
        /// A token, or a seed
        a: String,
        b: String,
        /// What plain seeds are seeds of
        #[arg(long)]
        scenario: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Suspends one rule at a time and counts the seeds until a check notices
    Score {
        /// Only this rule; may be repeated
        #[arg(long = "rule", value_parser = parse_rule)]
        rules: Vec<Rule>,
        /// Every rule, not only those that the default sweep must find
        #[arg(long)]
        all: bool,
        #[arg(long, default_value = "0..200", value_parser = parse_range)]
        seeds: Range<u64>,
        #[arg(long)]
        scenario: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Compares the golden hashes with sim/golden.toml
    Golden {
        /// Writes the file anew
        #[arg(long)]
        write: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Serves runs to a parent process
    #[command(hide = true)]
    Worker,
}

#[derive(Args)]
struct Common {
    /// Suspends a safety rule; may be repeated
    #[arg(long, value_parser = parse_rule)]
    without: Vec<Rule>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Worker processes at a time [default: one a core]
    #[arg(long)]
    jobs: Option<usize>,
    /// Stops after this many failed runs
    #[arg(long)]
    max_failures: Option<u64>,
    /// Repeats this share of the runs, in percent, in another process
    #[arg(long, value_parser = clap::value_parser!(u64).range(0..=100))]
    rerun: Option<u64>,
    /// A run that takes longer on the wall than this, e.g. 60s, is a hang
    #[arg(long, value_parser = parse_time)]
    wall_limit: Option<Duration>,
}

impl Common {
    /// `rerun` is the share of repeats unless the command line says another.
    fn settings(&self, rerun: u64) -> Settings {
        let default = Settings::default();
        Settings {
            jobs: self.jobs.unwrap_or(default.jobs).max(1),
            without: self.without.clone(),
            json: self.json,
            failures_max: self.max_failures.unwrap_or(default.failures_max),
            rerun_percent: self.rerun.unwrap_or(rerun),
            time_budget: None,
            wall_limit: self.wall_limit.unwrap_or(default.wall_limit),
        }
    }
}

/// Share of a sweep's seeds that are run twice, in percent.
const SWEEP_RERUN_PERCENT: u64 = 5;

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(Exit::Usage.code())
        }
    }
}

fn run(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Run { names, seed, common } => {
            let portion = |scenario: Scenario| {
                let seeds = seed.map_or(scenario.seeds.range(), |seed| seed..seed.saturating_add(1));
                Portion { scenario, seeds }
            };
            let portions: Vec<Portion> =
                Library::load()?.matching(&names)?.into_iter().map(portion).collect();
            session::run(&portions, &common.settings(0), Keep::Always, Telling::Stories)
        }
        Command::Sweep { seeds, time, scenario, common } => sweep(seeds, time, scenario.as_deref(), &common),
        Command::Replay { what, common } => replay::replay(&what, &common.settings(100)),
        Command::Diff { a, b, scenario, common } => {
            diff::diff(&a, &b, scenario.as_deref(), &common.settings(0))
        }
        Command::Score { rules, all, seeds, scenario, common } => {
            let rules = match (rules.is_empty(), all) {
                (false, _) => rules,
                (true, true) => Rule::ALL.to_vec(),
                (true, false) => score::REQUIRED.to_vec(),
            };
            let scenario = Library::load()?.named(scenario.as_deref().unwrap_or(SWEEP))?;
            score::score(&scenario, &rules, &seeds, &common.settings(0))
        }
        Command::Golden { write, common } => golden::golden(write, &common.settings(0)),
        Command::Worker => {
            worker::serve(std::io::stdin().lock(), std::io::stdout().lock())?;
            Ok(Exit::Pass)
        }
    }
}

fn sweep(
    seeds: Option<Range<u64>>,
    time: Option<Duration>,
    scenario: Option<&str>,
    common: &Common,
) -> anyhow::Result<Exit> {
    let mut settings = common.settings(SWEEP_RERUN_PERCENT);
    settings.time_budget = time;
    let is_bounded_by_time_alone = seeds.is_none() && time.is_some();
    let seeds = seeds.unwrap_or(if is_bounded_by_time_alone { 0..u64::MAX } else { 0..200 });
    let scenario = Library::load()?.named(scenario.unwrap_or(SWEEP))?;
    let portions = [Portion { scenario, seeds }];
    let exit = session::run(&portions, &settings, Keep::Failures, Telling::Sums)?;
    // A sweep that was given nothing but time has done what was asked when the time is up.
    Ok(if is_bounded_by_time_alone && exit == Exit::TimeBudget { Exit::Pass } else { exit })
}

fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let wrong = || format!("`{text}` is no range of seeds; write it as 0..2000");
    let (first, end) = text.split_once("..").ok_or_else(wrong)?;
    let (first, end) = (parse_seed(first)?, parse_seed(end)?);
    if first < end { Ok(first..end) } else { Err(wrong()) }
}

fn parse_time(text: &str) -> Result<Duration, String> {
    seedlog_sim::scenario::units::duration(text)
}

fn parse_rule(text: &str) -> Result<Rule, String> {
    Rule::from_slug(text).ok_or_else(|| {
        let known: Vec<&str> = Rule::ALL.iter().map(|rule| rule.slug()).collect();
        format!("no such rule; there are: {}", known.join(", "))
    })
}
