//! Asks the cluster to create, list and describe topics, and where their logs begin and end.
//!
//! Stateless apart from its connections: every answer is the cluster's of that moment.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::types::{BrokerId, LeaderEpoch, Offset, Timestamp, TopicPartition};

/// An administrator's settings.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// `host:port` of some brokers (`bootstrap.servers`).
    pub bootstrap: Vec<String>,
    pub client_id: String,
    /// How long an operation may take, tries included.
    pub timeout: Duration,
}

impl Default for AdminConfig {
    fn default() -> AdminConfig {
        AdminConfig {
            bootstrap: Vec::new(),
            client_id: "seedlog-admin".to_owned(),
            timeout: Duration::from_secs(30),
        }
    }
}

/// Why an operation did not succeed, by what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    #[error("topic {0} exists already")]
    TopicExists(String),
    #[error("no topic or partition {0}")]
    Unknown(String),
    /// The request itself is wrong.
    #[error("refused: {0}")]
    Refused(String),
    /// Nothing was done: no broker could be asked in time. Try again.
    #[error("the cluster is not available: {0}")]
    Unavailable(String),
    /// It may have been done. Look before trying again.
    #[error("outcome unknown: {0}")]
    OutcomeUnknown(String),
}

/// One partition as the cluster's metadata describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDescription {
    pub partition: i32,
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    pub replicas: Vec<BrokerId>,
    pub in_sync: Vec<BrokerId>,
}

/// One topic as the cluster's metadata describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    pub name: String,
    pub partitions: Vec<PartitionDescription>,
}

/// Which offset [`Admin::offset`] looks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetQuery {
    /// The log's start.
    Earliest,
    /// The readable end.
    Latest,
    /// Of the first record with this timestamp or a later one.
    At(Timestamp),
}

/// An administrator.
pub struct Admin {
    _config: AdminConfig,
}

impl Admin {
    /// Connects when there is something to ask.
    pub fn start(config: AdminConfig) -> Admin {
        Admin { _config: config }
    }

    /// Creates a topic. -1 takes the broker's default for partitions or replication factor.
    pub async fn create_topic(
        &self,
        _name: &str,
        _partitions: i32,
        _replication_factor: i16,
        _configs: &BTreeMap<String, String>,
    ) -> Result<(), AdminError> {
        Err(AdminError::Unavailable("no client yet".to_owned()))
    }

    /// The names of all topics, in order.
    pub async fn list_topics(&self) -> Result<Vec<String>, AdminError> {
        Err(AdminError::Unavailable("no client yet".to_owned()))
    }

    pub async fn describe_topic(&self, _name: &str) -> Result<TopicDescription, AdminError> {
        Err(AdminError::Unavailable("no client yet".to_owned()))
    }

    /// An offset of a partition; `None` where no record is as late as the timestamp asked for.
    pub async fn offset(&self, _: &TopicPartition, _: OffsetQuery) -> Result<Option<Offset>, AdminError> {
        Err(AdminError::Unavailable("no client yet".to_owned()))
    }
}
