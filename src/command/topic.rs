//! `seedlog topic create | list | describe`.

use std::collections::BTreeMap;

use clap::Subcommand;

use seedlog::admin::{Admin, AdminConfig, OffsetQuery};
use seedlog::runtime::task;
use seedlog::types::{BrokerId, TopicPartition};

use super::{Bootstrap, CommandError};

#[derive(Subcommand)]
pub enum TopicCommand {
    /// Create a topic.
    Create {
        name: String,
        /// Number of partitions.
        #[arg(long, default_value_t = 1)]
        partitions: i32,
        /// Copies of each partition.
        #[arg(long, default_value_t = 1)]
        replication_factor: i16,
        /// A topic setting, KEY=VALUE; may be given several times (durability, expose, segment.bytes ...).
        #[arg(long = "config", value_name = "KEY=VALUE")]
        configs: Vec<String>,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
    /// Print the names of all topics.
    List {
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
    /// Print a topic's partitions with leader, replicas and offsets.
    Describe {
        name: String,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
}

pub fn run(command: TopicCommand) -> Result<(), CommandError> {
    task::block_on(async move {
        match command {
            TopicCommand::Create { name, partitions, replication_factor, configs, bootstrap } => {
                let configs = configs.iter().map(|c| setting(c)).collect::<Result<BTreeMap<_, _>, _>>()?;
                let admin = connect(bootstrap);
                admin
                    .create_topic(&name, partitions, replication_factor, &configs)
                    .await
                    .map_err(CommandError::failed)?;
                println!("created {name} with {partitions} partition(s)");
                Ok(())
            }
            TopicCommand::List { bootstrap } => {
                for name in connect(bootstrap).list_topics().await.map_err(CommandError::failed)? {
                    println!("{name}");
                }
                Ok(())
            }
            TopicCommand::Describe { name, bootstrap } => describe(connect(bootstrap), &name).await,
        }
    })
}

fn connect(bootstrap: Bootstrap) -> Admin {
    Admin::start(AdminConfig { bootstrap: bootstrap.bootstrap, ..AdminConfig::default() })
}

async fn describe(admin: Admin, name: &str) -> Result<(), CommandError> {
    let topic = admin.describe_topic(name).await.map_err(CommandError::failed)?;
    println!("{name}: {} partition(s)", topic.partitions.len());
    for described in topic.partitions {
        let partition = TopicPartition::new(name, described.partition);
        let leader = described.leader.map_or("none".to_owned(), |id| id.to_string());
        let (start, end) = match described.leader {
            Some(_) => (
                offset_text(&admin, &partition, OffsetQuery::Earliest).await?,
                offset_text(&admin, &partition, OffsetQuery::Latest).await?,
            ),
            None => ("?".to_owned(), "?".to_owned()),
        };
        println!(
            "  partition {}: leader {leader}, epoch {}, replicas {}, in sync {}, offsets {start}..{end}",
            described.partition,
            described.leader_epoch,
            ids(&described.replicas),
            ids(&described.in_sync),
        );
    }
    Ok(())
}

async fn offset_text(
    admin: &Admin,
    partition: &TopicPartition,
    query: OffsetQuery,
) -> Result<String, CommandError> {
    let offset = admin.offset(partition, query).await.map_err(CommandError::failed)?;
    Ok(offset.map_or("?".to_owned(), |o| o.to_string()))
}

fn ids(brokers: &[BrokerId]) -> String {
    brokers.iter().map(BrokerId::to_string).collect::<Vec<_>>().join(",")
}

fn setting(text: &str) -> Result<(String, String), CommandError> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| CommandError::Usage(format!("--config {text}: expected KEY=VALUE")))?;
    Ok((key.to_owned(), value.to_owned()))
}
