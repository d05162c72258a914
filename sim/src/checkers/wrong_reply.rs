//! H25, `wrong-reply`: a client that looks at every field was answered what no broker, or no library, may answer.
//!
//! The client says what is wrong. What it says of stored bytes is excused where these were damaged. One thing it cannot
//! know: that a broker denies to lead what it leads. To a producer this says that nothing was stored, whatever the true
//! reason was.

use std::collections::BTreeMap;

use seedlog::facts::Fact;
use seedlog::types::{BrokerId, TopicPartition};

use super::ledger::{Outcome, Send};
use super::{Case, Check, Feature, Finding};
use crate::history::{Entry, Injected, What, broker_of_node};

pub const CHECK: Check = Check::new("H25", "wrong-reply", Feature::RawClient, judge);

fn judge(case: &Case) -> Vec<Finding> {
    let of_raw_client = |send: &&Send| case.terms.producers.get(send.producer).is_some_and(|p| p.is_wire);
    let answered = case.ledger.sends.iter().filter(of_raw_client);
    let answered =
        answered.filter(|send| matches!(send.outcome, Outcome::Ok { .. } | Outcome::Failed { .. }));
    case.obligations.meet_many(answered.count() as u64);
    let wrong = case.history.iter().enumerate().filter_map(|(at, entry)| {
        let What::Fact(Fact::WrongReply { client, partition, reason }) = &entry.what else { return None };
        let finding = Finding::new(partition.as_ref(), format!("{client}: {reason}"), vec![at]);
        let excuse = partition.as_ref().and_then(|partition| case.budget.excuses_damage_somewhere(partition));
        Some(finding.excused_by(excuse))
    });
    wrong.chain(denials(case)).collect()
}

/// Who leads a partition since when, in the present life of its process.
type Led<'a> = BTreeMap<&'a TopicPartition, (BrokerId, usize)>;

fn denials(case: &Case) -> Vec<Finding> {
    let mut led = Led::new();
    let mut findings = Vec::new();
    for (at, entry) in case.history.iter().enumerate() {
        match &entry.what {
            What::Fact(Fact::BecameLeader { broker, partition, .. }) => {
                // Who leads already leads on, in another epoch.
                let known = led.entry(partition).or_insert((*broker, at));
                if known.0 != *broker {
                    *known = (*broker, at);
                }
            }
            What::Fact(Fact::BrokerStopped { broker } | Fact::BrokerStartFailed { broker, .. }) => {
                leads_nothing(&mut led, Some(*broker));
            }
            What::Fault(
                Injected::Kill { target }
                | Injected::PowerFailure { target }
                | Injected::Stop { target }
                | Injected::Start { target },
            ) => leads_nothing(&mut led, broker_of_node(target)),
            What::Fact(Fact::LeadershipDenied { client, broker, partition, seq }) => {
                let Some((leader, since)) = led.get(partition).copied() else { continue };
                // What was asked before may have come before.
                if leader == *broker && is_asked_in(&case.history[since..at], client, *seq) {
                    let message =
                        format!("{client} was told by broker {broker} that it does not lead {partition}");
                    findings.push(Finding::new(Some(partition), message, vec![since, at]));
                }
            }
            _ => {}
        }
    }
    findings
}

fn leads_nothing(led: &mut Led, broker: Option<BrokerId>) {
    led.retain(|_, (leader, _)| Some(*leader) != broker);
}

/// Each life of a client counts its sends anew: this is about its last one with that number.
fn is_asked_in(history: &[Entry], client: &str, seq: u64) -> bool {
    history.iter().any(|entry| {
        matches!(&entry.what, What::Fact(Fact::SendInvoked { producer, seq: invoked, .. })
            if producer == client && *invoked == seq)
    })
}

#[cfg(test)]
mod tests {
    use seedlog::facts::Fact;
    use seedlog::types::{BrokerId, LeaderEpoch};

    use super::CHECK;
    use crate::checkers::story::{Story, orders};

    fn wrong_bytes() -> Fact {
        let reason = "nothing is returned".into();
        Fact::WrongReply { client: "scanner".into(), partition: Some(orders()), reason }
    }

    #[test]
    fn answers_to_a_client_that_looks_at_every_field_count_and_others_do_not() {
        let story = Story::new().send(0, "a").acked(0, 0).send(1, "b").unknown(1);
        assert_eq!(story.met(&CHECK), 0);
        assert_eq!(story.speaking_the_bare_protocol().met(&CHECK), 1);
    }

    #[test]
    fn what_a_client_complains_of_is_found() {
        let reason = "the correlation id of the reply to Produce is 3 and not 2".into();
        let wrong = Fact::WrongReply { client: "scanner".into(), partition: None, reason };
        assert_eq!(
            Story::new().fact("scanner", wrong).violations(&CHECK),
            ["scanner: the correlation id of the reply to Produce is 3 and not 2"]
        );
        assert_eq!(Story::new().fact("scanner", wrong_bytes()).violations(&CHECK).len(), 1);
    }

    fn leads() -> Fact {
        Fact::BecameLeader { broker: BrokerId(1), partition: orders(), epoch: LeaderEpoch(1) }
    }

    fn denied() -> Fact {
        Fact::LeadershipDenied { client: "shop".into(), broker: BrokerId(1), partition: orders(), seq: 0 }
    }

    #[test]
    fn a_leader_that_denies_to_lead_is_found() {
        let story = Story::new().fact("broker-1", leads()).send(0, "a").fact("shop", denied());
        assert_eq!(story.violations(&CHECK), ["shop was told by broker 1 that it does not lead orders-0"]);
    }

    #[test]
    fn a_new_epoch_of_the_same_leader_is_no_excuse() {
        let story = Story::new().fact("broker-1", leads()).send(0, "a").fact("broker-1", leads());
        assert_eq!(story.fact("shop", denied()).violations(&CHECK).len(), 1);
    }

    #[test]
    fn who_was_asked_before_it_led_or_leads_no_more_may_deny_it() {
        let before = Story::new().send(0, "a").fact("broker-1", leads()).fact("shop", denied());
        let killed = Story::new().fact("broker-1", leads()).kill().send(0, "a").fact("shop", denied());
        let stopped = Fact::BrokerStopped { broker: BrokerId(1) };
        let stopped = Story::new().fact("broker-1", leads()).fact("broker-1", stopped);
        let stopped = stopped.send(0, "a").fact("shop", denied());
        let next_life = Story::new().send(0, "a").fact("broker-1", leads()).fact("shop", denied());
        let next_life = next_life.send(0, "b");
        for story in [before, killed, stopped, next_life] {
            assert!(story.violations(&CHECK).is_empty());
        }
    }

    #[test]
    fn wrong_bytes_are_excused_where_the_disk_damaged_them() {
        let story = Story::new().damaged("flip-bit", 3, Some(4)).fact("scanner", wrong_bytes());
        assert!(story.violations(&CHECK).is_empty());
    }
}
