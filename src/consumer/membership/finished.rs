//! What the application has finished, and so what a commit may say (P17).
//!
//! Pure. Per partition: the lease that its stream hands records out of, which counts for itself, and the offsets
//! that earlier leases left unfinished. Memory is bounded by the limit on unfinished records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::lease::Lease;
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
    /// What its stream took over last.
    lease: Option<Arc<Lease>>,
    /// Of earlier leases.
    unfinished: BTreeSet<Offset>,
    /// Behind the last record handed out by an earlier lease of this ownership; `None`: none was.
    delivered_end: Option<Offset>,
    /// What the offset registry is known to say.
    committed: Option<Offset>,
}

impl Progress {
    /// A partition was taken over.
    pub(super) fn own(&mut self, partition: TopicPartition, stream: u32, committed: Option<Offset>) {
        let fresh =
            Partition { stream, lease: None, unfinished: BTreeSet::new(), delivered_end: None, committed };
        self.partitions.insert(partition, fresh);
    }

    /// A partition was given up; whether something of it was not finished.
    pub(super) fn disown(&mut self, partition: &TopicPartition) -> bool {
        self.partitions.remove(partition).is_some_and(|partition| partition.unfinished_count() > 0)
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

    /// A stream takes records over, or goes on with those it has: what it hands out of the lease counts from here on.
    /// Before the first one is handed out.
    pub(super) fn leased(&mut self, partition: &TopicPartition, lease: &Arc<Lease>) {
        match self.partitions.get_mut(partition) {
            Some(partition) => partition.leased(lease),
            None => lease.forget(),
        }
    }

    /// Returns whether the record was delivered under the present ownership, and not finished before.
    pub(super) fn finish(&mut self, partition: &TopicPartition, offset: Offset) -> bool {
        self.partitions.get_mut(partition).is_some_and(|partition| partition.finish(offset))
    }

    /// Of one stream of a topic.
    pub(super) fn unfinished(&self, topic: &str, stream: u32) -> usize {
        let own = self.partitions.iter().filter(|(name, p)| &*name.topic == topic && p.stream == stream);
        own.map(|(_, partition)| partition.unfinished_count()).sum()
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
            // The end first, then the position, then what is finished: records that are handed out meanwhile move
            // the position, and never back.
            let end = partition.delivered_end();
            let position = position(name);
            if position.is_some_and(|position| end.is_some_and(|end| position < end)) {
                partition.forget();
            }
            let offset = match rules::holds(Rule::CommitNothingPrefetched) {
                // Nothing delivered since it was sought or reset: whoever comes next goes on there too.
                true => partition.next_unfinished().or(position)?,
                false => prefetched(name)?,
            };
            (partition.committed != Some(offset)).then(|| (name.clone(), offset))
        });
        wanted.collect()
    }

    /// Nobody knows whether the registry says what it was to be told.
    pub(super) fn commit_unknown(&mut self, partition: &TopicPartition) {
        if let Some(partition) = self.partitions.get_mut(partition) {
            partition.committed = None;
        }
    }

    pub(super) fn committed(&mut self, partition: &TopicPartition, offset: Offset) {
        if let Some(partition) = self.partitions.get_mut(partition) {
            partition.committed = Some(offset);
        }
    }
}

impl Partition {
    fn leased(&mut self, lease: &Arc<Lease>) {
        if self.lease.as_ref().is_some_and(|present| Arc::ptr_eq(present, lease)) {
            return;
        }
        if self.delivered_end().is_some_and(|end| lease.position() < end) {
            self.forget();
        }
        self.settle();
        self.lease = Some(Arc::clone(lease));
    }

    /// Keeps what a lease that hands out no more left unfinished.
    fn settle(&mut self) {
        if let Some(lease) = self.lease.take() {
            let delivered = lease.delivered();
            self.unfinished.extend(delivered.unfinished());
            self.delivered_end = delivered.end().or(self.delivered_end);
        }
        let last = self.unfinished.last();
        assert!(last.copied() < self.delivered_end || last.is_none(), "what is unfinished was handed out");
    }

