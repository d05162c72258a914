//! The state of every node at one moment of a run, as far as its history tells.
//!
//! Facts and faults in, state out; what no fact states (memory, queues) is not here.

use std::collections::{BTreeMap, BTreeSet};

use seedlog::facts::Fact;
use seedlog::types::{BrokerId, LeaderEpoch, Offset, TopicPartition};
use serde::Serialize;

use super::fault_text;
use crate::cluster::ZOOKEEPER;
use crate::history::{Entry, Injected, Phase, What, broker_node};

/// Everything at one moment.
#[derive(Debug, Default, Serialize)]
pub struct State {
    pub at_ms: u64,
    pub phase: Option<Phase>,
    pub brokers: BTreeMap<String, Broker>,
    pub producers: BTreeMap<String, Producer>,
    pub consumers: BTreeMap<String, Consumer>,
    /// Sessions that ZooKeeper holds, by their number.
    pub sessions: BTreeSet<i64>,
    /// Committed offsets (the next to read) by group.
    pub committed: BTreeMap<String, BTreeMap<String, Offset>>,
    /// Faults in force, each with the virtual milliseconds at which it began.
    pub faults: BTreeMap<String, u64>,
    /// Nodes that are down, and why.
    pub down: BTreeMap<String, String>,
    pub paused: BTreeSet<String>,
}

#[derive(Debug, Default, Serialize)]
pub struct Broker {
    /// Under which it registered last.
    pub session: Option<i64>,
    pub partitions: BTreeMap<String, Log>,
}

/// One partition on one broker. Ends are exclusive.
#[derive(Debug, Default, Serialize)]
pub struct Log {
    pub start: Offset,
    pub end: Offset,
    pub flushed: Offset,
    /// The epoch in which the broker leads it, if it was the last to say so.
    pub leads: Option<LeaderEpoch>,
}

#[derive(Debug, Default, Serialize)]
pub struct Producer {
    pub sent: u64,
    pub acked: u64,
    pub failed: u64,
    pub unknown: u64,
}

impl Producer {
    /// Sends whose fate is open.
    pub fn open(&self) -> u64 {
        self.sent.saturating_sub(self.acked + self.failed + self.unknown)
    }
}

#[derive(Debug, Default, Serialize)]
pub struct Consumer {
    pub group: Option<String>,
    /// Of a group's member with ZooKeeper.
    pub session: Option<i64>,
    /// The next offset to read.
    pub positions: BTreeMap<String, Offset>,
    pub owns: BTreeSet<String>,
    pub is_paused: bool,
}

impl State {
    /// The state after everything up to `at_ns` has happened.
    pub fn at(history: &[Entry], at_ns: u64) -> State {
        let mut state = State { at_ms: at_ns / 1_000_000, ..State::default() };
        for entry in history.iter().take_while(|entry| entry.at_ns <= at_ns) {
            match &entry.what {
                What::Phase(entered) => state.phase = Some(entered.phase),
                What::Fault(fault) => state.fault(fault, entry.at_ns / 1_000_000),
                What::Fact(fact) => state.fact(fact),
            }
        }
        state
    }

    fn fault(&mut self, fault: &Injected, at_ms: u64) {
        match fault {
            Injected::Start { target } => {
                self.down.remove(&**target);
                self.paused.remove(&**target);
                if broker_id(target).is_some() {
                    self.brokers.entry(target.to_string()).or_default().session = None;
                }
            }
            Injected::Kill { target } | Injected::PowerFailure { target } | Injected::Stop { target } => {
                self.down.insert(target.to_string(), fault_text::text(fault));
                self.paused.remove(&**target);
            }
            Injected::Pause { target } => {
                self.paused.insert(target.to_string());
            }
            Injected::Resume { target } => {
                self.paused.remove(&**target);
            }
            _ => {}
        }
        self.faults.retain(|text, _| !ends(fault, text));
        if lasts(fault) {
            self.faults.insert(fault_text::text(fault), at_ms);
        }
    }

