//! A thousand records through producer, brokers and consumer while brokers are killed and started again:
//! everything acknowledged is read, in the order in which it was sent.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use seedlog::admin::{Admin, AdminConfig, AdminError};
use seedlog::broker::Broker;
use seedlog::broker::config::{BrokerConfig, CheckedConfig, TextList};
use seedlog::consumer::{Consumer, ConsumerConfig, StartPosition};
use seedlog::producer::{Partitioner, Producer, ProducerConfig, ProducerRecord};
use seedlog::runtime::clock;
use seedlog::runtime::sim::identity::NodeId;
use seedlog::runtime::sim::world::{self, Death, RunConfig};
use seedlog::types::{Offset, TopicPartition};
use seedlog::zk_sim;

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 4;
const RECORDS: usize = 1_000;
const BROKERS: i32 = 2;
const SEEDS: u64 = 4;
/// Longer than any of it takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// What producer and consumer report to the test.
#[derive(Default)]
struct Seen {
    acked: BTreeMap<(i32, Offset), String>,
    unresolved: usize,
    read: BTreeMap<i32, Vec<(Offset, String)>>,
}

type Shared = Arc<Mutex<Seen>>;

fn bootstrap() -> Vec<String> {
    (1..=BROKERS).map(|id| format!("broker-{id}:9092")).collect()
}

fn add_zookeeper() -> NodeId {
    world::add_node("zookeeper", || async {
        let listen = SocketAddr::from(([0, 0, 0, 0], 2181));
        let config = zk_sim::ServerConfig::new(listen, Duration::from_millis(500));
        let _server = zk_sim::Server::start(config).await.expect("ZooKeeper starts");
        std::future::pending::<()>().await;
    })
}

fn broker_config(id: i32) -> CheckedConfig {
    let config = BrokerConfig {
        broker_id: Some(id),
        listen: "0.0.0.0:9092".to_owned(),
        advertised: Some(format!("broker-{id}:9092")),
        data_dir: Some("/data".to_owned()),
        zookeeper_servers: TextList(vec!["zookeeper:2181".to_owned()]),
        zookeeper_session_timeout_ms: 3_000,
        ..BrokerConfig::default()
    };
    config.check().expect("a usable configuration")
}

fn add_broker(id: i32) -> NodeId {
    world::add_node(&format!("broker-{id}"), move || async move {
        let broker = loop {
            match Broker::start(broker_config(id)).await {
                Ok(broker) => break broker,
                Err(_) => clock::sleep(Duration::from_millis(300)).await,
            }
        };
        broker.failed().await;
    })
}

async fn create_topic() {
    let admin = Admin::start(AdminConfig { bootstrap: bootstrap(), ..AdminConfig::default() });
    loop {
        match admin.create_topic(TOPIC, PARTITIONS, 1, &BTreeMap::new()).await {
            Ok(()) | Err(AdminError::TopicExists(_)) => return,
            Err(_) => clock::sleep(Duration::from_millis(200)).await,
        }
    }
}

async fn produce(seen: Shared) {
    create_topic().await;
    let producer = Producer::start(ProducerConfig {
        bootstrap: bootstrap(),
        client_id: "shop".to_owned(),
        request_timeout: Duration::from_secs(3),
        partitioner: Partitioner::RoundRobin,
        ..ProducerConfig::default()
    });
    let mut deliveries = Vec::new();
    for number in 0..RECORDS {
        clock::sleep(Duration::from_millis(10)).await;
        let value = format!("{number:04}");
        let record = ProducerRecord {
            topic: TOPIC.to_owned(),
            value: Some(Bytes::from(value.clone())),
            ..ProducerRecord::default()
        };
        deliveries.push((value, producer.send(record).await.expect("accepted")));
    }
    for (value, delivery) in deliveries {
        let outcome = delivery.await;
        let mut seen = seen.lock().expect("seen");
        match outcome {
            Ok(stored) => {
                let offset = stored.offset.expect("acks are on");
                seen.acked.insert((stored.partition.partition, offset), value);
            }
            Err(_) => seen.unresolved += 1,
        }
    }
    std::future::pending::<()>().await;
}

