//! H22, `wrong-position`: `position` of a consumer says something else than the offset behind the last record it gave.
//!
//! Applications ask right after a poll that gave records of the partition. Nothing excuses it.

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
}

fn judge(case: &Case) -> Vec<Finding> {
    let mut due: BTreeMap<(&str, &TopicPartition), Due> = BTreeMap::new();
    let mut findings = Vec::new();
    for (at, entry) in case.history.iter().enumerate() {
        let What::Fact(fact) = &entry.what else { continue };
        match fact {
            Fact::Delivered { consumer, partition, offset, .. } => {
                due.insert((consumer, partition), Due { position: offset.next(), at });
            }
            Fact::Assigned { consumer, partition, position }
            | Fact::Seeked { consumer, partition, position, .. } => {
                due.insert((consumer, partition), Due { position: *position, at });
            }
            // Where it goes on is told by the next record.
            Fact::CorruptSkipped { consumer, partition, .. } => {
                due.remove(&(consumer.as_str(), partition));
            }
            Fact::PositionTold { consumer, partition, position } => {
                let Some(due) = due.get(&(consumer.as_str(), partition)) else { continue };
                case.obligations.meet();
                if *position != Some(due.position) {
                    let told = position.map_or("none".to_owned(), |told| told.to_string());
                    let message =
                        format!("{consumer} is told position {told} of {partition}, it is {}", due.position);
                    findings.push(Finding::new(Some(partition), message, vec![due.at, at]));
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
    fn no_position_after_a_record_is_found() {
        let story = Story::new().assigned("a", 3).read("a", 3, "r").fact("a", told(None));
        assert_eq!(story.violations(&CHECK), ["a is told position none of orders-0, it is 4"]);
    }
}
