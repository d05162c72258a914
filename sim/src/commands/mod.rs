//! The command line: one file a subcommand or a group of them. Words in, a call of `runner` out.
//!
//! Only parses, names defaults and says what is wrong with the words; the work is the runner's.

mod ci;
mod compare;
mod docs;
mod failure;
mod flags;
mod report;
mod run;
mod score;
mod sweep;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::runner::{Exit, sabotage, worker};

#[derive(Parser)]
#[command(name = "cargo sim", about = "Injures a simulated Seedlog cluster from one seed, and judges it")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs scenarios: every file under scenarios/, or those whose names contain NAME
    Run(run::Run),
    /// Runs many seeds of the built-in scenario that leaves everything to the seed
    Sweep(sweep::Sweep),
    /// Runs one seed again and keeps everything
    Replay(failure::Replay),
    /// Draws a run as a page for the browser, timeline.html
    Report(report::Report),
    /// Finds the smallest scenario that fails as a run did
    Shrink(failure::Shrink),
    /// Says which faults a failure needs, and how it came about
    Explain(failure::Explain),
    /// Shrinks a failure and files it as a scenario under scenarios/regressions/
    Promote(failure::Promote),
    /// Tells the state of every node at a moment of a run
    Inspect(failure::Inspect),
    /// Judges stored histories again
    Judge(failure::Judge),
    /// Names the first event in which two runs differ
    Diff(compare::Diff),
    /// Suspends one rule at a time and counts the seeds until a check notices
    Score(score::Score),
    /// Compares the golden hashes with sim/golden.toml
    Golden(compare::Golden),
    /// Compares the generated parts of docs/ with the code, or writes them
    Docs(docs::Docs),
    /// Prints the JSON schema of scenario files, for editors
    Schema,
    /// Serves runs to a parent process
    #[command(hide = true)]
    Worker,
}

/// The whole program.
pub fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(Exit::Usage.code())
        }
    }
}

fn run(command: Command) -> anyhow::Result<Exit> {
    if !matches!(command, Command::Worker) {
        sabotage::announce()?;
    }
    match command {
        Command::Run(command) => command.run(),
        Command::Sweep(command) => command.run(),
        Command::Replay(command) => command.run(),
        Command::Report(command) => command.run(),
        Command::Shrink(command) => command.run(),
        Command::Explain(command) => command.run(),
        Command::Promote(command) => command.run(),
        Command::Inspect(command) => command.run(),
        Command::Judge(command) => command.run(),
        Command::Diff(command) => command.run(),
        Command::Score(command) => command.run(),
        Command::Golden(command) => command.run(),
        Command::Docs(command) => command.run(),
        Command::Schema => {
            print!("{}", crate::scenario::schema::text());
            Ok(Exit::Pass)
        }
        Command::Worker => {
            worker::serve(std::io::stdin().lock(), std::io::stdout().lock())?;
            Ok(Exit::Pass)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn every_subcommand_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
