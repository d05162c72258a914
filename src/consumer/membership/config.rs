//! What a member of a group is told at its start.

use std::time::Duration;

use super::{AutoReset, GroupError};
use crate::consumer::ConsumerConfig;
use crate::zookeeper::ZooKeeperConfig;

/// When a record counts as finished by the application, so that a commit may include it (P17).
///
/// ```
/// use seedlog::consumer::ConsumedRecord;
/// use seedlog::consumer::membership::MessageStream;
///
/// // With `Finish::Explicit`: in any order, when the work is done. A commit stops at the first record without a mark.
/// fn done(stream: &MessageStream, record: &ConsumedRecord) {
///     stream.mark_finished(&record.partition, record.offset);
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Finish {
    /// When the next record of the same stream is asked for, or when it is marked.
    #[default]
    OnNext,
    /// When it is marked.
    Explicit,
}

/// A group member's settings; Kafka's keys are noted where they exist.
///
/// ```
/// use std::time::Duration;
///
/// use seedlog::consumer::membership::{Finish, GroupConfig};
/// use seedlog::consumer::{AutoReset, ConsumerConfig};
///
/// let bootstrap = vec!["localhost:9092".to_owned()];
/// let consumer = ConsumerConfig { bootstrap, ..ConsumerConfig::default() };
/// let config = GroupConfig {
///     reset: AutoReset::Earliest,
///     finish: Finish::Explicit,
///     auto_commit: Some(Duration::from_secs(5)),
///     ..GroupConfig::with_discovery("billing", consumer)
/// };
/// assert!(config.zookeeper.servers.is_empty(), "the brokers say where ZooKeeper is");
/// ```
#[derive(Clone, Debug)]
pub struct GroupConfig {
    /// `group.id`.
    pub group: String,
    /// The member's name in the group; no two live members may share it. `None`: drawn from the client id, the
    /// time and chance. A fixed name waits, at most one session timeout, until its previous incarnation has expired.
    pub member: Option<String>,
    /// How records are fetched; its `auto_reset` is replaced by `reset`.
    pub consumer: ConsumerConfig,
    /// No servers: the brokers are asked for them (DescribeConfigs, `zookeeper.connect`).
    pub zookeeper: ZooKeeperConfig,
    /// Where to begin when the group has no offset yet, or one outside of the log (`auto.offset.reset`).
    pub reset: AutoReset,
    /// Commit what is finished this often (`auto.commit.interval.ms`); `None`: only when asked, and on release.
    pub auto_commit: Option<Duration>,
    pub finish: Finish,
    /// Tries of one rebalance before it is reported as failed (`rebalance.max.retries`).
    pub rebalance_tries_max: u32,
    /// The pause between two tries, unless what is in the way goes before (`rebalance.backoff.ms`).
    pub rebalance_backoff: Duration,
    /// Records of one stream that were delivered and not finished; `next` waits for marks beyond it.
    pub unfinished_records_max: usize,
}

impl GroupConfig {
    /// Kafka's defaults: commits once a minute, four tries two seconds apart.
    pub fn new(group: &str, consumer: ConsumerConfig, zookeeper: ZooKeeperConfig) -> GroupConfig {
        GroupConfig {
            group: group.to_owned(),
            member: None,
            consumer,
            zookeeper,
            reset: AutoReset::default(),
            auto_commit: Some(Duration::from_secs(60)),
            finish: Finish::default(),
            rebalance_tries_max: 4,
            rebalance_backoff: Duration::from_secs(2),
            unfinished_records_max: 10_000,
        }
    }

    /// As above, with the ZooKeeper that the brokers use and Kafka's timeouts for it.
    pub fn with_discovery(group: &str, consumer: ConsumerConfig) -> GroupConfig {
        let zookeeper = ZooKeeperConfig {
            servers: Vec::new(),
            session_timeout: Duration::from_secs(6),
            connect_timeout: Duration::from_secs(6),
        };
        GroupConfig::new(group, consumer, zookeeper)
    }

    pub(super) fn check(&self) -> Result<(), GroupError> {
        path_part("group", &self.group)?;
        if let Some(member) = &self.member {
            path_part("member", member)?;
        }
        if self.zookeeper.servers.is_empty() && self.consumer.bootstrap.is_empty() {
            return Err(GroupError::BadConfig("neither a ZooKeeper nor a broker is named".to_owned()));
        }
        if self.rebalance_tries_max == 0 {
            return Err(GroupError::BadConfig("a rebalance needs at least one try".to_owned()));
        }
        if self.unfinished_records_max == 0 {
            return Err(GroupError::BadConfig("a stream must be allowed one unfinished record".to_owned()));
        }
        Ok(())
    }
}

/// A name that is one part of a ZooKeeper path and no other path.
pub(super) fn path_part(what: &str, name: &str) -> Result<(), GroupError> {
    let is_a_part = !name.is_empty()
        && name != "."
        && name != ".."
        && !name.contains(|c: char| c == '/' || c.is_control());
    match is_a_part {
        true => Ok(()),
        false => Err(GroupError::BadConfig(format!("{name:?} cannot be the name of a {what}"))),
    }
}
