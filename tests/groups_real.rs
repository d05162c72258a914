//! The stories of `groups`, told with a ZooKeeper 3.8 from Debian in place of ours.
#![cfg(feature = "real-runtime")]
#![allow(clippy::disallowed_methods)] // Outside of any simulation.

#[path = "groups/harness.rs"]
#[allow(dead_code)]
mod harness;
#[path = "groups/stories.rs"]
mod stories;
mod support;

use std::future::Future;

use seedlog::runtime::task;

/// Every story has a ZooKeeper of its own: they use the same names.
fn tell<S, F>(story: S)
where
    S: Fn(harness::Setting) -> F,
    F: Future<Output = ()>,
{
    if support::have_zookeeper() {
        let zookeeper = support::ZooKeeper::start();
        task::block_on(harness::tell_with(&zookeeper.address(), story));
    }
}

#[test]
fn members_share_the_partitions_and_take_over_from_one_that_leaves() {
    tell(stories::sharing);
}

#[test]
fn after_a_crash_only_what_was_not_finished_comes_again() {
    tell(stories::crash);
}

#[test]
fn marks_in_any_order_are_committed_up_to_the_first_gap() {
    tell(stories::marks);
}

#[test]
fn every_group_gets_every_record() {
    tell(stories::publish_subscribe);
}

#[test]
fn a_name_that_is_in_use_is_waited_for() {
    tell(stories::names);
}

#[test]
fn streams_of_one_member_share_a_topic() {
    tell(stories::streams);
}

#[test]
fn a_member_may_begin_at_either_end_or_be_told_that_there_is_no_position() {
    tell(stories::resets);
}

#[test]
fn a_member_may_go_back_to_a_time_and_skip_to_now() {
    tell(stories::seeks);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    tell(stories::refusals);
}

#[test]
fn ordinary_threads_iterate_over_streams() {
    tell(stories::threads);
}
