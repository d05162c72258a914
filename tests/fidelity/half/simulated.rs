//! Programs in the simulation: a node without faults for each.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use seedlog::runtime::sim::identity::NodeId;
use seedlog::runtime::sim::world::{self, RunConfig};
use seedlog::runtime::sim::{disk as disks, process};
use seedlog::runtime::{clock, disk as files};
use tokio::sync::mpsc;

use crate::program::{History, Limits, Program};
use crate::{disk, net, properties};

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
