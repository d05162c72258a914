//! What must pass, in the order in which it fails fastest.

use std::process::Command;

use anyhow::{Result, bail};

use crate::canaries;
use crate::nightly;
use crate::run::{Step, Tally, cargo, run, run_all};

/// Only this build has the simulator; `--all-features` would drop every simulation test.
pub const REAL: &[&str] = &["--package", "seedlog", "--features", "real-runtime"];

fn lints() -> Vec<Step> {
    let mut clippy_real = cargo(&["clippy", "--all-targets"]);
    clippy_real.args(REAL).args(["--", "-D", "warnings"]);
    let mut docs = cargo(&["doc", "--workspace", "--no-deps"]);
    docs.env("RUSTDOCFLAGS", "--cfg madsim -D warnings");
    vec![
        Step { name: "format", command: cargo(&["fmt", "--all", "--check"]) },
        Step {
            name: "lints, simulation build",
            command: cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        },
        Step { name: "lints, real build", command: clippy_real },
        Step { name: "docs", command: docs },
    ]
}

/// Licences, sources and bans; advisories need a database from the network and are left to whoever has one.
fn dependencies() -> Option<Step> {
    let installed = Command::new("cargo-deny").arg("--version").output().is_ok_and(|o| o.status.success());
    if installed {
        let command = cargo(&["deny", "--log-level", "error", "check", "bans", "licenses", "sources"]);
        return Some(Step { name: "dependencies", command });
    }
    println!("== dependencies: left out, cargo-deny is not installed (cargo install cargo-deny --locked)");
    None
}

fn tests() -> Vec<Step> {
    let mut real = cargo(&["test"]);
    real.args(REAL);
    let mut bench_smoke =
        cargo(&["test", "--bench", "end_to_end", "--bench", "consuming", "--bench", "validating"]);
    bench_smoke.args(REAL).args(["--", "--smoke"]);
    vec![
        Step { name: "tests, simulation build", command: cargo(&["test", "--workspace"]) },
        Step { name: "tests, real build", command: real },
        Step { name: "smoke of the benchmarks", command: bench_smoke },
        Step { name: "every scenario", command: cargo(&["sim", "run", "--no-cache"]) },
        Step { name: "sweep, each seed run twice", command: sweep() },
        example(),
    ]
}

/// Marks that some tenth of the seeds meets, and more: 500 seeds without one of them are another sweep than was meant.
const COMMON_MARKS: [&str; 5] = [
    "old-registration-in-the-way",
    "paused-and-resumed-delivery",
    "rebalance-met-conflict",
    "session-expired-while-owning",
    "surplus-stream-took-over",
];

fn sweep() -> Command {
    let mut command = cargo(&["sim", "sweep", "--seeds", "0..500", "--rerun", "100"]);
    command.args(COMMON_MARKS.iter().flat_map(|mark| ["--must-meet", mark]));
    command
}

/// A crate outside of the workspace, built as its users build it.
fn example() -> Step {
    let manifest = "examples/at_most_once/Cargo.toml";
    let mut command = cargo(&["run", "--package", "cargo-seedlog", "--"]);
    command.args(["run", "--manifest-path", manifest, "--", "--seeds", "20"]);
    // Examples share what they build.
    command.env("CARGO_TARGET_DIR", "target/examples");
    Step { name: "smoke of an application outside of the workspace", command }
}

/// Everything that must pass.
pub fn test() -> Result<()> {
    let mut tally = Tally::default();
    let mut steps = lints();
    steps.extend(dependencies());
    steps.extend(tests());
    steps.extend(nightly::steps(&nightly::Options::smoke()));
    run_all(steps, &mut tally)?;
    if tally.passed == 0 {
        bail!("no test ran");
    }
    println!("{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.ignored);
    Ok(())
}

/// The quick half. What costs nothing comes first.
pub fn check() -> Result<()> {
    canaries::check()?;
    run_all(lints(), &mut Tally::default())
}

/// The end-to-end benchmark, release build.
pub fn bench_step(args: &[String]) -> Step {
    let mut command = cargo(&["bench", "--bench", "end_to_end"]);
    command.args(REAL).arg("--").args(args);
    Step { name: "benchmark", command }
}

/// Runs the benchmark alone.
pub fn bench(args: &[String]) -> Result<()> {
    run(bench_step(args), &mut Tally::default())
}
