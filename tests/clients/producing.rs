use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use seedlog::producer::{
    Delivery, Partitioner, Producer, ProducerConfig, ProducerRecord, RecordMetadata, SendError,
};
use seedlog::protocol::ErrorCode;
use seedlog::record::Compression;
use seedlog::runtime::clock;
use seedlog::runtime::net::Listener;
use seedlog::runtime::task::{Lane, TaskGroup};
use seedlog::types::{Acks, Offset};

use super::fake_broker::{self, FakeBroker, Mood, TOPIC};
use super::harness::{own_ip, with_broker};

fn config(broker: &FakeBroker) -> ProducerConfig {
    ProducerConfig {
        bootstrap: broker.bootstrap(),
        client_id: "shop".to_owned(),
        linger: Duration::from_millis(2),
        request_timeout: Duration::from_secs(2),
        delivery_timeout: Duration::from_secs(8),
        retry_backoff: Duration::from_millis(20),
        ..ProducerConfig::default()
    }
}

fn start(broker: &FakeBroker) -> Producer {
    Producer::start(config(broker))
}

fn record(value: &str) -> ProducerRecord {
    ProducerRecord {
        topic: TOPIC.to_owned(),
        partition: Some(0),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        ..ProducerRecord::default()
    }
}

async fn send(producer: &Producer, value: &str) -> Delivery {
    producer.send(record(value)).await.expect("accepted")
}

async fn send_numbers(producer: &Producer, numbers: std::ops::Range<usize>) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    for number in numbers {
        deliveries.push(send(producer, &number.to_string()).await);
    }
    deliveries
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[test]
fn records_are_confirmed_with_their_offsets_in_batches() {
    with_broker(|broker| async move {
        let producer = start(&broker);
        let deliveries = send_numbers(&producer, 0..100).await;
        for (index, delivery) in deliveries.into_iter().enumerate() {
            assert_eq!(delivery.await.expect("stored").offset, Some(Offset(index as i64)));
        }
        assert_eq!(broker.values(0), numbers(0..100));
        assert!(broker.state().produced < 100, "records travel in batches");
        producer.close().await;
        assert_eq!(producer.send(record("late")).await.err(), Some(SendError::Closed));
    });
}

#[test]
fn every_codec_arrives() {
    with_broker(|broker| async move {
        let codecs =
            [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd, Compression::None];
        for (index, compression) in codecs.into_iter().enumerate() {
            let producer = Producer::start(ProducerConfig { compression, ..config(&broker) });
            send_numbers(&producer, index * 10..(index + 1) * 10).await;
            producer.close().await;
        }
        assert_eq!(broker.values(0), numbers(0..50));
    });
}

#[test]
fn refused_and_lost_batches_go_again_and_nothing_overtakes_them() {
    with_broker(|broker| async move {
        let moods = [
            Mood::Error(ErrorCode::NOT_LEADER_OR_FOLLOWER),
            Mood::CloseBefore,
            Mood::CloseAfter,
            Mood::Error(ErrorCode::NOT_ENOUGH_REPLICAS),
            Mood::Silence,
        ];
        broker.state().moods.extend(moods);
        let producer = Producer::start(ProducerConfig { batch_records_max: 3, ..config(&broker) });
        let deliveries = send_numbers(&producer, 0..30).await;
        for delivery in deliveries {
            delivery.await.expect("stored in the end");
        }
        let mut seen = std::collections::BTreeSet::new();
        let firsts: Vec<String> =
            broker.values(0).into_iter().filter(|value| seen.insert(value.clone())).collect();
        assert_eq!(firsts, numbers(0..30));
        assert!(broker.values(0).len() > 30, "the batch that was stored and lost is there twice");
    });
}

#[test]
fn a_definite_refusal_is_a_failure_and_later_records_go_on() {
    with_broker(|broker| async move {
        broker.state().moods.push_back(Mood::Error(ErrorCode::INVALID_RECORD));
        let producer = start(&broker);
        let refused = send(&producer, "refused").await.await;
        assert!(matches!(refused, Err(SendError::Failed(_))), "{refused:?}");
        let stored = send(&producer, "stored").await.await.expect("stored");
        assert_eq!(stored.offset, Some(Offset(0)));
    });
}

