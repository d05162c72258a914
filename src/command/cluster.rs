//! `seedlog cluster info`.

use clap::Subcommand;
use serde::Serialize;

use seedlog::admin::ClusterDescription;
use seedlog::types::BrokerId;

use super::logging::Log;
use super::output::{Form, print_json, print_line};
use super::{Bootstrap, CommandError};

#[derive(Subcommand)]
pub enum ClusterCommand {
    /// Print the cluster's id, its brokers with their addresses, and how many topics and partitions there are.
    Info {
        #[command(flatten)]
        form: Form,
        #[command(flatten)]
        bootstrap: Bootstrap,
    },
}

/// As it is printed.
#[derive(Serialize)]
struct ClusterInfo {
    cluster_id: Option<String>,
    controller: Option<i32>,
    brokers: Vec<BrokerInfo>,
    topics: usize,
    partitions: usize,
    partitions_without_leader: usize,
}

#[derive(Serialize)]
struct BrokerInfo {
    id: i32,
    address: String,
    rack: Option<String>,
}

pub fn run(log: &Log, command: ClusterCommand) -> Result<(), CommandError> {
    let ClusterCommand::Info { form, bootstrap } = command;
    log.block_on(async move {
        let cluster = bootstrap.admin().describe_cluster().await.map_err(CommandError::failed)?;
        let info = ClusterInfo::from(cluster);
        if form.json { print_json(&info) } else { info.print() }
    })
}

impl From<ClusterDescription> for ClusterInfo {
    fn from(cluster: ClusterDescription) -> ClusterInfo {
        let brokers = cluster.brokers.into_iter().map(|broker| BrokerInfo {
            id: broker.id.0,
            address: format!("{}:{}", broker.host, broker.port),
            rack: broker.rack,
        });
        let partitions = || cluster.topics.iter().flat_map(|topic| &topic.partitions);
        ClusterInfo {
            cluster_id: cluster.cluster_id,
            controller: cluster.controller.map(|BrokerId(id)| id),
            brokers: brokers.collect(),
            topics: cluster.topics.len(),
            partitions: partitions().count(),
            partitions_without_leader: partitions().filter(|partition| partition.leader.is_none()).count(),
        }
    }
}

impl ClusterInfo {
    fn print(&self) -> Result<(), CommandError> {
        print_line(format_args!("cluster {}", self.cluster_id.as_deref().unwrap_or("without an id")))?;
        let controller = self.controller.map_or("none".to_owned(), |id| id.to_string());
        print_line(format_args!("controller {controller}"))?;
        for broker in &self.brokers {
            let rack = broker.rack.as_deref().map(|rack| format!(", rack {rack}")).unwrap_or_default();
            print_line(format_args!("  broker {} at {}{rack}", broker.id, broker.address))?;
        }
        let without = match self.partitions_without_leader {
            0 => String::new(),
            count => format!(", {count} without a leader"),
        };
        print_line(format_args!("{} topic(s), {} partition(s){without}", self.topics, self.partitions))
    }
}
