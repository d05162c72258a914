//! Clients that come and go.

use std::time::Duration;

use seedlog::protocol::encode_request;
use seedlog::protocol::messages::*;
use socket2::SockRef;

use crate::subject::{Subject, TOPIC};
use crate::support::wait_until;

/// Each of these ended a tenth of a second of accepting: 200 of them cost the next client 22 s.
#[test]
fn a_storm_of_connections_that_are_reset_at_once_delays_nobody() {
    let mut subject = Subject::start("");
    for _ in 0..500 {
        let client = subject.client();
        SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).expect("a reset instead of a close");
    }

    subject.serves_a_new_client();

    subject.goes_on();
}

/// Partitions that one fetch names.
const PARTITIONS: usize = 60_000;

/// Who left stayed among the waiters: 60 clients that asked as below cost 42 MiB for good, 240 cost 197.
#[test]
fn clients_that_leave_during_a_long_poll_leave_nothing_behind() {
    let mut subject = Subject::start("");
    let request = encode_request(12, 1, Some("leaves"), &long_poll());
    // The first ones make the allocator take what any such client takes while it is there.
    let leave = |count: usize| {
        for _ in 0..count {
            let mut client = subject.client();
            client.send(&request);
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    leave(5);
    let before = subject.rss_mib();

    leave(60);

    subject.serves_a_new_client();
    // What they asked for is still worked on for a moment.
    wait_until("the memory is given back", || subject.rss_mib() < before + 20);
    subject.goes_on();
}

fn long_poll() -> FetchRequest {
    let partition = FetchPartition { fetch_offset: 1, partition_max_bytes: 1000, ..Default::default() };
    FetchRequest {
        max_wait_ms: 300_000,
        min_bytes: 1,
        max_bytes: 1_000_000,
        topics: vec![FetchTopic { topic: TOPIC.to_owned(), partitions: vec![partition; PARTITIONS] }],
        ..Default::default()
    }
}
