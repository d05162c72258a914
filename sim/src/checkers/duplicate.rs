//! H2, `duplicate`: one record stands at more offsets than it was sent times.
//!
//! A copy that a resend paid for is *explained*: the producer stated that it sent the batch once more, without
//! idempotence, and each resend stores a record once. One copy more is a violation. Excused is what a disk did that
//! flipped a bit of the partition's log or misdirected a write: where a batch stands is not covered by its CRC.

use std::collections::{BTreeMap, BTreeSet};

use seedlog::facts::RecordTag;
use seedlog::types::{Offset, TopicPartition};

use super::ledger::Outcome;
use super::{Case, Check, Feature, Finding};

pub const CHECK: Check = Check::new("H2", "duplicate", Feature::Any, judge).excused_in_budget_below(3);

#[derive(Default)]
struct Stored<'a> {
    sends: BTreeSet<usize>,
    /// Where it was acknowledged or read, with the first entry that tells.
    places: BTreeMap<(&'a TopicPartition, Offset), usize>,
    resends: u64,
}

fn judge(case: &Case) -> Vec<Finding> {
    // Ordered, so that two runs tell the same.
    let mut records: BTreeMap<&RecordTag, Stored> = BTreeMap::new();
    for send in &case.ledger.sends {
        let stored = records.entry(send.record).or_default();
        stored.sends.insert(send.invoked);
        stored.resends += send.resends;
        if let Outcome::Ok { at, offset: Some(offset) } = send.outcome {
            stored.places.entry((send.partition, offset)).or_insert(at);
        }
    }
    for delivery in &case.ledger.deliveries {
        // What nobody sent is check H6's business.
        if let Some(stored) = records.get_mut(delivery.record) {
            case.obligations.meet();
            stored.places.entry((delivery.partition, delivery.offset)).or_insert(delivery.at);
        }
    }
    let doubled = records.into_iter().filter(|(_, stored)| stored.places.len() > stored.sends.len());
    doubled.map(|(record, stored)| describe(case, record, stored)).collect()
}

fn describe(case: &Case, record: &RecordTag, stored: Stored) -> Finding {
    let partition = stored.places.keys().next().map(|(partition, _)| *partition);
    let (sent, resent) = (stored.sends.len(), stored.resends);
    let places: Vec<String> =
        stored.places.keys().map(|(partition, offset)| format!("{partition}@{offset}")).collect();
    let message = format!(
        "{:?} was sent {sent} times and {resent} times again, and stands at {}",
        record.label,
        places.join(", ")
    );
    let mut evidence: Vec<usize> = stored.sends.iter().chain(stored.places.values()).copied().collect();
    evidence.sort_unstable();
    let finding = Finding::new(partition, message, evidence);
    if places.len() as u64 <= sent as u64 + resent {
        return finding.explained_by("it was sent again without idempotence");
    }
    finding.excused_by(
        stored
            .places
            .keys()
            .find_map(|(partition, offset)| case.budget.excuses_misplacement(partition, [*offset])),
    )
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
            [r#""r-0" was sent 1 times and 0 times again, and stands at orders-0@0, orders-0@1"#]
        );
    }

    #[test]
    fn a_resend_explains_one_copy_and_no_second_one() {
        let (producer, partition) = ("shop".into(), orders());
        let retried = Fact::SendRetried { producer, first_seq: 0, last_seq: 0, partition };
        let story = Story::new().send(0, "r-0").fact("shop", retried).acked(0, 1).read("a", 0, "r-0");
        assert!(story.violations(&CHECK).is_empty());
        assert!(story.excused(&CHECK).is_empty());
        assert_eq!(story.explained(&CHECK).len(), 1);
        assert_eq!(story.read("a", 2, "r-0").read("a", 3, "r-0").violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_disk_that_changed_where_batches_stand_excuses_it_and_one_that_lied_does_not() {
        let sent = || Story::new().appended(0, 0, 1).send(0, "r-0").acked(0, 0);
        let flipped = sent().damaged("flip-bit", 0, Some(1)).read("a", 1, "r-0");
        assert!(flipped.violations(&CHECK).is_empty());
        assert_eq!(flipped.excused(&CHECK).len(), 1);
        let elsewhere = sent().damaged("flip-bit", 7, Some(8));
        assert_eq!(elsewhere.read("a", 1, "r-0").violations(&CHECK).len(), 1);
        let lied = sent().damaged("power-failure", 0, None).read("a", 1, "r-0");
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
        assert_eq!(again.read("a", 2, "r-0").violations(&CHECK).len(), 1);
    }
}
