//! Machines that refuse connections, do not answer, or accept late.

use std::io::ErrorKind;
use std::time::Duration;

use seedlog::runtime::net;
use seedlog::runtime::sim::net::{Dialing, LinkLatency, control};

use crate::harness::*;

#[test]
fn a_machine_that_refuses_is_as_one_on_which_nobody_listens() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        control().set_dialing(reader, Some(Dialing::Refused));
        start_with("caller", &diary, move |diary| async move {
            until_ms(1_000).await;
            let error = net::connect(address(reader), CONNECT_TIMEOUT).await.err();
            assert_eq!(error.expect("it refuses").kind(), ErrorKind::ConnectionRefused);
            diary.note("refused");
            until_ms(3_000).await;
            let _connection = connect_to(reader).await;
            for_ever().await;
        });
        until_ms(2_000).await;
        diary.assert_at("refused", 1_000 + 2 * LATENCY_MS);
        control().set_dialing(reader, None);
        until_ms(4_000).await;
        diary.assert_at("reader: accepted", 3_000 + 3 * LATENCY_MS);
    });
}

#[test]
fn a_machine_that_does_not_answer_is_reached_when_it_does_again() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        control().set_dialing(reader, Some(Dialing::Unanswered));
        start_with("caller", &diary, move |diary| async move {
            until_ms(1_000).await;
            let error = net::connect(address(reader), CONNECT_TIMEOUT).await.err();
            assert_eq!(error.expect("nobody answers").kind(), ErrorKind::TimedOut);
            diary.note("timed out");
            let _connection = connect_to(reader).await;
            for_ever().await;
        });
        until_ms(6_010).await;
        diary.assert_at("timed out", 6_000);
        control().set_dialing(reader, None);
        until_ms(12_000).await;
        assert!(diary.when("reader: accepted").is_some());
    });
}

#[test]
fn a_late_process_accepts_late_and_loses_nothing() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        control().set_dialing(reader, Some(Dialing::Late(Duration::from_secs(2))));
        start("caller", move || async move {
            until_ms(1_000).await;
            let (_read, mut write) = connect_to(reader).await;
            send(&mut write, "early").await.unwrap();
            for_ever().await;
        });
        until_ms(5_000).await;
        diary.assert_at("reader: accepted", 3_000 + 3 * LATENCY_MS);
        diary.assert_at("reader: early", 3_000 + 3 * LATENCY_MS);
    });
}

#[test]
fn a_delayed_link_is_prompt_again_without_touching_the_others() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        let caller = start("caller", move || async move {
            let (_read, mut write) = connect_to(reader).await;
            for (at, text) in [(1_000, "1000"), (2_000, "2000")] {
                until_ms(at).await;
                send(&mut write, text).await.unwrap();
            }
            for_ever().await;
        });
        until_ms(500).await;
        let slow = LinkLatency { floor: Duration::from_millis(300), mean: Duration::ZERO };
        control().set_latency(caller, reader, slow);
        until_ms(1_500).await;
        control().restore_latency(caller, reader);
        until_ms(3_000).await;
        diary.assert_at("reader: 1000", 1_300);
        diary.assert_at("reader: 2000", 2_000 + LATENCY_MS);
    });
}
