//! The cluster's metadata in ZooKeeper, typed: Kafka's znode layout of 1.1 to 2.8.
//!
//! A write whose outcome a lost connection left open is settled here by reading again; callers see definite
//! answers, or that ZooKeeper cannot be reached.

mod base64;
mod brokers;
mod consumers;
mod group_znodes;
mod ids;
mod offsets;
mod topics;
mod znodes;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::runtime::{buggify, clock};
use crate::types::{BrokerId, LeaderEpoch, SessionId, TopicId, TopicPartition, Zxid};
use crate::zookeeper::{CreateMode, ZkError, ZooKeeper};

use znodes::Unreadable;

pub use consumers::{Claim, Members, Membership, PartitionOwner};
pub use offsets::GroupOffset;

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
pub struct RegistrationEpoch(pub Zxid);

/// A topic as it stands under `/brokers/topics`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    pub name: String,
    pub topic_id: TopicId,
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
    /// Another session holds the broker's id: another process, or this one's previous incarnation until it expires.
    #[error("broker {broker} is registered by session {session}")]
    RegisteredElsewhere { broker: BrokerId, session: SessionId },
    #[error("the data of {path} cannot be understood: {reason}")]
    Corrupt { path: String, reason: String },
    #[error(transparent)]
    ZooKeeper(#[from] ZkError),
}

/// How often an operation is tried whose outcome is open or whose ground was moved by others.
const ATTEMPTS_MAX: usize = 16;
/// Calls to ZooKeeper side by side: far below what the client takes in before it refuses.
const CALLS_AT_ONCE_MAX: usize = 64;
/// How often a read is tried; each attempt waits up to the session timeout for a connection.
const READ_ATTEMPTS_MAX: usize = 3;
/// How late a read may come in simulation.
const LATE_READ: Duration = Duration::from_millis(400);

/// Typed access to the cluster's znodes.
#[derive(Clone)]
pub struct Registry {
    zookeeper: ZooKeeper,
    settled: Arc<Settled>,
}

/// Writes of this session whose replies were lost. What they did is known for certain only behind a later `sync`: another
/// server, to which the client has come meanwhile, may not know of them yet.
#[derive(Debug, Default)]
struct Settled {
    lost: AtomicU64,
    /// So many of these lie before a `sync`.
    known: AtomicU64,
}

impl Registry {
    pub fn new(zookeeper: ZooKeeper) -> Registry {
        Registry { zookeeper, settled: Arc::default() }
    }

    pub fn zookeeper(&self) -> &ZooKeeper {
        &self.zookeeper
    }

    /// The reply to a write was lost: reads say nothing of what it did before [`Registry::settle`].
    fn reply_lost(&self) {
        self.settled.lost.fetch_add(1, Ordering::SeqCst);
    }

    /// What is read from here on holds whatever this session has written.
    async fn settle(&self) -> Result<(), ZkError> {
        let lost = self.settled.lost.load(Ordering::SeqCst);
        if lost > self.settled.known.load(Ordering::SeqCst) {
            retry_read(|| self.zookeeper.sync("/")).await?;
            self.settled.known.fetch_max(lost, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Makes the paths that everything else is put under.
    pub async fn ensure_paths(&self) -> Result<(), RegistryError> {
        for path in znodes::PERSISTENT_PATHS {
            let mut attempts = 0;
            loop {
                attempts += 1;
                match self.zookeeper.create(path, b"", CreateMode::Persistent).await {
                    Ok(_) | Err(ZkError::NodeExists) => break,
                    Err(ZkError::ConnectionLost) if attempts < ATTEMPTS_MAX => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// Reads what a write whose reply was lost may have left: after a `sync`, so that no server answers from
    /// before it.
    async fn read_back<T, F>(&self, read: impl Fn() -> F) -> Result<T, ZkError>
    where
        F: Future<Output = Result<T, ZkError>>,
    {
        retry_read(|| async {
            self.zookeeper.sync("/").await?;
            read().await
        })
        .await
    }
}

/// A read that a lost connection cut short does no harm when it is made again. In simulation one comes late now and then,
/// so that more happens between two that belong together.
async fn retry_read<T, F>(read: impl Fn() -> F) -> Result<T, ZkError>
where
    F: Future<Output = Result<T, ZkError>>,
{
    if buggify::fires("registry.late-read") {
        clock::sleep(LATE_READ).await;
    }
    for _ in 1..READ_ATTEMPTS_MAX {
        match read().await {
            Err(ZkError::ConnectionLost) => {}
            outcome => return outcome,
        }
    }
    read().await
}

/// Says that a znode is left out because it cannot be read. It is one broker's, one topic's or one partition's: it
/// stops nobody else.
fn report_skipped(path: &str, Unreadable(reason): &Unreadable) {
    tracing::warn!(path, reason, "znode_skipped");
}

fn corrupt(path: &str, Unreadable(reason): Unreadable) -> RegistryError {
    RegistryError::Corrupt { path: path.to_owned(), reason }
}
