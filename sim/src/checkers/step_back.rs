//! H8, `step-back`: a consumer's next record lies before where it stood, and nothing explains the return.
//!
//! Being assigned, seeking and a reset explain it. Returns inside one poll are check H9's.

use super::moves::Jump;
use super::{Case, Check, Feature, Finding};

pub const CHECK: Check = Check::new("H8", "step-back", Feature::Any, judge);

fn judge(case: &Case) -> Vec<Finding> {
    case.obligations.meet_many(case.moves.between_polls);
    let back = case.moves.jumps.iter().filter(|jump| !jump.in_one_poll && jump.delivered < jump.stood);
    back.map(describe).collect()
}

fn describe(jump: &Jump) -> Finding {
    let Jump { incarnation, partition, delivered, stood, .. } = jump;
    let message = format!("{} stood at {partition}@{stood} and read {delivered}", incarnation.consumer);
    Finding::new(Some(partition), message, vec![jump.stood_at, jump.delivered_at])
}

#[cfg(test)]
mod tests {
    use super::CHECK;
    use crate::checkers::story::Story;

    fn reading() -> Story {
        Story::new().assigned("a", 0).read("a", 0, "r-0").read("a", 1, "r-1")
    }

    #[test]
    fn successive_records_pass() {
        assert!(reading().read("a", 2, "r-2").violations(&CHECK).is_empty());
    }

    #[test]
    fn a_record_read_again_and_one_before_it_are_found() {
        assert_eq!(reading().read("a", 1, "r-1").violations(&CHECK), ["a stood at orders-0@2 and read 1"]);
        assert_eq!(reading().read("a", 0, "r-0").violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_first_record_before_the_assigned_position_is_found() {
        assert_eq!(Story::new().assigned("a", 5).read("a", 4, "r-4").violations(&CHECK).len(), 1);
    }

    #[test]
    fn an_assignment_a_seek_and_a_reset_explain_it() {
        for story in
            [reading().assigned("a", 0), reading().sought("a", 0), reading().reset("a", Some(2), 0, (0, 1))]
        {
            assert!(story.read("a", 0, "r-0").violations(&CHECK).is_empty());
        }
    }

    #[test]
    fn a_corrupt_batch_explains_no_return() {
        assert_eq!(reading().skipped_corrupt("a", 2).read("a", 0, "r-0").violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_restarted_consumer_and_another_one_begin_anew() {
        assert!(reading().killed("a").assigned("a", 0).read("a", 0, "r-0").violations(&CHECK).is_empty());
        assert!(reading().assigned("b", 0).read("b", 0, "r-0").violations(&CHECK).is_empty());
    }
}
