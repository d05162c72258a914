//! H5, `aborted-read`: a record was read, or is in the final log, whose send definitely failed.
//!
//! Nothing excuses it: a producer that cannot know must say so.

use super::ledger::{Outcome, Send};
use super::{Case, Check, Feature, Finding};

pub const CHECK: Check = Check::new("H5", "aborted-read", Feature::FailedSend, judge);

fn judge(case: &Case) -> Vec<Finding> {
    let mut findings = Vec::new();
    for send in &case.ledger.sends {
        let Outcome::Failed { at } = send.outcome else { continue };
        let is_known = case.ledger.covered.contains_key(send.partition);
        if is_known || case.stored.seen_at(send.partition).is_some() {
            case.obligations.meet();
        }
        let Some(&first) = send.deliveries.first() else {
            findings.extend(stored_in_the_end(case, send, at));
            continue;
        };
        let delivery = &case.ledger.deliveries[first];
        let message = format!(
            "{}@{} {:?} was read by {}, though its send failed",
            delivery.partition, delivery.offset, send.record.label, delivery.consumer
        );
        let mut evidence = vec![send.invoked, at, delivery.at];
        evidence.sort_unstable();
        findings.push(Finding::new(Some(delivery.partition), message, evidence));
    }
    findings
}

/// Nobody need have read it to see that it is there.
fn stored_in_the_end(case: &Case, send: &Send, failed_at: usize) -> Option<Finding> {
    let offset = *case.stored.copies(send.partition, send.record).first()?;
    let is_alike = |other: &&Send| other.record == send.record && other.partition == send.partition;
    let is_of_another = case
        .ledger
        .sends
        .iter()
        .filter(is_alike)
        .any(|other| !matches!(other.outcome, Outcome::Failed { .. }));
    let (seen_at, _) = case.stored.at(send.partition, offset).filter(|_| !is_of_another)?;
    let message = format!(
        "{}@{offset} {:?} is in the final log, though its send failed",
        send.partition, send.record.label
    );
    Some(Finding::new(Some(send.partition), message, vec![send.invoked, failed_at, seen_at]))
}

#[cfg(test)]
mod tests {
    use seedlog::facts::Fact;

    use super::CHECK;
    use crate::checkers::story::{Story, orders};

    #[test]
    fn a_failed_send_that_was_read_is_found() {
        let story = Story::new().send(0, "r-0").failed(0).read("a", 0, "r-0");
        assert_eq!(story.violations(&CHECK), [r#"orders-0@0 "r-0" was read by a, though its send failed"#]);
    }

    #[test]
    fn a_failed_send_in_the_final_log_is_found_though_nobody_read_it() {
        let story = Story::new().send(0, "r-0").failed(0).finally(&["r-0"]);
        assert_eq!(
            story.violations(&CHECK),
            [r#"orders-0@0 "r-0" is in the final log, though its send failed"#]
        );
        let again = Story::new().send(0, "r-0").failed(0).send(1, "r-0").acked(1, 0).finally(&["r-0"]);
        assert!(again.violations(&CHECK).is_empty(), "an application may send the same bytes again");
        let not_there = Story::new().send(0, "r-0").failed(0).finally(&[]);
        assert!(not_there.violations(&CHECK).is_empty());
        assert_eq!(not_there.met(&CHECK), 1);
    }

    #[test]
    fn a_failure_told_after_the_record_was_read_is_found() {
        let story = Story::new().send(0, "r-0").read("a", 0, "r-0").failed(0);
        assert_eq!(story.violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_copy_of_bytes_that_were_sent_twice_is_of_the_send_that_was_resent_and_else_of_the_one_that_failed() {
        let (producer, partition) = ("shop".into(), orders());
        let resent = Fact::SendRetried { producer, first_seq: 0, last_seq: 0, partition };
        let twice =
            |story: Story| story.acked(0, 1).send(1, "r").failed(1).read("a", 1, "r").read("a", 0, "r");
        assert!(twice(Story::new().send(0, "r").fact("shop", resent)).violations(&CHECK).is_empty());
        assert_eq!(twice(Story::new().send(0, "r")).violations(&CHECK).len(), 1);
        let unknown = Story::new().send(0, "r").failed(0).send(1, "r").unknown(1).read("a", 0, "r");
        assert!(unknown.violations(&CHECK).is_empty());
    }

    #[test]
    fn an_unknown_outcome_may_turn_out_either_way() {
        let story = Story::new().send(0, "r-0").unknown(0).read("a", 0, "r-0").send(1, "r-1").unknown(1);
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn not_even_a_power_failure_over_budget_excuses_it() {
        let story = Story::new()
            .durability(seedlog::types::Durability::PageCache)
            .appended(0, 0, 1)
            .power_failure()
            .send(0, "r-0")
            .failed(0)
            .read("a", 0, "r-0");
        assert_eq!(story.violations(&CHECK).len(), 1);
    }
}
