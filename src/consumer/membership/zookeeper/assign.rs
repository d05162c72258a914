//! Who reads what: the range formula of the paper (section 3.2), which every member computes for itself.
//!
//! Pure. Members whose views agree come to the same answer; those whose views differ meet at the owner nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use crate::types::TopicPartition;

/// What one member asks for: streams by topic.
pub(super) type Subscription = BTreeMap<String, u32>;

/// What everybody is told: members by name, and the partitions of each topic whose leader is registered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    pub members: BTreeMap<String, Subscription>,
    pub partitions: BTreeMap<String, BTreeSet<i32>>,
}

/// The partitions of `me`, each with the stream (counted from 0 per topic) that reads it. Of a topic's P
/// partitions over S streams each stream reads P / S that follow one another, and the first P % S one more.
pub(super) fn assign(view: &View, me: &str) -> BTreeMap<TopicPartition, u32> {
    let mut mine = BTreeMap::new();
    let Some(subscription) = view.members.get(me) else { return mine };
    for (topic, own) in subscription {
        let Some(partitions) = view.partitions.get(topic) else { continue };
        let partitions: Vec<i32> = partitions.iter().copied().collect();
        let (before, all) = streams_of(view, topic, me);
        let (least, more) = match all {
            0 => continue,
            all => (partitions.len() as u64 / all, partitions.len() as u64 % all),
        };
        for stream in 0..*own {
            let index = before + u64::from(stream);
            let first = (index * least + index.min(more)) as usize;
            let share = (least + u64::from(index < more)) as usize;
            if share == 0 {
                // Nor is there anything for those behind it, however many a member claims to have.
                break;
            }
            let own = partitions[first..first + share].iter();
            mine.extend(own.map(|partition| (TopicPartition::new(topic.as_str(), *partition), stream)));
        }
    }
    mine
}

/// The group's streams on a topic: how many take their shares before those of `me`, and how many there are. Only
/// counted: the number is what some node of ZooKeeper claims.
fn streams_of(view: &View, topic: &str, me: &str) -> (u64, u64) {
    let streams = |subscription: &Subscription| u64::from(subscription.get(topic).copied().unwrap_or(0));
    let before = view
        .members
        .range::<str, _>((Unbounded, Excluded(me)))
        .map(|(_, subscription)| streams(subscription))
        .sum();
    (before, view.members.values().map(streams).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn view(partitions: i32, streams: &[(&str, u32)]) -> View {
        let members = streams.iter();
        View {
            members: members
                .map(|(member, count)| ((*member).to_owned(), Subscription::from([("t".to_owned(), *count)])))
                .collect(),
            partitions: BTreeMap::from([("t".to_owned(), (0..partitions).collect())]),
        }
    }

    fn numbers(view: &View, me: &str) -> Vec<(i32, u32)> {
        assign(view, me).into_iter().map(|(partition, stream)| (partition.partition, stream)).collect()
    }

    /// Whoever writes such a node makes the group useless, and no member run out of memory.
    #[test]
    fn a_member_that_claims_four_billion_streams_costs_nothing() {
        let view = view(3, &[("a", u32::MAX), ("b", u32::MAX), ("c", 1)]);
        assert_eq!(numbers(&view, "a"), [(0, 0), (1, 1), (2, 2)]);
        assert_eq!(numbers(&view, "b"), []);
        assert_eq!(numbers(&view, "c"), []);
    }

    #[test]
    fn the_remainder_goes_to_the_first_streams_one_each() {
        let view = view(7, &[("a", 2), ("b", 1)]);
        assert_eq!(numbers(&view, "a"), [(0, 0), (1, 0), (2, 0), (3, 1), (4, 1)]);
        assert_eq!(numbers(&view, "b"), [(5, 0), (6, 0)]);
    }

    #[test]
    fn surplus_streams_read_nothing() {
        let view = view(1, &[("a", 1), ("b", 2)]);
        assert_eq!(numbers(&view, "a"), [(0, 0)]);
        assert!(numbers(&view, "b").is_empty());
    }

    #[test]
    fn who_is_not_in_the_view_gets_nothing() {
        assert!(numbers(&view(3, &[("a", 1)]), "z").is_empty());
    }

    #[test]
    fn a_topic_that_a_member_does_not_read_is_not_its_own() {
        let mut view = view(2, &[("a", 1), ("b", 1)]);
        view.partitions.insert("u".to_owned(), BTreeSet::from([0, 1]));
        view.members.get_mut("b").expect("b is there").insert("u".to_owned(), 1);
        assert_eq!(numbers(&view, "a"), [(0, 0)]);
        assert_eq!(assign(&view, "b").len(), 3);
    }

    fn views() -> impl Strategy<Value = View> {
        let subscription = prop::collection::btree_map("[tu]", 0_u32..4, 0..3);
        let members = prop::collection::btree_map("[a-f]", subscription, 0..6);
        let partitions =
            prop::collection::btree_map("[tu]", prop::collection::btree_set(0_i32..20, 0..12), 0..3);
        (members, partitions).prop_map(|(members, partitions)| View { members, partitions })
    }

    fn all_streams<'a>(view: &'a View, topic: &str) -> Vec<(&'a str, u32)> {
        let streams = view.members.iter().flat_map(|(member, subscription)| {
            let count = subscription.get(topic).copied().unwrap_or(0);
            (0..count).map(move |stream| (member.as_str(), stream))
        });
        streams.collect()
    }

    proptest! {
        /// P22: with one view, every partition that anybody reads has exactly one stream.
        #[test]
        fn every_partition_has_exactly_one_reader(view in views()) {
            let mut owners: BTreeMap<TopicPartition, (String, u32)> = BTreeMap::new();
            for member in view.members.keys() {
                for (partition, stream) in assign(&view, member) {
                    let before = owners.insert(partition, (member.clone(), stream));
                    prop_assert_eq!(before, None);
                }
            }
            for (topic, partitions) in &view.partitions {
                let is_read = !all_streams(&view, topic).is_empty();
                for partition in partitions {
                    let name = TopicPartition::new(topic.as_str(), *partition);
                    prop_assert_eq!(owners.contains_key(&name), is_read);
                }
            }
        }

        /// P22: shares of one topic differ by at most one.
        #[test]
        fn shares_differ_by_at_most_one(view in views()) {
            for topic in view.partitions.keys() {
                let mut shares: BTreeMap<(String, u32), usize> = BTreeMap::new();
                for (member, stream) in all_streams(&view, topic) {
                    let mine = assign(&view, member);
                    let own = mine.iter().filter(|(name, s)| &*name.topic == topic && **s == stream);
                    shares.insert((member.to_owned(), stream), own.count());
                }
                let least = shares.values().min().copied().unwrap_or(0);
                prop_assert!(shares.values().all(|share| share - least <= 1), "{:?}", shares);
            }
        }
    }
}
