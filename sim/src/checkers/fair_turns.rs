//! H31, `fair-turns`: a reader is given records of some of its partitions for long, while another one that the same
//! broker leads waits with records and gets no turn.
//!
//! Judged while everything is read once more in a cluster at peace: all records are there, what one broker leads is
//! fetched together, and so one partition waits for another one's records only as long as a fetch takes.

use std::collections::BTreeMap;
use std::time::Duration;

use seedlog::facts::Fact;
use seedlog::types::{BrokerId, Offset, TopicPartition};

use super::{Case, Check, Feature, Finding};
use crate::cluster::AUDITOR;
use crate::history::{Phase, What};

/// Half of the runs have an auditor that takes its time; of these not all have two partitions with records at one
/// broker.
pub const CHECK: Check = Check::new("H31", "fair-turns", Feature::Any, judge).exercised_in(10);

/// A fetch that waits for more in other partitions is under way for half a second.
const WAITING_MAX: Duration = Duration::from_secs(1);
/// So many records of others in a row are several turns of each, however many partitions there are.
const OTHERS_MAX: u64 = 40;

struct Waiting {
    since: usize,
    of_others: u64,
    told: bool,
}

fn judge(case: &Case) -> Vec<Finding> {
    let ends = last_delivered(case);
    let mut led: BTreeMap<&TopicPartition, BrokerId> = BTreeMap::new();
    let mut waiting: BTreeMap<&TopicPartition, Waiting> = BTreeMap::new();
    let mut is_drain = false;
    let mut findings = Vec::new();
    for (at, entry) in case.history.iter().enumerate() {
        match &entry.what {
            What::Phase(entered) => is_drain = entered.phase == Phase::Drain,
            What::Fact(Fact::BecameLeader { broker, partition, .. }) => drop(led.insert(partition, *broker)),
            What::Fact(Fact::Assigned { consumer, partition, .. }) if is_drain && consumer == AUDITOR => {
                waiting.insert(partition, Waiting { since: at, of_others: 0, told: false });
            }
            What::Fact(Fact::Delivered { consumer, partition, offset, .. })
                if is_drain && consumer == AUDITOR =>
            {
                take_turn(&mut waiting, &led, partition, at);
                if ends.get(partition) == Some(offset) {
                    waiting.remove(partition);
                }
                let starving = starving(case, &ends, &mut waiting, &led, partition, at);
                findings.extend(starving);
            }
            _ => {}
        }
    }
    findings
}

fn take_turn<'a>(
    waiting: &mut BTreeMap<&'a TopicPartition, Waiting>,
    led: &BTreeMap<&TopicPartition, BrokerId>,
    taken: &'a TopicPartition,
    at: usize,
) {
    for (partition, others) in waiting.iter_mut() {
        if *partition == taken {
            (others.since, others.of_others) = (at, 0);
        } else if led.get(partition) == led.get(taken) {
            others.of_others += 1;
        }
    }
}

/// Who has waited for too long while `taken` was read.
fn starving(
    case: &Case,
    ends: &BTreeMap<&TopicPartition, Offset>,
    waiting: &mut BTreeMap<&TopicPartition, Waiting>,
    led: &BTreeMap<&TopicPartition, BrokerId>,
    taken: &TopicPartition,
    at: usize,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (partition, others) in waiting.iter_mut() {
        if *partition == taken || led.get(partition) != led.get(taken) || !ends.contains_key(partition) {
            continue;
        }
        case.obligations.meet();
        let waited = Duration::from_nanos(case.history[at].at_ns - case.history[others.since].at_ns);
        if waited > WAITING_MAX && others.of_others > OTHERS_MAX && !others.told {
            others.told = true;
            let message = format!(
                "{AUDITOR} was given {} records of other partitions and none of {partition}, which has some, for {:.1} s",
                others.of_others,
                waited.as_secs_f64()
            );
            findings.push(Finding::new(Some(partition), message, vec![others.since, at]));
        }
    }
    findings
}

