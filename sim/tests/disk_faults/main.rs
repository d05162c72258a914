//! The simulated disk is as cruel as the crash model says, no crueller, and the same for the same seed.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, pending};
use std::io::{self, ErrorKind, IoSlice};
use std::path::Path;
use std::time::Duration;

use seedlog::rules::{self, Rule};
use seedlog::runtime::disk::{self, File, OpenMode};
use seedlog::runtime::sim::disk as control;
use seedlog::runtime::sim::disk::{CrashInside, Errno, FailedSync, Operation, Rate, Slow};
use seedlog::runtime::sim::identity::NodeId;
use seedlog::runtime::sim::world::{self, Death, Finished, RunConfig};
use seedlog::runtime::{clock, rng, task};

mod crash_model;
mod errors;
mod hangs;
mod incarnations;
mod shams;

use crash_model::{SYNCED, count_seeds, random_files, synced_then_appended};

const EIO: Option<i32> = Some(5);

fn finished<T: Send + 'static, F: Future<Output = T> + 'static>(
    seed: u64,
    testbed: impl FnOnce() -> F + Send + 'static,
) -> Finished<T> {
    world::run(RunConfig { seed, keep_trace: false, event_limit: 100_000, buggify: false }, testbed)
}

fn run<T: Send + 'static, F: Future<Output = T> + 'static>(
    seed: u64,
    testbed: impl FnOnce() -> F + Send + 'static,
) -> T {
    finished(seed, testbed).outcome.unwrap_or_else(|panic| panic!("seed {seed}: {panic}"))
}

/// A node whose every incarnation runs `body` and then waits to be ended.
fn started<F: Future<Output = ()> + Send + 'static>(body: impl Fn() -> F + Send + Sync + 'static) -> NodeId {
    let node = world::add_node("disk", move || {
        let body = body();
        async move {
            body.await;
            pending::<()>().await;
        }
    });
    world::start(node);
    node
}

async fn a_second() {
    clock::sleep(Duration::from_secs(1)).await;
}

fn open(path: &str) -> File {
    disk::open(Path::new(path), OpenMode::CreateOrOpen).unwrap()
}

fn write(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_at(&[IoSlice::new(bytes)], offset)
}

fn current(node: NodeId, path: &str) -> Option<Vec<u8>> {
    control::current_image(node, Path::new(path))
}

fn durable(node: NodeId, path: &str) -> Option<Vec<u8>> {
    control::durable_image(node, Path::new(path))
}

// -- determinism -------------------------------------------------------------------------------------

#[test]
fn the_same_seed_gives_the_same_trace_and_the_same_disk() {
    let once = |seed| {
        let finished = finished(seed, || async {
            let node = started(random_files);
            control::set_faults(node, |faults| {
                faults.slow = Some(Slow { factor: 10, stalls_node: false });
                faults.capacity_bytes = Some(1 << 20);
            });
            clock::sleep(Duration::from_millis(200)).await;
            world::end(node, Death::PowerFailure);
            world::start(node);
            clock::sleep(Duration::from_millis(200)).await;
            world::end(node, Death::PowerFailure);
            let images = control::list_files(node).into_iter().map(|p| control::current_image(node, &p));
            images.collect::<Vec<_>>()
        });
        assert!(finished.events > 20);
        (finished.outcome.unwrap(), finished.trace_hash)
    };
    assert_eq!(once(3), once(3));
    assert_ne!(once(3).1, once(4).1);
}
