//! S13, `storage`: a log's offsets increase, and what recovery finds is a prefix of the log before the crash
//! that holds everything which was flushed; all of it, where the page cache survived (no power failure, and
//! no failed fsync, which may throw the new bytes away).
//!
//! Contents are judged by what is read: under one batch an offset has one value, before and after recovery.
//! Even without fsync a log may lose its tail and nothing else; only damage behind the broker's back (an empty
//! disk, a lying or misdirecting one, a flipped bit) excuses more.

mod replica;

use std::collections::{BTreeMap, HashMap};

use seedlog::facts::{Fact, RecordTag};
use seedlog::types::{BrokerId, Offset, TopicPartition};

use super::{Case, Check, Finding};
use crate::history::{DiskOperation, Injected, What, broker_of_node};
use replica::{Replica, Wrong};

pub const CHECK: Check = Check { id: "S13", slug: "storage", judge };

/// A value as it was first read from a batch.
#[derive(Clone, Copy)]
struct FirstRead<'a> {
    at: usize,
    record: &'a RecordTag,
}

#[derive(Default)]
struct Judge<'a> {
    replicas: BTreeMap<(BrokerId, &'a TopicPartition), Replica>,
    /// Where each partition's records are read from: with one replica, the broker that appended last.
    leaders: HashMap<&'a TopicPartition, BrokerId>,
    /// Brokers whose fsyncs fail now, and since which entry.
    fsync_fails: BTreeMap<BrokerId, usize>,
    read: HashMap<(&'a TopicPartition, Offset, u32), FirstRead<'a>>,
    findings: Vec<Finding>,
}

fn judge(case: &Case) -> Vec<Finding> {
    let mut judge = Judge::default();
    for (at, entry) in case.history.iter().enumerate() {
        match &entry.what {
            What::Fact(fact) => judge.take(at, fact),
            What::Fault(fault) => judge.injure(at, fault),
            What::Phase(_) => {}
        }
    }
    let excused = judge.findings.into_iter().map(|finding| {
        let excuse = finding.partition.as_ref().and_then(|partition| case.budget.excuses_damage(partition));
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
            Fact::LogRecovered { broker, partition, clean, log_end, .. } => {
                self.step(at, *broker, partition, |replica| replica.recover(at, *log_end, *clean));
                if let Some(&fault) = self.fsync_fails.get(broker) {
                    self.lose_cache(fault, Some(*broker));
                }
            }
            Fact::Delivered { partition, offset, record, .. } => self.deliver(at, partition, *offset, record),
            Fact::CorruptSkipped { consumer, partition, offset } => {
                // The log itself held these bytes.
                let message = format!("{consumer} met a corrupt batch at {partition}@{offset}");
                self.findings.push(Finding::new(Some(partition), message, vec![at]));
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
            self.findings.push(Finding::new(Some(partition), message, evidence));
        }
    }

    fn injure(&mut self, at: usize, fault: &Injected) {
        match fault {
            Injected::PowerFailure { target } => self.lose_cache(at, broker_of_node(target)),
            Injected::DiskError { target, operation: DiskOperation::Fsync } => {
                self.fsync_fails.extend(broker_of_node(target).map(|broker| (broker, at)));
                self.lose_cache(at, broker_of_node(target));
            }
            Injected::DiskHealthy { target } => {
                self.fsync_fails.retain(|&broker, _| Some(broker) != broker_of_node(target));
            }
            _ => {}
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
            self.findings.push(Finding::new(Some(partition), message, vec![batch.appended_at, first.at, at]));
        }
    }
}

#[cfg(test)]
mod tests {
    use seedlog::facts::Fact;
    use seedlog::types::Offset;

    use super::CHECK;
    use crate::checkers::story::{Story, broker_1, orders};
    use crate::history::{DiskOperation, Injected};

    #[test]
    fn damage_behind_the_brokers_back_excuses_what_the_log_lost() {
        let lost = |fault| {
            Story::new().appended(0, 4, 1).flushed(5).fault(fault).power_failure().recovered(0, false)
        };
        let wiped = lost(Injected::Wipe { target: broker_1() });
        assert!(wiped.violations(&CHECK).is_empty());
        assert_eq!(wiped.excused(&CHECK).len(), 1);
        let lied = lost(Injected::DiskLies { target: broker_1() });
        assert!(lied.violations(&CHECK).is_empty());
        let of_another = lost(Injected::Wipe { target: "broker-2".into() });
        assert_eq!(of_another.violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_log_that_keeps_what_was_flushed_passes() {
        let story = Story::new()
            .appended(0, 4, 1)
            .flushed(5)
            .appended(5, 9, 2)
            .power_failure()
            .recovered(5, false)
            .appended(5, 6, 3)
            .kill()
            .recovered(7, false);
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn an_append_below_the_end_of_the_log_is_found() {
        let story = Story::new().appended(0, 4, 1).appended(4, 6, 2);
        assert_eq!(
            story.violations(&CHECK),
            ["orders-0 on broker 1: a batch was appended at 4, the log ended at 5"]
        );
    }

    #[test]
    fn a_recovery_that_loses_flushed_batches_is_found() {
        let story = Story::new().appended(0, 4, 1).flushed(5).power_failure().recovered(0, false);
        assert_eq!(
            story.violations(&CHECK),
            ["orders-0 on broker 1: recovered up to 0, though 5 had been flushed"]
        );
    }

    #[test]
    fn a_recovery_that_ends_inside_a_batch_is_found() {
        let story = Story::new().appended(0, 4, 1).power_failure().recovered(3, false);
        assert_eq!(
            story.violations(&CHECK),
            ["orders-0 on broker 1: recovered up to 3, which is inside of the batch 0..=4"]
        );
    }

    #[test]
    fn a_recovery_that_invents_records_is_found() {
        let story = Story::new().appended(0, 4, 1).kill().recovered(9, false);
        assert_eq!(
            story.violations(&CHECK),
            ["orders-0 on broker 1: recovered up to 9, the log had ended at 5"]
        );
    }

    #[test]
    fn a_kill_that_loses_the_page_cache_is_found() {
        let story = Story::new().appended(0, 4, 1).kill().recovered(0, false);
        assert_eq!(
            story.violations(&CHECK),
            ["orders-0 on broker 1: recovered up to 0 of 5, though the page cache had survived"]
        );
    }

    #[test]
    fn a_failed_fsync_may_lose_what_it_was_to_flush_and_nothing_else() {
        let story = |end| {
            let operation = DiskOperation::Fsync;
            let fault = Injected::DiskError { target: broker_1(), operation };
            Story::new()
                .appended(0, 4, 1)
                .flushed(5)
                .appended(5, 9, 2)
                .fault(fault)
                .kill()
                .recovered(end, false)
        };
        assert!(story(5).violations(&CHECK).is_empty());
        assert_eq!(story(0).violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_clean_stop_that_loses_records_is_found() {
        let story = Story::new().appended(0, 4, 1).power_failure().recovered(0, true);
        assert_eq!(story.violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_second_recovery_that_disagrees_with_the_first_is_found() {
        let story =
            Story::new().appended(0, 4, 1).power_failure().recovered(5, false).kill().recovered(0, false);
        assert_eq!(story.violations(&CHECK).len(), 1);
    }

    #[test]
    fn another_value_read_from_the_same_batch_is_found() {
        let story = Story::new()
            .appended(0, 0, 1)
            .read("a", 0, "r-0")
            .kill()
            .recovered(1, false)
            .read("a", 0, "garbage");
        assert_eq!(
            story.violations(&CHECK),
            [r#"orders-0@0 was read as "r-0" and as "garbage", from the same batch"#]
        );
    }

    #[test]
    fn another_value_under_a_batch_that_replaced_the_first_passes() {
        let story = Story::new()
            .appended(0, 0, 1)
            .read("a", 0, "r-0")
            .power_failure()
            .recovered(0, false)
            .appended(0, 0, 2)
            .read("a", 0, "r-1");
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_corrupt_batch_that_a_consumer_met_is_found() {
        let (consumer, partition, offset) = ("a".to_owned(), orders(), Offset(3));
        let story = Story::new().fact("a", Fact::CorruptSkipped { consumer, partition, offset });
        assert_eq!(story.violations(&CHECK), ["a met a corrupt batch at orders-0@3"]);
    }

    #[test]
    fn a_flush_of_more_than_was_appended_is_found() {
        let story = Story::new().appended(0, 4, 1).flushed(6);
        assert_eq!(story.violations(&CHECK).len(), 1);
    }
}
