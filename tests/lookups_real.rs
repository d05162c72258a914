//! Look-ups by time over a real broker: however many are asked for, whoever produces meanwhile waits for none of them.
#![cfg(feature = "real-runtime")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // Outside of any simulation.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use seedlog::protocol::messages::*;
use seedlog::protocol::{ErrorCode, encode_request};
use seedlog::record::{BatchBuilder, Compression};
use seedlog::types::Timestamp;

use support::raw::{Raw, batch, produce_request};
use support::{Dev, seedlog};

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 4;
/// Of one record each: what a look-up walks over.
const BATCHES_A_PARTITION: usize = 30_000;
/// Requests a partition that are sent before their replies are read.
const WINDOW: usize = 500;
const ATTACKERS: usize = 4;
const ATTACK: Duration = Duration::from_secs(4);
/// A small produce beside the attack took 34 s when look-ups ran under the partition's lock. On a machine that compiles
/// on all cores at once, ten times what is seen otherwise.
const PRODUCE_MAX: Duration = Duration::from_secs(1);

/// Of the one record behind all others: a look-up walks over the whole log to find it.
const LATER: i64 = 1_800_000_000_000;

struct Subject {
    dev: Dev,
    _folder: tempfile::TempDir,
}

impl Subject {
    fn start() -> Subject {
        let folder = tempfile::tempdir().expect("a folder");
        let dev = Dev::start(&folder.path().join("data"));
        let address = dev.address();
        let mut create = seedlog();
        create.args(["topic", "create", TOPIC, "--bootstrap", &address]);
        create.args(["--partitions", &PARTITIONS.to_string(), "--config", "durability=page-cache"]);
        support::run(&mut create);
        Subject { dev, _folder: folder }
    }

    fn client(&self) -> Raw {
        Raw::connect(&self.dev.address())
    }

    fn fill(&self) {
        let mut client = self.client();
        let records = batch(Compression::None, &[b"x"]);
        let frames = produce_frames(&records, WINDOW);
        assert_eq!(BATCHES_A_PARTITION % WINDOW, 0, "windows are full");
        for _ in 0..BATCHES_A_PARTITION / WINDOW {
            client.send(&frames);
            for _ in 0..WINDOW * PARTITIONS as usize {
                client.read_frame().expect("an acknowledgement");
            }
        }
        let mut later = BatchBuilder::new(Compression::None);
        later.push(Timestamp(LATER), None, Some(b"later"), &[]);
        client.send(&produce_frames(&later.build(), 1));
        for _ in 0..PARTITIONS {
            client.read_frame().expect("an acknowledgement");
        }
    }
}

/// So many requests for each partition.
fn produce_frames(records: &Bytes, requests: usize) -> BytesMut {
    let mut frames = BytesMut::new();
    for _ in 0..requests {
        for partition in 0..PARTITIONS {
            let request = produce_request(TOPIC, partition, records.clone(), 1);
            frames.extend_from_slice(&encode_request(9, 1, None, &request));
        }
    }
    frames
}

fn look_ups(partitions: impl Iterator<Item = i32>, timestamp: i64) -> ListOffsetsRequest {
    let partitions = partitions.map(|partition_index| ListOffsetsPartition {
        partition_index,
        timestamp,
        ..Default::default()
    });
    let topics = vec![ListOffsetsTopic { name: TOPIC.to_owned(), partitions: partitions.collect() }];
    ListOffsetsRequest { replica_id: -1, topics, ..Default::default() }
}

/// The longest of the small produces that are made until `stop`, and how many there were.
fn longest_produce(client: &mut Raw, until: Instant) -> (Duration, usize) {
    let (mut longest, mut count) = (Duration::ZERO, 0);
    while Instant::now() < until {
        let start = Instant::now();
        let (error, _) = client.produce(TOPIC, batch(Compression::None, &[b"small"]));
        assert_eq!(error, ErrorCode::NONE);
        longest = longest.max(start.elapsed());
        count += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    (longest, count)
}

/// Attackers ask again and again; says how long a produce took at most, and how many requests were answered.
fn under_attack(subject: &Subject, request: &ListOffsetsRequest) -> (Duration, usize) {
    let stop = Arc::new(AtomicBool::new(false));
    let attackers: Vec<_> = (0..ATTACKERS)
        .map(|_| {
            let (stop, request, mut client) = (Arc::clone(&stop), request.clone(), subject.client());
            std::thread::spawn(move || {
                let mut answered = 0;
                while !stop.load(Ordering::Relaxed) {
                    client.call(7, &request);
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    let (longest, count) = longest_produce(&mut subject.client(), Instant::now() + ATTACK);
    stop.store(true, Ordering::Relaxed);
    let answered = attackers.into_iter().map(|attacker| attacker.join().expect("an attacker")).sum();
    println!("{count} produces, the longest {longest:?}; {answered} requests answered");
    (longest, answered)
}

#[test]
fn three_thousand_look_ups_in_one_request_hold_no_produce_up() {
    let subject = Subject::start();
    subject.fill();
    let request = look_ups(std::iter::repeat_n(0, 3_000), LATER);

    let (longest, answered) = under_attack(&subject, &request);

    assert!(longest < PRODUCE_MAX, "a small produce took {longest:?}");
    assert!(answered > 0);
}

#[test]
fn look_ups_that_walk_over_whole_logs_hold_no_produce_up() {
    let subject = Subject::start();
    subject.fill();
    // The largest timestamp: every header has to be seen.
    let request = look_ups(0..PARTITIONS, -3);

    let (longest, answered) = under_attack(&subject, &request);

    assert!(longest < PRODUCE_MAX, "a small produce took {longest:?}");
    assert!(answered > 0);
    let found = &subject.client().call(7, &request).topics[0].partitions;
    let is_right = |found: &ListOffsetsPartitionResponse| {
        (found.error_code, found.timestamp, found.offset) == (0, LATER, BATCHES_A_PARTITION as i64)
    };
    assert!(found.iter().all(is_right), "{found:?}");
}
