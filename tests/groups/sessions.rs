//! What happens to a group when its sessions do not go as planned: only where a test rules over ZooKeeper.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use seedlog::consumer::membership::{Finish, GroupConfig, GroupError};
use seedlog::consumer::{ConsumeError, StartPosition};
use seedlog::facts::Fact;
use seedlog::registry::Registry;
use seedlog::runtime::clock;
use seedlog::runtime::sim::buggify;
use seedlog::runtime::sim::world::RunConfig;
use seedlog::types::{Offset, SessionId};
use seedlog::zookeeper::{CreateMode, ZkError, ZooKeeper};

use super::harness::{
    PATIENCE, SESSION, Setting, at_next, facts_where, join, partition, take, tell, tell_once,
    tell_with_control, until, values,
};
use super::stories;

fn sessions_of(client: &str) -> Vec<SessionId> {
    let joined = facts_where(|fact| match fact {
        Fact::GroupJoined { consumer, session, .. } if consumer == client => Some(*session),
        _ => None,
    });
    joined.into_iter().map(|(_, session)| session).collect()
}

fn count(kind: &str) -> usize {
    facts_where(|fact| (fact.kind() == kind).then_some(())).len()
}

#[test]
fn a_member_whose_session_expired_drops_everything_and_registers_again() {
    tell_with_control(|at, control| async move {
        at.create_topic(2).await;
        at.produce(0..20).await;
        let (consumer, mut streams) = join(at.config("billing", "a"), 1).await;
        take(&mut streams[0], 10).await;
        let session = sessions_of("a")[0];
        assert!(control.expire_session(session));
        until("the member has lost it", || count("group-session-lost") == 1).await;
        until("it has joined again", || sessions_of("a").len() == 2).await;
        assert_ne!(sessions_of("a")[1], session);
        until("it owns everything again", || consumer.owned().len() == 2).await;
        take(&mut streams[0], 10).await;

        let story = facts_where(|fact| match fact {
            Fact::GroupSessionLost { .. } => Some("lost"),
            Fact::PartitionOwned { .. } => Some("owned"),
            Fact::Delivered { .. } => Some("delivered"),
            _ => None,
        });
        let lost = story.iter().position(|(_, what)| *what == "lost").expect("it was lost");
        let next = story[lost + 1..].first().map(|(_, what)| *what);
        assert_eq!(next, Some("owned"), "nothing is delivered on the old ownership");
        consumer.close().await.expect("it leaves in order");
    });
}

#[test]
fn what_a_dropped_member_still_has_in_hand_commits_nothing() {
    for seed in 0..4 {
        let config = RunConfig { seed, keep_trace: false, event_limit: 20_000_000, buggify: true };
        tell_once(config, |at, _| async move {
            buggify::insist("task.step-after-abort");
            stories::crash(at).await;
        });
    }
}

#[test]
fn two_expiries_in_a_row_are_two_new_beginnings() {
    tell_with_control(|at, control| async move {
        at.create_topic(1).await;
        at.produce(0..5).await;
        let (consumer, mut streams) = join(at.config("billing", "a"), 1).await;
        take(&mut streams[0], 1).await;
        for life in 1..3 {
            until("it has joined", || sessions_of("a").len() == life).await;
            control.expire_session(sessions_of("a")[life - 1]);
        }
        until("it has joined", || sessions_of("a").len() == 3).await;
        take(&mut streams[0], 1).await;
        consumer.close().await.expect("it leaves in order");
    });
}

#[test]
fn a_member_unheard_by_zookeeper_pauses_and_goes_on_under_the_same_session() {
    tell_with_control(|at, control| async move {
        at.create_topic(1).await;
        at.produce(0..20).await;
        let (consumer, mut streams) = join(at.config("billing", "a"), 1).await;
        take(&mut streams[0], 5).await;
        control.lose_quorum();
        until("it pauses", || count("delivery-paused") == 1).await;
        assert_eq!(count("group-session-lost"), 0, "silence is no expiry");
        let held_back = clock::timeout(Duration::from_secs(5), streams[0].next()).await;
        assert!(held_back.is_err(), "nothing is delivered: {held_back:?}");
        control.regain_quorum();
        let rest = take(&mut streams[0], 15).await;
        assert_eq!(values(&rest)[0], "0005", "nothing is skipped");
        assert_eq!(count("delivery-resumed"), 1);
        assert_eq!(sessions_of("a").len(), 1);
        consumer.close().await.expect("it leaves in order");
    });
}

