//! Nodes live, die and live again; a run's hash depends on the seed alone.

use std::time::Duration;

use seedlog::runtime::sim::world::{self, Death, RunConfig};
use seedlog::runtime::{clock, task};

fn config(seed: u64) -> RunConfig {
    RunConfig { seed, keep_trace: false, event_limit: 100_000, buggify: false }
}

async fn two_nodes_and_a_crash() -> u64 {
    let group_main = || async {
        let group = task::TaskGroup::new(task::Lane::Data);
        group.spawn("ticker", async {
            loop {
                clock::sleep(Duration::from_millis(100)).await;
            }
        });
        clock::sleep(Duration::from_secs(3600)).await;
    };
    let a = world::add_node("a", group_main);
    let b = world::add_node("b", group_main);
    world::start(a);
    world::start(b);
    clock::sleep(Duration::from_secs(1)).await;
    world::end(a, Death::Kill);
    assert!(!world::is_running(a));
    world::start(a);
    world::pause(b);
    clock::sleep(Duration::from_secs(1)).await;
    world::resume(b);
    world::end(b, Death::PowerFailure);
    clock::now().as_millis()
}

#[test]
fn same_seed_gives_the_same_trace_hash() {
    let first = world::run(config(7), two_nodes_and_a_crash);
    let second = world::run(config(7), two_nodes_and_a_crash);
    assert!(first.outcome.is_ok(), "{:?}", first.outcome);
    assert!(first.events > 20);
    assert_eq!(first.trace_hash, second.trace_hash);
    let other = world::run(config(8), two_nodes_and_a_crash);
    assert_ne!(first.trace_hash, other.trace_hash);
}

#[test]
fn a_panic_in_a_node_ends_the_run_and_names_the_node() {
    let finished = world::run(config(1), || async {
        let node = world::add_node("a", || async { panic!("as planned") });
        world::start(node);
        clock::sleep(Duration::from_secs(1)).await;
    });
    let message = finished.outcome.expect_err("the panic ends the run");
    assert!(message.contains("node 1") && message.contains("as planned"), "{message}");
}
