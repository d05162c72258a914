//! Stories of the registry: what brokers keep in ZooKeeper.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use seedlog::registry::{BrokerRegistration, PartitionState, Registry, RegistryError, TopicSpec};
use seedlog::runtime::clock;
use seedlog::types::{BrokerId, LeaderEpoch, TopicId, TopicPartition};
use seedlog::zookeeper::{CreateMode, WatchEvent, ZkError};

use super::stories::{Setting, connect};

const PATIENCE: Duration = Duration::from_secs(20);
const ONE: BrokerId = BrokerId(1);
const TWO: BrokerId = BrokerId(2);

pub fn topic(name: &str, id: u8) -> TopicSpec {
    TopicSpec {
        name: name.to_owned(),
        topic_id: TopicId::from_bytes([id; 16]),
        partitions: BTreeMap::from([(0, vec![ONE, TWO]), (1, vec![TWO]), (10, vec![])]),
        config: BTreeMap::from([("durability".to_owned(), "fsync".to_owned())]),
    }
}

fn registration(broker: BrokerId, port: u16) -> BrokerRegistration {
    BrokerRegistration { broker, host: "here".to_owned(), port, rack: None }
}

async fn registry(at: Setting) -> Registry {
    let registry = Registry::new(at.session().await);
    registry.ensure_paths().await.expect("paths");
    registry
}

/// One cluster has one id, and nobody gets another's producer ids.
pub async fn ids(at: Setting) -> Vec<String> {
    let (a, b) = (registry(at).await, registry(at).await);
    let (first, second) = tokio::join!(a.cluster_id(), b.cluster_id());
    let id = first.expect("an id");
    assert_eq!((id.len(), Ok(id)), (22, second));
    let mut taken = Vec::new();
    for _ in 0..5 {
        let (x, y) = tokio::join!(a.next_producer_ids(ONE), b.next_producer_ids(TWO));
        taken.extend([x.expect("a block"), y.expect("a block")]);
    }
    taken.sort_by_key(|block| block.start);
    taken.iter().map(|block| format!("{block:?}")).collect()
}

/// A broker's id is its own while its session lives.
pub async fn brokers(at: Setting) -> Vec<String> {
    let (a, b) = (registry(at).await, registry(at).await);
    let (nobody, changed) = b.brokers_watch().await.expect("brokers");
    assert!(nobody.is_empty());
    let epoch = a.register_broker(&registration(ONE, 9092)).await.expect("registered");
    assert_eq!(clock::timeout(PATIENCE, changed).await, Ok(WatchEvent::ChildrenChanged));
    assert_eq!(a.register_broker(&registration(ONE, 9092)).await, Ok(epoch), "by the same session");
    let refused = b.register_broker(&registration(ONE, 9093)).await;
    let holder = a.zookeeper().session_id();
    assert_eq!(refused, Err(RegistryError::RegisteredElsewhere { broker: ONE, session: holder }));
    b.register_broker(&registration(TWO, 9093)).await.expect("registered");
    let both = a.brokers().await.expect("brokers");
    assert_eq!(both.values().map(|r| r.port).collect::<Vec<_>>(), [9092, 9093]);

    let waiting = b.wait_unregistered(ONE);
    let ending = a.zookeeper().clone().close();
    let (waited, ()) = tokio::join!(clock::timeout(PATIENCE, waiting), ending);
    assert_eq!(waited, Ok(Ok(())));
    let again = b.register_broker(&registration(ONE, 9092)).await.expect("registered");
    assert!(again > epoch);
    b.zookeeper().clone().close().await;
    Vec::new()
}

/// A topic is made with its partitions' states and config in one step, once, and goes with all of it.
pub async fn topics(at: Setting) -> Vec<String> {
    let (a, b) = (registry(at).await, registry(at).await);
    let (before, changed) = b.topics_watch().await.expect("topics");
    let orders = topic("orders", 1);
    a.create_topic(&orders).await.expect("created");
    assert_eq!(clock::timeout(PATIENCE, changed).await, Ok(WatchEvent::ChildrenChanged));
    let (after, _) = b.topics_watch().await.expect("topics");
    assert!(!before.contains(&orders.name) && after.contains(&orders.name));
    assert_eq!(b.topic("orders").await, Ok(Some(orders.clone())));
    a.create_topic(&orders).await.expect("the very same topic is there");
    let other = a.create_topic(&topic("orders", 2)).await;
    assert_eq!(other, Err(RegistryError::TopicExists("orders".into())));
    assert_eq!(a.create_topic(&topic("a/b", 3)).await, Err(ZkError::BadArguments.into()));

    let state = |p| TopicPartition::new("orders", p);
    let (first, _) = b.partition_state(&state(0)).await.expect("an answer").expect("a state");
    let expected = PartitionState {
        leader: Some(ONE),
        leader_epoch: LeaderEpoch(0),
        controller_epoch: 0,
        isr: vec![ONE, TWO],
    };
    assert_eq!(first, expected);
    let (leaderless, _) = b.partition_state(&state(10)).await.expect("an answer").expect("a state");
    assert_eq!(leaderless.leader, None);
    assert_eq!(b.partition_state(&state(7)).await, Ok(None));

    b.delete_topic("orders").await.expect("deleted");
    assert_eq!(b.delete_topic("orders").await, Err(RegistryError::NoSuchTopic("orders".into())));
    assert_eq!(a.topic("orders").await, Ok(None));
    // A config that is there before its topic does not stand in the way.
    let zookeeper = a.zookeeper();
    zookeeper.create("/config/topics/orders", b"{}", CreateMode::Persistent).await.expect("created");
    a.create_topic(&topic("orders", 4)).await.expect("created");
    assert_eq!(a.topic("orders").await.map(|t| t.map(|t| t.config)), Ok(Some(orders.config)));
    a.delete_topic("orders").await.expect("deleted");
    Vec::new()
}

