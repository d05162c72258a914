//! What a broker makes of its disk: hostile batches, full, slow and failing disks, damage after a kill.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use seedlog::broker::Broker;
use seedlog::facts::Fact;
use seedlog::protocol::messages::ProduceRequest;
use seedlog::protocol::{ErrorCode, encode_request};
use seedlog::runtime::clock;
use seedlog::runtime::sim::disk::{self as sim_disk, Operation, Rate};
use seedlog::runtime::sim::world::{self, Death};

use crate::harness::{Cluster, facts_where, with_brokers};
use crate::raw::{answer_of, batch, error_of, fetch_request, produce_request, values_of};

const TOPIC: &str = "orders";

fn log_of(partition: i32) -> std::path::PathBuf {
    format!("/data/log/{TOPIC}-{partition}/00000000000000000000.log").into()
}

fn log_dir_failures() -> usize {
    facts_where(|fact| matches!(fact, Fact::LogDirFailed { .. }).then_some(())).len()
}

/// Claims 2^31-1 records, which nothing but unpacking can tell to be false where `attributes` names a codec.
fn lying_batch(attributes: i16) -> Bytes {
    let mut bytes = batch(&["x".repeat(4900).as_str()]).to_vec();
    bytes[21..23].copy_from_slice(&attributes.to_be_bytes());
    bytes[23..27].copy_from_slice(&(i32::MAX - 1).to_be_bytes());
    bytes[57..61].copy_from_slice(&i32::MAX.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

#[test]
fn batches_that_claim_two_billion_records_end_no_broker_and_it_starts_again() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        for attributes in [0, 1, 2, 3, 4] {
            let mut frames = BytesMut::new();
            for id in 1..=4 {
                let request = produce_request(TOPIC, 0, lying_batch(attributes), -1);
                frames.extend_from_slice(&encode_request(9, id, Some("raw"), &request));
            }
            let mut hostile = cluster.client(1).await;
            hostile.send_bytes(frames.freeze()).await;
            for id in 1..=4 {
                // Refused or stored: what counts is that it is answered.
                hostile.receive::<ProduceRequest>(9, id).await;
            }
        }
        let (code, at) = cluster.client(1).await.produce(TOPIC, 0, "after").await;
        assert_eq!(code, ErrorCode::NONE);

        for death in [Death::Kill, Death::PowerFailure] {
            cluster.end(1, death);
            cluster.restart(1).await;
            let found = cluster.client(1).await.call(12, &fetch_request(TOPIC, 0, at, 0)).await;
            assert_eq!(values_of(&found)[0], "after");
        }
        cluster.shut_down(1).await;
        cluster.restart(1).await;
        assert_eq!(cluster.client(1).await.produce(TOPIC, 0, "again").await, (ErrorCode::NONE, at + 1));
    });
}

#[test]
fn a_full_disk_refuses_and_goes_on_once_there_is_room() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        assert_eq!(client.produce(TOPIC, 0, "before").await, (ErrorCode::NONE, 0));
        sim_disk::set_faults(cluster.node(1), |faults| faults.capacity_bytes = Some(0));

        for _ in 0..3 {
            let (code, _) = client.produce(TOPIC, 0, "too much").await;
            assert_ne!(code, ErrorCode::NONE);
            // Its checkpoint is due meanwhile, and does not fit either.
            clock::sleep(Duration::from_millis(800)).await;
        }
        assert!(world::is_running(cluster.node(1)));
        assert_eq!(client.values(TOPIC, 0).await, ["before"]);

        sim_disk::heal(cluster.node(1));
        assert_eq!(client.produce(TOPIC, 0, "after").await, (ErrorCode::NONE, 1));
        assert_eq!(log_dir_failures(), 0);
    });
}

/// The records that were acknowledged before the kill, five of them, and the restarted broker.
async fn kill_flip_and_restart(cluster: &Cluster, idle: Duration, byte_of_batch: (u64, u64)) -> u64 {
    let mut client = cluster.client(1).await;
    assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
    for number in 0..5 {
        assert_eq!(client.produce(TOPIC, 0, &format!("v{number}")).await, (ErrorCode::NONE, number));
    }
    let node = cluster.node(1);
    let size = sim_disk::current_image(node, &log_of(0)).expect("the log").len() as u64;
    clock::sleep(idle).await;
    cluster.end(1, Death::Kill);
    let (number, byte) = byte_of_batch;
    assert!(sim_disk::flip_bit(node, &log_of(0), number * size / 5 + byte));
    cluster.restart(1).await;
    size
}

#[test]
fn a_bit_that_flips_after_a_kill_deletes_nothing_that_was_acknowledged() {
    with_brokers(1, |cluster| async move {
        let size = kill_flip_and_restart(&cluster, Duration::ZERO, (2, 62)).await;

        let (code, _) = cluster.client(1).await.produce(TOPIC, 0, "after").await;

        assert_ne!(code, ErrorCode::NONE, "the partition is offline");
        let image = sim_disk::current_image(cluster.node(1), &log_of(0)).expect("the log");
        assert_eq!(image.len() as u64, size, "nothing was cut");
    });
}

