//! All assigned partitions: what to ask the brokers next, and whose turn it is to be handed out.
//!
//! Pure: assignments, answers and the time in; requests, portions and events out. Asking is `fetcher`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::chunk::{self, Chunk};
use super::lease::Portion;
use super::partition::{Event, FetchState, LogEnd, LogPlace, LookupReason, Partition, Reader, Reset};
use super::{AutoReset, ConsumeError, OnCorruption, StartPosition};
use crate::marks::{self, Mark};
use crate::types::{Instant, Offset, TopicPartition};

/// What bounds delivery, and what to do where it cannot go on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) unpacked_bytes_max: usize,
    pub(super) on_corruption: OnCorruption,
    pub(super) auto_reset: AutoReset,
}

/// What is asked of a broker about one partition; the answer comes with the same generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PartitionRequest<T> {
    pub(super) partition: TopicPartition,
    pub(super) generation: u64,
    /// The place to look up, or the offset to fetch.
    pub(super) target: T,
}

/// The next fetch from one broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FetchPlan {
    /// In the order of the request: who waited longest for data comes first. A broker fills its answer in this
    /// order, and sends a batch above the limits only where nothing stands before it (KIP-74).
    pub(super) requests: Vec<PartitionRequest<Offset>>,
    /// Some partition is left out because its share of the buffer is full.
    pub(super) some_are_full: bool,
}

/// Where a partition that is taken on begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    At(Offset),
    /// There is no position yet: where the reset says.
    Reset,
}

/// What a reader gets.
#[derive(Debug, Default)]
pub(super) struct LeaseGrant {
    pub(super) portion: Option<Portion>,
    /// What happened on the way there.
    pub(super) events: Vec<Event>,
    /// Where there is room in the buffer again.
    pub(super) has_room: Vec<TopicPartition>,
}

/// Why a request has no good answer, by what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Ask again after a pause.
    Transient,
    OutOfRange,
    /// Never ask again.
    Refused(String),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Positions {
    limits: Limits,
    partitions: BTreeMap<TopicPartition, Partition>,
    next_generation: u64,
    assignments: u64,
    /// Fetches that brought something.
    turns: u64,
    /// Who was handed out last, so that none starves.
    last_taken: Option<TopicPartition>,
}

impl Positions {
    pub(super) fn new(limits: Limits) -> Positions {
        Positions {
            limits,
            partitions: BTreeMap::new(),
            next_generation: 0,
            assignments: 0,
            turns: 0,
            last_taken: None,
        }
    }

    /// Replaces the assignment.
    pub(super) fn assign(&mut self, assignment: Vec<(TopicPartition, StartPosition)>) -> Vec<Event> {
        self.partitions.clear();
        let mut events = Vec::new();
        for (name, start) in assignment {
            if let StartPosition::At(offset) = start {
                events.push(Event::Assigned(name.clone(), offset));
            }
            self.place(name, Reader::default(), start, LookupReason::Assigned);
        }
        self.assignments += 1;
        events
    }

    /// Takes partitions on, beside those that are there. One that is there begins anew.
    pub(super) fn add(&mut self, partitions: Vec<(TopicPartition, Reader, Begin)>) -> Vec<Event> {
        let mut events = Vec::new();
        for (name, reader, begin) in partitions {
            match begin {
                Begin::At(offset) => {
                    events.push(Event::Assigned(name.clone(), offset));
                    self.place(name, reader, StartPosition::At(offset), LookupReason::Assigned);
                }
                Begin::Reset => self.begin_at_reset(name, reader),
            }
        }
        self.assignments += 1;
        events
    }

    /// Forgets partitions and whatever was prefetched of them; the others go on. Returns where those stood whose
    /// position was known.
    pub(super) fn remove(&mut self, names: &BTreeSet<TopicPartition>) -> BTreeMap<TopicPartition, Offset> {
        self.assignments += 1;
        let removed = names.iter().filter_map(|name| {
            let partition = self.partitions.remove(name)?;
            // Nothing is handed out behind the end of its lease, so the position stands.
            partition.end_lease();
            Some((name.clone(), partition.position()?))
        });
        removed.collect()
    }

    fn begin_at_reset(&mut self, name: TopicPartition, reader: Reader) {
        let fetch_state = match self.reset_to() {
            Some(to) => FetchState::LookingUp(
                LogPlace::Earliest,
                LookupReason::Reset(Reset { from: None, to, log_start: None }),
            ),
            None => {
                marks::sometimes(Mark::BeginningLeftToApplication);
                FetchState::Failed(ConsumeError::NoPosition { partition: name.clone() })
            }
        };
        self.insert(name, reader, fetch_state, Offset::ZERO);
    }

    fn reset_to(&self) -> Option<LogEnd> {
        match self.limits.auto_reset {
            AutoReset::Earliest => Some(LogEnd::Earliest),
            AutoReset::Latest => Some(LogEnd::Latest),
            AutoReset::None => None,
        }
    }