/// However many ask for an epoch at once, each gets one of its own.
pub async fn leader_epochs(at: Setting) -> Vec<String> {
    let (a, b) = (registry(at).await, registry(at).await);
    a.create_topic(&topic("epochs", 1)).await.expect("created");
    let partition = TopicPartition::new("epochs", 0);
    let mut epochs = BTreeSet::new();
    let none = LeaderEpoch::UNKNOWN;
    for _ in 0..10 {
        let raised = tokio::join!(
            a.raise_leader_epoch(&partition, ONE, none),
            b.raise_leader_epoch(&partition, ONE, none)
        );
        epochs.extend([raised.0.expect("an epoch"), raised.1.expect("an epoch")]);
    }
    assert_eq!(epochs, (1..=20).map(LeaderEpoch).collect());
    let above = a.raise_leader_epoch(&partition, ONE, LeaderEpoch(1 << 30)).await;
    assert_eq!(above, Ok(LeaderEpoch((1 << 30) + 1)), "above what a log says");
    let not_mine = a.raise_leader_epoch(&partition, TWO, none).await;
    assert_eq!(not_mine, Err(RegistryError::NotLeader { partition, leader: Some(ONE) }));
    let missing = TopicPartition::new("epochs", 5);
    let no_such = a.raise_leader_epoch(&missing, ONE, none).await;
    assert_eq!(no_such, Err(RegistryError::NoSuchPartition(missing)));
    a.delete_topic("epochs").await.expect("deleted");
    Vec::new()
}

/// Connections that are cut again and again lose replies, never the truth.
pub async fn lost_replies(at: Setting) -> Vec<String> {
    let proxy = at.proxy().await;
    let shaken = Registry::new(connect(proxy.address(), Duration::from_secs(8)).await);
    let steady = registry(at).await;
    let cutting = async {
        for pause in 0_u64.. {
            clock::sleep(Duration::from_millis(pause * 7 % 40)).await;
            proxy.cut();
        }
    };
    let working = async {
        let mut epochs = vec![LeaderEpoch(0)];
        let mut blocks = Vec::new();
        let broker = registration(ONE, 9092);
        for round in 0..10 {
            let topic = topic(&format!("shaken-{round}"), round);
            until_known(|| shaken.create_topic(&topic)).await.expect("created");
            let there = steady.topic(&topic.name).await.expect("an answer");
            assert_eq!(there.as_ref(), Some(&topic));
            let partition = TopicPartition::new(topic.name.as_str(), 0);
            let epoch = until_known(|| shaken.raise_leader_epoch(&partition, ONE, LeaderEpoch::UNKNOWN))
                .await
                .expect("an epoch");
            let (stored, _) = steady.partition_state(&partition).await.expect("an answer").expect("a state");
            assert_eq!(stored.leader_epoch, epoch);
            epochs.push(epoch);
            blocks.push(until_known(|| shaken.next_producer_ids(ONE)).await.expect("a block"));
            until_known(|| shaken.register_broker(&broker)).await.expect("registered");
            let deleted = until_known(|| shaken.delete_topic(&topic.name)).await;
            assert!(matches!(deleted, Ok(()) | Err(RegistryError::NoSuchTopic(_))), "{deleted:?}");
            assert_eq!(steady.topic(&topic.name).await, Ok(None));
        }
        assert!(blocks.is_sorted_by(|a, b| a.end <= b.start), "{blocks:?}");
    };
    tokio::select! {
        biased;
        () = working => {}
        () = cutting => unreachable!("it never ends"),
    }
    shaken.zookeeper().clone().close().await;
    Vec::new()
}

/// Makes an operation again whose outcome even reading again could not tell.
async fn until_known<T, F>(operation: impl Fn() -> F) -> Result<T, RegistryError>
where
    F: Future<Output = Result<T, RegistryError>>,
{
    loop {
        match operation().await {
            Err(RegistryError::ZooKeeper(ZkError::ConnectionLost)) => {}
            outcome => return outcome,
        }
    }
}
