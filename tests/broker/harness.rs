//! One ZooKeeper server, some brokers, and the test itself as the process of a node of its own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seedlog::broker::Broker;
use seedlog::broker::config::{BrokerConfig, CheckedConfig, TextList};
use seedlog::facts::{self, Fact};
use seedlog::registry::Registry;
use seedlog::runtime::clock;
use seedlog::runtime::sim::buggify;
use seedlog::runtime::sim::identity::NodeId;
use seedlog::runtime::sim::world::{self, Death, RunConfig};
use seedlog::types::BrokerId;
use seedlog::zk_sim::{Control, Server, ServerConfig};
use seedlog::zookeeper::{ZooKeeper, ZooKeeperConfig};
use tokio::sync::mpsc;

use crate::raw::Raw;

const SEEDS: u64 = 6;
const ZOOKEEPER_PORT: u16 = 2181;
const BROKER_PORT: u16 = 9092;
const TICK: Duration = Duration::from_millis(500);
const SESSION_TIMEOUT_MS: u64 = 3_000;
/// Longer than anything takes, so that a test that hangs fails.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a test changes in the brokers' configuration.
pub type Change = fn(&mut BrokerConfig);

/// A handle that the test's own process has on the cluster.
#[derive(Clone)]
pub struct Cluster {
    brokers: Vec<NodeId>,
    zookeeper: Arc<Mutex<Option<Control>>>,
    /// What was asked of a broker from outside: to shut down cleanly.
    stop: Stop,
}

/// By the broker's index.
type Stop = Arc<Mutex<BTreeMap<usize, mpsc::Sender<()>>>>;

thread_local! {
    static FACTS: RefCell<Vec<Fact>> = const { RefCell::new(Vec::new()) };
}

struct Collect;

impl facts::Sink for Collect {
    fn record(&self, fact: Fact) {
        FACTS.with_borrow_mut(|facts| facts.push(fact));
    }
}

/// What was stated so far that `choose` wants.
pub fn facts_where<T>(choose: impl Fn(&Fact) -> Option<T>) -> Vec<T> {
    FACTS.with_borrow(|facts| facts.iter().filter_map(choose).collect())
}

/// Runs `test` against a cluster of `brokers`, under several seeds.
pub fn with_brokers<F>(brokers: usize, test: impl Fn(Cluster) -> F + Clone + Send + Sync + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    with_config(brokers, |_| {}, test);
}

pub fn with_config<F>(
    brokers: usize,
    change: Change,
    test: impl Fn(Cluster) -> F + Clone + Send + Sync + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    for seed in 0..SEEDS {
        let test = test.clone();
        let config = RunConfig { seed, keep_trace: false, event_limit: 5_000_000, buggify: seed % 2 == 1 };
        let finished = world::run(config, move || run(brokers, change, test));
        if let Err(message) = finished.outcome {
            panic!("seed {seed}: {message}");
        }
    }
}

async fn run<F>(brokers: usize, change: Change, test: impl Fn(Cluster) -> F + Clone + Send + Sync + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    FACTS.with_borrow_mut(Vec::clear);
    facts::install(Some(Rc::new(Collect)));
    // The tests' own client says what it wants once, and looks at the code it gets.
    buggify::silence("broker.refuses-produce");
    let mut cluster = Cluster { brokers: Vec::new(), zookeeper: Arc::default(), stop: Stop::default() };
    let control = Arc::clone(&cluster.zookeeper);
    let zookeeper = world::add_node("zookeeper", move || serve_zookeeper(Arc::clone(&control)));
    let zookeeper_address = SocketAddr::new(world::ip_of(zookeeper), ZOOKEEPER_PORT);
    for index in 0..brokers {
        let stop = Arc::clone(&cluster.stop);
        let node = world::add_node(&format!("broker-{}", index + 1), move || {
            serve_broker(index, change, zookeeper_address, Arc::clone(&stop))
        });
        cluster.brokers.push(node);
    }
    let (done, mut finished) = mpsc::channel(1);
    let handle = cluster.clone();
    let client = world::add_node("client", move || {
        let (test, cluster, done) = (test.clone(), handle.clone(), done.clone());
        async move {
            for broker in 1..=cluster.brokers.len() as i32 {
                cluster.wait_until_served(broker).await;
            }
            test(cluster).await;
            done.send(()).await.expect("the testbed waits");
        }
    });
    world::start(zookeeper);
    for broker in &cluster.brokers {
        world::start(*broker);
    }
    world::start(client);
    let outcome = clock::timeout(PATIENCE * 4, finished.recv()).await;
    assert_eq!(outcome, Ok(Some(())), "the test hangs");
    facts::install(None);
}

