//! All assigned partitions: what to ask the brokers next, and whose turn it is to be handed out.
//!
//! Pure: assignments, answers and the time in; questions, records and events out. Asking is `fetcher`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::chunk;
use super::partition::{Event, LogEnd, Partition, Standing, Why};
use super::{AutoReset, ConsumeError, OnCorruption, StartPosition};
use crate::types::{Instant, Offset, TopicPartition};

/// What bounds delivery, and what to do where it cannot go on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) unpacked_bytes_max: usize,
    pub(super) on_corruption: OnCorruption,
    pub(super) auto_reset: AutoReset,
}

/// A question about one partition; the answer comes with the same generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question<T> {
    pub(super) partition: TopicPartition,
    pub(super) generation: u64,
    /// The end to look up, or the offset to fetch.
    pub(super) of: T,
}

/// The next fetch from one broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FetchPlan {
    pub(super) questions: Vec<Question<Offset>>,
    /// Some partition is left out because its share of the buffer is full.
    pub(super) some_are_full: bool,
}

/// Why a question has no good answer, by what to do next.
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
    /// Who was handed out last, so that none starves.
    last_taken: Option<TopicPartition>,
}

impl Positions {
    pub(super) fn new(limits: Limits) -> Positions {
        Positions { limits, partitions: BTreeMap::new(), next_generation: 0, last_taken: None }
    }

    /// Replaces the assignment.
    pub(super) fn assign(&mut self, assignment: Vec<(TopicPartition, StartPosition)>) -> Vec<Event> {
        self.partitions.clear();
        let mut events = Vec::new();
        for (name, start) in assignment {
            if let StartPosition::At(offset) = start {
                events.push(Event::Assigned(name.clone(), offset));
            }
            self.place(name, start, Why::Assigned);
        }
        events
    }

    /// Goes on from elsewhere. `None`: not assigned.
    pub(super) fn seek(&mut self, name: &TopicPartition, to: StartPosition) -> Option<Vec<Event>> {
        if !self.partitions.contains_key(name) {
            return None;
        }
        self.place(name.clone(), to, Why::Sought);
        let StartPosition::At(position) = to else { return Some(Vec::new()) };
        let reason = "sought by the application".to_owned();
        Some(vec![Event::Seeked { partition: name.clone(), position, reason }])
    }

    /// Whatever was prefetched or asked about the partition before is forgotten.
    fn place(&mut self, name: TopicPartition, start: StartPosition, why: Why) {
        self.next_generation += 1;
        let (standing, at) = match start {
            StartPosition::Earliest => (Standing::Lookup(LogEnd::Earliest, why), Offset::ZERO),
            StartPosition::Latest => (Standing::Lookup(LogEnd::Latest, why), Offset::ZERO),
            StartPosition::At(offset) => (Standing::Fetching, offset),
        };
        let partition = Partition::new(name.clone(), self.next_generation, standing, at);
        self.partitions.insert(name, partition);
    }

    pub(super) fn position(&self, name: &TopicPartition) -> Option<Offset> {
        self.partitions.get(name)?.position()
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
    ) -> Vec<Question<LogEnd>> {
        let mut questions = Vec::new();
        for (name, partition) in &mut self.partitions {
            if let Standing::Lookup(end, _) = partition.standing
                && partition.is_free(now)
                && led(name)
            {
                partition.busy = true;
                questions.push(Question {
                    partition: name.clone(),
                    generation: partition.generation,
                    of: end,
                });
            }
        }
        questions
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
        for (name, partition) in &mut self.partitions {
            if partition.standing != Standing::Fetching || !partition.is_free(now) || !led(name) {
                continue;
            }
            if partition.bytes >= share {
                plan.some_are_full = true;
                continue;
            }
            partition.busy = true;
            plan.questions.push(Question {
                partition: name.clone(),
                generation: partition.generation,
                of: partition.fetch_offset,
            });
        }
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

    /// An end was looked up.
    pub(super) fn found(&mut self, question: &Question<LogEnd>, position: Offset) -> Option<Event> {
        self.current(&question.partition, question.generation)?.found(position)
    }

    /// Records were fetched, or none were there.
    pub(super) fn fetched(&mut self, question: &Question<Offset>, records: Bytes, high_watermark: Offset) {
        let on_corruption = self.limits.on_corruption;
        if let Some(partition) = self.current(&question.partition, question.generation) {
            partition.fetched(chunk::verify(records, question.of, high_watermark), on_corruption);
        }
    }

    /// A question was not answered well.
    pub(super) fn failed<T>(
        &mut self,
        question: &Question<T>,
        failure: Failure,
        now: Instant,
        pause: impl FnOnce(u32) -> Duration,
    ) {
        let reset = match self.limits.auto_reset {
            AutoReset::Earliest => Some(LogEnd::Earliest),
            AutoReset::Latest => Some(LogEnd::Latest),
            AutoReset::None => None,
        };
        let Some(partition) = self.current(&question.partition, question.generation) else { return };
        match failure {
            Failure::Refused(reason) => {
                let partition_name = question.partition.clone();
                partition.refused(ConsumeError::Refused { partition: partition_name, reason });
            }
            Failure::OutOfRange if !partition.has_entries() => partition.out_of_range(reset),
            Failure::Transient | Failure::OutOfRange => partition.back_off(now, pause),
        }
    }

    /// Whether a poll would return something because of this partition.
    pub(super) fn has_news(&self, name: &TopicPartition) -> bool {
        self.partitions.get(name).is_some_and(|p| p.has_entries() || p.trouble().is_some())
    }

    /// Hands out up to `records_max` records, in offset order per partition; an error as long as some
    /// partition is stuck.
    pub(super) fn take(&mut self, records_max: usize) -> Result<Vec<Event>, ConsumeError> {
        if let Some(trouble) = self.partitions.values().find_map(Partition::trouble) {
            return Err(trouble.clone());
        }
        let mut events = Vec::new();
        let mut taken = 0;
        for name in self.in_turn() {
            if taken == records_max {
                break;
            }
            let partition = self.partitions.get_mut(&name).expect("its name was listed");
            let Limits { unpacked_bytes_max, on_corruption, .. } = self.limits;
            let more = partition.take(records_max - taken, unpacked_bytes_max, on_corruption, &mut events);
            if more > 0 {
                self.last_taken = Some(name);
            }
            taken += more;
        }
        // Damage may show only while unpacking.
        match self.partitions.values().find_map(Partition::trouble) {
            Some(trouble) if events.is_empty() => Err(trouble.clone()),
            _ => Ok(events),
        }
    }

    /// Partitions with something to hand out, beginning behind the one that was served last.
    fn in_turn(&self) -> Vec<TopicPartition> {
        let from = self.last_taken.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let until = self.last_taken.as_ref();
        let behind = self.partitions.range::<TopicPartition, _>((from, Bound::Unbounded));
        let before = self.partitions.iter().take_while(|(name, _)| until.is_some_and(|last| *name <= last));
        behind
            .chain(before)
            .filter(|(_, partition)| partition.has_entries())
            .map(|(name, _)| name.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests;
