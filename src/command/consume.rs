//! `seedlog consume`: prints records, one a line, alone or as a member of a group.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use seedlog::admin::{Admin, AdminConfig, OffsetQuery};
use seedlog::consumer::membership::{GroupConfig, GroupConsumer, GroupError, MessageStream};
use seedlog::consumer::{AutoReset, ConsumedRecord, Consumer, ConsumerConfig, StartPosition};
use seedlog::runtime::process::Termination;
use seedlog::types::{Offset, TopicPartition};
use seedlog::zookeeper::{ZkError, ZooKeeperConfig};

use super::logging::Log;
use super::output::not_written;
use super::{Bootstrap, CommandError};

#[derive(clap::Args)]
pub struct Args {
    topic: String,
    /// Read this partition only; all unless given.
    #[arg(long)]
    partition: Option<i32>,
    /// Begin with the oldest record instead of the next one to come.
    #[arg(long)]
    from_beginning: bool,
    /// Wait for more at the end instead of stopping there.
    #[arg(long)]
    follow: bool,
    /// Print the key before the value, with this text in between.
    #[arg(long, value_name = "TEXT")]
    key_separator: Option<String>,
    /// Share the topic with the other members of this group, and go on where the group stopped, until stopped
    /// by a signal. A record counts as finished when it is printed.
    #[arg(long, conflicts_with_all = ["partition", "follow"])]
    group: Option<String>,
    /// The ZooKeeper servers that the group meets at, HOST:PORT, separated by commas. Without it: those that the
    /// brokers name.
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', requires = "group")]
    zookeeper: Vec<String>,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

/// Of a group member.
const SESSION_TIMEOUT: Duration = Duration::from_secs(6);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);

const POLL_WAIT: Duration = Duration::from_millis(500);

pub fn run(log: &Log, args: Args) -> Result<(), CommandError> {
    if let Some(group) = args.group.clone() {
        return log.block_on(run_in_group(args, group));
    }
    if !args.from_beginning && !args.follow {
        return Err(CommandError::Usage(
            "nothing would be printed: give --from-beginning, --follow or both".to_owned(),
        ));
    }
    log.block_on(async move {
        let mut termination = Termination::watch().map_err(CommandError::failed)?;
        let ends = tokio::select! {
            biased;
            () = termination.asked() => return Ok(()),
            ends = ends(&args) => ends?,
        };
        let mut consumer = Consumer::start(ConsumerConfig {
            bootstrap: args.bootstrap.bootstrap.clone(),
            client_id: "seedlog-consume".to_owned(),
            ..ConsumerConfig::default()
        });
        let start = if args.from_beginning { StartPosition::Earliest } else { StartPosition::Latest };
        consumer.assign(ends.keys().map(|partition| (partition.clone(), start)).collect());
        tokio::select! {
            biased;
            () = termination.asked() => {}
            done = print_all(&args, &mut consumer, ends) => done?,
        }
        consumer.close().await;
        Ok(())
    })
}

async fn run_in_group(args: Args, group: String) -> Result<(), CommandError> {
    let consumer = ConsumerConfig {
        bootstrap: args.bootstrap.bootstrap.clone(),
        client_id: "seedlog-consume".to_owned(),
        ..ConsumerConfig::default()
    };
    let zookeeper = ZooKeeperConfig {
        servers: args.zookeeper.clone(),
        session_timeout: SESSION_TIMEOUT,
        connect_timeout: CONNECT_TIMEOUT,
    };
    let config = GroupConfig {
        reset: if args.from_beginning { AutoReset::Earliest } else { AutoReset::Latest },
        auto_commit: Some(COMMIT_INTERVAL),
        ..GroupConfig::new(&group, consumer, zookeeper)
    };
    let group_failed = |error| group_failed(&args, error);
    let mut termination = Termination::watch().map_err(CommandError::failed)?;
    let joined = tokio::select! {
        biased;
        () = termination.asked() => return Ok(()),
        joined = join(config, &args.topic) => joined,
    };
    let (consumer, stream) = joined.map_err(group_failed)?;
    let ended = tokio::select! {
        biased;
        () = termination.asked() => Ok(()),
        printed = print_stream(&args, stream) => printed,
    };
    // Whatever ended it: the others need not wait for its session to expire.
    let left = consumer.close().await.map_err(group_failed);
    ended.and(left)
}

