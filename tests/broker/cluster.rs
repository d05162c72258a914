//! Several brokers: shared topics, metadata, sessions.

use std::collections::BTreeSet;
use std::time::Duration;

use seedlog::admin::{Admin, AdminConfig, AdminError, ConfigResource, ConfigSource};
use seedlog::broker::{Broker, StartError};
use seedlog::facts::Fact;
use seedlog::protocol::ErrorCode;
use seedlog::protocol::messages::*;
use seedlog::runtime::clock;
use seedlog::runtime::sim::disk as sim_disk;
use seedlog::runtime::sim::world::Death;
use seedlog::types::BrokerId;
use seedlog::zookeeper::CreateMode;

use crate::harness::{epochs_led, facts_where, wait_until, with_brokers, with_config};
use crate::raw::{error_of, fetch_request};

const TOPIC: &str = "orders";

#[test]
fn partitions_are_shared_and_every_broker_tells_the_same() {
    with_brokers(3, |cluster| async move {
        let mut first = cluster.client(1).await;
        wait_until("all brokers see each other", || async {
            cluster.client(1).await.metadata().await.brokers.len() == 3
        })
        .await;

        assert_eq!(first.create_topic(TOPIC, 6, &[]).await, ErrorCode::NONE);

        let told = first.metadata().await;
        let leaders: BTreeSet<i32> = told.topics[0].partitions.iter().map(|p| p.leader_id).collect();
        assert_eq!(leaders, BTreeSet::from([1, 2, 3]));
        assert_eq!(told.controller_id, 1);
        assert_eq!(told.cluster_id.as_deref().map(str::len), Some(22));
        for broker in 2..=3 {
            wait_until("the other broker has seen the topic", || async {
                let other = cluster.client(broker).await.metadata().await;
                other.topics == told.topics && other.brokers == told.brokers
            })
            .await;
        }
        for partition in &told.topics[0].partitions {
            let index = partition.partition_index;
            let mut leader = cluster.client(partition.leader_id).await;
            assert_eq!(leader.produce(TOPIC, index, "mine").await, (ErrorCode::NONE, 0));
            let mut other = cluster.client(partition.leader_id % 3 + 1).await;
            let (code, _) = other.produce(TOPIC, index, "not mine").await;
            assert_eq!(code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
    });
}

#[test]
fn a_topic_asked_for_is_made_where_client_and_broker_agree() {
    with_config(
        1,
        |config| config.partitions_default = 3,
        |cluster| async move {
            let mut client = cluster.client(1).await;
            let ask = |allow_auto_topic_creation| MetadataRequest {
                topics: Some(vec![MetadataRequestTopic { name: Some(TOPIC.to_owned()) }]),
                allow_auto_topic_creation,
                ..Default::default()
            };

            let refused = client.call(9, &ask(false)).await;
            let code = ErrorCode(refused.topics[0].error_code);
            assert_eq!(code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);

            let made = client.call(9, &ask(true)).await;
            assert_eq!(made.topics[0].partitions.len(), 3);
            assert_eq!(client.produce(TOPIC, 2, "at once").await, (ErrorCode::NONE, 0));
        },
    );
}

#[test]
fn topics_that_cannot_be_are_refused_with_a_reason() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        let cases = [
            (TOPIC, 1, None, ErrorCode::TOPIC_ALREADY_EXISTS),
            ("a/b", 1, None, ErrorCode::INVALID_TOPIC_EXCEPTION),
            ("none", 0, None, ErrorCode::INVALID_PARTITIONS),
            ("odd", 1, Some(("segment.bytes", "few")), ErrorCode::INVALID_CONFIG),
        ];
        for (topic, partitions, config, expected) in cases {
            let config: Vec<(&str, &str)> = config.into_iter().collect();
            assert_eq!(client.create_topic(topic, partitions, &config).await, expected, "{topic}");
        }
        let replicated = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: "replicated".into(),
                num_partitions: 1,
                replication_factor: 3,
                ..Default::default()
            }],
            ..Default::default()
        };
        let response = client.call(5, &replicated).await;
        let topic = &response.topics[0];
        assert_eq!(ErrorCode(topic.error_code), ErrorCode::INVALID_REPLICATION_FACTOR);
        assert!(topic.error_message.as_deref().is_some_and(|m| m.contains("replication")));
    });
}

#[test]
fn an_expired_session_ends_the_registration_alone_and_a_new_one_raises_the_epoch() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        assert_eq!(client.produce(TOPIC, 0, "before").await, (ErrorCode::NONE, 0));
        let epochs_before = epochs_led(1).len();

        for session in cluster.zookeeper().sessions() {
            assert!(cluster.zookeeper().expire_session(session));
        }

        assert_eq!(client.produce(TOPIC, 0, "meanwhile").await, (ErrorCode::NONE, 1));
        wait_until("the broker has registered again", || async {
            facts_where(|fact| matches!(fact, Fact::BrokerRegistered { .. }).then_some(())).len() == 2
        })
        .await;
        assert_eq!(client.produce(TOPIC, 0, "after").await, (ErrorCode::NONE, 2));
        assert_eq!(epochs_led(1).len(), epochs_before + 1);
        assert_eq!(client.values(TOPIC, 0).await, ["before", "meanwhile", "after"]);
    });
}

