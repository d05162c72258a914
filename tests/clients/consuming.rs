use std::time::Duration;

use bytes::Bytes;
use seedlog::consumer::{
    AutoReset, ConsumeError, ConsumedRecord, Consumer, ConsumerConfig, OnCorruption, StartPosition,
};
use seedlog::protocol::ErrorCode;
use seedlog::record::{self, BatchBuilder, Compression};
use seedlog::runtime::clock;
use seedlog::types::{LeaderEpoch, Offset, Timestamp, TopicPartition};

use super::fake_broker::{FakeBroker, Mood, TOPIC};
use super::harness::with_broker;

const WAIT: Duration = Duration::from_secs(5);

fn config(broker: &FakeBroker) -> ConsumerConfig {
    ConsumerConfig {
        bootstrap: broker.bootstrap(),
        client_id: "billing".to_owned(),
        fetch_wait: Duration::from_millis(200),
        request_timeout: Duration::from_secs(1),
        retry_backoff: Duration::from_millis(20),
        auto_reset: AutoReset::Earliest,
        ..ConsumerConfig::default()
    }
}

fn partition(number: i32) -> TopicPartition {
    TopicPartition::new(TOPIC, number)
}

fn consume(config: ConsumerConfig, start: StartPosition) -> Consumer {
    let consumer = Consumer::start(config);
    consumer.assign(vec![(partition(0), start)]);
    consumer
}

/// A batch of `count` records whose values are their offsets.
fn batch(base: i64, count: i64, compression: Compression) -> Bytes {
    let mut builder = BatchBuilder::new(compression);
    for offset in base..base + count {
        builder.push(Timestamp(1_000), Some(b"key"), Some(offset.to_string().as_bytes()), &[]);
    }
    let mut bytes = builder.build().to_vec();
    record::patch(&mut bytes, Offset(base), LeaderEpoch(0));
    bytes.into()
}

fn damaged(batch: &Bytes) -> Bytes {
    let mut bytes = batch.to_vec();
    *bytes.last_mut().expect("a batch is not empty") ^= 1;
    bytes.into()
}

/// Fills partition 0 with batches of five, up to `end`.
fn fill(broker: &FakeBroker, end: i64) {
    let batches = (0..end / 5).map(|n| batch(n * 5, 5, Compression::None));
    broker.state().logs[0] = batches.collect();
}

/// Polls until so many records came.
async fn poll(consumer: &mut Consumer, count: usize) -> Vec<ConsumedRecord> {
    let mut records = Vec::new();
    let deadline = clock::now() + WAIT;
    while records.len() < count && clock::now() < deadline {
        records.extend(consumer.poll(WAIT).await.expect("nothing is stuck"));
    }
    records
}

fn offsets(records: &[ConsumedRecord]) -> Vec<i64> {
    records.iter().map(|record| record.offset.0).collect()
}

#[test]
fn records_come_in_order_with_all_they_had() {
    with_broker(|broker| async move {
        fill(&broker, 50);
        let mut consumer = consume(config(&broker), StartPosition::Earliest);
        let records = poll(&mut consumer, 50).await;
        assert_eq!(offsets(&records), (0..50).collect::<Vec<_>>());
        assert_eq!(records[7].value.as_deref(), Some(b"7".as_slice()));
        assert_eq!(records[7].key.as_deref(), Some(b"key".as_slice()));
        assert_eq!(records[7].timestamp, Timestamp(1_000));
        assert_eq!(consumer.position(&partition(0)), Some(Offset(50)));
    });
}

#[test]
fn every_codec_unpacks() {
    with_broker(|broker| async move {
        let codecs = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
        let batches = codecs.into_iter().zip(0..).map(|(codec, n)| batch(n * 5, 5, codec));
        broker.state().logs[0] = batches.collect();
        let mut consumer = consume(config(&broker), StartPosition::Earliest);
        assert_eq!(offsets(&poll(&mut consumer, 20).await), (0..20).collect::<Vec<_>>());
    });
}

#[test]
fn a_start_in_the_middle_of_a_batch_delivers_from_there() {
    with_broker(|broker| async move {
        fill(&broker, 20);
        let mut consumer = consume(config(&broker), StartPosition::At(Offset(7)));
        assert_eq!(consumer.next().await.expect("a record").offset, Offset(7));
        assert_eq!(consumer.position(&partition(0)), Some(Offset(8)));
    });
}

#[test]
fn the_latest_position_sees_only_what_comes_later() {
    with_broker(|broker| async move {
        fill(&broker, 20);
        let mut consumer = consume(config(&broker), StartPosition::Latest);
        while consumer.position(&partition(0)).is_none() {
            clock::sleep(Duration::from_millis(10)).await;
        }
        assert!(consumer.poll(Duration::from_millis(50)).await.expect("nothing is stuck").is_empty());
        fill(&broker, 25);
        assert_eq!(offsets(&poll(&mut consumer, 5).await), (20..25).collect::<Vec<_>>());
    });
}

