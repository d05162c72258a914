//! H32, `misstated-delivery`: a poll gave its application other records than the consumer states that it delivered.
//!
//! Deliveries are the library's own word, and most checks go by it. Consumers that belong to no group say for
//! themselves what each poll gave them: as many records, from the same offset to the same, with the same content in the
//! same order. Times are left out, which a broker may set. Nothing excuses it.

use std::collections::BTreeMap;
use std::time::Duration;

use seedlog::facts::{Fact, RecordTag};
use seedlog::types::{Offset, TopicPartition};

use super::groups::Incarnation;
use super::{Case, Check, Feature, Finding};
use crate::history::What;

pub const CHECK: Check = Check::new("H32", "misstated-delivery", Feature::Any, judge);

/// A poll returns at the instant at which its records are handed out.
const RETURNS_WITHIN: Duration = Duration::from_millis(100);

/// What is said of the records of one partition in one poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Portion {
    first: Offset,
    last: Offset,
    records: u64,
    digest: u32,
}

impl Portion {
    fn add(portion: Option<Portion>, offset: Offset, record: &RecordTag) -> Portion {
        let before = portion.unwrap_or(Portion { first: offset, last: offset, records: 0, digest: 0 });
        let digest = record.extend_digest(before.digest);
        Portion { last: offset, records: before.records + 1, digest, ..before }
    }

    fn text(&self) -> String {
        format!("{} records from {} to {}", self.records, self.first, self.last)
    }
}

/// What was handed out of a partition since the last poll, with the last entry that says so.
type Handed<'a> = BTreeMap<(&'a str, &'a TopicPartition), (Portion, usize, Incarnation<'a>)>;

fn judge(case: &Case) -> Vec<Finding> {
    let mut handed = Handed::new();
    let mut findings = Vec::new();
    for (at, entry) in case.history.iter().enumerate() {
        let What::Fact(fact) = &entry.what else { continue };
        let Some(incarnation) = Incarnation::of(entry, fact) else { continue };
        match fact {
            Fact::Delivered { consumer, partition, offset, record }
                if case.terms.assigned.contains_key(consumer) =>
            {
                let place = (consumer.as_str(), partition);
                // What another life was given, it cannot say any more.
                let before = handed.get(&place).filter(|(_, _, by)| *by == incarnation);
                let portion = Portion::add(before.map(|(portion, ..)| *portion), *offset, record);
                handed.insert(place, (portion, at, incarnation));
            }
            Fact::Polled { consumer, partition, first, last, records, digest } => {
                case.obligations.meet();
                let given = Portion { first: *first, last: *last, records: *records, digest: *digest };
                let stated = handed.remove(&(consumer.as_str(), partition));
                let stated = stated.filter(|(_, _, by)| *by == incarnation);
                if stated.is_some_and(|(stated, ..)| stated == given) {
                    continue;
                }
                let text = stated.map_or("none".to_owned(), |(stated, ..)| stated.text());
                let message =
                    format!("{consumer} was given {} of {partition}, and states {text}", given.text());
                let evidence = stated.map(|(_, at, _)| at).into_iter().chain([at]).collect();
                findings.push(Finding::new(Some(partition), message, evidence));
            }
            _ => {}
        }
    }
    findings.extend(never_given(case, handed));
    findings
}

/// What is stated as delivered, and no poll gave.
fn never_given(case: &Case, handed: Handed) -> Vec<Finding> {
    let end_ns = case.history.last().map_or(0, |entry| entry.at_ns);
    let mut findings = Vec::new();
    for ((consumer, partition), (portion, at, incarnation)) in handed {
        let since = Duration::from_nanos(end_ns - case.history[at].at_ns);
        let lives_on = case.history.iter().skip(at + 1).any(|entry| {
            *entry.node == *consumer
                && entry.incarnation == incarnation.number
                && entry.at_ns > case.history[at].at_ns
        });
        if lives_on && since > RETURNS_WITHIN {
            let message = format!("no poll gave {consumer} {} of {partition}, as it states", portion.text());
            findings.push(Finding::new(Some(partition), message, vec![at]));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::story::{Story, orders, tag};

    fn polled(story: Story, first: i64, last: i64, values: &[&str]) -> Story {
        let digest = values.iter().fold(0, |digest, value| tag(value).extend_digest(digest));
        let (first, last, records) = (Offset(first), Offset(last), values.len() as u64);
        let (consumer, partition) = ("a".to_owned(), orders());
        story.fact("a", Fact::Polled { consumer, partition, first, last, records, digest })
    }

    fn delivered() -> Story {
        Story::new().reading_alone("a").assigned("a", 0).read("a", 0, "r-0").read("a", 1, "r-1")
    }

    #[test]
    fn what_is_given_as_stated_passes() {
        let story = polled(delivered(), 0, 1, &["r-0", "r-1"]).read("a", 2, "r-2");
        let story = polled(story, 2, 2, &["r-2"]);
        assert!(story.violations(&CHECK).is_empty());
        assert_eq!(story.met(&CHECK), 2);
    }

    #[test]
    fn a_record_that_is_kept_back_and_one_that_is_added_are_found() {
        assert_eq!(
            polled(delivered(), 0, 0, &["r-0"]).violations(&CHECK),
            ["a was given 1 records from 0 to 0 of orders-0, and states 2 records from 0 to 1"]
        );
        assert_eq!(polled(delivered(), 0, 2, &["r-0", "r-1", "r-2"]).violations(&CHECK).len(), 1);
        assert_eq!(polled(Story::new(), 0, 0, &["r-0"]).violations(&CHECK).len(), 1);
    }

    #[test]
    fn other_bytes_and_another_order_are_found() {
        assert_eq!(polled(delivered(), 0, 1, &["r-0", "r-X"]).violations(&CHECK).len(), 1);
        assert_eq!(polled(delivered(), 0, 1, &["r-1", "r-0"]).violations(&CHECK).len(), 1);
    }

    #[test]
    fn records_that_no_poll_ever_gave_are_found_unless_the_process_died_with_them() {
        let on = |story: Story| story.after(Duration::from_secs(1)).assigned("a", 2);
        let expected = ["no poll gave a 2 records from 0 to 1 of orders-0, as it states"];
        assert_eq!(on(delivered()).violations(&CHECK), expected);
        assert!(on(delivered().killed("a")).violations(&CHECK).is_empty());
    }
}
