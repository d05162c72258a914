//! What a pass over the history gathers of disks and of what they hold.

use std::collections::{BTreeMap, BTreeSet};

use seedlog::facts::Fact;
use seedlog::types::{BrokerId, Offset, TopicPartition};

use super::{Budget, Damage, Damages, FLIPPED, LIED, LOST_CACHE, MISDIRECTED, TRUNCATED, WIPED};
use crate::checkers::Terms;
use crate::history::{Failure, Injected, Seen, What, broker_of_node};

pub struct Gathered<'a> {
    terms: &'a Terms,
    lossy_crashes: u64,
    damages: Damages,
    ends: BTreeMap<TopicPartition, Offset>,
    flushed: BTreeMap<TopicPartition, Offset>,
    hosted: BTreeMap<BrokerId, BTreeSet<TopicPartition>>,
    /// What each broker has opened since it was started last.
    opened: BTreeMap<BrokerId, BTreeSet<TopicPartition>>,
    /// How the fsyncs of each broker are to fail, that do.
    failing_sync: BTreeMap<BrokerId, Failure>,
    /// Brokers whose disks have failed an operation, or do not come to its end, and are not healthy again.
    ill: BTreeSet<BrokerId>,
    /// Brokers whose disks have claimed to store what they did not, since their last power failure.
    lied: BTreeSet<BrokerId>,
    /// Likewise, and then lost what it was.
    lied_and_lost: BTreeSet<BrokerId>,
    /// Likewise, since they were started last.
    lost_by_now: BTreeSet<BrokerId>,
    start_failed: BTreeSet<BrokerId>,
}

