//! `seedlog dev`: one broker and an embedded ZooKeeper in one process, for trying things out.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use seedlog::broker::config::{BrokerConfig, Draft, TextList};
use seedlog::runtime::disk;
use seedlog::runtime::process::{self, Termination};
use seedlog::zk_sim::{Server, ServerConfig};

use super::CommandError;
use super::logging::Log;
use super::output::announce;

#[derive(clap::Args)]
pub struct Args {
    /// Where the data is kept.
    #[arg(long, value_name = "DIR", default_value = "seedlog-data")]
    data: PathBuf,
    /// Where clients connect; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9092")]
    listen: SocketAddr,
    /// The address that clients are told; where it listens unless given.
    #[arg(long, value_name = "ADDR")]
    advertised: Option<String>,
    /// Where consumer groups meet at the embedded ZooKeeper; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    zookeeper_listen: SocketAddr,
    /// TOML file with further broker settings; what this command decides itself (id, addresses, folders) wins.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where /metrics and /health are served over HTTP; nowhere unless given.
    #[arg(long, value_name = "ADDR")]
    http_listen: Option<SocketAddr>,
}

/// The embedded ZooKeeper's tick: sessions of a broker that was killed are gone after a few of them.
const TICK: Duration = Duration::from_millis(500);
const SESSION_TIMEOUT_MS: u64 = 2_000;

/// What the embedded ZooKeeper and the broker write before they are ready, generously.
const START_BYTES: u64 = 1 << 20;

/// On a full disk the embedded ZooKeeper would wait for room, and the broker for ZooKeeper.
fn check_space(data: &Path) -> Result<(), CommandError> {
    let there = data.ancestors().find(|path| disk::exists(path).unwrap_or(false)).unwrap_or(Path::new("."));
    let free_bytes = disk::free_bytes(there).map_err(CommandError::failed)?;
    if free_bytes >= START_BYTES {
        return Ok(());
    }
    let place = data.display();
    Err(CommandError::Failed(format!(
        "no space left in {place}: {free_bytes} bytes free, needs {START_BYTES} to start"
    )))
}

pub fn run(log: &Log, args: Args) -> Result<(), CommandError> {
    process::raise_open_files_limit().map_err(CommandError::failed)?;
    log.block_on(async move {
        let mut termination = Termination::watch().map_err(CommandError::failed)?;
        let mut settings = match &args.config {
            Some(path) => super::broker::read_settings(path)?,
            None => Draft::default(),
        };
        check_space(&args.data)?;
        let mut config = ServerConfig::new(args.zookeeper_listen, TICK);
        config.snapshot_dir = Some(args.data.join("zookeeper"));
        let zookeeper = Server::start(config).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => {
                CommandError::Failed(format!("the data directory {} is in use: {error}", args.data.display()))
            }
            _ => CommandError::Failed(format!("the embedded ZooKeeper cannot start: {error}")),
        })?;
        // Every session of the snapshot was the last process's: nobody will come back for it.
        let control = zookeeper.control();
        for session in control.sessions() {
            control.expire_session(session);
        }
        settings.config = BrokerConfig {
            broker_id: Some(0),
            listen: args.listen.to_string(),
            advertised: args.advertised.clone().or_else(|| settings.config.advertised.clone()),
            http_listen: args.http_listen.map(|address| address.to_string()),
            data_dir: Some(args.data.join("log").display().to_string()),
            zookeeper_servers: TextList(vec![zookeeper.address().to_string()]),
            zookeeper_session_timeout_ms: SESSION_TIMEOUT_MS,
            ..settings.config
        };
        let checked = settings.check().map_err(|e| CommandError::Usage(e.to_string()))?;
        let Some(broker) = super::broker::start(checked, &mut termination).await? else {
            zookeeper.shutdown().await;
            return Ok(());
        };
        announce(format_args!(
            "dev broker ready: listening on {} with data in {}, ZooKeeper on {}",
            broker.address(),
            args.data.display(),
            zookeeper.address()
        ));
        if let Some(address) = broker.http_address() {
            announce(format_args!("metrics and health on http://{address}"));
        }
        let failed = zookeeper.failed();
        let outcome = tokio::select! {
            biased;
            reason = failed => Err(CommandError::Failed(reason)),
            outcome = super::broker::serve(broker, &mut termination) => outcome,
        };
        zookeeper.shutdown().await;
        outcome
    })
}
