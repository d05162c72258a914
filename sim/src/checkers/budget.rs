//! Whether a run's damage stayed within what the cluster promised to survive.
//!
//! Damage is what the simulated disks report that a fault did, when it did it: to one copy of a partition, and to a
//! stretch of offsets. A fault that was armed and met nothing excuses nothing. With one replica a record has one copy: a
//! power failure is in budget only where acknowledgements waited for the flush, and so is a failed fsync, which may take
//! what it was to store out of the page cache. Kills are always in budget. A disk that fails is in budget as long as it
//! works again before the cluster must have healed; one that is replaced, lies or damages what it holds never is.

mod gathered;

use std::collections::{BTreeMap, BTreeSet};

use seedlog::types::{BrokerId, Offset, TopicPartition};

use super::Terms;
use crate::history::Entry;
use gathered::Gathered;

/// Offsets of a partition whose only copy is lost, or not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Damage {
    from: Offset,
    /// Exclusive; `None`: whatever is behind.
    to: Option<Offset>,
    reason: &'static str,
    /// The entry that says so. What was sent after it is not what was damaged.
    at: usize,
    /// It was cut off: the log ends in front of it, or has something else there.
    is_gone: bool,
}

type Damages = BTreeMap<TopicPartition, Vec<Damage>>;

/// The damage of one run, measured against the terms.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    /// Power failures of brokers.
    pub lossy_crashes: u64,
    over: Damages,
    /// Partitions on disks that still fail operations.
    ill: BTreeSet<TopicPartition>,
    ill_brokers: BTreeSet<BrokerId>,
    /// Brokers that refuse to start, for want of what their disks claimed to have stored.
    refusing: BTreeSet<BrokerId>,
    /// Partitions that such a disk's broker did not open when it was started last.
    unopened: BTreeSet<TopicPartition>,
}

impl Damage {
    fn holds(&self, offset: Offset) -> bool {
        self.from <= offset && self.to.is_none_or(|to| offset < to)
    }
}

impl Budget {
    /// One pass over the history.
    pub fn of(history: &[Entry], terms: &Terms) -> Budget {
        let mut gathered = Gathered::new(terms);
        for (at, entry) in history.iter().enumerate() {
            gathered.take(at, &entry.what);
        }
        gathered.budget()
    }

    /// Why an acknowledged record at this offset of `partition` may be lost, if it may.
    pub fn excuses_loss(&self, partition: &TopicPartition, offset: Offset) -> Option<String> {
        self.excuse(partition, |damage| damage.holds(offset))
    }

    /// Likewise, of a record that was sent by the entry `sent`. Damage of before then is not its own, unless nobody can tell
    /// where a batch begins behind it.
    pub fn excuses_loss_of(&self, partition: &TopicPartition, offset: Offset, sent: usize) -> Option<String> {
        let hides = |damage: &Damage| damage.to.is_none() && DAMAGES_WHAT_STANDS.contains(&damage.reason);
        self.excuse(partition, |damage| (damage.at >= sent || hides(damage)) && damage.holds(offset))
    }

    /// Why the stored log of `partition` may be anything at this offset, if it may.
    pub fn excuses_damage(&self, partition: &TopicPartition, offset: Offset) -> Option<String> {
        self.excuse(partition, |damage| damage.reason != LOST_CACHE && damage.holds(offset))
    }

    /// Likewise somewhere, of what is said about the partition and no offset.
    pub fn excuses_damage_somewhere(&self, partition: &TopicPartition) -> Option<String> {
        self.excuse(partition, |damage| damage.reason != LOST_CACHE)
    }

    /// Why what stands at these offsets of `partition` may be hidden, written over by others, or stand elsewhere, without
    /// anybody being able to tell: a batch's CRC does not cover where it stands.
    pub fn excuses_misplacement(
        &self,
        partition: &TopicPartition,
        offsets: impl IntoIterator<Item = Offset> + Clone,
    ) -> Option<String> {
        self.excuse(partition, |damage| {
            DAMAGES_WHAT_STANDS.contains(&damage.reason)
                && offsets.clone().into_iter().any(|offset| damage.holds(offset))
        })
    }

    /// Why `partition` may be out of service at the end, if it may.
    pub fn excuses_outage(&self, partition: &TopicPartition) -> Option<String> {
        let left_broken =
            self.ill.contains(partition).then(|| "the disk of its broker was left broken".into());
        let unreadable = || self.excuse(partition, |damage| DAMAGES_WHAT_STANDS.contains(&damage.reason));
        let offline = || self.unopened.contains(partition).then(|| format!("over budget: {LIED}"));
        left_broken.or_else(unreadable).or_else(offline)
    }

    /// Why the broker may be down at the end, if it may.
    pub fn excuses_absence(&self, broker: BrokerId) -> Option<String> {
        let left_broken = self.ill_brokers.contains(&broker).then(|| "its disk was left broken".to_owned());
        let refuses = || self.refusing.contains(&broker).then(|| format!("over budget: {LIED}"));
        left_broken.or_else(refuses)
    }

    /// The partitions some of whose records may be lost, and why.
    pub fn over(&self) -> impl Iterator<Item = (&TopicPartition, String)> {
        self.over.iter().map(|(partition, damages)| {
            let reasons: BTreeSet<&str> = damages.iter().map(|damage| damage.reason).collect();
            (partition, reasons.into_iter().collect::<Vec<_>>().join(", and "))
        })
    }

    fn excuse(&self, partition: &TopicPartition, counts: impl Fn(&Damage) -> bool) -> Option<String> {
        let damage = self.over.get(partition)?.iter().find(|damage| counts(damage))?;
        Some(format!("over budget: {}", damage.reason))
    }
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

#[cfg(test)]
mod tests;
