//! The history by what clients care about: every send with its outcome, every delivery by value.
//!
//! An index, not a judge. Sends keep the order in which they were invoked.

use std::collections::{BTreeMap, HashMap, HashSet};

use seedlog::facts::{Fact, RecordTag};
use seedlog::types::{Acks, Offset, TopicPartition};

use crate::history::{Entry, What};

/// One record handed to a producer.
pub struct Send<'a> {
    pub invoked: usize,
    pub producer: &'a str,
    pub partition: &'a TopicPartition,
    pub record: &'a RecordTag,
    pub acks: Acks,
    pub outcome: Outcome,
    /// How often its batch was sent once more.
    pub resends: u64,
    /// The deliveries of its value, as indices into [`Ledger::deliveries`].
    pub deliveries: Vec<usize>,
    /// The same bytes were sent more than once: which of the sends a delivery is of only an acknowledgement can tell.
    pub is_repeated: bool,
}

/// What the producer was told; `at` is the entry that told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Pending,
    Ok { at: usize, offset: Option<Offset> },
    Failed { at: usize },
    Unknown { at: usize },
}

/// One record handed to an application.
pub struct Delivery<'a> {
    pub at: usize,
    pub consumer: &'a str,
    pub partition: &'a TopicPartition,
    pub offset: Offset,
    pub record: &'a RecordTag,
    /// The send of this very record, if it was invoked before this delivery.
    pub send: Option<usize>,
}

/// Offsets that one consumer moved over in one go: `first..=last`.
#[derive(Clone, Copy, Debug)]
pub struct Covered {
    pub first: Offset,
    pub last: Offset,
}

pub struct Ledger<'a> {
    pub sends: Vec<Send<'a>>,
    pub deliveries: Vec<Delivery<'a>>,
    /// What consumers moved over, by partition.
    pub covered: BTreeMap<&'a TopicPartition, Vec<Covered>>,
    by_number: HashMap<(&'a str, u64), usize>,
    by_record: HashMap<&'a RecordTag, Vec<usize>>,
    /// The index, in `covered`, of each consumer's current stretch, or where the next one starts.
    stretches: HashMap<(&'a str, &'a TopicPartition), Stretch>,
}

#[derive(Clone, Copy)]
enum Stretch {
    StartsAt(Offset),
    Is(usize),
}

impl<'a> Ledger<'a> {
    pub fn new(history: &'a [Entry]) -> Ledger<'a> {
        let mut ledger = Ledger {
            sends: Vec::new(),
            deliveries: Vec::new(),
            covered: BTreeMap::new(),
            by_number: HashMap::new(),
            by_record: HashMap::new(),
            stretches: HashMap::new(),
        };
        for (at, entry) in history.iter().enumerate() {
            if let What::Fact(fact) = &entry.what {
                ledger.take(at, fact);
            }
        }
        ledger.match_deliveries();
        ledger
    }

    /// The send of this number in the latest incarnation of its producer: each incarnation counts from 0.
    pub fn latest(&self, producer: &str, seq: u64) -> Option<&Send<'a>> {
        self.by_number.get(&(producer, seq)).map(|index| &self.sends[*index])
    }

    fn take(&mut self, at: usize, fact: &'a Fact) {
        match fact {
            Fact::SendInvoked { producer, seq, partition, record, acks } => {
                self.by_number.insert((producer, *seq), self.sends.len());
                self.by_record.entry(record).or_default().push(self.sends.len());
                self.sends.push(Send {
                    invoked: at,
                    producer,
                    partition,
                    record,
                    acks: *acks,
                    outcome: Outcome::Pending,
                    resends: 0,
                    deliveries: Vec::new(),
                    is_repeated: false,
                });
            }
            Fact::SendOk { producer, seq, offset, .. } => {
                self.resolve(producer, *seq, Outcome::Ok { at, offset: *offset });
            }
            Fact::SendFailed { producer, seq, .. } => self.resolve(producer, *seq, Outcome::Failed { at }),
            Fact::SendUnknown { producer, seq, .. } => self.resolve(producer, *seq, Outcome::Unknown { at }),
            Fact::SendRetried { producer, first_seq, last_seq, .. } => {
                for seq in *first_seq..=*last_seq {
                    if let Some(&send) = self.by_number.get(&(producer.as_str(), seq)) {
                        self.sends[send].resends += 1;
                    }
                }
            }
            Fact::Assigned { consumer, partition, position }
            | Fact::Seeked { consumer, partition, position, .. } => {
                self.stretches.insert((consumer, partition), Stretch::StartsAt(*position));
            }
            Fact::Delivered { consumer, partition, offset, record } => {
                self.deliver(at, consumer, partition, *offset, record);
            }
            _ => {}
        }
    }

    fn resolve(&mut self, producer: &str, seq: u64, outcome: Outcome) {
        if let Some(&send) = self.by_number.get(&(producer, seq)) {
            self.sends[send].outcome = outcome;
        }
    }

