//! Nodes and their lives: the testbed creates, starts, kills, pauses and restarts them here.
//!
//! One run is one fresh OS thread with one madsim runtime (hash seeds and thread-local state would otherwise
//! leak from run to run).

use std::cell::RefCell;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Once};
use std::time::Duration;

use madsim::runtime::{Handle, Runtime};

use super::calling::Calling;
use super::identity::{self, Identity, NodeId};
use super::met::{self, Met};
use super::net::messages::Message;
use super::task::Identified;
use super::trace::{self, Event, Kind};
use super::{buggify, clock, disk, lock, net, rng};
use crate::rules::{Rule, holds};

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// The process dies, the machine lives: the page cache is kept, the kernel closes its sockets.
    Kill,
    /// The machine dies: unsynced data is at the mercy of the crash model, peers hear nothing.
    PowerFailure,
    /// The process ended by itself.
    Exit,
}

/// What a run needs to know beforehand.
#[derive(Clone, Copy, Debug)]
pub struct RunConfig {
    pub seed: u64,
    /// Keep every trace event, for comparison with another run, and every message, for its picture.
    pub keep_trace: bool,
    /// The run fails when it has traced more events than this.
    pub event_limit: u64,
    pub buggify: bool,
}

/// What is left of a run.
#[derive(Debug)]
pub struct Finished<T> {
    /// The main future's output, or the message of the panic that ended the run.
    pub outcome: Result<T, String>,
    pub trace_hash: u64,
    pub events: u64,
    pub sim_time: Duration,
    /// The rare things that the run met; `marks::of` names them.
    pub met: Met,
    pub kept: Vec<Event>,
    /// What was said over the network, if everything was kept.
    pub messages: Vec<Message>,
}

type NodeMain = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

struct Node {
    name: String,
    main: NodeMain,
    madsim_id: madsim::task::NodeId,
    powered: bool,
}

thread_local! {
    /// Node n stands at index n - 1.
    static NODES: RefCell<Vec<Node>> = const { RefCell::new(Vec::new()) };
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `main` as the testbed, on a thread and a runtime of its own, to its end or to a panic.
pub fn run<T, F>(config: RunConfig, main: impl FnOnce() -> F + Send + 'static) -> Finished<T>
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
{
    install_panic_hook();
    #[allow(clippy::disallowed_methods)] // A seed's own thread, started from outside of any simulation.
    let thread = std::thread::Builder::new()
        .name(format!("seed-{}", config.seed))
        .stack_size(16 << 20)
        .spawn(move || run_here(config, main))
        .expect("cannot start a thread for the seed");
    thread.join().expect("the seed's thread catches its panics")
}

fn run_here<T, F>(config: RunConfig, main: impl FnOnce() -> F) -> Finished<T>
where
    F: Future<Output = T> + 'static,
    T: 'static,
{
    let runtime = Runtime::with_seed_and_config(config.seed, madsim::Config::default());
    identity::reset();
    rng::begin(config.seed);
    clock::begin();
    lock::begin();
    buggify::begin(config.buggify);
    met::begin();
    trace::begin(config.keep_trace, config.event_limit);
    net::messages::begin(config.keep_trace);
    runtime.add_simulator::<net::NetSim>();
    runtime.add_simulator::<disk::DiskSim>();

    let outcome = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(Identified::new(Identity::TESTBED, async { main().await }))
    }));
    let (trace_hash, events) = trace::summary();
    let sim_time = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let ended = clock::now();
            end_all_nodes().await;
            Duration::from_nanos(ended.as_nanos())
        })
    }))
    .unwrap_or_default();
    let outcome = outcome.map_err(|payload| take_panic_message(payload.as_ref()));
    let messages = net::messages::take();
    NODES.with_borrow_mut(Vec::clear);
    // A destructor that panics must not take the worker process along.
    let _dropped = catch_unwind(AssertUnwindSafe(|| drop(runtime)));
    identity::reset();
    let kept = trace::take_kept();
    Finished { outcome, trace_hash, events, sim_time, met: met::so_far(), kept, messages }
}

/// madsim leaks what still runs when its runtime is dropped, unless the nodes were killed and had a moment
/// to drop their tasks.
async fn end_all_nodes() {
    let nodes = NODES.with_borrow(|nodes| nodes.len() as u32);
    for node in (1..=nodes).map(NodeId) {
        end(node, Death::Kill);
        Handle::current().kill(madsim_id(node));
    }
    net::end_run();
    madsim::time::sleep(Duration::from_millis(5)).await;
}

