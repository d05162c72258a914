//! S21, `misshapen-log`: the files of a log are something else than whole batches from its begin to its end, or an index
//! points at a byte where no batch begins.
//!
//! The testbed looks at the files, as programs see them, whenever a broker states that a log was flushed or recovered, and
//! in the end; and behind each append, where what a failed one left shows. Only damage excuses it, at the offset where it
//! was found.

use seedlog::facts::Fact;
use seedlog::types::Offset;

use super::{Case, Check, Feature, Finding};
use crate::history::{Seen, What};

pub const CHECK: Check = Check::new("S21", "misshapen-log", Feature::Any, judge);

fn judge(case: &Case) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, entry) in case.history.iter().enumerate() {
        match &entry.what {
            What::Fact(Fact::Flushed { end, .. } | Fact::LogRecovered { log_end: end, .. }) => {
                case.obligations.meet_many(u64::from(*end > Offset::ZERO));
            }
            What::Seen(seen @ Seen::Misshapen { partition, at: offset, .. }) => {
                let stated = at.saturating_sub(1);
                let finding = Finding::new(Some(partition), seen.text(), vec![stated, at]);
                findings.push(finding.excused_by(case.budget.excuses_damage(partition, *offset)));
            }
            What::Seen(seen @ Seen::FinalLog { broker, partition, unreadable_from: Some(_) }) => {
                let damage = case.budget.excuses_damage_somewhere(partition);
                let excuse = damage.or_else(|| case.budget.excuses_absence(*broker));
                findings.push(Finding::new(Some(partition), seen.text(), vec![at]).excused_by(excuse));
            }
            _ => {}
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use seedlog::types::{BrokerId, Offset};

    use super::CHECK;
    use crate::checkers::story::{Story, orders};
    use crate::history::{FileByte, Seen};

    fn misshapen(story: Story) -> Story {
        let what = "7 bytes of 00000000000000000000.log lie behind the log's end".into();
        story.seen(Seen::Misshapen { broker: BrokerId(1), partition: orders(), at: Offset(5), what })
    }

    #[test]
    fn a_log_that_nothing_is_wrong_with_passes() {
        let story = Story::new().appended(0, 4, 1).flushed(5).finally(&["a", "b", "c", "d", "e"]);
        assert!(story.violations(&CHECK).is_empty());
        assert_eq!(story.met(&CHECK), 1);
    }

    #[test]
    fn files_that_hold_something_else_are_found() {
        let story = misshapen(Story::new().appended(0, 4, 1).flushed(5));
        assert_eq!(
            story.violations(&CHECK),
            ["the files of orders-0 on broker 1, at 5: 7 bytes of 00000000000000000000.log lie behind the \
              log's end"]
        );
    }

    #[test]
    fn damage_excuses_its_own_offsets() {
        let damaged = |from| {
            let story = Story::new().appended(0, 4, 1).damaged("flip-bit", from, Some(from + 1));
            misshapen(story.flushed(5)).violations(&CHECK).len()
        };
        assert_eq!((damaged(5), damaged(2)), (0, 1));
    }

    #[test]
    fn bytes_that_are_no_batch_in_the_end_are_found() {
        let at = FileByte { file: "orders-0/00000000000000000000.log".into(), byte: 70 };
        let found = Seen::FinalLog { broker: BrokerId(1), partition: orders(), unreadable_from: Some(at) };
        let story = Story::new().appended(0, 4, 1).seen(found.clone());
        assert_eq!(story.violations(&CHECK).len(), 1);
        let damaged = Story::new().appended(0, 4, 1).damaged("flip-bit", 2, Some(3)).seen(found);
        assert!(damaged.violations(&CHECK).is_empty());
    }
}