    /// What was done with the records delivered so far says nothing any more: the application sought, or the position
    /// was reset to before them, because the log had lost its end, and others have their offsets now.
    fn forget(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.forget();
        }
        self.unfinished.clear();
        self.delivered_end = None;
    }

    fn finish(&mut self, offset: Offset) -> bool {
        self.unfinished.remove(&offset) || self.lease.as_ref().is_some_and(|lease| lease.finish(offset))
    }

    fn unfinished_count(&self) -> usize {
        let present = self.lease.as_ref().map_or(0, |lease| lease.delivered().unfinished().count());
        self.unfinished.len() + present
    }

    fn delivered_end(&self) -> Option<Offset> {
        let present = self.lease.as_ref().and_then(|lease| lease.delivered().end());
        present.or(self.delivered_end)
    }

    fn next_unfinished(&self) -> Option<Offset> {
        // One moment for both: what is handed out later is neither finished nor unfinished here.
        let present = self.lease.as_ref().map(|lease| lease.delivered());
        let end = present.and_then(|delivered| delivered.end()).or(self.delivered_end);
        if !rules::holds(Rule::CommitOnlyFinished) {
            return end;
        }
        let first = self.unfinished.first().copied();
        first.or_else(|| present.and_then(|delivered| delivered.unfinished().next())).or(end)
    }
}

