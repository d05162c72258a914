//! The subcommands. Results go to standard output, diagnostics to standard error.

pub mod broker;
pub mod consume;
pub mod dev;
pub mod produce;
pub mod topic;

use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

/// Why a subcommand failed, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The call or the configuration is wrong: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// It did not work: exit code 1.
    #[error("{0}")]
    Failed(String),
}

impl CommandError {
    pub fn failed(error: impl std::fmt::Display) -> CommandError {
        CommandError::Failed(error.to_string())
    }

    pub fn exit_code(&self) -> ExitCode {
        match self {
            CommandError::Usage(_) => ExitCode::from(2),
            CommandError::Failed(_) => ExitCode::FAILURE,
        }
    }
}

/// Where the clients find the cluster.
#[derive(clap::Args, Clone)]
pub struct Bootstrap {
    /// Brokers to ask first, HOST:PORT, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "127.0.0.1:9092")]
    pub bootstrap: Vec<String>,
}

/// Log lines go to standard error; `SEEDLOG_LOG` filters them (`info` unless set; `debug`, `seedlog::broker=trace` ...).
pub fn start_logging() {
    let filter = EnvFilter::try_from_env("SEEDLOG_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
}
