//! How fast a large group comes to rest.

use std::time::Duration;

use seedlog::consumer::membership::{GroupConsumer, MessageStream};
use seedlog::facts::Fact;
use seedlog::runtime::clock;
use seedlog::runtime::sim::world::RunConfig;

use super::harness::{self, SESSION, Setting, facts_where, join};

const MEMBERS: usize = 50;
const PARTITIONS: usize = 200;

fn is_even(members: &[(GroupConsumer, Vec<MessageStream>)]) -> bool {
    let shares: Vec<usize> = members.iter().map(|(consumer, _)| consumer.owned().len()).collect();
    let least = PARTITIONS / members.len();
    shares.iter().sum::<usize>() == PARTITIONS && shares.iter().all(|n| (least..=least + 1).contains(n))
}

/// When the last rebalance ended.
fn at_rest_since() -> Duration {
    let ends = facts_where(|fact| matches!(fact, Fact::RebalanceFinished { .. }).then_some(()));
    Duration::from_millis(ends.last().map_or(0, |(at, ())| *at))
}

async fn rest(members: &[(GroupConsumer, Vec<MessageStream>)], what: &str) -> Duration {
    let changed = Duration::from_millis(clock::now().as_millis());
    harness::until(what, || is_even(members)).await;
    clock::sleep(SESSION).await;
    assert!(is_even(members), "{what}, and stays so");
    let took = at_rest_since().saturating_sub(changed);
    eprintln!("{what}: at rest after {took:?}");
    took
}

async fn large_group(at: Setting) {
    at.create_topic(i32::try_from(PARTITIONS).expect("few")).await;
    let mut members = Vec::new();
    for number in 0..MEMBERS {
        members.push(join(at.config("billing", &format!("m{number:02}")), 1).await);
    }
    let after_joins = rest(&members, "fifty members joined").await;
    let (gone, _streams) = members.remove(MEMBERS / 2);
    gone.close().await.expect("it leaves in order");
    let after_leave = rest(&members, "one of fifty left").await;
    // Three heartbeats of a session make one session timeout.
    for took in [after_joins, after_leave] {
        assert!(took < SESSION, "at rest after {took:?}");
    }
}

#[test]
fn fifty_members_share_two_hundred_partitions_within_three_heartbeats_of_the_last_change() {
    let config = RunConfig { seed: 1, keep_trace: false, event_limit: 200_000_000, buggify: false };
    harness::tell_once(config, |setting, _| large_group(setting));
}
