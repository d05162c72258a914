//! What the application has finished, and so what a commit may say (P17).
//!
//! Pure. Per partition the offsets that were delivered and not finished are kept, nothing of those that were:
//! memory is bounded by the limit on unfinished records.

use std::collections::{BTreeMap, BTreeSet};

use crate::rules::{self, Rule};
use crate::types::{Offset, TopicPartition};

/// The partitions that a member owns.
#[derive(Debug, Default)]
pub(super) struct Progress {
    partitions: BTreeMap<TopicPartition, Partition>,
}

#[derive(Debug)]
struct Partition {
    stream: u32,
    unfinished: BTreeSet<Offset>,
    /// Behind the last record handed out under this ownership; `None`: none was.
    delivered_end: Option<Offset>,
    /// What the offset registry is known to say.
    committed: Option<Offset>,
}

impl Progress {
    /// A partition was taken over.
    pub(super) fn own(&mut self, partition: TopicPartition, stream: u32, committed: Option<Offset>) {
        let fresh = Partition { stream, unfinished: BTreeSet::new(), delivered_end: None, committed };
        self.partitions.insert(partition, fresh);
    }

    /// A partition was given up; whether something of it was not finished.
    pub(super) fn disown(&mut self, partition: &TopicPartition) -> bool {
        self.partitions.remove(partition).is_some_and(|partition| !partition.unfinished.is_empty())
    }

    pub(super) fn clear(&mut self) {
        self.partitions.clear();
    }

    pub(super) fn owned(&self) -> BTreeSet<TopicPartition> {
        self.partitions.keys().cloned().collect()
    }

    /// The application goes on from elsewhere and says nothing more about what it had.
    pub(super) fn sought(&mut self, partition: &TopicPartition) {
        if let Some(partition) = self.partitions.get_mut(partition) {
            partition.forget();
        }
    }

    pub(super) fn delivered(&mut self, partition: &TopicPartition, offset: Offset) {
        if let Some(partition) = self.partitions.get_mut(partition) {
            partition.go_on_at(offset);
            partition.unfinished.insert(offset);
            partition.delivered_end = Some(offset.next());
        }
    }

    /// Returns whether the record was delivered under the present ownership, and not finished before.
    pub(super) fn finish(&mut self, partition: &TopicPartition, offset: Offset) -> bool {
        self.partitions.get_mut(partition).is_some_and(|partition| partition.unfinished.remove(&offset))
    }

    /// Of one stream of a topic.
    pub(super) fn unfinished(&self, topic: &str, stream: u32) -> usize {
        let own = self.partitions.iter().filter(|(name, p)| &*name.topic == topic && p.stream == stream);
        own.map(|(_, partition)| partition.unfinished.len()).sum()
    }

    /// The next offset to read after a crash at this moment, where the registry says something else.
    /// `position` tells where the next record to hand out of a partition is looked for, `prefetched` how far it
    /// was fetched.
    pub(super) fn due_commits(
        &mut self,
        position: impl Fn(&TopicPartition) -> Option<Offset>,
        prefetched: impl Fn(&TopicPartition) -> Option<Offset>,
    ) -> BTreeMap<TopicPartition, Offset> {
        let wanted = self.partitions.iter_mut().filter_map(|(name, partition)| {
            if let Some(position) = position(name) {
                partition.go_on_at(position);
            }
            let offset = match rules::holds(Rule::CommitNothingPrefetched) {
                true => partition.next_unfinished()?,
                false => prefetched(name)?,
            };
            (partition.committed != Some(offset)).then(|| (name.clone(), offset))
        });
        wanted.collect()
    }

    pub(super) fn committed(&mut self, partition: &TopicPartition, offset: Offset) {
        if let Some(partition) = self.partitions.get_mut(partition) {
            partition.committed = Some(offset);
        }
    }
}

impl Partition {
    fn forget(&mut self) {
        self.unfinished.clear();
        self.delivered_end = None;
    }

    /// A position before what was delivered was reset: the log had lost its end. What was done with the records
    /// of then says nothing about those that have their offsets now.
    fn go_on_at(&mut self, position: Offset) {
        if self.delivered_end.is_some_and(|end| position < end) {
            self.forget();
        }
    }

