//! Killed processes, machines without power, paused nodes, and what the dead still try.

use std::io::ErrorKind;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use seedlog::rules::{self, Rule};
use seedlog::runtime::net::{self, WriteHalf};
use seedlog::runtime::sim::identity::NodeId;
use seedlog::runtime::sim::net::control;
use seedlog::runtime::sim::world::{self, Death};
use seedlog::runtime::{Segment, clock};

use crate::harness::*;

/// A machine whose process connects to `peer`, notes what it reads, and sends "ping" every `interval`.
fn start_pinger(peer: NodeId, diary: &Diary, interval: Duration) -> NodeId {
    let diary = diary.clone();
    start("pinger", move || {
        let diary = diary.clone();
        async move {
            let (mut read, mut write) = connect_to(peer).await;
            let writing = async {
                loop {
                    clock::sleep(interval).await;
                    if let Err(error) = send(&mut write, "ping").await {
                        break diary.note(format!("ping: {}", error.kind()));
                    }
                }
            };
            tokio::join!(writing, note_reads("pinger", &mut read, &diary));
            for_ever().await;
        }
    })
}

const NEVER: Duration = Duration::from_secs(1_000_000);

#[test]
fn a_killed_process_leaves_its_kernel_to_close() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        start_pinger(reader, &diary, NEVER);
        until_ms(1_000).await;
        world::end(reader, Death::Kill);
        until_ms(2_000).await;
        diary.assert_at("pinger: end", 1_000 + LATENCY_MS);
    });
}

#[test]
fn killing_a_process_that_has_not_read_resets_its_peer() {
    tell(|| async {
        let diary = Diary::default();
        let deaf = start("deaf", || async {
            let listener = listen().await;
            let _kept = listener.accept().await.unwrap();
            for_ever().await;
        });
        start_pinger(deaf, &diary, Duration::from_millis(400));
        until_ms(1_000).await;
        world::end(deaf, Death::Kill);
        until_ms(2_000).await;
        diary.assert_at("pinger: connection reset", 1_000 + LATENCY_MS);
    });
}

#[test]
fn a_kill_across_a_cut_is_silent_until_the_heal() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        let pinger = start_pinger(reader, &diary, NEVER);
        until_ms(1_000).await;
        control().cut(reader, pinger);
        world::end(reader, Death::Kill);
        until_ms(3_000).await;
        diary.assert_never("pinger: end");
        control().heal_all();
        until_ms(10_000).await;
        diary.assert_at("pinger: end", 1_000 + 3_000 + LATENCY_MS);
    });
}

#[test]
fn a_machine_that_loses_power_says_nothing() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        start_pinger(reader, &diary, NEVER);
        until_ms(1_000).await;
        world::end(reader, Death::PowerFailure);
        until_ms(100_000).await;
        diary.assert_never("pinger: end");
        diary.assert_never("pinger: connection reset");
        diary.assert_never("pinger: timed out");
    });
}

#[test]
fn what_is_sent_to_a_machine_without_power_times_out() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        start_pinger(reader, &diary, Duration::from_millis(2_000));
        until_ms(1_000).await;
        world::end(reader, Death::PowerFailure);
        until_ms(60_000).await;
        diary.assert_at("pinger: timed out", 2_000 + 2 * LATENCY_MS + TCP_TIMEOUT_MS);
        diary.assert_never("reader: ping");
    });
}

#[test]
fn a_machine_that_has_power_again_resets_what_it_does_not_know() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        start_pinger(reader, &diary, Duration::from_millis(2_000));
        until_ms(1_000).await;
        world::end(reader, Death::PowerFailure);
        until_ms(3_000).await;
        world::start(reader);
        until_ms(60_000).await;
        // Sent at 2.02 s, and again after 0.2, 0.6, 1.4 s.
        diary.assert_at("pinger: connection reset", 2_020 + 1_400 + 2 * LATENCY_MS);
        diary.assert_never("pinger: timed out");
    });
}

#[test]
fn the_first_segment_after_a_quick_reboot_is_answered_by_a_reset() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        start_pinger(reader, &diary, Duration::from_millis(5_000));
        until_ms(1_000).await;
        world::end(reader, Death::PowerFailure);
        world::start(reader);
        until_ms(10_000).await;
        diary.assert_at("pinger: connection reset", 5_000 + 4 * LATENCY_MS);
    });
}

