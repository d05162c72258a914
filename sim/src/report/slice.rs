//! The causal slice of a finding: the messages that led to it, back from its proof to what their senders had
//! stated before, and what else concerned its records, their partition, the brokers that held it and the
//! consumers that read it, as sentences in the order of time.
//!
//! Beyond the messages a selection by what entries are about; that one caused the next is for the reader to see.

mod edges;

use std::collections::BTreeSet;
use std::sync::Arc;

use edges::Edges;
use seedlog::facts::Fact;
use seedlog::runtime::sim::net::messages::Message;
use seedlog::types::{BrokerId, Offset, TopicPartition};

use super::evidence;
use crate::checkers::Finding;
use crate::history::{Entry, Injected, What, broker_node};

/// Sentences told at most; the proof itself is always told.
const SENTENCES_MAX: usize = 30;

/// The story of a finding, with the messages that carried it; `proof` is always told.
pub fn sentences(
    history: &[Entry],
    messages: &[Message],
    finding: &Finding,
    proof: &BTreeSet<usize>,
) -> Vec<String> {
    let concern = Concern::of(history, finding);
    let last = finding.evidence.iter().max().copied().unwrap_or(history.len().saturating_sub(1));
    let edges = Edges::back_from(history, messages, proof);
    let mut chosen: BTreeSet<usize> = proof.union(&edges.events).copied().collect();
    let around = history.iter().enumerate().take(last + 1).rev();
    // The latest first: what came shortly before the violation tells most about it.
    for (at, _) in around.filter(|(_, entry)| concern.is_about(entry)) {
        if chosen.len() >= SENTENCES_MAX {
            break;
        }
        chosen.insert(at);
    }
    // What brings news comes before what is stated of it, and a request behind the statement that it is made.
    let mut told: Vec<(u64, u8, String)> =
        chosen.iter().map(|&at| (history[at].at_ns, 1, sentence(&history[at]))).collect();
    told.extend(edges.told().map(|message| {
        let place = if message.is_request { 2 } else { 0 };
        (message.at_ns, place, format!("{} s  {}.", seconds(message.at_ns), message.text))
    }));
    told.sort_by_key(|(at_ns, place, _)| (*at_ns, *place));
    let mut told: Vec<String> = told.into_iter().map(|(_, _, sentence)| sentence).collect();
    told.push(format!("Therefore: {}.", finding.message.trim_end_matches('.')));
    told
}

/// Seconds since the run began, to the millisecond.
fn seconds(at_ns: u64) -> String {
    let millis = at_ns / 1_000_000;
    format!("{:>3}.{:03}", millis / 1000, millis % 1000)
}

/// Whom and what a finding is about.
#[derive(Default)]
struct Concern {
    partition: Option<TopicPartition>,
    offsets: BTreeSet<Offset>,
    /// Of commits, and of what was found committed.
    committed: BTreeSet<Offset>,
    sends: BTreeSet<(String, u64)>,
    consumers: BTreeSet<String>,
    /// The nodes that held the partition, or all that a finding without one speaks of.
    nodes: BTreeSet<Arc<str>>,
}

impl Concern {
    fn of(history: &[Entry], finding: &Finding) -> Concern {
        let mut concern = Concern { partition: finding.partition.clone(), ..Concern::default() };
        for entry in finding.evidence.iter().filter_map(|&at| history.get(at)) {
            concern.learn(entry);
        }
        for entry in history {
            if let What::Fact(fact) = &entry.what
                && fact.partition() == concern.partition.as_ref()
                && let Some(broker) = host(fact)
            {
                concern.nodes.insert(broker_node(broker));
            }
            concern.learn_offsets(entry);
        }
        concern
    }

    fn learn(&mut self, entry: &Entry) {
        let What::Fact(fact) = &entry.what else { return };
        self.partition = self.partition.take().or_else(|| fact.partition().cloned());
        self.consumers.extend(fact.consumer().map(str::to_owned));
        self.nodes.insert(Arc::clone(&entry.node));
        match fact {
            Fact::SendInvoked { producer, seq, .. }
            | Fact::SendFailed { producer, seq, .. }
            | Fact::SendUnknown { producer, seq, .. } => {
                self.sends.insert((producer.clone(), *seq));
            }
            Fact::SendOk { producer, seq, offset, .. } => {
                self.sends.insert((producer.clone(), *seq));
                self.offsets.extend(*offset);
            }
            Fact::Delivered { offset, .. }
            | Fact::Finished { offset, .. }
            | Fact::CorruptSkipped { offset, .. } => {
                self.offsets.insert(*offset);
            }
            Fact::CommitInvoked { offset, .. }
            | Fact::CommitOk { offset, .. }
            | Fact::CommitFailed { offset, .. }
            | Fact::OffsetFetched { offset: Some(offset), .. } => {
                self.committed.insert(*offset);
            }
            _ => {}
        }
    }

    /// Where the concerned sends were stored.
    fn learn_offsets(&mut self, entry: &Entry) {
        if let What::Fact(Fact::SendOk { producer, seq, offset: Some(offset), .. }) = &entry.what
            && self.sends.contains(&(producer.clone(), *seq))
        {
            self.offsets.insert(*offset);
        }
    }

