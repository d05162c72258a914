//! S20, `exposed-early`: a reader is given a record, or told of a position, that lies behind the readable end of its
//! partition at that moment.
//!
//! The readable end is the flushed end where the topic promises readers what durability promises, else the log's end. An
//! end that a broker tells, a look-up by time and a reset are held to it as what is delivered is.

use std::collections::{BTreeSet, HashMap};

use seedlog::facts::{Fact, SeekTarget};
use seedlog::types::{Offset, TopicPartition};

use super::{Case, Check, Feature, Finding};
use crate::history::What;

pub const CHECK: Check = Check::new("S20", "exposed-early", Feature::ExposesFlushed, judge);

/// How far a partition ever went.
#[derive(Clone, Copy, Default)]
struct Ends {
    log: Offset,
    flushed: Offset,
}

/// Readers that asked a broker where to go, and have not been told.
type Asking<'a> = BTreeSet<(&'a str, &'a TopicPartition)>;

fn judge(case: &Case) -> Vec<Finding> {
    let mut ends: HashMap<&TopicPartition, Ends> = HashMap::new();
    let mut asking = Asking::new();
    let mut findings = Vec::new();
    for (at, entry) in case.history.iter().enumerate() {
        let What::Fact(fact) = &entry.what else { continue };
        match fact {
            Fact::Appended { partition, last, .. } => {
                let known = ends.entry(partition).or_default();
                known.log = known.log.max(last.next());
            }
            Fact::Flushed { partition, end, .. } | Fact::LogRecovered { partition, log_end: end, .. } => {
                let known = ends.entry(partition).or_default();
                (known.log, known.flushed) = (known.log.max(*end), known.flushed.max(*end));
            }
            _ => {}
        }
        let (Some(partition), Some(end)) = (fact.partition(), end_told(case, &mut asking, fact)) else {
            continue;
        };
        let known = ends.get(partition).copied().unwrap_or_default();
        let is_flush_awaited = is_flush_awaited(case, partition);
        case.obligations.meet_many(u64::from(is_flush_awaited));
        let readable = if is_flush_awaited { known.flushed } else { known.log };
        if end > readable {
            let message = format!("{}, and {partition} is readable up to {readable} only", described(fact));
            findings.push(Finding::new(Some(partition), message, vec![at]));
        }
    }
    findings
}

fn is_flush_awaited(case: &Case, partition: &TopicPartition) -> bool {
    case.terms.topics.get(&partition.topic).is_some_and(|topic| topic.exposes_flushed)
}

/// The end that the partition must have had for what a reader learned of it by this fact.
fn end_told<'a>(case: &Case, asking: &mut Asking<'a>, fact: &'a Fact) -> Option<Offset> {
    match fact {
        Fact::Delivered { offset, .. } => Some(offset.next()),
        Fact::Sought { consumer, partition, to: SeekTarget::Earliest | SeekTarget::Latest }
        | Fact::TimeSought { consumer, partition, .. } => {
            asking.insert((consumer, partition));
            None
        }
        Fact::Sought { consumer, partition, to: SeekTarget::Offset(_) } => {
            asking.remove(&(consumer.as_str(), partition));
            None
        }
        Fact::Seeked { consumer, partition, position, .. } => {
            asking.remove(&(consumer.as_str(), partition)).then_some(*position)
        }
        // Whoever is in no group goes by what brokers tell alone.
        Fact::Assigned { consumer, partition, position } if case.terms.consumers.contains_key(consumer) => {
            asking.remove(&(consumer.as_str(), partition));
            Some(*position)
        }
        Fact::PositionReset { log_end, .. } => Some(*log_end),
        _ => None,
    }
}

fn described(fact: &Fact) -> String {
    match fact {
        Fact::Delivered { consumer, partition, offset, .. } => {
            format!("{consumer} was given {partition}@{offset}")
        }
        Fact::Seeked { consumer, partition, position, .. } => {
            format!("{consumer} was told to go on at {partition}@{position}")
        }
        Fact::Assigned { consumer, partition, position } => {
            format!("{consumer} was told to begin at {partition}@{position}")
        }
        Fact::PositionReset { consumer, partition, log_end, .. } => {
            format!("{consumer} was told that {partition} ends at {log_end}")
        }
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use seedlog::consumer::AutoReset;
    use seedlog::facts::{Fact, SeekTarget};
    use seedlog::types::{Durability, Offset};

    use super::CHECK;
    use crate::checkers::story::{Story, orders};

    /// Records 0 to 4, of which three are flushed.
    fn flushed_in_part() -> Story {
        Story::new().appended(0, 2, 1).flushed(3).appended(3, 4, 2)
    }

    fn sought(story: Story, position: i64) -> Story {
        let (consumer, partition) = ("rover".to_owned(), orders());
        let to = SeekTarget::Latest;
        let asked = Fact::Sought { consumer: consumer.clone(), partition: partition.clone(), to };
        let reason = "sought by the application".to_owned();
        let told = Fact::Seeked { consumer, partition, position: Offset(position), reason };
        story.fact("rover", asked).fact("rover", told)
    }

    #[test]
    fn what_is_flushed_may_be_read_and_told_of() {
        let story = sought(flushed_in_part().read("tail", 2, "r-2"), 3);
        assert!(story.violations(&CHECK).is_empty());
        assert_eq!(story.met(&CHECK), 2);
    }

    #[test]
    fn a_record_that_is_given_before_it_is_flushed_is_found() {
        assert_eq!(
            flushed_in_part().read("tail", 3, "r-3").violations(&CHECK),
            ["tail was given orders-0@3, and orders-0 is readable up to 3 only"]
        );
    }

    #[test]
    fn an_end_that_is_told_before_it_is_flushed_is_found() {
        assert_eq!(
            sought(flushed_in_part(), 5).violations(&CHECK),
            ["rover was told to go on at orders-0@5, and orders-0 is readable up to 3 only"]
        );
        let reset = flushed_in_part().resetting("tail", AutoReset::Latest).reset("tail", None, 5, (0, 5));
        assert_eq!(
            reset.violations(&CHECK),
            ["tail was told that orders-0 ends at 5, and orders-0 is readable up to 3 only"]
        );
    }

    #[test]
    fn where_readers_do_not_wait_for_the_flush_the_log_has_to_hold_it() {
        let free = || flushed_in_part().durability(Durability::PageCache).exposing_at_once();
        assert!(free().read("tail", 4, "r-4").violations(&CHECK).is_empty());
        assert_eq!(free().read("tail", 5, "r-5").violations(&CHECK).len(), 1);
    }

    #[test]
    fn an_offset_that_the_application_chose_is_its_own() {
        let (consumer, partition, to) = ("rover".to_owned(), orders(), SeekTarget::Offset(Offset(900)));
        let asked = Fact::Sought { consumer: consumer.clone(), partition: partition.clone(), to };
        let reason = "sought by the application".to_owned();
        let went = Fact::Seeked { consumer, partition, position: Offset(900), reason };
        let story = flushed_in_part().after(Duration::ZERO).fact("rover", asked).fact("rover", went);
        assert!(story.violations(&CHECK).is_empty());
    }
}
