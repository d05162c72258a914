//! H14, `real-time-order`: a record that was sent after another had been acknowledged stands before it.
//!
//! Unlike check H10 this compares all producers of a partition. An acknowledgement that did not wait for every replica
//! there is promises no order, and neither does a cluster over budget.

use std::collections::HashMap;

use seedlog::facts::Fact;
use seedlog::types::{Offset, TopicPartition};

use super::ledger::{Outcome, Send};
use super::{Case, Check, Feature, Finding};
use crate::history::What;

pub const CHECK: Check = Check::new("H14", "real-time-order", Feature::Any, judge);

/// The acknowledged record with the highest offset of a partition so far.
#[derive(Clone, Copy)]
struct Highest {
    offset: Offset,
    acked_at: usize,
    send: usize,
}

fn judge(case: &Case) -> Vec<Finding> {
    let mut sends = case.ledger.sends.iter().enumerate().peekable();
    let acks: HashMap<usize, (usize, Offset)> =
        case.ledger.sends.iter().enumerate().filter_map(|(index, send)| acked(index, send)).collect();
    let mut highest: HashMap<(&TopicPartition, bool), Highest> = HashMap::new();
    let mut findings = Vec::new();
    for (at, entry) in case.history.iter().enumerate() {
        if !matches!(entry.what, What::Fact(Fact::SendInvoked { .. } | Fact::SendOk { .. })) {
            continue;
        }
        if let Some(&(acked, offset)) = acks.get(&at) {
            let send = &case.ledger.sends[acked];
            let is_promise = case.terms.ack_promises(send.partition, send.acks);
            let place = highest.entry((send.partition, is_promise));
            let new = Highest { offset, acked_at: at, send: acked };
            place.and_modify(|old| *old = if old.offset < offset { new } else { *old }).or_insert(new);
        }
        if let Some((_, later)) = sends.next_if(|(_, send)| send.invoked == at)
            && let Some((offset, seen_at)) = lowest(case, later)
        {
            // What waited for all replicas first: the other can be excused.
            case.obligations.meet_many(u64::from(highest.contains_key(&(later.partition, true))));
            let before = [true, false].iter().filter_map(|waited| highest.get(&(later.partition, *waited)));
            let overtaken = before.into_iter().find(|highest| highest.offset > offset);
            findings.extend(overtaken.map(|highest| describe(case, highest, later, offset, seen_at)));
        }
    }
    findings
}

fn acked(index: usize, send: &Send) -> Option<(usize, (usize, Offset))> {
    match send.outcome {
        Outcome::Ok { at, offset: Some(offset) } => Some((at, (index, offset))),
        _ => None,
    }
}

/// The lowest place where the record was acknowledged or read, and the entry that tells.
fn lowest(case: &Case, send: &Send) -> Option<(Offset, usize)> {
    let acked = match send.outcome {
        Outcome::Ok { at, offset: Some(offset) } => Some((offset, at)),
        _ => None,
    };
    let read = case.ledger.own_deliveries(send);
    let read = read.filter(|delivery| delivery.partition == send.partition);
    read.map(|delivery| (delivery.offset, delivery.at)).chain(acked).min()
}

fn describe(case: &Case, highest: &Highest, later: &Send, offset: Offset, seen_at: usize) -> Finding {
    let earlier = &case.ledger.sends[highest.send];
    let message = format!(
        "{:?} was acked at {}@{} before {:?} was sent, which stands at {offset}",
        earlier.record.label, later.partition, highest.offset, later.record.label
    );
    let mut evidence = vec![earlier.invoked, highest.acked_at, later.invoked, seen_at];
    evidence.sort_unstable();
    let is_promise = |send: &&Send| case.terms.ack_promises(send.partition, send.acks);
    let weak = ![earlier, later].iter().all(is_promise);
    let places = [highest.offset, offset];
    let sent = earlier.invoked.min(later.invoked);
    let lost = || places.iter().find_map(|place| case.budget.excuses_loss_of(later.partition, *place, sent));
    let excuse = weak.then(|| "an acknowledgement did not wait for every replica".to_owned());
    let excuse = excuse.or_else(lost);
    Finding::new(Some(later.partition), message, evidence).excused_by(excuse)
}

#[cfg(test)]
mod tests {
    use seedlog::types::{Acks, Durability};

    use super::CHECK;
    use crate::checkers::story::Story;

    #[test]
    fn an_early_copy_of_bytes_that_were_sent_again_is_not_the_later_send() {
        let story = Story::new().send(0, "r").send(1, "s").acked(0, 1).acked(1, 2).send(2, "r").acked(2, 3);
        assert!(story.read("a", 0, "r").violations(&CHECK).is_empty());
    }

    #[test]
    fn records_that_stand_as_they_were_acked_pass() {
        let story = Story::new().send(0, "r-0").acked(0, 4).send(1, "r-1").acked(1, 5);
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_record_sent_after_an_ack_and_stored_before_it_is_found() {
        let story = Story::new().send(0, "r-0").acked(0, 4).send(1, "r-1").acked(1, 3);
        assert_eq!(
            story.violations(&CHECK),
            [r#""r-0" was acked at orders-0@4 before "r-1" was sent, which stands at 3"#]
        );
    }

    #[test]
    fn a_record_whose_fate_is_unknown_is_judged_by_where_it_is_read() {
        let story = Story::new().send(0, "r-0").acked(0, 4).send(1, "r-1").unknown(1).read("a", 3, "r-1");
        assert_eq!(story.violations(&CHECK).len(), 1);
    }

    #[test]
    fn records_sent_at_the_same_time_may_stand_in_any_order() {
        let story = Story::new().send(0, "r-0").send(1, "r-1").acked(0, 4).acked(1, 3);
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn an_ack_that_did_not_wait_excuses_it() {
        for (acks, replicas) in [(Acks::None, 1), (Acks::None, 3), (Acks::Leader, 3)] {
            let story = Story::new().replicas(replicas);
            let story = story.send_with(acks, 0, "r-0").acked(0, 4).send(1, "r-1").acked(1, 3);
            assert!(story.violations(&CHECK).is_empty());
            assert_eq!(story.excused(&CHECK).len(), 1);
        }
    }

    #[test]
    fn where_the_leader_is_the_only_replica_its_ack_promises_as_much() {
        let story = Story::new().send_with(Acks::Leader, 0, "r-0").acked(0, 4).send(1, "r-1").acked(1, 3);
        assert_eq!(story.violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_weak_ack_does_not_hide_a_strong_one() {
        let story = Story::new()
            .replicas(3)
            .send(0, "r-0")
            .acked(0, 4)
            .send_with(Acks::Leader, 1, "r-1")
            .acked(1, 9)
            .send(2, "r-2")
            .acked(2, 3);
        assert_eq!(story.violations(&CHECK).len(), 1);
    }

    #[test]
    fn damage_over_budget_excuses_it() {
        let story = Story::new()
            .durability(Durability::PageCache)
            .appended(0, 4, 1)
            .send(0, "r-0")
            .acked(0, 4)
            .power_failure()
            .send(1, "r-1")
            .acked(1, 0);
        assert!(story.violations(&CHECK).is_empty());
        assert_eq!(story.excused(&CHECK).len(), 1);
    }
}
