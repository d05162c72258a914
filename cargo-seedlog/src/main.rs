//! `cargo seedlog`: builds and runs a crate with Seedlog's simulator, from outside of Seedlog's repository.
//!
//! Cargo hands the flags of a repository's configuration to nobody who depends on it. The launcher sets them, gives
//! the simulated build a target directory of its own, and leaves the rest to cargo.
#![allow(clippy::disallowed_methods)] // Starts a command of the machine it is on.

mod flags;
mod package;

use std::ffi::OsString;
use std::io;
use std::process::{Command, ExitCode, ExitStatus};

use flags::{Placed, Tool};
use package::Workspace;

const USAGE: &str = "\
usage: cargo seedlog COMMAND [ARGUMENTS]

  sim          the package's testbed command: its binary called `sim`
  test         cargo test
  run          cargo run
  build check  likewise

Sets `--cfg madsim`, added to the compiler flags that are there, and builds in target/seedlog.";

/// Commands of cargo that are passed on.
const PASSED_ON: [&str; 4] = ["test", "run", "build", "check"];

/// Why nothing was run.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error("{0}")]
    Usage(String),
    #[error("cannot start `{0}`: it is not there. Is cargo installed (https://rustup.rs), and in the PATH?")]
    NoCargo(String),
    #[error("cannot start `{0}`: {1}")]
    Start(String, io::Error),
    #[error("this is no package that cargo can read:\n{0}")]
    NoPackage(String),
    #[error("cannot understand what `cargo metadata` says: {0}")]
    Metadata(serde_json::Error),
    #[error(
        "{0} depends neither on `seedlog` nor on `seedlog-sim`: there is nothing to simulate. \
         Add one, e.g. `cargo add --dev seedlog-sim`"
    )]
    NoSeedlog(String),
    #[error(
        "there is no binary called `sim`. Write src/bin/sim.rs, with `seedlog_sim::commands::main()` as its last \
         line, or call `cargo seedlog test` or `cargo seedlog run`"
    )]
    NoSimBinary,
}

fn main() -> ExitCode {
    match launch(std::env::args_os().skip(1).collect()) {
        Ok(code) => code,
        Err(trouble) => {
            eprintln!("error: {trouble}");
            ExitCode::from(2)
        }
    }
}

fn launch(mut arguments: Vec<OsString>) -> Result<ExitCode, Trouble> {
    // Cargo passes the subcommand's own name first.
    if arguments.first().is_some_and(|first| first == "seedlog") {
        arguments.remove(0);
    }
    let command = arguments.first().and_then(|first| first.to_str()).unwrap_or_default().to_owned();
    match command.as_str() {
        "-h" | "--help" | "help" => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        "-V" | "--version" => {
            println!("cargo-seedlog {}", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
        "" => Err(Trouble::Usage(USAGE.to_owned())),
        "sim" => {
            // All of its arguments are the program's.
            let workspace = workspace(&[])?;
            let binary = workspace.sim_binary()?;
            let mut all = ["run", "--bin", binary, "--"].map(OsString::from).to_vec();
            all.extend_from_slice(&arguments[1..]);
            forward(&workspace, &all)
        }
        known if PASSED_ON.contains(&known) => forward(&workspace(&arguments)?, &arguments),
        other => Err(Trouble::Usage(format!("`{other}` is no command of cargo seedlog\n\n{USAGE}"))),
    }
}

/// Runs cargo with `arguments`, set up for the simulation.
fn forward(workspace: &Workspace, arguments: &[OsString]) -> Result<ExitCode, Trouble> {
    let mut cargo = cargo();
    for tool in [Tool::Rustc, Tool::Rustdoc] {
        match flags::place(tool, |name| std::env::var(name).ok()) {
            Placed::Variable(name, value) => cargo.env(name, value),
            Placed::Config(line) => cargo.arg("--config").arg(line),
        };
    }
    cargo.env("CARGO_TARGET_DIR", workspace.target());
    // The testbed prints lines that replay a run: as it is called here, `cargo sim` is an alias of another place.
    cargo.env("CARGO_SEEDLOG", "1");
    if !workspace.target().is_dir() {
        eprintln!("building with the simulator in {}: minutes the first time", workspace.target().display());
    }
    cargo.args(arguments);
    let status = cargo.status().map_err(|error| cannot_start(&cargo, error))?;
    Ok(exit_code(status))
}

/// The package of `--manifest-path`, or of the current directory.
fn workspace(arguments: &[OsString]) -> Result<Workspace, Trouble> {
    let mut cargo = cargo();
    cargo.args(["metadata", "--no-deps", "--format-version", "1"]);
    cargo.args(manifest_path(arguments));
    let output = cargo.output().map_err(|error| cannot_start(&cargo, error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Trouble::NoPackage(said));
    }
    Workspace::read(&output.stdout)
}

fn manifest_path(arguments: &[OsString]) -> Vec<OsString> {
    const FLAG: &str = "--manifest-path";
    // What follows `--` is the program's.
    let own = arguments.iter().take_while(|argument| *argument != "--");
    let own: Vec<&OsString> = own.collect();
    for (index, argument) in own.iter().enumerate() {
        if *argument == FLAG {
            return own[index..].iter().take(2).map(|argument| (*argument).clone()).collect();
        }
        if argument.to_str().is_some_and(|argument| argument.starts_with("--manifest-path=")) {
            return vec![(*argument).clone()];
        }
    }
    Vec::new()
}

/// The cargo that called the launcher, or the one in the PATH.
fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn cannot_start(cargo: &Command, error: io::Error) -> Trouble {
    let program = cargo.get_program().to_string_lossy().into_owned();
    match error.kind() {
        io::ErrorKind::NotFound => Trouble::NoCargo(program),
        _ => Trouble::Start(program, error),
    }
}

/// The child's own code; a child that a signal ended counts as failed.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}
