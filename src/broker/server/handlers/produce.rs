//! Produce: the requests that stand next to each other on a connection are one run, appended once per
//! partition and acknowledged together.
//!
//! Batches are checked as their topic asks for it (`record::admit`). Order is kept: within a partition batches are
//! appended as their requests came. That takes time: others are let in between (`WALKED_BYTES_A_TURN`).

mod without_rule;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::super::errors::{batch_error_code, partition_error_code};
use super::super::outgoing::Outgoing;
use super::local_partition;
use crate::broker::core::Core;
use crate::broker::partition::{Partition, PartitionError};
use crate::log::{AppendBatch, LogError};
use crate::protocol::messages::{
    BatchIndexAndErrorMessage, PartitionProduceResponse as Answer, ProduceRequest, ProduceResponse,
    TopicProduceData, TopicProduceResponse,
};
use crate::protocol::{ErrorCode, RequestHeader};
use crate::record::{self, Admitted, BatchError, BatchHeader, TimestampType};
use crate::runtime::{Instant, buggify, clock, task};
use crate::types::{Acks, Offset, ProducerId, Timestamp};

/// After walking over so many bytes of records a run lets other tasks go on: some milliseconds where they were
/// compressed.
const WALKED_BYTES_A_TURN: usize = 1 << 20;

/// Consecutive produce requests of one connection.
#[derive(Default)]
pub(in crate::broker::server) struct ProduceRun {
    requests: Vec<Received>,
    /// One for each partition of each request, in order.
    answers: Vec<Answer>,
    groups: Vec<Group>,
    /// Index in `groups` by the partition's address; never iterated.
    group_of: BTreeMap<usize, usize>,
    /// Where the last batch went.
    last_group: usize,
    /// Of records, since other tasks were last let go on.
    walked_bytes: usize,
    /// When the first of the requests was read.
    begun_at: Option<Instant>,
    /// Filled anew for each reply: nothing is allocated for the usual one.
    response: ProduceResponse,
}

struct Received {
    header: RequestHeader,
    wants_reply: bool,
    /// What was asked for; the records are gone to their groups.
    topics: Vec<TopicProduceData>,
    /// Where its answers begin.
    first_answer: usize,
}

/// What a run brings for one partition.
struct Group {
    partition: Arc<Partition>,
    batches: Vec<AppendBatch>,
    /// Where the answer for each batch goes, as an index of the run's answers.
    slots: Vec<usize>,
    wants_reply: bool,
    flush_to: Option<Offset>,
}

/// An answer that is an error.
struct Refused {
    code: ErrorCode,
    message: Option<String>,
    /// The record that is to blame, counted from 0, where one is.
    record: Option<i32>,
}

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Refused {
        Refused { code, message: None, record: None }
    }
}

impl From<BatchError> for Refused {
    fn from(error: BatchError) -> Refused {
        let record = match error {
            BatchError::InvalidRecord { index, .. } | BatchError::InvalidTimestamp { index, .. } => {
                Some(index)
            }
            _ => None,
        };
        Refused { record, ..Refused::because(batch_error_code(&error), error.to_string()) }
    }
}

impl Refused {
    fn because(code: ErrorCode, message: impl Into<String>) -> Refused {
        Refused { code, message: Some(message.into()), record: None }
    }
}

impl ProduceRun {
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Takes one more request: checks its batches and puts them in their partitions' groups.
    pub async fn add(&mut self, core: &Core, header: RequestHeader, mut request: ProduceRequest) {
        let acks = Acks::from_wire(request.acks);
        let wants_reply = acks != Some(Acks::None);
        let is_transactional = request.transactional_id.is_some();
        self.begun_at.get_or_insert_with(clock::now);
        let first_answer = self.answers.len();
        for topic in &mut request.topic_data {
            for data in &mut topic.partition_data {
                let checked = match acks {
                    None => Err(ErrorCode::INVALID_REQUIRED_ACKS.into()),
                    Some(_) if is_transactional => Err(not_idempotent_yet()),
                    Some(_) => self.check(core, &topic.name, data.index, data.records.take()),
                };
                let mut answer = Answer { index: data.index, base_offset: -1, ..Default::default() };
                match checked {
                    Ok((group, batch)) => self.put(group, batch, wants_reply),
                    Err(refused) => {
                        log_refusal(&header, &topic.name, data.index, &refused);
                        refuse(core, &mut answer, refused);
                    }
                }
                self.answers.push(answer);
                if self.walked_bytes >= WALKED_BYTES_A_TURN {
                    self.walked_bytes = 0;
                    task::yield_now().await;
                }
            }
        }
        self.requests.push(Received { header, wants_reply, topics: request.topic_data, first_answer });
    }