async fn consume(seen: Shared) {
    let mut consumer = Consumer::start(ConsumerConfig {
        bootstrap: bootstrap(),
        client_id: "billing".to_owned(),
        request_timeout: Duration::from_secs(3),
        ..ConsumerConfig::default()
    });
    let all = (0..PARTITIONS).map(|number| (TopicPartition::new(TOPIC, number), StartPosition::Earliest));
    consumer.assign(all.collect());
    loop {
        let records = consumer.poll(Duration::from_millis(500)).await.expect("nothing is corrupt");
        let mut seen = seen.lock().expect("seen");
        for record in records {
            let value = String::from_utf8(record.value.expect("a value").to_vec()).expect("text");
            seen.read.entry(record.partition.partition).or_default().push((record.offset, value));
        }
    }
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = clock::now() + PATIENCE;
    while !condition() {
        assert!(clock::now() < deadline, "waited too long until {what}");
        clock::sleep(Duration::from_millis(100)).await;
    }
}

/// Kills and restarts each broker while records flow.
async fn thousand_records(deaths: [Death; 2]) {
    let seen = Shared::default();
    let zookeeper = add_zookeeper();
    let brokers: Vec<NodeId> = (1..=BROKERS).map(add_broker).collect();
    let (producing, consuming) = (Arc::clone(&seen), Arc::clone(&seen));
    let shop = world::add_node("shop", move || produce(Arc::clone(&producing)));
    let billing = world::add_node("billing", move || consume(Arc::clone(&consuming)));
    for node in [vec![zookeeper], brokers.clone(), vec![shop, billing]].concat() {
        world::start(node);
    }
    let read = || seen.lock().expect("seen").read.values().map(Vec::len).sum::<usize>();
    for (broker, death) in brokers.into_iter().zip(deaths) {
        let before = read();
        until("records flow", || read() >= before + 150).await;
        world::end(broker, death);
        clock::sleep(Duration::from_secs(2)).await;
        world::start(broker);
    }
    until("every send has its fate", || {
        let seen = seen.lock().expect("seen");
        seen.acked.len() + seen.unresolved == RECORDS
    })
    .await;
    until("everything acknowledged is read", || {
        let seen = seen.lock().expect("seen");
        let read: BTreeSet<(i32, Offset)> = seen
            .read
            .iter()
            .flat_map(|(partition, records)| records.iter().map(|(offset, _)| (*partition, *offset)))
            .collect();
        seen.acked.keys().all(|place| read.contains(place))
    })
    .await;
    judge(&seen.lock().expect("seen"));
}

fn judge(seen: &Seen) {
    assert_eq!(seen.unresolved, 0, "two minutes are enough to outlive a restart");
    for (partition, records) in &seen.read {
        assert!(records.is_sorted_by(|a, b| a.0 < b.0), "partition {partition} is read in offset order");
        for (offset, value) in records {
            if let Some(acked) = seen.acked.get(&(*partition, *offset)) {
                assert_eq!(acked, value, "partition {partition} at {offset}");
            }
        }
        let mut met = BTreeSet::new();
        let firsts = records.iter().map(|(_, value)| value).filter(|value| met.insert(*value));
        assert!(firsts.is_sorted(), "partition {partition} is stored in the order of the sends");
    }
}

fn run(deaths: [Death; 2]) {
    for seed in 0..SEEDS {
        let config = RunConfig { seed, keep_trace: false, event_limit: 20_000_000, buggify: seed % 2 == 1 };
        let finished = world::run(config, move || thousand_records(deaths));
        finished.outcome.unwrap_or_else(|message| panic!("seed {seed}: {message}"));
    }
}

#[test]
fn a_thousand_records_survive_the_kill_of_each_broker() {
    run([Death::Kill, Death::Kill]);
}

#[test]
fn a_thousand_records_survive_the_power_failure_of_each_broker() {
    run([Death::PowerFailure, Death::PowerFailure]);
}

#[test]
fn the_clients_do_the_same_in_every_run_of_a_seed() {
    let hash = || {
        let config = RunConfig { seed: 3, keep_trace: false, event_limit: 20_000_000, buggify: true };
        let finished = world::run(config, || thousand_records([Death::Kill, Death::PowerFailure]));
        finished.outcome.expect("it passes");
        finished.trace_hash
    };
    assert_eq!(hash(), hash());
}
