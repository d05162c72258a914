//! Produce: the requests that stand next to each other on a connection are one run, appended once per
//! partition and acknowledged together.
//!
//! Batches are checked as their topic asks for it (`record::admit`). Order is kept: within a partition batches are
//! appended as their requests came. That takes time: others are let in between (`WALKED_BYTES_A_TURN`).

mod refusal;
mod spare;
mod without_rule;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::super::errors::partition_error_code;
use super::super::outgoing::Outgoing;
use super::local_partition;
use crate::broker::core::Core;
use crate::broker::partition::{Partition, PartitionError};
use crate::log::{AppendBatch, LogError};
use crate::protocol::messages::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceData,
    TopicProduceResponse,
};
use crate::protocol::{ApiKey, ErrorCode, RequestError, RequestHeader, decode_body_into, decode_header};
use crate::record::{self, Admitted, BatchHeader, TimestampType};
use crate::runtime::{Instant, buggify, clock};
use crate::types::{Acks, Offset, ProducerId, Timestamp};
use refusal::Refused;

/// After walking over so many bytes of records a run lets other tasks go on: some milliseconds where they were
/// compressed.
const WALKED_BYTES_A_TURN: usize = 1 << 20;

/// Consecutive produce requests of one connection. Its memory comes from the thread's spare one and goes back there
/// (`spare`): for a request of a usual producer nothing is allocated.
#[derive(Default)]
pub(in crate::broker::server) struct ProduceRun {
    /// The first `request_count` are the run's; those behind it are memory to decode into.
    requests: Vec<Received>,
    request_count: usize,
    /// The next batch to check, in the request received last.
    next_topic: usize,
    next_partition: usize,
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
    /// Filled anew for each reply.
    response: ProduceResponse,
    /// Memory for groups to come.
    spare_lists: Vec<Lists>,
}

struct Received {
    header: RequestHeader,
    /// The records are gone to their groups.
    request: ProduceRequest,
    /// Where its answers begin.
    first_answer: usize,
}

/// What a batch is answered with.
enum Answer {
    /// Nothing yet: it was checked and is to be appended.
    Pending,
    Appended {
        base: Offset,
        log_start: Offset,
        at: Timestamp,
    },
    Refused(Box<Refused>),
}

/// What a run brings for one partition.
struct Group {
    partition: Arc<Partition>,
    lists: Lists,
    wants_reply: bool,
    flush_to: Option<Offset>,
}

#[derive(Default)]
struct Lists {
    batches: Vec<AppendBatch>,
    /// Where the answer for each batch goes, as an index of the run's answers.
    slots: Vec<usize>,
}

impl ProduceRun {
    pub fn is_empty(&self) -> bool {
        self.request_count == 0
    }

    /// Takes one more request, whose frame is at `range` of `bytes`; its batches are still to be checked. Error: it
    /// cannot be read, and is not the run's.
    pub fn receive(&mut self, bytes: &Bytes, range: Range<usize>) -> Result<(), Box<RequestError>> {
        let (mut header, mut body) = decode_header(bytes, range)?;
        if self.is_empty() {
            self.take_spare();
            self.begun_at = Some(clock::now());
        }
        let first_answer = self.answers.len();
        if let Some(spare) = self.requests.get_mut(self.request_count) {
            if let Err(error) = decode_body_into(&mut header, &mut body, &mut spare.request) {
                // No slice of a frame is kept.
                spare.request = ProduceRequest::default();
                return Err(error.into());
            }
            (spare.header, spare.first_answer) = (header, first_answer);
        } else {
            let mut request = ProduceRequest::default();
            decode_body_into(&mut header, &mut body, &mut request)?;
            self.requests.push(Received { header, request, first_answer });
        }
        self.request_count += 1;
        (self.next_topic, self.next_partition) = (0, 0);
        Ok(())
    }

    /// Checks batches of the request received last, until all were or it is time to let other tasks go on.
    pub fn check_a_turn(&mut self, core: &Core) -> bool {
        let at = self.request_count - 1;
        // Taken out while their batches go to the groups.
        let mut topics = std::mem::take(&mut self.requests[at].request.topic_data);
        let is_done = self.check_topics(core, &mut topics);
        self.requests[at].request.topic_data = topics;
        is_done
    }

