//! S19, `false-flush`: a broker calls flushed what its disk would not keep if the power failed at that moment, or a record
//! is acknowledged before anybody called it flushed, where acknowledgements promise that.
//!
//! The testbed looks at the simulated disk whenever a broker states that a log was flushed or recovered. What a device
//! claimed to have stored, and did not, is excused: exactly that, and nothing else.

use std::collections::HashMap;

use seedlog::facts::Fact;
use seedlog::types::{Durability, Offset, TopicPartition};

use super::{Case, Check, Feature, Finding};
use crate::history::{Seen, What};

pub const CHECK: Check = Check::new("S19", "false-flush", Feature::Any, judge);

const LIED: &str = "over budget: its device said that it had stored it";

fn judge(case: &Case) -> Vec<Finding> {
    let mut flushed: HashMap<&TopicPartition, Offset> = HashMap::new();
    let mut findings = Vec::new();
    for (at, entry) in case.history.iter().enumerate() {
        match &entry.what {
            What::Fact(
                Fact::Flushed { partition, end, .. } | Fact::LogRecovered { partition, log_end: end, .. },
            ) => {
                case.obligations.meet_many(u64::from(*end > Offset::ZERO));
                let known = flushed.entry(partition).or_default();
                *known = (*known).max(*end);
            }
            What::Fact(Fact::SendOk { producer, partition, offset: Some(offset), .. })
                if waits_for_flush(case, partition) =>
            {
                let end = flushed.get(partition).copied().unwrap_or_default();
                if *offset >= end {
                    let message = format!(
                        "{partition}@{offset} is acknowledged to {producer}, and was flushed up to {end} only"
                    );
                    findings.push(Finding::new(Some(partition), message, vec![at]));
                }
            }
            What::Seen(seen @ Seen::NotStored { partition, has, is_claimed, .. }) => {
                let of_damage = || case.budget.excuses_damage(partition, *has);
                let excuse = is_claimed.then(|| LIED.to_owned()).or_else(of_damage);
                let stated = at.saturating_sub(1);
                let finding = Finding::new(Some(partition), seen.text(), vec![stated, at]);
                findings.push(finding.excused_by(excuse));
            }
            _ => {}
        }
    }
    findings
}

fn waits_for_flush(case: &Case, partition: &TopicPartition) -> bool {
    case.terms.topics.get(&partition.topic).is_some_and(|topic| topic.durability == Durability::Fsync)
}

#[cfg(test)]
mod tests {
    use seedlog::types::{BrokerId, Durability, Offset};

    use super::CHECK;
    use crate::checkers::story::{Story, orders};
    use crate::history::Seen;

    fn not_stored(story: Story, is_claimed: bool) -> Story {
        story.seen(Seen::NotStored {
            broker: BrokerId(1),
            partition: orders(),
            stated: Offset(5),
            has: Offset(3),
            is_claimed,
            what: "the last file ends at 3".into(),
        })
    }

    #[test]
    fn what_is_flushed_and_then_acknowledged_passes() {
        let story = Story::new().send(0, "a").appended(0, 0, 1).flushed(1).acked(0, 0);
        assert!(story.violations(&CHECK).is_empty());
        assert_eq!(story.met(&CHECK), 1);
    }

    #[test]
    fn a_flush_that_the_disk_knows_nothing_of_is_found() {
        let story = not_stored(Story::new().appended(0, 4, 1).flushed(5), false);
        assert_eq!(
            story.violations(&CHECK),
            ["broker 1 has orders-0 on its disk up to 3, and not up to 5: the last file ends at 3"]
        );
    }

    #[test]
    fn a_lie_of_the_device_and_damage_at_that_place_excuse_it() {
        let lied = not_stored(Story::new().appended(0, 4, 1).flushed(5), true);
        assert!(lied.violations(&CHECK).is_empty());
        assert_eq!(lied.excused(&CHECK).len(), 1);
        let damaged = |from| {
            let story = Story::new().appended(0, 4, 1).damaged("misdirected-write", from, Some(from + 1));
            not_stored(story.flushed(5), false).violations(&CHECK).len()
        };
        assert_eq!((damaged(3), damaged(1)), (0, 1));
    }

    #[test]
    fn an_acknowledgement_that_does_not_wait_for_the_flush_is_found_where_it_has_to() {
        let early = || Story::new().send(0, "a").appended(0, 0, 1).acked(0, 0).flushed(1);
        assert_eq!(
            early().violations(&CHECK),
            ["orders-0@0 is acknowledged to shop, and was flushed up to 0 only"]
        );
        assert!(early().durability(Durability::PageCache).violations(&CHECK).is_empty());
    }
}