#[test]
fn a_client_of_an_earlier_leadership_is_fenced_and_learns_of_the_new_one_everywhere() {
    with_brokers(2, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 2, &[]).await, ErrorCode::NONE);
        let told = client.metadata().await.topics[0].clone();
        let partition =
            told.partitions.iter().find(|p| p.leader_id == 2).expect("broker 2 leads one").clone();

        cluster.end(2, Death::Kill);
        cluster.restart(2).await;

        let mut leader = cluster.client(2).await;
        let mut request = fetch_request(TOPIC, partition.partition_index, 0, 0);
        request.topics[0].partitions[0].current_leader_epoch = partition.leader_epoch;
        assert_eq!(error_of(&leader.call(12, &request).await), ErrorCode::FENCED_LEADER_EPOCH);
        wait_until("the other broker knows of the new epoch", || async {
            let told = cluster.client(1).await.metadata().await.topics[0].clone();
            let found = told.partitions.iter().find(|p| p.partition_index == partition.partition_index);
            found.is_some_and(|p| p.leader_epoch > partition.leader_epoch && p.leader_id == 2)
        })
        .await;
    });
}

#[test]
fn a_partition_whose_leader_is_gone_has_no_leader_until_it_is_back() {
    with_brokers(2, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 2, &[]).await, ErrorCode::NONE);

        cluster.end(2, Death::PowerFailure);

        wait_until("the loss is seen", || async {
            let told = cluster.client(1).await.metadata().await;
            let orphaned = told.topics[0].partitions.iter().filter(|p| p.leader_id == -1);
            let codes: Vec<ErrorCode> = orphaned.map(|p| ErrorCode(p.error_code)).collect();
            codes == [ErrorCode::LEADER_NOT_AVAILABLE]
        })
        .await;
        cluster.restart(2).await;
        wait_until("its return is seen", || async {
            let told = cluster.client(1).await.metadata().await;
            told.topics[0].partitions.iter().all(|p| p.error_code == 0)
        })
        .await;
    });
}

#[test]
fn a_topic_made_anew_under_its_old_name_begins_empty_and_the_old_one_is_set_aside() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        assert_eq!(client.produce(TOPIC, 0, "old").await, (ErrorCode::NONE, 0));
        let registry = cluster.registry().await;

        registry.delete_topic(TOPIC).await.expect("it is there");
        wait_until("the topic is gone", || async {
            cluster.client(1).await.metadata().await.topics.is_empty()
        })
        .await;
        let (code, _) = client.produce(TOPIC, 0, "nowhere").await;
        assert_eq!(code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);

        assert_eq!(client.produce(TOPIC, 0, "new").await, (ErrorCode::NONE, 0));
        assert_eq!(client.values(TOPIC, 0).await, ["new"]);
        let strays = sim_disk::list_files(cluster.node(1))
            .into_iter()
            .filter(|path| path.to_string_lossy().contains(".stray/"));
        assert!(strays.count() > 0, "nothing is deleted");
    });
}

#[test]
fn two_processes_of_one_broker_number_do_not_serve_at_once() {
    with_brokers(2, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 2, &[]).await, ErrorCode::NONE);
        let led = || async { cluster.client(2).await.metadata().await.topics };
        wait_until("the other broker has seen the topic", || async { !led().await.is_empty() }).await;
        let before = led().await;

        // This machine's process is given broker 1's number, with a data directory of its own.
        let refused = Broker::start(cluster.config_of_impostor(1)).await.err();

        assert!(matches!(refused, Some(StartError::RegisteredElsewhere { .. })));
        assert_eq!(led().await, before, "nobody's leadership was touched");
        assert_eq!(cluster.client(1).await.metadata().await.brokers.len(), 2);
    });
}

#[test]
fn connections_over_the_limit_are_refused_and_the_others_go_on() {
    with_config(
        1,
        |config| config.connections_per_ip_max = 3,
        |cluster| async move {
            let mut first = cluster.client(1).await;
            let _second = cluster.client(1).await;
            let mut third = cluster.client(1).await;
            third.metadata().await;

            let mut refused = cluster.client(1).await;

            assert!(refused.next_frame().await.is_none());
            assert_eq!(first.metadata().await.brokers.len(), 1);
        },
    );
}

#[test]
fn idle_and_trickling_connections_are_closed_in_time() {
    let impatient = |config: &mut seedlog::broker::config::BrokerConfig| {
        config.connection_idle_ms_max = 5_000;
        config.request_arrival_ms_max = 1_000;
    };
    with_config(1, impatient, |cluster| async move {
        let start = clock::now();
        let mut slow = cluster.client(1).await;
        slow.send_bytes(bytes::Bytes::from_static(&[0, 0, 0, 9, 0])).await;
        assert!(slow.next_frame().await.is_none());
        let waited = clock::now() - start;
        assert!(waited > Duration::from_secs(1) && waited < Duration::from_secs(3), "{waited:?}");

        let mut idle = cluster.client(1).await;
        idle.metadata().await;
        let start = clock::now();
        assert!(idle.next_frame().await.is_none());
        let waited = clock::now() - start;
        assert!(waited > Duration::from_secs(4) && waited < Duration::from_secs(7), "{waited:?}");
    });
}

