//! S9, `leader-epochs`: a partition's leader epoch never falls, and one incarnation of one broker appends in each.
//!
//! Nothing excuses it: a broker takes an epoch from ZooKeeper, where each is given out once, before it appends.

use std::collections::BTreeMap;

use seedlog::facts::Fact;
use seedlog::types::{LeaderEpoch, TopicPartition};

use super::{Case, Check, Feature, Finding};
use crate::history::{Entry, What};

pub const CHECK: Check = Check::new("S9", "leader-epochs", Feature::Any, judge);

/// The latest epoch of a partition, and who appended in it first.
#[derive(Clone, Copy)]
struct Latest<'a> {
    epoch: LeaderEpoch,
    by: (&'a str, u32),
    at: usize,
}

fn judge(case: &Case) -> Vec<Finding> {
    let mut latest: BTreeMap<&TopicPartition, Latest> = BTreeMap::new();
    let mut findings = Vec::new();
    for (at, entry) in case.history.iter().enumerate() {
        let What::Fact(Fact::Appended { partition, epoch, .. }) = &entry.what else { continue };
        let new = Latest { epoch: *epoch, by: appender(entry), at };
        let is_another = latest.get(partition).is_some_and(|before| before.by != new.by);
        case.obligations.meet_many(u64::from(is_another));
        match latest.get(partition) {
            Some(before) if before.epoch > *epoch => {
                let message =
                    format!("{partition}: epoch {epoch} was appended in after epoch {}", before.epoch);
                findings.push(Finding::new(Some(partition), message, vec![before.at, at]));
            }
            Some(before) if before.epoch == *epoch && before.by != new.by => {
                let ((one, life), (other, other_life)) = (before.by, new.by);
                let message = format!(
                    "{partition}: incarnation {life} of {one} and incarnation {other_life} of {other} appended in epoch {epoch}"
                );
                findings.push(Finding::new(Some(partition), message, vec![before.at, at]));
            }
            Some(before) if before.epoch == *epoch => {}
            _ => drop(latest.insert(partition, new)),
        }
    }
    findings
}

fn appender(entry: &Entry) -> (&str, u32) {
    (&entry.node, entry.incarnation)
}

#[cfg(test)]
mod tests {
    use super::CHECK;
    use crate::checkers::story::Story;

    #[test]
    fn an_incarnation_that_appends_in_an_epoch_of_its_own_passes() {
        let story =
            Story::new().appended_in(3, 0, 4).appended_in(3, 5, 5).killed("broker-1").appended_in(4, 6, 6);
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn two_incarnations_in_one_epoch_are_found() {
        let story = Story::new().appended_in(3, 0, 4).killed("broker-1").appended_in(3, 5, 5);
        assert_eq!(
            story.violations(&CHECK),
            ["orders-0: incarnation 1 of broker-1 and incarnation 2 of broker-1 appended in epoch 3"]
        );
    }

    #[test]
    fn an_epoch_that_falls_is_found() {
        let story = Story::new().appended_in(3, 0, 4).killed("broker-1").appended_in(2, 5, 5);
        assert_eq!(story.violations(&CHECK), ["orders-0: epoch 2 was appended in after epoch 3"]);
    }
}
