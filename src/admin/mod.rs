//! Asks the cluster to create, list and describe topics, where their logs begin and end, and what is configured.
//!
//! Stateless apart from its connections: every answer is the cluster's of that moment.

mod configs;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::client::{Cluster, ClusterConfig, Connection, RequestError};
use crate::protocol::ErrorCode;
use crate::protocol::messages::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, ListOffsetsPartition, ListOffsetsRequest,
    ListOffsetsTopic, MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};
use crate::runtime::clock;
use crate::types::{BrokerId, Instant, LeaderEpoch, Offset, Timestamp, TopicPartition};

pub use configs::{ConfigEntry, ConfigResource, ConfigSource};

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

/// A broker as the cluster's metadata describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerDescription {
    pub id: BrokerId,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
}

/// The cluster as its metadata describe it, all topics included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDescription {
    pub cluster_id: Option<String>,
    pub controller: Option<BrokerId>,
    pub brokers: Vec<BrokerDescription>,
    pub topics: Vec<TopicDescription>,
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
///
/// ```no_run
/// use std::collections::BTreeMap;
///
/// use seedlog::admin::{Admin, AdminConfig, AdminError, OffsetQuery};
/// use seedlog::types::TopicPartition;
///
/// # async fn example() -> Result<(), AdminError> {
/// let bootstrap = vec!["127.0.0.1:9092".to_owned()];
/// let admin = Admin::start(AdminConfig { bootstrap, ..AdminConfig::default() });
/// let configs = BTreeMap::from([("durability".to_owned(), "fsync".to_owned())]);
/// match admin.create_topic("orders", 12, 1, &configs).await {
///     Ok(()) | Err(AdminError::TopicExists(_)) => {}
///     Err(error) => return Err(error),
/// }
/// for partition in admin.describe_topic("orders").await?.partitions {
///     let name = TopicPartition::new("orders", partition.partition);
///     println!("{name} ends at {:?}", admin.offset(&name, OffsetQuery::Latest).await?);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Admin {
    config: AdminConfig,
    cluster: Cluster,
}

/// ListOffsets' sentinels.
const EARLIEST_TIMESTAMP: i64 = -2;
const LATEST_TIMESTAMP: i64 = -1;

impl Admin {
    /// Connects when there is something to ask.
    pub fn start(config: AdminConfig) -> Admin {
        let cluster = ClusterConfig::new(config.bootstrap.clone(), &config.client_id, config.timeout);
        Admin { config, cluster: Cluster::new(cluster) }
    }

