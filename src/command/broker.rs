//! `seedlog broker`: a broker of a cluster, until SIGTERM.

use std::path::{Path, PathBuf};

use seedlog::broker::Broker;
use seedlog::broker::config::{CheckedConfig, Draft};
use seedlog::runtime::disk::{self, OpenMode};
use seedlog::runtime::process::{self, Termination};

use super::CommandError;
use super::logging::Log;
use super::output::{announce, print_line};

#[derive(clap::Args)]
pub struct Args {
    /// TOML file; Kafka's property names are accepted too. docs/broker.md lists the keys.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Judge the configuration, print what is wrong with it, and start nothing.
    #[arg(long)]
    check_config: bool,
}

pub fn run(log: &Log, args: Args) -> Result<(), CommandError> {
    let config = read_config(&args.config)?;
    if args.check_config {
        let path = args.config.display();
        return print_line(format_args!(
            "{path}: broker {} would listen on {}",
            config.broker_id, config.listen
        ));
    }
    process::raise_open_files_limit().map_err(CommandError::failed)?;
    log.block_on(async move {
        // Before anybody is told that the broker is there: who hears of it may ask it to stop.
        let mut termination = Termination::watch().map_err(CommandError::failed)?;
        let Some(broker) = start(config, &mut termination).await? else { return Ok(()) };
        announce(format_args!("broker ready: listening on {}", broker.address()));
        if let Some(address) = broker.http_address() {
            announce(format_args!("metrics and health on http://{address}"));
        }
        serve(broker, &mut termination).await
    })
}

/// None if the process is asked to stop before the broker is ready: nothing is written then that a start would miss.
pub async fn start(
    config: CheckedConfig,
    termination: &mut Termination,
) -> Result<Option<Broker>, CommandError> {
    tokio::select! {
        biased;
        () = termination.asked() => Ok(None),
        started = Broker::start(config) => started.map(Some).map_err(CommandError::failed),
    }
}

/// Serves until the process is asked to stop (then the broker drains and closes cleanly) or the broker fails.
pub async fn serve(broker: Broker, termination: &mut Termination) -> Result<(), CommandError> {
    let failed = broker.failed();
    tokio::select! {
        biased;
        reason = failed => Err(CommandError::Failed(reason)),
        () = termination.asked() => broker.shutdown().await.map_err(CommandError::Failed),
    }
}

fn read_config(path: &Path) -> Result<CheckedConfig, CommandError> {
    read_settings(path)?.check().map_err(|e| CommandError::Usage(format!("{}: {e}", path.display())))
}

/// A configuration file as written, its values not judged yet.
pub fn read_settings(path: &Path) -> Result<Draft, CommandError> {
    let wrong = |error: &dyn std::fmt::Display| CommandError::Usage(format!("{}: {error}", path.display()));
    let text = read_text(path).map_err(|e| wrong(&e))?;
    Draft::from_toml(&text).map_err(|e| wrong(&e))
}

fn read_text(path: &Path) -> std::io::Result<String> {
    let file = disk::open(path, OpenMode::Read)?;
    let mut bytes = vec![0; file.len()? as usize];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    String::from_utf8(bytes).map_err(|_| std::io::Error::new(std::io::ErrorKind::InvalidData, "not UTF-8"))
}
