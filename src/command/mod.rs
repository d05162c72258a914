//! The subcommands. Results go to standard output, diagnostics to standard error.

pub mod broker;
pub mod cluster;
pub mod completions;
pub mod consume;
pub mod dev;
pub mod logging;
pub mod output;
pub mod panics;
pub mod produce;
pub mod topic;

use std::process::ExitCode;

use seedlog::admin::{Admin, AdminConfig};

/// Why a subcommand failed, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The call or the configuration is wrong: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Whoever read the results has seen enough (`| head`): exit code 0, nothing to say.
    #[error("standard output is closed")]
    ReaderGone,
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
            CommandError::ReaderGone => ExitCode::SUCCESS,
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

impl Bootstrap {
    pub fn admin(self) -> Admin {
        Admin::start(AdminConfig { bootstrap: self.bootstrap, ..AdminConfig::default() })
    }
}
