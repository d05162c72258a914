//! Programs in the simulation: a node without faults for each.

use std::future::Future;
use std::path::PathBuf;

use seedlog::runtime::sim::identity::NodeId;
use seedlog::runtime::sim::world::{self, RunConfig};
use seedlog::runtime::sim::{disk as disks, process};
use seedlog::runtime::{clock, disk as files};
use std::time::Duration;
use tokio::sync::mpsc;

use crate::disk;
use crate::program::{History, Limits, Program};

fn run<F>(seed: u64, buggify: bool, main: impl FnOnce() -> F + Send + 'static) -> History
where
    F: Future<Output = History> + 'static,
{
    let config = RunConfig { seed, keep_trace: false, event_limit: 1_000_000, buggify };
    world::run(config, main).outcome.unwrap_or_else(|message| panic!("seed {seed}: {message}"))
}

/// Runs a program that has one outcome.
pub fn on_disk(program: &Program) -> History {
    let (limits, steps) = (program.limits, program.steps_as::<disk::Step>());
    run(1, false, move || async move {
        let (tell, mut told) = mpsc::channel(1);
        let node = world::add_node("disk", move || {
            let (tell, steps) = (tell.clone(), steps.clone());
            async move {
                let base = PathBuf::from("/data/program");
                files::create_dir_all(&base).expect("an empty disk takes a directory");
                limit(limits);
                tell.send(disk::perform(base, limits, steps).await).await.expect("the testbed waits");
            }
        });
        assert_ne!(node, NodeId::TESTBED);
        world::start(node);
        let history = told.recv().await.expect("the program comes to its end");
        while world::is_running(node) {
            clock::sleep(Duration::from_millis(1)).await;
        }
        history
    })
}

/// Of the one node that a disk program runs on.
fn limit(limits: Limits) {
    let node = NodeId(1);
    disks::set_faults(node, |faults| faults.capacity_bytes = limits.bytes);
    process::set_open_files_max(node, limits.descriptors);
}
