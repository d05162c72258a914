//! Asks one broker for the ends and the records of what it leads, one request after the other.
//!
//! One task per broker. Several fetches at once would gain nothing: a broker answers them in order. What the
//! answers mean for a partition is `positions`' decision.

mod without_rule;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use super::partition::LogPlace;
use super::positions::{Failure, FetchPlan, PartitionRequest};
use super::shared::Shared;
use crate::client::{Connection, LeaderTask};
use crate::protocol::messages::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, ListOffsetsPartition,
    ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic, PartitionData,
};
use crate::protocol::{ErrorCode, Records};
use crate::rules::{self, Rule};
use crate::runtime::clock::{self, DeadlineTimer};
use crate::types::{BrokerId, Offset, TopicPartition};

/// A fetch that leaves partitions out, because the buffer is full of them, comes back soon: by then there may
/// be room.
const FETCH_WAIT_WHILE_FULL: Duration = Duration::from_millis(50);

/// ListOffsets' sentinels.
const EARLIEST_TIMESTAMP: i64 = -2;
const LATEST_TIMESTAMP: i64 = -1;

/// See the module.
struct Fetcher {
    shared: Arc<Shared>,
    broker: BrokerId,
    wake: Arc<Notify>,
    timer: DeadlineTimer,
}

/// The task that fetches from a broker.
pub(super) fn start(shared: Arc<Shared>, broker: BrokerId, wake: Arc<Notify>) -> LeaderTask {
    Box::pin(Fetcher::new(shared, broker, wake).run())
}

impl Fetcher {
    fn new(shared: Arc<Shared>, broker: BrokerId, wake: Arc<Notify>) -> Fetcher {
        Fetcher { shared, broker, wake, timer: DeadlineTimer::new() }
    }

    async fn run(mut self) {
        loop {
            let lookups = self
                .shared
                .with_positions(self.broker, |positions, led| positions.take_lookups(led, clock::now()));
            if !lookups.is_empty() {
                self.look_up(lookups).await;
                continue;
            }
            let buffer_bytes_max = self.shared.buffer_bytes_max();
            let plan = self.shared.with_positions(self.broker, |positions, led| {
                positions.take_fetches(led, clock::now(), buffer_bytes_max)
            });
            if !plan.requests.is_empty() {
                self.fetch(plan).await;
                continue;
            }
            let due = self
                .shared
                .with_positions(self.broker, |positions, led| positions.next_due(led, clock::now()));
            self.timer.set(due);
            tokio::select! {
                biased;
                () = self.wake.notified() => {}
                () = self.timer.expired() => {}
            }
        }
    }

    async fn look_up(&self, requests: Vec<PartitionRequest<LogPlace>>) {
        let request = list_offsets_request(&requests);
        let timeout = self.shared.config.request_timeout;
        let response = match self.connection().await {
            Ok(connection) => connection.call(&request, timeout).await.map_err(|error| error.to_string()),
            Err(reason) => Err(reason),
        };
        match response {
            Ok(response) => {
                let mut answers = offsets_by_partition(response);
                for asked in requests {
                    let answer = answers.remove(&key(&asked.partition));
                    self.end_looked_up(&asked, answer);
                }
            }
            Err(error) => self.all_failed(&requests, &error),
        }
    }

    fn end_looked_up(
        &self,
        asked: &PartitionRequest<LogPlace>,
        answer: Option<ListOffsetsPartitionResponse>,
    ) {
        let code = answer.as_ref().map_or(ErrorCode::UNKNOWN_SERVER_ERROR, |a| ErrorCode(a.error_code));
        match answer {
            Some(answer)
                if code.is_none()
                    && (answer.offset >= 0 || matches!(asked.target, LogPlace::Time { .. })) =>
            {
                let offset = Some(Offset(answer.offset)).filter(|offset| offset.0 >= 0);
                self.shared.answer(self.broker, &asked.partition, |positions| positions.found(asked, offset));
            }
            _ => self.failed(asked, code),
        }
    }

    async fn fetch(&self, plan: FetchPlan) {
        let wait = match plan.some_are_full {
            true => self.shared.config.fetch_wait.min(FETCH_WAIT_WHILE_FULL),
            false => self.shared.config.fetch_wait,
        };
        let request = self.fetch_request(&plan, wait);
        let timeout = wait.saturating_add(self.shared.config.request_timeout);
        let response = match self.connection().await {
            Ok(connection) => connection.call(&request, timeout).await.map_err(|error| error.to_string()),
            Err(reason) => Err(reason),
        };
        match response {
            Ok(response) if response.error_code == 0 => self.fetched(&plan, response).await,
            Ok(response) => {
                self.all_failed(&plan.requests, &ErrorCode(response.error_code).to_string());
            }
            Err(error) => self.all_failed(&plan.requests, &error),
        }
    }

