//! H10, `send-order`: what a producer sent to a partition stands there in the order in which it was sent (G1).
//!
//! A retry may store a record twice; its first occurrence counts. A send whose outcome is unknown was given
//! up by the producer: it may still arrive after later ones, and is excused. So is one without an
//! acknowledgement to wait for (acks = 0): what an old connection still holds races with a new one.

use std::collections::BTreeMap;

use seedlog::types::{Acks, Offset, TopicPartition};

use super::ledger::{Outcome, Send};
use super::{Case, Check, Feature, Finding};

pub const CHECK: Check = Check::new("H10", "send-order", Feature::Any, judge);

/// The furthest that a producer's sends have reached in a partition. What is unknown may have arrived late: it must not
/// stand for what is certain.
#[derive(Default)]
struct Furthest<'a> {
    acked: Option<Reached<'a>>,
    any: Option<Reached<'a>>,
}

/// A place that a send has reached.
#[derive(Clone, Copy)]
struct Reached<'a> {
    offset: Offset,
    send: &'a Send<'a>,
    seen_at: usize,
}

/// How far each producer's sends have come, by where they were first seen, or by where they were acknowledged. Two places of
/// one kind can be compared, and no others: the first attempt at a batch may have been stored too.
#[derive(Default)]
struct Progress<'a> {
    of: BTreeMap<(&'a str, &'a TopicPartition), Furthest<'a>>,
}

fn judge(case: &Case) -> Vec<Finding> {
    let (mut by_sight, mut by_ack) = (Progress::default(), Progress::default());
    let mut findings = Vec::new();
    // Sends are in the order of invocation, so that each is compared with the furthest before it.
    for send in &case.ledger.sends {
        // Which of several alike was seen first, nobody knows.
        let first = if send.is_repeated { None } else { first_occurrence(case, send) };
        let seen = first.and_then(|place| by_sight.advance(case, send, place, |_, _| true));
        // Of others the first sight says more: a resend can have been stored before.
        let has_one_alike = |earlier: &Send, later: &Send| earlier.is_repeated || later.is_repeated;
        let acked = acked_at(send).and_then(|place| by_ack.advance(case, send, place, has_one_alike));
        findings.extend(seen.or(acked));
    }
    findings
}

impl<'a> Progress<'a> {
    /// Takes in where the next send stands, and what is wrong with that.
    /// Only of `is_comparable` pairs.
    fn advance(
        &mut self,
        case: &Case,
        send: &'a Send<'a>,
        place: (Offset, usize),
        is_comparable: impl Fn(&Send, &Send) -> bool,
    ) -> Option<Finding> {
        let (offset, seen_at) = place;
        let furthest = self.of.entry((send.producer, send.partition)).or_default();
        let may_be_excused = matches!(send.outcome, Outcome::Unknown { .. } | Outcome::Pending);
        case.obligations.meet_many(u64::from(furthest.acked.is_some() && !may_be_excused));
        // What is certain first: the other can be excused.
        let mut before = [furthest.acked, furthest.any].into_iter().flatten();
        let earlier = before.find(|earlier| offset <= earlier.offset);
        let earlier = earlier.filter(|earlier| is_comparable(earlier.send, send));
        let finding = earlier.map(|earlier| out_of_order(case, &earlier, send, offset, seen_at));
        furthest.reach(Reached { offset, send, seen_at });
        finding
    }
}

impl<'a> Furthest<'a> {
    fn reach(&mut self, new: Reached<'a>) {
        let is_further = |old: &Option<Reached>| old.as_ref().is_none_or(|old| old.offset < new.offset);
        if matches!(new.send.outcome, Outcome::Ok { .. }) && is_further(&self.acked) {
            self.acked = Some(new);
        }
        if is_further(&self.any) {
            self.any = Some(new);
        }
    }
}

/// The lowest offset at which the record was acknowledged or read, and the entry that tells.
fn first_occurrence(case: &Case, send: &Send) -> Option<(Offset, usize)> {
    let read = case.ledger.own_deliveries(send).map(|delivery| (delivery.offset, delivery.at));
    read.chain(acked_at(send)).min()
}

fn acked_at(send: &Send) -> Option<(Offset, usize)> {
    match send.outcome {
        Outcome::Ok { at, offset: Some(offset) } => Some((offset, at)),
        _ => None,
    }
}

fn out_of_order(case: &Case, earlier: &Reached, later: &Send, offset: Offset, seen_at: usize) -> Finding {
    let message = format!(
        "{} sent {:?} before {:?}, but {} holds them at {} and {offset}",
        later.producer, earlier.send.record.label, later.record.label, later.partition, earlier.offset
    );
    let mut evidence = vec![earlier.send.invoked, earlier.seen_at, later.invoked, seen_at];
    evidence.sort_unstable();
    let excuse = excuse(case, earlier.send, later, [earlier.offset, offset]);
    Finding::new(Some(later.partition), message, evidence).excused_by(excuse)
}

