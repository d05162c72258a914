//! Sends what is ready to one broker, in order, and hands the answers back.
//!
//! One task per broker. Answers come in the order of the requests, so only the oldest is waited for. What a
//! failure means for a batch is `batch`'s decision.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::Notify;

use super::accumulator::{AttemptId, Outgoing, Payload, RequestLimits};
use super::batch::RecordData;
use super::reaction::{self, Reaction};
use super::shared::Shared;
use crate::client::{
    Backoff, ConnectError, Connection, LeaderTask, Pending, RequestError, SILENT_AFTER, Written,
};
use crate::facts::{self, Fact};
use crate::protocol::messages::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceData,
};
use crate::record::{BatchBuilder, Compression};
use crate::runtime::clock::{self, DeadlineTimer};
use crate::types::{Acks, BrokerId, Instant, TopicPartition};

/// Whether another broker leads by now is looked for when a request was not answered for this part of the request
/// timeout.
const SILENCES_PER_REQUEST_TIMEOUT: u32 = 10;

/// See the module.
struct Sender {
    shared: Arc<Shared>,
    broker: BrokerId,
    wake: Arc<Notify>,
    connection: Option<Connection>,
    in_flight: VecDeque<InFlight>,
    timer: DeadlineTimer,
}

/// One request on its way.
struct InFlight {
    answer: Answer,
    batches: Vec<(TopicPartition, AttemptId)>,
    /// When the broker counts as silent; `None`: it does already.
    silent_at: Option<Instant>,
}

enum Answer {
    Response(Pending<ProduceRequest>),
    Written(Written),
}

impl Future for Answer {
    type Output = Result<Option<ProduceResponse>, RequestError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Answer::Response(pending) => Pin::new(pending).poll(cx).map_ok(Some),
            Answer::Written(written) => Pin::new(written).poll(cx).map_ok(|()| None),
        }
    }
}

/// The task that sends to a broker.
pub(super) fn start(shared: Arc<Shared>, broker: BrokerId, wake: Arc<Notify>) -> LeaderTask {
    Box::pin(Sender::new(shared, broker, wake).run())
}

impl Sender {
    fn new(shared: Arc<Shared>, broker: BrokerId, wake: Arc<Notify>) -> Sender {
        Sender {
            shared,
            broker,
            wake,
            connection: None,
            in_flight: VecDeque::new(),
            timer: DeadlineTimer::new(),
        }
    }

    async fn run(mut self) {
        loop {
            let limits = self.shared.request_limits();
            let ready = self.next_ready(&limits);
            if ready.is_some_and(|at| at <= clock::now()) {
                self.send_next(&limits).await;
                continue;
            }
            let silent_at = self.in_flight.front().and_then(|oldest| oldest.silent_at);
            self.timer.set(ready.into_iter().chain(silent_at).min());
            let oldest = self.in_flight.front_mut();
            tokio::select! {
                biased;
                answer = answered(oldest) => self.oldest_answered(answer),
                () = self.wake.notified() => {}
                () = self.timer.expired() => self.look_for_silence(),
            }
        }
    }

    /// A broker that has not answered for long may have lost its leadership to another: its batches go there as soon
    /// as somebody says so, and not only when the request's time is over.
    fn look_for_silence(&mut self) {
        let Some(oldest) = self.in_flight.front_mut() else { return };
        if oldest.silent_at.is_none_or(|at| at > clock::now()) {
            return;
        }
        oldest.silent_at = None;
        tracing::debug!(broker = %self.broker, "broker_silent");
        self.shared.cluster.invalidate_brokers();
        self.shared.want_refresh();
    }

    /// When the next request can go; `None` while only an answer can change that.
    fn next_ready(&self, limits: &RequestLimits) -> Option<Instant> {
        let is_broken = self.connection.as_ref().is_some_and(|connection| !connection.is_open());
        let must_wait = self.in_flight.len() >= self.shared.in_flight_max()
            // The answers of a broken connection are errors, and are due: first things first.
            || (is_broken && !self.in_flight.is_empty());
        if must_wait {
            return None;
        }
        self.shared.with_accumulator(self.broker, |accumulator, led| accumulator.next_ready(led, limits))
    }

    async fn send_next(&mut self, limits: &RequestLimits) {
        let connection = match &self.connection {
            Some(connection) if connection.is_open() => connection.clone(),
            _ => match self.shared.cluster.connection(self.broker).await {
                Ok(connection) => self.connection.insert(connection).clone(),
                Err(error) => return self.unreachable(&error).await,
            },
        };
        let now = clock::now();
        let taken =
            self.shared.with_accumulator(self.broker, |accumulator, led| accumulator.take(led, now, limits));
        if !taken.is_empty() {
            self.send(&connection, taken, now);
        }
    }

    /// The broker may be gone: others may lead now. Attempts to connect are paced by the cluster; a broker
    /// that is not known at all is not even tried, so wait for the news.
    async fn unreachable(&mut self, error: &ConnectError) {
        tracing::debug!(broker = %self.broker, %error, "broker_unreachable");
        self.shared.cluster.invalidate_brokers();
        self.shared.want_refresh();
        let pause = self.shared.config.retry_backoff.max(Backoff::PAUSE_MIN);
        self.timer.set(Some(clock::now() + pause));
        tokio::select! {
            biased;
            () = self.wake.notified() => {}
            () = self.timer.expired() => {}
        }
    }

