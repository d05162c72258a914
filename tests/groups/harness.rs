//! A ZooKeeper, a broker and a story, in either build.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use seedlog::admin::{Admin, AdminConfig, AdminError};
use seedlog::broker::Broker;
use seedlog::broker::config::{BrokerConfig, TextList};
use seedlog::consumer::membership::{GroupConfig, GroupConsumer, MessageStream};
use seedlog::consumer::{AutoReset, ConsumedRecord, ConsumerConfig};
use seedlog::producer::{Partitioner, Producer, ProducerConfig, ProducerRecord};
use seedlog::runtime::clock;
use seedlog::types::TopicPartition;
use seedlog::zk_sim::ServerConfig;
use seedlog::zookeeper::ZooKeeperConfig;

pub const TOPIC: &str = "orders";
pub const SESSION: Duration = Duration::from_secs(3);
pub const TICK: Duration = Duration::from_millis(500);
/// Longer than anything takes, so that what hangs fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Where a story finds things.
#[derive(Clone)]
pub struct Setting {
    pub zookeeper: String,
    pub bootstrap: Vec<String>,
}

impl Setting {
    pub fn zookeeper_config(&self) -> ZooKeeperConfig {
        ZooKeeperConfig {
            servers: vec![self.zookeeper.clone()],
            session_timeout: SESSION,
            connect_timeout: Duration::from_secs(1),
        }
    }

    pub fn config(&self, group: &str, client: &str) -> GroupConfig {
        let consumer = ConsumerConfig {
            bootstrap: self.bootstrap.clone(),
            client_id: client.to_owned(),
            fetch_wait: Duration::from_millis(100),
            request_timeout: Duration::from_secs(2),
            ..ConsumerConfig::default()
        };
        GroupConfig {
            reset: AutoReset::Earliest,
            auto_commit: Some(Duration::from_millis(200)),
            rebalance_backoff: Duration::from_millis(500),
            ..GroupConfig::new(group, consumer, self.zookeeper_config())
        }
    }

    pub async fn create_topic(&self, partitions: i32) {
        let admin = Admin::start(AdminConfig { bootstrap: self.bootstrap.clone(), ..AdminConfig::default() });
        loop {
            match admin.create_topic(TOPIC, partitions, 1, &BTreeMap::new()).await {
                Ok(()) | Err(AdminError::TopicExists(_)) => return,
                Err(_) => clock::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Sends values of so many numbers, evenly over the partitions, and waits until they are stored.
    pub async fn produce(&self, numbers: std::ops::Range<usize>) {
        let producer = Producer::start(ProducerConfig {
            bootstrap: self.bootstrap.clone(),
            partitioner: Partitioner::RoundRobin,
            batch_records_max: 5,
            ..ProducerConfig::default()
        });
        let mut deliveries = Vec::new();
        for number in numbers {
            let value = Some(Bytes::from(format!("{number:04}")));
            let record = ProducerRecord { topic: TOPIC.to_owned(), value, ..ProducerRecord::default() };
            deliveries.push(producer.send(record).await.expect("accepted"));
        }
        for delivery in deliveries {
            delivery.await.expect("stored");
        }
        producer.close().await;
    }
}

/// A member with `streams` streams of the topic.
pub async fn join(config: GroupConfig, streams: u32) -> (GroupConsumer, Vec<MessageStream>) {
    let consumer = GroupConsumer::start(config).await.expect("ZooKeeper runs");
    let topics = BTreeMap::from([(TOPIC.to_owned(), streams)]);
    let mut created = consumer.create_message_streams(topics).await.expect("a new consumer");
    (consumer, created.remove(TOPIC).expect("the topic's streams"))
}

/// The next records of a stream, so many.
pub async fn take(stream: &mut MessageStream, count: usize) -> Vec<ConsumedRecord> {
    let mut records = Vec::new();
    for _ in 0..count {
        let next = clock::timeout(PATIENCE, stream.next()).await;
        records.push(next.expect("a record comes in time").expect("nothing is wrong"));
    }
    records
}

pub fn values(records: &[ConsumedRecord]) -> Vec<String> {
    let value =
        |record: &ConsumedRecord| String::from_utf8_lossy(record.value.as_deref().unwrap_or(b"?")).into();
    records.iter().map(value).collect()
}

pub fn partition(number: i32) -> TopicPartition {
    TopicPartition::new(TOPIC, number)
}

/// Looks again and again, until `condition` holds or patience ends.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = clock::now() + PATIENCE;
    while !condition() {
        assert!(clock::now() < deadline, "waited too long until {what}");
        clock::sleep(Duration::from_millis(10)).await;
    }
}

pub fn server_config(listen: SocketAddr) -> ServerConfig {
    let mut config = ServerConfig::new(listen, TICK);
    config.min_session_timeout = Duration::from_millis(500);
    config
}

fn broker_config(listen: &str, data: &str, zookeeper: &str) -> BrokerConfig {
    BrokerConfig {
        broker_id: Some(1),
        listen: listen.to_owned(),
        data_dir: Some(data.to_owned()),
        zookeeper_servers: TextList(vec![zookeeper.to_owned()]),
        zookeeper_session_timeout_ms: 3_000,
        ..BrokerConfig::default()
    }
}

#[cfg(not(feature = "real-runtime"))]
mod half {
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::sync::{Arc, Mutex};

    use seedlog::facts::{self, Fact};
    use seedlog::runtime::sim::world::{self, RunConfig};
    use seedlog::zk_sim::{Control, Server};
    use tokio::sync::mpsc;

    use super::*;

    const SEEDS: u64 = 6;

    /// What is to be done at the next fact of a kind.
    type AtNext = (&'static str, Box<dyn FnOnce()>);

    thread_local! {
        static FACTS: RefCell<Vec<(u64, Fact)>> = const { RefCell::new(Vec::new()) };
        static AT_NEXT: RefCell<Option<AtNext>> = const { RefCell::new(None) };
    }

    struct Collect;

    impl facts::Sink for Collect {
        fn record(&self, fact: Fact) {
            let now = clock::now().as_millis();
            let kind = fact.kind();
            FACTS.with_borrow_mut(|facts| facts.push((now, fact)));
            let due = AT_NEXT.with_borrow_mut(|next| next.take_if(|(awaited, _)| *awaited == kind));
            if let Some((_, act)) = due {
                act();
            }
        }
    }

    /// Does this inside of who states the next fact of this kind: before whatever it does next.
    pub fn at_next(kind: &'static str, act: impl FnOnce() + 'static) {
        AT_NEXT.set(Some((kind, Box::new(act))));
    }

    /// What was stated so far that `choose` wants, with its milliseconds.
    pub fn facts_where<T>(choose: impl Fn(&Fact) -> Option<T>) -> Vec<(u64, T)> {
        FACTS.with_borrow(|facts| facts.iter().filter_map(|(at, fact)| Some((*at, choose(fact)?))).collect())
    }

    /// Tells a story under several seeds, every other one with rare things made common.
    pub fn tell<S, F>(story: S)
    where
        S: Fn(Setting) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        tell_with_control(move |setting, _| story(setting));
    }

    /// As `tell`; the story may also do what no client can.
    pub fn tell_with_control<S, F>(story: S)
    where
        S: Fn(Setting, Control) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        for seed in 0..SEEDS {
            let story = story.clone();
            let config =
                RunConfig { seed, keep_trace: false, event_limit: 20_000_000, buggify: seed % 2 == 1 };
            tell_once(config, story);
        }
    }

    pub fn tell_once<S, F>(config: RunConfig, story: S)
    where
        S: Fn(Setting, Control) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let seed = config.seed;
        let finished = world::run(config, move || run(story));
        finished.outcome.unwrap_or_else(|message| panic!("seed {seed}: {message}"));
    }

