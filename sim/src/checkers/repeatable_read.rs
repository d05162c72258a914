//! H15, `repeatable-read`: a record that was consumed once stands no longer where it was: another reader gets
//! another there, passes the place without one, or the final log does not reach there, at either end.
//!
//! The auditor reads everything that there is in the drain, so that it is the other reader of every record.

use std::collections::{BTreeMap, HashMap};

use seedlog::types::{Offset, TopicPartition};

use super::{Case, Check, Feature, Finding};
use crate::liveness::Progress;

pub const CHECK: Check = Check::new("H15", "repeatable-read", Feature::Any, judge);

type Consumed<'a> = HashMap<&'a TopicPartition, BTreeMap<Offset, usize>>;

/// What became of a consumed record.
enum Now<'a> {
    Is { label: &'a str, at: usize },
    Passed { by: &'a str, at: usize },
    LogHolds(Offset, Offset),
}

fn judge(case: &Case) -> Vec<Finding> {
    // The first delivery at each place, as an index into the ledger's.
    let mut consumed = Consumed::new();
    let mut findings = Vec::new();
    let mut jumps = case.moves.jumps.iter().peekable();
    for (index, delivery) in case.ledger.deliveries.iter().enumerate() {
        let places = consumed.entry(delivery.partition).or_default();
        if let Some(jump) = jumps.next_if(|jump| jump.delivered_at == delivery.at)
            && jump.stood < jump.delivered
        {
            // Linear in the history: what is passed here was consumed before, and is told here.
            for (_, &earlier) in places.range(jump.stood..jump.delivered) {
                let now = Now::Passed { by: delivery.consumer, at: delivery.at };
                findings.push(describe(case, earlier, now));
            }
        }
        let first = *places.entry(delivery.offset).or_insert(index);
        case.obligations.meet_many(u64::from(first != index));
        if case.ledger.deliveries[first].record != delivery.record {
            let now = Now::Is { label: &delivery.record.label, at: delivery.at };
            findings.push(describe(case, first, now));
        }
    }
    findings.extend(outside_of_the_log(case, &consumed));
    findings
}

/// What was consumed outside of the final log.
fn outside_of_the_log(case: &Case, consumed: &Consumed) -> Vec<Finding> {
    let mut end = Progress::default();
    for entry in case.history {
        end.observe(&entry.what);
    }
    let mut findings: Vec<(usize, Finding)> = Vec::new();
    for (partition, places) in consumed {
        // Only a log of which something was stated has an end.
        if !case.existing.was_stored(partition) {
            continue;
        }
        let (log_start, log_end) = (end.log_start(partition), end.log_end(partition));
        let gone = places.range(..log_start).chain(places.range(log_end.max(log_start)..));
        let gone = gone.map(|(_, &delivery)| delivery);
        let now = || Now::LogHolds(log_start, log_end);
        findings.extend(gone.map(|delivery| (delivery, describe(case, delivery, now()))));
    }
    findings.sort_by_key(|(delivery, _)| *delivery);
    findings.into_iter().map(|(_, finding)| finding).collect()
}

fn describe(case: &Case, consumed: usize, now: Now) -> Finding {
    let consumed = &case.ledger.deliveries[consumed];
    let (now, seen_at) = match now {
        Now::Is { label, at } => (format!("now {label:?} stands there"), Some(at)),
        Now::Passed { by, at } => (format!("{by} found nothing there"), Some(at)),
        Now::LogHolds(start, end) => (format!("the log holds {start} to {end}"), None),
    };
    let message = format!(
        "{} read {}@{} {:?}; {now}",
        consumed.consumer, consumed.partition, consumed.offset, consumed.record.label
    );
    let evidence = [Some(consumed.at), seen_at].into_iter().flatten().collect();
    let excuse = case.budget.excuses_loss(consumed.partition, consumed.offset);
    Finding::new(Some(consumed.partition), message, evidence).excused_by(excuse)
}

#[cfg(test)]
mod tests {
    use seedlog::types::Durability;

    use super::CHECK;
    use crate::checkers::story::Story;

    fn read() -> Story {
        Story::new().appended(0, 4, 1).assigned("a", 0).read("a", 0, "r-0").read("a", 1, "r-1")
    }

    #[test]
    fn a_record_that_another_reader_finds_too_passes() {
        let story = read().assigned("b", 0).read("b", 0, "r-0").read("b", 1, "r-1").read("b", 2, "r-2");
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn another_record_in_its_place_is_found() {
        let story = read().assigned("b", 0).read("b", 0, "other");
        assert_eq!(story.violations(&CHECK), [r#"a read orders-0@0 "r-0"; now "other" stands there"#]);
    }

    #[test]
    fn a_reader_that_finds_nothing_there_is_found() {
        let story = read().assigned("b", 0).read("b", 0, "r-0").read("b", 2, "r-2");
        assert_eq!(story.violations(&CHECK), [r#"a read orders-0@1 "r-1"; b found nothing there"#]);
    }

    #[test]
    fn a_reader_that_begins_behind_it_says_nothing() {
        assert!(read().assigned("b", 2).read("b", 2, "r-2").violations(&CHECK).is_empty());
    }

    #[test]
    fn a_record_behind_the_end_of_the_final_log_is_found() {
        let story = read().recovered(1, false);
        assert_eq!(story.violations(&CHECK), [r#"a read orders-0@1 "r-1"; the log holds 0 to 1"#]);
    }

    #[test]
    fn a_record_in_front_of_the_final_log_is_found() {
        let story = read().recovered_from(1, 5, false);
        assert_eq!(story.violations(&CHECK), [r#"a read orders-0@0 "r-0"; the log holds 1 to 5"#]);
    }

    #[test]
    fn what_nobody_read_may_go() {
        assert!(read().recovered(2, false).violations(&CHECK).is_empty());
    }

    #[test]
    fn damage_over_budget_excuses_it() {
        let story = read().durability(Durability::PageCache).power_failure().recovered(1, false);
        assert!(story.violations(&CHECK).is_empty());
        assert_eq!(story.excused(&CHECK).len(), 1);
    }
}
