//! H6, `phantom`: a record was read that nobody had sent: unknown value, other key, other partition, damage.
//!
//! Nothing excuses it.

use super::{Case, Check, Feature, Finding};

pub const CHECK: Check = Check::new("H6", "phantom", Feature::Any, judge);

fn judge(case: &Case) -> Vec<Finding> {
    let mut findings = Vec::new();
    for delivery in &case.ledger.deliveries {
        case.obligations.meet();
        let place = format!("{}@{}", delivery.partition, delivery.offset);
        let label = &delivery.record.label;
        let Some(send) = delivery.send.map(|send| &case.ledger.sends[send]) else {
            let message = format!("{} read {place} {label:?}, which nobody had sent", delivery.consumer);
            findings.push(Finding::new(Some(delivery.partition), message, vec![delivery.at]));
            continue;
        };
        if send.partition != delivery.partition {
            let message = format!("{place} {label:?} was read, but was sent to {}", send.partition);
            findings.push(Finding::new(Some(delivery.partition), message, vec![send.invoked, delivery.at]));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use seedlog::facts::{Fact, RecordTag};
    use seedlog::types::{Offset, TopicPartition};

    use super::CHECK;
    use crate::checkers::story::{Story, orders, tag};

    fn delivered(partition: TopicPartition, record: RecordTag) -> Fact {
        Fact::Delivered { consumer: "a".into(), partition, offset: Offset(0), record }
    }

    #[test]
    fn a_record_that_was_sent_passes() {
        let story = Story::new().send(0, "r-0").read("a", 0, "r-0");
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_value_that_nobody_sent_is_found() {
        let story = Story::new().send(0, "r-0").read("a", 0, "r-O");
        assert_eq!(story.violations(&CHECK), [r#"a read orders-0@0 "r-O", which nobody had sent"#]);
    }

    #[test]
    fn a_value_read_before_it_was_sent_is_found() {
        let story = Story::new().read("a", 0, "r-0").send(0, "r-0");
        assert_eq!(story.violations(&CHECK).len(), 1);
    }

    #[test]
    fn the_right_value_with_another_key_other_headers_or_another_time_is_found() {
        let others = [
            RecordTag { key: 1, ..tag("r-0") },
            RecordTag { headers: 1, ..tag("r-0") },
            RecordTag { timestamp: Some(1), ..tag("r-0") },
        ];
        for other in others {
            let story = Story::new().send(0, "r-0").fact("a", delivered(orders(), other));
            assert_eq!(story.violations(&CHECK).len(), 1);
        }
    }

    #[test]
    fn damage_behind_the_first_bytes_is_found() {
        let damaged = RecordTag { value: 7, ..tag("r-0") };
        let story = Story::new().send(0, "r-0").fact("a", delivered(orders(), damaged));
        assert_eq!(story.violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_record_in_another_partition_than_it_was_sent_to_is_found() {
        let elsewhere = TopicPartition::new("orders", 1);
        let story = Story::new().send(0, "r-0").fact("a", delivered(elsewhere, tag("r-0")));
        assert_eq!(story.violations(&CHECK), [r#"orders-1@0 "r-0" was read, but was sent to orders-0"#]);
    }
}
