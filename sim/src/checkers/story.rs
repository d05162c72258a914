//! Small histories for the tests of the checks: one call a fact, times counted up by themselves.

mod groups;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use seedlog::consumer::AutoReset;
use seedlog::facts::{Fact, RecordTag};
use seedlog::types::{Acks, BrokerId, Durability, LeaderEpoch, Offset, SessionId, TopicPartition};

use super::{Budget, Case, Check, ConsumerTerms, Finding, Patience, ProducerTerms, Terms, TopicTerms};
use crate::history::{Entered, Entry, Injected, Phase, RecordAt, Seen, What};

/// Between two entries.
const STEP_NS: u64 = 1_000_000;

pub struct Story {
    entries: Vec<Entry>,
    terms: Terms,
    /// Of the next entry.
    at_ns: u64,
    incarnations: BTreeMap<String, u32>,
}

pub fn orders() -> TopicPartition {
    TopicPartition::new("orders", 0)
}

pub fn tag(value: &str) -> RecordTag {
    RecordTag::of(None, Some(value.as_bytes()))
}

impl Story {
    /// One topic `orders` with one replica and fsync, one producer `shop` that does not overtake itself.
    pub fn new() -> Story {
        let mut terms = Terms::default();
        terms.topics.insert(
            "orders".into(),
            TopicTerms {
                durability: Durability::Fsync,
                partitions: 4,
                replicas: 1,
                flush_interval: None,
                exposes_flushed: true,
            },
        );
        terms.producers.insert(
            "shop".into(),
            ProducerTerms {
                acks: Acks::All,
                may_overtake: false,
                gives_up: false,
                keyed: true,
                follows_keys: true,
                is_refusable: false,
                is_wire: false,
                delivery_timeout: Duration::from_secs(30),
            },
        );
        Story { entries: Vec::new(), terms, at_ns: STEP_NS, incarnations: BTreeMap::new() }
    }

    pub fn durability(mut self, durability: Durability) -> Story {
        self.terms.topics.get_mut("orders").expect("made in new").durability = durability;
        self
    }

    /// The producer chooses partitions without a look at keys.
    pub fn spreading_keys(mut self) -> Story {
        self.terms.producers.get_mut("shop").expect("made in new").follows_keys = false;
        self
    }

    /// The topic need not take every record.
    pub fn refusable(mut self) -> Story {
        self.terms.producers.get_mut("shop").expect("made in new").is_refusable = true;
        self
    }

    /// Readers need not wait for the flush.
    pub fn exposing_at_once(mut self) -> Story {
        self.terms.topics.get_mut("orders").expect("made in new").exposes_flushed = false;
        self
    }

    pub fn flushing_every(mut self, interval: Duration) -> Story {
        self.terms.topics.get_mut("orders").expect("made in new").flush_interval = Some(interval);
        self
    }

    pub fn replicas(mut self, replicas: u32) -> Story {
        self.terms.topics.get_mut("orders").expect("made in new").replicas = replicas;
        self
    }

    pub fn overtaking(mut self) -> Story {
        self.terms.producers.get_mut("shop").expect("made in new").may_overtake = true;
        self
    }

    /// The consumer belongs to no group and has this policy.
    pub fn resetting(mut self, consumer: &str, reset: AutoReset) -> Story {
        self.terms.consumers.insert(consumer.into(), ConsumerTerms { reset, wanders: false });
        self
    }

    /// The consumer belongs to no group and reads everything.
    pub fn reading_alone(mut self, consumer: &str) -> Story {
        self.terms.assigned.insert(consumer.into(), vec![orders()]);
        self
    }

    pub fn patient(mut self, patience: Patience) -> Story {
        self.terms.patience = patience;
        self
    }

    pub fn speaking_the_bare_protocol(mut self) -> Story {
        self.terms.producers.get_mut("shop").expect("made in new").is_wire = true;
        self
    }

    fn push(mut self, node: &str, what: What) -> Story {
        let incarnation = self.incarnations.get(node).copied().unwrap_or(1);
        self.entries.push(Entry { at_ns: self.at_ns, node: node.into(), incarnation, what });
        self.at_ns += STEP_NS;
        self
    }

    /// Nothing happens for this long.
    pub fn after(mut self, pause: Duration) -> Story {
        self.at_ns += pause.as_nanos() as u64;
        self
    }

    /// The last two entries happened at one instant.
    pub fn at_once(mut self) -> Story {
        if let [.., before, last] = self.entries.as_mut_slice() {
            last.at_ns = before.at_ns;
        }
        self
    }

