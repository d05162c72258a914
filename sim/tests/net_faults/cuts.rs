//! Partitions, both ways and one way: what is held, when it arrives, and when TCP gives up.

use std::io::ErrorKind;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use seedlog::runtime::sim::identity::NodeId;
use seedlog::runtime::sim::net::control;
use seedlog::runtime::{Segment, clock, net};

use crate::harness::*;

/// A machine whose process connects to `peer`, sends what is listed at the given milliseconds, and notes
/// what it reads.
fn start_writer(peer: NodeId, diary: &Diary, sends: &'static [(u64, &'static str)]) -> NodeId {
    start_with("writer", diary, move |diary| async move {
        let (mut read, mut write) = connect_to(peer).await;
        let reading = note_reads("writer", &mut read, &diary);
        let writing = async {
            for (at, text) in sends {
                until_ms(*at).await;
                if let Err(error) = send(&mut write, text).await {
                    diary.note(format!("send {text}: {}", error.kind()));
                }
            }
        };
        tokio::join!(writing, reading);
        for_ever().await;
    })
}

#[test]
fn without_a_cut_bytes_arrive_after_the_latency() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        start_writer(reader, &diary, &[(1_000, "x")]);
        until_ms(2_000).await;
        diary.assert_at("reader: accepted", 3 * LATENCY_MS);
        diary.assert_at("reader: x", 1_000 + LATENCY_MS);
    });
}

#[test]
fn a_cut_delays_bytes_until_tcp_sends_them_again_after_the_heal() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        let writer = start_writer(reader, &diary, &[(1_000, "x"), (3_000, "y")]);
        until_ms(500).await;
        control().cut_both(writer, reader);
        until_ms(3_900).await;
        assert!(control().stats().segments_held > 0);
        control().heal_all();
        until_ms(6_000).await;
        // Sent at 1.0 s, and again after 0.2, 0.6, 1.4, 3.0 s; what was sent later comes along.
        diary.assert_at("reader: xy", 4_000 + LATENCY_MS);
        diary.assert_never("writer: timed out");
    });
}

#[test]
fn what_is_on_its_way_when_the_link_is_cut_is_held_too() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        let writer = start_writer(reader, &diary, &[(1_000, "x")]);
        until_ms(1_000 + LATENCY_MS / 2).await;
        control().cut(writer, reader);
        until_ms(2_000).await;
        diary.assert_never("reader: x");
        control().heal(writer, reader);
        until_ms(4_000).await;
        diary.assert_at("reader: x", 1_000 + LATENCY_MS / 2 + 1_400 + LATENCY_MS);
    });
}

#[test]
fn a_sender_gives_up_when_a_cut_outlasts_the_tcp_timeout() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        let writer = start_writer(reader, &diary, &[(1_000, "x"), (10_000, "y")]);
        until_ms(500).await;
        control().cut_both(writer, reader);
        until_ms(12_000).await;
        diary.assert_at("writer: timed out", 1_000 + TCP_TIMEOUT_MS);
        diary.assert_at("send y: broken pipe", 10_000);
        control().heal_all();
        until_ms(60_000).await;
        // The other end never sent anything, so it still waits: a half-open connection.
        assert_eq!(diary.when("reader: x"), None);
        diary.assert_never("reader: end");
        diary.assert_never("reader: connection reset");
        assert_eq!(control().stats().timed_out, 1);
    });
}

#[test]
fn flapping_links_do_not_start_the_timeout_anew() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        let writer = start_writer(reader, &diary, &[(1_000, "x")]);
        until_ms(500).await;
        control().cut_both(writer, reader);
        // Healed for a moment: TCP sends again at 4.0 s, and the next cut swallows that too.
        until_ms(3_950).await;
        control().heal_all();
        until_ms(4_000 + LATENCY_MS / 2).await;
        control().cut_both(writer, reader);
        until_ms(20_000).await;
        diary.assert_never("reader: x");
        diary.assert_at("writer: timed out", 1_000 + TCP_TIMEOUT_MS);
    });
}

