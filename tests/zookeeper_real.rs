//! The scenarios of `zookeeper`, told by the same client to a ZooKeeper 3.8 from Debian and to ours: both are
//! observed to do the same.
#![cfg(feature = "real-runtime")]
#![allow(clippy::disallowed_methods)] // Outside of any simulation.

#[path = "zookeeper/cluster_metadata.rs"]
mod cluster_metadata;
#[path = "zookeeper/harness.rs"]
#[allow(dead_code)]
mod harness;
#[path = "zookeeper/leaders.rs"]
#[allow(dead_code)]
mod leaders;
#[path = "zookeeper/proxy.rs"]
mod proxy;
#[path = "zookeeper/raw.rs"]
mod raw;
#[path = "zookeeper/stories.rs"]
mod stories;
mod support;
#[path = "zookeeper/wire.rs"]
mod wire;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use seedlog::runtime::task;

use stories::Setting;

/// Tells one story to both servers and compares what was observed, line by line.
fn compare<S, F>(real: &support::ZooKeeper, name: &str, story: S)
where
    S: Fn(Setting) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Vec<String>> + Send + 'static,
{
    let own_ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let server = SocketAddr::new(own_ip, real.port);
    let by_the_real_one = task::block_on(story(Setting { server, own_ip }));
    let by_ours = harness::tell(story);
    for (line, (real, ours)) in by_the_real_one.iter().zip(&by_ours).enumerate() {
        assert_eq!(real, ours, "{name}, line {line}: left is the real ZooKeeper, right is ours");
    }
    assert_eq!(by_the_real_one.len(), by_ours.len(), "{name}");
    assert!(!by_ours.is_empty(), "{name} observed nothing");
}

/// Tells a story that insists on what it expects by itself.
fn tell_the_real_one<S, F>(real: &support::ZooKeeper, story: S)
where
    S: Fn(Setting) -> F,
    F: Future<Output = Vec<String>>,
{
    let own_ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    task::block_on(story(Setting { server: SocketAddr::new(own_ip, real.port), own_ip }));
}

#[test]
fn a_real_zookeeper_and_ours_are_observed_to_do_the_same() {
    assert!(
        support::have_zookeeper(),
        "this test compares with a real ZooKeeper 3.8: install the Debian packages zookeeper and \
         default-jre-headless"
    );
    let real = support::ZooKeeper::start();
    compare(&real, "nodes", stories::nodes);
    compare(&real, "sequences", stories::sequences);
    compare(&real, "multis", stories::multis);
    compare(&real, "watches", stories::watches);
    compare(&real, "reattachment", stories::reattachment);
    compare(&real, "expiry", stories::expiry);
    compare(&real, "endings", stories::endings);
    compare(&real, "sizes", stories::sizes);
    compare(&real, "events and replies", wire::events_and_replies);
    compare(&real, "codes of a multi", wire::multi_codes);
    compare(&real, "attaching", wire::attaching);
    compare(&real, "hostile frames", wire::hostile_frames);
    compare(&real, "four-letter words", wire::four_letter_words);
    compare(&real, "ids", cluster_metadata::ids);
    tell_the_real_one(&real, cluster_metadata::brokers);
    tell_the_real_one(&real, cluster_metadata::topics);
    tell_the_real_one(&real, cluster_metadata::leader_epochs);
    tell_the_real_one(&real, cluster_metadata::lost_replies);
    // A server of their own: sessions that the scenarios above left behind expire when they like, and every expiry
    // takes a zxid.
    let undisturbed = support::ZooKeeper::start();
    for seed in 1..=5 {
        compare(&undisturbed, &format!("random operations {seed}"), move |at| {
            wire::random_operations(at, seed)
        });
    }
}

/// Settings by which a follower bears a silent leader for 20 seconds, far longer than the sessions of the test.
const SYNC_LIMIT: u32 = 40;

#[test]
fn a_real_follower_without_its_leader_answers_pings_and_keeps_no_session_alive() {
    assert!(
        support::have_zookeeper(),
        "this test needs the Debian packages zookeeper and default-jre-headless"
    );
    let ensemble = support::ensemble::Ensemble::start(SYNC_LIMIT);
    let [first, _, third] = ensemble.ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    task::block_on(leaders::real_follower(first, third, || ensemble.cut_the_third()));
}
