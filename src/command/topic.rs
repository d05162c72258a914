//! `seedlog topic create | list | describe`.

use std::collections::BTreeMap;
use std::fmt;

use clap::Subcommand;
use serde::Serialize;

use seedlog::admin::{Admin, OffsetQuery, PartitionDescription};
use seedlog::types::{BrokerId, Offset, TopicPartition};

use super::logging::Log;
use super::output::{Form, print_json, print_line};
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
        form: Form,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
    /// Print a topic's partitions with leader, replicas and offsets.
    Describe {
        name: String,
        #[command(flatten)]
        form: Form,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
}

/// A topic as it is printed.
#[derive(Serialize)]
struct TopicInfo {
    name: String,
    partitions: Vec<PartitionInfo>,
}

#[derive(Serialize)]
struct PartitionInfo {
    partition: i32,
    leader: Option<i32>,
    leader_epoch: i32,
    replicas: Vec<i32>,
    in_sync: Vec<i32>,
    /// Only a leader knows them.
    log_start_offset: Option<i64>,
    readable_end_offset: Option<i64>,
}

pub fn run(log: &Log, command: TopicCommand) -> Result<(), CommandError> {
    log.block_on(async move {
        match command {
            TopicCommand::Create { name, partitions, replication_factor, configs, bootstrap } => {
                let configs = configs.iter().map(|c| setting(c)).collect::<Result<BTreeMap<_, _>, _>>()?;
                let admin = bootstrap.admin();
                let created = admin.create_topic(&name, partitions, replication_factor, &configs);
                created.await.map_err(CommandError::failed)?;
                print_line(format_args!("created {name} with {partitions} partition(s)"))
            }
            TopicCommand::List { form, bootstrap } => {
                let names = bootstrap.admin().list_topics().await.map_err(CommandError::failed)?;
                if form.json {
                    return print_json(&names);
                }
                names.iter().try_for_each(print_line)
            }
            TopicCommand::Describe { name, form, bootstrap } => {
                let info = TopicInfo::ask(&bootstrap.admin(), &name).await?;
                if form.json { print_json(&info) } else { info.print() }
            }
        }
    })
}

impl TopicInfo {
    async fn ask(admin: &Admin, name: &str) -> Result<TopicInfo, CommandError> {
        let topic = admin.describe_topic(name).await.map_err(CommandError::failed)?;
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for described in topic.partitions {
            partitions.push(PartitionInfo::ask(admin, name, described).await?);
        }
        Ok(TopicInfo { name: name.to_owned(), partitions })
    }

    fn print(&self) -> Result<(), CommandError> {
        print_line(format_args!("{}: {} partition(s)", self.name, self.partitions.len()))?;
        self.partitions.iter().try_for_each(print_line)
    }
}

impl PartitionInfo {
    async fn ask(
        admin: &Admin,
        topic: &str,
        described: PartitionDescription,
    ) -> Result<PartitionInfo, CommandError> {
        let partition = TopicPartition::new(topic, described.partition);
        let (mut start, mut end) = (None, None);
        if described.leader.is_some() {
            start = admin.offset(&partition, OffsetQuery::Earliest).await.map_err(CommandError::failed)?;
            end = admin.offset(&partition, OffsetQuery::Latest).await.map_err(CommandError::failed)?;
        }
        Ok(PartitionInfo {
            partition: described.partition,
            leader: described.leader.map(|BrokerId(id)| id),
            leader_epoch: described.leader_epoch.0,
            replicas: described.replicas.iter().map(|BrokerId(id)| *id).collect(),
            in_sync: described.in_sync.iter().map(|BrokerId(id)| *id).collect(),
            log_start_offset: start.map(|Offset(offset)| offset),
            readable_end_offset: end.map(|Offset(offset)| offset),
        })
    }
}

impl fmt::Display for PartitionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let leader = self.leader.map_or("none".to_owned(), |id| id.to_string());
        let offset = |offset: Option<i64>| offset.map_or("?".to_owned(), |offset| offset.to_string());
        write!(f, "  partition {}: leader {leader}, epoch {}", self.partition, self.leader_epoch)?;
        write!(f, ", replicas {}, in sync {}", ids(&self.replicas), ids(&self.in_sync))?;
        write!(f, ", offsets {}..{}", offset(self.log_start_offset), offset(self.readable_end_offset))
    }
}

fn ids(brokers: &[i32]) -> String {
    brokers.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}

fn setting(text: &str) -> Result<(String, String), CommandError> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| CommandError::Usage(format!("--config {text}: expected KEY=VALUE")))?;
    Ok((key.to_owned(), value.to_owned()))
}