    /// What the node states from now on is another incarnation's.
    fn next_incarnation(mut self, node: &str) -> Story {
        *self.incarnations.entry(node.to_owned()).or_insert(1) += 1;
        self
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub fn fact(self, node: &str, fact: Fact) -> Story {
        self.push(node, What::Fact(fact))
    }

    pub fn fault(self, fault: Injected) -> Story {
        self.push("testbed", What::Fault(fault))
    }

    pub fn phase(self, phase: Phase) -> Story {
        self.push("testbed", What::Phase(Entered { phase }))
    }

    pub fn send(self, seq: u64, value: &str) -> Story {
        self.send_with(Acks::All, seq, value)
    }

    pub fn send_with(self, acks: Acks, seq: u64, value: &str) -> Story {
        let fact =
            Fact::SendInvoked { producer: "shop".into(), seq, partition: orders(), record: tag(value), acks };
        self.fact("shop", fact)
    }

    pub fn acked(self, seq: u64, offset: i64) -> Story {
        let offset = Some(Offset(offset));
        self.fact("shop", Fact::SendOk { producer: "shop".into(), seq, partition: orders(), offset })
    }

    pub fn acked_without_offset(self, seq: u64) -> Story {
        let partition = orders();
        self.fact("shop", Fact::SendOk { producer: "shop".into(), seq, partition, offset: None })
    }

    pub fn failed(self, seq: u64) -> Story {
        let error = "MESSAGE_TOO_LARGE".into();
        self.fact("shop", Fact::SendFailed { producer: "shop".into(), seq, partition: orders(), error })
    }

    pub fn flush_returned(self) -> Story {
        self.fact("shop", Fact::FlushReturned { producer: "shop".into() })
    }

    pub fn unknown(self, seq: u64) -> Story {
        let error = "timed out".into();
        self.fact("shop", Fact::SendUnknown { producer: "shop".into(), seq, partition: orders(), error })
    }

    pub fn assigned(self, consumer: &str, position: i64) -> Story {
        let position = Offset(position);
        self.fact(consumer, Fact::Assigned { consumer: consumer.into(), partition: orders(), position })
    }

    pub fn read(self, consumer: &str, offset: i64, value: &str) -> Story {
        let fact = Fact::Delivered {
            consumer: consumer.into(),
            partition: orders(),
            offset: Offset(offset),
            record: tag(value),
        };
        self.fact(consumer, fact)
    }

    pub fn appended(self, base: i64, last: i64, crc: u32) -> Story {
        self.append(0, base, last, crc)
    }

    pub fn appended_in(self, epoch: i32, base: i64, last: i64) -> Story {
        self.append(epoch, base, last, 0)
    }

    fn append(self, epoch: i32, base: i64, last: i64, crc: u32) -> Story {
        let fact = Fact::Appended {
            broker: BrokerId(1),
            partition: orders(),
            epoch: LeaderEpoch(epoch),
            base: Offset(base),
            last: Offset(last),
            crc,
        };
        self.fact("broker-1", fact)
    }

    pub fn flushed(self, end: i64) -> Story {
        let end = Offset(end);
        self.fact("broker-1", Fact::Flushed { broker: BrokerId(1), partition: orders(), end })
    }

    pub fn recovered(self, end: i64, clean: bool) -> Story {
        self.recovered_from(0, end, clean)
    }

    pub fn recovered_from(self, start: i64, end: i64, clean: bool) -> Story {
        let fact = Fact::LogRecovered {
            broker: BrokerId(1),
            partition: orders(),
            clean,
            log_start: Offset(start),
            log_end: Offset(end),
            bytes_cut: 0,
        };
        self.fact("broker-1", fact)
    }

    /// What the testbed finds on the disk in the end: these values from offset 0 on.
    pub fn finally(self, values: &[&str]) -> Story {
        let partition = orders();
        let found = Seen::FinalLog { broker: BrokerId(1), partition: orders(), unreadable_from: None };
        let records = values.iter().enumerate();
        let records: Vec<RecordAt> = records
            .map(|(offset, value)| RecordAt { offset: Offset(offset as i64), record: tag(value) })
            .collect();
        let last = Offset(values.len() as i64 - 1);
        let epoch = LeaderEpoch(0);
        let batch = Seen::FinalBatch { partition, base: Offset(0), last, epoch, records };
        self.push("testbed", What::Seen(found)).push("testbed", What::Seen(batch))
    }

    /// What the testbed finds on the disk in the end: batches with these epochs and offsets, and of nothing that matters.
    pub fn finally_in(self, batches: &[(i32, i64, i64)]) -> Story {
        let found = Seen::FinalLog { broker: BrokerId(1), partition: orders(), unreadable_from: None };
        batches.iter().fold(self.seen(found), |story, &(epoch, base, last)| {
            story.seen(Seen::FinalBatch {
                partition: orders(),
                base: Offset(base),
                last: Offset(last),
                epoch: LeaderEpoch(epoch),
                records: Vec::new(),
            })
        })
    }

    /// Before the broker begins anew its disk holds the log up to `to`, of which it stated what lies below `from`.
    pub fn unstated(self, from: i64, to: i64, is_one_write: bool) -> Story {
        let (broker, from, to) = (BrokerId(1), Offset(from), Offset(to));
        self.seen(Seen::Unstated { broker, partition: orders(), from, to, is_one_write })
    }

    /// What the testbed sees for itself.
    pub fn seen(self, seen: Seen) -> Story {
        self.push("testbed", What::Seen(seen))
    }

    pub fn registered(self) -> Story {
        self.fact("broker-1", Fact::BrokerRegistered { broker: BrokerId(1), session: SessionId(100) })
    }

    /// Of which everything in the page cache is lost, and no topic without `durability = fsync` has anything else.
    pub fn power_failure(self) -> Story {
        let failure = Injected::PowerFailure { target: "broker-1".into() };
        self.fault(failure).damaged("power-failure", 0, None)
    }

    /// What the simulated disk reports of these offsets, the end not included.
    pub fn damaged(self, fault: &str, from: i64, to: Option<i64>) -> Story {
        self.damaged_of(orders(), fault, from, to)
    }

    pub fn damaged_of(self, partition: TopicPartition, fault: &str, from: i64, to: Option<i64>) -> Story {
        let (from, to) = (Offset(from), to.map(Offset));
        let (target, fault) = (broker_1(), fault.into());
        self.push("testbed", What::Seen(Seen::Damaged { target, fault, partition, from, to }))
    }

    /// The power fails, and the simulated disk reports that a file which holds no records has lost what was written.
    pub fn forgotten(self, file: &str) -> Story {
        let story = self.fault(Injected::PowerFailure { target: broker_1() });
        let seen = Seen::Forgotten { target: broker_1(), file: file.into() };
        story.push("testbed", What::Seen(seen))
    }

    /// The simulated disk reports that an operation met the fault.
    pub fn struck(self, fault: &str) -> Story {
        self.push("testbed", What::Seen(Seen::Struck { target: broker_1(), fault: fault.into() }))
    }

    pub fn kill(self) -> Story {
        self.fault(Injected::Kill { target: "broker-1".into() })
    }

    /// What `check` finds that nothing excuses.
    pub fn violations(&self, check: &Check) -> Vec<String> {
        self.found(check).into_iter().filter(Finding::is_violation).map(|f| f.message).collect()
    }

    /// What `check` finds that the terms excuse.
    pub fn excused(&self, check: &Check) -> Vec<String> {
        self.found(check).into_iter().filter(|f| f.excuse.is_some()).map(|f| f.message).collect()
    }

    /// What `check` finds that the facts explain.
    pub fn explained(&self, check: &Check) -> Vec<String> {
        self.found(check).into_iter().filter(|f| f.explanation.is_some()).map(|f| f.message).collect()
    }

    /// The evidence of the first finding, as lines.
    pub fn evidence(&self, check: &Check) -> Vec<String> {
        let evidence = self.found(check).into_iter().next().map(|found| found.evidence).unwrap_or_default();
        evidence.into_iter().map(|at| crate::report::evidence_line(&self.entries[at])).collect()
    }

    pub fn budget(&self) -> Budget {
        Case::new(&self.entries, &self.terms).budget().clone()
    }

    /// How much `check` compared.
    pub fn met(&self, check: &Check) -> u64 {
        let case = Case::new(&self.entries, &self.terms);
        (check.judge)(&case);
        case.obligations.take()
    }

    fn found(&self, check: &Check) -> Vec<Finding> {
        (check.judge)(&Case::new(&self.entries, &self.terms))
    }
}

/// The node of broker 1.
pub fn broker_1() -> Arc<str> {
    "broker-1".into()
}