/// The last record that the auditor gets of those that each partition had when it began: what is appended later, it can
/// get no sooner. Of a partition whose log is damaged, nothing is known.
fn last_delivered<'a>(case: &Case<'a>) -> BTreeMap<&'a TopicPartition, Offset> {
    let (mut had, mut last) = (BTreeMap::new(), BTreeMap::new());
    let mut is_drain = false;
    for entry in case.history {
        match &entry.what {
            What::Phase(entered) => is_drain |= entered.phase == Phase::Drain,
            What::Fact(Fact::Appended { partition, last, .. }) if !is_drain => {
                had.insert(partition, *last);
            }
            _ => {}
        }
        if let What::Fact(Fact::Delivered { consumer, partition, offset, .. }) = &entry.what
            && consumer == AUDITOR
            && had.get(partition).is_some_and(|last| offset <= last)
            && case.budget.excuses_damage_somewhere(partition).is_none()
            && case.budget.excuses_outage(partition).is_none()
        {
            last.insert(partition, *offset);
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use seedlog::facts::{Fact, RecordTag};
    use seedlog::types::{BrokerId, LeaderEpoch, Offset, TopicPartition};

    use super::CHECK;
    use crate::checkers::story::Story;
    use crate::history::Phase;

    const A: &str = "orders-0";
    const B: &str = "orders-1";

    fn named(partition: &str) -> TopicPartition {
        TopicPartition::new("orders", i32::from(partition == B))
    }

    fn appended(story: Story, partition: &str, base: i64, last: i64) -> Story {
        story.fact(
            "broker-1",
            Fact::Appended {
                broker: BrokerId(1),
                partition: named(partition),
                epoch: LeaderEpoch(0),
                base: Offset(base),
                last: Offset(last),
                crc: 0,
            },
        )
    }

    /// One broker leads `A`, this one leads `B`, and the auditor begins.
    fn drain(leader_of_b: i32) -> Story {
        let leads = |story: Story, partition: &str, broker| {
            let (broker, epoch) = (BrokerId(broker), LeaderEpoch(0));
            story.fact("broker-1", Fact::BecameLeader { broker, partition: named(partition), epoch })
        };
        let story = leads(leads(Story::new(), A, 1), B, leader_of_b);
        let story = appended(appended(story, A, 0, 59), B, 0, 59).phase(Phase::Drain);
        [A, B].into_iter().fold(story, |story, partition| {
            let (consumer, position) = ("auditor".to_owned(), Offset(0));
            story.fact("auditor", Fact::Assigned { consumer, partition: named(partition), position })
        })
    }

    fn given(story: Story, partition: &str, offset: i64) -> Story {
        let delivered = Fact::Delivered {
            consumer: "auditor".to_owned(),
            partition: named(partition),
            offset: Offset(offset),
            record: RecordTag::of(None, Some(b"r")),
        };
        story.fact("auditor", delivered).after(Duration::from_millis(30))
    }

    fn all_of_a_then_b(story: Story) -> Story {
        let story = (0..60).fold(story, |story, offset| given(story, A, offset));
        (0..60).fold(story, |story, offset| given(story, B, offset))
    }

    #[test]
    fn partitions_that_take_turns_pass() {
        let story = (0..60).fold(drain(1), |story, offset| given(given(story, A, offset), B, offset));
        assert!(story.violations(&CHECK).is_empty());
        assert!(story.met(&CHECK) > 0);
    }

    #[test]
    fn a_partition_that_waits_while_another_one_is_read_to_its_end_is_found() {
        assert_eq!(
            all_of_a_then_b(drain(1)).violations(&CHECK),
            [
                "auditor was given 41 records of other partitions and none of orders-1, which has some, for 1.2 s"
            ]
        );
    }

    #[test]
    fn a_partition_whose_last_record_was_appended_while_others_were_read_has_not_waited_for_it() {
        let story = (0..60).fold(drain(1), |story, offset| given(story, B, offset));
        let story = (0..60).fold(story, |story, offset| given(story, A, offset));
        let found = story.violations(&CHECK).len();
        let later = (0..60).fold(drain(1), |story, offset| given(given(story, A, offset), B, offset));
        let later = appended(later, A, 60, 119);
        let later =
            given(appended((60..120).fold(later, |story, offset| given(story, A, offset)), B, 60, 60), B, 60);
        assert_eq!((found, later.violations(&CHECK).len()), (1, 0));
    }

    #[test]
    fn what_another_broker_leads_may_come_later() {
        assert!(all_of_a_then_b(drain(2)).violations(&CHECK).is_empty());
    }
}
