//! Seeks from one thread while another one reads: what the lock-free hand-out of records has to hold.
#![allow(clippy::disallowed_methods)] // Ordinary threads of the real machine.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use seedlog::consumer::StartPosition;
use seedlog::consumer::membership::blocking::{BlockingGroupConsumer, BlockingStream};
use seedlog::runtime::task;
use seedlog::types::Offset;

use super::harness::{Setting, TOPIC, partition, tell};

const SEEKS: usize = 300;
const RECORDS: usize = 200;

/// Where the numbered seek goes; the first reading begins at 0.
fn target(seek: usize) -> i64 {
    (seek * 7 % 150) as i64
}

/// Seeks that have begun, and that are over.
#[derive(Default)]
struct Seeks {
    begun: AtomicUsize,
    over: AtomicUsize,
}

#[test]
fn a_record_that_is_asked_for_after_a_seek_is_never_from_before_it() {
    tell(|at: Setting| async move {
        at.create_topic(1).await;
        at.produce(0..RECORDS).await;
        let config = at.config("billing", "a");
        task::blocking(move || {
            let consumer = BlockingGroupConsumer::start(config).expect("ZooKeeper runs");
            let topics = BTreeMap::from([(TOPIC.to_owned(), 1)]);
            let mut streams = consumer.create_message_streams(topics).expect("a new consumer");
            let stream = streams.remove(TOPIC).expect("the topic's").remove(0);
            let seeks = Seeks::default();
            std::thread::scope(|scope| {
                let reading = scope.spawn(|| read(stream, &seeks));
                while consumer.consumer().position(&partition(0)).is_none() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                for seek in 1..=SEEKS {
                    seeks.begun.store(seek, Ordering::SeqCst);
                    let to = StartPosition::At(Offset(target(seek)));
                    assert!(consumer.consumer().seek(&partition(0), to));
                    seeks.over.store(seek, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_micros((seek % 10) as u64 * 300));
                }
                reading.join().expect("every record was of its place");
            });
            consumer.close().expect("it leaves in order");
        })
        .await;
    });
}

/// Reads until the last seek's records come. Each record follows the one before, or begins at a seek; and if a seek
/// was over before the record was asked for, it is of behind that one.
fn read(mut stream: BlockingStream, seeks: &Seeks) {
    // Behind which seek the last record may have been.
    let mut runs = vec![0];
    let mut next = 0;
    while !runs.contains(&SEEKS) {
        let over = seeks.over.load(Ordering::SeqCst);
        let offset = stream.next().expect("it goes on").expect("nothing is wrong").offset.0;
        let begun = seeks.begun.load(Ordering::SeqCst);
        let before = runs.clone();
        runs.retain(|run| *run >= over && offset == next);
        runs.extend((over.max(before[0] + 1)..=begun).filter(|seek| target(*seek) == offset));
        runs.sort_unstable();
        runs.dedup();
        assert!(
            !runs.is_empty(),
            "offset {offset} behind {next}, {before:?}, while {over} to {begun} were sought"
        );
        next = offset + 1;
    }
}