#[test]
fn an_idle_connection_survives_any_cut() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        let writer = start_writer(reader, &diary, &[(100, "x"), (100_000, "y")]);
        until_ms(500).await;
        control().cut_both(writer, reader);
        until_ms(90_000).await;
        control().heal_all();
        until_ms(110_000).await;
        diary.assert_at("reader: x", 100 + LATENCY_MS);
        diary.assert_at("reader: y", 100_000 + LATENCY_MS);
        diary.assert_never("writer: timed out");
    });
}

#[test]
fn a_one_way_cut_stops_one_direction_and_the_others_receipts() {
    tell(|| async {
        let diary = Diary::default();
        let peer = start_with("peer", &diary, move |diary| async move {
            let listener = listen().await;
            let (mut read, mut write) = listener.accept().await.unwrap().0.into_split();
            let writing = async {
                until_ms(2_000).await;
                send(&mut write, "down").await.unwrap();
            };
            tokio::join!(writing, note_reads("peer", &mut read, &diary));
            for_ever().await;
        });
        let writer = start_writer(peer, &diary, &[(2_000, "up")]);
        until_ms(500).await;
        control().cut(writer, peer);
        until_ms(20_000).await;
        // The open direction still delivers, but its sender hears of no receipt: both give up.
        diary.assert_at("writer: down", 2_000 + LATENCY_MS);
        diary.assert_never("peer: up");
        diary.assert_at("peer: timed out", 2_000 + TCP_TIMEOUT_MS);
        diary.assert_at("writer: timed out", 2_000 + TCP_TIMEOUT_MS);
    });
}

#[test]
fn one_direction_may_heal_before_the_other() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        let writer = start_writer(reader, &diary, &[(1_000, "x")]);
        until_ms(500).await;
        control().cut_both(writer, reader);
        until_ms(2_000).await;
        control().heal(writer, reader);
        until_ms(20_000).await;
        diary.assert_at("reader: x", 2_400 + LATENCY_MS);
        diary.assert_at("writer: timed out", 1_000 + TCP_TIMEOUT_MS);
    });
}

const WINDOW_BYTES: usize = 64 * 1024;

/// A machine whose process accepts one connection and begins to read at 1.0 s; it notes when `bytes` are read.
fn start_late_reader(bytes: usize, diary: &Diary) -> NodeId {
    let diary = diary.clone();
    start("late reader", move || {
        let diary = diary.clone();
        async move {
            let listener = listen().await;
            let (mut read, _write) = listener.accept().await.unwrap().0.into_split();
            until_ms(1_000).await;
            let mut got = BytesMut::new();
            while got.len() < bytes {
                read.read(&mut got, 100_000).await.unwrap();
            }
            diary.note("all read");
            for_ever().await;
        }
    })
}

/// A machine whose process connects to `peer` and sends so many bytes at each of the given milliseconds.
fn start_bulk_writer(peer: NodeId, diary: &Diary, sends: &'static [(u64, usize)]) -> NodeId {
    let diary = diary.clone();
    start("bulk writer", move || {
        let diary = diary.clone();
        async move {
            let (_read, mut write) = connect_to(peer).await;
            for (at, bytes) in sends {
                until_ms(*at).await;
                let mut bulk = vec![Segment::from(Bytes::from(vec![1; *bytes]))];
                if let Err(error) = write.send(&mut bulk).await {
                    diary.note(format!("writer: {}", error.kind()));
                }
            }
            for_ever().await;
        }
    })
}

#[test]
fn a_writer_without_room_hears_of_none_while_the_way_back_is_cut() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_late_reader(1_000_000, &diary);
        let writer = start_bulk_writer(reader, &diary, &[(100, 1_000_000)]);
        until_ms(500).await;
        control().cut(reader, writer);
        until_ms(2_000).await;
        assert_eq!(control().stats().bytes_delivered, WINDOW_BYTES as u64);
        control().heal_all();
        until_ms(10_000).await;
        assert!(diary.when("all read").is_some());
    });
}

