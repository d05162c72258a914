//! Fetch: batches as they lie in the log, as ranges of its files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::errors::partition_error_code;
use super::super::outgoing::Outgoing;
use super::local_partition;
use crate::broker::core::Core;
use crate::broker::partition::{EpochFence, Partition, ReadRequest, ReadResult};
use crate::protocol::messages::{FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData};
use crate::protocol::{ErrorCode, Records, RequestHeader};
use crate::runtime::{FileRange, task};
use crate::types::{LeaderEpoch, Offset};

/// Fetch sessions (KIP-227) are never opened; a client that names one is told so.
const NO_SESSION: i32 = 0;

/// After so many partitions other connections get their turn.
const PARTITIONS_AT_A_TIME: usize = 500;

/// A request of more partitions than this is looked through for those that it names again and again.
const PARTITIONS_UNSUSPICIOUS: usize = 1_000;

/// A fetch request, looked up once; read again each time something may have come.
pub(in crate::broker::server) struct FetchPlan {
    request: FetchRequest,
    bytes_max: u64,
    /// In order of the request's partitions.
    partitions: Vec<Result<Arc<Partition>, ErrorCode>>,
}

/// What one look found.
pub(in crate::broker::server) struct FetchResult {
    response: FetchResponse,
    ranges: Vec<FileRange>,
    bytes: u64,
    bytes_min: u64,
    /// Whom to wait for, and from where on there would be more to read.
    waits: Vec<(Arc<Partition>, Offset)>,
    has_error: bool,
    /// There is more behind a range, which ends with its segment or at a limit: to wait would bring nothing sooner than
    /// the client's next request.
    is_cut_short: bool,
}

impl FetchPlan {
    pub async fn new(core: &Core, mut request: FetchRequest) -> FetchPlan {
        let bytes_max = (request.max_bytes.max(0) as u64).min(core.config.limits.fetch_bytes_max as u64);
        name_each_once(&mut request);
        let mut partitions =
            Vec::with_capacity(request.topics.iter().map(|topic| topic.partitions.len()).sum());
        for topic in &request.topics {
            for partition in &topic.partitions {
                partitions.push(local_partition(core, &topic.topic, partition.partition));
                give_way(partitions.len()).await;
            }
        }
        FetchPlan { bytes_max, partitions, request }
    }

    /// Reads what there is.
    pub async fn read(&self, core: &Core) -> FetchResult {
        let mut result = FetchResult {
            response: FetchResponse::default(),
            ranges: Vec::new(),
            bytes: 0,
            bytes_min: self.request.min_bytes.max(0) as u64,
            waits: Vec::new(),
            has_error: false,
            is_cut_short: false,
        };
        if self.request.session_id != NO_SESSION {
            result.response.error_code = ErrorCode::FETCH_SESSION_ID_NOT_FOUND.0;
            result.has_error = true;
            return result;
        }
        let mut partitions = self.partitions.iter().enumerate();
        for topic in &self.request.topics {
            let mut responses = Vec::with_capacity(topic.partitions.len());
            for asked in &topic.partitions {
                let (index, partition) = partitions.next().expect("one for each partition of the request");
                let request = ReadRequest {
                    from: Offset(asked.fetch_offset),
                    bytes_max: (asked.partition_max_bytes.max(0) as u64)
                        .min(self.bytes_max.saturating_sub(result.bytes)),
                    at_least_one: result.bytes == 0,
                    fence: EpochFence(LeaderEpoch(asked.current_leader_epoch)),
                };
                responses.push(result.read(core, asked.partition, partition, request));
                give_way(index + 1).await;
            }
            let topic = topic.topic.clone();
            result.response.responses.push(FetchableTopicResponse { topic, partitions: responses });
        }
        result
    }

    /// Counts what is answered, each partition's bytes for itself.
    pub fn count(&self, core: &Core, answered: &FetchResult) {
        core.metrics.fetch_bytes.add(answered.bytes);
        let responses = answered.response.responses.iter().flat_map(|topic| &topic.partitions);
        for (partition, response) in self.partitions.iter().zip(responses) {
            if let (Ok(partition), Records::Hole(len)) = (partition, &response.records) {
                partition.counts.bytes_fetched.add(u64::from(*len));
            }
        }
    }
}

/// Each partition is answered once, as in Kafka: one that exists could otherwise stand for very many that wait.
fn name_each_once(request: &mut FetchRequest) {
    if request.topics.iter().map(|topic| topic.partitions.len()).sum::<usize>() <= PARTITIONS_UNSUSPICIOUS {
        return;
    }
    let mut named: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    for topic in &mut request.topics {
        let named = named.entry(topic.topic.clone()).or_default();
        topic.partitions.retain(|asked| named.insert(asked.partition));
    }
}

/// A request may name thousands of partitions.
async fn give_way(partitions_done: usize) {
    if partitions_done.is_multiple_of(PARTITIONS_AT_A_TIME) {
        task::yield_now().await;
    }
}

impl FetchResult {
    fn read(
        &mut self,
        core: &Core,
        partition_index: i32,
        partition: &Result<Arc<Partition>, ErrorCode>,
        request: ReadRequest,
    ) -> PartitionData {
        let partition = match partition {
            Ok(partition) => partition,
            Err(code) => return self.failed(partition_index, *code),
        };
        match partition.read(request) {
            Ok(ReadResult { bounds, range, continues }) => {
                self.is_cut_short |= continues;
                self.waits.push((Arc::clone(partition), bounds.readable_end));
                PartitionData {
                    partition_index,
                    high_watermark: bounds.readable_end.0,
                    last_stable_offset: bounds.readable_end.0,
                    log_start_offset: bounds.log_start.0,
                    records: self.records(range),
                    ..Default::default()
                }
            }
            Err(error) => {
                let code = partition_error_code(&error);
                if code == ErrorCode::KAFKA_STORAGE_ERROR {
                    tracing::error!(partition = %partition.name(), %error, "fetch_failed");
                    core.metrics.storage_errors.add(1);
                }
                self.failed(partition_index, code)
            }
        }
    }

    fn failed(&mut self, partition_index: i32, code: ErrorCode) -> PartitionData {
        self.has_error = true;
        PartitionData { partition_index, error_code: code.0, high_watermark: -1, ..Default::default() }
    }

    fn records(&mut self, range: Option<FileRange>) -> Records {
        match range.filter(|range| range.len > 0) {
            None => Records::default(),
            Some(range) => {
                let len = u32::try_from(range.len).expect("a read is bounded below 2^31 bytes");
                self.bytes += range.len;
                self.ranges.push(range);
                Records::Hole(len)
            }
        }
    }

    /// Whether the client need not wait any longer.
    pub fn is_enough(&self) -> bool {
        self.has_error || self.bytes >= self.bytes_min || self.is_cut_short || self.waits.is_empty()
    }

    pub fn into_waits(self) -> Vec<(Arc<Partition>, Offset)> {
        self.waits
    }

    pub fn reply(self, header: &RequestHeader, out: &mut Outgoing) {
        out.reply_with(header, &self.response, self.ranges.into_iter());
    }
}
