//! H18, `unexplained-reset`: a position was reset although the log held it all the time, or as though there
//! was none although a committed offset had been fetched.
//!
//! The log's bounds are the testbed's own account of it, not what the broker said. With one replica, every
//! cut of the log counts; a position that lies on the log's end is in range.

use std::collections::HashMap;

use seedlog::facts::Fact;
use seedlog::types::{Offset, TopicPartition};

use super::groups::Incarnation;
use super::{Case, Check, Feature, Finding};
use crate::history::What;

pub const CHECK: Check = Check::new("H18", "unexplained-reset", Feature::Reset, judge);

#[derive(Clone, Copy, Default)]
struct Log {
    start: Offset,
    end: Offset,
}

/// A log as it was left by a recovery or a truncation.
struct Cut {
    at: usize,
    log: Log,
}

#[derive(Default)]
struct Logs<'a> {
    now: HashMap<&'a TopicPartition, Log>,
    cuts: HashMap<&'a TopicPartition, Vec<Cut>>,
}

/// When a consumer's position was set, and what the log was then.
#[derive(Clone, Copy)]
struct Stood {
    at: usize,
    log: Log,
}

#[derive(Default)]
struct State<'a> {
    logs: Logs<'a>,
    stood: HashMap<(Incarnation<'a>, &'a TopicPartition), Stood>,
    fetched: HashMap<(Incarnation<'a>, &'a TopicPartition), (usize, Offset)>,
    judged: u64,
    findings: Vec<Finding>,
}

fn judge(case: &Case) -> Vec<Finding> {
    let mut state = State::default();
    for (at, entry) in case.history.iter().enumerate() {
        let What::Fact(fact) = &entry.what else { continue };
        state.logs.observe(at, fact);
        let (Some(incarnation), Some(partition)) = (Incarnation::of(entry, fact), fact.partition()) else {
            continue;
        };
        state.observe(at, (incarnation, partition), fact);
    }
    case.obligations.meet_many(state.judged);
    state.findings
}

impl<'a> Logs<'a> {
    fn observe(&mut self, at: usize, fact: &'a Fact) {
        let (partition, log) = match fact {
            Fact::Appended { partition, last, .. } => {
                self.now.entry(partition).or_default().end = last.next();
                return;
            }
            Fact::LogRecovered { partition, log_start, log_end, .. } => {
                (partition, Log { start: *log_start, end: *log_end })
            }
            Fact::Truncated { partition, end, .. } => {
                (partition, Log { end: *end, ..self.now.get(partition).copied().unwrap_or_default() })
            }
            _ => return,
        };
        self.now.insert(partition, log);
        self.cuts.entry(partition).or_default().push(Cut { at, log });
    }

    /// The offsets that the log held all the time since.
    fn held_since(&self, partition: &TopicPartition, stood: Stood) -> Log {
        let cuts = self.cuts.get(partition).map_or(&[][..], Vec::as_slice);
        let since = cuts.iter().rev().take_while(|cut| cut.at > stood.at);
        since.fold(stood.log, |held, cut| Log {
            start: held.start.max(cut.log.start),
            end: held.end.min(cut.log.end),
        })
    }
}

impl<'a> State<'a> {
    fn observe(&mut self, at: usize, place: (Incarnation<'a>, &'a TopicPartition), fact: &'a Fact) {
        match fact {
            Fact::PositionReset { from: Some(from), to, .. } => self.judge(at, place, *from, *to),
            Fact::PositionReset { from: None, to, .. } => self.judge_first(at, place, *to),
            Fact::OffsetFetched { offset: Some(offset), .. } => {
                self.fetched.insert(place, (at, *offset));
                return;
            }
            Fact::OffsetFetched { offset: None, .. } => {
                self.fetched.remove(&place);
                return;
            }
            Fact::Assigned { .. } | Fact::Seeked { .. } | Fact::Delivered { .. } => {}
            _ => return,
        }
        let log = self.logs.now.get(place.1).copied().unwrap_or_default();
        self.stood.insert(place, Stood { at, log });
    }

