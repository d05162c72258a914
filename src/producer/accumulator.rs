//! Records between `send` and their outcome: a queue of batches per partition, and the batches in flight.
//!
//! Pure: records, attempts' ends and the time in; batches to send and outcomes out. Bounds on the buffer,
//! connections and facts are `sender`'s.
//!
//! G1: only the front of a partition's queue is ever sent, and a batch that must be sent again goes back to its
//! place in front of all later ones. While `in_flight_per_partition` is 1 nothing overtakes it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::batch::{AttemptEnd, Batch, Outcome, RecordData, Reply, Resolution, RetryPolicy, Waiter};
use crate::client::Leader;
use crate::types::{Instant, TopicPartition};

/// What shapes batches.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchLimits {
    pub(super) linger: Duration,
    pub(super) batch_bytes_max: usize,
    pub(super) batch_records_max: usize,
    pub(super) retry_policy: RetryPolicy,
}

/// What one request may take, decided anew for each.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestLimits {
    /// Of one request, before compression; the first batch may exceed it.
    pub(super) request_bytes_max: usize,
    pub(super) in_flight_per_partition: usize,
    /// Takes open batches too, without lingering.
    pub(super) early: bool,
}

/// One attempt at one batch: an answer counts for the attempt that asked, and for no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AttemptId {
    batch: u64,
    /// From 1.
    number: u32,
}

/// A batch handed out for one attempt.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) partition: TopicPartition,
    pub(super) attempt: AttemptId,
    pub(super) payload: Payload,
    /// The first and last of its sends, if this is not the first attempt.
    pub(super) retry_of: Option<(u64, u64)>,
}

#[derive(Debug)]
pub(super) enum Payload {
    /// First attempt: to be encoded, and handed back by [`Accumulator::encoded`].
    Records(Arc<Vec<RecordData>>),
    Encoded(Bytes),
}

#[derive(Debug, Default)]
struct PartitionQueue {
    /// By id; only the last may be open.
    queued: VecDeque<Batch>,
    /// By id.
    in_flight: VecDeque<Batch>,
}

impl PartitionQueue {
    fn batches(&self) -> impl Iterator<Item = &Batch> {
        self.in_flight.iter().chain(&self.queued)
    }