    /// Changes with every assignment, addition and removal.
    pub(super) fn assignments(&self) -> u64 {
        self.assignments
    }

    /// Goes on from elsewhere. `None`: not assigned.
    pub(super) fn seek(&mut self, name: &TopicPartition, to: StartPosition) -> Option<Vec<Event>> {
        let reader = self.partitions.get(name)?.reader;
        self.place(name.clone(), reader, to, LookupReason::Sought);
        let StartPosition::At(position) = to else { return Some(Vec::new()) };
        let reason = "sought by the application".to_owned();
        Some(vec![Event::Seeked { partition: name.clone(), position, reason }])
    }

    /// Whatever was prefetched or asked about the partition before is forgotten.
    fn place(&mut self, name: TopicPartition, reader: Reader, start: StartPosition, reason: LookupReason) {
        let (fetch_state, at) = match start {
            StartPosition::Earliest => (FetchState::LookingUp(LogPlace::Earliest, reason), Offset::ZERO),
            StartPosition::Latest => (FetchState::LookingUp(LogPlace::Latest, reason), Offset::ZERO),
            StartPosition::Time(time) => {
                (FetchState::LookingUp(LogPlace::EndBefore(time), reason), Offset::ZERO)
            }
            StartPosition::At(offset) => (FetchState::Fetching, offset),
        };
        self.insert(name, reader, fetch_state, at);
    }

    fn insert(&mut self, name: TopicPartition, reader: Reader, fetch_state: FetchState, at: Offset) {
        self.next_generation += 1;
        let partition = Partition::new(name.clone(), reader, self.next_generation, fetch_state, at);
        self.partitions.insert(name, partition);
    }

    pub(super) fn position(&self, name: &TopicPartition) -> Option<Offset> {
        self.partitions.get(name)?.position()
    }

