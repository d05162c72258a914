//! Programs in the simulation: a node without faults for each.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seedlog::runtime::sim::identity::NodeId;
use seedlog::runtime::sim::world::{self, RunConfig};
use seedlog::runtime::sim::{disk as disks, process};
use seedlog::runtime::{clock, disk as files};
use seedlog::types::SessionId;
use seedlog::zk_sim::{Control, Server, ServerConfig};
use tokio::sync::mpsc;

use crate::program::{History, Limits, Program};
use crate::{disk, net, properties, zookeeper};

fn run<F>(seed: u64, buggify: bool, main: impl FnOnce() -> F + Send + 'static) -> History
where
    F: Future<Output = History> + 'static,
{
    let config = RunConfig { seed, keep_trace: false, event_limit: 1_000_000, buggify };
    world::run(config, main).outcome.unwrap_or_else(|message| panic!("seed {seed}: {message}"))
}

/// Longer than any link's latency, and than a SYN takes that is sent a second time.
pub const WAIT: Duration = Duration::from_secs(3);
/// Far longer than a link's latency.
pub const ARRIVES_WITHIN: Duration = Duration::from_millis(100);

const PORT: u16 = 9092;

/// Runs a program that may have several outcomes, once for each seed. Rare settings and orders are drawn for the programs of
/// rows alone: beside them a drawn program would be allowed too much.
pub fn on_net(program: &Program, seeds: u64) -> BTreeSet<History> {
    let histories = (0..seeds).map(|seed| {
        let with_rare_things = program.is_of_a_row() && seed % 2 == 1;
        let (name, steps) = (program.name.clone(), program.steps_as::<net::Step>());
        run(seed, with_rare_things, move || between_two_nodes(steps, net::Pauses::of(&name, seed)))
    });
    histories.collect()
}

async fn between_two_nodes(steps: Vec<net::Step>, pauses: net::Pauses) -> History {
    // The second node is the server.
    let address = SocketAddr::new(world::ip_of(NodeId(2)), PORT);
    let (director, parties) = net::Director::new(address);
    for (name, party) in ["client", "server"].into_iter().zip(parties) {
        let party = Mutex::new(Some(party));
        let node = world::add_node(name, move || {
            let party = party.lock().expect("one thread").take().expect("a node lives once");
            party.obey()
        });
        world::start(node);
    }
    director.perform(steps, pauses).await
}

/// Looks at clocks and tasks, under each seed.
pub fn on_node(program: &Program, seeds: u64) -> BTreeSet<History> {
    let histories = (0..seeds).map(|seed| {
        let steps = program.steps_as::<properties::Step>();
        run(seed, true, move || as_process(move || properties::perform(steps.clone())))
    });
    histories.collect()
}

/// Runs a program that has one outcome; it has one wherever this is.
pub fn on_disk(program: &Program) -> Option<History> {
    let (limits, steps) = (program.limits, program.steps_as::<disk::Step>());
    let history = run(1, false, move || {
        as_process(move || {
            let base = PathBuf::from("/data/program");
            files::create_dir_all(&base).expect("an empty disk takes a directory");
            limit(limits);
            disk::perform(base, limits, steps.clone())
        })
    });
    Some(history)
}

/// The only node.
const NODE: NodeId = NodeId(1);

fn limit(limits: Limits) {
    disks::set_faults(NODE, |faults| faults.capacity_bytes = limits.bytes.or(limits.disk_bytes));
    process::set_open_files_max(NODE, limits.descriptors);
}

async fn as_process<F>(body: impl Fn() -> F + Clone + Send + Sync + 'static) -> History
where
    F: Future<Output = History> + Send + 'static,
{
    let (tell, mut told) = mpsc::channel(1);
    let node = world::add_node("process", move || {
        let (tell, body) = (tell.clone(), body.clone());
        async move { tell.send(body().await).await.expect("the testbed waits") }
    });
    assert_eq!(node, NODE);
    world::start(node);
    let history = told.recv().await.expect("the process comes to its end");
    while world::is_running(node) {
        clock::sleep(Duration::from_millis(1)).await;
    }
    history
}

/// Nothing to stop at the end.
pub struct Servers;

const ZOOKEEPER_PORT: u16 = 2181;

/// As the real servers are configured.
fn zookeeper_config() -> ServerConfig {
    let listen = SocketAddr::from(([0, 0, 0, 0], ZOOKEEPER_PORT));
    let mut config = ServerConfig::new(listen, Duration::from_millis(500));
    config.min_session_timeout = Duration::from_millis(500);
    config.max_session_timeout = Duration::from_secs(40);
    config
}

/// Runs a program on our ZooKeeper, under each seed.
pub fn on_zookeeper(program: &Program, seeds: u64) -> BTreeSet<History> {
    let histories = (0..seeds).map(|seed| {
        let steps = program.steps_as::<zookeeper::Step>();
        run(seed, false, move || beside_a_zookeeper(steps))
    });
    histories.collect()
}

/// The one server, as the second session's follower.
#[derive(Clone, Default)]
pub struct Follower {
    server: Arc<Mutex<Option<Control>>>,
}

impl Follower {
    pub async fn cut(&self, session: SessionId) {
        assert!(self.control().cut_from_leader(session, false), "it is attached");
    }

    pub async fn join(&self, session: SessionId) {
        self.control().rejoin(session);
    }

    fn control(&self) -> Control {
        self.server.lock().expect("one thread").clone().expect("the server has started")
    }
}

async fn beside_a_zookeeper(steps: Vec<zookeeper::Step>) -> History {
    let follower = Follower::default();
    let control = Arc::clone(&follower.server);
    let server = world::add_node("zookeeper", move || {
        let control = Arc::clone(&control);
        async move {
            let server = Server::start(zookeeper_config()).await.expect("a new node has every port free");
            *control.lock().expect("one thread") = Some(server.control());
            std::future::pending::<()>().await;
        }
    });
    world::start(server);
    let (tell, mut told) = mpsc::channel(1);
    let client = world::add_node("client", move || {
        let (tell, steps, follower) = (tell.clone(), steps.clone(), follower.clone());
        let address = SocketAddr::new(world::ip_of(server), ZOOKEEPER_PORT);
        let place = zookeeper::Place { servers: [address; 2], name: "program".to_owned(), follower };
        async move { tell.send(zookeeper::perform(place, steps).await).await.expect("the testbed waits") }
    });
    world::start(client);
    told.recv().await.expect("the program comes to its end")
}