    fn judge(&mut self, at: usize, place: (Incarnation<'a>, &'a TopicPartition), from: Offset, to: Offset) {
        let (incarnation, partition) = place;
        let Some(stood) = self.stood.get(&place).copied() else { return };
        self.judged += 1;
        let held = self.logs.held_since(partition, stood);
        if held.start <= from && from <= held.end {
            let message = format!(
                "{} was reset from {partition}@{from} to {to} although the log was {}..={}",
                incarnation.consumer, held.start, held.end
            );
            self.findings.push(Finding::new(Some(partition), message, vec![stood.at, at]));
        }
    }

    fn judge_first(&mut self, at: usize, place: (Incarnation<'a>, &'a TopicPartition), to: Offset) {
        let (incarnation, partition) = place;
        if let Some((fetched_at, offset)) = self.fetched.get(&place).copied() {
            let message = format!(
                "{} was set to {partition}@{to} as though it had no position, but had fetched {offset}",
                incarnation.consumer
            );
            self.findings.push(Finding::new(Some(partition), message, vec![fetched_at, at]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CHECK;
    use crate::checkers::story::Story;

    fn reading() -> Story {
        Story::new().appended(0, 9, 1).assigned("a", 0).read("a", 4, "r-4")
    }

    #[test]
    fn a_reset_of_a_position_that_the_log_holds_is_found() {
        assert_eq!(
            reading().reset("a", Some(5), 0, (0, 3)).violations(&CHECK),
            ["a was reset from orders-0@5 to 0 although the log was 0..=10"]
        );
    }

    #[test]
    fn the_end_of_the_log_is_in_range() {
        let story = Story::new().appended(0, 9, 1).assigned("a", 0).read("a", 9, "r-9");
        assert_eq!(story.reset("a", Some(10), 0, (0, 9)).violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_cut_below_the_position_explains_it_even_if_the_log_grew_again() {
        let cut = reading().recovered(2, false);
        assert!(cut.reset("a", Some(5), 0, (0, 2)).violations(&CHECK).is_empty());
        let grown = reading().recovered(2, false).appended(2, 9, 2);
        assert!(grown.reset("a", Some(5), 0, (0, 2)).violations(&CHECK).is_empty());
    }

    #[test]
    fn a_cut_before_the_position_was_set_or_above_it_explains_nothing() {
        let before = Story::new().appended(0, 3, 1).recovered(2, false).appended(2, 9, 2);
        let before = before.assigned("a", 0).read("a", 4, "r-4");
        assert_eq!(before.reset("a", Some(5), 0, (0, 10)).violations(&CHECK).len(), 1);
        let above = reading().recovered(7, false);
        assert_eq!(above.reset("a", Some(5), 0, (0, 7)).violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_position_behind_the_end_is_reset_rightly() {
        let story = Story::new().appended(0, 3, 1).assigned("a", 7);
        assert!(story.reset("a", Some(7), 4, (0, 4)).violations(&CHECK).is_empty());
    }

    #[test]
    fn a_seek_is_no_reset() {
        let story = reading().recovered(2, false).reset("a", Some(5), 2, (0, 2));
        assert!(story.appended(2, 9, 2).sought("a", 2).violations(&CHECK).is_empty());
    }

    #[test]
    fn no_position_is_reset_rightly_unless_one_had_been_fetched() {
        let new = Story::new().joined("a", 1).owned("a", 1).fetched("a", None).reset("a", None, 0, (0, 0));
        assert!(new.violations(&CHECK).is_empty());
        let known = Story::new().joined("a", 1).owned("a", 1).fetched("a", Some(5));
        assert_eq!(known.reset("a", None, 0, (0, 9)).violations(&CHECK).len(), 1);
    }
}
