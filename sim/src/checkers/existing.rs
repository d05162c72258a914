//! Which offsets ever held a record, as far as the history tells: appended batches and deliveries.
//!
//! An index, not a judge. What was cut off a log again counts: something else stands there later.

use std::collections::HashMap;

use seedlog::facts::Fact;
use seedlog::types::{Offset, TopicPartition};

use crate::history::{Entry, What};

/// Offsets `first..=last`.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    first: Offset,
    last: Offset,
}

#[derive(Clone, Copy, Debug)]
struct Batch {
    appended_at: usize,
    stretch: Stretch,
}

#[derive(Default)]
struct Places {
    /// In the order in which they were appended.
    batches: Vec<Batch>,
    /// The same and single records, in order, without touching each other.
    merged: Vec<Stretch>,
}

pub struct Existing<'a> {
    partitions: HashMap<&'a TopicPartition, Places>,
}

impl<'a> Existing<'a> {
    pub fn new(history: &'a [Entry]) -> Existing<'a> {
        let mut partitions: HashMap<&TopicPartition, Places> = HashMap::new();
        for (at, entry) in history.iter().enumerate() {
            match &entry.what {
                What::Fact(Fact::Appended { partition, base, last, .. }) => {
                    let stretch = Stretch { first: *base, last: *last };
                    let batch = Batch { appended_at: at, stretch };
                    partitions.entry(partition).or_default().batches.push(batch);
                }
                What::Fact(Fact::Delivered { partition, offset, .. }) => {
                    let record = Stretch { first: *offset, last: *offset };
                    partitions.entry(partition).or_default().merged.push(record);
                }
                _ => {}
            }
        }
        for places in partitions.values_mut() {
            places.merged.extend(places.batches.iter().map(|batch| batch.stretch));
            places.merged = merge(std::mem::take(&mut places.merged));
        }
        Existing { partitions }
    }

    /// The first offset at or above `from` that held a record.
    pub fn next(&self, partition: &TopicPartition, from: Offset) -> Option<Offset> {
        let merged = &self.partitions.get(partition)?.merged;
        let stretch = merged.get(merged.partition_point(|stretch| stretch.last < from))?;
        Some(stretch.first.max(from))
    }

    /// Whether the partition was ever appended to.
    pub fn was_stored(&self, partition: &TopicPartition) -> bool {
        self.partitions.get(partition).is_some_and(|places| !places.batches.is_empty())
    }

    /// The last offset of the batch that held `offset` before the entry `at`: the one appended last, where a log
    /// lost its end and grew again.
    pub fn batch_end(&self, partition: &TopicPartition, offset: Offset, at: usize) -> Offset {
        let Some(places) = self.partitions.get(partition) else { return offset };
        let before = places.batches.iter().rev().skip_while(|batch| batch.appended_at >= at);
        let mut stretches = before.map(|batch| batch.stretch);
        let batch = stretches.find(|stretch| (stretch.first..=stretch.last).contains(&offset));
        batch.map_or(offset, |stretch| stretch.last)
    }
}

/// Sorts, and joins what overlaps or touches.
fn merge(mut stretches: Vec<Stretch>) -> Vec<Stretch> {
    stretches.sort_unstable_by_key(|stretch| stretch.first);
    let mut merged: Vec<Stretch> = Vec::new();
    for stretch in stretches {
        match merged.last_mut() {
            Some(open) if stretch.first <= open.last.next() => open.last = open.last.max(stretch.last),
            _ => merged.push(stretch),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use seedlog::types::Offset;

    use super::Existing;
    use crate::checkers::story::{Story, orders};

    #[test]
    fn batches_and_deliveries_exist_and_gaps_do_not() {
        let story = Story::new().appended(4, 6, 1).appended(0, 1, 2).read("a", 9, "r-9");
        let existing = Existing::new(story.entries());
        let next = |from| existing.next(&orders(), Offset(from)).map(|offset| offset.0);
        assert_eq!(
            [next(0), next(1), next(2), next(6), next(7), next(10)],
            [Some(0), Some(1), Some(4), Some(6), Some(9), None]
        );
    }

    #[test]
    fn a_batch_ends_where_it_was_appended_to_end() {
        let story = Story::new().appended(0, 3, 1).appended(4, 6, 2);
        let existing = Existing::new(story.entries());
        assert_eq!(existing.batch_end(&orders(), Offset(4), 2), Offset(6));
        assert_eq!(existing.batch_end(&orders(), Offset(2), 2), Offset(3));
        assert_eq!(existing.batch_end(&orders(), Offset(9), 2), Offset(9), "nothing is known of it");
    }

    #[test]
    fn of_two_batches_that_held_an_offset_the_latest_until_then_counts() {
        let story = Story::new().appended(0, 3, 1).recovered(0, false).appended(0, 9, 2).appended(10, 11, 3);
        let existing = Existing::new(story.entries());
        assert_eq!(existing.batch_end(&orders(), Offset(2), 2), Offset(3));
        assert_eq!(existing.batch_end(&orders(), Offset(2), 3), Offset(9));
    }
}
