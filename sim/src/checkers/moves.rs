//! How consumers move through partitions: every delivery with the position at which it was expected.
//!
//! An index, not a judge. A position is set by being assigned, sought or reset, and by each delivery. A corrupt batch that
//! a consumer states it met explains a jump over its own records, and over nothing behind them.

use std::collections::HashMap;

use seedlog::facts::Fact;
use seedlog::types::{Offset, TopicPartition};

use super::existing::Existing;
use super::groups::Incarnation;
use crate::history::{Entry, What};

/// A delivery that is not where the consumer stood.
#[derive(Clone, Copy, Debug)]
pub struct Jump<'a> {
    pub incarnation: Incarnation<'a>,
    pub partition: &'a TopicPartition,
    /// The entry that set the position, and the position.
    pub stood_at: usize,
    pub stood: Offset,
    pub delivered_at: usize,
    pub delivered: Offset,
    /// Both are deliveries of one poll: they were handed out at one instant.
    pub in_one_poll: bool,
}

/// How consumers moved, and how many of their steps there are to compare.
#[derive(Default)]
pub struct Moves<'a> {
    pub jumps: Vec<Jump<'a>>,
    /// Deliveries of which it is known where they were expected, by whether they were in one poll with the one before.
    pub between_polls: u64,
    pub in_polls: u64,
}

#[derive(Clone, Copy)]
struct Position {
    at: usize,
    next: Offset,
    /// A delivery set it, not an explanation.
    by_delivery: bool,
    /// Behind the corrupt batches that begin here, and that the consumer met.
    corrupt_until: Option<Offset>,
}

type Place<'a> = (Incarnation<'a>, &'a TopicPartition);

impl<'a> Moves<'a> {
    pub fn new(history: &'a [Entry], existing: &Existing) -> Moves<'a> {
        let mut moves = Moves::default();
        let mut positions: HashMap<Place, Position> = HashMap::new();
        for (at, entry) in history.iter().enumerate() {
            let What::Fact(fact) = &entry.what else { continue };
            let (Some(incarnation), Some(partition)) = (Incarnation::of(entry, fact), fact.partition())
            else {
                continue;
            };
            let place = (incarnation, partition);
            match fact {
                Fact::Assigned { position, .. }
                | Fact::Seeked { position, .. }
                | Fact::PositionReset { to: position, .. } => {
                    positions.insert(place, Position::set(at, *position, false));
                }
                Fact::CorruptSkipped { offset, .. } => {
                    if let Some(position) = positions.get_mut(&place) {
                        position.meet_corrupt_batch(existing, partition, *offset, at);
                    }
                }
                Fact::Delivered { offset, .. } => {
                    if let Some(stood) = positions.insert(place, Position::set(at, offset.next(), true)) {
                        moves.step(history, place, stood, at, *offset);
                    }
                }
                _ => {}
            }
        }
        moves
    }

    fn step(&mut self, history: &[Entry], place: Place<'a>, stood: Position, at: usize, delivered: Offset) {
        let in_one_poll = stood.by_delivery && history[stood.at].at_ns == history[at].at_ns;
        *(if in_one_poll { &mut self.in_polls } else { &mut self.between_polls }) += 1;
        let expected = stood.expected(delivered);
        if expected != delivered {
            let (incarnation, partition) = place;
            self.jumps.push(Jump {
                incarnation,
                partition,
                stood_at: stood.at,
                stood: expected,
                delivered_at: at,
                delivered,
                in_one_poll,
            });
        }
    }
}

impl Position {
    fn set(at: usize, next: Offset, by_delivery: bool) -> Position {
        Position { at, next, by_delivery, corrupt_until: None }
    }

    /// One that lies farther ahead than the next record explains nothing of what lies between.
    fn meet_corrupt_batch(
        &mut self,
        existing: &Existing,
        partition: &TopicPartition,
        offset: Offset,
        at: usize,
    ) {
        let from = self.corrupt_until.unwrap_or(self.next);
        if existing.next(partition, from).is_none_or(|next| offset <= next) {
            let end = existing.batch_end(partition, offset, at).next();
            self.corrupt_until = Some(end.max(from));
        }
    }

    /// Where the next record was expected, of one that was given at `delivered`.
    fn expected(&self, delivered: Offset) -> Offset {
        match self.corrupt_until {
            Some(end) if self.next < delivered => delivered.min(end),
            _ => self.next,
        }
    }
}
