//! H2, `duplicate`: one record stands at more offsets than it was sent times.
//!
//! Excused where the protocol cannot know better: the producer sent the batch again without idempotence, or
//! it was started again and sent the record anew. So is what a disk did that flipped a bit of the partition's
//! log or misdirected a write: where a batch stands is not covered by its CRC.

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
    doubled.map(|(record, stored)| describe(case, record, stored)).collect()
}

fn describe(case: &Case, record: &RecordTag, stored: Stored) -> Finding {
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
        stored.places.keys().find_map(|(partition, _)| case.budget.excuses_misplacement(partition))
    };
    Finding::new(Some(partition), message, evidence).excused_by(excuse)
}

#[cfg(test)]
mod tests {
    use seedlog::facts::Fact;

    use super::CHECK;
    use crate::checkers::story::{Story, broker_1, orders};
    use crate::history::Injected;

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
    fn a_disk_that_changed_where_batches_stand_excuses_it_and_one_that_lied_does_not() {
        let doubled = |fault| Story::new().appended(0, 0, 1).fault(fault).send(0, "r-0").acked(0, 0);
        let file = "/data/orders-0/00000000000000000000.log".into();
        let flipped = doubled(Injected::BitFlip { target: broker_1(), file, offset: 7 }).read("a", 1, "r-0");
        assert!(flipped.violations(&CHECK).is_empty());
        assert_eq!(flipped.excused(&CHECK).len(), 1);
        let file = "/data/orders-1/00000000000000000000.log".into();
        let elsewhere = doubled(Injected::BitFlip { target: broker_1(), file, offset: 7 });
        assert_eq!(elsewhere.read("a", 1, "r-0").violations(&CHECK).len(), 1);
        let lied = doubled(Injected::DiskLies { target: broker_1() }).read("a", 1, "r-0");
        assert_eq!(lied.violations(&CHECK).len(), 1);
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