    /// Finds the partition and checks the batch for it.
    fn check(
        &mut self,
        core: &Core,
        topic: &str,
        index: i32,
        records: Option<Bytes>,
    ) -> Result<(usize, AppendBatch), Refused> {
        let group = self.group(core, topic, index)?;
        let Admitted { header, bytes, walked_bytes } = check(&self.groups[group].partition, records)?;
        self.walked_bytes += walked_bytes;
        Ok((group, AppendBatch { header, bytes }))
    }

    /// The group of a partition. Looked for where the last batch went first: a producer stays with a
    /// partition for a while.
    fn group(&mut self, core: &Core, topic: &str, index: i32) -> Result<usize, ErrorCode> {
        if buggify::fires("broker.refuses-produce") {
            // As in the moment of an election: the next attempt may succeed.
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        if let Some(last) = self.groups.get(self.last_group)
            && last.partition.is_named(topic, index)
        {
            return Ok(self.last_group);
        }
        let partition = local_partition(core, topic, index)?;
        let address = Arc::as_ptr(&partition) as usize;
        let groups = &mut self.groups;
        self.last_group = *self.group_of.entry(address).or_insert_with(|| {
            groups.push(Group::new(partition));
            groups.len() - 1
        });
        Ok(self.last_group)
    }

    /// The batch's answer is the next to be pushed.
    fn put(&mut self, group: usize, batch: AppendBatch, wants_reply: bool) {
        let group = &mut self.groups[group];
        group.batches.push(batch);
        group.slots.push(self.answers.len());
        group.wants_reply |= wants_reply;
    }

    /// Enters each partition once.
    pub fn append(&mut self, core: &Core) {
        for group in self.groups.iter_mut().filter(|group| !group.batches.is_empty()) {
            let bytes: usize = group.batches.iter().map(|batch| batch.bytes.len()).sum();
            let appended_at = group.stamp();
            match group.partition.append(&group.batches) {
                Ok(appended) => {
                    core.flusher.note(&group.partition, appended.flush);
                    core.metrics.batches_appended.add(group.batches.len() as u64);
                    core.metrics.batch_bytes_appended.add(bytes as u64);
                    core.shortage.is_over();
                    group.count(bytes);
                    group.flush_to = appended.flush_to;
                    for (slot, base) in group.slots.iter().zip(&appended.bases) {
                        answer(&mut self.answers[*slot], *base, appended.log_start, appended_at);
                    }
                }
                Err(error) => {
                    report(core, &group.partition, &error);
                    let code = partition_error_code(&error);
                    group.refuse_all(core, &mut self.answers, code, &error.to_string());
                }
            }
        }
    }

    /// Which groups are to be acknowledged when flushed: index, partition, and up to where.
    pub fn unflushed(&self) -> Vec<(usize, Arc<Partition>, Offset)> {
        let groups = self.groups.iter().enumerate().filter(|(_, group)| group.wants_reply);
        groups.filter_map(|(at, group)| Some((at, Arc::clone(&group.partition), group.flush_to?))).collect()
    }

    pub fn flush_failed(&mut self, core: &Core, group: usize, error: &PartitionError) {
        let code = partition_error_code(error);
        self.groups[group].refuse_all(core, &mut self.answers, code, &error.to_string());
    }

    pub fn flush_late(&mut self, core: &Core, group: usize) {
        let message = "the flush takes too long";
        self.groups[group].refuse_all(core, &mut self.answers, ErrorCode::REQUEST_TIMED_OUT, message);
    }

    /// Adds the replies, in request order; none where none was asked for.
    pub fn reply(&mut self, core: &Core, out: &mut Outgoing) {
        if let Some(begun_at) = self.begun_at.take() {
            let time = clock::now().saturating_since(begun_at);
            core.metrics.produce_time.observe(time, self.requests.len() as u64);
        }
        for received in self.requests.iter_mut().filter(|received| received.wants_reply) {
            let mut answers = self.answers[received.first_answer..].iter_mut().map(std::mem::take);
            let responses = &mut self.response.responses;
            responses.resize_with(received.topics.len(), TopicProduceResponse::default);
            for (response, topic) in responses.iter_mut().zip(&mut received.topics) {
                response.name = std::mem::take(&mut topic.name);
                response.partition_responses.clear();
                response.partition_responses.extend(answers.by_ref().take(topic.partition_data.len()));
            }
            out.reply(&received.header, &self.response);
        }
    }

    /// Ends the run. An error where no reply was asked for and something failed: only closing says so.
    pub fn finish(&mut self) -> Result<(), ErrorCode> {
        let unacknowledged = self.requests.iter().filter(|received| !received.wants_reply);
        let failed = unacknowledged.flat_map(|received| received.answers(&self.answers)).find_map(|answer| {
            let code = ErrorCode(answer.error_code);
            (!code.is_none()).then_some(code)
        });
        self.requests.clear();
        self.answers.clear();
        self.groups.clear();
        self.group_of.clear();
        self.last_group = 0;
        self.walked_bytes = 0;
        failed.map_or(Ok(()), Err)
    }
}

impl Received {
    fn answers<'a>(&self, of_run: &'a [Answer]) -> &'a [Answer] {
        let count: usize = self.topics.iter().map(|topic| topic.partition_data.len()).sum();
        &of_run[self.first_answer..self.first_answer + count]
    }
}

