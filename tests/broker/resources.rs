//! What a broker may run out of: disk space, file descriptors, names, one write to ZooKeeper; and what it must not lose
//! by it.

use std::time::Duration;

use seedlog::facts::Fact;
use seedlog::protocol::ErrorCode;
use seedlog::protocol::messages::*;
use seedlog::runtime::clock;
use seedlog::runtime::sim::disk::{self as sim_disk, Operation, Rate};
use seedlog::runtime::sim::world::{self, Death};
use seedlog::runtime::sim::{identity, process};

use crate::harness::{Cluster, facts_where, wait_until, with_brokers, with_config};
use crate::raw::{Raw, error_of, fetch_request};

const TOPIC: &str = "orders";
/// The least that a broker starts with.
const OPEN_FILES_MAX: u64 = 192;

/// How CreateTopics answers for one topic: the code and the reason.
async fn create(client: &mut Raw, topic: &str, partitions: i32) -> (ErrorCode, String) {
    let topic = CreatableTopic {
        name: topic.to_owned(),
        num_partitions: partitions,
        replication_factor: 1,
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, validate_only: false };
    let mut response = client.call(5, &request).await;
    let result = response.topics.remove(0);
    (ErrorCode(result.error_code), result.error_message.unwrap_or_default())
}

fn has_failed() -> bool {
    !facts_where(|fact| matches!(fact, Fact::LogDirFailed { .. }).then_some(())).is_empty()
}

fn open_files(cluster: &Cluster) -> u64 {
    process::open_files_of(identity::incarnation_of(cluster.node(1)).expect("it runs"))
}

#[test]
fn a_full_disk_refuses_appends_serves_reads_and_takes_appends_again_when_there_is_room() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        assert_eq!(client.produce(TOPIC, 0, "first").await, (ErrorCode::NONE, 0));
        sim_disk::set_faults(cluster.node(1), |faults| faults.capacity_bytes = Some(0));

        for _ in 0..3 {
            assert_eq!(client.produce(TOPIC, 0, "refused").await, (ErrorCode::KAFKA_STORAGE_ERROR, -1));
        }

        assert_eq!(client.values(TOPIC, 0).await, ["first"]);
        assert!(!has_failed(), "a full disk is no failed disk");
        sim_disk::heal(cluster.node(1));
        assert_eq!(client.produce(TOPIC, 0, "second").await, (ErrorCode::NONE, 1));
        assert_eq!(client.values(TOPIC, 0).await, ["first", "second"]);
    });
}

#[test]
fn a_broker_starts_on_a_full_disk_reads_what_it_has_and_writes_when_there_is_room() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        assert_eq!(client.produce(TOPIC, 0, "first").await, (ErrorCode::NONE, 0));
        cluster.end(1, Death::Kill);
        sim_disk::set_faults(cluster.node(1), |faults| faults.capacity_bytes = Some(0));

        cluster.restart(1).await;

        let mut client = cluster.client(1).await;
        assert_eq!(client.values(TOPIC, 0).await, ["first"]);
        assert_eq!(client.produce(TOPIC, 0, "refused").await, (ErrorCode::KAFKA_STORAGE_ERROR, -1));
        sim_disk::heal(cluster.node(1));
        assert_eq!(client.produce(TOPIC, 0, "second").await, (ErrorCode::NONE, 1));
    });
}

#[test]
fn a_topic_made_while_the_disk_is_full_is_served_when_there_is_room() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic("other", 1, &[]).await, ErrorCode::NONE);
        sim_disk::set_faults(cluster.node(1), |faults| faults.capacity_bytes = Some(0));

        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        assert_eq!(client.produce(TOPIC, 0, "refused").await.0, ErrorCode::KAFKA_STORAGE_ERROR);

        sim_disk::heal(cluster.node(1));
        clock::sleep(Duration::from_secs(3)).await;
        assert_eq!(client.produce(TOPIC, 0, "first").await, (ErrorCode::NONE, 0));
        assert!(!has_failed());
    });
}

#[test]
fn files_that_run_out_refuse_connections_and_appends_and_are_no_failed_disk() {
    with_config(
        1,
        |config| config.segment_bytes = 256,
        |cluster| async move {
            let mut client = cluster.client(1).await;
            assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
            for number in 0..20 {
                assert_eq!(client.produce(TOPIC, 0, "before").await, (ErrorCode::NONE, number));
            }
            let node = cluster.node(1);
            process::set_open_files_max(node, Some(open_files(&cluster)));

            let mut stored = 20;
            for _ in 0..40 {
                let (code, offset) = client.produce(TOPIC, 0, "short").await;
                assert!([ErrorCode::NONE, ErrorCode::KAFKA_STORAGE_ERROR].contains(&code), "{code:?}");
                if code == ErrorCode::NONE {
                    assert_eq!(offset, stored);
                    stored += 1;
                }
            }
            let fetched = client.call(12, &fetch_request(TOPIC, 0, 0, 0)).await;
            let codes = [ErrorCode::NONE, ErrorCode::KAFKA_STORAGE_ERROR];
            assert!(codes.contains(&error_of(&fetched)), "a read is served, or refused");

            assert!(!has_failed(), "the disk was not asked");
            process::set_open_files_max(node, None);
            clock::sleep(Duration::from_secs(2)).await;
            assert_eq!(client.produce(TOPIC, 0, "after").await, (ErrorCode::NONE, stored));
            assert_eq!(client.values(TOPIC, 0).await.len() as i64, stored + 1);
        },
    );
}