/// Each commit is refused at once while there is no session; the attempt to get one goes on all the same.
#[test]
fn a_member_that_repeats_its_commit_until_it_succeeds_gets_a_new_session() {
    tell_with_control(|at, control| async move {
        at.create_topic(1).await;
        at.produce(0..5).await;
        let config = GroupConfig { auto_commit: None, ..at.config("billing", "a") };
        let (consumer, mut streams) = join(config, 1).await;
        take(&mut streams[0], 2).await;
        assert!(control.expire_session(sessions_of("a")[0]));
        let deadline = clock::now() + SESSION * 10;
        let mut refused = 0;
        while consumer.commit().await.is_err() {
            refused += 1;
            assert!(clock::now() < deadline, "{refused} commits were refused");
            // Less than it takes to connect.
            clock::sleep(Duration::from_micros(100)).await;
        }
        take(&mut streams[0], 1).await;
        assert_eq!(sessions_of("a").len(), 2);
        consumer.close().await.expect("it leaves in order");
    });
}

/// The follower goes on answering, and the leader expires the session: whoever reads on is another owner's rival.
#[test]
fn a_member_whose_server_is_cut_from_its_leader_stops_before_another_takes_over() {
    tell_with_control(|at, control| async move {
        at.create_topic(1).await;
        at.produce(0..400).await;
        let config = |client| GroupConfig { auto_commit: None, ..at.config("billing", client) };
        let (first, mut streams) = join(config("a"), 1).await;
        take(&mut streams[0], 1).await;
        let (second, mut others) = join(config("b"), 1).await;
        until("the second has nothing to do", || sessions_of("b").len() == 1).await;
        assert!(control.cut_from_leader(sessions_of("a")[0], false));

        let reading = async {
            while let Ok(Ok(_)) = clock::timeout(SESSION * 3, streams[0].next()).await {
                clock::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::join!(reading, take(&mut others[0], 10));
        let delivered = facts_where(|fact| match fact {
            Fact::Delivered { consumer, .. } => Some(consumer.clone()),
            _ => None,
        });
        let by_first = delivered.iter().filter(|(_, consumer)| consumer == "a").map(|(at, _)| *at).max();
        let by_second = delivered.iter().filter(|(_, consumer)| consumer == "b").map(|(at, _)| *at).min();
        assert!(
            by_first < by_second,
            "the last of one at {by_first:?} ms, the first of the other at {by_second:?} ms"
        );
        assert_eq!(count("delivery-paused"), 1);

        control.join_leader();
        until("it is told", || count("group-session-lost") == 1).await;
        until("it has joined again", || sessions_of("a").len() == 2).await;
        first.close().await.expect("it leaves in order");
        second.close().await.expect("it leaves in order");
    });
}

#[test]
fn a_partition_that_somebody_else_owns_is_reported_and_taken_when_it_is_free() {
    tell_with_control(|at, _| async move {
        at.create_topic(2).await;
        at.produce(0..2).await;
        let stranger = ZooKeeper::connect(at.zookeeper_config()).await.expect("ZooKeeper runs");
        let path = "/consumers/billing/owners/orders/0";
        for parent in ["/consumers/billing", "/consumers/billing/owners", "/consumers/billing/owners/orders"]
        {
            stranger.create(parent, b"", CreateMode::Persistent).await.expect("a path");
        }
        stranger.create(path, b"stranger-0", CreateMode::Ephemeral).await.expect("a node");
        let config = GroupConfig { rebalance_tries_max: 2, ..at.config("billing", "a") };
        let (consumer, mut streams) = join(config, 1).await;
        until("the rebalance has failed twice", || count("rebalance-failed") == 2).await;
        assert!(consumer.owned().is_empty(), "all or nothing");
        assert_eq!(count("delivered"), 0);
        stranger.close().await;
        take(&mut streams[0], 2).await;
        assert!(consumer.owned().contains(&partition(0)));
        consumer.close().await.expect("it leaves in order");
    });
}

#[test]
fn a_lost_reply_is_settled_by_reading() {
    tell_with_control(|at, control| async move {
        at.create_topic(3).await;
        at.produce(0..30).await;
        let before = control.sessions();
        let (consumer, mut streams) = join(at.config("billing", "a"), 1).await;
        for _ in 0..3 {
            for session in control.sessions().into_iter().filter(|session| !before.contains(session)) {
                control.lose_reply(session);
            }
            take(&mut streams[0], 10).await;
        }
        assert_eq!(sessions_of("a").len(), 1, "one registration");
        assert_eq!(count("rebalance-conflict"), 0, "its own nodes are its own");
        consumer.close().await.expect("it leaves in order");
    });
}

/// A node among the members that is no member's: the others share everything, say which one it is, and count it in
/// once it can be read.
#[test]
fn a_member_whose_node_cannot_be_read_does_not_stop_the_others() {
    tell(|at: Setting| async move {
        at.create_topic(4).await;
        at.produce(0..20).await;
        let zookeeper = ZooKeeper::connect(at.zookeeper_config()).await.expect("ZooKeeper runs");
        for part in ["", "/billing", "/billing/ids"] {
            let path = format!("/consumers{part}");
            // The broker may have made the first one.
            let made = zookeeper.create(&path, b"", CreateMode::Persistent).await;
            assert!(matches!(made, Ok(_) | Err(ZkError::NodeExists)), "{made:?}");
        }
        let bad = "/consumers/billing/ids/b-bad";
        zookeeper.create(bad, b"{\"version\":", CreateMode::Ephemeral).await.expect("nobody has it");
        let (first, mut a) = join(at.config("billing", "a"), 1).await;
        let (second, mut c) = join(at.config("billing", "c"), 1).await;
        until("two share all", || first.owned().len() == 2 && second.owned().len() == 2).await;
        let named = facts_where(|fact| match fact {
            Fact::MemberUnreadable { member, .. } => Some(member.clone()),
            _ => None,
        });
        assert!(!named.is_empty() && named.iter().all(|(_, member)| member == "b-bad"), "{named:?}");
        take(&mut a[0], 1).await;
        take(&mut c[0], 1).await;

        let good = br#"{"version":1,"subscription":{"orders":2},"pattern":"static","timestamp":"1"}"#;
        zookeeper.set_data(bad, good, None).await.expect("it is there");
        until("it counts", || first.owned().len() == 1 && second.owned().len() == 1).await;
        zookeeper.delete(bad, None).await.expect("it is there");
        until("it is gone", || first.owned().len() == 2 && second.owned().len() == 2).await;
        first.close().await.expect("it leaves in order");
        second.close().await.expect("it leaves in order");
    });
}

/// An offset that is no number is one partition's: it waits for an operator, and the others are delivered.
#[test]
fn an_offset_that_cannot_be_read_stops_its_own_partition_alone() {
    tell(|at: Setting| async move {
        at.create_topic(2).await;
        at.produce(0..20).await;
        let zookeeper = ZooKeeper::connect(at.zookeeper_config()).await.expect("ZooKeeper runs");
        let registry = Registry::new(zookeeper.clone());
        registry.ensure_group("billing", &BTreeSet::from(["orders".to_owned()])).await.expect("a path");
        let bad = "/consumers/billing/offsets/orders/0";
        zookeeper.create(bad, b"seven", CreateMode::Persistent).await.expect("nobody has it");
        let (consumer, mut streams) = join(at.config("billing", "a"), 1).await;
        let delivered = take(&mut streams[0], 10).await;
        assert!(delivered.iter().all(|record| record.partition == partition(1)), "not from anywhere in 0");
        let nothing = clock::timeout(Duration::from_secs(2), streams[0].next()).await;
        assert!(nothing.is_err(), "{nothing:?}");
        consumer.close().await.expect("it leaves in order");

        zookeeper.set_data(bad, b"3", None).await.expect("it is there");
        let (consumer, mut streams) = join(at.config("billing", "a"), 1).await;
        let rest = take(&mut streams[0], 7).await;
        assert!(rest.iter().all(|record| record.partition == partition(0)));
        consumer.close().await.expect("it leaves in order");
        zookeeper.close().await;
    });
}

/// The commit at a release is said once more where its reply was lost, and the application may go back meanwhile.
#[test]
fn a_seek_while_a_partition_is_given_up_leaves_what_is_in_hand_unfinished() {
    tell_with_control(|at, control| async move {
        at.create_topic(1).await;
        at.produce(0..10).await;
        let config = GroupConfig { auto_commit: None, ..at.config("billing", "a") };
        let (consumer, mut streams) = join(config, 1).await;
        take(&mut streams[0], 5).await;
        control.lose_reply(sessions_of("a")[0]);
        let consumer = Arc::new(consumer);
        let going_back = Arc::clone(&consumer);
        at_next("commit-invoked", move || {
            let to = StartPosition::At(Offset(1));
            assert!(!going_back.seek(&partition(0), to), "it is being given up");
        });
        consumer.close().await.expect("it leaves in order");
        assert_eq!(count("commit-invoked"), 2, "the reply to the first one was lost");

        let (consumer, mut streams) = join(at.config("billing", "b"), 1).await;
        assert_eq!(take(&mut streams[0], 1).await[0].offset, Offset(4), "it was in hand");
        consumer.close().await.expect("it leaves in order");
    });
}

/// The registry may hold what nobody confirmed: that the group stands where it was known to stand is then news to it.
#[test]
fn a_seek_back_to_what_was_committed_is_committed_where_the_reply_in_between_was_lost() {
    tell_with_control(|at, control| async move {
        at.create_topic(1).await;
        at.produce(0..10).await;
        let config = |client: &str| GroupConfig { auto_commit: None, ..at.config("billing", client) };
        let (consumer, mut streams) = join(config("a"), 1).await;
        take(&mut streams[0], 4).await;
        consumer.commit().await.expect("three are finished");
        assert!(consumer.seek(&partition(0), StartPosition::At(Offset(8))));
        control.lose_reply(sessions_of("a")[0]);
        consumer.commit().await.expect_err("nobody heard of it");
        assert!(consumer.seek(&partition(0), StartPosition::At(Offset(3))));
        consumer.close().await.expect("it leaves in order");

        let (consumer, mut streams) = join(config("b"), 1).await;
        assert_eq!(take(&mut streams[0], 1).await[0].offset, Offset(3));
        consumer.close().await.expect("it leaves in order");
    });
}

/// What was finished may be delivered again then, and whoever closes the consumer has to know.
#[test]
fn a_close_whose_last_commits_all_went_unanswered_says_so() {
    tell_with_control(|at, control| async move {
        at.create_topic(1).await;
        at.produce(0..10).await;
        let config = GroupConfig { auto_commit: None, ..at.config("billing", "a") };
        let (consumer, mut streams) = join(config, 1).await;
        take(&mut streams[0], 5).await;
        let session = sessions_of("a")[0];
        control.lose_reply(session);
        at_next("commit-failed", move || control.lose_reply(session));
        let error = consumer.close().await.expect_err("nobody answered a commit");
        assert_eq!(error, GroupError::ZooKeeper(ZkError::ConnectionLost));
        assert_eq!(count("commit-failed"), 2);
        assert_eq!(count("group-left"), 1, "it has left all the same");
    });
}

#[test]
fn a_stream_without_room_among_its_unfinished_records_is_told_that_its_consumer_is_gone() {
    tell(|at: Setting| async move {
        at.create_topic(1).await;
        at.produce(0..10).await;
        let config =
            GroupConfig { finish: Finish::Explicit, unfinished_records_max: 2, ..at.config("billing", "a") };
        let (consumer, mut streams) = join(config, 1).await;
        take(&mut streams[0], 2).await;
        let waits = async { clock::timeout(PATIENCE, streams[0].next()).await };
        let goes = async {
            clock::sleep(Duration::from_millis(100)).await;
            drop(consumer);
        };
        let (end, ()) = tokio::join!(waits, goes);
        assert!(matches!(end, Ok(Err(ConsumeError::Closed))), "{end:?}");
    });
}

/// Records in hand of one partition take the room of a stream; what is said of that one makes room for another one's.
#[test]
fn a_stream_without_room_goes_on_when_the_application_seeks_away_from_what_is_in_hand() {
    tell(|at: Setting| async move {
        at.create_topic(2).await;
        at.produce(0..20).await;
        let config =
            GroupConfig { finish: Finish::Explicit, unfinished_records_max: 2, ..at.config("billing", "a") };
        let (consumer, mut streams) = join(config, 1).await;
        let in_hand = take(&mut streams[0], 2).await;
        let waits = async { clock::timeout(SESSION * 3, streams[0].next()).await };
        let goes_on = async {
            clock::sleep(Duration::from_millis(500)).await;
            assert!(consumer.seek(&in_hand[0].partition, StartPosition::Latest));
        };
        let (next, ()) = tokio::join!(waits, goes_on);
        next.expect("in time").expect("a record");
        consumer.close().await.expect("it leaves in order");
    });
}
