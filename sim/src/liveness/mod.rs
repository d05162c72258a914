//! What a run has reached: which sends are resolved, how far each log and each consumer is, who is registered.
//!
//! One bookkeeping, two uses: the converge phase asks it whether it may end, and check L1 replays the history
//! through it up to the end of that phase.

mod groups;

use std::collections::{BTreeMap, BTreeSet};

use seedlog::facts::Fact;
use seedlog::protocol::ErrorCode;
use seedlog::types::{BrokerId, Offset, SessionId, TopicPartition};

use self::groups::Groups;
use crate::checkers::Terms;
use crate::history::{Injected, Phase, What, broker_node, broker_of_node};

/// The state of the cluster and its clients, as far as facts tell.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    phase: Option<Phase>,
    unresolved: BTreeSet<(String, u64)>,
    /// Sends of after the heal that did not end in an acknowledgement, with their error.
    refused: Vec<(String, u64, String)>,
    /// Records that producers did not take after the heal: for which topic, and why.
    not_taken: Vec<(String, String, String)>,
    /// Producers that may give a record up before a healed cluster serves it.
    giving_up: BTreeSet<String>,
    /// Producers some of whose records a topic need not take.
    refusable: BTreeSet<String>,
    after_heal: BTreeSet<(String, u64)>,
    /// It has nothing to reach any more.
    left_dead: Option<String>,
    log_starts: BTreeMap<TopicPartition, Offset>,
    log_ends: BTreeMap<TopicPartition, Offset>,
    positions: BTreeMap<(String, TopicPartition), Offset>,
    /// What consumers that belong to no group have to read, from the first moment of each life.
    assigned: BTreeMap<String, Vec<TopicPartition>>,
    leaders: BTreeMap<TopicPartition, BrokerId>,
    sessions: BTreeMap<String, SessionId>,
    unregistered: BTreeSet<BrokerId>,
    groups: Groups,
    sends: u64,
    acked: u64,
    delivered: u64,
}

/// A thing that must have happened by the deadline, and did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    Unresolved {
        producer: String,
        sends: u64,
        first: u64,
    },
    Refused {
        producer: String,
        seq: u64,
        error: String,
    },
    /// `send` did not even take a record.
    NotTaken {
        producer: String,
        topic: String,
        error: String,
    },
    Lag {
        consumer: String,
        partition: TopicPartition,
        position: Offset,
        end: Offset,
    },
    Unregistered {
        broker: BrokerId,
    },
    /// A member is not what it should be.
    Member {
        group: String,
        member: String,
        state: &'static str,
    },
    Owner {
        group: String,
        partition: TopicPartition,
    },
    SingleOwner {
        group: String,
        partition: TopicPartition,
        owners: [String; 2],
    },
}

impl Progress {
    /// Of a run in which these groups must be at work in the end.
    pub fn new(terms: &Terms) -> Progress {
        let giving_up = terms.producers.iter().filter(|(_, producer)| producer.gives_up);
        let refusable = terms.producers.iter().filter(|(_, producer)| producer.is_refusable);
        Progress {
            groups: Groups::new(terms),
            giving_up: giving_up.map(|(name, _)| name.clone()).collect(),
            refusable: refusable.map(|(name, _)| name.clone()).collect(),
            left_dead: terms.left_dead.clone(),
            assigned: terms.assigned.clone(),
            ..Progress::default()
        }
    }

    /// Takes the next entry of the history into account.
    pub fn observe(&mut self, what: &What) {
        match what {
            What::Phase(entered) => self.phase = Some(entered.phase),
            What::Fault(fault) => self.observe_fault(fault),
            What::Fact(fact) => self.observe_fact(fact),
            What::Seen(_) => {}
        }
    }

    /// Everything that still has to happen before the cluster counts as healed.
    pub fn missing(&self) -> Vec<Missing> {
        let mut missing: Vec<Missing> =
            self.unregistered.iter().map(|&broker| Missing::Unregistered { broker }).collect();
        missing.extend(self.unresolved_by_producer());
        missing.extend(self.refused.iter().map(|(producer, seq, error)| Missing::Refused {
            producer: producer.clone(),
            seq: *seq,
            error: error.clone(),
        }));
        missing.extend(self.not_taken.iter().cloned().map(|(producer, topic, error)| Missing::NotTaken {
            producer,
            topic,
            error,
        }));
        missing.extend(self.lagging());
        missing.extend(self.groups.missing(&|partition| self.log_end(partition)));
        missing
    }

    /// Whether nothing is missing; cheaper than [`Progress::missing`].
    pub fn is_settled(&self) -> bool {
        self.unregistered.is_empty()
            && self.unresolved.is_empty()
            && self.refused.is_empty()
            && self.not_taken.is_empty()
            && self.lagging().next().is_none()
            && self.groups.missing(&|partition| self.log_end(partition)).is_empty()
    }

    pub fn sends(&self) -> u64 {
        self.sends
    }

    pub fn unresolved(&self) -> usize {
        self.unresolved.len()
    }

    pub fn acked(&self) -> u64 {
        self.acked
    }

    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// The broker that leads `partition`, as far as it was stated.
    pub fn leader(&self, partition: &TopicPartition) -> Option<BrokerId> {
        self.leaders.get(partition).copied()
    }

    /// The session under which the node, a broker or a member, registered last.
    pub fn session_of(&self, node: &str) -> Option<SessionId> {
        self.sessions.get(node).copied()
    }

    /// Whether every broker that was started is registered.
    pub fn all_registered(&self) -> bool {
        self.unregistered.is_empty()
    }