    fn requeue(&mut self, batch: Batch) {
        let place = self.queued.partition_point(|other| other.id < batch.id);
        self.queued.insert(place, batch);
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Accumulator {
    limits: BatchLimits,
    queues: BTreeMap<TopicPartition, PartitionQueue>,
    next_seq: u64,
    next_batch: u64,
    /// Batches with an earlier send do not linger.
    flush_below: u64,
    /// Where the last request stopped, so that no partition starves.
    last_taken: Option<TopicPartition>,
}

impl Accumulator {
    pub(super) fn new(limits: BatchLimits) -> Accumulator {
        Accumulator {
            limits,
            queues: BTreeMap::new(),
            next_seq: 0,
            next_batch: 0,
            flush_below: 0,
            last_taken: None,
        }
    }

    /// Whether a record of `bytes` would join a batch that is already open.
    pub(super) fn joins_open_batch(&self, partition: &TopicPartition, bytes: usize) -> bool {
        let open = self.queues.get(partition).and_then(|queue| queue.queued.back());
        open.is_some_and(|batch| !batch.closed && batch.bytes + bytes <= self.limits.batch_bytes_max)
    }

    /// The number of the next record that is taken.
    pub(super) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Takes a record. `close_after` closes its batch behind it. Answers whether a batch was opened or closed: whoever
    /// sends it must look at the time again.
    pub(super) fn accept(
        &mut self,
        partition: &TopicPartition,
        record: RecordData,
        reply: Reply,
        now: Instant,
        close_after: bool,
    ) -> bool {
        let seq = self.next_seq;
        self.next_seq += 1;
        let bytes = record.size_bound();
        let joins = self.joins_open_batch(partition, bytes);
        let queue = self.queues.entry(partition.clone()).or_default();
        if !joins {
            if let Some(full) = queue.queued.back_mut() {
                full.closed = true;
            }
            queue.queued.push_back(Batch::open(self.next_batch, now));
            self.next_batch += 1;
        }
        let batch = queue.queued.back_mut().expect("an open batch, found or made above");
        batch.bytes += bytes;
        let records = Arc::get_mut(&mut batch.records).expect("nobody encodes a batch that is open");
        records.push(record);
        batch.waiters.push(Waiter { seq, reply });
        batch.closed = close_after
            || batch.records.len() >= self.limits.batch_records_max
            || batch.bytes >= self.limits.batch_bytes_max;
        !joins || batch.closed
    }

    /// When the front of `queue` may be sent; `None` while it must wait for what is in flight.
    fn ready_at(&self, queue: &PartitionQueue, request: &RequestLimits) -> Option<Instant> {
        let front = queue.queued.front()?;
        if queue.in_flight.len() >= request.in_flight_per_partition {
            return None;
        }
        let lingers = !front.closed
            && queue.queued.len() == 1
            && front.first_seq() >= self.flush_below
            && !request.early;
        let lingered = if lingers { front.opened + self.limits.linger } else { front.opened };
        Some(lingered.max(front.not_before))
    }

    /// When the next batch of the partitions that `led` admits may be sent.
    pub(super) fn next_ready(
        &self,
        led: impl Fn(&TopicPartition) -> Option<Leader>,
        request: &RequestLimits,
    ) -> Option<Instant> {
        let queues = self.queues.iter().filter(|(partition, _)| led(partition).is_some());
        queues.filter_map(|(_, queue)| self.ready_at(queue, request)).min()
    }

    /// Takes the batches of one request to the broker that `led` tells of: at most one per partition.
    pub(super) fn take(
        &mut self,
        led: impl Fn(&TopicPartition) -> Option<Leader>,
        now: Instant,
        request: &RequestLimits,
    ) -> Vec<Outgoing> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        for partition in self.in_turn() {
            let queue = &self.queues[&partition];
            let is_ready = self.ready_at(queue, request).is_some_and(|at| at <= now);
            let Some(leader) = led(&partition).filter(|_| is_ready) else { continue };
            bytes += queue.queued.front().map_or(0, |batch| batch.bytes);
            if bytes > request.request_bytes_max && !taken.is_empty() {
                break;
            }
            taken.push(self.take_front(&partition, leader));
            let in_flight = self.queues[&partition].in_flight.len();
            assert!(
                in_flight <= request.in_flight_per_partition,
                "no more is in flight than keeps its order"
            );
            self.last_taken = Some(partition);
        }
        taken
    }

    /// All partitions, beginning behind the one that was served last.
    fn in_turn(&self) -> Vec<TopicPartition> {
        let Some(last) = &self.last_taken else { return self.queues.keys().cloned().collect() };
        let behind = self.queues.range((Bound::Excluded(last.clone()), Bound::Unbounded));
        behind.chain(self.queues.range(..=last.clone())).map(|(partition, _)| partition.clone()).collect()
    }

    fn take_front(&mut self, partition: &TopicPartition, leader: Leader) -> Outgoing {
        let queue = self.queues.get_mut(partition).expect("the caller found it");
        let mut batch = queue.queued.pop_front().expect("the caller saw a batch");
        batch.closed = true;
        batch.attempts += 1;
        batch.sent_to = Some(leader);
        let payload = match &batch.encoded {
            Some(bytes) => Payload::Encoded(bytes.clone()),
            None => Payload::Records(Arc::clone(&batch.records)),
        };
        let outgoing = Outgoing {
            partition: partition.clone(),
            attempt: AttemptId { batch: batch.id, number: batch.attempts },
            payload,
            retry_of: (batch.attempts > 1).then(|| (batch.first_seq(), batch.last_seq())),
        };
        queue.in_flight.push_back(batch);
        outgoing
    }

    /// Keeps a batch's bytes for further attempts. It may have been put back meanwhile: another broker leads now.
    pub(super) fn encoded(&mut self, partition: &TopicPartition, attempt: AttemptId, bytes: Bytes) {
        let Some(queue) = self.queues.get_mut(partition) else { return };
        let mut batches = queue.in_flight.iter_mut().chain(&mut queue.queued);
        if let Some(batch) = batches.find(|batch| batch.id == attempt.batch) {
            batch.encoded = Some(bytes);
            batch.records = Arc::default();
        }
    }

    /// An attempt ended. `None`: the batch waits for another one, or this one does not count any more.
    pub(super) fn attempt_ended(
        &mut self,
        partition: &TopicPartition,
        attempt: AttemptId,
        end: AttemptEnd,
        now: Instant,
        pause: impl FnOnce(u32) -> Duration,
    ) -> Option<Resolution> {
        let queue = self.queues.get_mut(partition)?;
        let is_meant = |batch: &Batch| (batch.id, batch.attempts) == (attempt.batch, attempt.number);
        let place = queue.in_flight.iter().position(is_meant)?;
        let mut batch = queue.in_flight.remove(place).expect("found just above");
        match batch.judge(end, now, &self.limits.retry_policy, pause) {
            None => {
                queue.requeue(batch);
                None
            }
            Some(outcome) => {
                let resolution = batch.resolve(partition, outcome);
                self.drop_queue_if_empty(partition);
                Some(resolution)
            }
        }
    }

    /// The batches in flight to a broker that a later epoch has deposed do not wait for its answer: they go to the
    /// leader that `leader` tells of. The old one may have stored them.
    pub(super) fn leaders_changed(
        &mut self,
        leader: impl Fn(&TopicPartition) -> Option<Leader>,
        now: Instant,
        pause: impl Fn(u32) -> Duration,
    ) -> Vec<Resolution> {
        let mut deposed = Vec::new();
        for (partition, queue) in &self.queues {
            let Some(leader) = leader(partition) else { continue };
            let in_flight = queue.in_flight.iter().filter(|batch| batch.is_with_predecessor_of(leader));
            let attempt = |batch: &Batch| AttemptId { batch: batch.id, number: batch.attempts };
            deposed.extend(in_flight.map(|batch| (partition.clone(), attempt(batch))));
        }
        let mut resolutions = Vec::new();
        for (partition, attempt) in deposed {
            let end = AttemptEnd::Unclear { reason: "another broker leads now".into(), again: true };
            resolutions.extend(self.attempt_ended(&partition, attempt, end, now, &pause));
        }
        resolutions
    }

    /// Gives up every batch whose time is over. One that is in flight may have been stored.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Resolution> {
        let retry_policy = self.limits.retry_policy;
        let mut expired = Vec::new();
        for (partition, queue) in &mut self.queues {
            let is_over = |batch: Option<&Batch>| batch.is_some_and(|b| b.expires(&retry_policy) <= now);
            while is_over(queue.in_flight.front()) {
                let batch = queue.in_flight.pop_front().expect("seen just above");
                let outcome = Outcome::Unknown("delivery timed out; the last attempt is not answered".into());
                expired.push(batch.resolve(partition, outcome));
            }
            while is_over(queue.queued.front()) {
                let batch = queue.queued.pop_front().expect("seen just above");
                let outcome = batch.give_up(batch.expiry_reason());
                expired.push(batch.resolve(partition, outcome));
            }
        }
        self.queues.retain(|_, queue| queue.batches().next().is_some());
        expired
    }