/// A name that is no number, a broker without a plain listener (Kafka writes port -1), and nonsense: nobody else
/// is stopped, and they are not told to clients.
#[test]
fn registrations_that_cannot_be_read_stop_nobody_else() {
    with_brokers(2, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 2, &[]).await, ErrorCode::NONE);
        let registry = cluster.registry().await;
        let port = br#"{"version":5,"host":null,"port":-1,"timestamp":"1","endpoints":["SSL://h:1"]}"#;
        for (name, data) in [("seven", &b""[..]), ("-7", b""), ("7", port), ("8", b"{\"version\":")] {
            let path = format!("/brokers/ids/{name}");
            registry.zookeeper().create(&path, data, CreateMode::Ephemeral).await.expect("it is free");
        }
        let alive = BTreeSet::from([BrokerId(1), BrokerId(2)]);
        let registered: BTreeSet<BrokerId> =
            registry.brokers().await.expect("ZooKeeper runs").into_keys().collect();
        assert_eq!(registered, alive);
        assert_eq!(client.create_topic("later", 4, &[]).await, ErrorCode::NONE, "on those two");

        cluster.end(2, Death::Kill);
        cluster.restart(2).await;
        wait_until("both brokers are told", || async {
            let told = cluster.client(1).await.metadata().await;
            told.brokers.iter().map(|broker| BrokerId(broker.node_id)).collect::<BTreeSet<_>>() == alive
        })
        .await;
        for partition in 0..2 {
            let topics = client.metadata().await.topics;
            // The other topic's partitions have leaders of their own.
            let told =
                topics.into_iter().find(|topic| topic.partitions.len() == 2).expect("orders").partitions;
            let leader = told.iter().find(|p| p.partition_index == partition).expect("it is there").leader_id;
            let mut leader = cluster.client(leader).await;
            assert_eq!(leader.produce(TOPIC, partition, "on").await, (ErrorCode::NONE, 0));
        }
        registry.zookeeper().clone().close().await;
    });
}

/// A slip of the pen in a topic's configuration ends nothing: the topic goes on as it was, also with who starts anew
/// once it is mended.
#[test]
fn a_topic_whose_configuration_cannot_be_read_goes_on_as_it_was() {
    with_brokers(2, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        let registry = cluster.registry().await;
        let leader = client.metadata().await.topics[0].partitions[0].leader_id;
        let path = format!("/config/topics/{TOPIC}");
        let (sound, _) = registry.zookeeper().get_data(&path).await.expect("it is there");
        registry.zookeeper().set_data(&path, b"{\"version\":", None).await.expect("it is there");

        assert_eq!(client.create_topic("later", 1, &[]).await, ErrorCode::NONE, "everything is read again");
        wait_until("the broker has seen the other topic", || async {
            cluster.client(leader).await.metadata().await.topics.len() == 2
        })
        .await;
        let mut serving = cluster.client(leader).await;
        assert_eq!(serving.produce(TOPIC, 0, "on").await, (ErrorCode::NONE, 0));

        cluster.end(leader, Death::Kill);
        cluster.restart(leader).await;
        registry.zookeeper().set_data(&path, &sound, None).await.expect("it is there");
        wait_until("it is served once more", || async {
            cluster.client(leader).await.produce(TOPIC, 0, "again").await.0 == ErrorCode::NONE
        })
        .await;
        registry.zookeeper().clone().close().await;
    });
}

#[test]
fn an_administrator_reads_what_is_configured() {
    with_brokers(2, |cluster| async move {
        let mut client = cluster.client(1).await;
        let own = [("durability", "page-cache")];
        assert_eq!(client.create_topic(TOPIC, 1, &own).await, ErrorCode::NONE);
        let bootstrap = vec![cluster.address(1).to_string()];
        let admin = Admin::start(AdminConfig { bootstrap, ..AdminConfig::default() });
        let topic = admin.describe_configs(&ConfigResource::Topic(TOPIC.to_owned())).await;
        let topic = topic.expect("it exists");
        let durability = topic.iter().find(|entry| entry.name == "durability").expect("it is told");
        assert_eq!(
            (durability.value.as_deref(), durability.source),
            (Some("page-cache"), ConfigSource::Topic)
        );
        for broker in [BrokerId(1), BrokerId(2)] {
            let told = admin.describe_configs(&ConfigResource::Broker(broker)).await.expect("it is alive");
            let zookeeper = told.iter().find(|entry| entry.name == "zookeeper.connect").expect("it is told");
            assert!(zookeeper.value.as_deref().is_some_and(|value| value.contains(":2181")), "{zookeeper:?}");
        }
        let missing = admin.describe_configs(&ConfigResource::Topic("missing".to_owned())).await;
        assert_eq!(missing, Err(AdminError::Unknown("missing".to_owned())));
    });
}
