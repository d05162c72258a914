//! Who waits for a flush, and who for a reply that is taken slowly: neither keeps others, nor is kept, for longer than
//! what he waits for takes.

use std::time::Duration;

use seedlog::broker::Broker;
use seedlog::broker::config::BrokerConfig;
use seedlog::facts::Fact;
use seedlog::protocol::ErrorCode;
use seedlog::protocol::messages::*;
use seedlog::runtime::clock;
use seedlog::runtime::sim::disk::{self as sim_disk, Operation, Rate};
use seedlog::runtime::sim::identity;

use crate::harness::{epochs_led, facts_where, wait_until, with_brokers, with_config};
use crate::raw::{Raw, answer_of, batch, fetch_request, produce_request};

const TOPIC: &str = "orders";
/// Far below the longest wait that the broker allows, 300 seconds; far above any sync.
const SOON: Duration = Duration::from_secs(60);

fn log_of(topic: &str, partition: i32) -> std::path::PathBuf {
    format!("/data/log/{topic}-{partition}/00000000000000000000.log").into()
}

#[test]
fn a_new_leadership_forgets_nobody_who_waits_for_a_flush() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        assert_eq!(client.produce(TOPIC, 0, "first").await, (ErrorCode::NONE, 0));
        let led = epochs_led(1).len();
        sim_disk::set_faults(cluster.node(1), |faults| {
            faults.slow_syncs.insert(log_of(TOPIC, 0), 4_000);
        });
        let begun = clock::now();
        let id = client.send(9, &produce_request(TOPIC, 0, batch(&["second"]), -1)).await;
        clock::sleep(Duration::from_millis(20)).await;

        for session in cluster.zookeeper().sessions() {
            cluster.zookeeper().expire_session(session);
        }

        let stored = clock::timeout(SOON, client.receive::<ProduceRequest>(9, id)).await;
        let took = clock::now() - begun;
        assert_eq!(stored.map(|stored| answer_of(&stored)), Ok((ErrorCode::NONE, 1)), "after {took:?}");
        assert!(epochs_led(1).len() > led, "the epoch rose while the flush was under way");
    });
}

/// One request for both partitions of a topic.
fn for_both(value: &str) -> ProduceRequest {
    let mut request = produce_request(TOPIC, 0, batch(&[value]), -1);
    let second = PartitionProduceData { index: 1, records: Some(batch(&[value])) };
    request.topic_data[0].partition_data.push(second);
    request
}

#[test]
fn what_is_flushed_because_its_partition_is_closed_is_acknowledged() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 2, &[]).await, ErrorCode::NONE);
        for partition in 0..2 {
            assert_eq!(client.produce(TOPIC, partition, "first").await.0, ErrorCode::NONE);
        }
        // The flush of the second partition ends, and wakes who waits for both, while the first is being closed.
        sim_disk::set_faults(cluster.node(1), |faults| {
            faults.slow_syncs.insert(log_of(TOPIC, 0), 4_000);
            faults.slow_syncs.insert(log_of(TOPIC, 1), 6_000);
        });
        let mut under_way = cluster.client(1).await;
        under_way.send(9, &produce_request(TOPIC, 0, batch(&["second"]), -1)).await;
        clock::sleep(Duration::from_millis(20)).await;
        let id = client.send(9, &for_both("third")).await;
        clock::sleep(Duration::from_millis(20)).await;

        cluster.registry().await.delete_topic(TOPIC).await.expect("it is there");

        let stored = clock::timeout(SOON, client.receive::<ProduceRequest>(9, id)).await.expect("an answer");
        let codes: Vec<_> = stored.responses[0].partition_responses.iter().map(|p| p.error_code).collect();
        assert_eq!(codes, [0, 0]);
    });
}

