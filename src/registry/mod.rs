//! The cluster's metadata in ZooKeeper, typed: Kafka's znode layout of 1.1 to 2.8.
//!
//! A write whose outcome a lost connection left open is settled here by reading again; callers see definite
//! answers, or that ZooKeeper cannot be reached.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::types::{BrokerId, LeaderEpoch, TopicPartition};
use crate::zookeeper::{Watch, ZkError, ZooKeeper};

/// What a broker tells about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRegistration {
    pub broker: BrokerId,
    /// As clients are to reach it.
    pub host: String,
    pub port: u16,
    pub rack: Option<String>,
}

/// The zxid that registered a broker: tells its registrations apart and orders them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistrationEpoch(pub i64);

/// A topic as it stands under `/brokers/topics`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    pub name: String,
    pub topic_id: [u8; 16],
    /// Replicas by partition; the first is preferred as leader.
    pub partitions: BTreeMap<i32, Vec<BrokerId>>,
    pub config: BTreeMap<String, String>,
}

/// Who leads a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionState {
    /// `None`: nobody (-1 on the wire).
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    pub controller_epoch: i32,
    pub isr: Vec<BrokerId>,
}

/// Why a registry operation did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// The topic exists, with another topic id.
    #[error("topic {0} exists already")]
    TopicExists(String),
    #[error("there is no topic {0}")]
    NoSuchTopic(String),
    #[error("there is no partition {0}")]
    NoSuchPartition(TopicPartition),
    /// The partition is somebody else's to lead.
    #[error("{partition} is led by {leader:?}")]
    NotLeader { partition: TopicPartition, leader: Option<BrokerId> },
    /// Another session holds the broker's id: another process, or this one's previous life until it expires.
    #[error("broker {broker} is registered by session {session:#x}")]
    RegisteredElsewhere { broker: BrokerId, session: i64 },
    #[error("the data of {path} cannot be understood: {reason}")]
    Corrupt { path: String, reason: String },
    #[error(transparent)]
    ZooKeeper(#[from] ZkError),
}

/// Typed access to the cluster's znodes.
#[derive(Clone)]
pub struct Registry {
    zookeeper: ZooKeeper,
}

fn stub<T>() -> Result<T, RegistryError> {
    Err(RegistryError::ZooKeeper(ZkError::Closed))
}

impl Registry {
    pub fn new(zookeeper: ZooKeeper) -> Registry {
        Registry { zookeeper }
    }

    pub fn zookeeper(&self) -> &ZooKeeper {
        &self.zookeeper
    }

    /// Makes the paths that everything else is put under.
    pub async fn ensure_paths(&self) -> Result<(), RegistryError> {
        stub()
    }

    /// The cluster's id (22 characters); drawn now if there is none yet.
    pub async fn cluster_id(&self) -> Result<String, RegistryError> {
        stub()
    }

    /// Registers a broker for as long as the session lives.
    pub async fn register_broker(
        &self,
        _registration: &BrokerRegistration,
    ) -> Result<RegistrationEpoch, RegistryError> {
        stub()
    }

    /// Waits until nobody is registered as `broker`.
    pub async fn wait_unregistered(&self, _broker: BrokerId) -> Result<(), RegistryError> {
        stub()
    }

    /// The brokers alive.
    pub async fn brokers(&self) -> Result<BTreeMap<BrokerId, BrokerRegistration>, RegistryError> {
        stub()
    }

    /// The brokers alive; the watch fires when one comes or goes.
    pub async fn brokers_watch(
        &self,
    ) -> Result<(BTreeMap<BrokerId, BrokerRegistration>, Watch), RegistryError> {
        stub()
    }

    /// Makes a topic and the states of its partitions (the first replica leads, epoch 0) in one step.
    pub async fn create_topic(&self, _topic: &TopicSpec) -> Result<(), RegistryError> {
        stub()
    }

    /// Removes a topic with all that belongs to it. `NoSuchTopic` if there is none.
    pub async fn delete_topic(&self, _name: &str) -> Result<(), RegistryError> {
        stub()
    }

    /// The names of all topics, sorted.
    pub async fn topics(&self) -> Result<Vec<String>, RegistryError> {
        stub()
    }

    /// The names of all topics, sorted; the watch fires when one comes or goes.
    pub async fn topics_watch(&self) -> Result<(Vec<String>, Watch), RegistryError> {
        stub()
    }

    pub async fn topic(&self, _name: &str) -> Result<Option<TopicSpec>, RegistryError> {
        stub()
    }

    /// The state of a partition and the version to compare with when changing it.
    pub async fn partition_state(
        &self,
        _partition: &TopicPartition,
    ) -> Result<Option<(PartitionState, i32)>, RegistryError> {
        stub()
    }

    /// Raises the leader epoch of a partition that `me` leads, and returns the new one, which nobody else was
    /// given.
    pub async fn raise_leader_epoch(
        &self,
        _partition: &TopicPartition,
        _me: BrokerId,
    ) -> Result<LeaderEpoch, RegistryError> {
        stub()
    }

    /// A block of producer ids that nobody else was given.
    pub async fn next_producer_ids(&self, _me: BrokerId) -> Result<Range<i64>, RegistryError> {
        stub()
    }
}