#[test]
fn many_small_segments_are_stored_read_and_found_again_with_few_files_open() {
    with_config(
        1,
        |config| config.segment_bytes = 256,
        |cluster| async move {
            process::set_open_files_max(cluster.node(1), Some(OPEN_FILES_MAX));
            cluster.end(1, Death::Kill);
            cluster.restart(1).await;
            let mut client = cluster.client(1).await;
            assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);

            for number in 0..400 {
                let value = format!("{number:0>100}");
                assert_eq!(client.produce(TOPIC, 0, &value).await, (ErrorCode::NONE, number));
            }

            let files = sim_disk::list_files(cluster.node(1));
            let segments = files.iter().filter(|path| path.extension().is_some_and(|e| e == "log")).count();
            assert!(segments as u64 > OPEN_FILES_MAX, "{segments} segments are more than may be open");
            assert_eq!(client.values(TOPIC, 0).await.len(), 400);
            for death in [Death::Kill, Death::PowerFailure] {
                cluster.end(1, death);
                cluster.restart(1).await;
                assert_eq!(cluster.client(1).await.values(TOPIC, 0).await.len(), 400);
            }
            assert!(!has_failed());
        },
    );
}

#[test]
fn topics_beyond_the_limit_of_open_files_are_refused_and_the_broker_starts_again() {
    with_brokers(1, |cluster| async move {
        process::set_open_files_max(cluster.node(1), Some(OPEN_FILES_MAX));
        cluster.end(1, Death::Kill);
        cluster.restart(1).await;
        let mut client = cluster.client(1).await;

        let (code, reason) = create(&mut client, "too-many", 30).await;
        assert_eq!(code, ErrorCode::INVALID_PARTITIONS);
        assert!(reason.contains("may have 192 files open"), "{reason}");
        let mut made = Vec::new();
        for number in 0..30 {
            let name = format!("topic-{number}");
            match client.create_topic(&name, 1, &[]).await {
                ErrorCode::NONE => made.push(name),
                code => assert_eq!(code, ErrorCode::INVALID_PARTITIONS),
            }
        }
        assert!(made.len() > 10 && made.len() < 30, "{}", made.len());
        assert_eq!(client.produce(&made[0], 0, "kept").await, (ErrorCode::NONE, 0));

        cluster.end(1, Death::Kill);
        cluster.restart(1).await;

        let mut client = cluster.client(1).await;
        assert_eq!(client.values(&made[0], 0).await, ["kept"]);
        for name in &made {
            let (code, _) = client.produce(name, 0, "again").await;
            assert_eq!(code, ErrorCode::NONE, "{name} is served");
        }
        assert!(!has_failed());
    });
}

#[test]
fn connections_beyond_the_limit_of_open_files_are_refused_and_the_others_go_on() {
    with_brokers(1, |cluster| async move {
        process::set_open_files_max(cluster.node(1), Some(OPEN_FILES_MAX));
        cluster.end(1, Death::Kill);
        cluster.restart(1).await;
        let mut first = cluster.client(1).await;
        assert_eq!(first.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);

        let mut others = Vec::new();
        for _ in 0..OPEN_FILES_MAX {
            others.push(cluster.client(1).await);
        }

        assert!(open_files(&cluster) < OPEN_FILES_MAX, "some are held back");
        assert_eq!(first.produce(TOPIC, 0, "served").await, (ErrorCode::NONE, 0));
        drop(others);
        wait_until("there is room again", || async {
            let mut late = cluster.client(1).await;
            let correlation_id = late.send(9, &MetadataRequest::default()).await;
            correlation_id == 1 && late.next_frame().await.is_some()
        })
        .await;
        assert!(!has_failed());
    });
}

