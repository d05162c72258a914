//! Whether a run's damage stayed within what the cluster promised to survive.
//!
//! With one replica a record has one copy: a power failure is in budget only where acknowledgements waited
//! for the flush, and so is a failed fsync, which may take what it was to store out of the page cache. Kills
//! are always in budget. A disk that fails is in budget as long as it works again before the cluster must have
//! healed; one that is replaced, lies or damages what it holds never is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use seedlog::consumer::AutoReset;
use seedlog::facts::Fact;
use seedlog::types::{Acks, BrokerId, Durability, TopicPartition};

use crate::history::{DiskOperation, Entry, Failure, Injected, What, broker_of_node};

/// What was promised: the settings under which the verdicts hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    pub topics: BTreeMap<Arc<str>, TopicTerms>,
    pub producers: BTreeMap<String, ProducerTerms>,
    /// A group that is not named here is held to the default terms.
    pub groups: BTreeMap<String, GroupTerms>,
    /// Who is in each group, and what it reads.
    pub memberships: BTreeMap<String, Membership>,
    /// Consumers that belong to no group.
    pub consumers: BTreeMap<String, ConsumerTerms>,
    pub patience: Patience,
}

/// A group as it must be once the cluster has healed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// The members' names, which are their nodes'.
    pub members: BTreeSet<String>,
    pub partitions: BTreeSet<TopicPartition>,
    /// Without a committed offset it begins at the smallest one, so that nothing may be missed.
    pub reads_everything: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicTerms {
    pub durability: Durability,
    pub replicas: u32,
    /// What was appended is flushed after this, whether or not anybody waits for it (`flush.ms`).
    pub flush_interval: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerTerms {
    pub acks: Acks,
    /// Whether a later request may be on its way while an earlier one may still be sent again.
    pub may_overtake: bool,
    /// Whether it may give a record up before a healed cluster serves it: few retries, or little time.
    pub gives_up: bool,
    /// Whether it may give its records keys.
    pub keyed: bool,
    /// Whether it speaks the bare protocol and looks at every field of the replies.
    pub is_wire: bool,
    /// From acceptance to verdict, at most.
    pub delivery_timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerTerms {
    /// Where it goes on that does not know where it was.
    pub reset: AutoReset,
    /// It seeks to and fro.
    pub wanders: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupTerms {
    /// Of the members' ZooKeeper sessions, as granted.
    pub session_timeout: Duration,
    /// The longest that the application works on one record.
    pub processing: Duration,
    /// Where a member goes on that does not know where it was.
    pub reset: AutoReset,
}

impl Default for GroupTerms {
    fn default() -> GroupTerms {
        GroupTerms {
            session_timeout: Duration::from_secs(6),
            processing: Duration::ZERO,
            reset: AutoReset::Earliest,
        }
    }
}

/// What brokers and clients wait for at most, as this run told them: what is known to take time once it has healed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Until a request is given up, and the longest pause before the next one.
    pub request: Duration,
    /// Until ZooKeeper ends the session of a broker or a member that is gone.
    pub session: Duration,
    /// Until a producer gives a record up.
    pub delivery: Duration,
    /// Until a member that could not rebalance tries once more.
    pub rebalance: Duration,
}

impl Default for Patience {
    /// What clients and brokers do that are told nothing.
    fn default() -> Patience {
        Patience {
            request: Duration::from_secs(3),
            session: Duration::from_secs(6),
            delivery: Duration::from_secs(30),
            rebalance: Duration::from_secs(2),
        }
    }
}

impl Patience {
    /// Starting, electing, connecting and reading, with the slowest links and disks that a healed cluster has.
    const WORK: Duration = Duration::from_secs(5);
    /// A request that was under way and the one that finds out what there is instead; the session of who is dead and the
    /// one of who was to take over.
    const TIMES: u32 = 2;

    /// What a healed cluster takes at most until whoever reads has nothing in the way.
    pub fn until_served(&self) -> Duration {
        (self.request + self.session + self.rebalance) * Patience::TIMES + Patience::WORK
    }

    /// As above, until every record that a producer holds has met its fate.
    pub fn until_settled(&self) -> Duration {
        self.until_served() + self.delivery
    }
}

type Reasons = BTreeMap<TopicPartition, BTreeSet<&'static str>>;

/// The damage of one run, measured against the terms.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    /// Power failures of brokers.
    pub lossy_crashes: u64,
    over: Reasons,
    /// Partitions whose only copy was taken away or changed behind the broker's back.
    damaged: Reasons,
    ill: BTreeSet<TopicPartition>,
    ill_brokers: BTreeSet<BrokerId>,
    /// Brokers that refuse to start, for want of what their disks claimed to have stored.
    refusing: BTreeSet<BrokerId>,
    /// Partitions that such a disk's broker did not open when it was started last.
    unopened: BTreeSet<TopicPartition>,
}

/// What a pass over the history has gathered, by broker.
#[derive(Default)]
struct Gathered {
    lossy_crashes: u64,
    hosted: BTreeMap<BrokerId, BTreeSet<TopicPartition>>,
    /// What each broker has opened since it was started last.
    opened: BTreeMap<BrokerId, BTreeSet<TopicPartition>>,
    lost_cache: BTreeSet<BrokerId>,
    ill: BTreeSet<BrokerId>,
    damaged: BTreeMap<BrokerId, BTreeSet<&'static str>>,
    /// Damage in one file of theirs.
    hit: Reasons,
    /// Their disks lied and then lost their power.
    lied_and_lost: BTreeSet<BrokerId>,
    start_failed: BTreeSet<BrokerId>,
}

impl Gathered {
    fn take(&mut self, what: &What) {
        match what {
            What::Fact(fact) => self.take_fact(fact),
            What::Fault(fault) => self.take_fault(fault),
            What::Phase(_) | What::Seen(_) => {}
        }
    }

    fn take_fact(&mut self, fact: &Fact) {
        match fact {
            Fact::Appended { broker, partition, .. } => {
                self.hosted.entry(*broker).or_default().insert(partition.clone());
            }
            Fact::LogRecovered { broker, partition, .. } => {
                self.hosted.entry(*broker).or_default().insert(partition.clone());
                self.opened.entry(*broker).or_default().insert(partition.clone());
            }
            Fact::BrokerStartFailed { broker, .. } => drop(self.start_failed.insert(*broker)),
            Fact::BrokerRegistered { broker, .. } => drop(self.start_failed.remove(broker)),
            _ => {}
        }
    }

    fn take_fault(&mut self, fault: &Injected) {
        let Some(broker) = fault.targets().first().and_then(|target| broker_of_node(target)) else { return };
        match fault {
            Injected::PowerFailure { .. } => {
                self.lossy_crashes += 1;
                self.lost_cache.insert(broker);
                if self.damaged.get(&broker).is_some_and(|reasons| reasons.contains(LIED)) {
                    self.lied_and_lost.insert(broker);
                }
            }
            Injected::Start { .. } => drop(self.opened.remove(&broker)),
            Injected::DiskError { operation, failure, .. } => {
                self.ill.insert(broker);
                if *failure == Failure::Late {
                    // An fsync that seems to have worked lost what it was to store.
                    self.damaged.entry(broker).or_default().insert(LIED);
                }
                if *operation == DiskOperation::Fsync {
                    self.lost_cache.insert(broker);
                }
            }
            Injected::DiskFull { .. } | Injected::DiskSectorLost { .. } => drop(self.ill.insert(broker)),
            Injected::DiskHealthy { .. } => drop(self.ill.remove(&broker)),
            Injected::BitFlip { file, .. } | Injected::BitRot { file, .. } => self.hit(broker, file, FLIPPED),
            // An index can be made anew.
            Injected::FileTruncated { file, .. } if file.ends_with(".index") => {}
            Injected::FileTruncated { file, .. } => self.hit(broker, file, TRUNCATED),
            Injected::Wipe { .. } => drop(self.damaged.entry(broker).or_default().insert(WIPED)),
            Injected::DiskLies { .. } => drop(self.damaged.entry(broker).or_default().insert(LIED)),
            Injected::DiskMisdirects { .. } => {
                self.damaged.entry(broker).or_default().insert(MISDIRECTED);
            }
            _ => {}
        }
    }

    fn hit(&mut self, broker: BrokerId, file: &str, reason: &'static str) {
        match partition_of_log(file) {
            Some(partition) => self.hit.entry(partition).or_default().insert(reason),
            None => self.damaged.entry(broker).or_default().insert(reason),
        };
    }

    fn on<'a>(&'a self, brokers: &'a BTreeSet<BrokerId>) -> impl Iterator<Item = &'a TopicPartition> {
        brokers.iter().filter_map(|broker| self.hosted.get(broker)).flatten()
    }

    fn damaged(&self) -> Reasons {
        let mut damaged = Reasons::new();
        for (broker, reasons) in &self.damaged {
            for partition in self.hosted.get(broker).into_iter().flatten() {
                damaged.entry(partition.clone()).or_default().extend(reasons);
            }
        }
        for (partition, reasons) in &self.hit {
            damaged.entry(partition.clone()).or_default().extend(reasons);
        }
        damaged
    }

    fn unopened(&self) -> BTreeSet<TopicPartition> {
        let none = BTreeSet::new();
        let unopened = self.lied_and_lost.iter().flat_map(|broker| {
            let opened = self.opened.get(broker).unwrap_or(&none);
            self.hosted.get(broker).unwrap_or(&none).difference(opened)
        });
        unopened.cloned().collect()
    }
}

impl Budget {
    /// One pass over the history.
    pub fn of(history: &[Entry], terms: &Terms) -> Budget {
        let mut gathered = Gathered::default();
        for entry in history {
            gathered.take(&entry.what);
        }
        let damaged = gathered.damaged();
        let mut over = damaged.clone();
        let lost = gathered.on(&gathered.lost_cache);
        for partition in lost.filter(|partition| !terms.survive_loss_of_cache(partition)) {
            over.entry(partition.clone()).or_default().insert(LOST_CACHE);
        }
        Budget {
            lossy_crashes: gathered.lossy_crashes,
            over,
            damaged,
            ill: gathered.on(&gathered.ill).cloned().collect(),
            unopened: gathered.unopened(),
            refusing: gathered.start_failed.intersection(&gathered.lied_and_lost).copied().collect(),
            ill_brokers: gathered.ill,
        }
    }

    /// Why acknowledged records of `partition` may be lost, if they may.
    pub fn excuses_loss(&self, partition: &TopicPartition) -> Option<String> {
        excuse(&self.over, partition, |_| true)
    }

    /// Why the stored log of `partition` may be anything, if it may.
    pub fn excuses_damage(&self, partition: &TopicPartition) -> Option<String> {
        excuse(&self.damaged, partition, |_| true)
    }

    /// Why records of `partition` may stand at other offsets than they were given, or be written over by others,
    /// without anybody being able to tell: a batch's CRC does not cover where it stands.
    pub fn excuses_misplacement(&self, partition: &TopicPartition) -> Option<String> {
        excuse(&self.damaged, partition, |reason| DAMAGES_WHAT_STANDS.contains(&reason))
    }

    /// Why `partition` may be out of service at the end, if it may.
    pub fn excuses_outage(&self, partition: &TopicPartition) -> Option<String> {
        let left_broken =
            self.ill.contains(partition).then(|| "the disk of its broker was left broken".into());
        let unreadable = || self.excuses_misplacement(partition);
        let offline = || self.unopened.contains(partition).then(|| format!("over budget: {LIED}"));
        left_broken.or_else(unreadable).or_else(offline)
    }

    /// Why the broker may be down at the end, if it may.
    pub fn excuses_absence(&self, broker: BrokerId) -> Option<String> {
        let left_broken = self.ill_brokers.contains(&broker).then(|| "its disk was left broken".to_owned());
        let refuses = || self.refusing.contains(&broker).then(|| format!("over budget: {LIED}"));
        left_broken.or_else(refuses)
    }

    /// The partitions whose records may be lost, and why.
    pub fn over(&self) -> impl Iterator<Item = (&TopicPartition, String)> {
        self.over.iter().map(|(partition, reasons)| {
            (partition, reasons.iter().copied().collect::<Vec<_>>().join(", and "))
        })
    }
}

fn excuse(reasons: &Reasons, partition: &TopicPartition, counts: impl Fn(&str) -> bool) -> Option<String> {
    let reason = reasons.get(partition)?.iter().find(|reason| counts(reason))?;
    Some(format!("over budget: {reason}"))
}

const LOST_CACHE: &str = "the page cache was lost without `durability = fsync` and with one replica";
const WIPED: &str = "the only replica's disk was replaced by an empty one";
const LIED: &str = "the only replica's disk lied about fsync";
const MISDIRECTED: &str = "the only replica's disk misdirected a write";
const FLIPPED: &str = "a bit of the only replica flipped";
const TRUNCATED: &str = "a file of the only replica was cut off";
/// Damage in the middle of a log: with one replica nobody can say what stood there, nor where the next batch
/// begins, and a reader may have to stop in front of it.
const DAMAGES_WHAT_STANDS: [&str; 3] = [MISDIRECTED, FLIPPED, TRUNCATED];

/// The partition whose directory holds the file.
fn partition_of_log(file: &str) -> Option<TopicPartition> {
    let (directory, _) = file.rsplit_once('/')?;
    let name = directory.rsplit('/').next()?;
    let (topic, partition) = name.rsplit_once('-')?;
    Some(TopicPartition::new(topic, partition.parse().ok()?))
}

impl Terms {
    fn survive_loss_of_cache(&self, partition: &TopicPartition) -> bool {
        self.topics
            .get(&partition.topic)
            .is_none_or(|topic| topic.durability == Durability::Fsync || topic.replicas > 1)
    }

    /// What was promised about the group.
    pub fn group(&self, group: &str) -> GroupTerms {
        self.groups.get(group).copied().unwrap_or_default()
    }

    /// Whether an acknowledgement with `acks` promises the record as long as the run stays in budget. With
    /// one replica there is no fail-over, and the leader's own append is all there is to wait for.
    pub fn ack_promises(&self, partition: &TopicPartition, acks: Acks) -> bool {
        let replicas = self.topics.get(&partition.topic).map_or(1, |topic| topic.replicas);
        match acks {
            Acks::None => false,
            Acks::Leader => replicas == 1,
            Acks::All => true,
        }
    }
}

#[cfg(test)]
mod tests;
