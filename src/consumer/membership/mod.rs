//! Consumer groups: who consumes what, and what the application has finished.
//!
//! Groups coordinate themselves through ZooKeeper, without a master (sections 3.1 and 3.2 of the paper *Kafka: a
//! Distributed Messaging System for Log Processing*). Coordination by the brokers is not here.

pub mod blocking;
mod config;
mod discovery;
mod finished;
mod group;
mod shared;
mod stream;
mod zookeeper;

pub use config::{Finish, GroupConfig};
pub use group::GroupConsumer;
pub use stream::MessageStream;

use super::AutoReset;
use crate::zookeeper::ZkError;

/// Why a group consumer does not do what it is asked.
///
/// ```
/// use seedlog::consumer::membership::{GroupConsumer, GroupError};
///
/// /// Whether the work done so far is safe. If not, it comes again: to this member or to another.
/// async fn is_safe(consumer: &GroupConsumer) -> Result<bool, GroupError> {
///     match consumer.commit().await {
///         Ok(()) => Ok(true),
///         Err(GroupError::SessionLost | GroupError::ZooKeeper(_)) => Ok(false),
///         Err(error) => Err(error),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// A group, member or topic name that cannot be a part of a path, no topic, or no stream.
    #[error("{0}")]
    BadConfig(String),
    /// No servers were named, and no broker says where they are (DescribeConfigs, `zookeeper.connect`).
    #[error("no ZooKeeper is named, and none was found: {0}")]
    ZooKeeperUnknown(String),
    /// Streams were created before: a consumer creates its streams once.
    #[error("the message streams of this consumer exist already")]
    StreamsExist,
    /// The session that owned the partitions is over; what was finished will be delivered again.
    #[error("the session that owned the partitions is over")]
    SessionLost,
    /// ZooKeeper could not be reached. A commit may have been applied.
    #[error(transparent)]
    ZooKeeper(#[from] ZkError),
    #[error("the group consumer is closed")]
    Closed,
}
