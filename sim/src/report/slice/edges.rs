//! The messages that led from one event of a story to the next: what carried a request away from where it was
//! stated, and what brought the news of which something is stated.
//!
//! Pure. A message's first bytes say what it asks, not of which partition: of several alike the nearest in time
//! is taken. Bounded in number.

use std::collections::{BTreeMap, BTreeSet};

use seedlog::facts::Fact;
use seedlog::runtime::sim::net::messages::Message;
use seedlog::types::{Offset, SessionId, TopicPartition};

use super::seconds;
use crate::cluster::ZOOKEEPER;
use crate::history::{Entry, What};
use crate::report::{evidence, wire};

/// Messages told of one story.
const MESSAGES_MAX: usize = 12;

/// Messages by what they are called, with what they carry in one story.
pub struct Edges<'a> {
    history: &'a [Entry],
    messages: &'a [Message],
    names: Vec<String>,
    /// Sentences by message.
    told: BTreeMap<usize, Told>,
    /// Events that the messages lead back to.
    pub events: BTreeSet<usize>,
}

/// A message of the story.
pub struct Told {
    /// When the sentence belongs: as it was sent if it carries a request, as it was read if it brings an answer.
    pub at_ns: u64,
    /// Whether it comes behind what is stated at the same time: a request does, what brings news comes before.
    pub is_request: bool,
    pub text: String,
}

/// How an event came by a message.
struct Cause {
    message: usize,
    /// What its sender had stated, or heard, before.
    before: Option<usize>,
}

