//! How connections begin and end: refusals, taken ports, half-close, resets.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use seedlog::runtime::Segment;
use seedlog::runtime::net::{self, Listener};

use crate::harness::{between, until_arrived};
use crate::transfer::{CONNECT_TIMEOUT, accept, accept_stream, connect, read_exactly, read_to_end, send};

fn kind<T>(result: io::Result<T>) -> ErrorKind {
    result.err().expect("this must fail").kind()
}

#[test]
fn a_half_closed_peer_can_still_be_answered() {
    between(
        |listener| async move {
            let (mut read, mut write) = accept(&listener).await;
            assert_eq!(&read_to_end(&mut read).await[..], b"question");
            assert_eq!(read.read(&mut BytesMut::new(), 10).await.unwrap(), 0, "the end stays the end");
            send(&mut write, b"answer").await;
        },
        |address| async move {
            let (mut read, mut write) = connect(address).await;
            send(&mut write, b"question").await;
            write.shutdown().await.unwrap();
            assert_eq!(&read_to_end(&mut read).await[..], b"answer");
        },
    );
}

#[test]
fn nothing_can_be_sent_after_a_half_close() {
    between(
        |listener| async move {
            let (mut read, _write) = accept(&listener).await;
            assert_eq!(read_to_end(&mut read).await.len(), 0);
        },
        |address| async move {
            let (_read, mut write) = connect(address).await;
            write.shutdown().await.unwrap();
            let mut segments = vec![Segment::from(Bytes::from_static(b"late"))];
            assert_eq!(kind(write.send(&mut segments).await), ErrorKind::BrokenPipe);
        },
    );
}

#[test]
fn dropping_the_write_half_is_a_half_close() {
    between(
        |listener| async move {
            let (mut read, mut write) = accept(&listener).await;
            assert_eq!(&read_to_end(&mut read).await[..], b"all");
            send(&mut write, b"heard").await;
        },
        |address| async move {
            let (mut read, mut write) = connect(address).await;
            send(&mut write, b"all").await;
            drop(write);
            assert_eq!(&read_to_end(&mut read).await[..], b"heard");
        },
    );
}

#[test]
fn dropping_both_halves_ends_the_stream() {
    between(
        |listener| async move {
            let (mut read, _write) = accept(&listener).await;
            assert_eq!(&read_to_end(&mut read).await[..], b"farewell");
        },
        |address| async move {
            let (read, mut write) = connect(address).await;
            send(&mut write, b"farewell").await;
            drop(write);
            drop(read);
        },
    );
}

#[test]
fn dropping_a_stream_never_split_ends_it_too() {
    between(
        |listener| async move {
            let (mut read, _write) = accept(&listener).await;
            assert_eq!(read_to_end(&mut read).await.len(), 0);
        },
        |address| async move {
            drop(net::connect(address, CONNECT_TIMEOUT).await.unwrap());
        },
    );
}

#[test]
fn closing_with_unread_bytes_resets_the_peer() {
    between(
        |listener| async move {
            let stream = accept_stream(&listener).await;
            until_arrived().await;
            drop(stream);
        },
        |address| async move {
            let (mut read, mut write) = connect(address).await;
            send(&mut write, &[1; 1_000]).await;
            assert_eq!(kind(read.read(&mut BytesMut::new(), 10).await), ErrorKind::ConnectionReset);
            let mut segments = vec![Segment::from(Bytes::from_static(b"more"))];
            write.send(&mut segments).await.expect_err("the connection is reset");
        },
    );
}

#[test]
fn writing_to_a_peer_that_closed_fails_in_the_end() {
    between(
        |listener| async move {
            drop(accept(&listener).await);
        },
        |address| async move {
            let (mut read, mut write) = connect(address).await;
            assert_eq!(read_to_end(&mut read).await.len(), 0);
            let error = loop {
                let mut segments = vec![Segment::from(Bytes::from_static(b"anybody?"))];
                match write.send(&mut segments).await {
                    Ok(()) => until_arrived().await,
                    Err(error) => break error,
                }
            };
            let expected = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
            assert!(expected.contains(&error.kind()), "{error}");
        },
    );
}

