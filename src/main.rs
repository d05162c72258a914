//! The `seedlog` command: one subcommand per role.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

mod command;

use command::CommandError;

#[derive(Parser)]
#[command(name = "seedlog", version, about = "A distributed commit log that speaks the Kafka protocol")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a broker of a cluster.
    Broker(command::broker::Args),
    /// Run one broker with an embedded ZooKeeper in one process.
    Dev(command::dev::Args),
    /// Create, list and describe topics.
    #[command(subcommand)]
    Topic(command::topic::TopicCommand),
    /// Say which brokers there are.
    #[command(subcommand)]
    Cluster(command::cluster::ClusterCommand),
    /// Send lines of standard input as records.
    Produce(command::produce::Args),
    /// Print records, one a line.
    Consume(command::consume::Args),
    /// Print what lets a shell complete this command.
    Completions(command::completions::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    command::panics::abort_on_panic();
    let log = command::logging::Log::start();
    let outcome = match cli.command {
        Command::Broker(args) => command::broker::run(&log, args),
        Command::Dev(args) => command::dev::run(&log, args),
        Command::Topic(topic) => command::topic::run(&log, topic),
        Command::Cluster(cluster) => command::cluster::run(&log, cluster),
        Command::Produce(args) => command::produce::run(&log, args),
        Command::Consume(args) => command::consume::run(&log, args),
        Command::Completions(args) => command::completions::run(args, Cli::command()),
    };
    log.finish();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(CommandError::ReaderGone) => ExitCode::SUCCESS,
        Err(error) => {
            command::output::say(format_args!("seedlog: {error}"));
            error.exit_code()
        }
    }
}
