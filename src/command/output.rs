//! Results, on standard output: lines for people, JSON for programs.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use serde::Serialize;

use super::CommandError;

/// How a listing is written.
#[derive(clap::Args, Clone, Copy)]
pub struct Form {
    /// Print one JSON document instead of text.
    #[arg(long)]
    pub json: bool,
}

/// One line.
pub fn print_line(text: impl Display) -> Result<(), CommandError> {
    writeln!(io::stdout(), "{text}").map_err(not_written)
}

/// One JSON document.
pub fn print_json(value: &impl Serialize) -> Result<(), CommandError> {
    let text = serde_json::to_string_pretty(value).expect("plain data has a form in JSON");
    print_line(text)
}

/// A server's word that it is ready. Whether anybody reads it is nothing to stop for.
pub fn announce(text: impl Display) {
    if let Err(error) = writeln!(io::stdout(), "{text}") {
        tracing::warn!(%error, "standard_output_not_written");
    }
}

/// Word for people, on standard error. Where that is gone, nobody is left to be told so.
pub fn say(text: impl Display) {
    drop(writeln!(io::stderr(), "{text}"));
}

/// Standard output takes no more.
pub fn not_written(error: io::Error) -> CommandError {
    match error.kind() {
        ErrorKind::BrokenPipe => CommandError::ReaderGone,
        _ => CommandError::Failed(format!("standard output: {error}")),
    }
}