#[test]
fn errors_and_lost_connections_are_waited_out() {
    with_broker(|broker| async move {
        fill(&broker, 20);
        let moods = [
            Mood::Error(ErrorCode::NOT_LEADER_OR_FOLLOWER),
            Mood::CloseBefore,
            Mood::Silence,
            Mood::Error(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            Mood::Error(ErrorCode::KAFKA_STORAGE_ERROR),
        ];
        broker.state().moods.extend(moods);
        broker.state().leaderless = 3;
        let mut consumer = consume(config(&broker), StartPosition::At(Offset(0)));
        assert_eq!(offsets(&poll(&mut consumer, 20).await), (0..20).collect::<Vec<_>>());
    });
}

#[test]
fn corruption_fails_every_poll_until_a_seek_or_is_skipped() {
    with_broker(|broker| async move {
        fill(&broker, 20);
        let bad = damaged(&broker.state().logs[0][2]);
        broker.state().logs[0][2] = bad;
        let mut consumer = consume(config(&broker), StartPosition::Earliest);
        assert_eq!(offsets(&poll(&mut consumer, 10).await), (0..10).collect::<Vec<_>>());
        for _ in 0..2 {
            let error = consumer.poll(WAIT).await.expect_err("the partition is stuck");
            assert!(matches!(error, ConsumeError::Corrupt { offset: Offset(10), .. }), "{error}");
        }
        assert!(consumer.seek(&partition(0), StartPosition::At(Offset(15))));
        assert_eq!(offsets(&poll(&mut consumer, 5).await), (15..20).collect::<Vec<_>>());

        let skipping = ConsumerConfig { on_corruption: OnCorruption::Skip, ..config(&broker) };
        let mut consumer = consume(skipping, StartPosition::Earliest);
        let expected: Vec<i64> = (0..10).chain(15..20).collect();
        assert_eq!(offsets(&poll(&mut consumer, 15).await), expected);
    });
}

#[test]
fn a_position_outside_of_the_log_is_reset_or_reported() {
    with_broker(|broker| async move {
        fill(&broker, 20);
        broker.state().log_start[0] = 10;
        let mut consumer = consume(config(&broker), StartPosition::At(Offset(3)));
        assert_eq!(poll(&mut consumer, 1).await[0].offset, Offset(10));

        let strict = ConsumerConfig { auto_reset: AutoReset::None, ..config(&broker) };
        let mut consumer = consume(strict, StartPosition::At(Offset(99)));
        let error = consumer.poll(WAIT).await.expect_err("out of range");
        assert!(matches!(error, ConsumeError::OutOfRange { offset: Offset(99), .. }), "{error}");
    });
}

#[test]
fn a_small_buffer_delivers_everything_all_the_same() {
    with_broker(|broker| async move {
        fill(&broker, 100);
        broker.state().logs[1] = (0..20).map(|n| batch(n * 5, 5, Compression::None)).collect();
        let small = ConsumerConfig { prefetch_bytes_max: 1, poll_records_max: 3, ..config(&broker) };
        let mut consumer = Consumer::start(small);
        let start = StartPosition::Earliest;
        consumer.assign(vec![(partition(0), start), (partition(1), start)]);
        let records = poll(&mut consumer, 200).await;
        for number in 0..2 {
            let own = records.iter().filter(|record| record.partition == partition(number));
            let offsets: Vec<i64> = own.map(|record| record.offset.0).collect();
            assert_eq!(offsets, (0..100).collect::<Vec<_>>());
        }
    });
}

/// A broker sends a batch above the limits only where nothing stands before it in the answer.
#[test]
fn a_batch_above_the_limit_of_a_partition_is_not_kept_waiting_by_a_busy_one() {
    with_broker(|broker| async move {
        fill(&broker, 1_000);
        let large = batch(0, 50, Compression::None);
        let limit = large.len() / 2;
        broker.state().logs[1] = vec![large];
        let small = ConsumerConfig { partition_bytes_max: limit, poll_records_max: 10, ..config(&broker) };
        let mut consumer = Consumer::start(small);
        let start = StartPosition::Earliest;
        consumer.assign(vec![(partition(0), start), (partition(1), start)]);
        let mut before = 0;
        while consumer.next().await.expect("nothing is stuck").partition == partition(0) {
            before += 1;
        }
        assert!(before <= 200, "{before} records of the busy partition came first");
    });
}

#[test]
fn a_new_assignment_forgets_the_old_one() {
    with_broker(|broker| async move {
        fill(&broker, 20);
        broker.state().logs[1] = vec![batch(0, 5, Compression::None)];
        let mut consumer = consume(config(&broker), StartPosition::Earliest);
        poll(&mut consumer, 1).await;
        consumer.assign(vec![(partition(1), StartPosition::Earliest)]);
        let records = poll(&mut consumer, 5).await;
        assert!(records.iter().all(|record| record.partition == partition(1)), "{records:?}");
        assert_eq!(consumer.position(&partition(0)), None);
        assert!(!consumer.seek(&partition(0), StartPosition::Earliest));
    });
}

#[test]
fn a_closed_consumer_says_so() {
    with_broker(|broker| async move {
        let mut consumer = consume(config(&broker), StartPosition::Earliest);
        consumer.close().await;
        assert_eq!(consumer.poll(WAIT).await, Err(ConsumeError::Closed));
        assert_eq!(consumer.next().await, Err(ConsumeError::Closed));
    });
}
