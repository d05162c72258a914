//! H23, `wrong-time`: a seek to a time does not lead to the first record of that time or later.
//!
//! The answer to the question is judged by the times of all records that anybody read. Where no record of that time was
//! there yet, the readable end is right: not before what had been read or acknowledged until then. And there is an
//! answer, once the cluster works again.

use std::collections::BTreeMap;

use seedlog::facts::Fact;
use seedlog::types::{Offset, TopicPartition};

use super::{Case, Check, Feature, Finding};
use crate::history::{Injected, Phase, What};

pub const CHECK: Check = Check::new("H23", "wrong-time", Feature::Wanderer, judge);

/// What is known of one partition.
#[derive(Default)]
struct Times {
    /// By offset: the time of a record, as it was read last.
    of: BTreeMap<Offset, i64>,
    log_start: Offset,
}

/// A question on its way.
#[derive(Clone, Copy)]
struct Sought {
    timestamp: i64,
    at: usize,
    /// Somebody had read everything below when it was asked.
    read_end: Offset,
}

fn judge(case: &Case) -> Vec<Finding> {
    let times = read_times(case);
    let mut sought: BTreeMap<(&str, &TopicPartition), Sought> = BTreeMap::new();
    let mut read_ends: BTreeMap<&TopicPartition, Offset> = BTreeMap::new();
    let mut findings = Vec::new();
    let mut healed = 0;
    for (at, entry) in case.history.iter().enumerate() {
        let fact = match &entry.what {
            What::Fact(fact) => fact,
            // A new process waits for nothing yet.
            What::Fault(Injected::Start { target }) => {
                sought.retain(|(consumer, _), _| *consumer != &**target);
                continue;
            }
            What::Phase(entered) => {
                match entered.phase {
                    Phase::Converge => healed = at,
                    Phase::Drain => findings.extend(
                        sought
                            .iter()
                            .filter_map(|(place, asked)| unanswered(case, (healed, at), *place, asked)),
                    ),
                    _ => {}
                }
                continue;
            }
            _ => continue,
        };
        match fact {
            Fact::TimeSought { consumer, partition, timestamp } => {
                let read_end = read_ends.get(partition).copied().unwrap_or_default();
                sought.insert((consumer, partition), Sought { timestamp: *timestamp, at, read_end });
            }
            Fact::Seeked { consumer, partition, position, .. } => {
                let Some(asked) = sought.remove(&(consumer.as_str(), partition)) else { continue };
                case.obligations.meet_many(u64::from(times.contains_key(partition)));
                let wrong = times.get(partition).and_then(|times| times.objection(&asked, *position));
                let Some((about, wrong)) = wrong else { continue };
                let message = format!(
                    "{consumer} sought time {} in {partition} and is at {position}: {wrong}",
                    asked.timestamp
                );
                let finding = Finding::new(Some(partition), message, vec![asked.at, at]);
                let excuse = case.budget.excuses_loss(partition, about);
                findings.push(finding.excused_by(excuse));
            }
            Fact::Assigned { consumer, partition, .. } | Fact::Sought { consumer, partition, .. } => {
                sought.remove(&(consumer.as_str(), partition));
            }
            Fact::Delivered { partition, offset, .. } => {
                let end = read_ends.entry(partition).or_default();
                *end = (*end).max(offset.next());
            }
            _ => {}
        }
    }
    findings
}

/// When the healed cluster has had its time, whoever still waits for an answer gets none.
fn unanswered(
    case: &Case,
    (healed, drains): (usize, usize),
    (consumer, partition): (&str, &TopicPartition),
    asked: &Sought,
) -> Option<Finding> {
    let at_ns = |at: usize| case.history[at].at_ns;
    let waits_ns = at_ns(drains) - at_ns(asked.at.max(healed));
    let is_dead = case.terms.left_dead.as_deref() == Some(consumer);
    if is_dead || u128::from(waits_ns) <= case.terms.patience.until_answered().as_nanos() {
        return None;
    }
    let message = format!("{consumer} sought time {} in {partition} and has no answer", asked.timestamp);
    Some(
        Finding::new(Some(partition), message, vec![asked.at, drains])
            .excused_by(case.budget.excuses_outage(partition)),
    )
}

