//! H3, `lost-write`: an acknowledged record that nobody ever read, though someone read past it.
//!
//! A record that nobody read because nobody came that far is check H4's. Whoever read it before, the final log must hold
//! it too: what the disks hold in the end is read by the testbed itself, and compared by value. An acknowledgement that was asked for and does
//! not say where the record stands can be held to nothing: it is a violation by itself.

use std::collections::HashSet;

use seedlog::types::{Acks, Offset, TopicPartition};

use super::ledger::{Outcome, Send};
use super::{Case, Check, Feature, Finding};

pub const CHECK: Check = Check::new("H3", "lost-write", Feature::Promises, judge);

fn judge(case: &Case) -> Vec<Finding> {
    let mut findings = acked_nowhere(case);
    let acked_places: HashSet<_> = case.ledger.acked().map(|(send, _, at)| (send.partition, at)).collect();
    for (send, acked_at, offset) in case.ledger.acked() {
        if !case.terms.ack_promises(send.partition, send.acks) {
            continue;
        }
        case.obligations.meet_many(u64::from(!send.deliveries.is_empty()));
        if !send.deliveries.is_empty() || !case.ledger.someone_passed(send.partition, offset) {
            findings.extend(missing_in_the_end(case, send, acked_at, offset, &acked_places));
            continue;
        }
        let past = case.ledger.first_delivery_from(send.partition, offset);
        let who = past.map_or_else(|| "someone".into(), |d| format!("{} read {}", d.consumer, d.offset));
        let message =
            format!("{}@{offset} {:?} was acked; {who}, never it", send.partition, send.record.label);
        let evidence = [Some(send.invoked), Some(acked_at), past.map(|d| d.at)];
        let finding = Finding::new(Some(send.partition), message, evidence.into_iter().flatten().collect());
        findings.push(finding.excused_by(case.budget.excuses_loss_of(send.partition, offset, send.invoked)));
    }
    findings
}

/// The final log does not hold the record, neither where it was acknowledged nor anywhere else that is not another's.
fn missing_in_the_end(
    case: &Case,
    send: &Send,
    acked_at: usize,
    offset: Offset,
    acked_places: &HashSet<(&TopicPartition, Offset)>,
) -> Option<Finding> {
    let partition = send.partition;
    let seen_at = case.stored.seen_at(partition)?;
    let there = case.stored.at(partition, offset);
    let copies = case.stored.copies(partition, send.record);
    let elsewhere = || copies.iter().any(|copy| !acked_places.contains(&(partition, *copy)));
    if there.is_some_and(|(_, record)| record == send.record) || elsewhere() {
        return None;
    }
    let instead = there.map_or("nothing".to_owned(), |(_, record)| format!("{:?}", record.label));
    let message = format!(
        "{partition}@{offset} {:?} was acked; the final log holds {instead} there",
        send.record.label
    );
    let told = there.map_or(seen_at, |(at, _)| at);
    let finding = Finding::new(Some(partition), message, vec![send.invoked, acked_at, told]);
    Some(finding.excused_by(case.budget.excuses_loss_of(partition, offset, send.invoked)))
}

fn acked_nowhere(case: &Case) -> Vec<Finding> {
    let asked = case.ledger.sends.iter().filter(|send| send.acks != Acks::None);
    let nowhere = asked.filter_map(|send| match send.outcome {
        Outcome::Ok { at, offset: None } => {
            let message = format!("{} {:?} was acked without an offset", send.partition, send.record.label);
            Some(Finding::new(Some(send.partition), message, vec![send.invoked, at]))
        }
        _ => None,
    });
    nowhere.collect()
}

#[cfg(test)]
mod tests {
    use seedlog::types::{Acks, Durability};

    use super::CHECK;
    use crate::checkers::story::Story;

    fn skipped() -> Story {
        Story::new()
            .send(0, "r-0")
            .acked(0, 0)
            .send(1, "r-1")
            .acked(1, 1)
            .assigned("a", 0)
            .read("a", 1, "r-1")
    }

