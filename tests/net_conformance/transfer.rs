//! Bytes on their way: order, wholeness, segments, back-pressure, limits.

use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use seedlog::runtime::disk::{self, File, OpenMode};
use seedlog::runtime::net::{self, Listener, ReadHalf, Stream, WriteHalf};
use seedlog::runtime::{FileRange, Segment, clock};

use crate::harness::{between, scratch, until_arrived};

pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

pub async fn connect(address: SocketAddr) -> (ReadHalf, WriteHalf) {
    net::connect(address, CONNECT_TIMEOUT).await.expect("the listener is there").into_split()
}

pub async fn accept(listener: &Listener) -> (ReadHalf, WriteHalf) {
    accept_stream(listener).await.into_split()
}

pub async fn accept_stream(listener: &Listener) -> Stream {
    listener.accept().await.expect("a connection comes").0
}

pub async fn send(write: &mut WriteHalf, bytes: &[u8]) {
    let mut segments = vec![Segment::from(Bytes::copy_from_slice(bytes))];
    write.send(&mut segments).await.expect("the connection is open");
    assert!(segments.is_empty(), "send drains the vector");
}

/// Everything up to the end of the stream.
pub async fn read_to_end(read: &mut ReadHalf) -> BytesMut {
    let mut all = BytesMut::new();
    while read.read(&mut all, 64 * 1024).await.expect("the stream ends without an error") > 0 {}
    all
}

pub async fn read_exactly(read: &mut ReadHalf, count: usize) -> BytesMut {
    let mut all = BytesMut::new();
    while all.len() < count {
        let missing = count - all.len();
        let got = read.read(&mut all, missing).await.expect("the connection is open");
        assert_ne!(got, 0, "the stream ended after {} of {count} bytes", all.len());
    }
    all
}

/// Bytes in which no stretch repeats soon.
fn pattern(len: usize) -> Bytes {
    let mut word = 1_u64;
    let words = std::iter::repeat_with(|| {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (word >> 33) as u8
    });
    words.take(len).collect()
}

#[test]
fn bytes_arrive_in_order_and_whole() {
    const BYTES: usize = 1_000_000;
    between(
        |listener| async move {
            let (mut read, write) = accept(&listener).await;
            let got = read_to_end(&mut read).await;
            assert!(got == pattern(BYTES), "{} bytes, or others than were sent", got.len());
            drop(write);
        },
        |address| async move {
            let (mut read, mut write) = connect(address).await;
            let (all, mut sent, mut chunk) = (pattern(BYTES), 0, 1);
            while sent < BYTES {
                let end = BYTES.min(sent + chunk);
                send(&mut write, &all[sent..end]).await;
                (sent, chunk) = (end, chunk * 3 % 50_021);
            }
            write.shutdown().await.unwrap();
            assert_eq!(read_to_end(&mut read).await.len(), 0);
        },
    );
}

#[test]
fn many_small_segments_go_in_one_send() {
    // More than one vectored write takes, with empty ones between.
    const SEGMENTS: usize = 3_000;
    between(
        |listener| async move {
            let (mut read, _write) = accept(&listener).await;
            let got = read_to_end(&mut read).await;
            let expected: Vec<u8> = (0..SEGMENTS).flat_map(|n| vec![n as u8; n % 4]).collect();
            assert!(got == expected, "{} bytes, or others than were sent", got.len());
        },
        |address| async move {
            let (_read, mut write) = connect(address).await;
            let mut segments: Vec<Segment> =
                (0..SEGMENTS).map(|n| Segment::from(Bytes::from(vec![n as u8; n % 4]))).collect();
            write.send(&mut segments).await.unwrap();
            assert!(segments.is_empty());
            write.send(&mut segments).await.expect("nothing to send is no error");
            write.send(&mut vec![Segment::from(Bytes::new())]).await.expect("nor is an empty segment");
        },
    );
}

/// An open file that has no name any more, so that nothing is left behind.
fn file_of(name: &str, content: &[u8]) -> File {
    let path = scratch().join(format!("seedlog-net-conformance-{}-{name}", std::process::id()));
    let file = disk::open(&path, OpenMode::CreateNew).unwrap();
    disk::remove_file(&path).unwrap();
    file.write_at(&[IoSlice::new(content)], 0).unwrap();
    file
}

