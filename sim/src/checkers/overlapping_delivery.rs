//! C3, `overlapping-delivery`: a member that lost a partition goes on delivering it beside its successor for
//! longer than a session's timeout and the time that the application works on a record (P24).
//!
//! Until then the overlap is a matter of not knowing; ownership itself is check C1's.

use std::collections::HashMap;
use std::time::Duration;

use seedlog::facts::Fact;

use super::groups::{GroupPartition, Incarnation, Turn};
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
    let mut findings = Vec::new();
    for (at, turn) in case.groups.turns(case.history) {
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
                let terms = case.terms.group(group);
                let bound = terms.session_timeout + terms.processing;
                let overlap = Duration::from_nanos(case.history[at].at_ns - case.history[first].at_ns);
                if overlap > bound && !successor.told {
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

    /// `a` lost its session and does not know; `b` took over and delivers.
    fn taken_over() -> Story {
        Story::new()
            .member("a", 1, 0)
            .read("a", 0, "r-0")
            .session_expired(1)
            .member("b", 2, 0)
            .read("b", 0, "r-0")
    }

    #[test]
    fn a_member_that_does_not_know_yet_may_deliver_a_little_longer() {
        let story = taken_over().after(Duration::from_secs(5)).read("a", 1, "r-1");
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_member_that_delivers_beside_its_successor_for_longer_than_a_session_is_found() {
        let story = taken_over().after(Duration::from_secs(7)).read("a", 1, "r-1").read("a", 2, "r-2");
        assert_eq!(
            story.violations(&CHECK),
            ["a delivered orders-0@1 7.0 s after b had begun to, both of billing"]
        );
    }

    #[test]
    fn the_terms_of_the_group_set_the_bound() {
        let story = taken_over().after(Duration::from_secs(7)).read("a", 1, "r-1");
        let slow = story.group_terms(Duration::from_secs(6), Duration::from_secs(3));
        assert!(slow.violations(&CHECK).is_empty());
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
