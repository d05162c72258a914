//! Injuries to single connections, counts, and the hash that names a run.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use seedlog::runtime::sim::identity::NodeId;
use seedlog::runtime::sim::net::{Connection, LinkLatency, control};
use seedlog::runtime::sim::trace::TOO_MANY_EVENTS;
use seedlog::runtime::sim::world::{self, Death, RunConfig};
use seedlog::runtime::{clock, rng, task};

use crate::harness::*;

fn only_connection() -> Connection {
    let mut connections = control().connections();
    assert_eq!(connections.len(), 1);
    connections.pop().unwrap()
}

#[test]
fn a_reset_fails_both_ends_at_once() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        let caller = start_with("caller", &diary, move |diary| async move {
            let (mut read, mut write) = connect_to(reader).await;
            note_reads("caller", &mut read, &diary).await;
            note_reads("caller, again", &mut read, &diary).await;
            let error = send(&mut write, "more").await.expect_err("the connection is gone");
            assert_eq!(error.kind(), ErrorKind::BrokenPipe, "the reset was told, once");
            diary.note("told");
            for_ever().await;
        });
        until_ms(1_000).await;
        assert_eq!(control().reset_connections(reader, caller), 1);
        until_ms(1_100).await;
        diary.assert_at("reader: connection reset", 1_000);
        diary.assert_at("caller: connection reset", 1_000);
        diary.assert_at("caller, again: end", 1_000);
        diary.assert_at("told", 1_000);
        assert_eq!(control().reset_connections(reader, caller), 0, "it is over");
    });
}

#[test]
fn a_connection_dropped_silently_is_half_open_for_good() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        let caller = start_with("caller", &diary, move |diary| async move {
            let (mut read, mut write) = connect_to(reader).await;
            until_ms(2_000).await;
            send(&mut write, "x").await.unwrap();
            note_reads("caller", &mut read, &diary).await;
            let _other = connect_to(reader).await;
            diary.note("connected anew");
            for_ever().await;
        });
        until_ms(1_000).await;
        assert_eq!(control().drop_silently(caller, reader), 1);
        control().heal_all();
        until_ms(100_000).await;
        diary.assert_at("caller: timed out", 2_000 + TCP_TIMEOUT_MS);
        diary.assert_at("connected anew", 2_000 + TCP_TIMEOUT_MS + 2 * LATENCY_MS);
        diary.assert_never("reader: x");
        diary.assert_never("reader: connection reset");
    });
}

#[test]
fn stalled_connections_are_released_one_by_one() {
    tell(|| async {
        let diary = Diary::default();
        let listening = start("listener", || async {
            let listener = listen().await;
            let group = task::TaskGroup::new(task::Lane::Data);
            loop {
                let (mut read, mut write) = listener.accept().await.unwrap().0.into_split();
                group.spawn("echo", async move {
                    let mut buffer = BytesMut::new();
                    while read.read(&mut buffer, 100).await.unwrap() > 0 {
                        send(&mut write, "echo").await.unwrap();
                    }
                });
            }
        });
        for name in ["one", "two"] {
            let diary = diary.clone();
            start(name, move || {
                let diary = diary.clone();
                async move {
                    let (mut read, mut write) = connect_to(listening).await;
                    until_ms(1_000).await;
                    send(&mut write, "hello").await.unwrap();
                    note_reads(name, &mut read, &diary).await;
                }
            });
            clock::sleep(Duration::from_millis(100)).await;
        }
        let [one, two] = &control().connections()[..] else { panic!("two connections") };
        control().stall(one);
        control().stall(two);
        until_ms(2_000).await;
        control().release(two);
        until_ms(3_000).await;
        control().release(one);
        until_ms(4_000).await;
        diary.assert_at("two: echo", 2_000 + 2 * LATENCY_MS);
        diary.assert_at("one: echo", 3_000 + 2 * LATENCY_MS);
    });
}

#[test]
fn a_shorter_timeout_applies_to_what_waits_already() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        let caller = start_with("caller", &diary, move |diary| async move {
            let (mut read, mut write) = connect_to(reader).await;
            until_ms(1_000).await;
            send(&mut write, "x").await.unwrap();
            note_reads("caller", &mut read, &diary).await;
        });
        until_ms(500).await;
        control().cut_both(caller, reader);
        until_ms(2_000).await;
        control().set_tcp_timeout(Duration::from_millis(3_000));
        until_ms(10_000).await;
        diary.assert_at("caller: timed out", 4_000);
    });
}

#[test]
fn latencies_are_set_per_direction() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        let caller = start("caller", move || async move {
            let (_read, mut write) = connect_to(reader).await;
            until_ms(1_000).await;
            send(&mut write, "slow").await.unwrap();
            for_ever().await;
        });
        until_ms(500).await;
        let slow = LinkLatency { floor: Duration::from_millis(700), mean: Duration::ZERO };
        control().set_latency(caller, reader, slow);
        until_ms(3_000).await;
        diary.assert_at("reader: slow", 1_700);
    });
}