impl<'a> Gathered<'a> {
    pub fn new(terms: &'a Terms) -> Gathered<'a> {
        Gathered {
            terms,
            lossy_crashes: 0,
            damages: Damages::new(),
            ends: BTreeMap::new(),
            flushed: BTreeMap::new(),
            hosted: BTreeMap::new(),
            opened: BTreeMap::new(),
            failing_sync: BTreeMap::new(),
            ill: BTreeSet::new(),
            lied: BTreeSet::new(),
            lied_and_lost: BTreeSet::new(),
            lost_by_now: BTreeSet::new(),
            start_failed: BTreeSet::new(),
        }
    }

    pub fn take(&mut self, what: &What) {
        match what {
            What::Fact(fact) => self.take_fact(fact),
            What::Fault(fault) => self.take_fault(fault),
            What::Seen(seen) => self.take_seen(seen),
            What::Phase(_) => {}
        }
    }

    fn take_fact(&mut self, fact: &Fact) {
        match fact {
            Fact::Appended { broker, partition, last, .. } => {
                self.host(*broker, partition);
                self.ends.insert(partition.clone(), last.next());
            }
            Fact::Flushed { partition, end, .. } => drop(self.flushed.insert(partition.clone(), *end)),
            Fact::LogRecovered { broker, partition, log_end, .. } => {
                self.host(*broker, partition);
                self.opened.entry(*broker).or_default().insert(partition.clone());
                self.cut(partition, *log_end);
            }
            Fact::Truncated { partition, end, .. } => self.cut(partition, *end),
            Fact::BrokerStartFailed { broker, .. } => drop(self.start_failed.insert(*broker)),
            Fact::BrokerRegistered { broker, .. } => drop(self.start_failed.remove(broker)),
            _ => {}
        }
    }

    fn host(&mut self, broker: BrokerId, partition: &TopicPartition) {
        self.hosted.entry(broker).or_default().insert(partition.clone());
    }

    /// A log that ends inside of what is damaged, or right behind it, is cut off because of that: what had come behind is
    /// lost with it.
    fn cut(&mut self, partition: &TopicPartition, end: Offset) {
        let before = self.ends.insert(partition.clone(), end);
        let Some(damages) = self.damages.get_mut(partition) else { return };
        let is_cut_by = |damage: &&Damage| damage.from <= end && damage.to.is_none_or(|to| end <= to);
        if let Some(before) = before.filter(|before| end < *before)
            && let Some(damage) = damages.iter().find(is_cut_by).copied()
        {
            damages.push(Damage { from: end, to: Some(before), ..damage });
        }
    }

    fn take_fault(&mut self, fault: &Injected) {
        let Some(broker) = fault.targets().first().and_then(|target| broker_of_node(target)) else { return };
        match fault {
            Injected::PowerFailure { .. } => self.lossy_crashes += 1,
            Injected::Start { .. } => {
                self.opened.remove(&broker);
                // What it had claimed to store is lost by now, or never will be.
                if self.lost_by_now.remove(&broker) {
                    self.lied.remove(&broker);
                }
            }
            Injected::DiskError { failure, .. } => drop(self.failing_sync.insert(broker, *failure)),
            Injected::DiskHealthy { .. } => {
                self.ill.remove(&broker);
            }
            _ => {}
        }
    }

    fn take_seen(&mut self, seen: &Seen) {
        match seen {
            Seen::Struck { target, fault } => {
                if let Some(broker) = broker_of_node(target) {
                    self.struck(broker, fault);
                }
            }
            Seen::Damaged { target, fault, partition, from, to } => {
                let Some(broker) = broker_of_node(target) else { return };
                let Some(reason) = self.reason(broker, fault, partition) else { return };
                self.damage(partition, Damage { from: *from, to: *to, reason });
            }
            Seen::Forgotten { target, .. } => {
                if let Some(broker) = broker_of_node(target).filter(|broker| self.lied.contains(broker)) {
                    self.has_lost(broker);
                }
            }
            _ => {}
        }
    }

    fn struck(&mut self, broker: BrokerId, fault: &str) {
        match fault {
            "lying-sync" => drop(self.lied.insert(broker)),
            "short-write" | "no-space" | "sector-lost" => drop(self.ill.insert(broker)),
            _ if fault.ends_with("-error") => drop(self.ill.insert(broker)),
            _ if fault.starts_with("hanging-") => drop(self.ill.insert(broker)),
            _ => {}
        }
        if fault == "sync-error" {
            match self.failing_sync.get(&broker) {
                // It seems to have worked, and lost what it was to store.
                Some(Failure::Late) => drop(self.lied.insert(broker)),
                Some(Failure::Reverts) => self.revert(broker),
                _ => {}
            }
        }
    }

    /// Programs no longer see what was to be stored: nobody says of which file, but it was not flushed yet.
    fn revert(&mut self, broker: BrokerId) {
        for partition in self.hosted.get(&broker).cloned().unwrap_or_default() {
            let from = self.flushed.get(&partition).copied().unwrap_or_default();
            let to = self.ends.get(&partition).copied();
            if !self.terms.survive_loss_of_cache(&partition) {
                self.damage(&partition, Damage { from, to, reason: LOST_CACHE });
            }
        }
    }

    fn reason(&mut self, broker: BrokerId, fault: &str, partition: &TopicPartition) -> Option<&'static str> {
        match fault {
            "power-failure" if self.lied.contains(&broker) => {
                self.has_lost(broker);
                Some(LIED)
            }
            "power-failure" => (!self.terms.survive_loss_of_cache(partition)).then_some(LOST_CACHE),
            "misdirected-write" => Some(MISDIRECTED),
            "flip-bit" => Some(FLIPPED),
            "truncate-file" | "remove-file" => Some(TRUNCATED),
            "wipe" => Some(WIPED),
            _ => None,
        }
    }

    fn has_lost(&mut self, broker: BrokerId) {
        self.lied_and_lost.insert(broker);
        self.lost_by_now.insert(broker);
    }

    fn damage(&mut self, partition: &TopicPartition, damage: Damage) {
        self.damages.entry(partition.clone()).or_default().push(damage);
    }

    fn on<'b>(&'b self, brokers: &'b BTreeSet<BrokerId>) -> impl Iterator<Item = &'b TopicPartition> {
        brokers.iter().filter_map(|broker| self.hosted.get(broker)).flatten()
    }

    fn unopened(&self) -> BTreeSet<TopicPartition> {
        let none = BTreeSet::new();
        let unopened = self.lied_and_lost.iter().flat_map(|broker| {
            let opened = self.opened.get(broker).unwrap_or(&none);
            self.hosted.get(broker).unwrap_or(&none).difference(opened)
        });
        unopened.cloned().collect()
    }

    pub fn budget(self) -> Budget {
        Budget {
            lossy_crashes: self.lossy_crashes,
            ill: self.on(&self.ill).cloned().collect(),
            unopened: self.unopened(),
            refusing: self.start_failed.intersection(&self.lied_and_lost).copied().collect(),
            over: self.damages,
            ill_brokers: self.ill,
        }
    }
}