fn read_times<'a>(case: &'a Case) -> BTreeMap<&'a TopicPartition, Times> {
    let mut times: BTreeMap<&TopicPartition, Times> = BTreeMap::new();
    for entry in case.history {
        match &entry.what {
            What::Fact(Fact::Delivered { partition, offset, record, .. }) => {
                if let Some(time) = record.timestamp {
                    times.entry(partition).or_default().of.insert(*offset, time);
                }
            }
            What::Fact(Fact::LogRecovered { partition, log_start, .. }) => {
                let known = times.entry(partition).or_default();
                known.log_start = known.log_start.max(*log_start);
            }
            _ => {}
        }
    }
    times
}

impl Times {
    /// Why `position` is no answer, and which offset says so.
    fn objection(&self, asked: &Sought, position: Offset) -> Option<(Offset, String)> {
        let is_late = |(_, time): &(&Offset, &i64)| **time >= asked.timestamp;
        // What was passed over.
        let passed = self.of.range(self.log_start..).take_while(|(offset, _)| **offset < position);
        if let Some((offset, time)) = passed.into_iter().find(is_late) {
            return Some((*offset, format!("{offset} has {time}")));
        }
        let time = self.of.get(&position)?;
        (*time < asked.timestamp && position < asked.read_end)
            .then(|| (position, format!("it has {time}, and more had been read")))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use seedlog::facts::{Fact, RecordTag};
    use seedlog::types::{Offset, Timestamp};

    use super::CHECK;
    use crate::checkers::story::{Story, orders};
    use crate::history::{Injected, Phase};

    /// Records 0 to 3 with the times 10, 20, 20 and 30 are read by another consumer.
    fn read() -> Story {
        [10, 20, 20, 30].iter().enumerate().fold(Story::new(), |story, (offset, time)| {
            let record = RecordTag::of(None, Some(b"r")).with(std::iter::empty(), Timestamp(*time));
            let (consumer, offset) = ("tail".into(), Offset(offset as i64));
            story.fact("tail", Fact::Delivered { consumer, partition: orders(), offset, record })
        })
    }

    fn sought(story: Story, timestamp: i64, position: i64) -> Vec<String> {
        asked(story, timestamp, position).violations(&CHECK)
    }

    fn asked(story: Story, timestamp: i64, position: i64) -> Story {
        let consumer = || "a".to_owned();
        story.fact("a", Fact::TimeSought { consumer: consumer(), partition: orders(), timestamp }).fact(
            "a",
            Fact::Seeked {
                consumer: consumer(),
                partition: orders(),
                position: Offset(position),
                reason: "sought by the application".into(),
            },
        )
    }

    #[test]
    fn the_first_record_of_the_time_and_the_end_behind_all_of_them_pass() {
        assert!(sought(read(), 20, 1).is_empty());
        assert!(sought(read(), 15, 1).is_empty());
        assert!(sought(read(), 31, 4).is_empty());
        assert_eq!(asked(read(), 20, 1).met(&CHECK), 1);
    }

    #[test]
    fn a_record_of_the_very_time_that_is_passed_over_is_found() {
        assert_eq!(sought(read(), 20, 3), ["a sought time 20 in orders-0 and is at 3: 1 has 20"]);
    }

    #[test]
    fn a_record_before_the_time_is_found() {
        assert_eq!(
            sought(read(), 20, 0),
            ["a sought time 20 in orders-0 and is at 0: it has 10, and more had been read"]
        );
    }

    #[test]
    fn a_question_that_is_never_answered_is_found_once_the_cluster_has_had_its_time() {
        let waiting = |seconds| {
            let timestamp = 20;
            let asked = Fact::TimeSought { consumer: "a".into(), partition: orders(), timestamp };
            read().fact("a", asked).after(Duration::from_secs(seconds))
        };
        let found = |story: Story| story.phase(Phase::Drain).violations(&CHECK);
        assert_eq!(found(waiting(60)), ["a sought time 20 in orders-0 and has no answer"]);
        assert!(found(waiting(10)).is_empty());
        assert!(found(waiting(60).phase(Phase::Converge).after(Duration::from_secs(10))).is_empty());
        assert!(found(waiting(60).fault(Injected::Start { target: "a".into() })).is_empty());
    }
}