#[test]
fn a_range_of_a_file_is_sent_between_bytes() {
    const FILE_BYTES: usize = 300_000;
    between(
        |listener| async move {
            let file = file_of("log", &pattern(FILE_BYTES));
            let (_read, mut write) = accept(&listener).await;
            let range = |offset, len| Segment::File(FileRange { file: file.clone(), offset, len });
            let mut segments = vec![
                Segment::from(Bytes::from_static(b"head")),
                range(1_000, 250_000),
                Segment::from(Bytes::from_static(b"mid")),
                range(5, 0),
                range(0, 10),
            ];
            write.send(&mut segments).await.unwrap();
            assert!(segments.is_empty());
        },
        |address| async move {
            let (mut read, _write) = connect(address).await;
            let got = read_to_end(&mut read).await;
            let content = pattern(FILE_BYTES);
            let expected = [b"head", &content[1_000..251_000], b"mid", &content[..10]].concat();
            assert!(got == expected, "{} bytes, or others than were sent", got.len());
        },
    );
}

#[test]
fn a_file_range_cut_short_by_truncation_fails_the_send() {
    between(
        |listener| async move {
            let file = file_of("truncated", &pattern(10_000));
            let (_read, mut write) = accept(&listener).await;
            file.truncate(6_000).unwrap();
            let mut segments = vec![Segment::File(FileRange { file, offset: 1_000, len: 9_000 })];
            let error = write.send(&mut segments).await.expect_err("the file is too short");
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        },
        |address| async move {
            let (mut read, _write) = connect(address).await;
            let got = read_to_end(&mut read).await;
            assert!(got.len() <= 5_000, "{} bytes of a file that has fewer", got.len());
        },
    );
}

#[test]
fn a_writer_waits_while_its_peer_does_not_read() {
    const BYTES: usize = 20_000_000;
    let finished = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&finished);
    between(
        move |listener| {
            let seen = Arc::clone(&seen);
            async move {
                seen.store(false, Ordering::SeqCst);
                let (mut read, _write) = accept(&listener).await;
                until_arrived().await;
                until_arrived().await;
                assert!(!seen.load(Ordering::SeqCst), "20 MB were sent though nobody read");
                let mut got = 0;
                let mut buffer = BytesMut::new();
                loop {
                    buffer.clear();
                    match read.read(&mut buffer, 1 << 20).await.unwrap() {
                        0 => break,
                        count => got += count,
                    }
                }
                assert_eq!(got, BYTES);
            }
        },
        move |address| {
            let finished = Arc::clone(&finished);
            async move {
                let (_read, mut write) = connect(address).await;
                let mut segments = vec![Segment::from(Bytes::from(vec![7; BYTES]))];
                write.send(&mut segments).await.unwrap();
                finished.store(true, Ordering::SeqCst);
            }
        },
    );
}

#[test]
fn a_read_takes_no_more_than_its_limit() {
    between(
        |listener| async move {
            let (mut read, _write) = accept(&listener).await;
            until_arrived().await;
            let mut buffer = BytesMut::from(&b"before "[..]);
            assert_eq!(read.read(&mut buffer, 3).await.unwrap(), 3);
            assert_eq!(read.read(&mut buffer, 1).await.unwrap(), 1);
            assert_eq!(&buffer[..], b"before abcd");
            let mut rest = BytesMut::new();
            while read.read(&mut rest, 1_000).await.unwrap() > 0 {}
            assert_eq!(&rest[..], b"efgh");
        },
        |address| async move {
            let (_read, mut write) = connect(address).await;
            send(&mut write, b"abcdefgh").await;
        },
    );
}

#[test]
fn a_dropped_read_or_accept_loses_nothing() {
    let soon = Duration::from_millis(5);
    between(
        move |listener| async move {
            while clock::timeout(soon, listener.accept()).await.is_err() {}
            // That one was accepted and dropped; the next is whole.
            let (mut read, _write) = accept(&listener).await;
            let mut got = BytesMut::new();
            while got.len() < 6 {
                if let Ok(count) = clock::timeout(soon, read.read(&mut got, 100)).await {
                    count.unwrap();
                }
            }
            assert_eq!(&got[..], b"abcdef");
        },
        |address| async move {
            let _first = connect(address).await;
            let (_read, mut write) = connect(address).await;
            for byte in b"abcdef" {
                clock::sleep(Duration::from_millis(13)).await;
                send(&mut write, &[*byte]).await;
            }
            until_arrived().await;
        },
    );
}

#[test]
fn both_directions_carry_many_turns() {
    const TURNS: usize = 200;
    between(
        |listener| async move {
            let (mut read, mut write) = accept(&listener).await;
            for turn in 0..TURNS {
                let got = read_exactly(&mut read, 8).await;
                assert_eq!(got[..], (turn as u64).to_be_bytes());
                send(&mut write, &got).await;
            }
        },
        |address| async move {
            let (mut read, mut write) = connect(address).await;
            for turn in 0..TURNS {
                send(&mut write, &(turn as u64).to_be_bytes()).await;
                assert_eq!(read_exactly(&mut read, 8).await[..], (turn as u64).to_be_bytes());
            }
        },
    );
}
