//! The `seedlog` command: one subcommand per role.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod command;

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
    /// Send lines of standard input as records.
    Produce(command::produce::Args),
    /// Print records, one a line.
    Consume(command::consume::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    command::start_logging();
    let outcome = match cli.command {
        Command::Broker(args) => command::broker::run(args),
        Command::Dev(args) => command::dev::run(args),
        Command::Topic(topic) => command::topic::run(topic),
        Command::Produce(args) => command::produce::run(args),
        Command::Consume(args) => command::consume::run(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("seedlog: {error}");
            error.exit_code()
        }
    }
}