    #[test]
    fn an_acked_record_that_was_passed_over_is_found() {
        assert_eq!(skipped().violations(&CHECK), [r#"orders-0@0 "r-0" was acked; a read 1, never it"#]);
    }

    #[test]
    fn an_acked_record_that_the_final_log_lacks_is_found_though_nobody_passed_it() {
        let acked = || Story::new().send(0, "r-0").acked(0, 0).send(1, "r-1").acked(1, 1);
        assert!(acked().finally(&["r-0", "r-1"]).violations(&CHECK).is_empty());
        let lost = [r#"orders-0@1 "r-1" was acked; the final log holds nothing there"#];
        assert_eq!(acked().finally(&["r-0"]).violations(&CHECK), lost);
        let read = acked().assigned("a", 0).read("a", 0, "r-0").read("a", 1, "r-1");
        assert_eq!(read.finally(&["r-0"]).violations(&CHECK), lost, "it was read before it was lost");
    }

    #[test]
    fn another_value_in_the_place_of_an_acked_record_is_found() {
        let story = Story::new().send(0, "r-0").acked(0, 0).send(1, "r-1").unknown(1);
        assert_eq!(
            story.finally(&["r-1"]).violations(&CHECK),
            [r#"orders-0@0 "r-0" was acked; the final log holds "r-1" there"#]
        );
    }

    #[test]
    fn of_two_equal_records_each_must_be_there() {
        let twice = || Story::new().send(0, "r").acked(0, 0).send(1, "r").acked(1, 1);
        assert!(twice().finally(&["r", "r"]).violations(&CHECK).is_empty());
        assert_eq!(twice().finally(&["r"]).violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_record_that_another_consumer_read_is_not_lost() {
        let story = skipped().assigned("b", 0).read("b", 0, "r-0");
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_consumer_that_started_behind_the_record_did_not_pass_it() {
        let story = Story::new()
            .send(0, "r-0")
            .acked(0, 0)
            .send(1, "r-1")
            .acked(1, 1)
            .assigned("a", 1)
            .read("a", 1, "r-1");
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn another_value_read_in_its_place_is_found() {
        let story =
            Story::new().send(0, "r-0").acked(0, 0).send(1, "r-1").assigned("a", 0).read("a", 0, "r-1");
        assert_eq!(story.violations(&CHECK).len(), 1);
    }

    #[test]
    fn an_ack_that_does_not_say_where_is_found() {
        let story = Story::new().send(0, "r-0").acked_without_offset(0);
        assert_eq!(story.violations(&CHECK), [r#"orders-0 "r-0" was acked without an offset"#]);
        let not_asked_for = Story::new().send_with(Acks::None, 0, "r-0").acked_without_offset(0);
        assert!(not_asked_for.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_record_that_was_sent_twice_is_read_twice() {
        let story = Story::new()
            .send(0, "same")
            .acked(0, 0)
            .send(1, "same")
            .acked(1, 1)
            .assigned("a", 0)
            .read("a", 0, "same")
            .read("a", 1, "same");
        assert!(story.violations(&CHECK).is_empty());
        let lost = Story::new()
            .send(0, "same")
            .acked(0, 0)
            .send(1, "same")
            .acked(1, 1)
            .assigned("a", 0)
            .read("a", 1, "same")
            .read("a", 2, "other");
        assert_eq!(lost.violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_send_that_asked_for_no_ack_promises_nothing() {
        let story = Story::new()
            .send_with(Acks::None, 0, "r-0")
            .acked(0, 0)
            .send(1, "r-1")
            .assigned("a", 0)
            .read("a", 1, "r-1");
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_power_failure_without_fsync_excuses_the_loss() {
        let lost = |durability| {
            Story::new()
                .durability(durability)
                .send(0, "r-0")
                .appended(0, 0, 1)
                .acked(0, 0)
                .power_failure()
                .send(1, "r-1")
                .assigned("a", 0)
                .read("a", 1, "r-1")
        };
        assert!(lost(Durability::PageCache).violations(&CHECK).is_empty());
        assert_eq!(lost(Durability::PageCache).excused(&CHECK).len(), 1);
        assert_eq!(lost(Durability::Fsync).violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_kill_excuses_nothing_even_without_fsync() {
        let story = Story::new()
            .durability(Durability::PageCache)
            .send(0, "r-0")
            .appended(0, 0, 1)
            .acked(0, 0)
            .kill()
            .send(1, "r-1")
            .assigned("a", 0)
            .read("a", 1, "r-1");
        assert_eq!(story.violations(&CHECK).len(), 1);
    }
}