    fn is_about(&self, entry: &Entry) -> bool {
        match &entry.what {
            What::Fault(fault) => self.strikes(fault),
            What::Phase(_) => true,
            What::Seen(_) => false,
            What::Fact(fact) => self.tells(fact),
        }
    }

    fn strikes(&self, fault: &Injected) -> bool {
        let is_concerned = |name: &Arc<str>| {
            self.nodes.contains(name)
                || self.consumers.contains(&**name)
                || self.sends.iter().any(|(p, _)| **p == **name)
        };
        fault.targets().into_iter().any(is_concerned)
    }

    fn tells(&self, fact: &Fact) -> bool {
        let is_here = fact.partition().is_none() || fact.partition() == self.partition.as_ref();
        let is_ours = |consumer: &String| self.consumers.contains(consumer);
        match fact {
            Fact::SendInvoked { producer, seq, .. }
            | Fact::SendOk { producer, seq, .. }
            | Fact::SendFailed { producer, seq, .. }
            | Fact::SendUnknown { producer, seq, .. } => self.sends.contains(&(producer.clone(), *seq)),
            Fact::SendRetried { producer, first_seq, last_seq, .. } => {
                self.sends.iter().any(|(p, seq)| p == producer && (first_seq..=last_seq).contains(&seq))
            }
            Fact::Appended { base, last, .. } => {
                is_here && self.offsets.iter().any(|offset| (base..=last).contains(&offset))
            }
            // Flushes come with every append; the one that matters ends just behind the record.
            Fact::Flushed { end, .. } => is_here && self.offsets.iter().any(|offset| offset.next() == *end),
            Fact::Delivered { consumer, offset, .. }
            | Fact::Finished { consumer, offset, .. }
            | Fact::Processed { consumer, offset, .. } => {
                is_here && self.offsets.contains(offset) && (is_ours(consumer) || self.consumers.is_empty())
            }
            // Of the many commits those of the offsets that the finding speaks of.
            Fact::CommitInvoked { offset, .. }
            | Fact::CommitOk { offset, .. }
            | Fact::CommitFailed { offset, .. } => is_here && self.committed.contains(offset),
            Fact::LogRecovered { .. }
            | Fact::UnsoundTailCut { .. }
            | Fact::Truncated { .. }
            | Fact::BecameLeader { .. } => is_here,
            Fact::LogDirFailed { broker, .. }
            | Fact::BrokerStartFailed { broker, .. }
            | Fact::BrokerRegistered { broker, .. } => self.nodes.contains(&broker_node(*broker)),
            Fact::SegmentRolled { .. } | Fact::SessionOpened { .. } | Fact::SessionExpired { .. } => false,
            other => is_here && other.consumer().is_some_and(|consumer| self.consumers.contains(consumer)),
        }
    }
}

fn host(fact: &Fact) -> Option<BrokerId> {
    match fact {
        Fact::Appended { broker, .. }
        | Fact::LogRecovered { broker, .. }
        | Fact::UnsoundTailCut { broker, .. }
        | Fact::BecameLeader { broker, .. } => Some(*broker),
        _ => None,
    }
}

fn sentence(entry: &Entry) -> String {
    let what = match &entry.what {
        What::Fault(fault) if fault.kind().is_some() => format!("FAULT: {}", evidence::text(entry)),
        What::Fault(_) | What::Seen(_) => format!("The testbed: {}", evidence::text(entry)),
        What::Phase(entered) => {
            format!("The phase of the {} begins", format!("{:?}", entered.phase).to_lowercase())
        }
        What::Fact(fact) => plain(fact)
            .unwrap_or_else(|| format!("{} {}", evidence::person(&entry.node), evidence::text(entry))),
    };
    format!("{} s  {what}.", seconds(entry.at_ns))
}