#[test]
fn a_log_that_is_closed_on_a_full_disk_takes_no_other_with_it() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        for topic in [TOPIC, "kept"] {
            assert_eq!(client.create_topic(topic, 1, &[]).await, ErrorCode::NONE);
            assert_eq!(client.produce(topic, 0, "first").await, (ErrorCode::NONE, 0));
        }
        sim_disk::set_faults(cluster.node(1), |faults| faults.capacity_bytes = Some(0));

        cluster.registry().await.delete_topic(TOPIC).await.expect("it is there");

        wait_until("the topic is gone", || async {
            cluster.client(1).await.metadata().await.topics.len() == 1
        })
        .await;
        clock::sleep(Duration::from_secs(3)).await;
        assert_eq!(client.values("kept", 0).await, ["first"]);
        let failed = facts_where(|fact| matches!(fact, Fact::LogDirFailed { .. }).then_some(()));
        assert!(failed.is_empty(), "a full disk is no failed disk");
        sim_disk::heal(cluster.node(1));
        assert_eq!(client.produce("kept", 0, "second").await, (ErrorCode::NONE, 1));
    });
}

/// Room for one large request at a time.
fn little_memory(config: &mut BrokerConfig) {
    config.request_bytes_max = 4 << 20;
    config.request_bytes_in_flight_max = 4 << 20;
}

#[test]
fn who_takes_his_time_with_a_reply_keeps_no_memory_from_others() {
    with_config(1, little_memory, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        assert_eq!(client.produce(TOPIC, 0, &"v".repeat(500_000)).await, (ErrorCode::NONE, 0));
        let mut request = fetch_request(TOPIC, 0, 0, 0);
        for partition in 1..50_000 {
            let unknown = FetchPartition { partition, partition_max_bytes: 1, ..Default::default() };
            request.topics[0].partitions.push(unknown);
        }
        let mut slow = cluster.client(1).await;
        slow.send(12, &request).await;
        clock::sleep(Duration::from_millis(500)).await;

        let begun = clock::now();
        let large = "v".repeat(500_000);
        let stored = clock::timeout(SOON, client.produce(TOPIC, 0, &large)).await;

        let took = clock::now() - begun;
        assert_eq!(stored, Ok((ErrorCode::NONE, 1)), "after {took:?}");
        assert!(took < Duration::from_secs(5), "took {took:?}");
    });
}

#[test]
fn who_sends_too_slowly_to_be_through_in_time_keeps_nobody_waiting_until_then() {
    with_config(1, little_memory, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        let mut slow = cluster.client(1).await;
        let sending = async {
            // A produce request of 4 MiB. At this pace, which is not standing still, it takes 40 seconds.
            let mut begin = (4_i32 << 20).to_be_bytes().to_vec();
            begin.extend([0, 0, 0, 9]);
            begin.resize(100_000, 0);
            slow.send_bytes(begin.into()).await;
            loop {
                clock::sleep(Duration::from_secs(1)).await;
                if slow.try_send_bytes(vec![0; 100_000].into()).await.is_err() {
                    return;
                }
            }
        };
        let producing = async {
            clock::sleep(Duration::from_secs(1)).await;
            let begun = clock::now();
            let stored = client.produce(TOPIC, 0, &"v".repeat(500_000)).await;
            (stored, clock::now() - begun)
        };

        let ((), (stored, took)) = tokio::join!(sending, producing);

        assert_eq!(stored, (ErrorCode::NONE, 0));
        assert!(took < Duration::from_secs(5), "took {took:?}");
    });
}

#[test]
fn a_broker_that_failed_leaves_its_cluster_and_says_why_even_when_it_is_stopped_meanwhile() {
    with_brokers(1, |cluster| async move {
        cluster.shut_down(1).await;
        let broker = Broker::start(cluster.config_of_impostor(1)).await.expect("its number is free");
        let mut client = Raw::connect(broker.address()).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        sim_disk::set_faults(identity::current().node, |faults| faults.fail(Operation::Sync, Rate::Next(1)));
        let image = cluster.registry().await;
        // It closes its session, but ZooKeeper is not there for a second.
        cluster.zookeeper().lose_quorum();
        assert_eq!(client.produce(TOPIC, 0, "kept?").await.0, ErrorCode::KAFKA_STORAGE_ERROR);
        assert!(!broker.health_problems().is_empty(), "it has failed");

        let (stopped, ()) = tokio::join!(broker.shutdown(), async {
            clock::sleep(Duration::from_secs(1)).await;
            cluster.zookeeper().regain_quorum();
        });

        assert!(stopped.is_err_and(|reason| reason.contains("orders-0")), "it says why");
        assert_eq!(image.broker_ids_watch().await.expect("an answer").0.len(), 0, "no session has to expire");
    });
}