    fn next_unfinished(&self) -> Option<Offset> {
        match self.unfinished.first() {
            Some(first) if rules::holds(Rule::CommitOnlyFinished) => Some(*first),
            _ => self.delivered_end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name() -> TopicPartition {
        TopicPartition::new("t", 0)
    }

    fn owning(committed: Option<Offset>) -> Progress {
        let mut progress = Progress::default();
        progress.own(name(), 0, committed);
        progress
    }

    fn commit(progress: &mut Progress) -> Option<Offset> {
        commit_standing_at(progress, Offset(1_000))
    }

    fn commit_standing_at(progress: &mut Progress, position: Offset) -> Option<Offset> {
        progress.due_commits(|_| Some(position), |_| Some(Offset(1_000))).get(&name()).copied()
    }

    #[test]
    fn nothing_delivered_is_nothing_to_commit() {
        assert_eq!(commit(&mut owning(Some(Offset(5)))), None);
    }

    #[test]
    fn a_commit_stops_at_the_first_unfinished_record() {
        let mut progress = owning(Some(Offset(5)));
        for offset in 5..8 {
            progress.delivered(&name(), Offset(offset));
        }
        assert!(progress.finish(&name(), Offset(6)));
        assert_eq!(commit(&mut progress), None, "the registry says 5 already");
        assert!(progress.finish(&name(), Offset(5)));
        assert_eq!(commit(&mut progress), Some(Offset(7)));
        assert!(progress.finish(&name(), Offset(7)));
        assert_eq!(commit(&mut progress), Some(Offset(8)));
        progress.committed(&name(), Offset(8));
        assert_eq!(commit(&mut progress), None);
    }

    #[test]
    fn a_mark_from_an_earlier_ownership_does_not_count() {
        let mut progress = owning(None);
        progress.delivered(&name(), Offset(0));
        assert!(progress.disown(&name()), "it was not finished");
        progress.own(name(), 0, None);
        assert!(!progress.finish(&name(), Offset(0)));
        assert_eq!(commit(&mut progress), None);
    }

    #[test]
    fn after_a_seek_the_commit_follows_the_new_position() {
        let mut progress = owning(Some(Offset(5)));
        progress.delivered(&name(), Offset(5));
        progress.sought(&name());
        assert_eq!(commit(&mut progress), None);
        progress.delivered(&name(), Offset(2));
        assert_eq!(commit(&mut progress), Some(Offset(2)));
    }

    #[test]
    fn after_a_reset_to_before_what_was_finished_there_is_nothing_to_commit_until_more_is_delivered() {
        let mut progress = owning(Some(Offset(5)));
        for offset in 5..8 {
            progress.delivered(&name(), Offset(offset));
            progress.finish(&name(), Offset(offset));
        }
        assert_eq!(commit_standing_at(&mut progress, Offset(0)), None);
        progress.delivered(&name(), Offset(0));
        assert_eq!(commit_standing_at(&mut progress, Offset(1)), Some(Offset(0)));
    }

    #[test]
    fn a_record_from_before_a_reset_holds_no_commit_back_and_lets_none_run_ahead() {
        let mut progress = owning(Some(Offset(5)));
        progress.delivered(&name(), Offset(70));
        for offset in 0..3 {
            progress.delivered(&name(), Offset(offset));
            progress.finish(&name(), Offset(offset));
        }
        assert_eq!(commit_standing_at(&mut progress, Offset(3)), Some(Offset(3)));
    }

    #[test]
    fn after_a_reset_to_behind_what_was_delivered_the_unfinished_still_count() {
        let mut progress = owning(Some(Offset(5)));
        progress.delivered(&name(), Offset(5));
        progress.delivered(&name(), Offset(6));
        progress.finish(&name(), Offset(5));
        assert_eq!(commit_standing_at(&mut progress, Offset(90)), Some(Offset(6)));
    }

    proptest! {
        /// P17: whatever is finished in whatever order, a commit says that everything below it is finished.
        #[test]
        fn everything_below_a_commit_is_finished(order in Just((0_i64..30).collect::<Vec<_>>()).prop_shuffle()) {
            let mut progress = owning(None);
            for offset in 0..30 {
                progress.delivered(&name(), Offset(offset));
            }
            let mut finished = BTreeSet::new();
            for offset in order {
                progress.finish(&name(), Offset(offset));
                finished.insert(offset);
                let commit = commit(&mut progress).expect("something was delivered");
                prop_assert!((0..commit.0).all(|below| finished.contains(&below)));
                prop_assert!(!finished.contains(&commit.0));
            }
        }
    }
}