    fn check_topics(&mut self, core: &Core, topics: &mut [TopicProduceData]) -> bool {
        while let Some(topic) = topics.get_mut(self.next_topic) {
            while let Some(data) = topic.partition_data.get_mut(self.next_partition) {
                if self.walked_bytes >= WALKED_BYTES_A_TURN {
                    self.walked_bytes = 0;
                    return false;
                }
                self.next_partition += 1;
                self.take_batch(core, &topic.name, data);
            }
            (self.next_topic, self.next_partition) = (self.next_topic + 1, 0);
        }
        true
    }

    /// Checks a batch of the request received last, and puts it in its partition's group.
    fn take_batch(&mut self, core: &Core, topic: &str, data: &mut PartitionProduceData) {
        let records = data.records.take();
        let received = &self.requests[self.request_count - 1];
        let wants_reply = received.wants_reply();
        let checked = match Acks::from_wire(received.request.acks) {
            None => Err(ErrorCode::INVALID_REQUIRED_ACKS.into()),
            Some(_) if received.request.transactional_id.is_some() => Err(Refused::not_idempotent_yet()),
            Some(_) => self.check(core, topic, data.index, records),
        };
        match checked {
            Ok((group, batch)) => self.put(group, batch, wants_reply),
            Err(refused) => {
                refused.log(&self.requests[self.request_count - 1].header, topic, data.index);
                self.answers.push(Answer::refused(core, refused));
            }
        }
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
            // As in the moment of an election: the next attempt may succeed. Not that somebody else leads, which is
            // not so.
            return Err(ErrorCode::LEADER_NOT_AVAILABLE);
        }
        if let Some(last) = self.groups.get(self.last_group)
            && last.partition.is_named(topic, index)
        {
            return Ok(self.last_group);
        }
        let partition = local_partition(core, topic, index)?;
        let address = Arc::as_ptr(&partition) as usize;
        let (groups, spare_lists) = (&mut self.groups, &mut self.spare_lists);
        self.last_group = *self.group_of.entry(address).or_insert_with(|| {
            let lists = spare_lists.pop().unwrap_or_default();
            assert!(lists.batches.is_empty() && lists.slots.is_empty(), "nothing of another run is appended");
            groups.push(Group { partition, lists, wants_reply: false, flush_to: None });
            groups.len() - 1
        });
        Ok(self.last_group)
    }

    /// The batch's answer is pending.
    fn put(&mut self, group: usize, batch: AppendBatch, wants_reply: bool) {
        let group = &mut self.groups[group];
        group.lists.batches.push(batch);
        group.lists.slots.push(self.answers.len());
        group.wants_reply |= wants_reply;
        self.answers.push(Answer::Pending);
    }

    /// Enters each partition once.
    pub fn append(&mut self, core: &Core) {
        for group in self.groups.iter_mut().filter(|group| !group.lists.batches.is_empty()) {
            let bytes: usize = group.lists.batches.iter().map(|batch| batch.bytes.len()).sum();
            let appended_at = group.stamp();
            match group.partition.append(&group.lists.batches) {
                Ok(appended) => {
                    core.flusher.note(&group.partition, appended.flush);
                    core.metrics.batches_appended.add(group.lists.batches.len() as u64);
                    core.metrics.batch_bytes_appended.add(bytes as u64);
                    core.shortage.is_over();
                    group.count(bytes);
                    group.flush_to = appended.flush_to;
                    assert_eq!(appended.bases.len(), group.lists.slots.len(), "each batch has its offset");
                    for (slot, base) in group.lists.slots.iter().zip(&appended.bases) {
                        self.answers[*slot] =
                            Answer::Appended { base: *base, log_start: appended.log_start, at: appended_at };
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

    /// It was appended, and may be there or not: the code must not be one that says that nothing was.
    pub fn flush_failed(&mut self, core: &Core, group: usize, error: &PartitionError) {
        let code = ErrorCode::KAFKA_STORAGE_ERROR;
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
            core.metrics.produce_time.observe(time, self.request_count as u64);
        }
        let received = self.requests.iter_mut().take(self.request_count);
        for Received { header, request, first_answer, .. } in
            received.filter(|received| received.wants_reply())
        {
            let mut answers = self.answers[*first_answer..].iter();
            let responses = &mut self.response.responses;
            responses.resize_with(request.topic_data.len(), TopicProduceResponse::default);
            for (response, topic) in responses.iter_mut().zip(&mut request.topic_data) {
                std::mem::swap(&mut response.name, &mut topic.name);
                let to = &mut response.partition_responses;
                to.resize_with(topic.partition_data.len(), PartitionProduceResponse::default);
                for (to, data) in to.iter_mut().zip(&topic.partition_data) {
                    let answer = answers.next().expect("each batch has its answer");
                    answer.put_into(to, data.index);
                }
            }
            out.reply(header, &self.response);
        }
    }

    /// Ends the run. An error where no reply was asked for and something failed: only closing says so.
    pub fn finish(&mut self, core: &Core) -> Result<(), ErrorCode> {
        self.count(core);
        let requests = &self.requests[..self.request_count];
        let unacknowledged = requests.iter().filter(|received| !received.wants_reply());
        let mut answers = unacknowledged.flat_map(|received| received.answers(&self.answers));
        let failed = answers.find_map(|answer| match answer {
            Answer::Refused(refused) => Some(refused.code),
            Answer::Pending | Answer::Appended { .. } => None,
        });
        self.give_back();
        failed.map_or(Ok(()), Err)
    }

    /// In the broker's counts.
    fn count(&self, core: &Core) {
        let requests = &self.requests[..self.request_count];
        core.metrics.requests.add(requests.len() as u64);
        core.metrics.requests_by_api.add(ApiKey::Produce, requests.len() as u64);
        let trailing = requests.iter().filter(|received| received.header.trailing_bytes > 0).count();
        core.metrics.requests_with_trailing_bytes.add(trailing as u64);
    }
}

impl Received {
    fn wants_reply(&self) -> bool {
        Acks::from_wire(self.request.acks) != Some(Acks::None)
    }

    fn answers<'a>(&self, of_run: &'a [Answer]) -> &'a [Answer] {
        let count: usize = self.request.topic_data.iter().map(|topic| topic.partition_data.len()).sum();
        &of_run[self.first_answer..self.first_answer + count]
    }
}

impl Answer {
    fn refused(core: &Core, refused: Refused) -> Answer {
        core.metrics.batches_refused.add(1);
        Answer::Refused(Box::new(refused))
    }

    fn put_into(&self, response: &mut PartitionProduceResponse, index: i32) {
        response.index = index;
        response.error_message = None;
        response.record_errors.clear();
        match self {
            Answer::Pending => panic!("a reply before the append"),
            Answer::Appended { base, log_start, at } => {
                response.error_code = ErrorCode::NONE.0;
                response.base_offset = base.0;
                response.log_append_time_ms = at.0;
                response.log_start_offset = log_start.0;
            }
            Answer::Refused(refused) => refused.put_into(response),
        }
    }
}

impl Group {
    /// Gives every batch the time of its append, where that is the topic's time; returns it, or
    /// [`Timestamp::NONE`].
    fn stamp(&mut self) -> Timestamp {
        if self.partition.record_rules().timestamp_type == TimestampType::CreateTime {
            return Timestamp::NONE;
        }
        let now = clock::wall_now();
        for batch in &mut self.lists.batches {
            (batch.header, batch.bytes) = record::stamp(&batch.bytes, now);
        }
        now
    }

    /// What was appended, in the partition's own counts.
    fn count(&self, bytes: usize) {
        let records = self.lists.batches.iter().map(|batch| batch.header.last_offset_delta as u64 + 1).sum();
        let counts = &self.partition.counts;
        counts.batches_appended.add(self.lists.batches.len() as u64);
        counts.records_appended.add(records);
        counts.bytes_appended.add(bytes as u64);
    }

    fn refuse_all(&self, core: &Core, answers: &mut [Answer], code: ErrorCode, message: &str) {
        for slot in &self.lists.slots {
            answers[*slot] = Answer::refused(core, Refused::because(code, message));
        }
    }
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
        return Err(Refused::not_idempotent_yet());
    }
    Ok(())
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