    /// In the plan's order: a topic whose partitions are not neighbours in it is named more than once, as Java's
    /// client does it.
    fn fetch_request(&self, plan: &FetchPlan, wait: Duration) -> FetchRequest {
        let config = &self.shared.config;
        let neighbours = plan.requests.chunk_by(|a, b| a.partition.topic == b.partition.topic);
        let topics = neighbours.map(|requests| FetchTopic {
            topic: requests[0].partition.topic.to_string(),
            partitions: requests
                .iter()
                .map(|asked| FetchPartition {
                    partition: asked.partition.partition,
                    fetch_offset: asked.target.0,
                    partition_max_bytes: wire_bytes(config.partition_bytes_max),
                    ..Default::default()
                })
                .collect(),
        });
        FetchRequest {
            max_wait_ms: i32::try_from(wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: wire_bytes(config.fetch_bytes_min),
            max_bytes: wire_bytes(config.fetch_bytes_max),
            topics: topics.collect(),
            ..Default::default()
        }
    }

    async fn fetched(&self, plan: &FetchPlan, response: FetchResponse) {
        let mut answers = records_by_partition(response);
        for asked in &plan.requests {
            let Some(answer) = answers.remove(&key(&asked.partition)) else {
                self.failed(asked, ErrorCode::UNKNOWN_SERVER_ERROR);
                continue;
            };
            match ErrorCode(answer.error_code) {
                ErrorCode::NONE => {
                    let records = match answer.records {
                        Records::Bytes(bytes) => bytes,
                        Records::None | Records::Hole(_) => Bytes::new(),
                    };
                    let high_watermark = Offset(answer.high_watermark);
                    self.records_arrived(asked, records, high_watermark).await;
                }
                ErrorCode::CORRUPT_MESSAGE => {
                    self.shared.answer(self.broker, &asked.partition, |positions| {
                        positions.unreadable(asked);
                        Vec::new()
                    })
                }
                code => self.failed(asked, code),
            }
        }
    }

    async fn records_arrived(
        &self,
        asked: &PartitionRequest<Offset>,
        records: Bytes,
        high_watermark: Offset,
    ) {
        if !rules::holds(Rule::QueueBeforeAdvancing) {
            return self.advance_before_queueing(asked, records, high_watermark).await;
        }
        self.shared.answer(self.broker, &asked.partition, |positions| {
            positions.fetched(asked, records, high_watermark);
            Vec::new()
        });
    }

    /// The connection to the broker, after whatever pause its failures demand.
    async fn connection(&self) -> Result<Connection, String> {
        match self.shared.cluster.connection(self.broker).await {
            Ok(connection) => Ok(connection),
            Err(error) => {
                self.shared.cluster.invalidate_brokers();
                self.shared.want_refresh();
                Err(error.to_string())
            }
        }
    }

    fn all_failed<T>(&self, requests: &[PartitionRequest<T>], error: &str) {
        tracing::debug!(broker = %self.broker, error, "fetch_failed");
        for asked in requests {
            self.shared.answer(self.broker, &asked.partition, |positions| {
                positions.failed(asked, Failure::Transient, clock::now(), |n| self.shared.pause(n));
                Vec::new()
            });
        }
    }

    fn failed<T>(&self, asked: &PartitionRequest<T>, code: ErrorCode) {
        tracing::debug!(broker = %self.broker, partition = %asked.partition, %code, "partition_not_fetched");
        let failure = match code {
            ErrorCode::OFFSET_OUT_OF_RANGE => Failure::OutOfRange,
            ErrorCode::TOPIC_AUTHORIZATION_FAILED
            | ErrorCode::INVALID_TOPIC_EXCEPTION
            | ErrorCode::UNSUPPORTED_VERSION
            | ErrorCode::UNSUPPORTED_COMPRESSION_TYPE
            | ErrorCode::INVALID_REQUEST => Failure::Refused(code.to_string()),
            _ => Failure::Transient,
        };
        if failure == Failure::Transient {
            self.shared.cluster.invalidate_leader(&asked.partition);
            self.shared.want_refresh();
        }
        self.shared.answer(self.broker, &asked.partition, |positions| {
            positions.failed(asked, failure, clock::now(), |failures| self.shared.pause(failures));
            Vec::new()
        });
    }
}

fn list_offsets_request(requests: &[PartitionRequest<LogPlace>]) -> ListOffsetsRequest {
    let mut topics: BTreeMap<&str, Vec<ListOffsetsPartition>> = BTreeMap::new();
    for asked in requests {
        topics.entry(&asked.partition.topic).or_default().push(ListOffsetsPartition {
            partition_index: asked.partition.partition,
            timestamp: match asked.target {
                LogPlace::Earliest => EARLIEST_TIMESTAMP,
                LogPlace::Latest | LogPlace::EndBefore(_) => LATEST_TIMESTAMP,
                LogPlace::Time { time, .. } => time.0.max(0),
            },
            ..Default::default()
        });
    }
    let topics =
        topics.into_iter().map(|(name, partitions)| ListOffsetsTopic { name: name.to_owned(), partitions });
    ListOffsetsRequest { replica_id: -1, isolation_level: 0, topics: topics.collect() }
}

fn wire_bytes(bytes: usize) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}

fn key(partition: &TopicPartition) -> (String, i32) {
    (partition.topic.to_string(), partition.partition)
}

fn offsets_by_partition(
    response: ListOffsetsResponse,
) -> BTreeMap<(String, i32), ListOffsetsPartitionResponse> {
    let topics = response.topics.into_iter().flat_map(|topic| {
        let name = topic.name;
        topic.partitions.into_iter().map(move |answer| ((name.clone(), answer.partition_index), answer))
    });
    topics.collect()
}

fn records_by_partition(response: FetchResponse) -> BTreeMap<(String, i32), PartitionData> {
    let topics = response.responses.into_iter().flat_map(|topic| {
        let name = topic.topic;
        topic.partitions.into_iter().map(move |answer| ((name.clone(), answer.partition_index), answer))
    });
    topics.collect()
}
