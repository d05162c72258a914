//! Whether consumers go where their applications send them, by seeking or by being assigned a partition.
//!
//! To an offset: there, and nowhere else until it is sent elsewhere. The answer to a question of an earlier seek moves it
//! no more. To the earliest one: where the log began at some moment since. To the latest: not before what somebody had
//! been given when it was sent. That it is not too far is check S20's business.

use std::collections::BTreeMap;

use seedlog::facts::{Fact, SeekTarget};
use seedlog::types::{Offset, TopicPartition};

use crate::checkers::{Case, Finding};
use crate::history::What;

/// A log as far as readers can know of it.
#[derive(Clone, Copy, Default)]
struct Log {
    start: Offset,
    end: Offset,
    /// Somebody was given what stands below, and it was there.
    read: Offset,
}

/// Where a consumer is to go.
#[derive(Clone, Copy)]
struct Sent {
    at: usize,
    to: SeekTarget,
    /// Where the log began since, at least and at most.
    starts: (Offset, Offset),
    /// How far the log had been read, of what it still holds.
    read: Offset,
}

type Place<'a> = (&'a str, &'a TopicPartition);

#[derive(Default)]
struct Watch<'a> {
    logs: BTreeMap<&'a TopicPartition, Log>,
    sent: BTreeMap<Place<'a>, Sent>,
}

pub(super) fn gone_elsewhere(case: &Case) -> Vec<Finding> {
    let mut watch = Watch::default();
    let mut findings = Vec::new();
    for (at, entry) in case.history.iter().enumerate() {
        let What::Fact(fact) = &entry.what else { continue };
        watch.observe_log(fact);
        let (place, position) = match fact {
            Fact::Sought { consumer, partition, to } => {
                watch.send(at, (consumer, partition), *to);
                continue;
            }
            Fact::TimeSought { consumer, partition, .. }
            // A member takes it over, for the second time perhaps, in another life even: from what was committed.
            | Fact::PartitionOwned { consumer, partition, .. }
            | Fact::PositionReset { consumer, partition, .. } => {
                watch.sent.remove(&(consumer.as_str(), partition));
                continue;
            }
            Fact::Seeked { consumer, partition, position, .. }
            | Fact::Assigned { consumer, partition, position } => ((consumer.as_str(), partition), *position),
            _ => continue,
        };
        let Some(sent) = watch.sent.get(&place).copied() else { continue };
        case.obligations.meet();
        if let Some(due) = sent.objection(position) {
            let (consumer, partition) = place;
            let message = format!("{consumer} was sent to {due} of {partition} and goes to {position}");
            findings.push(Finding::new(Some(partition), message, vec![sent.at, at]));
        }
        // The ends of the log are where they were when it asked, and not for ever.
        if !matches!(sent.to, SeekTarget::Offset(_)) {
            watch.sent.remove(&place);
        }
    }
    findings
}

impl<'a> Watch<'a> {
    fn observe_log(&mut self, fact: &'a Fact) {
        match fact {
            Fact::Appended { partition, last, .. } => {
                let log = self.logs.entry(partition).or_default();
                log.end = last.next();
            }
            Fact::LogRecovered { partition, log_start, log_end, .. } => {
                let log = self.logs.entry(partition).or_default();
                (log.start, log.end) = (*log_start, *log_end);
                self.cut(partition);
            }
            Fact::Truncated { partition, end, .. } => {
                self.logs.entry(partition).or_default().end = *end;
                self.cut(partition);
            }
            Fact::Delivered { partition, offset, .. } => {
                let log = self.logs.entry(partition).or_default();
                log.read = log.read.max(offset.next().min(log.end));
            }
            _ => {}
        }
    }

    /// The log has another start, or another end.
    fn cut(&mut self, partition: &TopicPartition) {
        let log = self.logs.get_mut(partition).expect("it was just set");
        log.read = log.read.min(log.end);
        for (_, sent) in self.sent.iter_mut().filter(|((_, of), _)| *of == partition) {
            sent.starts = (sent.starts.0.min(log.start), sent.starts.1.max(log.start));
            sent.read = sent.read.min(log.end);
        }
    }

