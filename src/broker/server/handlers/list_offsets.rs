//! ListOffsets: where a partition begins and ends, and the record of a time.

use super::super::errors::partition_error_code;
use super::local_partition;
use crate::broker::core::Core;
use crate::broker::partition::EpochFence;
use crate::protocol::ErrorCode;
use crate::protocol::messages::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use crate::types::{LeaderEpoch, Offset, Timestamp};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

pub(in crate::broker::server) fn list_offsets(
    core: &Core,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| answer(core, &topic.name, asked)).collect();
        ListOffsetsTopicResponse { name: topic.name, partitions }
    });
    ListOffsetsResponse { topics: topics.collect(), ..Default::default() }
}

fn answer(core: &Core, topic: &str, asked: &ListOffsetsPartition) -> ListOffsetsPartitionResponse {
    let partition_index = asked.partition_index;
    match look_up(core, topic, asked) {
        Ok(Some((offset, timestamp, epoch))) => ListOffsetsPartitionResponse {
            partition_index,
            offset: offset.0,
            timestamp: timestamp.0,
            leader_epoch: epoch.0,
            ..Default::default()
        },
        // No record is that young: the offset stays -1.
        Ok(None) => ListOffsetsPartitionResponse { partition_index, ..Default::default() },
        Err(code) => {
            ListOffsetsPartitionResponse { partition_index, error_code: code.0, ..Default::default() }
        }
    }
}

fn look_up(
    core: &Core,
    topic: &str,
    asked: &ListOffsetsPartition,
) -> Result<Option<(Offset, Timestamp, LeaderEpoch)>, ErrorCode> {
    let partition = local_partition(core, topic, asked.partition_index)?;
    let fence = EpochFence(LeaderEpoch(asked.current_leader_epoch));
    let bounds = partition.bounds(fence).map_err(|error| partition_error_code(&error))?;
    match asked.timestamp {
        LATEST => Ok(Some((bounds.readable_end, Timestamp::NONE, bounds.epoch))),
        EARLIEST => Ok(Some((bounds.log_start, Timestamp::NONE, bounds.epoch))),
        // The record of the largest timestamp (-3) would need a scan; the rest has no meaning here.
        timestamp if timestamp < 0 => Err(ErrorCode::UNSUPPORTED_VERSION),
        timestamp => {
            let found = partition.lookup_timestamp(Timestamp(timestamp));
            let found = found.map_err(|error| partition_error_code(&error))?;
            Ok(found.map(|(offset, timestamp)| (offset, timestamp, bounds.epoch)))
        }
    }
}
