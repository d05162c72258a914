use std::time::Duration;

use seedlog::facts::Fact;
use seedlog::types::{BrokerId, LeaderEpoch, TopicPartition};

use super::CHECK;
use crate::checkers::story::Story;
use crate::history::Phase;

/// A topic of `partitions`, led, in a cluster that has healed.
fn healed(partitions: i32) -> Story {
    let led = |story: Story, index: i32| {
        let partition = TopicPartition::new("orders", index);
        story.fact("broker-1", Fact::BecameLeader { broker: BrokerId(1), partition, epoch: LeaderEpoch(0) })
    };
    (0..partitions).fold(Story::new(), led).phase(Phase::Converge)
}

trait Shares {
    fn takes(self, consumer: &str, session: i64, partitions: &[i32]) -> Story;
    fn at_rest(self) -> Story;
}

impl Shares for Story {
    /// One rebalance of a member with one stream.
    fn takes(self, consumer: &str, session: i64, partitions: &[i32]) -> Story {
        let own = |story: Story, index: &i32| {
            story.owned_of(consumer, session, TopicPartition::new("orders", *index), 0)
        };
        let story = partitions.iter().fold(self.rebalancing(consumer), own);
        story.rebalanced(consumer, partitions.len() as u32)
    }

    fn at_rest(self) -> Story {
        self.after(Duration::from_secs(60)).phase(Phase::Judge)
    }
}

#[test]
fn even_shares_pass() {
    let story = healed(5).joined("a", 1).joined("b", 2).takes("a", 1, &[0, 1, 2]).takes("b", 2, &[3, 4]);
    assert!(story.at_rest().violations(&CHECK).is_empty());
}

#[test]
fn shares_that_differ_by_more_than_one_are_found() {
    let story = healed(4).joined("a", 1).joined("b", 2).takes("a", 1, &[0, 1, 2]).takes("b", 2, &[3]);
    assert_eq!(
        story.at_rest().violations(&CHECK),
        ["billing has come to rest, and a/0 has 3 partitions of orders where b/0 has 1"]
    );
}

#[test]
fn shares_are_counted_by_stream() {
    let partition = |index| TopicPartition::new("orders", index);
    let story = healed(3)
        .joined_with("a", 1, 2)
        .joined("b", 2)
        .owned_of("a", 1, partition(0), 0)
        .owned_of("a", 1, partition(1), 1)
        .rebalanced("a", 2)
        .takes("b", 2, &[2]);
    assert!(story.at_rest().violations(&CHECK).is_empty());
    let crowded = healed(2)
        .joined_with("a", 1, 2)
        .owned_of("a", 1, partition(0), 0)
        .owned_of("a", 1, partition(1), 0)
        .rebalanced("a", 2);
    assert_eq!(crowded.at_rest().violations(&CHECK).len(), 1);
}

#[test]
fn a_surplus_member_that_takes_over_passes_and_one_that_does_not_is_found() {
    let left = healed(1).joined("a", 1).joined("b", 2).takes("a", 1, &[0]).takes("b", 2, &[]);
    let left = left.released("a").left("a");
    let found = left.at_rest().violations(&CHECK);
    assert_eq!(found, ["orders-0 has no owner in billing, which has come to rest"]);
    let taken = healed(1).joined("a", 1).joined("b", 2).takes("a", 1, &[0]).takes("b", 2, &[]);
    let taken = taken.released("a").left("a").takes("b", 2, &[0]);
    assert!(taken.at_rest().violations(&CHECK).is_empty());
}

#[test]
fn a_dead_member_owns_nothing_in_the_end() {
    let story = healed(1).joined("a", 1).joined("b", 2).takes("a", 1, &[0]).takes("b", 2, &[]);
    assert_eq!(story.killed("a").session_expired(1).at_rest().violations(&CHECK).len(), 1);
}

#[test]
fn a_group_that_has_not_come_to_rest_is_not_judged() {
    let uneven = || healed(4).joined("a", 1).joined("b", 2).takes("a", 1, &[0, 1, 2]).takes("b", 2, &[3]);
    assert!(uneven().phase(Phase::Judge).violations(&CHECK).is_empty());
    assert!(uneven().rebalancing("b").at_rest().violations(&CHECK).is_empty());
}

#[test]
fn a_group_without_members_shares_nothing() {
    let story = healed(2).joined("a", 1).takes("a", 1, &[0, 1]).left("a").at_rest();
    assert!(story.violations(&CHECK).is_empty());
}
