//! L1, `liveness`: by the deadline after the heal every broker is registered, every send is resolved, what
//! was sent after the heal is acknowledged, every consumer has read to the end, and every group is complete:
//! all members joined, rebalances finished, each partition has one owner, which has read to the end. And every
//! application that sends has come to its end: what it calls returns.
//!
//! The deadline is the run's own: what its clients and brokers wait for at most, since the heal and since the last
//! record that was sent, and the work on what is left to read.

use std::collections::BTreeMap;

use seedlog::facts::Fact;
use seedlog::types::TopicPartition;

use super::lag_after_heal::FETCH_MAX;
use super::{Case, Check, Feature, Finding};
use crate::history::{Phase, Seen, What};
use crate::liveness::{Missing, Progress};

pub const CHECK: Check = Check::new("L1", "liveness", Feature::Any, judge);

fn judge(case: &Case) -> Vec<Finding> {
    let mut progress = Progress::new(case.terms);
    let mut deadline = deadline_ns(case);
    let mut findings = Vec::new();
    for (at, entry) in case.history.iter().enumerate() {
        if deadline.take_if(|deadline| *deadline < entry.at_ns).is_some() {
            case.obligations.meet();
            let missing = progress.missing();
            if !missing.is_empty() {
                findings.extend(missing.into_iter().map(|missing| describe(case, at, missing)));
                return findings;
            }
        }
        progress.observe(&entry.what);
        if let What::Seen(seen @ Seen::Unfinished { client }) = &entry.what {
            let mut of_client = case.ledger.sends.iter().filter(|send| *send.producer == **client);
            let outage = of_client.find_map(|send| case.budget.excuses_outage(send.partition));
            findings.push(Finding::new(None, seen.text(), vec![at]).excused_by(outage));
        }
        let What::Phase(entered) = &entry.what else { continue };
        // Converge ends where the drain begins; the drain itself ends where judging begins.
        if matches!(entered.phase, Phase::Drain | Phase::Judge) {
            case.obligations.meet();
            let missing = progress.missing();
            if !missing.is_empty() {
                findings.extend(missing.into_iter().map(|missing| describe(case, at, missing)));
                return findings;
            }
        }
    }
    findings
}

/// By when everything must work again; `None`: the history does not go so far.
fn deadline_ns(case: &Case) -> Option<u64> {
    let mut since = None;
    let mut backlog: BTreeMap<&TopicPartition, u64> = BTreeMap::new();
    for entry in case.history {
        match &entry.what {
            What::Phase(entered) if entered.phase == Phase::Converge => since = Some(entry.at_ns),
            What::Phase(entered) if entered.phase == Phase::Drain => break,
            What::Fact(Fact::SendInvoked { .. }) => since = since.map(|_| entry.at_ns),
            What::Fact(Fact::Appended { partition, last, .. }) => {
                backlog.insert(partition, last.next().0.cast_unsigned());
            }
            _ => {}
        }
    }
    let slowest = case.terms.groups.values().map(|group| group.processing).max().unwrap_or_default();
    let records = u32::try_from(backlog.values().sum::<u64>()).unwrap_or(u32::MAX);
    let work = (slowest + FETCH_MAX).saturating_mul(records);
    Some(since? + (case.terms.patience.until_settled() + work).as_nanos() as u64)
}

