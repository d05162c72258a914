//! A saving server that loses its process or its power at any moment, simulated.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seedlog::runtime::clock;
use seedlog::runtime::net;
use seedlog::runtime::rng;
use seedlog::runtime::sim::world::{self, Death, Finished, RunConfig};
use seedlog::zk_sim::{Server, ServerConfig};
use seedlog::zookeeper::{CreateMode, ZkError, ZooKeeper};

use super::harness::{PORT, config};
use super::stories::connect;

const CRASHES: u64 = 6;

/// What the client learned of its writes.
#[derive(Default)]
struct Ledger {
    answered: Vec<String>,
    lost: usize,
    done: bool,
}

/// One client writes on while its server crashes again and again; then everything answered must be there.
fn crash_again_and_again(seed: u64) -> Finished<usize> {
    let run = RunConfig { seed, keep_trace: false, event_limit: 5_000_000, buggify: seed % 2 == 1 };
    world::run(run, || async {
        let server = world::add_node("zookeeper", || async {
            let any = SocketAddr::from(([0, 0, 0, 0], PORT));
            let config = ServerConfig { snapshot_dir: Some("/data/zookeeper".into()), ..config(any) };
            let _server = Server::start(config).await.expect("what was saved can be read");
            std::future::pending::<()>().await;
        });
        world::start(server);
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let address = SocketAddr::new(world::ip_of(server), PORT).to_string();
        let written = Arc::clone(&ledger);
        let client = world::add_node("client", move || write(address.clone(), Arc::clone(&written)));
        world::start(client);

        let mut draws = rng::stream("crashes");
        for _ in 0..CRASHES {
            clock::sleep(Duration::from_millis(draws.between(1, 1_500))).await;
            let death = *draws.pick(&[Death::Kill, Death::PowerFailure]).expect("two");
            world::end(server, death);
            clock::sleep(Duration::from_millis(draws.between(1, 1_500))).await;
            world::start(server);
        }
        ledger.lock().unwrap().done = true;
        clock::timeout(Duration::from_secs(120), async {
            while world::is_running(client) {
                clock::sleep(Duration::from_millis(100)).await;
            }
        })
        .await
        .expect("the client comes to its end");
        let ledger = ledger.lock().unwrap();
        assert!(net::control().stats().connections > 1);
        ledger.answered.len().min(ledger.lost)
    })
}

async fn write(server: String, ledger: Arc<Mutex<Ledger>>) {
    let zk = connect(server, Duration::from_secs(20)).await;
    until_answered(&zk, "/all", CreateMode::Persistent).await;
    until_answered(&zk, "/mine", CreateMode::Ephemeral).await;
    let mut n = 0;
    while !ledger.lock().unwrap().done {
        n += 1;
        let path = format!("/all/{n}");
        match zk.create(&path, b"", CreateMode::Persistent).await {
            Ok(path) => ledger.lock().unwrap().answered.push(path),
            Err(ZkError::ConnectionLost) => ledger.lock().unwrap().lost += 1,
            Err(error) => panic!("{error}"),
        }
    }
    let answered = ledger.lock().unwrap().answered.clone();
    let there = loop {
        if let Ok(names) = zk.get_children("/all").await {
            break names;
        }
    };
    for path in answered {
        assert!(there.iter().any(|name| path == format!("/all/{name}")), "{path} was answered and is gone");
    }
    // The session outlived every crash, and its node with it.
    let owner = zk.exists("/mine").await.expect("an answer").expect("a node").ephemeral_owner;
    assert_eq!(owner, zk.session_id());
    zk.close().await;
}

/// Makes a node, whatever becomes of the replies.
async fn until_answered(zk: &ZooKeeper, path: &str, mode: CreateMode) {
    loop {
        match zk.create(path, b"", mode).await {
            Ok(_) | Err(ZkError::NodeExists) => return,
            Err(ZkError::ConnectionLost) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn what_was_answered_survives_every_crash() {
    let mut evidence = 0;
    for seed in 0..30 {
        let finished = crash_again_and_again(seed);
        evidence += finished.outcome.unwrap_or_else(|message| panic!("seed {seed}: {message}"));
    }
    assert!(evidence > 30, "too few writes were answered, or lost: {evidence}");
}

#[test]
fn the_same_seed_crashes_in_the_same_way() {
    for seed in 0..5 {
        let (first, second) = (crash_again_and_again(seed), crash_again_and_again(seed));
        assert_eq!(first.trace_hash, second.trace_hash, "seed {seed}");
    }
}
