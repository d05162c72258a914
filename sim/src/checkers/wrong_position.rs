//! H22, `wrong-position`: `position` of a consumer says something else than the offset behind the last record it gave.
//!
//! Applications ask right after a poll that gave records of the partition. Behind a corrupt batch it is
//! where that batch ends. Nothing excuses it without damage.
//!
//! A consumer that was sent somewhere goes there, see [`sent`].

mod sent;

use std::collections::BTreeMap;

use seedlog::facts::Fact;
use seedlog::types::{Offset, TopicPartition};

use super::{Case, Check, Feature, Finding};
use crate::history::What;

pub const CHECK: Check = Check::new("H22", "wrong-position", Feature::Wanderer, judge);

/// What position is due, and the entry that says so.
#[derive(Clone, Copy)]
struct Due {
    position: Offset,
    at: usize,
    /// Behind the corrupt batches that were met since: it can be anywhere until there.
    until: Offset,
}

impl Due {
    fn new(position: Offset, at: usize) -> Due {
        Due { position, at, until: position }
    }
}

fn judge(case: &Case) -> Vec<Finding> {
    let mut findings = told_wrongly(case);
    findings.extend(sent::gone_elsewhere(case));
    findings
}

fn told_wrongly(case: &Case) -> Vec<Finding> {
    let mut due: BTreeMap<(&str, &TopicPartition), Due> = BTreeMap::new();
    let mut findings = Vec::new();
    for (at, entry) in case.history.iter().enumerate() {
        let What::Fact(fact) = &entry.what else { continue };
        match fact {
            Fact::Delivered { consumer, partition, offset, .. } => {
                due.insert((consumer, partition), Due::new(offset.next(), at));
            }
            Fact::Assigned { consumer, partition, position }
            | Fact::Seeked { consumer, partition, position, .. } => {
                due.insert((consumer, partition), Due::new(*position, at));
            }
            Fact::CorruptSkipped { consumer, partition, offset } => {
                if let Some(due) = due.get_mut(&(consumer.as_str(), partition)) {
                    due.until = due.until.max(case.existing.batch_end(partition, *offset, at).next());
                }
            }
            Fact::PositionTold { consumer, partition, position } => {
                let Some(due) = due.get(&(consumer.as_str(), partition)) else { continue };
                case.obligations.meet();
                if !position.is_some_and(|told| (due.position..=due.until).contains(&told)) {
                    let told = position.map_or("none".to_owned(), |told| told.to_string());
                    let message =
                        format!("{consumer} is told position {told} of {partition}, it is {}", due.position);
                    let finding = Finding::new(Some(partition), message, vec![due.at, at]);
                    // What frames a batch can be damaged too, and then its end is not to be seen.
                    let has_met_damage = due.until > due.position;
                    let excuse =
                        has_met_damage.then(|| case.budget.excuses_misplacement(partition, [due.position]));
                    findings.push(finding.excused_by(excuse.flatten()));
                }
            }
            _ => {}
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use seedlog::facts::Fact;
    use seedlog::types::Offset;

    use super::CHECK;
    use crate::checkers::story::{Story, orders};

    fn told(position: Option<i64>) -> Fact {
        Fact::PositionTold { consumer: "a".into(), partition: orders(), position: position.map(Offset) }
    }

    #[test]
    fn the_offset_behind_the_last_record_passes() {
        let story =
            Story::new().assigned("a", 3).fact("a", told(Some(3))).read("a", 3, "r").fact("a", told(Some(4)));
        assert!(story.violations(&CHECK).is_empty());
        assert_eq!(story.met(&CHECK), 2);
    }

    #[test]
    fn the_offset_of_the_last_record_itself_is_found() {
        let story = Story::new().assigned("a", 3).read("a", 3, "r").fact("a", told(Some(3)));
        assert_eq!(story.violations(&CHECK), ["a is told position 3 of orders-0, it is 4"]);
    }

    #[test]
    fn behind_a_corrupt_batch_it_is_the_end_of_that_batch_and_no_more() {
        let met = || {
            let story = Story::new().appended(0, 3, 1).appended(4, 6, 2).appended(7, 9, 3);
            story.assigned("a", 0).read("a", 3, "r").skipped_corrupt("a", 4)
        };
        assert!(met().fact("a", told(Some(7))).violations(&CHECK).is_empty());
        assert_eq!(
            met().fact("a", told(Some(9))).violations(&CHECK),
            ["a is told position 9 of orders-0, it is 4"]
        );
    }

    #[test]
    fn no_position_after_a_record_is_found() {
        let story = Story::new().assigned("a", 3).read("a", 3, "r").fact("a", told(None));
        assert_eq!(story.violations(&CHECK), ["a is told position none of orders-0, it is 4"]);
    }
}
