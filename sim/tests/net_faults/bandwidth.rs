//! Links that carry only so many bytes a second.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use seedlog::runtime::Segment;
use seedlog::runtime::net::WriteHalf;
use seedlog::runtime::sim::identity::NodeId;
use seedlog::runtime::sim::net::{Bandwidth, control};

use crate::harness::*;

/// Bytes of the long message; more than the window of a connection.
const LONG: usize = 100_000;

/// Notes as `name: N`, when N bytes have come, what an accepted connection has brought.
fn start_counter(name: &'static str, diary: &Diary) -> NodeId {
    let diary = diary.clone();
    start(name, move || {
        let diary = diary.clone();
        async move {
            let listener = listen().await;
            let group = seedlog::runtime::task::TaskGroup::new(seedlog::runtime::task::Lane::Data);
            loop {
                let (mut read, mut write) = listener.accept().await.unwrap().0.into_split();
                let diary = diary.clone();
                group.spawn("count", async move {
                    let (mut buffer, mut count) = (BytesMut::new(), 0);
                    while let Ok(more @ 1..) = read.read(&mut buffer, 1 << 20).await {
                        count += more;
                        diary.note(format!("{name}: {count}"));
                        if count == LONG {
                            send_long(&mut write).await;
                        }
                    }
                });
            }
        }
    })
}

async fn send_long(write: &mut WriteHalf) {
    // A connection that is closed before the end is what some tests are about.
    drop(write.send(&mut vec![Segment::from(Bytes::from(vec![7; LONG]))]).await);
}

/// Sends a long message at 1 s; notes when an answer as long has come back.
fn start_caller(name: &'static str, counter: NodeId, at_ms: u64, bytes: usize, diary: &Diary) -> NodeId {
    let diary = diary.clone();
    start(name, move || {
        let diary = diary.clone();
        async move {
            let (mut read, mut write) = connect_to(counter).await;
            until_ms(at_ms).await;
            write.send(&mut vec![Segment::from(Bytes::from(vec![7; bytes]))]).await.unwrap();
            diary.note(format!("{name}: handed over"));
            let (mut buffer, mut count) = (BytesMut::new(), 0);
            while let Ok(more @ 1..) = read.read(&mut buffer, 1 << 20).await {
                count += more;
                if count == LONG {
                    diary.note(format!("{name}: answered"));
                }
            }
            for_ever().await;
        }
    })
}

#[test]
fn bytes_take_their_number_by_the_bandwidth_and_the_way_back_takes_none() {
    tell(|| async {
        let diary = Diary::default();
        let counter = start_counter("counter", &diary);
        let caller = start_caller("caller", counter, 1_000, LONG, &diary);
        until_ms(500).await;
        control().set_bandwidth(caller, counter, Bandwidth::per_second(20_000));
        until_ms(20_000).await;
        diary.assert_at("counter: 100000", 1_000 + 5_000 + LATENCY_MS);
        // Four windows there and back at most: nothing waits but for acknowledgements.
        let answered = diary.when("caller: answered").unwrap();
        assert!(answered < 6_000 + 12 * LATENCY_MS, "{answered}");
    });
}

#[test]
fn connections_share_a_link_and_the_second_message_waits_for_the_first() {
    tell(|| async {
        let diary = Diary::default();
        let counter = start_counter("counter", &diary);
        let caller = start_with("caller", &diary, move |diary| async move {
            let (_read, mut one) = connect_to(counter).await;
            let (_other, mut two) = connect_to(counter).await;
            until_ms(1_000).await;
            one.send(&mut vec![Segment::from(Bytes::from(vec![1; 4_000]))]).await.unwrap();
            two.send(&mut vec![Segment::from(Bytes::from(vec![2; 1_000]))]).await.unwrap();
            diary.note("handed over");
            for_ever().await;
        });
        until_ms(500).await;
        control().set_bandwidth(caller, counter, Bandwidth::per_second(10_000));
        until_ms(9_000).await;
        diary.assert_at("counter: 4000", 1_400 + LATENCY_MS);
        diary.assert_at("counter: 1000", 1_500 + LATENCY_MS);
        diary.assert_at("handed over", 1_150);
    });
}

#[test]
fn who_writes_waits_for_the_link_and_not_only_for_the_reader() {
    tell(|| async {
        let diary = Diary::default();
        let counter = start_counter("counter", &diary);
        let caller = start_caller("caller", counter, 1_000, 30_000, &diary);
        until_ms(500).await;
        control().set_bandwidth(caller, counter, Bandwidth::per_second(10_000));
        until_ms(9_000).await;
        // What is left of the last turn, and a quarter of a second's bytes, are under way.
        let handed_over = diary.when("caller: handed over").unwrap();
        assert!((2_900..3_900).contains(&handed_over), "{handed_over}");
        diary.assert_at("counter: 30000", 4_000 + LATENCY_MS);
    });
}

#[test]
fn what_waits_goes_on_its_way_at_once_when_the_bound_is_lifted() {
    tell(|| async {
        let diary = Diary::default();
        let counter = start_counter("counter", &diary);
        let caller = start_caller("caller", counter, 1_000, 20_000, &diary);
        until_ms(500).await;
        control().set_bandwidth(caller, counter, Bandwidth::per_second(100));
        until_ms(3_000).await;
        control().restore_bandwidth(caller, counter);
        until_ms(9_000).await;
        let all = diary.when("counter: 20000").unwrap();
        assert!((3_000..3_000 + 4 * LATENCY_MS).contains(&all), "{all}");
        assert!(diary.when("caller: handed over").unwrap() < 3_100);
    });
}

#[test]
fn what_a_cut_held_takes_its_time_again() {
    tell(|| async {
        let diary = Diary::default();
        let counter = start_counter("counter", &diary);
        let caller = start_caller("caller", counter, 1_000, 5_000, &diary);
        until_ms(500).await;
        control().set_bandwidth(caller, counter, Bandwidth::per_second(10_000));
        control().cut(caller, counter);
        until_ms(1_700).await;
        control().heal(caller, counter);
        until_ms(9_000).await;
        let all = diary.when("counter: 5000").unwrap();
        assert!(all >= 1_700 + 500 + LATENCY_MS, "{all}");
        assert!(Duration::from_millis(all) < Duration::from_secs(5), "{all}");
    });
}
