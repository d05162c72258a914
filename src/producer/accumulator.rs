//! Records between `send` and their fate: a queue of batches per partition, and the batches in flight.
//!
//! Pure: records, attempts' ends and the time in; batches to send and fates out. Bounds on the buffer,
//! connections and facts are `sender`'s.
//!
//! G1: only the front of a partition's queue is ever sent, and a batch that must be sent again goes back to its
//! place in front of all later ones. While `in_flight_per_partition` is 1 nothing overtakes it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::batch::{AttemptEnd, Batch, Fate, Persistence, RecordData, Reply, Resolution, Waiter};
use crate::types::{Instant, TopicPartition};

/// What shapes batches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) linger: Duration,
    pub(super) batch_bytes_max: usize,
    pub(super) batch_records_max: usize,
    pub(super) persistence: Persistence,
}

/// What one request may take, decided anew for each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Appetite {
    /// Of one request, before compression; the first batch may exceed it.
    pub(super) request_bytes_max: usize,
    pub(super) in_flight_per_partition: usize,
    /// Takes open batches too, without lingering.
    pub(super) early: bool,
}

/// What `accept` changed for the senders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) seq: u64,
    /// A batch was opened or closed: whoever sends it must look at the time again.
    pub(super) changed: bool,
}

/// A batch handed out for one attempt.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) partition: TopicPartition,
    pub(super) id: u64,
    pub(super) payload: Payload,
    pub(super) expires: Instant,
    /// The first and last of its sends, if this is not the first attempt.
    pub(super) retry_of: Option<(u64, u64)>,
}

#[derive(Debug)]
pub(super) enum Payload {
    /// First attempt: to be encoded, and handed back by [`Accumulator::encoded`].
    Records(Vec<RecordData>),
    Encoded(Bytes),
}

#[derive(Debug, Default)]
struct Lane {
    /// By id; only the last may be open.
    queued: VecDeque<Batch>,
    /// By id.
    in_flight: VecDeque<Batch>,
}

impl Lane {
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
    limits: Limits,
    lanes: BTreeMap<TopicPartition, Lane>,
    next_seq: u64,
    next_batch: u64,
    /// Batches with an earlier send do not linger.
    flush_below: u64,
    /// Where the last request stopped, so that no partition starves.
    last_taken: Option<TopicPartition>,
}

impl Accumulator {
    pub(super) fn new(limits: Limits) -> Accumulator {
        Accumulator {
            limits,
            lanes: BTreeMap::new(),
            next_seq: 0,
            next_batch: 0,
            flush_below: 0,
            last_taken: None,
        }
    }

    /// Whether a record of `bytes` would join a batch that is already open.
    pub(super) fn joins_open_batch(&self, partition: &TopicPartition, bytes: usize) -> bool {
        let open = self.lanes.get(partition).and_then(|lane| lane.queued.back());
        open.is_some_and(|batch| !batch.closed && batch.bytes + bytes <= self.limits.batch_bytes_max)
    }

    /// Takes a record. `close_after` closes its batch behind it.
    pub(super) fn accept(
        &mut self,
        partition: &TopicPartition,
        record: RecordData,
        reply: Reply,
        now: Instant,
        close_after: bool,
    ) -> Accepted {
        let seq = self.next_seq;
        self.next_seq += 1;
        let bytes = record.size_bound();
        let joins = self.joins_open_batch(partition, bytes);
        let lane = self.lanes.entry(partition.clone()).or_default();
        if !joins {
            if let Some(full) = lane.queued.back_mut() {
                full.closed = true;
            }
            lane.queued.push_back(Batch::open(self.next_batch, now));
            self.next_batch += 1;
        }
        let batch = lane.queued.back_mut().expect("an open batch, found or made above");
        batch.bytes += bytes;
        batch.records.push(record);
        batch.waiters.push(Waiter { seq, reply });
        batch.closed = close_after
            || batch.records.len() >= self.limits.batch_records_max
            || batch.bytes >= self.limits.batch_bytes_max;
        Accepted { seq, changed: !joins || batch.closed }
    }

    /// When the front of `lane` may be sent; `None` while it must wait for what is in flight.
    fn ready_at(&self, lane: &Lane, appetite: &Appetite) -> Option<Instant> {
        let front = lane.queued.front()?;
        if lane.in_flight.len() >= appetite.in_flight_per_partition {
            return None;
        }
        let lingers = !front.closed
            && lane.queued.len() == 1
            && front.first_seq() >= self.flush_below
            && !appetite.early;
        let lingered = if lingers { front.opened + self.limits.linger } else { front.opened };
        Some(lingered.max(front.not_before))
    }

    /// When the next batch of the partitions that `led` admits may be sent.
    pub(super) fn next_ready(
        &self,
        led: impl Fn(&TopicPartition) -> bool,
        appetite: &Appetite,
    ) -> Option<Instant> {
        let lanes = self.lanes.iter().filter(|(partition, _)| led(partition));
        lanes.filter_map(|(_, lane)| self.ready_at(lane, appetite)).min()
    }

