//! Two machines, a diary of what their processes saw and when, and links with latencies that can be
//! calculated with.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use seedlog::runtime::net::{self, LinkLatency, Listener, ReadHalf, WriteHalf};
use seedlog::runtime::sim::identity::NodeId;
use seedlog::runtime::sim::net::control;
use seedlog::runtime::sim::world::{self, Finished, RunConfig};
use seedlog::runtime::{Segment, clock};

pub const PORT: u16 = 9092;
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Every link's latency, in milliseconds.
pub const LATENCY_MS: u64 = 10;
/// The TCP timeout, in milliseconds.
pub const TCP_TIMEOUT_MS: u64 = 8_000;

pub fn config(seed: u64) -> RunConfig {
    RunConfig { seed, keep_trace: false, event_limit: 1_000_000, buggify: false }
}

/// Runs `story` as the testbed, under a few seeds, with every link's latency and the timeout fixed.
pub fn tell<F>(story: fn() -> F)
where
    F: Future<Output = ()> + 'static,
{
    for seed in 0..5 {
        let finished: Finished<()> = world::run(config(seed), move || async move {
            fix_latencies();
            story().await;
        });
        finished.outcome.unwrap_or_else(|message| panic!("seed {seed}: {message}"));
    }
}

/// What `story` says under one seed, with the points that make rare things common.
pub fn run_with_rare_things<T, F>(seed: u64, story: fn() -> F) -> T
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
{
    let finished: Finished<T> = world::run(RunConfig { buggify: true, ..config(seed) }, move || async move {
        fix_latencies();
        story().await
    });
    finished.outcome.unwrap_or_else(|message| panic!("seed {seed}: {message}"))
}

pub fn fix_latencies() {
    let floor = Duration::from_millis(LATENCY_MS);
    control().set_default_latency(LinkLatency { floor, mean: Duration::ZERO });
    control().set_tcp_timeout(Duration::from_millis(TCP_TIMEOUT_MS));
}

/// What happened, and at which millisecond.
#[derive(Clone, Default)]
pub struct Diary(Arc<Mutex<Vec<(String, u64)>>>);

impl Diary {
    pub fn note(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push((text.into(), clock::now().as_millis()));
    }

    /// When `text` was first noted.
    pub fn when(&self, text: &str) -> Option<u64> {
        self.0.lock().unwrap().iter().find(|(noted, _)| noted == text).map(|(_, at)| *at)
    }

    /// Asserts that `text` was noted at `expected` ms, or at most 5 ms later.
    pub fn assert_at(&self, text: &str, expected: u64) {
        let at = self.when(text);
        let in_time = at.is_some_and(|at| (expected..=expected + 5).contains(&at));
        assert!(in_time, "{text:?} at {at:?} ms, not at {expected}: {:?}", self.0.lock().unwrap());
    }

    pub fn assert_never(&self, text: &str) {
        assert_eq!(self.when(text), None, "{text:?} was noted");
    }
}

/// Waits until the run is `ms` old.
pub async fn until_ms(ms: u64) {
    clock::sleep_until(seedlog::runtime::Instant::START + Duration::from_millis(ms)).await;
}

pub fn address(node: NodeId) -> SocketAddr {
    SocketAddr::new(world::ip_of(node), PORT)
}

/// Adds and starts a machine with this process.
pub fn start<F>(name: &str, process: impl Fn() -> F + Send + Sync + 'static) -> NodeId
where
    F: Future<Output = ()> + Send + 'static,
{
    let node = world::add_node(name, process);
    world::start(node);
    node
}

/// The same with a process that notes what it meets.
pub fn start_with<F>(
    name: &str,
    diary: &Diary,
    process: impl Fn(Diary) -> F + Send + Sync + 'static,
) -> NodeId
where
    F: Future<Output = ()> + Send + 'static,
{
    let diary = diary.clone();
    start(name, move || process(diary.clone()))
}

/// A machine whose process accepts one connection and notes what it reads from it, as `name: ...`; it keeps
/// what it has until the end of time.
pub fn start_reader(name: &'static str, diary: &Diary) -> NodeId {
    start_with(name, diary, move |diary| async move {
        let listener = listen().await;
        let (mut read, _write) = listener.accept().await.unwrap().0.into_split();
        diary.note(format!("{name}: accepted"));
        note_reads(name, &mut read, &diary).await;
        for_ever().await;
    })
}

pub async fn listen() -> Listener {
    listen_on(PORT).await.expect("nobody else listens")
}

pub async fn listen_on(port: u16) -> io::Result<Listener> {
    Listener::bind(SocketAddr::from(([0, 0, 0, 0], port))).await
}

/// Notes everything that is read, and the end or the error.
pub async fn note_reads(name: &str, read: &mut ReadHalf, diary: &Diary) {
    loop {
        let mut buffer = BytesMut::new();
        match read.read(&mut buffer, 1_000).await {
            Ok(0) => break diary.note(format!("{name}: end")),
            Ok(_) => diary.note(format!("{name}: {}", String::from_utf8_lossy(&buffer))),
            Err(error) => break diary.note(format!("{name}: {}", error.kind())),
        }
    }
}

pub async fn for_ever() {
    std::future::pending::<()>().await;
}

pub async fn connect_to(node: NodeId) -> (ReadHalf, WriteHalf) {
    net::connect(address(node), CONNECT_TIMEOUT).await.expect("the listener is there").into_split()
}

pub async fn send(write: &mut WriteHalf, text: &'static str) -> io::Result<()> {
    write.send(&mut vec![Segment::from(Bytes::from_static(text.as_bytes()))]).await
}