impl Group {
    fn new(partition: Arc<Partition>) -> Group {
        Group { partition, batches: Vec::new(), slots: Vec::new(), wants_reply: false, flush_to: None }
    }

    /// Gives every batch the time of its append, where that is the topic's time; returns it, or
    /// [`Timestamp::NONE`].
    fn stamp(&mut self) -> Timestamp {
        if self.partition.record_rules().timestamp_type == TimestampType::CreateTime {
            return Timestamp::NONE;
        }
        let now = clock::wall_now();
        for batch in &mut self.batches {
            (batch.header, batch.bytes) = record::stamp(&batch.bytes, now);
        }
        now
    }

    /// What was appended, in the partition's own counts.
    fn count(&self, bytes: usize) {
        let records = self.batches.iter().map(|batch| batch.header.last_offset_delta as u64 + 1).sum();
        let counts = &self.partition.counts;
        counts.batches_appended.add(self.batches.len() as u64);
        counts.records_appended.add(records);
        counts.bytes_appended.add(bytes as u64);
    }

    fn refuse_all(&self, core: &Core, answers: &mut [Answer], code: ErrorCode, message: &str) {
        for slot in &self.slots {
            refuse(core, &mut answers[*slot], Refused::because(code, message));
        }
    }
}

/// For the operator. What the client mends by itself (it asked the wrong broker) has no message.
fn log_refusal(header: &RequestHeader, topic: &str, partition: i32, refused: &Refused) {
    let Some(reason) = refused.message.as_deref() else { return };
    let client_id = header.client_id.as_deref().unwrap_or_default();
    tracing::warn!(topic, partition, client_id, code = %refused.code, reason, "produce_refused");
}

fn answer(answer: &mut Answer, base: Offset, log_start: Offset, appended_at: Timestamp) {
    answer.base_offset = base.0;
    answer.log_append_time_ms = appended_at.0;
    answer.log_start_offset = log_start.0;
}

fn refuse(core: &Core, response: &mut Answer, refused: Refused) {
    core.metrics.batches_refused.add(1);
    response.error_code = refused.code.0;
    response.base_offset = -1;
    response.log_start_offset = -1;
    response.log_append_time_ms = Timestamp::NONE.0;
    response.record_errors.clear();
    // The first record that is wrong, as far as the batch was read: the client fails the others with it (KIP-467).
    response.record_errors.extend(refused.record.map(|index| BatchIndexAndErrorMessage {
        batch_index: index,
        batch_index_error_message: refused.message.clone(),
    }));
    response.error_message = refused.message;
}

/// Checks a batch for a partition.
fn check(partition: &Partition, records: Option<Bytes>) -> Result<Admitted, Refused> {
    let Some(bytes) = records.filter(|records| !records.is_empty()) else {
        let message = "there must be one record batch for each partition";
        return Err(Refused::because(ErrorCode::INVALID_RECORD, message));
    };
    let rules = partition.record_rules();
    // Most topics take any time: no clock is read for them.
    let now = if rules.judges_timestamps() { clock::wall_now() } else { Timestamp::NONE };
    let admitted = record::admit(bytes, partition.batch_bytes_max(), rules, now)?;
    check_kind(&admitted.header)?;
    Ok(admitted)
}

fn check_kind(header: &BatchHeader) -> Result<(), Refused> {
    if header.is_transactional() || header.producer_id != ProducerId::NONE {
        return Err(not_idempotent_yet());
    }
    Ok(())
}

fn not_idempotent_yet() -> Refused {
    let message = "idempotent and transactional producers are not supported yet";
    Refused::because(ErrorCode::INVALID_RECORD, message)
}

/// A disk that fails ends the broker: half a broker helps nobody, and a new start finds out what can be used. One
/// that is full, or a process that may open no more files, only refuses: nothing is lost, and reads go on.
fn report(core: &Core, partition: &Partition, error: &PartitionError) {
    let PartitionError::Log(error) = error else { return };
    match error {
        LogError::Io(_) | LogError::Failed { .. } => {
            core.metrics.storage_errors.add(1);
            core.failure.trip(format!("{}: {error}", partition.name()));
        }
        error if error.is_refusal() => core.shortage.note(format!("{}: {error}", partition.name())),
        _ => {}
    }
}
