//! ListOffsets: where a partition begins and ends, and the record of a time.
//!
//! A look-up by time may walk over a whole segment. It runs without the partition's lock, a bounded step at a time
//! with other tasks let in between, at most [`LOOKUPS_AT_ONCE_MAX`] of them in the broker, and a request's look-ups
//! together for at most `LOOKUPS_TIME_MAX`: what is left then is answered with REQUEST_TIMED_OUT, which clients ask
//! again for.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::errors::partition_error_code;
use super::local_partition;
use crate::broker::core::Core;
use crate::broker::partition::{EpochFence, Partition, PartitionError};
use crate::log::{FoundRecord, LookupStep, TimeTarget};
use crate::protocol::ErrorCode;
use crate::protocol::messages::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use crate::runtime::{Instant, clock, task};
use crate::types::{LeaderEpoch, Timestamp};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// The record of the largest timestamp (KIP-734).
const LARGEST_TIMESTAMP: i64 = -3;
/// The first version that has it.
const LARGEST_TIMESTAMP_SINCE: i16 = 7;

/// Look-ups by time that run at a time, of all connections; others wait their turn.
pub(in crate::broker) const LOOKUPS_AT_ONCE_MAX: usize = 2;
/// Half of what Java's clients wait for an answer.
const LOOKUPS_TIME_MAX: Duration = Duration::from_secs(15);
/// After so many partitions a request lets other tasks go on.
const PARTITIONS_A_TURN: usize = 256;

pub(in crate::broker::server) async fn list_offsets(
    core: &Core,
    version: i16,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let repeated = repeated_partitions(&request);
    let deadline = clock::now() + LOOKUPS_TIME_MAX;
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut answered = 0;
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let found = if repeated.contains(&(topic.name.as_str(), asked.partition_index)) {
                Err(ErrorCode::INVALID_REQUEST)
            } else {
                look_up(core, version, &topic.name, asked, deadline).await
            };
            partitions.push(response(asked.partition_index, found));
            answered += 1;
            if answered % PARTITIONS_A_TURN == 0 {
                task::yield_now().await;
            }
        }
        topics.push(ListOffsetsTopicResponse { name: topic.name.clone(), partitions });
    }
    ListOffsetsResponse { topics, ..Default::default() }
}

/// Partitions that are asked for more than once: Kafka refuses each of them, and so one request costs at most one
/// look-up a partition.
fn repeated_partitions(request: &ListOffsetsRequest) -> BTreeSet<(&str, i32)> {
    let mut all: Vec<(&str, i32)> = Vec::new();
    for topic in &request.topics {
        all.extend(topic.partitions.iter().map(|asked| (topic.name.as_str(), asked.partition_index)));
    }
    all.sort_unstable();
    all.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect()
}

/// Without a record, offset, timestamp and epoch stay -1: none is that young.
fn response(
    partition_index: i32,
    found: Result<Option<ListOffsetsPartitionResponse>, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    match found {
        Ok(found) => ListOffsetsPartitionResponse { partition_index, ..found.unwrap_or_default() },
        Err(code) => {
            ListOffsetsPartitionResponse { partition_index, error_code: code.0, ..Default::default() }
        }
    }
}

async fn look_up(
    core: &Core,
    version: i16,
    topic: &str,
    asked: &ListOffsetsPartition,
    deadline: Instant,
) -> Result<Option<ListOffsetsPartitionResponse>, ErrorCode> {
    let partition = local_partition(core, topic, asked.partition_index)?;
    let fence = EpochFence(LeaderEpoch(asked.current_leader_epoch));
    let target = match asked.timestamp {
        LATEST | EARLIEST => {
            let bounds = partition.bounds(fence).map_err(|error| partition_error_code(&error))?;
            let offset = if asked.timestamp == LATEST { bounds.readable_end } else { bounds.log_start };
            return Ok(Some(ListOffsetsPartitionResponse {
                offset: offset.0,
                leader_epoch: bounds.epoch.0,
                ..Default::default()
            }));
        }
        LARGEST_TIMESTAMP if version >= LARGEST_TIMESTAMP_SINCE => TimeTarget::Largest,
        timestamp if timestamp < 0 => return Err(ErrorCode::UNSUPPORTED_VERSION),
        timestamp => TimeTarget::AtOrAfter(Timestamp(timestamp)),
    };
    let found = by_time(core, &partition, target, fence, deadline).await?;
    Ok(found.map(|record| ListOffsetsPartitionResponse {
        offset: record.offset.0,
        timestamp: record.timestamp.0,
        leader_epoch: record.epoch.0,
        ..Default::default()
    }))
}

async fn by_time(
    core: &Core,
    partition: &Partition,
    target: TimeTarget,
    fence: EpochFence,
    deadline: Instant,
) -> Result<Option<FoundRecord>, ErrorCode> {
    let failed = |error: PartitionError| partition_error_code(&error);
    let waiting = clock::timeout(deadline.saturating_since(clock::now()), core.lookups.acquire());
    let _turn = match waiting.await {
        Ok(turn) => turn.expect("the semaphore is never closed"),
        Err(_elapsed) => return Err(ErrorCode::REQUEST_TIMED_OUT),
    };
    let mut lookup = partition.time_lookup(target, fence).map_err(failed)?;
    loop {
        match lookup.step().map_err(|error| failed(error.into()))? {
            LookupStep::Done(found) => return Ok(found),
            LookupStep::Unfinished if clock::now() >= deadline => return Err(ErrorCode::REQUEST_TIMED_OUT),
            LookupStep::Unfinished => task::yield_now().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::messages::ListOffsetsTopic;

    #[test]
    fn a_partition_asked_for_twice_is_seen_whatever_topic_entry_names_it() {
        let topic = |name: &str, partitions: &[i32]| ListOffsetsTopic {
            name: name.to_owned(),
            partitions: partitions
                .iter()
                .map(|&partition_index| ListOffsetsPartition { partition_index, ..Default::default() })
                .collect(),
        };
        let topics = vec![topic("a", &[0, 1]), topic("b", &[0, 7, 7, 7]), topic("a", &[2, 1])];
        let request = ListOffsetsRequest { topics, ..Default::default() };

        let repeated = repeated_partitions(&request);

        assert_eq!(repeated.into_iter().collect::<Vec<_>>(), [("a", 1), ("b", 7)]);
    }
}