#[test]
fn a_log_without_the_file_that_says_whose_it_is_goes_offline_and_is_left_as_it_is() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 2, &[]).await, ErrorCode::NONE);
        for partition in 0..2 {
            assert_eq!(client.produce(TOPIC, partition, "kept").await, (ErrorCode::NONE, 0));
        }
        let node = cluster.node(1);
        cluster.shut_down(1).await;
        let files = sim_disk::list_files(node);
        let owner =
            files.iter().find(|path| path.ends_with("orders-0/partition.metadata")).expect("is there");
        assert!(sim_disk::delete_file(node, owner));

        cluster.restart(1).await;

        let mut client = cluster.client(1).await;
        let fetched = client.call(12, &fetch_request(TOPIC, 0, 0, 0)).await;
        assert_eq!(error_of(&fetched), ErrorCode::KAFKA_STORAGE_ERROR, "not an empty partition");
        assert_eq!(client.produce(TOPIC, 0, "lost?").await.0, ErrorCode::KAFKA_STORAGE_ERROR);
        assert_eq!(client.values(TOPIC, 1).await, ["kept"], "the other one is served");
        let strays = sim_disk::list_files(node).into_iter().filter(|p| p.to_string_lossy().contains("stray"));
        assert_eq!(strays.count(), 0, "nothing was set aside");
    });
}

#[test]
fn the_longest_name_is_stored_and_set_aside() {
    with_brokers(1, |cluster| async move {
        let topic = "x".repeat(249);
        let mut client = cluster.client(1).await;
        for value in ["old", "new"] {
            assert_eq!(create(&mut client, &topic, 1).await, (ErrorCode::NONE, String::new()));
            assert_eq!(client.produce(&topic, 0, value).await, (ErrorCode::NONE, 0));
            assert_eq!(client.values(&topic, 0).await, [value]);
            cluster.registry().await.delete_topic(&topic).await.expect("it is there");
            wait_until("the topic is gone", || async {
                cluster.client(1).await.metadata().await.topics.is_empty()
            })
            .await;
        }
        assert!(!has_failed());
        let strays = sim_disk::list_files(cluster.node(1));
        assert!(strays.iter().any(|path| path.to_string_lossy().contains(".stray/")), "the old one is kept");
    });
}

#[test]
fn topics_that_metrics_cannot_tell_apart_or_that_are_too_large_are_refused_with_the_reason() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic("a.b", 1, &[]).await, ErrorCode::NONE);

        let (code, reason) = create(&mut client, "a_b", 1).await;
        assert_eq!(code, ErrorCode::INVALID_TOPIC_EXCEPTION);
        assert!(reason.contains("a.b"), "{reason}");

        let (code, reason) = create(&mut client, TOPIC, 10_000).await;
        assert_eq!(code, ErrorCode::INVALID_PARTITIONS);
        assert!(reason.contains("fit"), "{reason}");
        assert_eq!(client.metadata().await.topics.len(), 1);
    });
}

#[test]
fn a_failed_disk_ends_the_registration_at_once() {
    with_brokers(2, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 2, &[]).await, ErrorCode::NONE);
        let led = client.metadata().await.topics[0].partitions.clone();
        let partition = led.iter().find(|p| p.leader_id == 2).expect("shared").partition_index;
        wait_until("it is served", || async {
            cluster.client(2).await.produce(TOPIC, partition, "kept").await.0 == ErrorCode::NONE
        })
        .await;
        let mut other = cluster.client(2).await;
        sim_disk::set_faults(cluster.node(2), |faults| faults.fail(Operation::Sync, Rate::OneIn(1)));
        let at = clock::now();
        other.send(9, &crate::raw::produce_request(TOPIC, partition, crate::raw::batch(&["x"]), -1)).await;

        wait_until("the other one is gone", || async {
            cluster.client(1).await.metadata().await.brokers.len() == 1
        })
        .await;

        let took = clock::now().saturating_since(at);
        assert!(took < Duration::from_secs(1), "{took:?}: not when the session of 3 s expired");
        wait_until("its process ends", || async { !world::is_running(cluster.node(2)) }).await;
    });
}

#[test]
fn a_new_session_with_another_cluster_ends_the_broker_before_it_closes_anything() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        assert_eq!(client.produce(TOPIC, 0, "kept").await, (ErrorCode::NONE, 0));
        // As if another ensemble were behind the same addresses when the broker comes back.
        let zookeeper = cluster.registry().await.zookeeper().clone();
        let other_id = br#"{"version":"1","id":"AAAAAAAAAAAAAAAAAAAAAA"}"#;
        zookeeper.set_data("/cluster/id", other_id, None).await.expect("it is there");
        zookeeper.close().await;
        let control = cluster.zookeeper();
        control.sessions().into_iter().for_each(|session| assert!(control.expire_session(session)));

        wait_until("the broker ends", || async { !world::is_running(cluster.node(1)) }).await;
        let reasons = facts_where(|fact| match fact {
            Fact::LogDirFailed { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        assert!(reasons[0].contains("belongs to cluster"), "{reasons:?}");
    });
}
