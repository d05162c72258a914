//! Positions over time, as lines of steps: what a log holds and what of it is durable, what a consumer was
//! given and what it committed.
//!
//! Pure. A line that falls says that something is gone: a log after its recovery, a reader that went back.

use std::collections::BTreeMap;

use seedlog::facts::Fact;
use seedlog::types::{Offset, TopicPartition};
use serde::Serialize;

use super::lanes::Lanes;
use super::model::{Strings, micros};
use crate::history::{Entry, What};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    pub lane: usize,
    pub partition: usize,
    pub of: Position,
    /// Time since the step before.
    pub time: Vec<u64>,
    /// The exclusive end from then on.
    pub end: Vec<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Position {
    Stored,
    Durable,
    Delivered,
    Committed,
}

#[derive(Default)]
pub struct Lines {
    lines: BTreeMap<(usize, TopicPartition, Position), (Line, u64)>,
}

impl Lines {
    pub fn observe(&mut self, entry: &Entry, lanes: &Lanes, strings: &mut Strings) {
        let What::Fact(fact) = &entry.what else { return };
        let next = |offset: &Offset| offset.0 + 1;
        let mut step = |disk: bool, partition: &TopicPartition, of: Position, end: i64| {
            let lane = if disk { lanes.disk(&entry.node) } else { lanes.node(&entry.node) };
            if let Some(lane) = lane {
                self.step(lane, partition, of, micros(entry.at_ns), end, strings);
            }
        };
        match fact {
            Fact::Appended { partition, last, .. } => step(true, partition, Position::Stored, next(last)),
            Fact::Flushed { partition, end, .. } => step(true, partition, Position::Durable, end.0),
            Fact::LogRecovered { partition, log_end, .. } => {
                step(true, partition, Position::Stored, log_end.0);
                step(true, partition, Position::Durable, log_end.0);
            }
            Fact::Truncated { partition, end, .. } => step(true, partition, Position::Stored, end.0),
            Fact::Delivered { partition, offset, .. } => {
                step(false, partition, Position::Delivered, next(offset));
            }
            Fact::Assigned { partition, position, .. } | Fact::Seeked { partition, position, .. } => {
                step(false, partition, Position::Delivered, position.0);
            }
            Fact::CommitOk { partition, offset, .. } => {
                step(false, partition, Position::Committed, offset.0);
            }
            _ => {}
        }
    }

    fn step(
        &mut self,
        lane: usize,
        partition: &TopicPartition,
        of: Position,
        at: u64,
        end: i64,
        strings: &mut Strings,
    ) {
        let (line, last) = self.lines.entry((lane, partition.clone(), of)).or_insert_with(|| {
            let partition = strings.index(&partition.to_string());
            (Line { lane, partition, of, time: Vec::new(), end: Vec::new() }, 0)
        });
        if line.end.last() != Some(&end) {
            line.time.push(at - *last);
            line.end.push(end);
            *last = at;
        }
    }

    pub fn finish(self) -> Vec<Line> {
        self.lines.into_values().map(|(line, _)| line).collect()
    }
}