/// The facts that most scenarios are made of.
fn plain(fact: &Fact) -> Option<String> {
    let text = match fact {
        Fact::SendInvoked { producer, seq, partition, record, .. } => {
            format!("{producer} sends {:?} to {partition} (its send {seq})", record.label)
        }
        Fact::SendOk { producer, seq, partition, offset: Some(offset) } => {
            format!("{producer} is told that its send {seq} is stored as {partition}@{offset}")
        }
        Fact::SendUnknown { producer, seq, error, .. } => {
            format!("{producer} does not learn what became of its send {seq}: {error}")
        }
        Fact::Appended { broker, partition, base, last, .. } if base == last => {
            format!("broker {broker} appends {partition}@{base}")
        }
        Fact::Appended { broker, partition, base, last, .. } => {
            format!("broker {broker} appends {partition}@{base} to {last}")
        }
        Fact::Flushed { broker, partition, end } => {
            format!("broker {broker} has all of {partition} below {end} on stable storage")
        }
        Fact::LogRecovered { broker, partition, clean, log_start, log_end, bytes_cut } => {
            let how = if *clean { "as it was closed" } else { "after scanning it" };
            let cut =
                if *bytes_cut > 0 { format!(", and cuts {bytes_cut} bytes off") } else { String::new() };
            format!("broker {broker} opens {partition} {how}: it holds {log_start} to below {log_end}{cut}")
        }
        Fact::BecameLeader { broker, partition, epoch } => {
            format!("broker {broker} leads {partition} in epoch {epoch}")
        }
        Fact::Delivered { consumer, partition, offset, record } => {
            format!("{consumer} reads {partition}@{offset}: {:?}", record.label)
        }
        Fact::CommitOk { consumer, partition, offset, .. } => {
            format!("{consumer} has committed that it goes on with {partition}@{offset}")
        }
        Fact::PartitionOwned { consumer, partition, .. } => format!("{consumer} owns {partition}"),
        _ => return None,
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use seedlog::facts::RecordTag;
    use seedlog::types::{Acks, LeaderEpoch};

    use super::*;

    fn fact(millis: u64, node: &str, fact: Fact) -> Entry {
        Entry { at_ns: millis * 1_000_000, node: node.into(), incarnation: 1, what: What::Fact(fact) }
    }

    fn orders() -> TopicPartition {
        TopicPartition::new("orders", 0)
    }

    fn sent(seq: u64) -> Fact {
        let record = RecordTag::of(None, Some(format!("r-{seq}").as_bytes()));
        Fact::SendInvoked { producer: "shop".into(), seq, partition: orders(), record, acks: Acks::All }
    }

    fn acked(seq: u64, offset: i64) -> Fact {
        Fact::SendOk { producer: "shop".into(), seq, partition: orders(), offset: Some(Offset(offset)) }
    }

    fn appended(offset: i64) -> Fact {
        let (base, last) = (Offset(offset), Offset(offset));
        Fact::Appended { broker: BrokerId(2), partition: orders(), epoch: LeaderEpoch(0), base, last, crc: 1 }
    }

    fn proof(finding: &Finding) -> BTreeSet<usize> {
        finding.evidence.iter().copied().collect()
    }

    fn power_failure(target: &str) -> Entry {
        let fault = Injected::PowerFailure { target: target.into() };
        Entry { at_ns: 40_000_000, node: "testbed".into(), incarnation: 0, what: What::Fault(fault) }
    }

    #[test]
    fn the_story_of_a_lost_record_has_its_send_its_broker_and_what_struck_it() {
        let history = [
            fact(10, "shop", sent(0)),
            fact(11, "broker-2", appended(0)),
            fact(12, "shop", acked(0, 0)),
            fact(20, "shop", sent(1)),
            fact(21, "broker-2", appended(1)),
            fact(22, "shop", acked(1, 1)),
            power_failure("broker-1"),
            power_failure("broker-2"),
        ];
        let finding = Finding {
            partition: Some(orders()),
            message: "orders-0@1 was acked, and lost".into(),
            evidence: vec![5, 7],
            excuse: None,
            explanation: None,
        };
        let told = sentences(&history, &[], &finding, &proof(&finding));
        let expected = [
            "  0.020 s  shop sends \"r-1\" to orders-0 (its send 1).",
            "  0.021 s  broker 2 appends orders-0@1.",
            "  0.022 s  shop is told that its send 1 is stored as orders-0@1.",
            "  0.040 s  FAULT: power failure broker 2.",
            "Therefore: orders-0@1 was acked, and lost.",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn of_what_members_do_all_day_only_the_finding_s_offsets_are_told() {
        let consumer = || "billing-1".to_owned();
        let group = || "billing".to_owned();
        let processed = |offset| Fact::Processed { consumer: consumer(), partition: orders(), offset };
        let committed =
            |offset| Fact::CommitOk { group: group(), consumer: consumer(), partition: orders(), offset };
        let history = [
            fact(10, "billing-1", processed(Offset(1))),
            fact(11, "billing-1", committed(Offset(2))),
            fact(12, "billing-1", processed(Offset(2))),
            fact(13, "billing-1", committed(Offset(3))),
        ];
        let message = "M".to_owned();
        let finding = Finding {
            partition: Some(orders()),
            message,
            evidence: vec![3],
            excuse: None,
            explanation: None,
        };
        let told = sentences(&history, &[], &finding, &proof(&finding));
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("goes on with orders-0@3"), "{told:?}");
    }

    #[test]
    fn a_long_story_keeps_its_proof_and_what_came_last() {
        let history: Vec<Entry> = (0..200)
            .map(|millis| {
                fact(
                    millis,
                    "broker-2",
                    Fact::BecameLeader { broker: BrokerId(2), partition: orders(), epoch: LeaderEpoch(0) },
                )
            })
            .collect();
        let finding = Finding {
            partition: Some(orders()),
            message: "M".into(),
            evidence: vec![0, 199],
            excuse: None,
            explanation: None,
        };
        let told = sentences(&history, &[], &finding, &proof(&finding));
        assert_eq!(told.len(), SENTENCES_MAX + 1);
        assert!(told[0].starts_with("  0.000 s") && told[1].starts_with("  0.171 s"), "{told:?}");
    }
}