fn describe(case: &Case, deadline: usize, missing: Missing) -> Finding {
    match missing {
        Missing::Unregistered { broker } => {
            let absence = case.budget.excuses_absence(broker);
            let message = format!("broker {broker} is not registered at the deadline");
            Finding::new(None, message, vec![deadline]).excused_by(absence)
        }
        Missing::Unresolved { producer, sends, first } => {
            let invoked = case.ledger.latest(&producer, first);
            let message = format!("{producer} still waits for {sends} sends, the first is number {first}");
            let outage = invoked.and_then(|send| case.budget.excuses_outage(send.partition));
            let evidence = invoked.map(|send| send.invoked).into_iter().chain([deadline]).collect();
            Finding::new(invoked.map(|s| s.partition), message, evidence).excused_by(outage)
        }
        Missing::Refused { producer, seq, error } => {
            let send = case.ledger.latest(&producer, seq);
            let message = format!("send {seq} of {producer} failed although the cluster had healed: {error}");
            let outage = send.and_then(|send| case.budget.excuses_outage(send.partition));
            let evidence = send.map(|send| send.invoked).into_iter().chain([deadline]).collect();
            Finding::new(send.map(|s| s.partition), message, evidence).excused_by(outage)
        }
        Missing::NotTaken { producer, topic, error } => {
            let message =
                format!("{producer} did not take a record for {topic} in a healed cluster: {error}");
            Finding::new(None, message, vec![deadline]).excused_by(outage_of_topic(case, &topic))
        }
        Missing::Lag { consumer, partition, position, end } => {
            let message = format!("{consumer} stands at {partition}@{position}, the log ends at {end}");
            let outage = case.budget.excuses_outage(&partition);
            Finding::new(Some(&partition), message, vec![deadline]).excused_by(outage)
        }
        Missing::Member { group, member, state } => {
            Finding::new(None, format!("{member} {state} in group {group}"), vec![deadline])
        }
        Missing::Owner { group, partition } => {
            let outage = case.budget.excuses_outage(&partition);
            let message = format!("nobody in group {group} owns {partition}");
            Finding::new(Some(&partition), message, vec![deadline]).excused_by(outage)
        }
        Missing::SingleOwner { group, partition, owners: [a, b] } => {
            let message = format!("{a} and {b} both own {partition} in group {group}");
            Finding::new(Some(&partition), message, vec![deadline])
        }
    }
}