#[test]
fn a_connection_lost_after_the_last_attempt_leaves_the_outcome_unknown() {
    with_broker(|broker| async move {
        broker.state().moods.push_back(Mood::CloseAfter);
        let producer = Producer::start(ProducerConfig { retries: 0, ..config(&broker) });
        let outcome = send(&producer, "who knows").await.await;
        assert!(matches!(outcome, Err(SendError::Unknown(_))), "{outcome:?}");
        assert_eq!(broker.values(0), ["who knows"]);
    });
}

#[test]
fn a_broker_that_never_answers_ends_in_an_unknown_outcome_by_the_delivery_timeout() {
    with_broker(|broker| async move {
        broker.state().moods.extend([Mood::Silence; 20]);
        let producer = start(&broker);
        let began = clock::now();
        let outcome = send(&producer, "lost").await.await;
        assert!(matches!(outcome, Err(SendError::Unknown(_))), "{outcome:?}");
        let took = clock::now() - began;
        assert!(took >= Duration::from_secs(6) && took <= Duration::from_secs(9), "{took:?}");
    });
}

/// Durations without an end are the way to say "never give up".
#[test]
fn limits_without_an_end_are_no_reason_to_panic() {
    with_broker(|broker| async move {
        let producer = Producer::start(ProducerConfig {
            delivery_timeout: Duration::MAX,
            metadata_timeout: Duration::MAX,
            ..config(&broker)
        });
        let delivery = send(&producer, "patient").await;
        producer.close().await;
        assert_eq!(delivery.await.expect("stored").offset, Some(Offset(0)));
    });
}

#[test]
fn nobody_listening_is_a_definite_failure_in_time() {
    with_broker(|broker| async move {
        let mut nowhere = broker.address;
        nowhere.set_port(1);
        let producer = Producer::start(ProducerConfig {
            bootstrap: vec![nowhere.to_string()],
            metadata_timeout: Duration::from_secs(1),
            ..config(&broker)
        });
        let outcome = producer.send(record("nowhere")).await;
        assert!(matches!(outcome, Err(SendError::NoBroker(_))));
    });
}

#[test]
fn a_leader_that_is_not_known_yet_is_waited_for() {
    with_broker(|broker| async move {
        broker.state().leaderless = 5;
        let producer = start(&broker);
        send(&producer, "patient").await.await.expect("stored");
        assert_eq!(broker.values(0), ["patient"]);
    });
}

