//! What is inside of a batch: refused where it is not what it says, stamped where the broker's clock counts, found by
//! its time.

use bytes::Bytes;
use seedlog::consumer::{ConsumeError, Consumer, ConsumerConfig, OnCorruption, StartPosition};
use seedlog::protocol::ErrorCode;
use seedlog::protocol::messages::*;
use seedlog::record::{BatchBuilder, Compression, batches, records};
use seedlog::runtime::clock;
use seedlog::types::{Offset, Timestamp, TopicPartition};

use crate::harness::with_brokers;
use crate::raw::{Raw, answer_of, batch, fetch_request, produce_request, values_of};

const TOPIC: &str = "orders";

/// Changes a batch and seals it again: its CRC is true.
fn forged(batch: &Bytes, change: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut bytes = batch.to_vec();
    change(&mut bytes);
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(bytes)
}

fn batch_at(timestamps: &[i64]) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    timestamps.iter().for_each(|at| builder.push(Timestamp(*at), None, Some(b"v"), &[]));
    builder.build()
}

fn lying_about_its_count() -> Bytes {
    // Large enough for seven: who looks at the size alone believes it.
    forged(&batch(&[&"a".repeat(40), &"b".repeat(40)]), |bytes| {
        bytes[23..27].copy_from_slice(&6_i32.to_be_bytes());
        bytes[57..61].copy_from_slice(&7_i32.to_be_bytes());
    })
}

fn no_gzip() -> Bytes {
    forged(&batch(&["a"]), |bytes| bytes[22] = Compression::Gzip as u8)
}

async fn produce(client: &mut Raw, records: Bytes) -> PartitionProduceResponse {
    let mut response = client.call(9, &produce_request(TOPIC, 0, records, -1)).await;
    response.responses[0].partition_responses.remove(0)
}

/// One question of each partition, in version 7.
async fn list(client: &mut Raw, version: i16, asked: &[(i32, i64)]) -> Vec<ListOffsetsPartitionResponse> {
    let partitions = asked.iter().map(|&(partition_index, timestamp)| ListOffsetsPartition {
        partition_index,
        timestamp,
        ..Default::default()
    });
    let topics = vec![ListOffsetsTopic { name: TOPIC.to_owned(), partitions: partitions.collect() }];
    let request = ListOffsetsRequest { replica_id: -1, topics, ..Default::default() };
    client.call(version, &request).await.topics.remove(0).partitions
}

#[test]
fn a_batch_that_is_not_what_it_says_is_refused_with_the_record_to_blame() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);

        let refused = produce(&mut client, lying_about_its_count()).await;
        assert_eq!(ErrorCode(refused.error_code), ErrorCode::INVALID_RECORD);
        assert_eq!(refused.record_errors.len(), 1, "{refused:?}");
        assert_eq!(refused.record_errors[0].batch_index, 2);
        assert!(refused.error_message.is_some_and(|message| message.contains("record 2")));

        let refused = produce(&mut client, no_gzip()).await;
        assert_eq!(ErrorCode(refused.error_code), ErrorCode::INVALID_RECORD);
        assert_eq!(refused.record_errors, []);
        assert!(refused.error_message.is_some_and(|message| message.contains("unpack")));

        assert_eq!(client.produce(TOPIC, 0, "fine").await, (ErrorCode::NONE, 0), "nothing was stored");
    });
}

#[test]
fn with_validation_of_the_header_alone_the_records_are_the_producers_affair() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[("validation", "header")]).await, ErrorCode::NONE);

        for (records, next) in [(lying_about_its_count(), 7), (no_gzip(), 8)] {
            assert_eq!(produce(&mut client, records).await.error_code, 0);
            assert_eq!(list(&mut client, 7, &[(0, -1)]).await[0].offset, next);
        }
    });
}

#[test]
fn a_topic_may_refuse_records_that_are_too_old_or_ahead_of_the_brokers_clock() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        let bounds =
            [("message.timestamp.before.max.ms", "60000"), ("message.timestamp.after.max.ms", "10000")];
        assert_eq!(client.create_topic(TOPIC, 1, &bounds).await, ErrorCode::NONE);
        let now = clock::wall_now().0;

        for (timestamps, guilty) in [([now, now - 90_000], 1), ([now + 30_000, now], 0)] {
            let refused = produce(&mut client, batch_at(&timestamps)).await;
            assert_eq!(ErrorCode(refused.error_code), ErrorCode::INVALID_TIMESTAMP, "{refused:?}");
            assert_eq!(refused.record_errors[0].batch_index, guilty);
        }
        assert_eq!(produce(&mut client, batch_at(&[now - 30_000, now + 5_000, -1])).await.error_code, 0);
    });
}

#[test]
fn where_the_brokers_clock_counts_the_answer_and_every_record_tell_the_time_of_the_append() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        let by_append = [("message.timestamp.type", "LogAppendTime")];
        assert_eq!(client.create_topic(TOPIC, 1, &by_append).await, ErrorCode::NONE);
        let before = clock::wall_now().0;

        let stored = produce(&mut client, batch_at(&[5, 7, 6])).await;

        assert_eq!(stored.error_code, 0);
        let appended = stored.log_append_time_ms;
        assert!((before..=clock::wall_now().0).contains(&appended), "{appended}");
        let response = client.call(12, &fetch_request(TOPIC, 0, 0, 0)).await;
        assert_eq!(values_of(&response).len(), 3);
        let seedlog::protocol::Records::Bytes(bytes) = &response.responses[0].partitions[0].records else {
            panic!("records were fetched")
        };
        for batch in batches(bytes.clone()) {
            let batch = batch.expect("a whole batch");
            seedlog::record::validate(&batch, usize::MAX).expect("a true CRC");
            for record in records(&batch, 1 << 20).expect("readable") {
                assert_eq!(record.expect("readable").timestamp, Timestamp(appended));
            }
        }
        let found = &list(&mut client, 7, &[(0, appended)]).await[0];
        assert_eq!((found.offset, found.timestamp), (0, appended));
    });
}