    /// When [`Accumulator::expire`] has something to do next.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        let fronts = self.queues.values().flat_map(|queue| [queue.in_flight.front(), queue.queued.front()]);
        let fronts = fronts.flatten();
        fronts.map(|batch| batch.expires(&self.limits.retry_policy)).min()
    }

    /// The partitions with something to send.
    pub(super) fn queued_partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.queues.iter().filter(|(_, queue)| !queue.queued.is_empty()).map(|(partition, _)| partition)
    }

    /// The topics of everything that has no outcome yet.
    pub(super) fn topics(&self) -> BTreeSet<Arc<str>> {
        self.queues.keys().map(|partition| Arc::clone(&partition.topic)).collect()
    }

    /// Whether something has no outcome yet.
    pub(super) fn is_busy(&self) -> bool {
        !self.queues.is_empty()
    }

    /// Nothing accepted so far lingers. Returns the seq below which all must be resolved.
    pub(super) fn begin_flush(&mut self) -> u64 {
        self.flush_below = self.next_seq;
        self.flush_below
    }

    /// Whether every send before `seq` has its outcome.
    pub(super) fn is_resolved_below(&self, seq: u64) -> bool {
        !self.queues.values().flat_map(PartitionQueue::batches).any(|batch| batch.first_seq() < seq)
    }

    /// Gives up everything: what is in flight may have been stored.
    pub(super) fn abandon(&mut self, reason: &Arc<str>) -> Vec<Resolution> {
        let mut given_up = Vec::new();
        for (partition, queue) in std::mem::take(&mut self.queues) {
            for batch in queue.in_flight {
                given_up.push(batch.resolve(&partition, Outcome::Unknown(Arc::clone(reason))));
            }
            for batch in queue.queued {
                let outcome = batch.give_up(Arc::clone(reason));
                given_up.push(batch.resolve(&partition, outcome));
            }
        }
        given_up
    }

    fn drop_queue_if_empty(&mut self, partition: &TopicPartition) {
        if self.queues.get(partition).is_some_and(|queue| queue.batches().next().is_none()) {
            self.queues.remove(partition);
        }
    }
}

#[cfg(test)]
mod tests;
