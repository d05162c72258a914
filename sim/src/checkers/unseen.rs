//! H4, `unseen`: an acknowledged record that was still not read after the cluster healed and was drained.
//!
//! Compared with the final log too: a record that the log still holds went unseen because the drain did not
//! get there, which is check L1's finding, not this one's.

use super::{Case, Check, Feature, Finding};
use crate::history::{Phase, What};
use crate::liveness::Progress;

pub const CHECK: Check = Check::new("H4", "unseen", Feature::Promises, judge);

fn judge(case: &Case) -> Vec<Finding> {
    let mut end = Progress::default();
    let mut drained = false;
    for entry in case.history {
        end.observe(&entry.what);
        drained |= matches!(&entry.what, What::Phase(entered) if entered.phase == Phase::Judge);
    }
    let mut findings = Vec::new();
    for (send, acked_at, offset) in case.ledger.acked() {
        if drained && case.terms.ack_promises(send.partition, send.acks) {
            case.obligations.meet();
        }
        let is_seen = !send.deliveries.is_empty() || case.ledger.someone_passed(send.partition, offset);
        let (log_start, log_end) = (end.log_start(send.partition), end.log_end(send.partition));
        let is_there = log_start <= offset && offset < log_end;
        if is_seen || !drained || is_there || !case.terms.ack_promises(send.partition, send.acks) {
            continue;
        }
        let message = format!(
            "{}@{offset} {:?} was acked and never read; the log holds {log_start} to {log_end}",
            send.partition, send.record.label
        );
        let excuse = case
            .budget
            .excuses_loss_of(send.partition, offset, send.invoked)
            .or_else(|| case.budget.excuses_outage(send.partition));
        let finding = Finding::new(Some(send.partition), message, vec![send.invoked, acked_at]);
        findings.push(finding.excused_by(excuse));
    }
    findings
}

#[cfg(test)]
mod tests {
    use seedlog::types::Durability;

    use super::CHECK;
    use crate::checkers::story::Story;
    use crate::history::Phase;

    fn cut_after_ack() -> Story {
        Story::new().send(0, "r-0").appended(0, 0, 1).acked(0, 0).power_failure().recovered(0, false)
    }

    #[test]
    fn an_acked_record_that_the_final_log_lacks_is_found() {
        let story = cut_after_ack().phase(Phase::Judge);
        assert_eq!(
            story.violations(&CHECK),
            [r#"orders-0@0 "r-0" was acked and never read; the log holds 0 to 0"#]
        );
    }

    #[test]
    fn an_acked_record_in_front_of_the_final_log_is_found() {
        let story = Story::new()
            .send(0, "r-0")
            .appended(0, 99, 1)
            .acked(0, 0)
            .kill()
            .recovered_from(100, 100, false)
            .assigned("auditor", 100)
            .phase(Phase::Judge);
        assert_eq!(
            story.violations(&CHECK),
            [r#"orders-0@0 "r-0" was acked and never read; the log holds 100 to 100"#]
        );
    }

    #[test]
    fn a_run_that_was_not_drained_says_nothing() {
        assert!(cut_after_ack().violations(&CHECK).is_empty());
    }

    #[test]
    fn a_record_that_was_read_passes() {
        let story = cut_after_ack().assigned("a", 0).read("a", 0, "r-0").phase(Phase::Judge);
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_record_that_the_log_still_holds_is_a_matter_of_liveness() {
        let story = Story::new().send(0, "r-0").appended(0, 0, 1).acked(0, 0).phase(Phase::Judge);
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_power_failure_without_fsync_and_a_disk_left_broken_excuse_it() {
        let page_cache = cut_after_ack().durability(Durability::PageCache).phase(Phase::Judge);
        assert_eq!(page_cache.excused(&CHECK).len(), 1);
        let full = cut_after_ack().struck("no-space").phase(Phase::Judge);
        assert_eq!(full.excused(&CHECK).len(), 1);
        assert!(full.violations(&CHECK).is_empty());
    }
}
