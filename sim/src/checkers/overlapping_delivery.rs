//! C3, `overlapping-delivery`: a member that lost a partition hands out another record of it after its successor has
//! begun to (P24).
//!
//! What it has in hand it may work on to the end: that record was handed out before. A session whose time runs out ends
//! after its member fell silent. Only one that was ended by force, while its member was heard, leaves the member to
//! deliver on for the two thirds of a session that it trusts an answer for. Ownership itself is check C1's.

use std::collections::HashMap;
use std::time::Duration;

use seedlog::facts::Fact;

use super::groups::{GroupPartition, Incarnation, Turn, sessions_expired_by_force};
use super::{Case, Check, Feature, Finding};

pub const CHECK: Check = Check::new("C3", "overlapping-delivery", Feature::Group, judge);

/// Who took a partition last, and its first delivery.
struct Successor<'a> {
    incarnation: Incarnation<'a>,
    delivered: Option<usize>,
    /// Somebody owned it before, and may not have let go.
    has_predecessor: bool,
    /// Told about a predecessor already.
    told: bool,
}

fn judge(case: &Case) -> Vec<Finding> {
    let mut successors: HashMap<GroupPartition, Successor> = HashMap::new();
    let forced = sessions_expired_by_force(case.history);
    // Until when members may not have heard that their sessions were ended.
    let mut trusted_until: HashMap<Incarnation, u64> = HashMap::new();
    let mut findings = Vec::new();
    for (at, turn) in case.groups.turns(case.history) {
        if let Turn::Expired { session } = turn
            && let Some(member) = case.groups.member(session).filter(|_| forced.contains(&session))
        {
            let group = case.groups.of(member).unwrap_or_default();
            let trust = case.terms.group(group).session_timeout * 2 / 3;
            trusted_until.insert(member, case.history[at].at_ns + trust.as_nanos() as u64);
        }
        let Turn::Stated { incarnation, group, fact } = turn else { continue };
        match fact {
            Fact::PartitionOwned { partition, .. } => {
                let before = successors.get(&(group, partition));
                let has_predecessor = before.is_some_and(|before| before.incarnation != incarnation);
                let successor = Successor { incarnation, delivered: None, has_predecessor, told: false };
                successors.insert((group, partition), successor);
            }
            Fact::Delivered { partition, offset, .. } => {
                let Some(successor) = successors.get_mut(&(group, partition)) else { continue };
                if successor.incarnation == incarnation {
                    let is_first = successor.delivered.is_none() && successor.has_predecessor;
                    case.obligations.meet_many(u64::from(is_first));
                    successor.delivered = successor.delivered.or(Some(at));
                    continue;
                }
                let Some(first) = successor.delivered else { continue };
                let until_ns = trusted_until.get(&incarnation).copied().unwrap_or(0);
                let overlap = Duration::from_nanos(case.history[at].at_ns - case.history[first].at_ns);
                if case.history[at].at_ns > until_ns && !successor.told {
                    successor.told = true;
                    let message = format!(
                        "{} delivered {partition}@{offset} {:.1} s after {} had begun to, both of {group}",
                        incarnation.consumer,
                        overlap.as_secs_f64(),
                        successor.incarnation.consumer
                    );
                    findings.push(Finding::new(Some(partition), message, vec![first, at]));
                }
            }
            _ => {}
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::CHECK;
    use crate::checkers::story::Story;

    /// `a` lost its session by force and does not know; `b` took over and delivers.
    fn taken_over() -> Story {
        begun_by_a().expired_by_force("a", 1).member("b", 2, 0).read("b", 0, "r-0")
    }

    fn begun_by_a() -> Story {
        Story::new().member("a", 1, 0).read("a", 0, "r-0")
    }

    /// As above, but its time had run out: it was silent before.
    fn timed_out() -> Story {
        begun_by_a().session_expired(1).member("b", 2, 0).read("b", 0, "r-0")
    }

    #[test]
    fn a_member_that_cannot_know_yet_may_deliver_a_little_longer() {
        let story = taken_over().after(Duration::from_millis(3_900)).read("a", 1, "r-1");
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_member_that_delivers_for_longer_than_it_may_trust_an_answer_is_found() {
        let story = taken_over().after(Duration::from_secs(5)).read("a", 1, "r-1").read("a", 2, "r-2");
        let expected = ["a delivered orders-0@1 5.0 s after b had begun to, both of billing"];
        assert_eq!(story.violations(&CHECK), expected);
        let slow = story.group_terms(Duration::from_secs(6), Duration::from_secs(30));
        assert_eq!(slow.violations(&CHECK), expected, "work on a record in hand explains no other record");
        let longer = taken_over().after(Duration::from_secs(5)).read("a", 1, "r-1");
        assert!(longer.group_terms(Duration::from_secs(9), Duration::ZERO).violations(&CHECK).is_empty());
    }

    #[test]
    fn a_member_whose_session_ran_out_was_silent_before() {
        let story = timed_out().after(Duration::from_millis(10)).read("a", 1, "r-1");
        assert_eq!(story.violations(&CHECK).len(), 1);
    }

    #[test]
    fn the_record_in_hand_is_worked_on_to_the_end() {
        let story = timed_out().after(Duration::from_secs(9)).processed("a", 0).finished("a", 0);
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_member_that_takes_the_partition_back_is_the_successor_now() {
        let story = taken_over()
            .released("b")
            .after(Duration::from_secs(60))
            .session_lost("a", 1)
            .member("a", 3, 1)
            .read("a", 1, "r-1");
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_successor_that_has_not_delivered_overlaps_with_nobody() {
        let story = Story::new()
            .member("a", 1, 0)
            .session_expired(1)
            .member("b", 2, 0)
            .after(Duration::from_secs(60))
            .read("a", 0, "r-0");
        assert!(story.violations(&CHECK).is_empty());
    }
}