    fn fact(&mut self, fact: &Fact) {
        match fact {
            Fact::BrokerRegistered { broker, session } => self.broker(*broker).session = Some(*session),
            Fact::BrokerStopped { broker } => self.is_down(*broker, "stopped"),
            Fact::BrokerStartFailed { broker, reason } => self.is_down(*broker, reason),
            Fact::LogDirFailed { broker, reason } => self.is_down(*broker, reason),
            Fact::LogRecovered { broker, partition, log_start, log_end, .. } => {
                let log = self.log(*broker, partition);
                (log.start, log.end, log.leads) = (*log_start, *log_end, None);
                log.flushed = log.flushed.min(*log_end);
            }
            Fact::BecameLeader { broker, partition, epoch } => {
                for other in self.brokers.values_mut() {
                    if let Some(log) = other.partitions.get_mut(&partition.to_string()) {
                        log.leads = None;
                    }
                }
                self.log(*broker, partition).leads = Some(*epoch);
            }
            Fact::Appended { broker, partition, last, .. } => self.log(*broker, partition).end = last.next(),
            Fact::Flushed { broker, partition, end } => self.log(*broker, partition).flushed = *end,
            Fact::Truncated { broker, partition, end } => {
                let log = self.log(*broker, partition);
                log.end = *end;
                log.flushed = log.flushed.min(*end);
            }
            Fact::SendInvoked { producer, .. } => self.producer(producer).sent += 1,
            Fact::SendOk { producer, .. } => self.producer(producer).acked += 1,
            Fact::SendFailed { producer, .. } => self.producer(producer).failed += 1,
            Fact::SendUnknown { producer, .. } => self.producer(producer).unknown += 1,
            Fact::SessionOpened { session } => {
                self.sessions.insert(*session);
            }
            Fact::SessionExpired { session } => {
                self.sessions.remove(session);
            }
            _ => self.consumer_fact(fact),
        }
    }

    fn consumer_fact(&mut self, fact: &Fact) {
        let Some(name) = fact.consumer() else { return };
        if let Fact::CommitOk { group, partition, offset, .. } = fact {
            self.committed.entry(group.clone()).or_default().insert(partition.to_string(), *offset);
        }
        let consumer = self.consumers.entry(name.to_owned()).or_default();
        match fact {
            Fact::Assigned { partition, position, .. } | Fact::Seeked { partition, position, .. } => {
                consumer.positions.insert(partition.to_string(), *position);
            }
            Fact::PositionReset { partition, to, .. } => {
                consumer.positions.insert(partition.to_string(), *to);
            }
            Fact::Delivered { partition, offset, .. } => {
                consumer.positions.insert(partition.to_string(), offset.next());
            }
            Fact::GroupJoined { group, session, .. } => {
                consumer.group = Some(group.clone());
                consumer.session = Some(*session);
            }
            Fact::GroupLeft { .. } | Fact::GroupSessionLost { .. } => {
                consumer.session = None;
                consumer.owns.clear();
            }
            Fact::PartitionOwned { partition, .. } => {
                consumer.owns.insert(partition.to_string());
            }
            Fact::PartitionReleased { partition, .. } => {
                consumer.owns.remove(&partition.to_string());
            }
            Fact::DeliveryPaused { .. } => consumer.is_paused = true,
            Fact::DeliveryResumed { .. } => consumer.is_paused = false,
            _ => {}
        }
    }

    fn broker(&mut self, broker: BrokerId) -> &mut Broker {
        self.brokers.entry(broker_node(broker).to_string()).or_default()
    }

    fn log(&mut self, broker: BrokerId, partition: &TopicPartition) -> &mut Log {
        self.broker(broker).partitions.entry(partition.to_string()).or_default()
    }

    fn is_down(&mut self, broker: BrokerId, why: &str) {
        self.down.entry(broker_node(broker).to_string()).or_insert_with(|| why.to_owned());
    }

    fn producer(&mut self, name: &str) -> &mut Producer {
        self.producers.entry(name.to_owned()).or_default()
    }

