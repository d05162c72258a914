//! H7, `skip`: a consumer's next record lies behind one that the partition held, and nothing explains the gap.
//!
//! Being assigned, seeking, a reset and a corrupt batch explain it; a flipped bit or a misdirected write in the
//! partition's log excuses it, for a batch with another base offset looks whole. Gaps inside one poll are check H9's.

use seedlog::types::Offset;

use super::moves::Jump;
use super::{Case, Check, Feature, Finding};

pub const CHECK: Check = Check::new("H7", "skip", Feature::Any, judge);

fn judge(case: &Case) -> Vec<Finding> {
    case.obligations.meet_many(case.moves.between_polls);
    let between_polls = case.moves.jumps.iter().filter(|jump| !jump.in_one_poll);
    between_polls.filter_map(|jump| describe(case, jump, skipped(case, jump)?)).collect()
}

/// The first record that the jump left out.
pub fn skipped(case: &Case, jump: &Jump) -> Option<Offset> {
    case.existing.next(jump.partition, jump.stood).filter(|existing| *existing < jump.delivered)
}

fn describe(case: &Case, jump: &Jump, skipped: Offset) -> Option<Finding> {
    let Jump { incarnation, partition, delivered, .. } = jump;
    let message = format!("{} went on to {partition}@{delivered}, never to {skipped}", incarnation.consumer);
    let finding = Finding::new(Some(partition), message, vec![jump.stood_at, jump.delivered_at]);
    Some(finding.excused_by(case.budget.excuses_misplacement(partition, [skipped, *delivered])))
}

#[cfg(test)]
mod tests {
    use seedlog::types::TopicPartition;

    use super::CHECK;
    use crate::checkers::story::Story;

    fn reading() -> Story {
        Story::new().appended(0, 9, 1).assigned("a", 0).read("a", 0, "r-0")
    }

    #[test]
    fn successive_records_pass() {
        assert!(reading().read("a", 1, "r-1").read("a", 2, "r-2").violations(&CHECK).is_empty());
    }

    #[test]
    fn a_record_that_was_jumped_over_is_found() {
        assert_eq!(reading().read("a", 3, "r-3").violations(&CHECK), ["a went on to orders-0@3, never to 1"]);
    }

    #[test]
    fn a_first_record_behind_the_assigned_position_is_found() {
        let story = Story::new().appended(0, 9, 1).assigned("a", 0).read("a", 2, "r-2");
        assert_eq!(story.violations(&CHECK).len(), 1);
    }

    #[test]
    fn an_assignment_a_seek_a_reset_and_a_corrupt_batch_explain_it() {
        for story in
            [reading().assigned("a", 3), reading().sought("a", 3), reading().reset("a", Some(1), 3, (3, 9))]
        {
            assert!(story.read("a", 3, "r-3").violations(&CHECK).is_empty());
        }
    }

    /// Batches 0..=0, 1..=3, 4..=6 and 7..=9; the consumer has read the first one.
    fn in_batches() -> Story {
        let story = [(0, 0), (1, 3), (4, 6), (7, 9)]
            .iter()
            .fold(Story::new(), |story, (base, last)| story.appended(*base, *last, *base as u32));
        story.assigned("a", 0).read("a", 0, "r-0")
    }

    #[test]
    fn a_corrupt_batch_explains_a_jump_over_its_own_records() {
        let met = || in_batches().skipped_corrupt("a", 1);
        assert!(met().read("a", 4, "r-4").violations(&CHECK).is_empty());
        assert!(met().read("a", 2, "r-2").violations(&CHECK).is_empty(), "it can be read again in between");
        let two = met().skipped_corrupt("a", 4);
        assert!(two.read("a", 7, "r-7").violations(&CHECK).is_empty());
    }

    #[test]
    fn a_corrupt_batch_explains_no_jump_over_the_next_one_or_one_before_it() {
        let behind = in_batches().skipped_corrupt("a", 1).read("a", 7, "r-7");
        assert_eq!(behind.violations(&CHECK), ["a went on to orders-0@7, never to 4"]);
        let before = in_batches().skipped_corrupt("a", 4).read("a", 7, "r-7");
        assert_eq!(before.violations(&CHECK), ["a went on to orders-0@7, never to 1"]);
    }

    #[test]
    fn a_flipped_bit_in_the_log_excuses_it_and_one_in_another_log_does_not() {
        let in_log = |partition: i32| {
            let flipped =
                reading().damaged_of(TopicPartition::new("orders", partition), "flip-bit", 1, Some(2));
            flipped.read("a", 3, "r-3")
        };
        assert!(in_log(0).violations(&CHECK).is_empty());
        assert_eq!(in_log(0).excused(&CHECK).len(), 1);
        assert_eq!(in_log(1).violations(&CHECK).len(), 1);
    }

    #[test]
    fn an_offset_that_never_held_a_record_is_not_skipped() {
        let story = Story::new()
            .appended(0, 0, 1)
            .appended(3, 3, 2)
            .assigned("a", 0)
            .read("a", 0, "r-0")
            .read("a", 3, "r-3");
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_restarted_consumer_begins_anew() {
        let story = reading().killed("a").assigned("a", 5).read("a", 5, "r-5");
        assert!(story.violations(&CHECK).is_empty());
    }
}
