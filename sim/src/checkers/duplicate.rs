//! H2, `duplicate`: one record stands at more offsets than it was sent times.
//!
//! Excused where the protocol cannot know better: the producer sent the batch again without idempotence, or
//! it was started again and sent the record anew.

use std::collections::{BTreeMap, BTreeSet};

use seedlog::facts::RecordTag;
use seedlog::types::{Offset, TopicPartition};

use super::ledger::Outcome;
use super::{Case, Check, Finding};

pub const CHECK: Check = Check { id: "H2", slug: "duplicate", judge };

#[derive(Default)]
struct Stored<'a> {
    sends: BTreeSet<usize>,
    /// Where it was acknowledged or read, with the first entry that tells.
    places: BTreeMap<(&'a TopicPartition, Offset), usize>,
    retried: bool,
}

fn judge(case: &Case) -> Vec<Finding> {
    // Ordered, so that two runs tell the same.
    let mut records: BTreeMap<&RecordTag, Stored> = BTreeMap::new();
    for send in &case.ledger.sends {
        let stored = records.entry(send.record).or_default();
        stored.sends.insert(send.invoked);
        stored.retried |= send.retried;
        if let Outcome::Ok { at, offset: Some(offset) } = send.outcome {
            stored.places.entry((send.partition, offset)).or_insert(at);
        }
    }
    for delivery in &case.ledger.deliveries {
        // What nobody sent is check H6's business.
        if let Some(stored) = records.get_mut(delivery.record) {
            stored.places.entry((delivery.partition, delivery.offset)).or_insert(delivery.at);
        }
    }
    let doubled = records.into_iter().filter(|(_, stored)| stored.places.len() > 1);
    doubled.map(|(record, stored)| describe(record, stored)).collect()
}

fn describe(record: &RecordTag, stored: Stored) -> Finding {
    let mut places = stored.places.iter();
    let (&(partition, offset), &first) = places.next().expect("there are at least two");
    let (&(other, other_offset), &second) = places.next().expect("there are at least two");
    let message = format!("{:?} stands at {partition}@{offset} and at {other}@{other_offset}", record.label);
    let mut evidence: Vec<usize> = stored.sends.iter().copied().chain([first, second]).collect();
    evidence.sort_unstable();
    let excuse = if stored.retried {
        Some("it was sent again without idempotence".to_owned())
    } else if stored.sends.len() >= stored.places.len() {
        Some("its producer was started again and sent it anew".to_owned())
    } else {
        None
    };
    Finding::new(Some(partition), message, evidence).excused_by(excuse)
}

#[cfg(test)]
mod tests {
    use seedlog::facts::Fact;

    use super::CHECK;
    use crate::checkers::story::{Story, orders};

    fn sent() -> Story {
        Story::new().send(0, "r-0").acked(0, 0)
    }

    #[test]
    fn a_record_read_twice_at_one_offset_stands_there_once() {
        let story = sent().read("a", 0, "r-0").read("b", 0, "r-0");
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_record_at_two_offsets_is_found() {
        assert_eq!(
            sent().read("a", 1, "r-0").violations(&CHECK),
            [r#""r-0" stands at orders-0@0 and at orders-0@1"#]
        );
    }

    #[test]
    fn a_retry_excuses_it() {
        let (producer, partition) = ("shop".into(), orders());
        let retried = Fact::SendRetried { producer, first_seq: 0, last_seq: 0, partition };
        let story = Story::new().send(0, "r-0").fact("shop", retried).acked(0, 1).read("a", 0, "r-0");
        assert!(story.violations(&CHECK).is_empty());
        assert_eq!(story.excused(&CHECK).len(), 1);
    }

    #[test]
    fn a_retry_of_another_record_excuses_nothing() {
        let (producer, partition) = ("shop".into(), orders());
        let retried = Fact::SendRetried { producer, first_seq: 1, last_seq: 1, partition };
        let story = sent().send(1, "r-1").fact("shop", retried).read("a", 1, "r-0");
        assert_eq!(story.violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_producer_that_was_started_again_may_send_once_more_and_no_more() {
        let again = sent().killed("shop").send(0, "r-0").acked(0, 1);
        assert!(again.violations(&CHECK).is_empty());
        assert_eq!(again.excused(&CHECK).len(), 1);
        assert_eq!(again.read("a", 2, "r-0").violations(&CHECK).len(), 1);
    }
}