    /// Creates a topic. -1 takes the broker's default for partitions or replication factor. Not tried again
    /// once a broker may have done it.
    pub async fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        replication_factor: i16,
        configs: &BTreeMap<String, String>,
    ) -> Result<(), AdminError> {
        let configs = configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig { name: name.clone(), value: Some(value.clone()) });
        let topic = CreatableTopic {
            name: name.to_owned(),
            num_partitions: partitions,
            replication_factor,
            assignments: Vec::new(),
            configs: configs.collect(),
        };
        let deadline = clock::now() + self.config.timeout;
        loop {
            let connection = self.controller(deadline).await?;
            let left = deadline.saturating_since(clock::now());
            let timeout_ms = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
            let request =
                CreateTopicsRequest { topics: vec![topic.clone()], timeout_ms, validate_only: false };
            let response = connection.call(&request, left).await.map_err(of_request)?;
            let result = response.topics.into_iter().next();
            let result =
                result.ok_or_else(|| AdminError::OutcomeUnknown("no answer for the topic".into()))?;
            let code = ErrorCode(result.error_code);
            if code != ErrorCode::NOT_CONTROLLER || clock::now() >= deadline {
                return created(name, code, result.error_message);
            }
        }
    }

    /// The names of all topics, in order.
    pub async fn list_topics(&self) -> Result<Vec<String>, AdminError> {
        let response = self.ask_metadata(None).await?;
        let mut names: Vec<String> = response.topics.into_iter().filter_map(|topic| topic.name).collect();
        names.sort();
        Ok(names)
    }

    /// The brokers, and every topic with its partitions.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, AdminError> {
        let response = self.ask_metadata(None).await?;
        let mut brokers: Vec<_> = response.brokers.into_iter().map(broker_description).collect();
        brokers.sort_by_key(|broker| broker.id);
        let mut topics: Vec<_> = response.topics.into_iter().filter_map(topic_description).collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        let controller = (response.controller_id >= 0).then_some(BrokerId(response.controller_id));
        Ok(ClusterDescription { cluster_id: response.cluster_id, controller, brokers, topics })
    }

    pub async fn describe_topic(&self, name: &str) -> Result<TopicDescription, AdminError> {
        let response = self.ask_metadata(Some(name)).await?;
        let topic = response.topics.into_iter().find(|topic| topic.name.as_deref() == Some(name));
        let topic = topic.ok_or_else(|| AdminError::Unknown(name.to_owned()))?;
        match ErrorCode(topic.error_code) {
            ErrorCode::NONE => {}
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => return Err(AdminError::Unknown(name.to_owned())),
            code if code.is_retriable() => return Err(AdminError::Unavailable(code.to_string())),
            code => return Err(AdminError::Refused(code.to_string())),
        }
        topic_description(topic).ok_or_else(|| AdminError::Unknown(name.to_owned()))
    }

    /// An offset of a partition; `None` where no record is as late as the timestamp asked for.
    pub async fn offset(
        &self,
        partition: &TopicPartition,
        query: OffsetQuery,
    ) -> Result<Option<Offset>, AdminError> {
        let _sought = self.cluster.seek(&partition.topic);
        let deadline = clock::now() + self.config.timeout;
        let mut last = AdminError::Unavailable("the leader is not known in time".to_owned());
        while clock::now() < deadline {
            match self.offset_once(partition, query, deadline).await {
                Err(AdminError::Unavailable(reason)) => last = AdminError::Unavailable(reason),
                settled => return settled,
            }
            let left = deadline.saturating_since(clock::now());
            self.cluster.invalidate_leader(partition);
            // A failure shows at the next attempt.
            drop(clock::timeout(left, self.cluster.refresh()).await);
        }
        Err(last)
    }

    async fn offset_once(
        &self,
        partition: &TopicPartition,
        query: OffsetQuery,
        deadline: Instant,
    ) -> Result<Option<Offset>, AdminError> {
        let unavailable = |reason: String| AdminError::Unavailable(reason);
        let unknown = || Err(AdminError::Unknown(partition.to_string()));
        let Some(leader) = self.cluster.leader(partition) else {
            let is_unknown = match self.cluster.topic(&partition.topic) {
                Some(topic) => !(0..topic.partitions.len() as i32).contains(&partition.partition),
                None => {
                    self.cluster.topic_error(&partition.topic)
                        == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.name())
                }
            };
            return if is_unknown { unknown() } else { Err(unavailable("no leader is known".to_owned())) };
        };
        let connection =
            self.cluster.connection(leader.broker).await.map_err(|e| unavailable(e.to_string()))?;
        let left = deadline.saturating_since(clock::now());
        let response = connection.call(&list_offsets(partition, query), left).await;
        let response = response.map_err(|error| unavailable(error.to_string()))?;
        let answer = response.topics.into_iter().flat_map(|topic| topic.partitions).next();
        let answer = answer.ok_or_else(|| unavailable("the leader did not answer".to_owned()))?;
        match ErrorCode(answer.error_code) {
            ErrorCode::NONE => Ok((answer.offset >= 0).then_some(Offset(answer.offset))),
            code if code.is_retriable() => Err(unavailable(code.to_string())),
            code => Err(AdminError::Refused(code.to_string())),
        }
    }

    async fn ask_metadata(&self, topic: Option<&str>) -> Result<MetadataResponse, AdminError> {
        let named = |name: &str| vec![MetadataRequestTopic { name: Some(name.to_owned()) }];
        let request = MetadataRequest {
            topics: topic.map(named),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let asked = clock::timeout(self.config.timeout, self.cluster.ask_any(&request)).await;
        let answered = asked.map_err(|elapsed| AdminError::Unavailable(elapsed.to_string()))?;
        answered.map_err(|error| AdminError::Unavailable(error.to_string()))
    }

    /// A connection to the controller, or to any broker where none is named.
    async fn controller(&self, deadline: Instant) -> Result<Connection, AdminError> {
        let mut last = "the controller is not known in time".to_owned();
        while clock::now() < deadline {
            let left = deadline.saturating_since(clock::now());
            match clock::timeout(left, self.cluster.refresh()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => last = error.to_string(),
                Err(elapsed) => last = elapsed.to_string(),
            }
            let Some(broker) = self.cluster.controller().or_else(|| self.cluster.some_broker()) else {
                continue;
            };
            match self.cluster.connection(broker).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error.to_string(),
            }
        }
        Err(AdminError::Unavailable(last))
    }
}