/// Why some partition of the topic cannot be written to, if that may be.
fn outage_of_topic(case: &Case, topic: &str) -> Option<String> {
    let partitions = case.terms.topics.get(topic).map_or(0, |topic| topic.partitions);
    let mut each = (0..partitions.cast_signed()).map(|number| TopicPartition::new(topic, number));
    each.find_map(|partition| case.budget.excuses_outage(&partition))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use seedlog::facts::Fact;
    use seedlog::types::{Acks, BrokerId, SessionId, TopicPartition};

    use super::CHECK;
    use crate::checkers::story::{Story, broker_1, orders, tag};
    use crate::history::{Injected, Phase, Seen};

    fn registered(story: Story) -> Story {
        story.fact("broker-1", Fact::BrokerRegistered { broker: BrokerId(1), session: SessionId(1) })
    }

    #[test]
    fn a_cluster_that_came_back_passes() {
        let story = registered(Story::new().kill())
            .assigned("a", 0)
            .phase(Phase::Converge)
            .send(0, "r-0")
            .appended(0, 0, 1)
            .acked(0, 0)
            .read("a", 0, "r-0")
            .phase(Phase::Drain);
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_cluster_that_comes_back_when_everybody_has_given_up_is_found() {
        let healed = |after| {
            let story = Story::new().kill().phase(Phase::Converge).after(Duration::from_secs(after));
            registered(story).after(Duration::from_secs(20)).phase(Phase::Drain)
        };
        assert!(healed(50).violations(&CHECK).is_empty());
        assert_eq!(healed(60).violations(&CHECK), ["broker 1 is not registered at the deadline"]);
    }

    #[test]
    fn the_deadline_is_counted_from_the_last_record_that_was_sent_and_grows_with_the_work() {
        let busy = |story: Story| {
            let story = story.phase(Phase::Converge).after(Duration::from_secs(40)).send(0, "r-0");
            let story = story.appended(0, 0, 1).acked(0, 0).after(Duration::from_secs(50));
            registered(story).phase(Phase::Drain)
        };
        assert!(busy(Story::new().kill()).violations(&CHECK).is_empty());
        let left = |processing| {
            let story = Story::new().group_terms(Duration::from_secs(6), Duration::from_secs(processing));
            let story = story.appended(0, 9, 1).kill().phase(Phase::Converge);
            registered(story.after(Duration::from_secs(65))).phase(Phase::Drain)
        };
        assert!(left(1).violations(&CHECK).is_empty());
        assert_eq!(left(0).violations(&CHECK).len(), 1);
    }

    #[test]
    fn an_application_that_waits_for_ever_is_found() {
        let story = Story::new().phase(Phase::Converge).after(Duration::from_secs(120));
        let stuck = story.seen(Seen::Unfinished { client: "shop".into() });
        assert_eq!(stuck.violations(&CHECK), ["shop still waits for a call of its producer"]);
    }

    #[test]
    fn a_send_that_is_never_resolved_is_found() {
        let story = Story::new().send(0, "r-0").phase(Phase::Drain);
        assert_eq!(story.violations(&CHECK), ["shop still waits for 1 sends, the first is number 0"]);
    }

    #[test]
    fn a_send_refused_after_the_heal_is_found_and_one_before_it_is_not() {
        let before = Story::new().send(0, "r-0").unknown(0).phase(Phase::Converge).phase(Phase::Drain);
        assert!(before.violations(&CHECK).is_empty());
        let after = Story::new().phase(Phase::Converge).send(0, "r-0").unknown(0).phase(Phase::Drain);
        assert_eq!(after.violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_record_that_is_not_even_taken_is_found_where_it_had_to_be() {
        let refused = |must_take| {
            let (producer, topic, error) = ("shop".into(), "orders".into(), "no topic".into());
            let refused = Fact::SendRefused { producer, topic, error, must_take };
            Story::new().phase(Phase::Converge).fact("shop", refused).phase(Phase::Drain)
        };
        assert!(refused(false).violations(&CHECK).is_empty());
        let expected = ["shop did not take a record for orders in a healed cluster: no topic"];
        assert_eq!(refused(true).violations(&CHECK), expected);
    }

    #[test]
    fn a_reader_that_never_says_where_it_stands_is_found() {
        let begun = || {
            let story = Story::new().reading_alone("a").appended(0, 0, 1);
            story.fault(Injected::Start { target: "a".into() }).phase(Phase::Converge)
        };
        let expected = ["a stands at orders-0@0, the log ends at 1"];
        assert_eq!(begun().phase(Phase::Drain).violations(&CHECK), expected);
        assert!(begun().assigned("a", 1).phase(Phase::Drain).violations(&CHECK).is_empty());
        let second = begun().assigned("a", 1).fault(Injected::Start { target: "a".into() });
        assert_eq!(second.phase(Phase::Drain).violations(&CHECK), expected);
    }

    #[test]
    fn a_send_of_a_producers_second_incarnation_is_not_taken_for_one_of_its_first() {
        let elsewhere = Fact::SendInvoked {
            producer: "shop".into(),
            seq: 0,
            partition: TopicPartition::new("orders", 7),
            record: tag("r-0"),
            acks: Acks::All,
        };
        let refused = |damaged: TopicPartition| {
            let first_incarnation = Story::new().fact("shop", elsewhere.clone()).acked(0, 0);
            let first_incarnation = first_incarnation.damaged_of(damaged, "flip-bit", 0, Some(1));
            first_incarnation
                .killed("shop")
                .phase(Phase::Converge)
                .send(0, "s-0")
                .unknown(0)
                .phase(Phase::Drain)
        };
        assert_eq!(refused(orders()).excused(&CHECK).len(), 1);
        assert_eq!(refused(TopicPartition::new("orders", 7)).violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_consumer_that_lags_is_found() {
        let story = Story::new().assigned("a", 0).appended(0, 4, 1).phase(Phase::Drain);
        assert_eq!(story.violations(&CHECK), ["a stands at orders-0@0, the log ends at 5"]);
    }

    #[test]
    fn a_broker_that_did_not_register_again_is_found() {
        let story = registered(Story::new()).kill().phase(Phase::Drain);
        assert_eq!(story.violations(&CHECK), ["broker 1 is not registered at the deadline"]);
    }

    fn refusing(has_lied: bool, power_fails: bool) -> Story {
        let story = registered(Story::new()).recovered(0, false).assigned("a", 0).appended(0, 0, 1);
        let story = if has_lied { story.struck("lying-sync") } else { story };
        let story = if power_fails { story.power_failure() } else { story.kill() };
        let reason = "meta.properties is empty".into();
        let story = story.fault(Injected::Start { target: broker_1() });
        story.fact("broker-1", Fact::BrokerStartFailed { broker: BrokerId(1), reason })
    }

    #[test]
    fn a_disk_that_lied_and_lost_power_excuses_a_broker_that_refuses_to_start_and_its_partitions() {
        let story = refusing(true, true).phase(Phase::Drain);
        assert!(story.violations(&CHECK).is_empty());
        assert_eq!(story.excused(&CHECK).len(), 2, "the broker, and who reads its partition");
        for story in [refusing(false, true), refusing(true, false)] {
            assert_eq!(story.phase(Phase::Drain).violations(&CHECK).len(), 2);
        }
    }

    /// Every record is there, and what says whose disk it is is not.
    #[test]
    fn a_disk_that_lied_about_a_file_that_holds_no_records_excuses_a_broker_that_refuses_to_start() {
        let refusing = |has_lied: bool, has_lost: bool| {
            let story = registered(Story::new());
            let story = if has_lied { story.struck("lying-sync") } else { story };
            let story = if has_lost { story.forgotten("/data/meta.properties") } else { story.kill() };
            let reason = "/data/meta.properties: no line `crc32=`".into();
            let story = story.fault(Injected::Start { target: broker_1() });
            story
                .fact("broker-1", Fact::BrokerStartFailed { broker: BrokerId(1), reason })
                .phase(Phase::Drain)
        };
        assert!(refusing(true, true).violations(&CHECK).is_empty());
        for story in [refusing(false, true), refusing(true, false)] {
            assert_eq!(story.violations(&CHECK), ["broker 1 is not registered at the deadline"]);
        }
    }

    #[test]
    fn a_disk_that_lied_excuses_no_broker_that_does_not_say_why_it_is_down() {
        let story = registered(Story::new()).struck("lying-sync");
        assert_eq!(story.power_failure().phase(Phase::Drain).violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_disk_that_lied_excuses_no_partition_that_was_opened_again() {
        let story = registered(refusing(true, true).recovered(1, false)).phase(Phase::Drain);
        assert_eq!(story.violations(&CHECK), ["a stands at orders-0@0, the log ends at 1"]);
    }

    #[test]
    fn a_disk_left_broken_excuses_its_broker() {
        let story = Story::new()
            .appended(0, 0, 1)
            .assigned("a", 0)
            .fault(Injected::DiskFull { target: broker_1(), free_bytes: 0 });
        let struck = story.struck("no-space").kill().phase(Phase::Drain);
        assert!(struck.violations(&CHECK).is_empty());
        assert_eq!(struck.excused(&CHECK).len(), 2);
    }

    #[test]
    fn a_disk_left_hanging_excuses_its_broker_once_somebody_has_met_it() {
        let hangs = Injected::DiskHangs { target: broker_1(), operation: None, file: None };
        let story = || Story::new().appended(0, 0, 1).assigned("a", 0).fault(hangs.clone());
        assert_eq!(story().struck("hanging-write").phase(Phase::Drain).excused(&CHECK).len(), 1);
        assert_eq!(story().phase(Phase::Drain).violations(&CHECK).len(), 1);
        let healthy = Injected::DiskHealthy { target: broker_1() };
        let cured = story().struck("hanging-write").fault(healthy).phase(Phase::Drain);
        assert_eq!(cured.violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_full_disk_that_nobody_wrote_to_excuses_no_broker() {
        let story =
            Story::new().appended(0, 0, 1).fault(Injected::DiskFull { target: broker_1(), free_bytes: 0 });
        assert_eq!(story.kill().phase(Phase::Drain).violations(&CHECK).len(), 1);
    }
}
