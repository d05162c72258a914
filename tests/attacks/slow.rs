//! Clients that announce much and bring little.

use std::time::Instant;

use seedlog::protocol::{ErrorCode, encode_request};
use seedlog::record::Compression;

use crate::subject::{SERVED_WITHIN, Subject, TOPIC};
use crate::support::raw::{Raw, batch, produce_request};

/// Larger than what every connection has for itself.
fn large_produce(client: &mut Raw) -> ErrorCode {
    client.produce(TOPIC, batch(Compression::None, &[&[b'x'; 300_000]])).0
}

/// Memory was taken by what was announced: three such clients held up every large produce for 30 s.
#[test]
fn lengths_that_are_only_announced_take_nothing_from_others() {
    let mut subject = Subject::start("");
    let mut announcing: Vec<Raw> = (0..300).map(|_| subject.client()).collect();
    for client in &mut announcing {
        client.send(&(100_i32 << 20).to_be_bytes());
    }
    let start = Instant::now();

    assert_eq!(large_produce(&mut subject.client()), ErrorCode::NONE);

    assert!(start.elapsed() < SERVED_WITHIN, "{:?}", start.elapsed());
    subject.goes_on();
}

/// Who fills the memory with requests that it never ends gives way to those who wait for it.
#[test]
fn large_requests_that_stand_still_give_way() {
    let mut subject = Subject::start(
        "request_bytes_max = 1000000\nrequest_bytes_in_flight_max = 3000000\nmessage_bytes_max = 900000\n",
    );
    let request = produce_request(TOPIC, 0, batch(Compression::None, &[&[b'x'; 800_000]]), 1);
    let frame = encode_request(9, 1, Some("half"), &request);
    let mut standing: Vec<Raw> = (0..10).map(|_| subject.client()).collect();
    for client in &mut standing {
        // In the background: the broker may stop reading.
        let mut stream = client.stream.try_clone().expect("one more handle");
        let half = frame.slice(..700_000);
        std::thread::spawn(move || std::io::Write::write_all(&mut stream, &half));
    }
    std::thread::sleep(std::time::Duration::from_millis(500));
    let start = Instant::now();

    assert_eq!(large_produce(&mut subject.client()), ErrorCode::NONE);

    // Far below the 30 s that a request may take to arrive where nobody waits for it.
    assert!(start.elapsed() < 3 * SERVED_WITHIN, "{:?}", start.elapsed());
    subject.goes_on();
}
