//! Brokers that die, and disks that fail.

use std::time::Duration;

use seedlog::facts::Fact;
use seedlog::protocol::messages::ProduceRequest;
use seedlog::protocol::{ErrorCode, decode_response};
use seedlog::rules::{self, Rule};
use seedlog::runtime::clock;
use seedlog::runtime::sim::disk::{self as sim_disk, Operation, Rate};
use seedlog::runtime::sim::world::{self, Death};

use crate::harness::{epochs_led, facts_where, wait_until, with_brokers};
use crate::raw::{answer_of, batch, produce_request};

const TOPIC: &str = "orders";

fn recoveries() -> Vec<(bool, i64)> {
    facts_where(|fact| match fact {
        Fact::LogRecovered { clean, log_end, .. } => Some((*clean, log_end.0)),
        _ => None,
    })
}

#[test]
fn what_was_acknowledged_survives_kill_and_power_failure() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        let mut expected = Vec::new();
        for death in [Death::Kill, Death::PowerFailure, Death::Kill, Death::PowerFailure] {
            let mut client = cluster.client(1).await;
            for _ in 0..5 {
                let value = format!("v{}", expected.len());
                let stored = client.produce(TOPIC, 0, &value).await;
                assert_eq!(stored, (ErrorCode::NONE, expected.len() as i64));
                expected.push(value);
            }

            cluster.end(1, death);
            cluster.restart(1).await;

            assert_eq!(cluster.client(1).await.values(TOPIC, 0).await, expected, "after {death:?}");
        }
        assert!(epochs_led(1).is_sorted_by(|a, b| a < b), "{:?}", epochs_led(1));
        assert_eq!(epochs_led(1).len(), 5, "one leadership a life");
    });
}

#[test]
fn a_clean_shutdown_leaves_nothing_to_recover_and_the_registration_at_once() {
    with_brokers(2, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        let leader = client.metadata().await.topics[0].partitions[0].leader_id;
        let other = leader % 2 + 1;
        wait_until("the leader serves", || async {
            cluster.client(leader).await.metadata().await.topics.len() == 1
        })
        .await;
        let stored = cluster.client(leader).await.produce(TOPIC, 0, "kept").await;
        assert_eq!(stored, (ErrorCode::NONE, 0));

        cluster.shut_down(leader).await;

        let gone = clock::now();
        wait_until("the other broker knows", || async {
            cluster.client(other).await.metadata().await.brokers.len() == 1
        })
        .await;
        assert!(clock::now() - gone < Duration::from_secs(1), "no session has to expire");
        let stopped = facts_where(|fact| matches!(fact, Fact::BrokerStopped { .. }).then_some(()));
        assert_eq!(stopped.len(), 1);
        cluster.restart(leader).await;
        assert_eq!(recoveries().last(), Some(&(true, 1)));
        assert_eq!(cluster.client(leader).await.values(TOPIC, 0).await, ["kept"]);
    });
}

#[test]
fn a_failed_sync_is_never_acknowledged_and_stops_the_broker() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        assert_eq!(client.produce(TOPIC, 0, "kept").await, (ErrorCode::NONE, 0));
        sim_disk::set_faults(cluster.node(1), |faults| faults.fail(Operation::Sync, Rate::Next(1)));

        let id = client.send(9, &produce_request(TOPIC, 0, batch(&["in doubt"]), -1)).await;

        // The process may end before the answer is out.
        if let Some(frame) = client.next_frame().await {
            let (answered, response) =
                decode_response::<ProduceRequest>(frame, 9).expect("a readable answer");
            assert_eq!(answered, id);
            assert_eq!(answer_of(&response), (ErrorCode::KAFKA_STORAGE_ERROR, -1));
        }
        wait_until("the broker stops", || async { !world::is_running(cluster.node(1)) }).await;
        assert_eq!(facts_where(|fact| matches!(fact, Fact::LogDirFailed { .. }).then_some(())).len(), 1);
        sim_disk::heal(cluster.node(1));
        cluster.restart(1).await;
        assert_eq!(cluster.client(1).await.values(TOPIC, 0).await[0], "kept");
    });
}

#[test]
fn without_the_rule_that_an_append_precedes_its_reply_an_acknowledged_record_is_lost() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        rules::suspend(Rule::AppendBeforeAck);

        let stored = client.produce(TOPIC, 0, "promised").await;
        cluster.end(1, Death::Kill);
        cluster.restart(1).await;

        assert_eq!(stored, (ErrorCode::NONE, 0));
        assert_eq!(cluster.client(1).await.values(TOPIC, 0).await, Vec::<String>::new());
    });
}

#[test]
fn without_the_rule_that_epochs_are_raised_two_lives_write_in_one_epoch() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        rules::suspend(Rule::RaiseLeaderEpochOnStart);

        cluster.end(1, Death::Kill);
        cluster.restart(1).await;

        let epochs = epochs_led(1);
        assert_eq!(epochs.len(), 2);
        assert_eq!(epochs[0], epochs[1]);
    });
}

#[test]
fn a_broker_without_zookeeper_goes_on_serving() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        let zookeeper = world::node_named("zookeeper").expect("there is one");
        let net = seedlog::runtime::sim::net::control();
        net.cut_both(zookeeper, cluster.node(1));
        seedlog::runtime::clock::sleep(Duration::from_secs(20)).await;

        assert_eq!(client.produce(TOPIC, 0, "alone").await, (ErrorCode::NONE, 0));

        net.heal_all();
        wait_until("the broker is registered again", || async {
            facts_where(|fact| matches!(fact, Fact::BrokerRegistered { .. }).then_some(())).len() >= 2
        })
        .await;
        assert_eq!(client.produce(TOPIC, 0, "together").await, (ErrorCode::NONE, 1));
    });
}
