//! S13, `storage`: a log's offsets increase, and what recovery finds is a prefix of the log before the crash
//! that holds everything which was flushed; all of it, where the page cache survived (no power failure, and
//! no failed fsync, which may throw the new bytes away). A broker that died inside of a write did not get to
//! state that append: of one of its logs recovery may find one more behind the end, as far as the disk held it before the
//! broker began anew, and no further than one write had brought. So it is with one that gave up over a write which failed
//! half-way. A log begins where it began: nothing takes records away from its front yet.
//!
//! Only what a disk did counts, as the testbed saw it: a fault that is armed and meets nothing excuses nothing.
//!
//! Contents are judged by what is read: under one batch an offset has one value, before and after recovery.
//! Even without fsync a log may lose its tail and nothing else; only damage behind the broker's back (an empty
//! disk, a lying or misdirecting one, a flipped bit) excuses more.

mod replica;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use seedlog::facts::{Fact, RecordTag};
use seedlog::types::{BrokerId, Offset, TopicPartition};

use super::{Case, Check, Feature, Finding};
use crate::history::{Injected, Seen, What, broker_of_node};
use replica::{Replica, Wrong};

pub const CHECK: Check = Check::new("S13", "storage", Feature::Any, judge);

/// A value as it was first read from a batch.
#[derive(Clone, Copy)]
struct FirstRead<'a> {
    at: usize,
    record: &'a RecordTag,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DiesIn {
    DiskWrite,
    Statement,
}