fn of_request(error: RequestError) -> AdminError {
    match error {
        RequestError::Lost(reason) => AdminError::OutcomeUnknown(reason.to_string()),
        RequestError::NotSent(reason) => AdminError::Unavailable(reason.to_string()),
        RequestError::Unsupported(_) => AdminError::Refused(error.to_string()),
    }
}

fn created(name: &str, code: ErrorCode, message: Option<String>) -> Result<(), AdminError> {
    let text = match message {
        Some(message) => format!("{code}: {message}"),
        None => code.to_string(),
    };
    match code {
        ErrorCode::NONE => Ok(()),
        ErrorCode::TOPIC_ALREADY_EXISTS => Err(AdminError::TopicExists(name.to_owned())),
        ErrorCode::NOT_CONTROLLER => Err(AdminError::Unavailable(text)),
        ErrorCode::REQUEST_TIMED_OUT | ErrorCode::UNKNOWN_SERVER_ERROR | ErrorCode::NETWORK_EXCEPTION => {
            Err(AdminError::OutcomeUnknown(text))
        }
        _ => Err(AdminError::Refused(text)),
    }
}

fn broker_description(broker: MetadataResponseBroker) -> BrokerDescription {
    BrokerDescription {
        id: BrokerId(broker.node_id),
        host: broker.host,
        port: broker.port,
        rack: broker.rack,
    }
}

/// None for a topic without a name: none can be asked for.
fn topic_description(topic: MetadataResponseTopic) -> Option<TopicDescription> {
    let mut partitions: Vec<_> = topic.partitions.into_iter().map(description).collect();
    partitions.sort_by_key(|partition| partition.partition);
    Some(TopicDescription { name: topic.name?, partitions })
}

fn description(partition: MetadataResponsePartition) -> PartitionDescription {
    let ids = |nodes: Vec<i32>| nodes.into_iter().map(BrokerId).collect();
    PartitionDescription {
        partition: partition.partition_index,
        leader: (partition.leader_id >= 0).then_some(BrokerId(partition.leader_id)),
        leader_epoch: LeaderEpoch(partition.leader_epoch),
        replicas: ids(partition.replica_nodes),
        in_sync: ids(partition.isr_nodes),
    }
}

fn list_offsets(partition: &TopicPartition, query: OffsetQuery) -> ListOffsetsRequest {
    let asked = ListOffsetsPartition {
        partition_index: partition.partition,
        timestamp: match query {
            OffsetQuery::Earliest => EARLIEST_TIMESTAMP,
            OffsetQuery::Latest => LATEST_TIMESTAMP,
            OffsetQuery::At(timestamp) => timestamp.0,
        },
        ..Default::default()
    };
    let topic = ListOffsetsTopic { name: partition.topic.to_string(), partitions: vec![asked] };
    ListOffsetsRequest { replica_id: -1, isolation_level: 0, topics: vec![topic] }
}