impl<'a> Edges<'a> {
    /// Goes back from the latest of the events.
    pub fn back_from(history: &'a [Entry], messages: &'a [Message], proof: &BTreeSet<usize>) -> Edges<'a> {
        let names = wire::names(messages);
        let mut edges = Edges { history, messages, names, told: BTreeMap::new(), events: BTreeSet::new() };
        let mut open: Vec<usize> = proof.iter().copied().collect();
        let mut seen = proof.clone();
        let mut carried = BTreeSet::new();
        while let Some(at) = open.pop() {
            if edges.told.len() >= MESSAGES_MAX {
                break;
            }
            if let Some(message) = edges.carrier(at).filter(|_| !carried.contains(&at)) {
                edges.tell_carried(at, message);
            }
            let Some(cause) = edges.cause(at) else { continue };
            edges.tell_brought(at, cause.message);
            // What brought it here is what carried it away there.
            let is_same = |before: &usize| *history[*before].node == *messages[cause.message].from;
            carried.extend(cause.before.filter(is_same));
            if let Some(before) = cause.before.filter(|before| seen.insert(*before)) {
                edges.events.insert(before);
                open.push(before);
            }
        }
        edges
    }

    /// The messages, with their sentences.
    pub fn told(self) -> impl Iterator<Item = Told> {
        self.told.into_values()
    }

    /// The message that takes away what is asked for at this entry.
    fn carrier(&self, at: usize) -> Option<usize> {
        let entry = &self.history[at];
        let What::Fact(fact) = &entry.what else { return None };
        let kinds: &[&str] = match fact {
            Fact::CommitInvoked { .. } => &["zk set", "zk create", "zk multi"],
            Fact::SendInvoked { .. } => &["Produce"],
            _ => return None,
        };
        self.sent_by(&entry.node, entry.at_ns, kinds, self.host(at, fact))
    }

    /// The message that brought what is stated at this entry.
    fn cause(&self, at: usize) -> Option<Cause> {
        let entry = &self.history[at];
        let What::Fact(fact) = &entry.what else { return None };
        let kinds: &[&str] = match fact {
            Fact::OffsetFetched { .. } => &["zk get reply"],
            Fact::CommitOk { .. } => &["zk set reply", "zk create reply", "zk multi reply"],
            Fact::PartitionOwned { .. } => &["zk multi reply", "zk create reply"],
            Fact::GroupSessionLost { .. } => &["zk connect reply"],
            Fact::RebalanceStarted { .. } => &["zk event"],
            Fact::Delivered { .. } => &["Fetch reply"],
            Fact::SendOk { .. } => &["Produce reply"],
            Fact::Appended { .. } => &["Produce"],
            _ => return None,
        };
        let message = self.read_by(&entry.node, entry.at_ns, kinds, self.host(at, fact))?;
        Some(Cause { message, before: self.before(at, fact, self.messages[message].sent_ns) })
    }

    /// The broker that a send goes to, and that its answer and a delivery come from: whoever held the partition.
    fn host(&self, at: usize, fact: &Fact) -> Option<&'a str> {
        let is_client =
            matches!(fact, Fact::SendInvoked { .. } | Fact::SendOk { .. } | Fact::Delivered { .. });
        let place = fact.partition().filter(|_| is_client)?;
        self.history[..at].iter().rev().find_map(|entry| match &entry.what {
            What::Fact(Fact::Appended { partition, .. } | Fact::BecameLeader { partition, .. })
                if partition == place =>
            {
                Some(&*entry.node)
            }
            _ => None,
        })
    }

    /// What the sender of the news had come to know before it sent them.
    fn before(&self, at: usize, fact: &Fact, sent_ns: u64) -> Option<usize> {
        let found = |is_it: &dyn Fn(usize, &Fact) -> bool| {
            (0..at).rev().find(|&earlier| match &self.history[earlier].what {
                What::Fact(fact) => is_it(earlier, fact),
                _ => false,
            })
        };
        let is_known = |earlier: usize| self.history[earlier].at_ns <= sent_ns;
        let (partition, node) = (fact.partition(), &self.history[at].node);
        match fact {
            Fact::OffsetFetched { group, offset, .. } => found(&|earlier, fact| match fact {
                Fact::CommitInvoked { group: g, partition: p, offset: o, .. } => {
                    g == group
                        && Some(p) == partition
                        && Some(*o) == *offset
                        && self.arrived(earlier).is_some_and(|read_ns| read_ns <= sent_ns)
                }
                _ => false,
            }),
            Fact::CommitOk { offset, .. } => found(&|earlier, fact| match fact {
                Fact::CommitInvoked { partition: p, offset: o, .. } => {
                    *self.history[earlier].node == **node && Some(p) == partition && o == offset
                }
                _ => false,
            }),
            Fact::PartitionOwned { .. } => found(&|earlier, fact| {
                is_known(earlier)
                    && match fact {
                        Fact::PartitionReleased { partition: p, .. } => Some(p) == partition,
                        Fact::SessionExpired { session } => self.owned_under(*session, partition),
                        _ => false,
                    }
            }),
            Fact::GroupSessionLost { session: lost, .. } => found(&|earlier, fact| {
                is_known(earlier) && matches!(fact, Fact::SessionExpired { session } if session == lost)
            }),
            Fact::Delivered { offset, .. } | Fact::SendOk { offset: Some(offset), .. } => {
                found(&|earlier, fact| {
                    is_known(earlier) && fact.partition() == partition && holds(fact, *offset)
                })
            }
            Fact::Appended { base, .. } => {
                let (producer, seq) = self.sender_of(partition?, *base)?;
                found(
                    &|_, fact| matches!(fact, Fact::SendInvoked { producer: p, seq: s, .. } if *p == producer && *s == seq),
                )
            }
            _ => None,
        }
    }

    fn owned_under(&self, wanted: SessionId, place: Option<&TopicPartition>) -> bool {
        self.history.iter().any(|entry| match &entry.what {
            What::Fact(Fact::PartitionOwned { partition, session, .. }) => {
                *session == wanted && Some(partition) == place
            }
            _ => false,
        })
    }

    /// The send that was told to stand at this offset.
    fn sender_of(&self, place: &TopicPartition, wanted: Offset) -> Option<(String, u64)> {
        self.history.iter().find_map(|entry| match &entry.what {
            What::Fact(Fact::SendOk { producer, seq, partition, offset: Some(offset) })
                if partition == place && *offset == wanted =>
            {
                Some((producer.clone(), *seq))
            }
            _ => None,
        })
    }

    /// When what is asked for at this entry was read by whom it was sent to.
    fn arrived(&self, at: usize) -> Option<u64> {
        self.messages[self.carrier(at)?].read_ns
    }

    /// The first message of these kinds that a node sends from `since` on, to a certain node if one is named.
    fn sent_by(&self, node: &str, since: u64, kinds: &[&str], to: Option<&str>) -> Option<usize> {
        let first = self.messages.partition_point(|message| message.sent_ns < since);
        let is_it = |at: &usize| {
            let message = &self.messages[*at];
            *message.from == *node
                && to.is_none_or(|to| *message.to == *to)
                && kinds.contains(&&*self.names[*at])
        };
        (first..self.messages.len()).find(is_it)
    }

    /// The message of these kinds that a node has read last by `until`, from a certain node if one is named.
    fn read_by(&self, node: &str, until: u64, kinds: &[&str], from: Option<&str>) -> Option<usize> {
        let end = self.messages.partition_point(|message| message.sent_ns <= until);
        let is_it = |at: &usize| {
            let message = &self.messages[*at];
            *message.to == *node
                && from.is_none_or(|from| *message.from == *from)
                && message.read_ns.is_some_and(|read_ns| read_ns <= until)
                && kinds.contains(&&*self.names[*at])
        };
        (0..end).filter(is_it).max_by_key(|&at| (self.messages[at].read_ns, at))
    }

    fn tell_carried(&mut self, at: usize, index: usize) {
        let message = &self.messages[index];
        let What::Fact(fact) = &self.history[at].what else { return };
        let (from, to) = (person(&message.from), person(&message.to));
        let what = match fact {
            Fact::CommitInvoked { offset, .. } => format!("the commit of {offset} by {from}"),
            Fact::SendInvoked { seq, .. } => format!("send {seq} of {from}"),
            _ => return,
        };
        let fate = match message.read_ns {
            Some(read_ns) => format!("reaches {to} at {} s", seconds(read_ns).trim_start()),
            None => format!("never reaches {to}"),
        };
        let text = format!("MESSAGE: {what} ({}) {fate}", self.names[index]);
        self.told.insert(index, Told { at_ns: message.sent_ns, is_request: true, text });
    }

    fn tell_brought(&mut self, at: usize, index: usize) {
        let message = &self.messages[index];
        let read_ns = message.read_ns.unwrap_or(self.history[at].at_ns);
        let (from, to) = (person(&message.from), person(&message.to));
        let sent = seconds(message.sent_ns);
        let text = format!(
            "MESSAGE: {to} reads the {} that {from} sent at {} s",
            self.names[index],
            sent.trim_start()
        );
        self.told.entry(index).or_insert(Told { at_ns: read_ns, is_request: false, text });
    }
}

