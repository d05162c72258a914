//! The project's chores: needs nothing but cargo.
#![allow(clippy::disallowed_methods)] // Runs commands and reads files of the machine it is on.

mod canaries;
mod fidelity;
mod gates;
mod mutants;
mod nightly;
mod run;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test       everything that must pass: format, lints, docs, dependencies, tests of both builds,
             every scenario, determinism, a smoke of the sweep and of the benchmark
  check      the quick half of it: whether each canary still applies, format, lints, docs
  nightly    a long sweep that must meet every mark, the score of all rules, every scenario, programs on both halves of the
             runtime seam, the whole benchmark
             (options: --seeds N, 5000 unless given; --smoke: the same path, short and without the benchmark)
  canaries   how many small mistakes planted in a copy of the tree the testbed finds (options: --seeds N, 2000 unless
             given; --only NAME, may be repeated)
  mutants    how many of the changes that cargo-mutants lists, drawn by a fixed seed, the testbed finds (options: --seeds N,
             2000 unless given; --count N, 60 unless given; --list, only names them; --only NAME, may be repeated)
  fidelity   the same programs on both halves of the runtime seam, and the ledger of what differs: docs/fidelity.md
             (options: --programs N of each theme, 300 unless given; --check: write nothing;
             --from-record: measure nothing, write the page alone)
  bench      CPU seconds per million messages, against the bare prototype (options: cargo xtask bench --help)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.first().map(String::as_str) {
        Some("test") => gates::test(),
        Some("check") => gates::check(),
        Some("nightly") => nightly::Options::parse(&args[1..]).and_then(|options| nightly::run(&options)),
        Some("canaries") => canaries::Options::parse(&args[1..]).and_then(|options| canaries::run(&options)),
        Some("mutants") => mutants::Options::parse(&args[1..]).and_then(|options| mutants::run(&options)),
        Some("fidelity") => fidelity::Options::parse(&args[1..]).and_then(|options| fidelity::run(&options)),
        Some("bench") => gates::bench(&args[1..]),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