#[test]
fn connecting_to_a_port_nobody_listens_on_is_refused() {
    between(
        |listener| async move {
            drop(listener);
        },
        |address| async move {
            // The other node may still be about to close its listener.
            let refusal = loop {
                match net::connect(address, CONNECT_TIMEOUT).await {
                    Ok(_stream) => until_arrived().await,
                    Err(error) => break error,
                }
            };
            let expected = [ErrorKind::ConnectionRefused, ErrorKind::ConnectionReset];
            assert!(expected.contains(&refusal.kind()), "{refusal}");
            assert_eq!(kind(net::connect(address, CONNECT_TIMEOUT).await), ErrorKind::ConnectionRefused);
        },
    );
}

#[test]
fn a_taken_port_cannot_be_bound_until_it_is_free() {
    between(
        |listener| async move {
            let address = listener.local_address();
            assert_eq!(kind(Listener::bind(address).await), ErrorKind::AddrInUse);
            drop(accept_stream(&listener).await);
            drop(listener);
            Listener::bind(address).await.expect("free again, whatever became of its connections");
        },
        |address| async move {
            let (mut read, _write) = connect(address).await;
            read_to_end(&mut read).await;
        },
    );
}

#[test]
fn closing_a_listener_resets_what_nobody_accepted() {
    between(
        |listener| async move {
            until_arrived().await;
            drop(listener);
            until_arrived().await;
        },
        |address| async move {
            let (mut read, _write) = connect(address).await;
            assert_eq!(kind(read.read(&mut BytesMut::new(), 10).await), ErrorKind::ConnectionReset);
        },
    );
}

#[test]
fn port_zero_picks_a_free_port() {
    between(
        |listener| async move {
            let any = SocketAddr::new(listener.local_address().ip(), 0);
            let [one, other] = [Listener::bind(any).await.unwrap(), Listener::bind(any).await.unwrap()];
            assert_ne!(one.local_address().port(), 0);
            assert_ne!(one.local_address().port(), other.local_address().port());
        },
        |_address| async {},
    );
}

#[test]
fn connections_are_accepted_in_the_order_they_were_made() {
    between(
        |listener| async move {
            until_arrived().await;
            for expected in b"abc" {
                let (mut read, _write) = accept(&listener).await;
                assert_eq!(&read_exactly(&mut read, 1).await[..], &[*expected]);
            }
        },
        |address| async move {
            let mut kept = Vec::new();
            for byte in b"abc" {
                let (read, mut write) = connect(address).await;
                send(&mut write, &[*byte]).await;
                kept.push((read, write));
                until_arrived().await;
            }
            for (mut read, _write) in kept {
                read_to_end(&mut read).await;
            }
        },
    );
}

#[test]
fn both_ends_know_their_addresses() {
    between(
        |listener| async move {
            let (stream, peer) = listener.accept().await.unwrap();
            assert_eq!(stream.peer_address(), peer);
            let (mut read, mut write) = stream.into_split();
            let named = read_to_end(&mut read).await;
            assert_eq!(named[..], *peer.to_string().as_bytes(), "the client's own idea of its address");
            send(&mut write, b"so it is").await;
        },
        |address| async move {
            let stream = net::connect(address, CONNECT_TIMEOUT).await.unwrap();
            assert_eq!(stream.peer_address(), address);
            let local = stream.local_address().to_string();
            let (mut read, mut write) = stream.into_split();
            send(&mut write, local.as_bytes()).await;
            write.shutdown().await.unwrap();
            assert_eq!(&read_to_end(&mut read).await[..], b"so it is");
        },
    );
}

#[test]
fn names_and_addresses_are_resolved() {
    between(
        |_listener| async {},
        |address| async move {
            let resolved = net::resolve(&address.ip().to_string(), address.port()).await.unwrap();
            assert_eq!(resolved, address);
            let all = net::addresses(&address.ip().to_string(), address.port()).await.unwrap();
            assert_eq!(all, [address]);
            assert_eq!(net::resolve("localhost", 80).await.unwrap(), SocketAddr::from(([127, 0, 0, 1], 80)));
            net::resolve("no-such-host.invalid", 80).await.expect_err("nobody has this name");
        },
    );
}