/// Adds a machine that is not running yet. `main` is its process: called anew for every life.
pub fn add_node<F>(name: &str, main: impl Fn() -> F + Send + Sync + 'static) -> NodeId
where
    F: Future<Output = ()> + Send + 'static,
{
    let madsim_id = Handle::current().create_node().name(name).build().id();
    NODES.with_borrow_mut(|nodes| {
        nodes.push(Node {
            name: name.to_owned(),
            main: Arc::new(move || Box::pin(main())),
            madsim_id,
            powered: true,
        });
        NodeId(nodes.len() as u32)
    })
}

/// Starts a node's process in a new incarnation. Panics if it is running.
pub fn start(node: NodeId) {
    assert!(identity::incarnation_of(node).is_none(), "node {node} is already running");
    let (main, madsim_id) = NODES.with_borrow_mut(|nodes| {
        let node = &mut nodes[node.0 as usize - 1];
        node.powered = true;
        (Arc::clone(&node.main), node.madsim_id)
    });
    let life = identity::begin_incarnation(node);
    trace::event_of(life, Kind::Life, 1);
    net::on_birth(life);
    disk::on_birth(life);
    let handle = Handle::current();
    if holds(Rule::DeadIncarnationWritesNothing) {
        handle.restart(madsim_id);
    } else {
        handle.resume(madsim_id);
    }
    let main = Calling::new(async move { main().await });
    let process = Identified::new(life, async move {
        main.await;
        end(node, Death::Exit);
    });
    handle.get_node(madsim_id).expect("the node was added").spawn(process);
}

/// Runs `future` as a task of a life that nobody stops before the life ends; not at all if it has ended.
pub(super) fn run_on(life: Identity, future: impl Future<Output = ()> + Send + 'static) {
    let is_node = life.node != NodeId::TESTBED;
    if let Ok(handle) = Handle::try_current()
        && is_node
        && life.is_alive()
        && let Some(node) = handle.get_node(madsim_id(life.node))
    {
        node.spawn(Identified::new(life, future));
    }
}

/// Ends a node's present life; nothing happens if it has none. Safe to call from the node itself: the
/// operation that crashes its node is the life's last.
pub fn end(node: NodeId, death: Death) {
    let Some(life) = identity::end_incarnation(node) else {
        if death == Death::PowerFailure {
            power_off_dead(node);
        }
        return;
    };
    trace::event_of(life, Kind::Life, 2 + death as u64);
    let madsim_id = NODES.with_borrow_mut(|nodes| {
        let node = &mut nodes[node.0 as usize - 1];
        node.powered = death != Death::PowerFailure;
        node.madsim_id
    });
    disk::on_death(life, death);
    net::on_death(life, death);
    // Where the rule is suspended its tasks run on for a moment (`Identity::may_run`).
    if holds(Rule::DeadIncarnationWritesNothing) {
        Handle::current().kill(madsim_id);
    }
}

/// The machine of a dead process loses its power too: its page cache goes.
fn power_off_dead(node: NodeId) {
    let was_powered =
        NODES.with_borrow_mut(|nodes| std::mem::replace(&mut nodes[node.0 as usize - 1].powered, false));
    if was_powered {
        let nobody = Identity { node, incarnation: 0 };
        trace::event_of(nobody, Kind::Life, 2 + Death::PowerFailure as u64);
        disk::on_death(nobody, Death::PowerFailure);
        net::on_death(nobody, Death::PowerFailure);
    }
}

/// Stops a node's tasks from running; packets still reach its kernel.
pub fn pause(node: NodeId) {
    if let Some(life) = identity::incarnation_of(node) {
        trace::event_of(life, Kind::Life, 10);
        Handle::current().pause(madsim_id(node));
    }
}

/// Lets a paused node run on.
pub fn resume(node: NodeId) {
    if let Some(life) = identity::incarnation_of(node) {
        trace::event_of(life, Kind::Life, 11);
        Handle::current().resume(madsim_id(node));
    }
}

/// Whether the node's process is running (paused counts).
pub fn is_running(node: NodeId) -> bool {
    identity::incarnation_of(node).is_some()
}

/// Whether the node's machine has power: it answers packets even when no process runs.
pub fn is_powered(node: NodeId) -> bool {
    node == NodeId::TESTBED
        || NODES.with_borrow(|nodes| nodes.get(node.0 as usize - 1).is_some_and(|n| n.powered))
}

pub fn name_of(node: NodeId) -> String {
    if node == NodeId::TESTBED {
        return "testbed".to_owned();
    }
    NODES.with_borrow(|nodes| nodes[node.0 as usize - 1].name.clone())
}

/// The node with this name.
pub fn node_named(name: &str) -> Option<NodeId> {
    NODES.with_borrow(|nodes| nodes.iter().position(|n| n.name == name).map(|index| NodeId(index as u32 + 1)))
}

/// 10.0.0.0/8 plus the node's number: node 1 is 10.0.0.1.
pub fn ip_of(node: NodeId) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | node.0))
}

/// The node that has this address.
pub fn node_of(ip: IpAddr) -> Option<NodeId> {
    match ip {
        IpAddr::V4(v4) if v4.octets()[0] == 10 => Some(NodeId(v4.to_bits() & 0x00ff_ffff)),
        _ => None,
    }
}

fn madsim_id(node: NodeId) -> madsim::task::NodeId {
    NODES.with_borrow(|nodes| nodes[node.0 as usize - 1].madsim_id)
}

/// Panics of a simulated node are verdicts, not noise: the message and the place are kept for the report.
fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if Handle::try_current().is_err() {
                return default(info);
            }
            let life = identity::current();
            let place = info.location().map(|l| format!("{}:{}", l.file(), l.line())).unwrap_or_default();
            let message = payload_text(info.payload());
            PANIC.set(Some(format!("node {} panicked at {place}: {message}", life.node)));
        }));
    });
}

fn take_panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    PANIC.take().unwrap_or_else(|| payload_text(payload))
}

fn payload_text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without text".into())
}