    /// The next offset to fetch: beyond what was prefetched.
    pub(super) fn fetch_offset(&self, name: &TopicPartition) -> Option<Offset> {
        let partition = self.partitions.get(name)?;
        partition.position().map(|_| partition.fetch_offset)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &TopicPartition> {
        self.partitions.keys()
    }

    pub(super) fn topics(&self) -> BTreeSet<Arc<str>> {
        self.partitions.keys().map(|name| Arc::clone(&name.topic)).collect()
    }

    /// The ends that must be looked up now, of the partitions that `led` admits.
    pub(super) fn take_lookups(
        &mut self,
        led: impl Fn(&TopicPartition) -> bool,
        now: Instant,
    ) -> Vec<PartitionRequest<LogPlace>> {
        let mut requests = Vec::new();
        for (name, partition) in &mut self.partitions {
            if let FetchState::LookingUp(place, _) = partition.fetch_state
                && partition.is_free(now)
                && led(name)
            {
                partition.busy = true;
                requests.push(PartitionRequest {
                    partition: name.clone(),
                    generation: partition.generation,
                    target: place,
                });
            }
        }
        requests
    }

    /// What to fetch now, of the partitions that `led` admits. `buffer_bytes_max` is shared evenly.
    pub(super) fn take_fetches(
        &mut self,
        led: impl Fn(&TopicPartition) -> bool,
        now: Instant,
        buffer_bytes_max: usize,
    ) -> FetchPlan {
        let share = (buffer_bytes_max / self.partitions.len().max(1)).max(1);
        let mut plan = FetchPlan::default();
        let mut waiting = Vec::new();
        for (name, partition) in &mut self.partitions {
            if partition.fetch_state != FetchState::Fetching || !partition.is_free(now) || !led(name) {
                continue;
            }
            if partition.bytes >= share {
                plan.some_are_full = true;
                continue;
            }
            partition.busy = true;
            waiting.push(partition);
        }
        // Stable: among those that never brought anything the names decide.
        waiting.sort_by_key(|partition| partition.served);
        plan.requests.extend(waiting.into_iter().map(|partition| PartitionRequest {
            partition: partition.name.clone(),
            generation: partition.generation,
            target: partition.fetch_offset,
        }));
        plan
    }

    /// When a back-off of the partitions that `led` admits ends next.
    pub(super) fn next_due(&self, led: impl Fn(&TopicPartition) -> bool, now: Instant) -> Option<Instant> {
        let waiting = self.partitions.values().filter(|partition| !partition.busy && led(&partition.name));
        waiting.map(|partition| partition.not_before).filter(|not_before| *not_before > now).min()
    }

    fn current(&mut self, name: &TopicPartition, generation: u64) -> Option<&mut Partition> {
        self.partitions.get_mut(name).filter(|partition| partition.generation == generation)
    }

    /// A place was looked up; `None`: the log has nothing of that time or later.
    pub(super) fn found(&mut self, asked: &PartitionRequest<LogPlace>, offset: Option<Offset>) -> Vec<Event> {
        let partition = self.current(&asked.partition, asked.generation);
        partition.map_or_else(Vec::new, |partition| partition.found(offset))
    }

    /// Records were fetched, or none were there.
    pub(super) fn fetched(
        &mut self,
        asked: &PartitionRequest<Offset>,
        records: Bytes,
        high_watermark: Offset,
    ) {
        let on_corruption = self.limits.on_corruption;
        let turn = self.turns + 1;
        let Some(partition) = self.current(&asked.partition, asked.generation) else { return };
        assert!(partition.busy, "an answer to the one request in flight");
        assert_eq!(partition.fetch_offset, asked.target, "an answer begins where its request did");
        if !records.is_empty() {
            partition.served = turn;
        }
        partition.fetched(chunk::verify(records, asked.target, high_watermark), on_corruption);
        self.turns = turn;
    }

    /// The broker has the offset and cannot read it.
    pub(super) fn unreadable(&mut self, asked: &PartitionRequest<Offset>) {
        let on_corruption = self.limits.on_corruption;
        if let Some(partition) = self.current(&asked.partition, asked.generation) {
            assert!(partition.busy, "an answer to the one request in flight");
            partition.fetched(chunk::unreadable(asked.target), on_corruption);
        }
    }

    /// The first half of `fetched` alone: the position moves, the chunk is not queued yet.
    pub(super) fn advance(&mut self, asked: &PartitionRequest<Offset>, chunk: &Chunk) {
        if let Some(partition) = self.current(&asked.partition, asked.generation) {
            partition.advance(chunk);
        }
    }

    /// The second half of `fetched` alone.
    pub(super) fn queue(&mut self, asked: &PartitionRequest<Offset>, chunk: Chunk) {
        let on_corruption = self.limits.on_corruption;
        if let Some(partition) = self.current(&asked.partition, asked.generation) {
            partition.queue(chunk, on_corruption);
        }
    }

    /// A request was not answered well.
    pub(super) fn failed<T>(
        &mut self,
        asked: &PartitionRequest<T>,
        failure: Failure,
        now: Instant,
        pause: impl FnOnce(u32) -> Duration,
    ) {
        let reset = self.reset_to();
        let Some(partition) = self.current(&asked.partition, asked.generation) else { return };
        match failure {
            Failure::Refused(reason) => {
                let partition_name = asked.partition.clone();
                partition.refused(ConsumeError::Refused { partition: partition_name, reason });
            }
            Failure::OutOfRange if partition.is_drained() => partition.out_of_range(reset),
            Failure::Transient | Failure::OutOfRange => partition.back_off(now, pause),
        }
    }

    /// Whether a poll would return something because of this partition.
    pub(super) fn has_news(&self, name: &TopicPartition) -> bool {
        self.partitions.get(name).is_some_and(|p| p.has_entries() || p.trouble().is_some())
    }

    /// Hands over up to `records_max` records of one of the reader's partitions, which take turns; an error as long
    /// as some partition of the reader is stuck. Only for a reader that handed out all it had.
    pub(super) fn lease(&mut self, reader: Reader, records_max: usize) -> Result<LeaseGrant, ConsumeError> {
        if let Some(trouble) = self.trouble(reader) {
            return Err(trouble.clone());
        }
        let mut grant = LeaseGrant::default();
        let Limits { unpacked_bytes_max, on_corruption, .. } = self.limits;
        for name in self.in_turn(reader) {
            let partition = self.partitions.get_mut(&name).expect("its name was listed");
            let bytes = partition.bytes;
            grant.portion =
                partition.lease(records_max, unpacked_bytes_max, on_corruption, &mut grant.events);
            if partition.bytes < bytes {
                grant.has_room.push(name.clone());
            }
            if grant.portion.is_some() {
                self.last_taken = Some(name);
                return Ok(grant);
            }
        }
        // Damage may show only while unpacking.
        match self.trouble(reader) {
            Some(trouble) if grant.events.is_empty() => Err(trouble.clone()),
            _ => Ok(grant),
        }
    }

    /// Frees what the reader handed out; says where there is room in the buffer again.
    pub(super) fn settle(&mut self, reader: Reader) -> Vec<TopicPartition> {
        let own = self.partitions.values_mut().filter(|partition| partition.reader == reader);
        own.filter_map(|partition| partition.settle().then(|| partition.name.clone())).collect()
    }

    /// From this call on nothing is handed out.
    pub(super) fn end_leases(&self) {
        self.partitions.values().for_each(Partition::end_lease);
    }

    fn trouble(&self, reader: Reader) -> Option<&ConsumeError> {
        self.partitions.values().filter(|partition| partition.reader == reader).find_map(Partition::trouble)
    }

    /// The reader's partitions with something to hand over, beginning behind the one that was served last.
    fn in_turn(&self, reader: Reader) -> Vec<TopicPartition> {
        let from = self.last_taken.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let until = self.last_taken.as_ref();
        let behind = self.partitions.range::<TopicPartition, _>((from, Bound::Unbounded));
        let before = self.partitions.iter().take_while(|(name, _)| until.is_some_and(|last| *name <= last));
        behind
            .chain(before)
            .filter(|(_, partition)| partition.reader == reader && partition.has_entries())
            .map(|(name, _)| name.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests;