#[test]
fn a_closed_window_is_probed_in_vain_until_the_timeout() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_late_reader(1_000_000, &diary);
        let writer = start_bulk_writer(reader, &diary, &[(100, WINDOW_BYTES), (800, 1)]);
        until_ms(500).await;
        control().cut(reader, writer);
        until_ms(20_000).await;
        diary.assert_at("writer: timed out", 800 + TCP_TIMEOUT_MS);
    });
}

#[test]
fn room_that_was_given_back_during_a_cut_is_known_after_it() {
    // Twice the window, with a pause in the middle in which the writer has nothing to say.
    const BYTES: usize = 60_000;
    tell(|| async {
        let diary = Diary::default();
        let reader = start_late_reader(2 * BYTES, &diary);
        let writer = start_bulk_writer(reader, &diary, &[(100, BYTES), (5_000, BYTES)]);
        // All was acknowledged; now the reader reads, and the writer does not hear of it.
        until_ms(500).await;
        control().cut(reader, writer);
        until_ms(2_000).await;
        assert_eq!(control().stats().bytes_delivered, BYTES as u64);
        control().heal_all();
        until_ms(6_000).await;
        diary.assert_at("all read", 5_000 + LATENCY_MS);
    });
}

#[test]
fn nothing_is_connected_or_refused_while_the_way_back_is_cut() {
    tell(|| async {
        control().set_accept_backlog(1);
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        until_ms(500).await;
        control().cut(reader, NodeId::TESTBED);
        let mut nobody_listens = address(reader);
        nobody_listens.set_port(PORT + 1);
        for address in [address(reader), nobody_listens] {
            let error = net::connect(address, Duration::from_millis(2_500)).await.err().expect("no answer");
            assert_eq!(error.kind(), ErrorKind::TimedOut);
        }
        diary.assert_never("reader: accepted");
        control().heal_all();
        let _stream = connect_to(reader).await;
        until_ms(10_000).await;
        assert!(diary.when("reader: accepted").is_some(), "vain attempts take no room in the backlog");
    });
}

#[test]
fn an_answer_lost_on_its_way_is_asked_for_again() {
    tell(|| async {
        control().set_accept_backlog(1);
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        until_ms(500).await;
        let cut = async {
            until_ms(500 + LATENCY_MS + LATENCY_MS / 2).await;
            control().cut(reader, NodeId::TESTBED);
            until_ms(1_000).await;
            control().heal_all();
        };
        let (_stream, ()) = tokio::join!(connect_to(reader), cut);
        until_ms(2_000).await;
        diary.assert_at("reader: accepted", 1_500 + 3 * LATENCY_MS);
    });
}

#[test]
fn connecting_into_a_cut_times_out_or_succeeds_at_a_later_syn() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        let caller = start_with("caller", &diary, move |diary| async move {
            until_ms(1_000).await;
            let timeout = Duration::from_millis(2_500);
            let error = net::connect(address(reader), timeout).await.err().expect("the link is cut");
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            diary.note("gave up");
            let _stream = net::connect(address(reader), CONNECT_TIMEOUT).await.expect("healed in time");
            diary.note("connected");
            for_ever().await;
        });
        until_ms(500).await;
        control().cut(reader, caller);
        until_ms(4_000).await;
        diary.assert_at("gave up", 3_500);
        diary.assert_never("reader: accepted");
        control().heal_all();
        until_ms(10_000).await;
        // SYNs at 3.5, 4.5 s.
        diary.assert_at("connected", 4_500 + 2 * LATENCY_MS);
        diary.assert_at("reader: accepted", 4_500 + 3 * LATENCY_MS);
    });
}

#[test]
fn a_machine_always_reaches_itself() {
    tell(|| async {
        let diary = Diary::default();
        let node = start_with("node", &diary, move |diary| async move {
            let listener = listen().await;
            let (_read, mut write) = connect_to(NodeId(1)).await;
            let (mut read, _write) = listener.accept().await.unwrap().0.into_split();
            until_ms(1_000).await;
            send(&mut write, "self").await.unwrap();
            note_reads("node", &mut read, &diary).await;
        });
        control().cut_both(node, node);
        until_ms(2_000).await;
        diary.assert_at("node: self", 1_000);
        clock::sleep(Duration::from_millis(1)).await;
    });
}
