//! How consumers move through partitions: every delivery with the position at which it was expected.
//!
//! An index, not a judge. A position is set by being assigned, sought or reset, and by each delivery.

use std::collections::HashMap;

use seedlog::facts::Fact;
use seedlog::types::{Offset, TopicPartition};

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

#[derive(Clone, Copy)]
struct Position {
    at: usize,
    next: Offset,
    /// A delivery set it, not an explanation.
    by_delivery: bool,
    /// A corrupt batch of unknown length begins here.
    may_jump: bool,
}

/// How consumers moved, and how many of their steps there are to compare.
#[derive(Default)]
pub struct Moves<'a> {
    pub jumps: Vec<Jump<'a>>,
    /// Deliveries of which it is known where they were expected, by whether they were in one poll with the one before.
    pub between_polls: u64,
    pub in_polls: u64,
}

impl<'a> Moves<'a> {
    pub fn new(history: &'a [Entry]) -> Moves<'a> {
        let mut moves = Moves::default();
        moves.follow(history);
        moves
    }

    fn follow(&mut self, history: &'a [Entry]) {
        let mut positions: HashMap<(Incarnation, &TopicPartition), Position> = HashMap::new();
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
                    let position = Position { at, next: *position, by_delivery: false, may_jump: false };
                    positions.insert(place, position);
                }
                Fact::CorruptSkipped { .. } => {
                    if let Some(position) = positions.get_mut(&place) {
                        position.may_jump = true;
                    }
                }
                Fact::Delivered { offset, .. } => {
                    let here = Position { at, next: offset.next(), by_delivery: true, may_jump: false };
                    let Some(stood) = positions.insert(place, here) else { continue };
                    let in_one_poll = stood.by_delivery && history[stood.at].at_ns == entry.at_ns;
                    *(if in_one_poll { &mut self.in_polls } else { &mut self.between_polls }) += 1;
                    let is_explained = stood.next == *offset || (stood.may_jump && stood.next < *offset);
                    if !is_explained {
                        self.jumps.push(Jump {
                            incarnation,
                            partition,
                            stood_at: stood.at,
                            stood: stood.next,
                            delivered_at: at,
                            delivered: *offset,
                            in_one_poll,
                        });
                    }
                }
                _ => {}
            }
        }
    }
}
