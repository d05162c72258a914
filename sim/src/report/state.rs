//! The state of every node at one moment of a run, as far as its history tells.
//!
//! Facts and faults in, state out; what no fact states (memory, queues) is not here.

mod faults;
mod groups;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use seedlog::facts::Fact;
use seedlog::types::{BrokerId, LeaderEpoch, Offset, SessionId, TopicPartition};
use serde::Serialize;

use faults::{ends, lasts};
pub use groups::{Owner, Place, Places};

use super::fault_text;
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
    pub sessions: BTreeSet<SessionId>,
    /// When those of them expire that do so later in the run, in virtual milliseconds. Others are closed in order,
    /// or alive to its end.
    pub session_ends: BTreeMap<SessionId, u64>,
    pub groups: BTreeMap<String, Places>,
    /// Faults in force, each with the virtual milliseconds at which it began.
    pub faults: BTreeMap<String, u64>,
    pub down: BTreeMap<String, Down>,
    pub paused: BTreeSet<String>,
}

/// Of a node whose process ended.
#[derive(Debug, Serialize)]
pub struct Down {
    pub since_ms: u64,
    pub why: String,
}

#[derive(Debug, Default, Serialize)]
pub struct Broker {
    /// Under which it registered last.
    pub session: Option<SessionId>,
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
    pub session: Option<SessionId>,
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
                What::Fact(fact) => state.fact(fact, entry.at_ns / 1_000_000),
                What::Seen(_) => {}
            }
        }
        for entry in history.iter().skip_while(|entry| entry.at_ns <= at_ns) {
            if let What::Fact(Fact::SessionExpired { session }) = &entry.what
                && state.sessions.contains(session)
            {
                state.session_ends.insert(*session, entry.at_ns / 1_000_000);
            }
        }
        state
    }

    fn fault(&mut self, fault: &Injected, at_ms: u64) {
        match fault {
            Injected::Start { target } => {
                self.down.remove(&**target);
                self.paused.remove(&**target);
                self.forget(target);
                if broker_id(target).is_some() {
                    self.brokers.entry(target.to_string()).or_default().session = None;
                }
            }
            Injected::Kill { target } | Injected::PowerFailure { target } | Injected::Stop { target } => {
                self.down.insert(target.to_string(), Down { since_ms: at_ms, why: fault_text::text(fault) });
                self.paused.remove(&**target);
                if !matches!(fault, Injected::Stop { .. }) {
                    self.forget(target);
                }
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

    /// A consumer's memory is gone with its process.
    fn forget(&mut self, node: &str) {
        if let Some(consumer) = self.consumers.get_mut(node) {
            let group = consumer.group.take();
            *consumer = Consumer { group, ..Consumer::default() };
        }
        self.lose_positions_of(node);
    }

    fn fact(&mut self, fact: &Fact, at_ms: u64) {
        match fact {
            Fact::BrokerRegistered { broker, session } => self.broker(*broker).session = Some(*session),
            Fact::BrokerStopped { broker } => {
                // It took its registration back and closed its session.
                if let Some(session) = self.broker(*broker).session.take() {
                    self.sessions.remove(&session);
                }
                self.is_down(*broker, at_ms, "stopped");
            }
            Fact::BrokerStartFailed { broker, reason } | Fact::LogDirFailed { broker, reason } => {
                self.is_down(*broker, at_ms, reason);
            }
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
                self.group_fact(fact);
            }
            _ => {
                self.consumer_fact(fact);
                self.group_fact(fact);
            }
        }
    }

    fn consumer_fact(&mut self, fact: &Fact) {
        let Some(name) = fact.consumer() else { return };
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
            Fact::GroupLeft { .. } => {
                consumer.owns.clear();
                // Whoever leaves closes its session.
                if let Some(session) = consumer.session.take() {
                    self.sessions.remove(&session);
                }
            }
            Fact::GroupSessionLost { .. } => {
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

    fn is_down(&mut self, broker: BrokerId, since_ms: u64, why: &str) {
        let down = || Down { since_ms, why: why.to_owned() };
        self.down.entry(broker_node(broker).to_string()).or_insert_with(down);
    }

    fn producer(&mut self, name: &str) -> &mut Producer {
        self.producers.entry(name.to_owned()).or_default()
    }
}

fn broker_id(node: &str) -> Option<BrokerId> {
    crate::history::broker_of_node(node)
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
            fact(1, Fact::BrokerRegistered { broker, session: SessionId(7) }),
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
        assert_eq!(
            (before.process(target).as_str(), before.brokers[target].session),
            ("up", Some(SessionId(7)))
        );
        assert_eq!(before.faults.keys().collect::<Vec<_>>(), ["cut shop -> broker 1"]);
        let struck = State::at(&history, 7_000_000);
        assert_eq!(struck.process(target), "down since 0.006 s (power failure broker 1)");
        assert_eq!(struck.faults.len(), 2);
        let after = State::at(&history, 9_000_000);
        assert!(after.faults.is_empty() && after.down.is_empty(), "{:?}", after.faults);
        assert_eq!(after.brokers[target].session, None);
        assert!(struck.text().contains("FAULT since 0.006 s: power failure broker 1"), "{}", struck.text());
    }

    fn member(millis: u64, name: &str, fact: Fact) -> Entry {
        Entry { node: name.into(), ..self::fact(millis, fact) }
    }

    #[test]
    fn a_broker_that_ended_by_itself_is_down_though_its_session_lives_on() {
        let broker = BrokerId(1);
        let history = [
            fact(1, Fact::SessionOpened { session: SessionId(7) }),
            fact(2, Fact::BrokerRegistered { broker, session: SessionId(7) }),
            fact(3, Fact::LogDirFailed { broker, reason: "no space".into() }),
            fact(9, Fact::SessionExpired { session: SessionId(7) }),
        ];
        let text = |millis: u64| State::at(&history, millis * 1_000_000).text();
        let before = text(2);
        assert!(
            before.contains("broker-1: up, registered, session 0x7 lives in ZooKeeper until 0.009 s"),
            "{before}"
        );
        let down = text(5);
        let told =
            "broker-1: down since 0.003 s (no space), its session 0x7 lives in ZooKeeper until 0.009 s";
        assert!(down.contains(told), "{down}");
        let over = text(9);
        assert!(over.contains("broker-1: down since 0.003 s (no space), its session 0x7 is over"), "{over}");
    }

    #[test]
    fn a_broker_that_stopped_in_order_is_not_registered() {
        let broker = BrokerId(1);
        let history = [
            fact(1, Fact::SessionOpened { session: SessionId(7) }),
            fact(2, Fact::BrokerRegistered { broker, session: SessionId(7) }),
            fact(3, Fact::BrokerStopped { broker }),
        ];
        let state = State::at(&history, 5_000_000);
        assert!(
            state.text().contains("broker-1: down since 0.003 s (stopped), not registered"),
            "{}",
            state.text()
        );
        assert!(state.sessions.is_empty());
    }

    #[test]
    fn a_group_has_an_owner_a_position_and_a_committed_offset_for_each_partition() {
        let (group, consumer, partition) = ("billing".to_owned(), "billing-1".to_owned(), orders());
        let record = seedlog::facts::RecordTag::of(None, Some(b"r"));
        let joined = Fact::GroupJoined {
            group: group.clone(),
            consumer: consumer.clone(),
            session: SessionId(8),
            subscription: BTreeMap::new(),
        };
        let owned = Fact::PartitionOwned {
            group: group.clone(),
            consumer: consumer.clone(),
            partition: partition.clone(),
            stream: 0,
            session: SessionId(8),
        };
        let (delivered, committed) = (
            Fact::Delivered {
                consumer: consumer.clone(),
                partition: partition.clone(),
                offset: Offset(4),
                record,
            },
            Fact::CommitOk { group, consumer, partition, offset: Offset(3) },
        );
        let history = [
            fact(1, Fact::SessionOpened { session: SessionId(8) }),
            member(2, "billing-1", joined),
            member(3, "billing-1", owned),
            member(4, "billing-1", delivered),
            member(5, "billing-1", committed),
            fault(6, Injected::Kill { target: "billing-1".into() }),
            fact(9, Fact::SessionExpired { session: SessionId(8) }),
        ];
        let text = |millis: u64| State::at(&history, millis * 1_000_000).text();
        let owned = text(5);
        assert!(
            owned.contains("group billing:\n  orders-0       owned by billing-1 (session 0x8 lives"),
            "{owned}"
        );
        assert!(owned.contains("), at 5, committed 3"), "{owned}");
        let dead = text(7);
        assert!(
            dead.contains("owned by billing-1, which is down (session 0x8 lives in ZooKeeper until 0.009 s), committed 3"),
            "{dead}"
        );
        let over = text(9);
        assert!(over.contains("  orders-0       owned by nobody, committed 3"), "{over}");
    }
}
