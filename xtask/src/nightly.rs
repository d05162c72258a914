//! The long runs: what a night is for.

use anyhow::{Context, Result, bail};

use crate::gates;
use crate::run::{Step, Tally, cargo, run_all};

/// Seeds of the sweep, unless the command line says otherwise.
const SEEDS: u64 = 5_000;

/// Programs of each theme that both halves of the runtime seam run.
const PROGRAMS: u64 = 2_000;

/// Seeds of the smoke: every step is taken, none of them far.
const SMOKE_SEEDS: u64 = 12;
/// What the smoke scores and runs.
const SMOKE_RULE: &str = "append-before-ack";
const SMOKE_STORY: &str = "power_failure_with_fsync";
/// As few as the record keeps.
const SMOKE_PROGRAMS: u64 = 12;

#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    seeds: u64,
    is_smoke: bool,
}

impl Options {
    pub fn smoke() -> Options {
        Options { seeds: SMOKE_SEEDS, is_smoke: true }
    }

    pub fn parse(args: &[String]) -> Result<Options> {
        let (mut seeds, mut is_smoke) = (None, false);
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--smoke" => is_smoke = true,
                "--seeds" => {
                    let number = args.next().context("--seeds needs a number")?;
                    let number: u64 = number.parse().with_context(|| format!("--seeds {number}"))?;
                    if number == 0 {
                        bail!("--seeds 0 would sweep nothing");
                    }
                    seeds = Some(number);
                }
                other => bail!("nightly knows --seeds N and --smoke, not `{other}`"),
            }
        }
        let default = if is_smoke { SMOKE_SEEDS } else { SEEDS };
        Ok(Options { seeds: seeds.unwrap_or(default), is_smoke })
    }
}

/// Takes every step.
pub fn run(options: &Options) -> Result<()> {
    run_all(steps(options), &mut Tally::default())
}

/// The steps; the benchmark last, except of the smoke.
pub fn steps(options: &Options) -> Vec<Step> {
    let calls = calls(options).into_iter().map(|(name, arguments)| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Step { name, command: cargo(&arguments) }
    });
    let bench = (!options.is_smoke).then(|| gates::bench_step(&[]));
    calls.chain(bench).collect()
}

/// Names and arguments of cargo. A few seeds cannot meet every mark, so the smoke demands none.
fn calls(options: &Options) -> Vec<(&'static str, Vec<String>)> {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<String>>();
    let sweep = format!("sim sweep --seeds 0..{}", options.seeds);
    if options.is_smoke {
        return vec![
            ("nightly, smoke: sweep", words(&sweep)),
            ("nightly, smoke: score", words(&format!("sim score --rule {SMOKE_RULE}"))),
            ("nightly, smoke: scenarios", words(&format!("sim run {SMOKE_STORY} --no-cache"))),
            (
                "nightly, smoke: programs on both halves",
                words(&format!("xtask fidelity --check --programs {SMOKE_PROGRAMS}")),
            ),
        ];
    }
    vec![
        ("nightly: sweep that must meet every mark", words(&format!("{sweep} --must-meet all"))),
        ("nightly: score", words("sim score")),
        ("nightly: every scenario", words("sim run --no-cache")),
        ("nightly: programs on both halves", words(&format!("xtask fidelity --check --programs {PROGRAMS}"))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Options> {
        Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_night_sweeps_5000_seeds_unless_told_otherwise_and_demands_every_mark() {
        let options = parsed("").unwrap();
        assert_eq!(options, Options { seeds: 5_000, is_smoke: false });
        let sweep = calls(&options)[0].1.join(" ");
        assert_eq!(sweep, "sim sweep --seeds 0..5000 --must-meet all");
        assert_eq!(parsed("--seeds 70").unwrap().seeds, 70);
    }

    #[test]
    fn the_smoke_takes_as_many_steps_and_demands_no_mark() {
        let smoke = calls(&parsed("--smoke").unwrap());
        assert_eq!(smoke.len(), calls(&parsed("").unwrap()).len());
        assert!(smoke.iter().all(|(_, arguments)| !arguments.contains(&"--must-meet".to_owned())));
    }

    #[test]
    fn what_is_no_option_is_refused() {
        for text in ["--seeds", "--seeds 0", "--seeds x", "--seedz 9"] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }
}