#[test]
fn what_a_machine_received_but_could_not_acknowledge_is_reset_after_its_reboot() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        let pinger = start_pinger(reader, &diary, Duration::from_millis(1_000));
        until_ms(500).await;
        control().cut(reader, pinger);
        until_ms(1_100).await;
        diary.assert_at("reader: ping", 1_000 + 3 * LATENCY_MS);
        world::end(reader, Death::PowerFailure);
        world::start(reader);
        until_ms(1_500).await;
        control().heal_all();
        until_ms(10_000).await;
        // Sent at 1.02 s, and again after 0.2, 0.6 s.
        diary.assert_at("pinger: connection reset", 1_020 + 600 + 2 * LATENCY_MS);
    });
}

#[test]
fn a_reset_lost_in_a_cut_comes_only_with_the_next_segment() {
    tell(|| async {
        let diary = Diary::default();
        let deaf = start("deaf", || async {
            let listener = listen().await;
            let _kept = listener.accept().await.unwrap();
            for_ever().await;
        });
        let pinger = start_pinger(deaf, &diary, Duration::from_millis(3_000));
        until_ms(4_000).await;
        control().cut(deaf, pinger);
        world::end(deaf, Death::Kill);
        until_ms(4_500).await;
        control().heal_all();
        until_ms(10_000).await;
        diary.assert_at("pinger: connection reset", 6_000 + 4 * LATENCY_MS);
    });
}

#[test]
fn a_kernel_repeats_a_dead_process_s_farewell_no_longer_than_the_timeout() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        let pinger = start_pinger(reader, &diary, NEVER);
        until_ms(1_000).await;
        control().cut_both(reader, pinger);
        world::end(reader, Death::Kill);
        until_ms(1_000 + TCP_TIMEOUT_MS + 100).await;
        control().heal_all();
        until_ms(100_000).await;
        diary.assert_never("pinger: end");
    });
}

#[test]
fn power_lost_after_a_kill_takes_the_kernels_farewell_along() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        let pinger = start_pinger(reader, &diary, NEVER);
        until_ms(1_000).await;
        control().cut(reader, pinger);
        world::end(reader, Death::Kill);
        until_ms(1_500).await;
        world::end(reader, Death::PowerFailure);
        control().heal_all();
        world::start(reader);
        until_ms(60_000).await;
        diary.assert_never("pinger: end");
    });
}

#[test]
fn of_what_a_dying_machine_sent_last_a_part_may_arrive() {
    let mut arrived = Vec::new();
    for seed in 0..40 {
        let finished = world::run(config(seed), || async {
            fix_latencies();
            let diary = Diary::default();
            let reader = start_reader("reader", &diary);
            let writer = start("writer", move || async move {
                let (_read, mut write) = connect_to(reader).await;
                until_ms(1_000).await;
                for text in ["a", "b", "c"] {
                    send(&mut write, text).await.unwrap();
                }
                for_ever().await;
            });
            until_ms(1_000 + LATENCY_MS / 2).await;
            world::end(writer, Death::PowerFailure);
            until_ms(5_000).await;
            diary.assert_never("reader: end");
            ["reader: a", "reader: ab", "reader: abc"].map(|text| diary.when(text).is_some())
        });
        arrived.push(finished.outcome.unwrap());
    }
    let outcomes = [[true, false, false], [false, true, false], [false, false, true], [false; 3]];
    for outcome in outcomes {
        assert!(arrived.contains(&outcome), "{outcome:?} in no run");
    }
    assert!(arrived.iter().all(|outcome| outcomes.contains(outcome)), "always a prefix");
}

#[test]
fn connecting_to_a_dead_process_is_refused_and_to_a_dead_machine_times_out() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        until_ms(100).await;
        let timeout = Duration::from_secs(4);

        world::end(reader, Death::Kill);
        let error = net::connect(address(reader), timeout).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(clock::now().as_millis(), 100 + 2 * LATENCY_MS);

        world::end(reader, Death::PowerFailure);
        let error = net::connect(address(reader), timeout).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(clock::now().as_millis(), 100 + 2 * LATENCY_MS + 4_000);
    });
}

