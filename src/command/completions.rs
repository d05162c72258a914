//! `seedlog completions SHELL`: a script that lets the shell complete the command.

use std::io::{self, Write};

use clap_complete::Shell;

use super::CommandError;
use super::output::not_written;

#[derive(clap::Args)]
pub struct Args {
    /// Whose script; `seedlog completions bash > /etc/bash_completion.d/seedlog`, for example.
    #[arg(value_parser = clap::value_parser!(Shell))]
    shell: Shell,
}

pub fn run(args: Args, mut command: clap::Command) -> Result<(), CommandError> {
    let name = command.get_name().to_owned();
    // Written to memory first: the generator panics where its output cannot be written.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    io::stdout().write_all(&script).map_err(not_written)
}