    /// Takes the batches of one request: at most one per partition.
    pub(super) fn take(
        &mut self,
        led: impl Fn(&TopicPartition) -> bool,
        now: Instant,
        appetite: &Appetite,
    ) -> Vec<Outgoing> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        for partition in self.in_turn() {
            let lane = &self.lanes[&partition];
            let is_ready = self.ready_at(lane, appetite).is_some_and(|at| at <= now);
            if !is_ready || !led(&partition) {
                continue;
            }
            bytes += lane.queued.front().map_or(0, |batch| batch.bytes);
            if bytes > appetite.request_bytes_max && !taken.is_empty() {
                break;
            }
            taken.push(self.take_front(&partition));
            self.last_taken = Some(partition);
        }
        taken
    }

    /// All partitions, beginning behind the one that was served last.
    fn in_turn(&self) -> Vec<TopicPartition> {
        let Some(last) = &self.last_taken else { return self.lanes.keys().cloned().collect() };
        let behind = self.lanes.range((Bound::Excluded(last.clone()), Bound::Unbounded));
        behind.chain(self.lanes.range(..=last.clone())).map(|(partition, _)| partition.clone()).collect()
    }

    fn take_front(&mut self, partition: &TopicPartition) -> Outgoing {
        let lane = self.lanes.get_mut(partition).expect("the caller found it");
        let mut batch = lane.queued.pop_front().expect("the caller saw a batch");
        batch.closed = true;
        batch.attempts += 1;
        let payload = match &batch.encoded {
            Some(bytes) => Payload::Encoded(bytes.clone()),
            None => Payload::Records(std::mem::take(&mut batch.records)),
        };
        let outgoing = Outgoing {
            partition: partition.clone(),
            id: batch.id,
            payload,
            expires: batch.expires(&self.limits.persistence),
            retry_of: (batch.attempts > 1).then(|| (batch.first_seq(), batch.last_seq())),
        };
        lane.in_flight.push_back(batch);
        outgoing
    }

    /// Keeps a batch's bytes for further attempts.
    pub(super) fn encoded(&mut self, partition: &TopicPartition, id: u64, bytes: Bytes) {
        let lane = self.lanes.get_mut(partition);
        if let Some(batch) = lane.and_then(|lane| lane.in_flight.iter_mut().find(|batch| batch.id == id)) {
            batch.encoded = Some(bytes);
        }
    }

    /// An attempt ended. `None`: the batch waits for another one, or was given up meanwhile.
    pub(super) fn attempt_ended(
        &mut self,
        partition: &TopicPartition,
        id: u64,
        end: AttemptEnd,
        now: Instant,
        pause: impl FnOnce(u32) -> Duration,
    ) -> Option<Resolution> {
        let lane = self.lanes.get_mut(partition)?;
        let place = lane.in_flight.iter().position(|batch| batch.id == id)?;
        let mut batch = lane.in_flight.remove(place).expect("found just above");
        match batch.judge(end, now, &self.limits.persistence, pause) {
            None => {
                lane.requeue(batch);
                None
            }
            Some(fate) => {
                let resolution = batch.resolve(partition, fate);
                self.drop_lane_if_empty(partition);
                Some(resolution)
            }
        }
    }

    /// Gives up every queued batch whose time is over. What is in flight ends with its request.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Resolution> {
        let persistence = self.limits.persistence;
        let mut expired = Vec::new();
        for (partition, lane) in &mut self.lanes {
            while lane.queued.front().is_some_and(|batch| batch.expires(&persistence) <= now) {
                let batch = lane.queued.pop_front().expect("seen just above");
                let fate = batch.give_up(batch.expiry_reason());
                expired.push(batch.resolve(partition, fate));
            }
        }
        self.lanes.retain(|_, lane| lane.batches().next().is_some());
        expired
    }

    /// When [`Accumulator::expire`] has something to do next.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        let fronts = self.lanes.values().filter_map(|lane| lane.queued.front());
        fronts.map(|batch| batch.expires(&self.limits.persistence)).min()
    }

    /// The partitions with something to send.
    pub(super) fn queued_partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.lanes.iter().filter(|(_, lane)| !lane.queued.is_empty()).map(|(partition, _)| partition)
    }

    /// Nothing accepted so far lingers. Returns the seq below which all must be resolved.
    pub(super) fn begin_flush(&mut self) -> u64 {
        self.flush_below = self.next_seq;
        self.flush_below
    }

    /// Whether every send before `seq` has met its fate.
    pub(super) fn is_resolved_below(&self, seq: u64) -> bool {
        !self.lanes.values().flat_map(Lane::batches).any(|batch| batch.first_seq() < seq)
    }

    /// Gives up everything: what is in flight may have been stored.
    pub(super) fn abandon(&mut self, reason: &Arc<str>) -> Vec<Resolution> {
        let mut given_up = Vec::new();
        for (partition, lane) in std::mem::take(&mut self.lanes) {
            for batch in lane.in_flight {
                given_up.push(batch.resolve(&partition, Fate::Unknown(Arc::clone(reason))));
            }
            for batch in lane.queued {
                let fate = batch.give_up(Arc::clone(reason));
                given_up.push(batch.resolve(&partition, fate));
            }
        }
        given_up
    }

    fn drop_lane_if_empty(&mut self, partition: &TopicPartition) {
        if self.lanes.get(partition).is_some_and(|lane| lane.batches().next().is_none()) {
            self.lanes.remove(partition);
        }
    }
}

#[cfg(test)]
mod tests;