#[test]
fn a_paused_process_is_stood_in_for_by_its_kernel_up_to_its_bounds() {
    tell(|| async {
        control().set_accept_backlog(3);
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        until_ms(100).await;
        world::pause(reader);
        // The kernel accepts and buffers ...
        let mut kept = Vec::new();
        for _ in 0..3 {
            let (read, mut write) = connect_to(reader).await;
            send(&mut write, "early").await.unwrap();
            kept.push((read, write));
        }
        // ... up to the window ...
        let (_, write) = &mut kept[0];
        let mut much = vec![Segment::from(Bytes::from(vec![0; 1_000_000]))];
        clock::timeout(Duration::from_secs(1), write.send(&mut much)).await.expect_err("the window is full");
        // ... and up to the backlog.
        let error = net::connect(address(reader), Duration::from_secs(2)).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        diary.assert_never("reader: accepted");
        let resumed = clock::now().as_millis();
        world::resume(reader);
        until_ms(resumed + 100).await;
        diary.assert_at("reader: accepted", resumed);
    });
}

/// Sends a last word when it is dropped, as a destructor that flushes would, and opens a listener.
struct LastWord(WriteHalf, Diary);

impl Drop for LastWord {
    fn drop(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let mut last = vec![Segment::from(Bytes::from_static(b"last word"))];
        let sent = pin!(self.0.send(&mut last)).poll(&mut cx);
        assert!(sent.is_ready(), "there is room for a word");
        let Poll::Ready(bound) = pin!(listen_on(PORT + 1)).poll(&mut cx) else {
            panic!("nothing to wait for")
        };
        self.1.note(if bound.is_ok() { "listens after death" } else { "may not listen" });
    }
}

async fn a_process_dies_with_a_word_on_its_lips(death: Death) -> Diary {
    fix_latencies();
    let diary = Diary::default();
    let reader = start_reader("reader", &diary);
    let speaker = start_with("speaker", &diary, move |diary| async move {
        let (_read, write) = connect_to(reader).await;
        let _word = LastWord(write, diary);
        for_ever().await;
    });
    until_ms(1_000).await;
    world::end(speaker, death);
    until_ms(2_000).await;
    diary
}

#[test]
fn a_dead_process_sends_nothing() {
    for death in [Death::Kill, Death::PowerFailure] {
        let story = move || a_process_dies_with_a_word_on_its_lips(death);
        let diary = world::run(config(1), story).outcome.unwrap();
        diary.assert_never("reader: last word");
        diary.assert_never("listens after death");
        diary.assert_at("may not listen", 1_000);
        assert_eq!(diary.when("reader: end").is_some(), death == Death::Kill);
    }
}

/// The process sends once more a moment after its death.
async fn a_process_goes_on_after_its_death(death: Death) -> Diary {
    fix_latencies();
    let diary = Diary::default();
    let reader = start_reader("reader", &diary);
    let speaker = start("speaker", move || async move {
        let (_read, mut write) = connect_to(reader).await;
        until_ms(1_100).await;
        send(&mut write, "from beyond").await.unwrap();
        for_ever().await;
    });
    until_ms(1_000).await;
    world::end(speaker, death);
    until_ms(2_000).await;
    diary
}

#[test]
fn a_dead_process_goes_on_for_a_moment_where_the_rule_is_suspended() {
    for death in [Death::Kill, Death::PowerFailure] {
        let held = world::run(config(1), move || a_process_goes_on_after_its_death(death));
        held.outcome.unwrap().assert_never("reader: from beyond");

        let suspended = world::run(config(1), move || async move {
            rules::suspend(Rule::DeadIncarnationWritesNothing);
            a_process_goes_on_after_its_death(death).await
        });
        let diary = suspended.outcome.unwrap();
        diary.assert_at("reader: from beyond", 1_100 + LATENCY_MS);
        // Its moment is over: the kernel closes, unless it is dead too.
        assert_eq!(diary.when("reader: end").is_some(), death == Death::Kill);
    }
}

#[test]
fn a_restarted_process_can_listen_on_its_port_at_once() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        start_pinger(reader, &diary, NEVER);
        for death in [Death::Kill, Death::PowerFailure] {
            clock::sleep(Duration::from_secs(1)).await;
            world::end(reader, death);
            world::start(reader);
            clock::sleep(Duration::from_secs(1)).await;
            let (_read, _write) = connect_to(reader).await;
        }
    });
}
