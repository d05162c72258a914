//! The command `cargo sim`: runs scenarios, sweeps seeds, replays, explains, compares, scores.

use std::process::ExitCode;

fn main() -> ExitCode {
    seedlog_sim::commands::main()
}