fn excuse(case: &Case, earlier: &Send, later: &Send, places: [Offset; 2]) -> Option<String> {
    let is_unknown = |send: &Send| !matches!(send.outcome, Outcome::Ok { .. });
    if is_unknown(earlier) || is_unknown(later) {
        return Some("the producer had given one of the two up".into());
    }
    if earlier.acks == Acks::None {
        return Some("with acks = 0 nothing was waited for".into());
    }
    if case.terms.producers.get(later.producer).is_some_and(|producer| producer.may_overtake) {
        return Some("several requests in flight with retries and without idempotence".into());
    }
    let sent = earlier.invoked.min(later.invoked);
    places.iter().find_map(|place| case.budget.excuses_loss_of(later.partition, *place, sent))
}

#[cfg(test)]
mod tests {
    use seedlog::types::Acks;

    use super::CHECK;
    use crate::checkers::story::Story;

    #[test]
    fn a_copy_of_bytes_that_were_sent_twice_may_be_of_either() {
        let story =
            || Story::new().send(0, "r").send(1, "s").send(2, "r").acked(0, 1).acked(1, 2).acked(2, 3);
        assert!(story().read("a", 0, "r").violations(&CHECK).is_empty());
        let late = Story::new().send(0, "r").acked(0, 3).send(1, "s").acked(1, 1).send(2, "r").acked(2, 4);
        assert_eq!(late.violations(&CHECK).len(), 1, "acknowledgements tell");
    }

    /// A batch that was stored twice: one of its records is one of several alike, and nobody knows which copy is whose.
    #[test]
    fn a_record_of_a_batch_that_was_stored_twice_is_compared_by_acknowledgements_with_those_alike() {
        let twice = |acks: [i64; 3]| {
            let story = Story::new().send(0, "r").send(1, "s").send(2, "r");
            let story = story.acked(0, acks[0]).acked(1, acks[1]).acked(2, acks[2]);
            [(0, "r"), (1, "s"), (2, "r")]
                .into_iter()
                .fold(story, |story, (at, value)| story.read("a", at, value))
        };
        assert_eq!(twice([3, 4, 5]).violations(&CHECK), [""; 0]);
        assert_eq!(twice([4, 3, 5]).violations(&CHECK).len(), 1);
    }

    #[test]
    fn sends_stored_in_their_order_pass() {
        let story = Story::new().send(0, "r-0").send(1, "r-1").acked(0, 3).acked(1, 4);
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_later_send_acked_below_an_earlier_one_is_found() {
        let story = Story::new().send(0, "r-0").send(1, "r-1").acked(0, 4).acked(1, 3);
        assert_eq!(
            story.violations(&CHECK),
            [r#"shop sent "r-0" before "r-1", but orders-0 holds them at 4 and 3"#]
        );
    }

    #[test]
    fn a_later_send_read_below_an_earlier_one_is_found() {
        let story = Story::new()
            .send(0, "r-0")
            .send(1, "r-1")
            .acked(0, 4)
            .acked(1, 5)
            .read("a", 3, "r-1")
            .read("a", 4, "r-0");
        assert_eq!(story.violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_retry_that_stored_a_record_again_passes() {
        let story = Story::new()
            .send(0, "r-0")
            .acked(0, 2)
            .send(1, "r-1")
            .acked(1, 1)
            .read("a", 0, "r-0")
            .read("a", 1, "r-1")
            .read("a", 2, "r-0");
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_send_that_was_given_up_may_arrive_late() {
        let story = Story::new()
            .send(0, "r-0")
            .unknown(0)
            .send(1, "r-1")
            .acked(1, 0)
            .read("a", 0, "r-1")
            .read("a", 1, "r-0");
        assert!(story.violations(&CHECK).is_empty());
        assert_eq!(story.excused(&CHECK).len(), 1);
    }

    #[test]
    fn a_send_that_was_given_up_does_not_hide_one_that_was_acked() {
        let story = Story::new()
            .send(0, "r-0")
            .send(1, "r-1")
            .send(2, "r-2")
            .acked(0, 5)
            .unknown(1)
            .acked(2, 3)
            .read("a", 3, "r-2")
            .read("a", 5, "r-0")
            .read("a", 9, "r-1");
        assert_eq!(
            story.violations(&CHECK),
            [r#"shop sent "r-0" before "r-2", but orders-0 holds them at 5 and 3"#]
        );
    }

    #[test]
    fn sends_that_wait_for_no_ack_may_race_over_two_connections() {
        let story = Story::new()
            .send_with(Acks::None, 0, "r-0")
            .send_with(Acks::None, 1, "r-1")
            .acked_without_offset(0)
            .acked_without_offset(1)
            .read("a", 0, "r-1")
            .read("a", 1, "r-0");
        assert!(story.violations(&CHECK).is_empty());
        assert_eq!(story.excused(&CHECK).len(), 1);
    }

    #[test]
    fn several_requests_in_flight_excuse_it() {
        let story = Story::new().overtaking().send(0, "r-0").send(1, "r-1").acked(0, 4).acked(1, 3);
        assert!(story.violations(&CHECK).is_empty());
        assert_eq!(story.excused(&CHECK).len(), 1);
    }
}