    fn deliver(
        &mut self,
        at: usize,
        consumer: &'a str,
        partition: &'a TopicPartition,
        offset: Offset,
        record: &'a RecordTag,
    ) {
        self.deliveries.push(Delivery { at, consumer, partition, offset, record, send: None });
        self.cover(consumer, partition, offset);
    }

    /// Finds the send of each delivery: by where it was acknowledged first, by its content second. An application may
    /// send the same bytes twice, and an acknowledgement may come after the delivery.
    fn match_deliveries(&mut self) {
        let mut stored: HashMap<(&TopicPartition, Offset, &RecordTag), usize> = HashMap::new();
        let mut placed: HashSet<usize> = HashSet::new();
        for (index, send) in self.sends.iter_mut().enumerate() {
            send.is_repeated = self.by_record.get(send.record).is_some_and(|alike| alike.len() > 1);
            if let Outcome::Ok { offset: Some(offset), .. } = send.outcome {
                stored.insert((send.partition, offset, send.record), index);
                placed.insert(index);
            }
        }
        for (index, delivery) in self.deliveries.iter_mut().enumerate() {
            let is_before = |send: &usize| self.sends[*send].invoked < delivery.at;
            let alike = self.by_record.get(delivery.record).into_iter().flatten().copied().filter(is_before);
            let place = (delivery.partition, delivery.offset, delivery.record);
            let by_place = stored.get(&place).copied().filter(is_before);
            delivery.send = by_place.or_else(|| by_content(&self.sends, alike, delivery.partition, &placed));
            if let Some(send) = delivery.send {
                self.sends[send].deliveries.push(index);
                if placed.insert(send) {
                    stored.insert(place, send);
                }
            }
        }
    }

    fn cover(&mut self, consumer: &'a str, partition: &'a TopicPartition, offset: Offset) {
        let covered = self.covered.entry(partition).or_default();
        let stretch = self.stretches.entry((consumer, partition)).or_insert(Stretch::StartsAt(offset));
        match *stretch {
            // A step back without an explanation is another check's business; here it begins a new stretch.
            Stretch::Is(index) if covered[index].last < offset => covered[index].last = offset,
            Stretch::Is(_) => {
                *stretch = Stretch::Is(covered.len());
                covered.push(Covered { first: offset, last: offset });
            }
            Stretch::StartsAt(first) => {
                *stretch = Stretch::Is(covered.len());
                covered.push(Covered { first: first.min(offset), last: offset });
            }
        }
    }

    /// The deliveries that are of this very send for certain. Of bytes that were sent more than once only those are that
    /// stand where it was acknowledged: another may be a copy of any of them.
    pub fn own_deliveries(&self, send: &Send) -> impl Iterator<Item = &Delivery<'a>> {
        let acked = match send.outcome {
            Outcome::Ok { offset, .. } => offset,
            Outcome::Pending | Outcome::Failed { .. } | Outcome::Unknown { .. } => None,
        };
        let is_repeated = send.is_repeated;
        let deliveries = send.deliveries.iter().map(|&delivery| &self.deliveries[delivery]);
        deliveries.filter(move |delivery| !is_repeated || acked == Some(delivery.offset))
    }

    /// Every send that was acknowledged at an offset, with the entry of the acknowledgement.
    pub fn acked(&self) -> impl Iterator<Item = (&Send<'a>, usize, Offset)> {
        self.sends.iter().filter_map(|send| match send.outcome {
            Outcome::Ok { at, offset: Some(offset) } => Some((send, at, offset)),
            _ => None,
        })
    }

    /// Whether some consumer moved over `offset` of `partition`.
    pub fn someone_passed(&self, partition: &TopicPartition, offset: Offset) -> bool {
        self.covered
            .get(partition)
            .is_some_and(|covered| covered.iter().any(|c| c.first <= offset && offset <= c.last))
    }

    /// The first delivery from `partition` at or past `offset`.
    pub fn first_delivery_from(&self, partition: &TopicPartition, offset: Offset) -> Option<&Delivery<'a>> {
        self.deliveries.iter().find(|d| d.partition == partition && d.offset >= offset)
    }
}

/// Which of the sends of the same bytes was read where none of them was acknowledged. In doubt none that failed.
fn by_content(
    sends: &[Send],
    alike: impl Iterator<Item = usize> + Clone,
    partition: &TopicPartition,
    placed: &HashSet<usize>,
) -> Option<usize> {
    let is_failed = |send: &usize| matches!(sends[*send].outcome, Outcome::Failed { .. });
    let is_here = |send: &usize| sends[*send].partition == partition;
    let is_free = |send: &usize| !placed.contains(send);
    let here = alike.clone().filter(is_here);
    // One of which it is not known yet where it stands; else a copy that a resend stored; else one that failed.
    let free = here.clone().find(|send| is_free(send) && !is_failed(send));
    free.or_else(|| here.clone().filter(|send| !is_failed(send) && sends[*send].resends > 0).last())
        .or_else(|| here.clone().find(is_free))
        .or_else(|| here.last())
        .or_else(|| alike.last())
}