    fn send(&mut self, connection: &Connection, taken: Vec<Outgoing>, now: Instant) {
        // The request's own time, however little a batch has left: that one is given up by itself, and the others
        // need not be sent again.
        let timeout = self.shared.config.request_timeout;
        let deadline = now + timeout;
        let batches: Vec<_> = taken.iter().map(|out| (out.partition.clone(), out.attempt)).collect();
        let request = self.request(taken, i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX));
        let begun = match self.shared.config.acks {
            Acks::None => connection.begin_one_way(&request, deadline).map(Answer::Written),
            Acks::Leader | Acks::All => connection.begin(&request, deadline).map(Answer::Response),
        };
        match begun {
            Ok(answer) => {
                let silent_at = Some(now + SILENT_AFTER.max(timeout / SILENCES_PER_REQUEST_TIMEOUT));
                self.in_flight.push_back(InFlight { answer, batches, silent_at });
                let is_within = self.in_flight.len() <= self.shared.in_flight_max();
                assert!(is_within, "requests in flight are within their limit");
            }
            Err(error) => self.failed(batches, &error),
        }
    }

    fn request(&self, taken: Vec<Outgoing>, timeout_ms: i32) -> ProduceRequest {
        let config = &self.shared.config;
        let mut topics: BTreeMap<Arc<str>, Vec<PartitionProduceData>> = BTreeMap::new();
        for outgoing in taken {
            let records = self.encode(&outgoing);
            if let Some((first_seq, last_seq)) = outgoing.retry_of {
                facts::record(|| Fact::SendRetried {
                    producer: config.client_id.clone(),
                    first_seq,
                    last_seq,
                    partition: outgoing.partition.clone(),
                });
            }
            let data = PartitionProduceData { index: outgoing.partition.partition, records: Some(records) };
            topics.entry(outgoing.partition.topic).or_default().push(data);
        }
        let topic_data = topics
            .into_iter()
            .map(|(name, partition_data)| TopicProduceData { name: name.to_string(), partition_data });
        ProduceRequest {
            transactional_id: None,
            acks: config.acks.to_wire(),
            timeout_ms: timeout_ms.max(1),
            topic_data: topic_data.collect(),
        }
    }

    /// Encodes on the first attempt; later ones send the same bytes.
    fn encode(&self, outgoing: &Outgoing) -> Bytes {
        match &outgoing.payload {
            Payload::Encoded(bytes) => bytes.clone(),
            Payload::Records(records) => {
                let bytes = encode(records, self.shared.config.compression);
                self.shared.with_accumulator(self.broker, |accumulator, _| {
                    accumulator.encoded(&outgoing.partition, outgoing.attempt, bytes.clone());
                });
                bytes
            }
        }
    }

    fn oldest_answered(&mut self, answer: Result<Option<ProduceResponse>, RequestError>) {
        let InFlight { batches, .. } = self.in_flight.pop_front().expect("the answer is to the oldest");
        match answer {
            Err(error) => self.failed(batches, &error),
            Ok(None) => {
                let written = PartitionProduceResponse { base_offset: -1, ..Default::default() };
                for (partition, attempt) in batches {
                    self.ended(&partition, attempt, reaction::to_answer(&written));
                }
            }
            Ok(Some(response)) => {
                let mut answers = by_partition(response);
                for (partition, attempt) in batches {
                    let answer = answers.remove(&(partition.topic.to_string(), partition.partition));
                    let reaction = answer.as_ref().map_or_else(reaction::to_silence, reaction::to_answer);
                    self.ended(&partition, attempt, reaction);
                }
            }
        }
    }

    fn failed(&self, batches: Vec<(TopicPartition, AttemptId)>, error: &RequestError) {
        tracing::debug!(broker = %self.broker, %error, "produce_failed");
        for (partition, attempt) in batches {
            self.ended(&partition, attempt, reaction::to_error(error));
        }
    }

    fn ended(&self, partition: &TopicPartition, attempt: AttemptId, reaction: Reaction) {
        if reaction.is_leader_stale {
            self.shared.cluster.invalidate_leader(partition);
            self.shared.want_refresh();
        }
        self.shared.attempt_ended(partition, attempt, reaction.end);
    }
}

/// The answer to the oldest request; never comes if there is none.
async fn answered(oldest: Option<&mut InFlight>) -> Result<Option<ProduceResponse>, RequestError> {
    match oldest {
        Some(in_flight) => (&mut in_flight.answer).await,
        None => std::future::pending().await,
    }
}

fn encode(records: &[RecordData], compression: Compression) -> Bytes {
    let mut batch = BatchBuilder::new(compression);
    for record in records {
        batch.push(record.timestamp, record.key.as_deref(), record.value.as_deref(), &record.headers);
    }
    batch.build()
}

fn by_partition(response: ProduceResponse) -> BTreeMap<(String, i32), PartitionProduceResponse> {
    let topics = response.responses.into_iter().flat_map(|topic| {
        let name = topic.name;
        topic.partition_responses.into_iter().map(move |answer| ((name.clone(), answer.index), answer))
    });
    topics.collect()
}