#[test]
fn a_second_after_its_flush_even_the_last_batch_counts_as_flushed() {
    with_brokers(1, |cluster| async move {
        let size = kill_flip_and_restart(&cluster, Duration::from_secs(1), (4, 62)).await;

        let (code, _) = cluster.client(1).await.produce(TOPIC, 0, "after").await;

        assert_ne!(code, ErrorCode::NONE, "the partition is offline");
        let image = sim_disk::current_image(cluster.node(1), &log_of(0)).expect("the log");
        assert_eq!(image.len() as u64, size, "nothing was cut");
    });
}

#[test]
fn a_sync_that_fails_while_the_broker_shuts_down_leaves_no_clean_mark() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(
            client.create_topic(TOPIC, 1, &[("durability", "page-cache"), ("flush.ms", "1")]).await,
            ErrorCode::NONE
        );
        assert_eq!(client.produce(TOPIC, 0, "kept?").await, (ErrorCode::NONE, 0));
        let node = cluster.node(1);
        // The flush is under way, and will fail, when the broker is told to stop.
        sim_disk::set_faults(node, |faults| {
            faults.slow_syncs.insert(log_of(0), 100);
            faults.fail(Operation::Sync, Rate::Next(1));
        });
        clock::sleep(Duration::from_millis(2)).await;

        cluster.shut_down(1).await;

        sim_disk::heal(node);
        cluster.restart(1).await;
        let recoveries = facts_where(|fact| match fact {
            Fact::LogRecovered { clean, .. } => Some(*clean),
            _ => None,
        });
        assert_eq!(recoveries.last(), Some(&false));
    });
}

#[test]
fn a_broker_that_shut_down_has_given_its_directory_up() {
    with_brokers(1, |cluster| async move {
        // Its number is free, and so is the test's own process to be it.
        cluster.shut_down(1).await;
        for round in 0..5 {
            let started = Broker::start(cluster.config_of_impostor(1)).await;

            let broker = started.unwrap_or_else(|error| panic!("round {round}: {error}"));
            broker.shutdown().await.expect("nothing fails");
        }
    });
}

#[test]
fn a_partition_whose_syncs_are_slow_delays_no_other_one() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 2, &[]).await, ErrorCode::NONE);
        for partition in 0..2 {
            assert_eq!(client.produce(TOPIC, partition, "first").await.0, ErrorCode::NONE);
        }
        sim_disk::set_faults(cluster.node(1), |faults| {
            faults.slow_syncs.insert(log_of(0), 3_000);
        });
        let mut slow = cluster.client(1).await;
        let id = slow.send(9, &produce_request(TOPIC, 0, batch(&["slow"]), -1)).await;
        clock::sleep(Duration::from_millis(20)).await;

        let begun = clock::now();
        for number in 1..20 {
            assert_eq!(client.produce(TOPIC, 1, "fast").await, (ErrorCode::NONE, number));
        }
        let took = clock::now() - begun;

        assert!(took < Duration::from_millis(500), "19 produces took {took:?}");
        let stored = slow.receive::<ProduceRequest>(9, id).await;
        assert_eq!(answer_of(&stored), (ErrorCode::NONE, 1));
        assert!(clock::now() - begun > Duration::from_millis(500), "the slow one was slow");
    });
}

#[test]
fn a_fetch_that_stops_at_the_end_of_a_segment_does_not_wait_for_more_bytes_in_it() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[("segment.bytes", "2000")]).await, ErrorCode::NONE);
        let value = "v".repeat(500);
        for number in 0..8 {
            assert_eq!(client.produce(TOPIC, 0, &value).await, (ErrorCode::NONE, number));
        }
        let begun = clock::now();
        let mut at = 0;
        while at < 6 {
            let mut request = fetch_request(TOPIC, 0, at, 20_000);
            request.min_bytes = 100_000;
            let found = client.call(12, &request).await;
            assert_eq!(error_of(&found), ErrorCode::NONE);
            at += values_of(&found).len() as i64;
        }

        let took = clock::now() - begun;

        assert!(took < Duration::from_secs(5), "took {took:?}");
    });
}

/// Kafka counts what there is to read, up to the limit (`DelayedFetch`): a minimum that no reply can reach delays none.
#[test]
fn a_fetch_that_a_limit_cuts_short_does_not_wait_for_bytes_that_it_could_not_send() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        let value = "v".repeat(600);
        for number in 0..4 {
            assert_eq!(client.produce(TOPIC, 0, &value).await, (ErrorCode::NONE, number));
        }
        let begun = clock::now();
        for at in 0..3 {
            let mut request = fetch_request(TOPIC, 0, at, 20_000);
            (request.min_bytes, request.max_bytes) = (1_000, 1_024);
            let found = client.call(12, &request).await;
            assert_eq!(values_of(&found).len(), 1, "one batch fits, and what follows it does not");
        }

        let took = clock::now() - begun;

        assert!(took < Duration::from_secs(5), "took {took:?}");
    });
}