async fn serve_zookeeper(control: Arc<Mutex<Option<Control>>>) {
    let listen = SocketAddr::from(([0, 0, 0, 0], ZOOKEEPER_PORT));
    let server = Server::start(ServerConfig::new(listen, TICK)).await.expect("ZooKeeper starts");
    *control.lock().expect("control") = Some(server.control());
    std::future::pending::<()>().await;
}

/// For a broker on the node that asks.
fn config_of(broker: i32, zookeeper: SocketAddr) -> BrokerConfig {
    let me = seedlog::runtime::sim::identity::current().node;
    BrokerConfig {
        broker_id: Some(broker),
        listen: format!("{}:{BROKER_PORT}", world::ip_of(me)),
        data_dir: Some("/data/log".to_owned()),
        zookeeper_servers: TextList(vec![zookeeper.to_string()]),
        zookeeper_session_timeout_ms: SESSION_TIMEOUT_MS,
        ..BrokerConfig::default()
    }
}

fn zookeeper_address() -> SocketAddr {
    let zookeeper = world::node_named("zookeeper").expect("there is one");
    SocketAddr::new(world::ip_of(zookeeper), ZOOKEEPER_PORT)
}

async fn serve_broker(index: usize, change: Change, zookeeper: SocketAddr, stop: Stop) {
    let mut config = config_of(index as i32 + 1, zookeeper);
    change(&mut config);
    let config = config.check().expect("a usable configuration");
    let broker = loop {
        match Broker::start(config.clone()).await {
            Ok(broker) => break broker,
            // ZooKeeper may not be up yet; a supervisor would start the process again.
            Err(_) => clock::sleep(Duration::from_millis(300)).await,
        }
    };
    let (ask, mut asked) = mpsc::channel(1);
    {
        let mut stop = stop.lock().expect("stop");
        stop.insert(index, ask);
    }
    tokio::select! {
        biased;
        _reason = broker.failed() => {}
        // A failure is a fact, which tests look for.
        _ = asked.recv() => drop(broker.shutdown().await),
    }
}

impl Cluster {
    pub fn node(&self, broker: i32) -> NodeId {
        self.brokers[broker as usize - 1]
    }

    pub fn address(&self, broker: i32) -> SocketAddr {
        SocketAddr::new(world::ip_of(self.node(broker)), BROKER_PORT)
    }

    pub async fn client(&self, broker: i32) -> Raw {
        Raw::connect(self.address(broker)).await
    }

    /// A client's own view of the registry.
    pub async fn registry(&self) -> Registry {
        let config = ZooKeeperConfig {
            servers: vec![zookeeper_address().to_string()],
            session_timeout: Duration::from_millis(SESSION_TIMEOUT_MS),
            connect_timeout: Duration::from_secs(2),
        };
        Registry::new(ZooKeeper::connect(config).await.expect("ZooKeeper runs"))
    }

    pub fn zookeeper(&self) -> Control {
        self.zookeeper.lock().expect("control").clone().expect("ZooKeeper runs")
    }

    /// Waits until a broker answers, and is registered in the eyes of all the others that run.
    pub async fn wait_until_served(&self, broker: i32) {
        wait_until("the broker is registered", || async {
            let connected =
                seedlog::runtime::net::connect(self.address(broker), Duration::from_millis(500)).await;
            if connected.is_err() {
                return false;
            }
            drop(connected);
            let mut client = self.client(broker).await;
            client.metadata().await.brokers.iter().any(|registered| registered.node_id == broker)
        })
        .await;
    }

    pub fn end(&self, broker: i32, death: Death) {
        world::end(self.node(broker), death);
    }

    /// What a process on the client's own machine would start as, given another broker's number.
    pub fn config_of_impostor(&self, broker: i32) -> CheckedConfig {
        config_of(broker, zookeeper_address()).check().expect("a usable configuration")
    }

    pub async fn restart(&self, broker: i32) {
        world::start(self.node(broker));
        self.wait_until_served(broker).await;
    }

    /// A clean shutdown, as on SIGTERM; returns when the process has ended.
    pub async fn shut_down(&self, broker: i32) {
        let ask = self.stop.lock().expect("stop")[&(broker as usize - 1)].clone();
        ask.send(()).await.expect("the broker listens");
        wait_until("the broker has ended", || async { !world::is_running(self.node(broker)) }).await;
    }
}

/// Looks again and again, until `condition` holds or patience ends.
pub async fn wait_until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let deadline = clock::now() + PATIENCE;
    while !condition().await {
        assert!(clock::now() < deadline, "waited too long until {what}");
        clock::sleep(Duration::from_millis(50)).await;
    }
}

/// The leader epochs in which a broker has led, in order.
pub fn epochs_led(broker: i32) -> Vec<i32> {
    facts_where(|fact| match fact {
        Fact::BecameLeader { broker: leader, epoch, .. } if *leader == BrokerId(broker) => Some(epoch.0),
        _ => None,
    })
}
