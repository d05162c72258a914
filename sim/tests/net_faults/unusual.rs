//! What is rare on a network of few machines: one end that is reset alone, a reset that overtakes, small windows, and
//! pages that change while they are being sent.

use std::io::IoSlice;
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use seedlog::runtime::disk::{self, OpenMode};
use seedlog::runtime::sim::net::control;
use seedlog::runtime::{FileRange, Segment, buggify, clock};

use crate::harness::*;

#[test]
fn who_was_not_told_of_a_reset_finds_out_when_it_sends() {
    tell(|| async {
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        let caller = start_with("caller", &diary, move |diary| async move {
            let (mut read, mut write) = connect_to(reader).await;
            until_ms(2_000).await;
            send(&mut write, "anybody?").await.expect("it knows nothing yet");
            note_reads("caller", &mut read, &diary).await;
            for_ever().await;
        });
        until_ms(1_000).await;
        assert_eq!(control().reset_ends(reader, caller), 1);
        until_ms(3_000).await;
        diary.assert_at("reader: connection reset", 1_000);
        diary.assert_at("caller: connection reset", 2_000 + 2 * LATENCY_MS);
    });
}

/// Whether what was sent just before a reset was read.
async fn is_read_before_a_reset() -> bool {
    buggify::insist("net.reset-overtakes");
    let diary = Diary::default();
    let listening = start("listener", || async {
        let listener = listen().await;
        let (read, mut write) = listener.accept().await.unwrap().0.into_split();
        until_ms(1_000).await;
        send(&mut write, "answer").await.unwrap();
        // It closes over bytes that it did not read.
        drop((read, write));
        for_ever().await;
    });
    start_with("caller", &diary, move |diary| async move {
        let (mut read, mut write) = connect_to(listening).await;
        send(&mut write, "question").await.unwrap();
        note_reads("caller", &mut read, &diary).await;
        for_ever().await;
    });
    until_ms(2_000).await;
    // What is closed in halves says its end before it is reset: who loses it hears of the reset alone.
    let ends = ["caller: end", "caller: connection reset"];
    let first = ends.into_iter().filter_map(|end| diary.when(end)).min();
    assert!(first.is_some_and(|at| at <= 1_000 + LATENCY_MS + 5), "{first:?}");
    diary.when("caller: answer").is_some()
}

#[test]
fn a_reset_may_overtake_what_was_sent_before_it() {
    let read = (0..20).filter(|seed| run_with_rare_things(*seed, is_read_before_a_reset)).count();
    assert!((1..20).contains(&read), "{read} of 20");
}

#[test]
fn a_small_window_makes_a_writer_wait_for_its_reader() {
    tell(|| async {
        control().set_window(4);
        let diary = Diary::default();
        let reader = start_reader("reader", &diary);
        start_with("caller", &diary, move |diary| async move {
            let (_read, mut write) = connect_to(reader).await;
            until_ms(1_000).await;
            send(&mut write, "abcdefgh").await.unwrap();
            diary.note("sent");
            for_ever().await;
        });
        until_ms(2_000).await;
        diary.assert_at("reader: abcd", 1_000 + LATENCY_MS);
        diary.assert_at("sent", 1_000 + 2 * LATENCY_MS);
        diary.assert_at("reader: efgh", 1_000 + 3 * LATENCY_MS);
    });
}

/// What arrives of a file whose first byte is written over while it travels.
async fn text_of_a_file_that_changes() -> String {
    buggify::insist("net.file-sent-late");
    let diary = Diary::default();
    let reader = start_reader("reader", &diary);
    start("sender", move || async move {
        let file = disk::open(Path::new("/data/file"), OpenMode::CreateNew).unwrap();
        file.write_at(&[IoSlice::new(b"before")], 0).unwrap();
        let (_read, mut write) = connect_to(reader).await;
        let range = FileRange { file: file.clone(), offset: 0, len: 6 };
        write.send(&mut vec![Segment::File(range)]).await.unwrap();
        file.write_at(&[IoSlice::new(b"B")], 0).unwrap();
        file.truncate(3).unwrap();
        for_ever().await;
    });
    until_ms(2_000).await;
    let text = ["reader: before", "reader: Before"].into_iter().find(|text| diary.when(text).is_some());
    text.unwrap_or("something else").to_owned()
}

#[test]
fn a_file_is_sent_as_it_is_when_it_arrives_and_what_was_cut_off_as_it_was() {
    let texts: Vec<String> =
        (0..20).map(|seed| run_with_rare_things(seed, text_of_a_file_that_changes)).collect();
    assert!(texts.iter().any(|text| text == "reader: Before"), "{texts:?}");
}

#[test]
fn pages_that_nobody_changes_arrive_as_they_were_read() {
    let received = run_with_rare_things(1, || async {
        buggify::insist("net.file-sent-late");
        let bytes: Bytes = (0..100_000_u32).map(|n| n as u8).collect::<Vec<_>>().into();
        let sent = bytes.clone();
        let listening = start("sender", move || {
            let sent = sent.clone();
            async move {
                let listener = listen().await;
                let file = disk::open(Path::new("/data/file"), OpenMode::CreateNew).unwrap();
                file.write_at(&[IoSlice::new(&sent)], 0).unwrap();
                let (_read, mut write) = listener.accept().await.unwrap().0.into_split();
                let range = FileRange { file, offset: 0, len: sent.len() as u64 };
                write.send(&mut vec![Segment::File(range)]).await.unwrap();
                for_ever().await;
            }
        });
        let (tell, told) = tokio::sync::oneshot::channel();
        let tell = std::sync::Mutex::new(Some(tell));
        start("reader", move || {
            let tell = tell.lock().unwrap().take();
            async move {
                let (mut read, _write) = connect_to(listening).await;
                let mut buffer = BytesMut::new();
                while buffer.len() < 100_000 {
                    read.read(&mut buffer, 100_000).await.unwrap();
                }
                tell.unwrap().send(buffer.freeze()).unwrap();
            }
        });
        let received = clock::timeout(Duration::from_secs(10), told).await.unwrap().unwrap();
        received == bytes
    });
    assert!(received);
}
