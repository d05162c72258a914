//! H9, `skip-in-poll`: the records of one poll leave one out, or go back.
//!
//! One poll hands its records out at one instant. A rebalance inside it explains what a rebalance explains. A
//! flipped bit or a misdirected write in the partition's log excuses it: a batch with another base offset, or in
//! the place of others, looks whole.

use super::moves::Jump;
use super::skip::skipped;
use super::{Case, Check, Feature, Finding};

pub const CHECK: Check = Check::new("H9", "skip-in-poll", Feature::Any, judge);

fn judge(case: &Case) -> Vec<Finding> {
    case.obligations.meet_many(case.moves.in_polls);
    let in_poll = case.moves.jumps.iter().filter(|jump| jump.in_one_poll);
    let wrong = in_poll.filter(|jump| jump.delivered < jump.stood || skipped(case, jump).is_some());
    wrong.map(|jump| describe(case, jump)).collect()
}

fn describe(case: &Case, jump: &Jump) -> Finding {
    let Jump { incarnation, partition, delivered, stood, .. } = jump;
    let message =
        format!("one poll of {} has {partition}@{delivered} where {stood} follows", incarnation.consumer);
    let finding = Finding::new(Some(partition), message, vec![jump.stood_at, jump.delivered_at]);
    // What lies before its position a consumer can tell, and must not hand out.
    let is_skip = delivered > stood;
    finding.excused_by(
        is_skip.then(|| case.budget.excuses_misplacement(partition, [*stood, *delivered])).flatten(),
    )
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
    fn a_misdirected_write_excuses_it_and_one_elsewhere_does_not() {
        let at = |offset| polled(2).damaged("misdirected-write", offset, Some(offset + 1));
        assert!(at(1).violations(&CHECK).is_empty());
        assert_eq!(at(1).excused(&CHECK).len(), 1);
        assert_eq!(at(7).violations(&CHECK).len(), 1);
        let back = polled(0).damaged("misdirected-write", 0, Some(2));
        assert_eq!(back.violations(&CHECK).len(), 1, "a return is no skip");
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