#[test]
fn acks_zero_is_confirmed_when_written_without_an_offset() {
    with_broker(|broker| async move {
        let producer = Producer::start(ProducerConfig { acks: Acks::None, ..config(&broker) });
        for delivery in send_numbers(&producer, 0..10).await {
            assert_eq!(delivery.await.expect("written").offset, None);
        }
        while broker.values(0).len() < 10 {
            clock::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(broker.values(0), numbers(0..10));
    });
}

#[test]
fn equal_keys_meet_and_round_robin_spreads() {
    with_broker(|broker| async move {
        let keyed = |key: &str| ProducerRecord {
            partition: None,
            key: Some(Bytes::copy_from_slice(key.as_bytes())),
            ..record(key)
        };
        let producer = start(&broker);
        for _ in 0..5 {
            producer.send(keyed("customer")).await.expect("accepted");
        }
        producer.close().await;
        let counts = [broker.values(0).len(), broker.values(1).len()];
        assert!(counts == [5, 0] || counts == [0, 5], "{counts:?}");

        let partitioner = Partitioner::RoundRobin;
        let producer = Producer::start(ProducerConfig { partitioner, ..config(&broker) });
        for _ in 0..10 {
            producer.send(keyed("customer")).await.expect("accepted");
        }
        producer.close().await;
        let spread = [broker.values(0).len() - counts[0], broker.values(1).len() - counts[1]];
        assert_eq!(spread, [5, 5]);
    });
}

#[test]
fn a_full_buffer_holds_senders_back_until_there_is_room() {
    with_broker(|broker| async move {
        broker.state().moods.push_back(Mood::Late(Duration::from_millis(300)));
        let producer = Producer::start(ProducerConfig {
            buffer_bytes_max: 1_000,
            linger: Duration::ZERO,
            ..config(&broker)
        });
        let value = "x".repeat(600);
        let began = clock::now();
        send(&producer, &value).await;
        send(&producer, &value).await.await.expect("stored");
        assert!(clock::now() - began >= Duration::from_millis(300));
        let limit = 1_000;
        let too_large = producer.send(record(&"x".repeat(2_000))).await;
        assert!(matches!(too_large, Err(SendError::TooLarge { limit: l, .. }) if l == limit));
    });
}

#[test]
fn nothing_lingers_while_the_buffer_is_full() {
    with_broker(|broker| async move {
        let linger = Duration::from_secs(5);
        let producer = Producer::start(ProducerConfig { buffer_bytes_max: 1_000, linger, ..config(&broker) });
        let value = "x".repeat(600);
        let began = clock::now();
        send(&producer, &value).await;
        send(&producer, &value).await;
        assert!(clock::now() - began < linger);
    });
}

#[test]
fn a_topic_that_does_not_exist_is_asked_about_only_while_somebody_waits_for_it() {
    with_broker(|broker| async move {
        // Longer than the longest pause between refreshes.
        let metadata_timeout = Duration::from_millis(1_500);
        let producer = Producer::start(ProducerConfig { metadata_timeout, ..config(&broker) });
        for number in 0..3 {
            let wrong = ProducerRecord { topic: format!("wrong-{number}"), ..record("lost") };
            let outcome = producer.send(wrong).await;
            assert!(matches!(outcome, Err(SendError::Failed(_))));
            assert_eq!(broker.state().topics_asked, 1);
        }
        send(&producer, "right").await.await.expect("stored");
        assert_eq!(broker.state().topics_asked, 1);
    });
}

#[test]
fn what_an_idle_producer_knows_is_asked_anew_when_it_is_old_until_its_topic_is_idle_too_long() {
    with_broker(|broker| async move {
        let producer = Producer::start(ProducerConfig {
            metadata_age_max: Duration::from_secs(1),
            metadata_idle_max: Duration::from_secs(5),
            ..config(&broker)
        });
        send(&producer, "once").await.await.expect("stored");
        let before = broker.state().described;
        clock::sleep(Duration::from_millis(3_500)).await;
        let asked = broker.state().described - before;
        assert!((2..=4).contains(&asked), "{asked}");
        clock::sleep(Duration::from_secs(4)).await;
        let idle = broker.state().described;
        clock::sleep(Duration::from_secs(4)).await;
        assert_eq!(broker.state().described, idle, "its topic is forgotten");
        send(&producer, "again").await.await.expect("stored");
    });
}

#[test]
fn a_partition_that_does_not_exist_is_a_failure_and_not_a_wait() {
    with_broker(|broker| async move {
        let producer = start(&broker);
        let outcome = producer.send(ProducerRecord { partition: Some(7), ..record("where") }).await;
        assert!(matches!(outcome, Err(SendError::Failed(_))));
    });
}

#[test]
fn a_flush_does_not_linger_and_waits_for_all() {
    with_broker(|broker| async move {
        let linger = Duration::from_secs(5);
        let producer = Arc::new(Producer::start(ProducerConfig { linger, ..config(&broker) }));
        send_numbers(&producer, 0..5).await;
        let began = clock::now();
        producer.flush().await;
        assert!(clock::now() - began < linger);
        assert_eq!(broker.values(0), numbers(0..5));
    });
}

#[test]
fn a_dropped_producer_tells_the_fate_of_what_it_had() {
    with_broker(|broker| async move {
        broker.state().moods.push_back(Mood::Silence);
        let producer = start(&broker);
        let in_flight = send(&producer, "in flight").await;
        while broker.state().produced == 0 {
            clock::sleep(Duration::from_millis(10)).await;
        }
        let queued = send(&producer, "queued").await;
        drop(producer);
        assert!(matches!(in_flight.await, Err(SendError::Unknown(_))));
        assert!(matches!(queued.await, Err(SendError::Failed(_))));
    });
}

/// Metadata name no leader until both batches wait, so that they travel together; the answer comes when the time of
/// the first one is over and that of the second one is not.
#[test]
fn a_batch_with_little_time_left_takes_no_fresh_one_along() {
    with_broker(|broker| async move {
        broker.state().leaderless = usize::MAX;
        let producer = Producer::start(ProducerConfig {
            delivery_timeout: Duration::from_secs(4),
            request_timeout: Duration::from_secs(20),
            ..config(&broker)
        });
        let old = send(&producer, "old").await;
        clock::sleep(Duration::from_secs(2)).await;
        let fresh = ProducerRecord { partition: Some(1), ..record("fresh") };
        let fresh = producer.send(fresh).await.expect("accepted");
        broker.state().moods.push_back(Mood::Late(Duration::from_millis(2_500)));
        broker.state().leaderless = 0;
        let outcome = old.await;
        assert!(matches!(outcome, Err(SendError::Unknown(_))), "{outcome:?}");
        assert_eq!(fresh.await.expect("stored").offset, Some(Offset(0)));
        assert_eq!((broker.values(1), broker.state().produced), (vec!["fresh".to_owned()], 1));
    });
}

/// It serves until the task group is dropped.
async fn another_broker() -> (Arc<FakeBroker>, TaskGroup) {
    let own_ip = own_ip();
    let listener = Listener::bind(SocketAddr::new(own_ip, 0)).await.expect("a port is free");
    let broker = FakeBroker::new(SocketAddr::new(own_ip, listener.local_address().port()));
    let serving = TaskGroup::new(Lane::Data);
    serving.spawn("another-broker", fake_broker::serve(listener, Arc::clone(&broker)));
    (broker, serving)
}

/// What becomes of a record whose broker falls silent, is away for so long, and is then found under another address.
async fn sent_to_a_broker_that_moves(
    broker: &FakeBroker,
    away: Duration,
    retries: u32,
) -> (Arc<FakeBroker>, Result<RecordMetadata, SendError>) {
    let (moved, _serving) = another_broker().await;
    broker.state().moods.extend([Mood::Silence; 20]);
    let request_timeout = Duration::from_secs(30);
    let delivery_timeout = 4 * request_timeout;
    let producer =
        Producer::start(ProducerConfig { request_timeout, delivery_timeout, retries, ..config(broker) });
    let began = clock::now();
    let delivery = send(&producer, "moved").await;
    clock::sleep(Duration::from_millis(500)).await;
    broker.state().is_away = away > Duration::ZERO;
    clock::sleep(away).await;
    broker.state().is_away = false;
    broker.state().moved_to = Some(moved.address);
    let outcome = delivery.await;
    assert!(clock::now() - began < request_timeout / 3, "{:?}", clock::now() - began);
    (moved, outcome)
}

#[test]
fn what_a_broker_was_sent_under_its_old_address_goes_to_its_new_one() {
    with_broker(|broker| async move {
        for away in [Duration::ZERO, Duration::from_secs(4)] {
            let (moved, outcome) = sent_to_a_broker_that_moves(&broker, away, u32::MAX).await;
            outcome.expect("stored");
            assert_eq!(moved.values(0), ["moved"]);
            broker.state().moved_to = None;
        }
    });
}

#[test]
fn without_retries_what_a_broker_was_sent_under_its_old_address_may_be_stored_or_not() {
    with_broker(|broker| async move {
        let (moved, outcome) = sent_to_a_broker_that_moves(&broker, Duration::ZERO, 0).await;
        assert!(matches!(outcome, Err(SendError::Unknown(_))), "{outcome:?}");
        assert_eq!(moved.values(0), Vec::<String>::new());
    });
}

/// The broker hangs, and another one leads by now: the batch goes there long before the request's time is over.
#[test]
fn what_a_silent_leader_was_sent_goes_to_its_successor() {
    with_broker(|broker| async move {
        let (successor, _serving) = another_broker().await;
        broker.state().moods.extend([Mood::Silence; 20]);
        let request_timeout = Duration::from_secs(30);
        let producer = Producer::start(ProducerConfig {
            request_timeout,
            delivery_timeout: 4 * request_timeout,
            ..config(&broker)
        });
        let began = clock::now();
        let delivery = send(&producer, "moved").await;
        clock::sleep(Duration::from_millis(500)).await;
        broker.state().deposed_by = Some(successor.address);
        delivery.await.expect("stored");
        assert_eq!(successor.values(0), ["moved"]);
        assert!(clock::now() - began < request_timeout / 3, "{:?}", clock::now() - began);
    });
}

#[test]
fn where_no_broker_answers_connecting_fails_at_once_and_says_what_was_tried() {
    with_broker(|broker| async move {
        let nobody = SocketAddr::new(broker.address.ip(), 1);
        let producer =
            Producer::start(ProducerConfig { bootstrap: vec![nobody.to_string()], ..config(&broker) });
        let began = clock::now();
        let error = producer.connect().await.expect_err("nobody listens");
        assert!(clock::now() - began < Duration::from_secs(5));
        let tried: Vec<_> = error.tried.iter().map(|tried| tried.address.clone()).collect();
        assert_eq!(tried, [nobody.to_string()]);
        assert!(error.to_string().starts_with("no broker answered: tried "), "{error}");
        start(&broker).connect().await.expect("this one answers");
    });
}