fn holds(fact: &Fact, offset: Offset) -> bool {
    matches!(fact, Fact::Appended { base, last, .. } if (*base..=*last).contains(&offset))
}

fn person(node: &str) -> String {
    if node.starts_with(ZOOKEEPER) { "ZooKeeper".to_owned() } else { evidence::person(node) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders() -> TopicPartition {
        TopicPartition::new("orders", 0)
    }

    fn entry(millis: u64, node: &str, fact: Fact) -> Entry {
        Entry { at_ns: millis * 1_000_000, node: node.into(), incarnation: 1, what: What::Fact(fact) }
    }

    fn commit(millis: u64, offset: i64) -> Entry {
        let (consumer, partition, offset) = ("a".to_owned(), orders(), Offset(offset));
        entry(millis, "a", Fact::CommitInvoked { group: "billing".into(), consumer, partition, offset })
    }

    fn fetched(millis: u64, offset: i64) -> Entry {
        let (consumer, partition, offset) = ("b".to_owned(), orders(), Some(Offset(offset)));
        entry(millis, "b", Fact::OffsetFetched { group: "billing".into(), consumer, partition, offset })
    }

    /// A request, or the reply to it, of a client's connection; `operation` is ZooKeeper's number of it.
    fn message(sent: u64, read: Option<u64>, ends: (&str, &str), xid: i32, operation: i32) -> Message {
        let mut head = xid.to_be_bytes().to_vec();
        head.extend(operation.to_be_bytes());
        let client = if ends.0 == ZOOKEEPER { ends.1 } else { ends.0 };
        Message {
            sent_ns: sent * 1_000_000,
            read_ns: read.map(|read| read * 1_000_000),
            from: ends.0.into(),
            to: ends.1.into(),
            connection: u64::from(client.as_bytes()[0]),
            is_from_connector: ends.0 != ZOOKEEPER,
            port: 2181,
            bytes: 40,
            head,
        }
    }

    const GET: i32 = 4;
    const SET: i32 = 5;

    /// Both clients' connections, which begin with a request and a reply of another form.
    fn greetings() -> Vec<Message> {
        ["a", "b"]
            .iter()
            .flat_map(|client| {
                let there = message(1, Some(2), (client, ZOOKEEPER), 0, 0);
                [there, message(2, Some(3), (ZOOKEEPER, client), 0, 0)]
            })
            .collect()
    }

    fn told(history: &[Entry], messages: &[Message], proof: usize) -> (Vec<String>, Vec<usize>) {
        let edges = Edges::back_from(history, messages, &BTreeSet::from([proof]));
        let events = edges.events.iter().copied().collect();
        let mut told: Vec<Told> = edges.told().collect();
        told.sort_by_key(|told| told.at_ns);
        (told.into_iter().map(|told| told.text).collect(), events)
    }

    #[test]
    fn a_fetched_offset_leads_back_to_the_commit_that_reached_zookeeper() {
        let history = [commit(10, 17), commit(20, 18), fetched(30, 17)];
        let mut messages = greetings();
        messages.extend([
            message(10, Some(12), ("a", ZOOKEEPER), 1, SET),
            message(20, None, ("a", ZOOKEEPER), 2, SET),
            message(25, Some(26), ("b", ZOOKEEPER), 1, GET),
            message(27, Some(30), (ZOOKEEPER, "b"), 1, 0),
        ]);
        let expected = [
            "MESSAGE: the commit of 17 by a (zk set) reaches ZooKeeper at 0.012 s",
            "MESSAGE: b reads the zk get reply that ZooKeeper sent at 0.027 s",
        ];
        assert_eq!(told(&history, &messages, 2), (expected.map(str::to_owned).to_vec(), vec![0]));
    }

    #[test]
    fn an_append_leads_back_to_the_send_and_their_message_is_told_once() {
        let record = seedlog::facts::RecordTag::of(None, Some(b"r"));
        let (acks, offset) = (seedlog::types::Acks::All, Offset(7));
        let sent = Fact::SendInvoked { producer: "shop".into(), seq: 3, partition: orders(), record, acks };
        let appended = Fact::Appended {
            broker: seedlog::types::BrokerId(1),
            partition: orders(),
            epoch: seedlog::types::LeaderEpoch(0),
            base: offset,
            last: offset,
            crc: 0,
        };
        let acked =
            Fact::SendOk { producer: "shop".into(), seq: 3, partition: orders(), offset: Some(offset) };
        let history = [entry(10, "shop", sent), entry(15, "broker-1", appended), entry(18, "shop", acked)];
        let produce = |sent: u64, read: u64, number: i32| {
            let produce =
                Message { head: vec![0, 0, 0, 9], ..message(sent, Some(read), ("shop", "broker-1"), 0, 0) };
            Message { head: [produce.head, number.to_be_bytes().to_vec()].concat(), ..produce }
        };
        let elsewhere = Message { to: "broker-2".into(), ..produce(14, 15, 3) };
        let messages = [produce(11, 12, 1), produce(13, 15, 2), elsewhere];
        let expected = ["MESSAGE: broker 1 reads the Produce that shop sent at 0.013 s".to_owned()];
        assert_eq!(told(&history, &messages, 1), (expected.to_vec(), vec![0]));
    }

    #[test]
    fn a_delivery_came_from_the_broker_that_held_the_partition() {
        let leads = |broker| Fact::BecameLeader {
            broker: seedlog::types::BrokerId(broker),
            partition: orders(),
            epoch: seedlog::types::LeaderEpoch(0),
        };
        let record = seedlog::facts::RecordTag::of(None, Some(b"r"));
        let delivered =
            Fact::Delivered { consumer: "b".into(), partition: orders(), offset: Offset(7), record };
        let history = [entry(1, "broker-2", leads(2)), entry(20, "b", delivered)];
        let fetch = |millis: u64, broker: &str, number: i32| {
            let ask = message(millis, Some(millis), ("b", broker), 0, 0);
            let head = [vec![0, 1, 0, 9], number.to_be_bytes().to_vec()].concat();
            let answer = Message {
                from: broker.into(),
                to: "b".into(),
                is_from_connector: false,
                head: number.to_be_bytes().to_vec(),
                ..ask.clone()
            };
            [Message { head, ..ask }, answer]
        };
        let messages = [fetch(10, "broker-2", 1), fetch(15, "broker-1", 2)].concat();
        let expected = ["MESSAGE: b reads the Fetch reply that broker 2 sent at 0.010 s".to_owned()];
        assert_eq!(told(&history, &messages, 1), (expected.to_vec(), vec![]));
    }

    #[test]
    fn a_commit_that_did_not_arrive_is_told_as_such_and_leads_nowhere() {
        let history = [commit(20, 18)];
        let mut messages = greetings();
        messages.push(message(20, None, ("a", ZOOKEEPER), 1, SET));
        let (texts, events) = told(&history, &messages, 0);
        assert_eq!(texts, ["MESSAGE: the commit of 18 by a (zk set) never reaches ZooKeeper"]);
        assert!(events.is_empty());
    }

    #[test]
    fn a_run_whose_messages_were_not_kept_has_no_such_sentences() {
        assert_eq!(told(&[fetched(30, 17)], &[], 0), (Vec::new(), Vec::new()));
    }

    #[test]
    fn messages_are_bounded() {
        let history: Vec<Entry> = (0..50).map(|nth| commit(10 + nth, nth as i64)).collect();
        let mut messages = greetings();
        messages.extend((0..50).map(|nth| message(10 + nth, Some(11 + nth), ("a", ZOOKEEPER), 1, SET)));
        let proof = (0..50).collect();
        assert_eq!(Edges::back_from(&history, &messages, &proof).told().count(), MESSAGES_MAX);
    }
}