#[test]
fn connections_that_are_over_leave_nothing_behind() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        let caller = start("caller", move || async move {
            let (_read, mut write) = connect_to(reader).await;
            send(&mut write, "x").await.unwrap();
            for_ever().await;
        });
        until_ms(1_000).await;
        assert_eq!(only_connection().nodes, (caller, reader));
        assert_eq!(only_connection().bytes_delivered, 1);
        world::end(caller, Death::Kill);
        until_ms(2_000).await;
        diary.assert_at("reader: end", 1_000 + LATENCY_MS);
        world::end(reader, Death::Kill);
        until_ms(3_000).await;
        assert_eq!(control().connections(), []);
        let stats = control().stats();
        assert_eq!((stats.connections, stats.bytes_sent, stats.bytes_delivered), (1, 1, 1));
    });
}

#[test]
fn a_burst_is_sometimes_torn() {
    let finished = world::run(config(3), || async {
        let pieces = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&pieces);
        let reader = start("reader", move || {
            let counted = Arc::clone(&counted);
            async move {
                let listener = listen().await;
                let (mut read, _write) = listener.accept().await.unwrap().0.into_split();
                let mut buffer = BytesMut::new();
                while read.read(&mut buffer, 100).await.unwrap() > 0 {
                    counted.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        start("writer", move || async move {
            let (_read, mut write) = connect_to(reader).await;
            for _ in 0..200 {
                send(&mut write, "a frame of some length").await.unwrap();
                clock::sleep(Duration::from_millis(20)).await;
            }
        });
        clock::sleep(Duration::from_secs(10)).await;
        pieces.load(Ordering::SeqCst)
    });
    let pieces = finished.outcome.unwrap();
    assert!((203..250).contains(&pieces), "{pieces} reads of 200 bursts");
}

/// Five nodes that talk to each other while links are cut and nodes die.
async fn a_mesh_in_trouble() -> u64 {
    const NODES: u32 = 5;
    control().set_tcp_timeout(Duration::from_millis(900));
    for _ in 0..NODES {
        start("peer", || async {
            let group = task::TaskGroup::new(task::Lane::Data);
            group.spawn("server", serve());
            let mut draws = rng::stream("peer");
            loop {
                clock::sleep(Duration::from_millis(draws.between(1, 300))).await;
                let peer = NodeId(draws.between(1, u64::from(NODES)) as u32);
                let timeout = Duration::from_secs(2);
                let Ok(stream) = seedlog::runtime::net::connect(address(peer), timeout).await else {
                    continue;
                };
                let (mut read, mut write) = stream.into_split();
                let mut buffer = BytesMut::new();
                for _ in 0..draws.between(1, 20) {
                    clock::sleep(Duration::from_millis(draws.between(1, 100))).await;
                    if send(&mut write, "question").await.is_err() {
                        break;
                    }
                    if !matches!(clock::timeout(timeout, read.read(&mut buffer, 99)).await, Ok(Ok(1..))) {
                        break;
                    }
                }
            }
        });
    }
    let mut draws = rng::world_stream("trouble");
    for _ in 0..100 {
        clock::sleep(Duration::from_millis(draws.between(1, 1_000))).await;
        let [a, b] = [(); 2].map(|()| NodeId(draws.between(1, u64::from(NODES)) as u32));
        match draws.below(8) {
            0 => (1..=NODES).for_each(|other| control().cut(a, NodeId(other))),
            1 => (1..=NODES).for_each(|other| control().cut_both(a, NodeId(other))),
            2..4 => control().heal_all(),
            4 => drop(control().reset_connections(a, b)),
            5 => drop(control().drop_silently(a, b)),
            death => {
                world::end(a, if death == 6 { Death::Kill } else { Death::PowerFailure });
                clock::sleep(Duration::from_millis(draws.between(0, 3_000))).await;
                world::start(a);
            }
        }
    }
    let stats = control().stats();
    assert!(stats.resets > 0 && stats.timed_out > 0 && stats.refused > 0, "{stats:?}");
    assert!(stats.segments_held > 0, "{stats:?}");
    stats.bytes_delivered
}

async fn serve() {
    let listener = listen().await;
    let group = task::TaskGroup::new(task::Lane::Data);
    loop {
        let (mut read, mut write) = listener.accept().await.unwrap().0.into_split();
        group.spawn("connection", async move {
            let mut buffer = BytesMut::new();
            while matches!(read.read(&mut buffer, 5).await, Ok(1..)) {
                if send(&mut write, "answer").await.is_err() {
                    break;
                }
            }
        });
    }
}

#[test]
fn a_run_beyond_its_limit_of_events_ends_whatever_is_connected() {
    // Many limits, so that each kind of event is once the one too many.
    for limit in 2_000..2_040 {
        let low = RunConfig { event_limit: limit, ..config(1) };
        let finished = world::run(low, a_mesh_in_trouble);
        let message = finished.outcome.expect_err("the mesh needs more events");
        assert!(message.contains(TOO_MANY_EVENTS), "{message}");
    }
}

#[test]
fn a_troubled_network_leaves_the_same_trace_for_the_same_seed() {
    let mut hashes = Vec::new();
    for seed in 0..10 {
        let [first, second] = [(); 2].map(|()| world::run(config(seed), a_mesh_in_trouble));
        let delivered = first.outcome.unwrap();
        assert!(delivered > 10_000, "seed {seed} delivered {delivered} bytes");
        assert_eq!(second.outcome.unwrap(), delivered, "seed {seed}");
        assert_eq!(first.trace_hash, second.trace_hash, "seed {seed}");
        hashes.push(first.trace_hash);
    }
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 10, "different seeds, different traces");
}