    async fn run<S, F>(story: S)
    where
        S: Fn(Setting, Control) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        FACTS.with_borrow_mut(Vec::clear);
        facts::install(Some(Rc::new(Collect)));
        let control: Arc<Mutex<Option<Control>>> = Arc::default();
        let controlled = Arc::clone(&control);
        let zookeeper = world::add_node("zookeeper", move || {
            let controlled = Arc::clone(&controlled);
            async move {
                let any = SocketAddr::from(([0, 0, 0, 0], 2181));
                let server = Server::start(server_config(any)).await.expect("ZooKeeper starts");
                *controlled.lock().expect("control") = Some(server.control());
                std::future::pending::<()>().await;
            }
        });
        let broker = world::add_node("broker-1", || async {
            let mut config = broker_config("0.0.0.0:9092", "/data", "zookeeper:2181");
            config.advertised = Some("broker-1:9092".to_owned());
            let checked = config.check().expect("a usable configuration");
            let broker = loop {
                match Broker::start(checked.clone()).await {
                    Ok(broker) => break broker,
                    Err(_) => clock::sleep(Duration::from_millis(300)).await,
                }
            };
            broker.failed().await;
        });
        let (done, mut finished) = mpsc::channel(1);
        let client = world::add_node("client", move || {
            let (story, done, control) = (story.clone(), done.clone(), Arc::clone(&control));
            async move {
                clock::sleep(Duration::from_millis(100)).await;
                let control = control.lock().expect("control").clone().expect("ZooKeeper runs");
                let bootstrap = vec!["broker-1:9092".to_owned()];
                story(Setting { zookeeper: "zookeeper:2181".to_owned(), bootstrap }, control).await;
                done.send(()).await.expect("the testbed waits");
            }
        });
        for node in [zookeeper, broker, client] {
            world::start(node);
        }
        let outcome = clock::timeout(PATIENCE * 10, finished.recv()).await;
        assert_eq!(outcome, Ok(Some(())), "the story hangs");
        facts::install(None);
    }
}

#[cfg(feature = "real-runtime")]
mod half {
    use seedlog::runtime::task;
    use seedlog::zk_sim::Server;

    use super::*;

    /// Tells a story with the embedded ZooKeeper.
    pub fn tell<S, F>(story: S)
    where
        S: Fn(Setting) -> F,
        F: Future<Output = ()>,
    {
        task::block_on(async move {
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            let server = Server::start(server_config(any)).await.expect("a free port");
            tell_with(&server.address().to_string(), story).await;
            server.shutdown().await;
        });
    }

    /// Tells a story with a ZooKeeper that runs, and a broker of its own.
    pub async fn tell_with<S, F>(zookeeper: &str, story: S)
    where
        S: Fn(Setting) -> F,
        F: Future<Output = ()>,
    {
        let folder = tempfile::tempdir().expect("a folder");
        let config = broker_config("127.0.0.1:0", &folder.path().display().to_string(), zookeeper);
        let broker = Broker::start(config.check().expect("usable")).await.expect("the broker starts");
        let setting =
            Setting { zookeeper: zookeeper.to_owned(), bootstrap: vec![broker.address().to_string()] };
        clock::timeout(PATIENCE * 3, story(setting)).await.expect("the story ends");
        broker.shutdown().await.expect("the disk is well");
    }
}

pub use half::*;
