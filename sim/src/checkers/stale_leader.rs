//! H30, `stale-leader`: once the cluster is at peace, a broker says of some partition that another one leads it than
//! does, or in another epoch, or that nobody does. Or it leaves a partition out, asked for all.
//!
//! A broker takes in what others state within moments; what was told within two seconds of a change is not judged.

use std::collections::BTreeMap;
use std::time::Duration;

use seedlog::facts::Fact;
use seedlog::types::{BrokerId, LeaderEpoch, TopicPartition};

use super::{Case, Check, Feature, Finding};
use crate::history::What;

pub const CHECK: Check = Check::new("H30", "stale-leader", Feature::Any, judge);

/// Until everybody knows.
const KNOWN_WITHIN: Duration = Duration::from_secs(2);

struct Led {
    at: usize,
    by: BrokerId,
    epoch: LeaderEpoch,
}

fn judge(case: &Case) -> Vec<Finding> {
    let mut led: BTreeMap<&TopicPartition, Led> = BTreeMap::new();
    let mut changed_at = None;
    let mut findings = Vec::new();
    for (at, entry) in case.history.iter().enumerate() {
        match &entry.what {
            What::Fact(Fact::BecameLeader { broker, partition, epoch }) => {
                led.insert(partition, Led { at, by: *broker, epoch: *epoch });
            }
            What::Fact(
                Fact::BrokerRegistered { .. } | Fact::BrokerStopped { .. } | Fact::SessionExpired { .. },
            )
            | What::Fault(_) => changed_at = Some(entry.at_ns),
            What::Fact(Fact::LeaderTold { broker, partition, leader, epoch, .. }) => {
                let Some(truth) = led.get(partition) else { continue };
                let since = changed_at.max(Some(case.history[truth.at].at_ns)).unwrap_or_default();
                if Duration::from_nanos(entry.at_ns - since) < KNOWN_WITHIN {
                    continue;
                }
                case.obligations.meet();
                if (*leader, *epoch) == (Some(truth.by), truth.epoch) {
                    continue;
                }
                let told = leader.map_or("nobody".to_owned(), |leader| format!("broker {leader}"));
                let message = format!(
                    "broker {broker} says that {told} leads {partition} in epoch {epoch}; broker {} does, in epoch {}",
                    truth.by, truth.epoch
                );
                let finding = Finding::new(Some(partition), message, vec![truth.at, at]);
                findings.push(finding.excused_by(case.budget.excuses_outage(partition)));
            }
            What::Fact(Fact::PartitionsTold { broker, partitions, .. }) => {
                for (partition, truth) in &led {
                    let since = changed_at.max(Some(case.history[truth.at].at_ns)).unwrap_or_default();
                    let is_known = Duration::from_nanos(entry.at_ns - since) >= KNOWN_WITHIN;
                    if is_known && !partitions.contains(partition) {
                        let message =
                            format!("broker {broker} leaves out {partition}, which {} leads", truth.by);
                        let finding = Finding::new(Some(partition), message, vec![truth.at, at]);
                        findings.push(finding.excused_by(case.budget.excuses_outage(partition)));
                    }
                }
            }
            _ => {}
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use seedlog::facts::Fact;
    use seedlog::types::{BrokerId, LeaderEpoch};

    use super::CHECK;
    use crate::checkers::story::{Story, orders};

    fn leads(story: Story, epoch: i32) -> Story {
        let (broker, partition, epoch) = (BrokerId(1), orders(), LeaderEpoch(epoch));
        story.fact("broker-1", Fact::BecameLeader { broker, partition, epoch })
    }

    fn told(story: Story, leader: Option<i32>, epoch: i32) -> Story {
        let told = Fact::LeaderTold {
            client: "visitor".to_owned(),
            broker: BrokerId(2),
            partition: orders(),
            leader: leader.map(BrokerId),
            epoch: LeaderEpoch(epoch),
        };
        story.fact("visitor", told)
    }

    #[test]
    fn what_is_so_passes_and_what_is_new_need_not_be_known_yet() {
        let story = leads(leads(Story::new(), 3).after(Duration::from_secs(9)), 4);
        let story = told(told(story, Some(1), 3).after(Duration::from_secs(9)), Some(1), 4);
        assert!(story.violations(&CHECK).is_empty());
        assert_eq!(story.met(&CHECK), 1);
    }

    #[test]
    fn a_partition_that_is_left_out_is_found_once_everybody_must_know_it() {
        let told = |after, partitions: Vec<_>| {
            let story = leads(Story::new(), 3).after(Duration::from_secs(after));
            let (client, broker) = ("visitor".to_owned(), BrokerId(2));
            story.fact("visitor", Fact::PartitionsTold { client, broker, partitions }).violations(&CHECK)
        };
        assert_eq!(told(9, vec![orders()]), [""; 0]);
        assert_eq!(told(1, Vec::new()), [""; 0]);
        assert_eq!(told(9, Vec::new()), ["broker 2 leaves out orders-0, which 1 leads"]);
    }

    #[test]
    fn an_epoch_that_is_over_and_a_leader_that_is_forgotten_are_found() {
        let story = leads(leads(Story::new(), 3), 4).after(Duration::from_secs(9));
        assert_eq!(
            told(told(story, Some(1), 3), None, 4).violations(&CHECK),
            [
                "broker 2 says that broker 1 leads orders-0 in epoch 3; broker 1 does, in epoch 4",
                "broker 2 says that nobody leads orders-0 in epoch 4; broker 1 does, in epoch 4"
            ]
        );
    }
}