    /// What a node is doing, in a word or two.
    pub fn process(&self, node: &str) -> String {
        match self.down.get(node) {
            Some(why) => format!("down ({why})"),
            None if self.paused.contains(node) => "paused".to_owned(),
            None => "up".to_owned(),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let phase = self.phase.map_or("before the start".into(), |phase| format!("{phase:?}").to_lowercase());
        let mut lines = vec![format!("{}.{:03} s, {phase}", self.at_ms / 1000, self.at_ms % 1000)];
        lines.push(format!("{ZOOKEEPER}: {}, {} sessions", self.process(ZOOKEEPER), self.sessions.len()));
        for (name, broker) in &self.brokers {
            let session =
                broker.session.map_or("not registered".into(), |s| format!("registered, session {s:#x}"));
            lines.push(format!("{name}: {}, {session}", self.process(name)));
            for (partition, log) in &broker.partitions {
                let leads = log.leads.map_or(String::new(), |epoch| format!(", leads in epoch {epoch}"));
                lines.push(format!(
                    "  {partition:<14} {}..{}, flushed to {}{leads}",
                    log.start, log.end, log.flushed
                ));
            }
        }
        for (name, producer) in &self.producers {
            lines.push(format!(
                "{name}: {}, {} sent: {} acked, {} failed, {} unknown, {} open",
                self.process(name),
                producer.sent,
                producer.acked,
                producer.failed,
                producer.unknown,
                producer.open()
            ));
        }
        for (name, consumer) in &self.consumers {
            let positions: Vec<String> =
                consumer.positions.iter().map(|(p, at)| format!("{p}@{at}")).collect();
            let group = consumer.group.as_ref().map_or(String::new(), |group| {
                let session = consumer.session.map_or("no session".into(), |s| format!("session {s:#x}"));
                let owns: Vec<&str> = consumer.owns.iter().map(String::as_str).collect();
                let paused = if consumer.is_paused { ", delivery paused" } else { "" };
                format!(", of {group}, {session}, owns [{}]{paused}", owns.join(", "))
            });
            lines.push(format!("{name}: {}, at [{}]{group}", self.process(name), positions.join(", ")));
        }
        for (group, offsets) in &self.committed {
            let offsets: Vec<String> =
                offsets.iter().map(|(partition, offset)| format!("{partition}@{offset}")).collect();
            lines.push(format!("committed by {group}: {}", offsets.join(", ")));
        }
        for (fault, since) in &self.faults {
            lines.push(format!("FAULT since {}.{:03} s: {fault}", since / 1000, since % 1000));
        }
        lines.join("\n")
    }
}

fn broker_id(node: &str) -> Option<BrokerId> {
    crate::history::broker_of_node(node)
}

/// Whether a fault stays in force until something ends it.
fn lasts(fault: &Injected) -> bool {
    fault.kind().is_some()
        && !matches!(
            fault,
            Injected::Reset { .. }
                | Injected::Drop { .. }
                | Injected::ExpireSession { .. }
                | Injected::LoseReply { .. }
                | Injected::LoseRegistration { .. }
                | Injected::ReconnectStorm { .. }
                | Injected::BitFlip { .. }
                | Injected::FileTruncated { .. }
                | Injected::HugeRecord { .. }
                | Injected::RollingRestart { .. }
                | Injected::Wipe { .. }
                | Injected::Reconfigure { .. }
        )
}

/// Whether `end` ends the fault of this text: the text of each fault that it may end is known.
fn ends(end: &Injected, text: &str) -> bool {
    let begins = |fault: Injected| fault_text::text(&fault) == text;
    match end {
        Injected::Start { target } => [
            Injected::Kill { target: target.clone() },
            Injected::PowerFailure { target: target.clone() },
            Injected::Stop { target: target.clone() },
        ]
        .into_iter()
        .any(begins),
        Injected::Resume { target } => begins(Injected::Pause { target: target.clone() }),
        Injected::Kill { target } | Injected::PowerFailure { target } => {
            begins(Injected::Pause { target: target.clone() }) || is_armed(text, target)
        }
        Injected::Mend { from, to } => begins(Injected::Cut { from: from.clone(), to: to.clone() }),
        Injected::Prompt { from, to } => {
            starts(text, &Injected::Prompt { from: from.clone(), to: to.clone() }, " is prompt", " takes ")
        }
        Injected::FullBandwidth { from, to } => {
            text.starts_with(&format!("{} -> {} carries ", person(from), person(to)))
        }
        Injected::Release { a, b, .. } => text.starts_with("stall ") && text.ends_with(&pair(a, b)),
        Injected::Accept { target } => of_node(text, target) && (text.contains("connect")),
        Injected::DiskHealthy { target } => text.starts_with(&format!("disk of {} ", person(target))),
        Injected::ClockRight { target } => text.starts_with(&format!("wall clock of {} ", person(target))),
        Injected::WatchesPrompt { .. } => text.contains("watch"),
        Injected::QuorumBack { .. } => text.contains("quorum"),
        Injected::UsualLoad { target } => of_node(text, target) && (text.contains("send")),
        Injected::UsualPace { target } => of_node(text, target) && text.contains("slower"),
        _ => false,
    }
}

fn person(node: &str) -> String {
    super::evidence::person(node)
}

fn pair(a: &str, b: &str) -> String {
    format!("{} | {}", person(a), person(b))
}

fn of_node(text: &str, node: &str) -> bool {
    text.starts_with(&format!("{} ", person(node)))
}

fn is_armed(text: &str, node: &str) -> bool {
    of_node(text, node) && text.contains(" will ")
}

/// Whether `text` begins as the text of `end` does before `until`, and goes on with `then`.
fn starts(text: &str, end: &Injected, until: &str, then: &str) -> bool {
    let end = fault_text::text(end);
    let before = end.split(until).next().unwrap_or_default();
    text.strip_prefix(before).is_some_and(|rest| rest.starts_with(then))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(millis: u64, fault: Injected) -> Entry {
        Entry { at_ns: millis * 1_000_000, node: "testbed".into(), incarnation: 0, what: What::Fault(fault) }
    }

    fn fact(millis: u64, fact: Fact) -> Entry {
        Entry { at_ns: millis * 1_000_000, node: "broker-1".into(), incarnation: 1, what: What::Fact(fact) }
    }

    fn orders() -> TopicPartition {
        TopicPartition::new("orders", 0)
    }

    #[test]
    fn a_moment_has_the_state_that_facts_and_faults_made_by_then() {
        let (broker, partition, target) = (BrokerId(1), orders(), "broker-1");
        let history = [
            fault(0, Injected::Start { target: target.into() }),
            fact(1, Fact::BrokerRegistered { broker, session: 7 }),
            fact(2, Fact::BecameLeader { broker, partition: partition.clone(), epoch: LeaderEpoch(3) }),
            fact(
                3,
                Fact::Appended {
                    broker,
                    partition: partition.clone(),
                    epoch: LeaderEpoch(3),
                    base: Offset(0),
                    last: Offset(4),
                    crc: 0,
                },
            ),
            fact(4, Fact::Flushed { broker, partition: partition.clone(), end: Offset(2) }),
            fault(5, Injected::Cut { from: "shop".into(), to: target.into() }),
            fault(6, Injected::PowerFailure { target: target.into() }),
            fault(8, Injected::Mend { from: "shop".into(), to: target.into() }),
            fault(9, Injected::Start { target: target.into() }),
        ];
        let before = State::at(&history, 5_000_000);
        let log = &before.brokers[target].partitions["orders-0"];
        assert_eq!((log.end, log.flushed, log.leads), (Offset(5), Offset(2), Some(LeaderEpoch(3))));
        assert_eq!((before.process(target).as_str(), before.brokers[target].session), ("up", Some(7)));
        assert_eq!(before.faults.keys().collect::<Vec<_>>(), ["cut shop -> broker 1"]);
        let struck = State::at(&history, 7_000_000);
        assert_eq!(struck.process(target), "down (power failure broker 1)");
        assert_eq!(struck.faults.len(), 2);
        let after = State::at(&history, 9_000_000);
        assert!(after.faults.is_empty() && after.down.is_empty(), "{:?}", after.faults);
        assert_eq!(after.brokers[target].session, None);
        assert!(struck.text().contains("FAULT since 0.006 s: power failure broker 1"), "{}", struck.text());
    }
}
