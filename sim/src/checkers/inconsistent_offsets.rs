//! H1, `inconsistent-offsets`: one (partition, offset) holds one value, whoever tells.
//!
//! Deliveries are compared with deliveries, and acknowledgements with both. Damage over budget excuses all of
//! it; an acknowledgement that promised nothing excuses its own disagreement alone.

use std::collections::HashMap;

use seedlog::facts::RecordTag;
use seedlog::types::{Offset, TopicPartition};

use super::{Case, Check, Feature, Finding};

pub const CHECK: Check = Check::new("H1", "inconsistent-offsets", Feature::Any, judge);

#[derive(Clone, Copy)]
struct Told<'a> {
    at: usize,
    record: &'a RecordTag,
}

type Places<'a> = HashMap<(&'a TopicPartition, Offset), Told<'a>>;

fn judge(case: &Case) -> Vec<Finding> {
    let mut read = Places::new();
    let mut findings = Vec::new();
    for delivery in &case.ledger.deliveries {
        let told = Told { at: delivery.at, record: delivery.record };
        let first = *read.entry((delivery.partition, delivery.offset)).or_insert(told);
        case.obligations.meet_many(u64::from(first.at != told.at));
        if first.record != told.record {
            let excuse = case.budget.excuses_loss(delivery.partition, delivery.offset);
            findings.push(disagree(delivery.partition, delivery.offset, first, told, excuse));
        }
    }
    findings.extend(judge_acks(case, &read));
    findings
}

fn judge_acks(case: &Case, read: &Places) -> Vec<Finding> {
    let mut acked = Places::new();
    let mut findings = Vec::new();
    for (send, at, offset) in case.ledger.acked() {
        let place = (send.partition, offset);
        let told = Told { at, record: send.record };
        let other = read.get(&place).or_else(|| acked.get(&place)).copied();
        case.obligations.meet_many(u64::from(other.is_some()));
        if let Some(other) = other.filter(|other| other.record != told.record) {
            let excuse = case
                .budget
                .excuses_loss_of(send.partition, offset, send.invoked.min(other.at))
                .or_else(|| {
                    let promised = case.terms.ack_promises(send.partition, send.acks);
                    (!promised).then(|| "the acknowledgement did not wait for the replicas".to_owned())
                });
            findings.push(disagree(send.partition, offset, other, told, excuse));
        }
        acked.insert(place, told);
    }
    findings
}

fn disagree(
    partition: &TopicPartition,
    offset: Offset,
    one: Told,
    other: Told,
    excuse: Option<String>,
) -> Finding {
    let message = format!("{partition}@{offset} is both {:?} and {:?}", one.record.label, other.record.label);
    let mut evidence = vec![one.at, other.at];
    evidence.sort_unstable();
    Finding::new(Some(partition), message, evidence).excused_by(excuse)
}

#[cfg(test)]
mod tests {
    use seedlog::types::{Acks, Durability};

    use super::CHECK;
    use crate::checkers::story::Story;

    #[test]
    fn two_consumers_that_read_the_same_pass() {
        let story = Story::new().send(0, "r-0").acked(0, 5).read("a", 5, "r-0").read("b", 5, "r-0");
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn two_values_read_at_one_offset_are_found() {
        let story = Story::new().send(0, "r-0").send(1, "r-1").read("a", 5, "r-0").read("b", 5, "r-1");
        assert_eq!(story.violations(&CHECK), [r#"orders-0@5 is both "r-0" and "r-1""#]);
    }

    #[test]
    fn an_ack_at_an_offset_where_another_value_is_read_is_found() {
        let story = Story::new().send(0, "r-0").send(1, "r-1").acked(0, 5).read("a", 5, "r-1");
        assert_eq!(story.violations(&CHECK).len(), 1);
    }

    #[test]
    fn two_acks_at_one_offset_are_found() {
        let story = Story::new().send(0, "r-0").send(1, "r-1").acked(0, 5).acked(1, 5);
        assert_eq!(story.violations(&CHECK).len(), 1);
    }

    #[test]
    fn an_ack_by_the_only_replica_promises_as_much_as_one_by_all() {
        let story = Story::new().send_with(Acks::Leader, 0, "r-0").send(1, "r-1").acked(0, 5).acked(1, 5);
        assert_eq!(story.violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_power_failure_over_budget_excuses_it() {
        let story = Story::new()
            .durability(Durability::PageCache)
            .appended(5, 5, 1)
            .send(0, "r-0")
            .send(1, "r-1")
            .read("a", 5, "r-0")
            .power_failure()
            .read("a", 5, "r-1");
        assert!(story.violations(&CHECK).is_empty());
        assert_eq!(story.excused(&CHECK).len(), 1);
    }
}