    fn send(&mut self, at: usize, place: Place<'a>, to: SeekTarget) {
        let log = self.logs.get(place.1).copied().unwrap_or_default();
        let sent = Sent { at, to, starts: (log.start, log.start), read: log.read };
        self.sent.insert(place, sent);
    }
}

impl Sent {
    /// Where it was to go, if `position` is not there.
    fn objection(&self, position: Offset) -> Option<String> {
        let (is_there, due) = match self.to {
            SeekTarget::Offset(offset) => (position == offset, offset.to_string()),
            SeekTarget::Earliest => {
                let (least, most) = self.starts;
                let due = format!("the earliest offset, {most},");
                ((least..=most).contains(&position), due)
            }
            SeekTarget::Latest => {
                (position >= self.read, format!("the latest offset, {} at least,", self.read))
            }
        };
        (!is_there).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use seedlog::types::BrokerId;

    use super::*;
    use crate::checkers::story::{Story, orders};
    use crate::checkers::wrong_position::CHECK;

    fn sent_to(to: SeekTarget) -> Fact {
        Fact::Sought { consumer: "a".into(), partition: orders(), to }
    }

    fn sent(offset: i64) -> Fact {
        sent_to(SeekTarget::Offset(Offset(offset)))
    }

    fn recovered_from(story: Story, log_start: i64, log_end: i64) -> Story {
        let (log_start, log_end) = (Offset(log_start), Offset(log_end));
        let (broker, partition) = (BrokerId(1), orders());
        let recovered =
            Fact::LogRecovered { broker, partition, clean: true, log_start, log_end, bytes_cut: 0 };
        story.fact("broker-1", recovered)
    }

    #[test]
    fn the_answer_to_an_earlier_seek_moves_nobody() {
        let both = || Story::new().fact("a", sent_to(SeekTarget::Latest)).fact("a", sent(3)).sought("a", 3);
        assert!(both().violations(&CHECK).is_empty());
        assert_eq!(both().met(&CHECK), 1);
        let moved = both().sought("a", 40);
        assert_eq!(moved.violations(&CHECK), ["a was sent to 3 of orders-0 and goes to 40"]);
        assert!(both().fact("a", sent_to(SeekTarget::Latest)).sought("a", 40).violations(&CHECK).is_empty());
        assert!(both().owned("a", 2).sought("a", 40).violations(&CHECK).is_empty(), "taken over anew");
    }

    #[test]
    fn the_earliest_offset_is_where_the_log_begins() {
        let goes = |position| {
            let story = recovered_from(Story::new(), 5, 9).fact("a", sent_to(SeekTarget::Earliest));
            story.assigned("a", position).violations(&CHECK)
        };
        assert_eq!(goes(5), [""; 0]);
        assert_eq!(goes(9), ["a was sent to the earliest offset, 5, of orders-0 and goes to 9"]);
        assert_eq!(goes(0).len(), 1);
    }

    #[test]
    fn the_latest_offset_is_not_before_what_was_read() {
        let goes = |position| {
            let story = Story::new().appended(0, 9, 1).assigned("b", 0).read("b", 6, "r-6");
            story.fact("a", sent_to(SeekTarget::Latest)).sought("a", position).violations(&CHECK)
        };
        assert_eq!(goes(7), [""; 0]);
        assert_eq!(goes(10), [""; 0]);
        assert_eq!(goes(6), ["a was sent to the latest offset, 7 at least, of orders-0 and goes to 6"]);
    }

    #[test]
    fn a_log_that_was_cut_meanwhile_ends_and_begins_elsewhere() {
        let asked = |to| {
            let story = Story::new().appended(0, 9, 1).assigned("b", 0).read("b", 6, "r-6");
            story.fact("a", sent_to(to))
        };
        let latest = recovered_from(asked(SeekTarget::Latest), 0, 4).sought("a", 4);
        assert_eq!(latest.violations(&CHECK), [""; 0]);
        let earliest = || recovered_from(asked(SeekTarget::Earliest), 3, 10);
        assert_eq!(earliest().sought("a", 3).violations(&CHECK), [""; 0]);
        assert_eq!(earliest().sought("a", 0).violations(&CHECK), [""; 0]);
        assert_eq!(earliest().sought("a", 4).violations(&CHECK).len(), 1);
    }
}