async fn join(config: GroupConfig, topic: &str) -> Result<(GroupConsumer, MessageStream), GroupError> {
    let consumer = GroupConsumer::start(config).await?;
    let streams = consumer.create_message_streams(BTreeMap::from([(topic.to_owned(), 1)])).await?;
    let stream = streams.into_values().flatten().next().expect("one stream of one topic");
    Ok((consumer, stream))
}

fn group_failed(args: &Args, error: GroupError) -> CommandError {
    match error {
        GroupError::BadConfig(reason) => CommandError::Usage(reason),
        GroupError::ZooKeeper(ZkError::BadAddress(address)) => {
            CommandError::Usage(format!("--zookeeper: {address:?} is no HOST:PORT"))
        }
        GroupError::ZooKeeper(ZkError::ConnectionLost) => CommandError::Failed(format!(
            "no ZooKeeper answers at {}, where the group is to meet",
            if args.zookeeper.is_empty() {
                "what the brokers name".to_owned()
            } else {
                args.zookeeper.join(", ")
            }
        )),
        error => CommandError::failed(error),
    }
}

/// Every record is out before the next one is asked for, which finishes it.
async fn print_stream(args: &Args, mut stream: MessageStream) -> Result<(), CommandError> {
    let mut output = std::io::stdout();
    loop {
        let record = stream.next().await.map_err(CommandError::failed)?;
        print(&mut output, args, &record).and_then(|()| output.flush()).map_err(not_written)?;
    }
}

/// The partitions to read and where each ends now.
async fn ends(args: &Args) -> Result<BTreeMap<TopicPartition, Offset>, CommandError> {
    let admin =
        Admin::start(AdminConfig { bootstrap: args.bootstrap.bootstrap.clone(), ..AdminConfig::default() });
    let topic = admin.describe_topic(&args.topic).await.map_err(CommandError::failed)?;
    let mut ends = BTreeMap::new();
    for described in topic.partitions.iter().filter(|p| args.partition.is_none_or(|only| only == p.partition))
    {
        let partition = TopicPartition::new(args.topic.as_str(), described.partition);
        let end = admin.offset(&partition, OffsetQuery::Latest).await.map_err(CommandError::failed)?;
        ends.insert(partition, end.unwrap_or(Offset::ZERO));
    }
    if ends.is_empty() {
        return Err(CommandError::Usage(format!(
            "{} has no partition {}",
            args.topic,
            args.partition.unwrap_or(0)
        )));
    }
    Ok(ends)
}

async fn print_all(
    args: &Args,
    consumer: &mut Consumer,
    ends: BTreeMap<TopicPartition, Offset>,
) -> Result<(), CommandError> {
    let mut output = std::io::BufWriter::new(std::io::stdout());
    loop {
        if !args.follow && ends.iter().all(|(partition, end)| is_read(consumer, partition, *end)) {
            return Ok(());
        }
        for record in consumer.poll(POLL_WAIT).await.map_err(CommandError::failed)? {
            if args.follow || ends.get(&record.partition).is_some_and(|end| record.offset < *end) {
                print(&mut output, args, &record).map_err(not_written)?;
            }
        }
        output.flush().map_err(not_written)?;
    }
}

fn is_read(consumer: &Consumer, partition: &TopicPartition, end: Offset) -> bool {
    end == Offset::ZERO || consumer.position(partition).is_some_and(|position| position >= end)
}

fn print(output: &mut impl Write, args: &Args, record: &ConsumedRecord) -> std::io::Result<()> {
    if let Some(separator) = &args.key_separator {
        output.write_all(record.key.as_deref().unwrap_or_default())?;
        output.write_all(separator.as_bytes())?;
    }
    output.write_all(record.value.as_deref().unwrap_or_default())?;
    output.write_all(b"\n")
}
