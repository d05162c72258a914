//! The epochs that stand on the disks in the end, beside those that were stated.

use std::collections::BTreeMap;

use seedlog::facts::Fact;
use seedlog::types::{BrokerId, LeaderEpoch, Offset, TopicPartition};

use crate::checkers::{Case, Finding};
use crate::history::{Seen, What};

/// One append, as it was stated.
#[derive(Clone, Copy)]
struct Stated {
    at: usize,
    last: Offset,
    epoch: LeaderEpoch,
}

/// What was stated of one log, by base offset.
type Appends = BTreeMap<Offset, Stated>;

/// A batch as it stands in the end.
#[derive(Clone, Copy)]
struct Batch {
    at: usize,
    base: Offset,
    epoch: LeaderEpoch,
}

type Place<'a> = (BrokerId, &'a TopicPartition);

#[derive(Default)]
struct Logs<'a> {
    appends: BTreeMap<Place<'a>, Appends>,
    /// The log whose batches follow, and the one in front of them.
    read: Option<(Place<'a>, Option<Batch>)>,
}

pub(super) fn findings(case: &Case) -> Vec<Finding> {
    let mut logs = Logs::default();
    let mut findings = Vec::new();
    for (at, entry) in case.history.iter().enumerate() {
        match &entry.what {
            What::Fact(fact) => logs.observe(at, fact),
            What::Seen(Seen::FinalLog { broker, partition, .. }) => {
                logs.read = Some(((*broker, partition), None));
            }
            What::Seen(Seen::FinalBatch { partition, base, epoch, .. }) => {
                let batch = Batch { at, base: *base, epoch: *epoch };
                let Some((message, evidence)) = logs.objection(case, batch) else { continue };
                let excuse = case.budget.excuses_misplacement(partition, [*base]);
                findings.push(Finding::new(Some(partition), message, evidence).excused_by(excuse));
            }
            _ => {}
        }
    }
    findings
}

impl<'a> Logs<'a> {
    fn observe(&mut self, at: usize, fact: &'a Fact) {
        match fact {
            Fact::Appended { broker, partition, epoch, base, last, .. } => {
                let appends = self.appends.entry((*broker, partition)).or_default();
                drop(appends.split_off(base));
                appends.insert(*base, Stated { at, last: *last, epoch: *epoch });
            }
            Fact::LogRecovered { broker, partition, log_end: end, .. }
            | Fact::Truncated { broker, partition, end } => {
                let appends = self.appends.entry((*broker, partition)).or_default();
                // Whatever stands there later was appended anew, by whoever states it or dies before it can.
                drop(appends.split_off(end));
                if let Some(mut cut) = appends.last_entry() {
                    cut.get_mut().last = cut.get().last.min(Offset(end.0 - 1));
                }
            }
            _ => {}
        }
    }

    /// What is wrong with the next batch of the log that is read, with what proves it.
    fn objection(&mut self, case: &Case, batch: Batch) -> Option<(String, Vec<usize>)> {
        let (place, before) = self.read.as_mut()?;
        let (_, partition) = *place;
        let before = before.replace(batch);
        let Batch { at, base, epoch } = batch;
        let stated = self.appends.get(place).and_then(|appends| stated_at(appends, base));
        case.obligations.meet_many(u64::from(stated.is_some()));
        if let Some(stated) = stated.filter(|stated| stated.epoch != epoch) {
            let message = format!(
                "{partition}@{base}: the disk says epoch {epoch}, it was appended in epoch {}",
                stated.epoch
            );
            return Some((message, vec![stated.at, at]));
        }
        let higher = before.filter(|before| before.epoch > epoch)?;
        let message =
            format!("{partition}@{base}: the disk says epoch {epoch}, behind epoch {}", higher.epoch);
        Some((message, vec![higher.at, at]))
    }
}

fn stated_at(appends: &Appends, offset: Offset) -> Option<Stated> {
    let (_, stated) = appends.range(..=offset).next_back()?;
    (offset <= stated.last).then_some(*stated)
}

#[cfg(test)]
mod tests {
    use crate::checkers::leader_epochs::CHECK;
    use crate::checkers::story::Story;

    fn appended() -> Story {
        Story::new().appended_in(3, 0, 4).killed("broker-1").appended_in(5, 5, 9)
    }

    #[test]
    fn batches_that_say_the_epochs_in_which_they_were_appended_pass() {
        let story = appended().finally_in(&[(3, 0, 4), (5, 5, 9)]);
        assert!(story.violations(&CHECK).is_empty());
        assert_eq!(story.met(&CHECK), appended().met(&CHECK) + 2);
    }

    #[test]
    fn a_batch_that_says_another_epoch_than_was_stated_is_found() {
        let story = appended().finally_in(&[(4, 0, 4), (5, 5, 9)]);
        assert_eq!(
            story.violations(&CHECK),
            ["orders-0@0: the disk says epoch 4, it was appended in epoch 3"]
        );
    }

    #[test]
    fn a_batch_that_nobody_stated_says_no_lower_epoch_than_the_one_in_front() {
        let story = appended().finally_in(&[(5, 5, 9), (4, 10, 10)]);
        assert_eq!(story.violations(&CHECK), ["orders-0@10: the disk says epoch 4, behind epoch 5"]);
        assert!(appended().finally_in(&[(5, 5, 9), (6, 10, 10)]).violations(&CHECK).is_empty());
    }

    #[test]
    fn what_was_cut_off_and_appended_again_says_the_later_epoch() {
        let cut = || appended().recovered(7, false).killed("broker-1");
        assert!(cut().finally_in(&[(5, 5, 6), (7, 7, 7)]).violations(&CHECK).is_empty(), "by who died");
        let again = cut().appended_in(8, 7, 7);
        assert_eq!(
            again.finally_in(&[(5, 5, 6), (5, 7, 7)]).violations(&CHECK),
            ["orders-0@7: the disk says epoch 5, it was appended in epoch 8"]
        );
    }

    #[test]
    fn a_flipped_bit_excuses_the_epoch_that_it_hit_and_no_lost_cache_does() {
        let wrong = |fault: &str, to| appended().damaged(fault, 5, to).finally_in(&[(3, 0, 4), (133, 5, 9)]);
        assert!(wrong("flip-bit", None).violations(&CHECK).is_empty());
        assert_eq!(wrong("flip-bit", None).excused(&CHECK).len(), 1);
        assert_eq!(wrong("power-failure", None).violations(&CHECK).len(), 1);
        assert_eq!(wrong("flip-bit", None).finally_in(&[(133, 5, 9)]).excused(&CHECK).len(), 2);
    }
}
