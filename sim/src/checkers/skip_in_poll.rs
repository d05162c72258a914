//! H9, `skip-in-poll`: the records of one poll leave one out, or go back.
//!
//! One poll hands its records out at one instant. A rebalance inside it explains what a rebalance explains.

use super::moves::Jump;
use super::skip::skipped;
use super::{Case, Check, Finding};

pub const CHECK: Check = Check { id: "H9", slug: "skip-in-poll", judge };

fn judge(case: &Case) -> Vec<Finding> {
    let in_poll = case.jumps.iter().filter(|jump| jump.in_one_poll);
    let wrong = in_poll.filter(|jump| jump.delivered < jump.stood || skipped(case, jump).is_some());
    wrong.map(describe).collect()
}

fn describe(jump: &Jump) -> Finding {
    let Jump { life, partition, delivered, stood, .. } = jump;
    let message = format!("one poll of {} has {partition}@{delivered} where {stood} follows", life.consumer);
    Finding::new(Some(partition), message, vec![jump.stood_at, jump.delivered_at])
}

#[cfg(test)]
mod tests {
    use super::CHECK;
    use crate::checkers::story::Story;
    use crate::checkers::{skip, step_back};

    fn polled(second: i64) -> Story {
        Story::new().appended(0, 9, 1).assigned("a", 0).read("a", 0, "r-0").read("a", second, "r").at_once()
    }

    #[test]
    fn successive_records_pass() {
        assert!(polled(1).violations(&CHECK).is_empty());
    }

    #[test]
    fn a_gap_and_a_return_are_found_here_alone() {
        for story in [polled(2), polled(0)] {
            assert_eq!(story.violations(&CHECK).len(), 1);
            assert!(story.violations(&skip::CHECK).is_empty());
            assert!(story.violations(&step_back::CHECK).is_empty());
        }
        assert_eq!(polled(2).violations(&CHECK), ["one poll of a has orders-0@2 where 1 follows"]);
    }

    #[test]
    fn a_later_poll_is_not_this_checks_business() {
        let story = Story::new().appended(0, 9, 1).assigned("a", 0).read("a", 0, "r-0").read("a", 2, "r-2");
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_rebalance_inside_the_poll_explains_it() {
        let story = Story::new().appended(0, 9, 1).assigned("a", 0).read("a", 0, "r-0");
        let story = story.assigned("a", 5).at_once().read("a", 5, "r-5").at_once();
        assert!(story.violations(&CHECK).is_empty());
    }
}