    /// The end of `partition`'s log.
    pub fn log_end(&self, partition: &TopicPartition) -> Offset {
        self.log_ends.get(partition).copied().unwrap_or(Offset::ZERO)
    }

    /// Where the log of `partition` begins, as far as it was stated.
    pub fn log_start(&self, partition: &TopicPartition) -> Offset {
        self.log_starts.get(partition).copied().unwrap_or(Offset::ZERO)
    }

    /// Whether `consumer` has read `partition` to its end.
    pub fn has_read_all(&self, consumer: &str, partition: &TopicPartition) -> bool {
        let key = (consumer.to_owned(), partition.clone());
        self.positions.get(&key).is_some_and(|&position| position >= self.log_end(partition))
    }

    /// Whether every group has worked off all of `partition`, as far as applications tell.
    pub fn groups_have_processed(&self, partition: &TopicPartition) -> bool {
        self.groups.have_processed(partition, self.log_end(partition))
    }

    fn unresolved_by_producer(&self) -> Vec<Missing> {
        let mut by_producer: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (producer, seq) in &self.unresolved {
            by_producer.entry(producer).or_insert((0, *seq)).0 += 1;
        }
        by_producer
            .into_iter()
            .map(|(producer, (sends, first))| Missing::Unresolved { producer: producer.into(), sends, first })
            .collect()
    }

    fn lagging(&self) -> impl Iterator<Item = Missing> {
        let awaited =
            self.positions.iter().filter(|((consumer, _), _)| Some(consumer) != self.left_dead.as_ref());
        awaited.filter_map(|((consumer, partition), &position)| {
            let end = self.log_end(partition);
            (position != end).then(|| Missing::Lag {
                consumer: consumer.clone(),
                partition: partition.clone(),
                position,
                end,
            })
        })
    }

    fn observe_fault(&mut self, fault: &Injected) {
        self.groups.observe_fault(fault);
        if let Injected::Start { target } = fault {
            // It stands nowhere until it says so.
            for partition in self.assigned.get(&**target).into_iter().flatten() {
                self.positions.insert((target.to_string(), partition.clone()), Offset::ZERO);
            }
        }
        let down = match fault {
            Injected::Kill { target } | Injected::PowerFailure { target } => target,
            // A start is no registration yet.
            Injected::Start { target } => target,
            _ => return,
        };
        match broker_of_node(down) {
            Some(broker) => {
                self.unregistered.insert(broker);
            }
            // Nobody is left who could learn what became of its sends.
            None => self.unresolved.retain(|(producer, _)| **producer != **down),
        }
    }

    fn observe_fact(&mut self, fact: &Fact) {
        self.groups.observe_fact(fact);
        match fact {
            Fact::BrokerRegistered { broker, session } => {
                self.unregistered.remove(broker);
                self.sessions.insert(broker_node(*broker).to_string(), *session);
            }
            Fact::BrokerStopped { broker } | Fact::LogDirFailed { broker, .. } => {
                self.unregistered.insert(*broker);
            }
            Fact::GroupJoined { consumer, session, .. } => {
                self.sessions.insert(consumer.clone(), *session);
            }
            Fact::BecameLeader { broker, partition, .. } => {
                self.leaders.insert(partition.clone(), *broker);
            }
            Fact::Appended { partition, last, .. } => {
                self.log_ends.insert(partition.clone(), last.next());
            }
            Fact::LogRecovered { partition, log_start, log_end, .. } => {
                self.log_starts.insert(partition.clone(), *log_start);
                self.log_ends.insert(partition.clone(), *log_end);
            }
            Fact::Truncated { partition, end, .. } => {
                self.log_ends.insert(partition.clone(), *end);
            }
            Fact::SendInvoked { producer, seq, .. } => self.invoked(producer, *seq),
            Fact::SendOk { producer, seq, .. } => {
                self.acked += 1;
                self.unresolved.remove(&(producer.clone(), *seq));
            }
            Fact::SendFailed { producer, seq, error, .. }
            | Fact::SendUnknown { producer, seq, error, .. } => {
                self.not_acked(producer, *seq, error);
            }
            Fact::SendRefused { producer, topic, error, must_take: true } => {
                self.not_taken.push((producer.clone(), topic.clone(), error.clone()));
            }
            Fact::Assigned { consumer, partition, position }
            | Fact::Seeked { consumer, partition, position, .. } => {
                self.reach(consumer, partition, *position);
            }
            Fact::Delivered { consumer, partition, offset, .. } => {
                self.delivered += 1;
                self.reach(consumer, partition, offset.next());
            }
            _ => {}
        }
    }

    fn reach(&mut self, consumer: &str, partition: &TopicPartition, position: Offset) {
        if !self.groups.has_member(consumer) {
            self.positions.insert((consumer.to_owned(), partition.clone()), position);
        }
    }

    fn invoked(&mut self, producer: &str, seq: u64) {
        self.sends += 1;
        self.unresolved.insert((producer.to_owned(), seq));
        if self.phase >= Some(Phase::Converge) && !self.giving_up.contains(producer) {
            self.after_heal.insert((producer.to_owned(), seq));
        }
    }

    fn not_acked(&mut self, producer: &str, seq: u64, error: &str) {
        let key = (producer.to_owned(), seq);
        self.unresolved.remove(&key);
        let is_topics_right = self.refusable.contains(producer)
            && [ErrorCode::MESSAGE_TOO_LARGE, ErrorCode::INVALID_TIMESTAMP]
                .iter()
                .any(|code| error.contains(code.name()));
        if self.after_heal.contains(&key) && !is_topics_right {
            self.refused.push((key.0, seq, error.to_owned()));
        }
    }
}
