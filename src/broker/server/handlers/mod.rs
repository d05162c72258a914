//! One file per API: a request in, its response out. Nothing here touches a socket.

mod create_topics;
mod describe_configs;
mod fetch;
mod find_coordinator;
mod init_producer_id;
mod list_offsets;
mod metadata;
mod produce;

use std::sync::Arc;

use crate::broker::core::Core;
use crate::broker::partition::Partition;
use crate::broker::replicas::Local;
use crate::protocol::ErrorCode;

pub(super) use create_topics::create_topics;
pub(super) use describe_configs::describe_configs;
pub(super) use fetch::FetchPlan;
pub(super) use find_coordinator::find_coordinator;
pub(super) use init_producer_id::init_producer_id;
pub(in crate::broker) use list_offsets::LOOKUPS_AT_ONCE_MAX;
pub(super) use list_offsets::list_offsets;
pub(super) use metadata::metadata;
pub(super) use produce::ProduceRun;

/// The partition, if it is stored here; else why it cannot be asked here.
fn local_partition(core: &Core, topic: &str, partition: i32) -> Result<Arc<Partition>, ErrorCode> {
    match core.replicas.get(topic, partition) {
        Some(Local::Open(partition)) => Ok(partition),
        Some(Local::Offline { .. }) => Err(ErrorCode::KAFKA_STORAGE_ERROR),
        None if core.metadata.image().partition(topic, partition).is_some() => {
            Err(ErrorCode::NOT_LEADER_OR_FOLLOWER)
        }
        None => Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
    }
}