impl Drop for Partition {
    /// Given up or owned anew: whoever still has records of it learns that his marks do not count.
    fn drop(&mut self) {
        self.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::lease::Portion;
    use crate::consumer::lease::tests::portion;
    use crate::types::Instant;
    use proptest::prelude::*;

    fn name() -> TopicPartition {
        TopicPartition::new("t", 0)
    }

    fn owning(committed: Option<Offset>) -> Progress {
        let mut progress = Progress::default();
        progress.own(name(), 0, committed);
        progress
    }

    /// A lease of its own for each record.
    fn deliver(progress: &mut Progress, offset: i64) {
        hand_out(progress, &mut portion(name(), &[offset]), 1);
    }

    fn hand_out(progress: &mut Progress, portion: &mut Portion, count: usize) {
        progress.leased(&name(), &portion.lease);
        for _ in 0..count {
            portion.next(|| Instant::START).expect("nothing ended the lease");
        }
    }

    fn commit(progress: &mut Progress) -> Option<Offset> {
        commit_standing_at(progress, None)
    }

    fn commit_standing_at(progress: &mut Progress, position: Option<Offset>) -> Option<Offset> {
        progress.due_commits(|_| position, |_| Some(Offset(1_000))).get(&name()).copied()
    }

    #[test]
    fn nothing_delivered_is_nothing_to_commit_but_where_the_group_begins() {
        assert_eq!(commit_standing_at(&mut owning(Some(Offset(5))), Some(Offset(5))), None);
        assert_eq!(commit_standing_at(&mut owning(None), None), None, "it is not known yet");
        assert_eq!(commit_standing_at(&mut owning(None), Some(Offset(7))), Some(Offset(7)));
    }

    #[test]
    fn a_commit_stops_at_the_first_unfinished_record() {
        let mut progress = owning(Some(Offset(5)));
        for offset in 5..8 {
            deliver(&mut progress, offset);
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
        deliver(&mut progress, 0);
        assert!(progress.disown(&name()), "it was not finished");
        progress.own(name(), 0, None);
        assert!(!progress.finish(&name(), Offset(0)));
        assert_eq!(commit(&mut progress), None);
    }

    #[test]
    fn after_a_seek_the_commit_follows_the_new_position() {
        let mut progress = owning(Some(Offset(5)));
        deliver(&mut progress, 5);
        progress.sought(&name());
        assert_eq!(commit(&mut progress), None, "a time is looked up");
        assert_eq!(commit_standing_at(&mut progress, Some(Offset(2))), Some(Offset(2)));
        deliver(&mut progress, 2);
        assert_eq!(commit(&mut progress), Some(Offset(2)));
    }

    #[test]
    fn after_a_reset_to_before_what_was_finished_whoever_comes_next_begins_there_too() {
        let mut progress = owning(Some(Offset(5)));
        for offset in 5..8 {
            deliver(&mut progress, offset);
            progress.finish(&name(), Offset(offset));
        }
        assert_eq!(commit_standing_at(&mut progress, Some(Offset(0))), Some(Offset(0)));
        deliver(&mut progress, 0);
        assert_eq!(commit_standing_at(&mut progress, Some(Offset(1))), Some(Offset(0)));
    }

    #[test]
    fn a_record_from_before_a_reset_holds_no_commit_back_and_lets_none_run_ahead() {
        let mut progress = owning(Some(Offset(5)));
        deliver(&mut progress, 70);
        for offset in 0..3 {
            deliver(&mut progress, offset);
            progress.finish(&name(), Offset(offset));
        }
        assert_eq!(commit_standing_at(&mut progress, Some(Offset(3))), Some(Offset(3)));
    }

    #[test]
    fn after_a_reset_to_behind_what_was_delivered_the_unfinished_still_count() {
        let mut progress = owning(Some(Offset(5)));
        deliver(&mut progress, 5);
        deliver(&mut progress, 6);
        progress.finish(&name(), Offset(5));
        assert_eq!(commit_standing_at(&mut progress, Some(Offset(90))), Some(Offset(6)));
    }

    #[test]
    fn within_a_lease_a_commit_stops_at_the_first_unfinished_record_and_before_what_was_not_handed_out() {
        let mut progress = owning(None);
        let mut portion = portion(name(), &[0, 1, 2, 3, 7]);
        hand_out(&mut progress, &mut portion, 0);
        assert_eq!(commit(&mut progress), None);
        hand_out(&mut progress, &mut portion, 3);
        assert!(progress.finish(&name(), Offset(1)));
        assert_eq!((commit(&mut progress), progress.unfinished("t", 0)), (Some(Offset(0)), 2));
        assert!(progress.finish(&name(), Offset(0)));
        assert!(progress.finish(&name(), Offset(2)));
        assert_eq!((commit(&mut progress), progress.unfinished("t", 0)), (Some(Offset(3)), 0));
        assert!(!progress.finish(&name(), Offset(3)), "it was not handed out");
        hand_out(&mut progress, &mut portion, 2);
        assert!(progress.finish(&name(), Offset(3)));
        assert_eq!(commit(&mut progress), Some(Offset(7)));
    }

    #[test]
    fn what_a_lease_left_unfinished_counts_through_the_next_one() {
        let mut progress = owning(None);
        hand_out(&mut progress, &mut portion(name(), &[0, 1, 2]), 3);
        assert!(progress.finish(&name(), Offset(0)));
        hand_out(&mut progress, &mut portion(name(), &[3, 4]), 1);
        assert!(progress.finish(&name(), Offset(3)));
        assert_eq!((commit(&mut progress), progress.unfinished("t", 0)), (Some(Offset(1)), 2));
        assert!(progress.finish(&name(), Offset(2)));
        assert!(progress.finish(&name(), Offset(1)));
        assert_eq!(commit(&mut progress), Some(Offset(4)));
    }

    #[test]
    fn a_record_that_is_handed_out_while_a_commit_looks_for_the_position_is_no_reset() {
        let mut progress = owning(None);
        let mut portion = portion(name(), &[0, 1, 2]);
        hand_out(&mut progress, &mut portion, 1);
        assert!(progress.finish(&name(), Offset(0)));
        let lease = Arc::clone(&portion.lease);
        let overtaken = std::cell::RefCell::new(portion);
        let position = |_: &TopicPartition| {
            let position = lease.position();
            overtaken.borrow_mut().next(|| Instant::START);
            Some(position)
        };
        let commits = progress.due_commits(position, |_| None);
        assert_eq!(commits.get(&name()), Some(&Offset(1)));
        assert!(progress.finish(&name(), Offset(1)), "the record that came meanwhile still counts");
    }

    #[test]
    fn marks_count_no_more_once_the_partition_is_given_up_owned_anew_or_sought() {
        let ends: [fn(&mut Progress); 4] = [
            |progress| assert!(progress.disown(&name())),
            |progress| progress.clear(),
            |progress| progress.own(name(), 0, None),
            |progress| progress.sought(&name()),
        ];
        for end in ends {
            let mut progress = owning(None);
            let mut portion = portion(name(), &[0]);
            hand_out(&mut progress, &mut portion, 1);
            end(&mut progress);
            assert_eq!(portion.finish_last(), None);
        }
    }

    #[test]
    fn marks_on_what_is_not_owned_do_not_count() {
        let mut progress = Progress::default();
        let mut portion = portion(name(), &[0]);
        hand_out(&mut progress, &mut portion, 1);
        assert_eq!(portion.finish_last(), None);
    }

    proptest! {
        /// P17: whatever is finished in whatever order, a commit says that everything below it is finished.
        #[test]
        fn everything_below_a_commit_is_finished(order in Just((0_i64..30).collect::<Vec<_>>()).prop_shuffle()) {
            let mut progress = owning(None);
            for offset in 0..30 {
                deliver(&mut progress, offset);
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