#[test]
fn the_record_of_the_largest_timestamp_is_told_from_version_7_on() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 2, &[]).await, ErrorCode::NONE);
        for timestamps in [&[10, 30, 20][..], &[30, 5], &[25]] {
            assert_eq!(produce(&mut client, batch_at(timestamps)).await.error_code, 0);
        }

        let found = list(&mut client, 7, &[(0, -3), (1, -3)]).await;

        assert_eq!((found[0].error_code, found[0].offset, found[0].timestamp), (0, 1, 30));
        assert_eq!((found[1].error_code, found[1].offset, found[1].timestamp), (0, -1, -1), "it is empty");
        let too_old = &list(&mut client, 6, &[(0, -3)]).await[0];
        assert_eq!(ErrorCode(too_old.error_code), ErrorCode::UNSUPPORTED_VERSION);
    });
}

#[test]
fn a_look_up_by_time_tells_the_epoch_of_the_record_and_not_the_current_one() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        assert_eq!(produce(&mut client, batch_at(&[100])).await.error_code, 0);
        let of_first = list(&mut client, 7, &[(0, 100)]).await[0].leader_epoch;
        cluster.end(1, seedlog::runtime::sim::world::Death::Kill);
        cluster.restart(1).await;
        let mut client = cluster.client(1).await;
        crate::harness::wait_until("the partition is led", || async {
            let mut client = cluster.client(1).await;
            produce(&mut client, batch_at(&[200])).await.error_code == 0
        })
        .await;

        let by_time = list(&mut client, 7, &[(0, 100)]).await;
        let later = list(&mut client, 7, &[(0, 200)]).await;

        assert_eq!(by_time[0].leader_epoch, of_first, "the record's own");
        assert!(later[0].leader_epoch > of_first, "{later:?}");
        let latest = list(&mut client, 7, &[(0, -1)]).await;
        assert_eq!(latest[0].leader_epoch, later[0].leader_epoch);
    });
}

#[test]
fn a_partition_asked_for_twice_in_one_request_is_refused_and_the_others_are_not() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 2, &[]).await, ErrorCode::NONE);
        assert_eq!(produce(&mut client, batch_at(&[100])).await.error_code, 0);

        let found = list(&mut client, 7, &[(0, 50), (1, 50), (0, 60)]).await;

        let codes: Vec<ErrorCode> = found.iter().map(|found| ErrorCode(found.error_code)).collect();
        assert_eq!(codes, [ErrorCode::INVALID_REQUEST, ErrorCode::NONE, ErrorCode::INVALID_REQUEST]);
    });
}

#[test]
fn a_false_largest_timestamp_hides_no_record_from_look_ups() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        let lie = forged(&batch_at(&[1_000, 2_000]), |bytes| bytes[35..43].copy_from_slice(&[0; 8]));
        let stored = client.call(9, &produce_request(TOPIC, 0, lie, -1)).await;
        assert_eq!(answer_of(&stored), (ErrorCode::NONE, 0));

        let found = list(&mut client, 7, &[(0, 1_500)]).await;

        assert_eq!((found[0].offset, found[0].timestamp), (1, 2_000));
    });
}

fn consumer(bootstrap: String, on_corruption: OnCorruption) -> Consumer {
    let config = ConsumerConfig { bootstrap: vec![bootstrap], on_corruption, ..ConsumerConfig::default() };
    let consumer = Consumer::start(config);
    consumer.assign(vec![(TopicPartition::new(TOPIC, 0), StartPosition::Earliest)]);
    consumer
}

#[test]
fn a_stored_batch_that_nobody_can_read_stops_no_consumer_for_good_and_is_told_by_its_place() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[("validation", "header")]).await, ErrorCode::NONE);
        for records in [batch(&["a"]), lying_about_its_count(), no_gzip(), batch(&["z"])] {
            assert_eq!(produce(&mut client, records).await.error_code, 0);
        }
        let bootstrap = cluster.address(1).to_string();

        let mut skipping = consumer(bootstrap.clone(), OnCorruption::Skip);
        let values = [skipping.next().await, skipping.next().await].map(|record| {
            let record = record.expect("damage is skipped");
            (record.offset.0, record.value.expect("a value"))
        });
        assert_eq!(values, [(0, Bytes::from("a")), (9, Bytes::from("z"))]);

        let mut failing = consumer(bootstrap, OnCorruption::Fail);
        assert_eq!(failing.next().await.expect("in front of the damage").offset, Offset(0));
        for _ in 0..2 {
            let error = failing.next().await.expect_err("it stays until somebody seeks");
            let place = (TopicPartition::new(TOPIC, 0), Offset(1));
            assert!(
                matches!(&error, ConsumeError::Corrupt { partition, offset, .. }
                    if (partition, *offset) == (&place.0, place.1)),
                "{error}"
            );
            assert!(
                error.to_string().contains("orders-0") && error.to_string().contains("record 2"),
                "{error}"
            );
        }
        assert!(failing.seek(&TopicPartition::new(TOPIC, 0), StartPosition::At(Offset(9))));
        assert_eq!(failing.next().await.expect("behind the damage").offset, Offset(9));
    });
}