#[derive(Default)]
struct Judge<'a> {
    replicas: BTreeMap<(BrokerId, &'a TopicPartition), Replica>,
    /// Where each partition's records are read from: with one replica, the broker that appended last.
    leaders: HashMap<&'a TopicPartition, BrokerId>,
    /// Brokers of which an fsync has failed since they were started, and the entry that says so.
    fsync_failed: BTreeMap<BrokerId, usize>,
    /// Brokers that are to die inside of a write: of their disk, or when they state what they have appended.
    to_die_writing: BTreeMap<BrokerId, DiesIn>,
    /// Those that have come there.
    dying: BTreeSet<BrokerId>,
    /// Brokers of which a write has ended half-way: what is written of one that fails can hold whole batches.
    wrote_short: BTreeSet<BrokerId>,
    /// Brokers that died so, and whose logs have shown no append yet that was not stated.
    died_writing: BTreeSet<BrokerId>,
    /// How far one write had brought logs behind what was stated, when their brokers began anew.
    unstated: BTreeMap<(BrokerId, &'a TopicPartition), Offset>,
    read: HashMap<(&'a TopicPartition, Offset, u32), FirstRead<'a>>,
    /// Of logs that had held something.
    recoveries: u64,
    /// With the offset that each is about.
    findings: Vec<(Offset, Finding)>,
}

fn judge(case: &Case) -> Vec<Finding> {
    let mut judge = Judge::default();
    for (at, entry) in case.history.iter().enumerate() {
        match &entry.what {
            What::Fact(fact) => judge.take(at, fact),
            What::Fault(fault) => judge.injure(at, fault),
            What::Seen(Seen::Unstated { broker, partition, to, is_one_write: true, .. }) => {
                judge.unstated.insert((*broker, partition), *to);
            }
            What::Seen(Seen::Struck { target, fault }) => {
                if let Some(broker) = broker_of_node(target) {
                    judge.strike(at, broker, fault);
                }
            }
            What::Phase(_) | What::Seen(_) => {}
        }
    }
    case.obligations.meet_many(judge.recoveries);
    let excused = judge.findings.into_iter().map(|finding| {
        let (offset, finding) = finding;
        let partition = finding.partition.as_ref();
        let excuse = partition.and_then(|partition| case.budget.excuses_damage(partition, offset));
        finding.excused_by(excuse)
    });
    excused.collect()
}

impl<'a> Judge<'a> {
    fn take(&mut self, at: usize, fact: &'a Fact) {
        match fact {
            Fact::Appended { broker, partition, base, last, crc, .. } => {
                self.leaders.insert(partition, *broker);
                self.step(at, *broker, partition, |replica| replica.append(at, *base, *last, *crc));
            }
            Fact::Flushed { broker, partition, end } => {
                self.step(at, *broker, partition, |replica| replica.flush(at, *end));
            }
            Fact::Truncated { broker, partition, end } => {
                self.step(at, *broker, partition, |replica| replica.truncate(*end));
            }
            Fact::LogRecovered { broker, partition, clean, log_start, log_end, .. } => {
                let handed_over = self.unstated.remove(&(*broker, partition));
                let was_handed_over = handed_over.is_some_and(|handed_over| *log_end <= handed_over);
                let may_hold_more = self.died_writing.contains(broker) && !*clean && was_handed_over;
                let end = self.replicas.entry((*broker, partition)).or_default().end();
                self.recoveries += u64::from(end > Offset(0));
                if may_hold_more && *log_end > end {
                    self.died_writing.remove(broker);
                    self.step(at, *broker, partition, |replica| replica.grow_unstated(*log_end));
                }
                self.step(at, *broker, partition, |replica| replica.begin(*log_start));
                self.step(at, *broker, partition, |replica| replica.recover(at, *log_end, *clean));
                if let Some(&failed) = self.fsync_failed.get(broker) {
                    self.lose_cache(failed, Some(*broker));
                }
            }
            Fact::LogDirFailed { broker, .. } if self.wrote_short.contains(broker) => {
                // It could not cut the piece off again, and gives up.
                self.died_writing.insert(*broker);
            }
            Fact::Delivered { partition, offset, record, .. } => self.deliver(at, partition, *offset, record),
            Fact::CorruptSkipped { consumer, partition, offset } => {
                // The log itself held these bytes.
                let message = format!("{consumer} met a corrupt batch at {partition}@{offset}");
                self.findings.push((*offset, Finding::new(Some(partition), message, vec![at])));
            }
            _ => {}
        }
    }

    fn step(
        &mut self,
        at: usize,
        broker: BrokerId,
        partition: &'a TopicPartition,
        step: impl FnOnce(&mut Replica) -> Option<Wrong>,
    ) {
        let replica = self.replicas.entry((broker, partition)).or_default();
        if let Some(wrong) = step(replica) {
            let message = format!("{partition} on broker {broker}: {}", wrong.message);
            let evidence = wrong.earlier.into_iter().chain([at]).collect();
            self.findings.push((wrong.offset, Finding::new(Some(partition), message, evidence)));
        }
    }

    fn injure(&mut self, at: usize, fault: &Injected) {
        match fault {
            Injected::PowerFailure { target } => {
                self.lose_cache(at, broker_of_node(target));
                self.die(target);
            }
            Injected::Kill { target } => self.die(target),
            // Several batches can be of one write: who dies at the first of them does not state the others.
            Injected::CrashArmed { target, point, .. } => {
                let Some(broker) = broker_of_node(target) else { return };
                match &**point {
                    "write" => drop(self.to_die_writing.insert(broker, DiesIn::DiskWrite)),
                    "appended" => drop(self.to_die_writing.insert(broker, DiesIn::Statement)),
                    _ => drop(self.to_die_writing.remove(&broker)),
                }
            }
            Injected::Start { target } => self.forget_failures(target),
            Injected::DiskHealthy { target } => {
                // The disk forgets the crash that was armed in it, too.
                self.to_die_writing.retain(|&broker, dies_in| {
                    Some(broker) != broker_of_node(target) || *dies_in == DiesIn::Statement
                });
                self.forget_failures(target);
            }
            _ => {}
        }
    }

    /// Whoever meets a failure from now on is told of again.
    fn forget_failures(&mut self, target: &str) {
        self.dying.retain(|&broker| Some(broker) != broker_of_node(target));
        self.wrote_short.retain(|&broker| Some(broker) != broker_of_node(target));
        self.fsync_failed.retain(|&broker, _| Some(broker) != broker_of_node(target));
    }

    fn strike(&mut self, at: usize, broker: BrokerId, fault: &str) {
        match fault {
            "sync-error" => {
                self.fsync_failed.entry(broker).or_insert(at);
                self.lose_cache(at, Some(broker));
            }
            // What fitted was written. Even a disk that was full has room again once it has lost what was not synced.
            "short-write" | "no-space" => drop(self.wrote_short.insert(broker)),
            "crash-inside" | "crash-at-point" => drop(self.dying.insert(broker)),
            _ => {}
        }
    }

    fn die(&mut self, target: &str) {
        let Some(broker) = broker_of_node(target) else { return };
        // Another death may come first, and disarms it.
        let was_armed = self.to_die_writing.remove(&broker).is_some();
        if self.dying.remove(&broker) && was_armed {
            self.died_writing.insert(broker);
        }
    }

    fn lose_cache(&mut self, at: usize, broker: Option<BrokerId>) {
        for ((host, _), replica) in &mut self.replicas {
            if Some(*host) == broker {
                replica.lose_cache(at);
            }
        }
    }

    fn deliver(&mut self, at: usize, partition: &'a TopicPartition, offset: Offset, record: &'a RecordTag) {
        let Some(leader) = self.leaders.get(partition) else { return };
        let Some(batch) = self.replicas[&(*leader, partition)].batch_at(offset) else { return };
        let first = *self.read.entry((partition, offset, batch.crc)).or_insert(FirstRead { at, record });
        if first.record != record {
            let message = format!(
                "{partition}@{offset} was read as {:?} and as {:?}, from the same batch",
                first.record.label, record.label
            );
            let evidence = vec![batch.appended_at, first.at, at];
            self.findings.push((offset, Finding::new(Some(partition), message, evidence)));
        }
    }
}

#[cfg(test)]
mod tests;
