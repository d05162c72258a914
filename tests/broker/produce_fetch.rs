//! Records in and out.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use seedlog::facts::Fact;
use seedlog::protocol::messages::*;
use seedlog::protocol::{ErrorCode, encode_request};
use seedlog::runtime::{clock, task};

use crate::harness::{facts_where, with_brokers, with_config};
use crate::raw::{answer_of, batch, error_of, fetch_request, produce_request, values_of};

const TOPIC: &str = "orders";

#[test]
fn what_was_acknowledged_is_read_back_in_order() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 2, &[]).await, ErrorCode::NONE);

        for number in 0..5 {
            let stored = client.produce(TOPIC, 1, &format!("v{number}")).await;
            assert_eq!(stored, (ErrorCode::NONE, number));
        }

        assert_eq!(client.values(TOPIC, 1).await, ["v0", "v1", "v2", "v3", "v4"]);
        assert_eq!(client.values(TOPIC, 0).await, Vec::<String>::new());
    });
}

#[test]
fn requests_sent_at_once_are_answered_in_order_and_appended_together() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        let mut frames = BytesMut::new();
        for id in 1..=20 {
            let request = produce_request(TOPIC, 0, batch(&[&format!("v{id}")]), -1);
            frames.extend_from_slice(&encode_request(9, id, Some("raw"), &request));
        }
        frames.extend_from_slice(&encode_request(9, 21, Some("raw"), &MetadataRequest::default()));
        let request = produce_request(TOPIC, 0, batch(&["v22"]), 1);
        frames.extend_from_slice(&encode_request(9, 22, Some("raw"), &request));

        client.send_bytes(frames.freeze()).await;

        for id in 1..=20 {
            let response = client.receive::<ProduceRequest>(9, id).await;
            assert_eq!(answer_of(&response), (ErrorCode::NONE, i64::from(id) - 1));
        }
        let metadata = client.receive::<MetadataRequest>(9, 21).await;
        assert_eq!(metadata.topics.len(), 1);
        let response = client.receive::<ProduceRequest>(9, 22).await;
        assert_eq!(answer_of(&response), (ErrorCode::NONE, 20));
        let flushes = facts_where(|fact| matches!(fact, Fact::Flushed { .. }).then_some(())).len();
        assert!(flushes < 21, "{flushes} flushes for 21 batches: nothing was grouped");
    });
}

/// The time that a client gives is for replication, as in Kafka.
#[test]
fn a_produce_that_gives_no_time_is_answered_by_what_was_stored() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);

        for (offset, acks) in [(0, 1), (1, -1)] {
            let mut request = produce_request(TOPIC, 0, batch(&["now"]), acks);
            request.timeout_ms = 0;
            let response = client.call(9, &request).await;
            assert_eq!(answer_of(&response), (ErrorCode::NONE, offset));
        }
    });
}

#[test]
fn a_request_without_acknowledgement_is_stored_and_not_answered() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);

        client.send(9, &produce_request(TOPIC, 0, batch(&["silent"]), 0)).await;
        let stored = client.produce(TOPIC, 0, "loud").await;

        assert_eq!(stored, (ErrorCode::NONE, 1));
        assert_eq!(client.values(TOPIC, 0).await, ["silent", "loud"]);
    });
}

#[test]
fn a_failed_request_without_acknowledgement_closes_the_connection() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;

        client.send(9, &produce_request("nowhere", 0, batch(&["lost"]), 0)).await;

        assert!(client.next_frame().await.is_none());
    });
}

#[test]
fn a_fetch_at_the_end_is_answered_as_soon_as_something_comes() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        let writer = task::TaskGroup::new(task::Lane::Data);
        let address = cluster.clone();
        writer.spawn("writer", async move {
            clock::sleep(Duration::from_secs(2)).await;
            let stored = address.client(1).await.produce(TOPIC, 0, "late").await;
            assert_eq!(stored, (ErrorCode::NONE, 0));
        });
        let start = clock::now();

        let response = client.call(12, &fetch_request(TOPIC, 0, 0, 30_000)).await;

        assert_eq!(values_of(&response), ["late"]);
        let waited = clock::now() - start;
        assert!(waited > Duration::from_secs(2) && waited < Duration::from_secs(10), "{waited:?}");
    });
}

#[test]
fn a_fetch_at_the_end_is_answered_empty_when_its_time_is_up() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        let start = clock::now();

        let response = client.call(12, &fetch_request(TOPIC, 0, 0, 500)).await;

        assert_eq!(values_of(&response), Vec::<String>::new());
        let waited = clock::now() - start;
        assert!(waited >= Duration::from_millis(500) && waited < Duration::from_secs(3), "{waited:?}");
    });
}

#[test]
fn a_waiting_fetch_does_not_hold_back_the_answers_before_it() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        let produce = produce_request(TOPIC, 0, batch(&["now"]), -1);
        let mut frames = BytesMut::from(&encode_request(9, 1, None, &produce)[..]);
        frames.extend_from_slice(&encode_request(12, 2, None, &fetch_request(TOPIC, 0, 1, 20_000)));
        let start = clock::now();

        client.send_bytes(frames.freeze()).await;

        let response = client.receive::<ProduceRequest>(9, 1).await;
        assert_eq!(answer_of(&response), (ErrorCode::NONE, 0));
        assert!(clock::now() - start < Duration::from_secs(5));
    });
}

#[test]
fn offsets_of_both_ends_and_of_a_time_are_told() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        let request = produce_request(TOPIC, 0, batch(&["a", "b", "c"]), -1);
        assert_eq!(answer_of(&client.call(9, &request).await), (ErrorCode::NONE, 0));

        let mut offsets = Vec::new();
        for timestamp in [-2, -1, 1_700_000_000_001, 1_800_000_000_000] {
            let request = ListOffsetsRequest {
                replica_id: -1,
                topics: vec![ListOffsetsTopic {
                    name: TOPIC.to_owned(),
                    partitions: vec![ListOffsetsPartition { timestamp, ..Default::default() }],
                }],
                ..Default::default()
            };
            let response = client.call(5, &request).await;
            let partition = &response.topics[0].partitions[0];
            assert_eq!(partition.error_code, 0);
            offsets.push(partition.offset);
        }

        assert_eq!(offsets, [0, 3, 1, -1]);
    });
}

#[test]
fn requests_that_cannot_be_met_get_kafkas_error_codes() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[("max.message.bytes", "1000")]).await, ErrorCode::NONE);
        let mut corrupt = BytesMut::from(&batch(&["x"])[..]);
        let last = corrupt.len() - 1;
        corrupt[last] ^= 1;
        let large = "x".repeat(2000);
        let cases = [
            ("nowhere", 0, batch(&["x"]), -1, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            (TOPIC, 7, batch(&["x"]), -1, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            (TOPIC, 0, batch(&["x"]), 3, ErrorCode::INVALID_REQUIRED_ACKS),
            (TOPIC, 0, corrupt.freeze(), -1, ErrorCode::CORRUPT_MESSAGE),
            (TOPIC, 0, batch(&[&large]), -1, ErrorCode::MESSAGE_TOO_LARGE),
            (TOPIC, 0, Bytes::new(), -1, ErrorCode::INVALID_RECORD),
        ];
        for (topic, partition, records, acks, expected) in cases {
            let response = client.call(9, &produce_request(topic, partition, records, acks)).await;
            assert_eq!(answer_of(&response), (expected, -1), "{topic}-{partition}");
        }
        for (topic, partition, offset, expected) in [
            ("nowhere", 0, 0, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            (TOPIC, 0, 1, ErrorCode::OFFSET_OUT_OF_RANGE),
            (TOPIC, 0, -5, ErrorCode::OFFSET_OUT_OF_RANGE),
        ] {
            let response = client.call(12, &fetch_request(topic, partition, offset, 10_000)).await;
            assert_eq!(error_of(&response), expected, "{topic}-{partition} at {offset}");
        }
        assert_eq!(client.produce(TOPIC, 0, "fine").await, (ErrorCode::NONE, 0));
    });
}

#[test]
fn memory_is_not_taken_by_what_was_only_announced() {
    let small = |config: &mut seedlog::broker::config::BrokerConfig| {
        config.request_bytes_max = 400_000;
        config.message_bytes_max = 400_000;
        config.request_bytes_in_flight_max = 400_000;
    };
    with_config(1, small, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        let mut announcing = Vec::new();
        for _ in 0..5 {
            let mut client = cluster.client(1).await;
            client.send_bytes(Bytes::copy_from_slice(&400_000_i32.to_be_bytes())).await;
            announcing.push(client);
        }
        let start = clock::now();

        let large = "x".repeat(300_000);
        let response = client.call(9, &produce_request(TOPIC, 0, batch(&[&large]), -1)).await;

        assert_eq!(answer_of(&response), (ErrorCode::NONE, 0));
        assert!(clock::now() - start < Duration::from_secs(10));
    });
}

#[test]
fn what_is_not_built_yet_is_refused_in_words() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;

        let request = FindCoordinatorRequest { key: "group".to_owned(), key_type: 0 };
        let response = client.call(3, &request).await;
        assert_eq!(ErrorCode(response.error_code), ErrorCode::COORDINATOR_NOT_AVAILABLE);
        assert!(response.error_message.is_some_and(|message| message.contains("not built yet")));
        client.call(0, &request).await;

        client.send(1, &DeleteTopicsRequest::default()).await;
        assert!(client.next_frame().await.is_none(), "known, and not served");
    });
}

#[test]
fn bytes_after_a_request_are_ignored() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        let mut frame = BytesMut::from(&encode_request(9, 1, Some("raw"), &MetadataRequest::default())[..]);
        frame.extend_from_slice(&[0, 0, 0]);
        let length = frame.len() as i32 - 4;
        frame[..4].copy_from_slice(&length.to_be_bytes());

        client.send_bytes(frame.freeze()).await;

        assert_eq!(client.receive::<MetadataRequest>(9, 1).await.brokers.len(), 1);
    });
}

#[test]
fn one_large_request_at_a_time_fits_into_a_small_budget_and_all_are_answered() {
    let small = |config: &mut seedlog::broker::config::BrokerConfig| {
        config.request_bytes_max = 400_000;
        config.message_bytes_max = 400_000;
        config.request_bytes_in_flight_max = 400_000;
    };
    with_config(1, small, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic(TOPIC, 1, &[]).await, ErrorCode::NONE);
        let large = "x".repeat(300_000);
        let mut clients = Vec::new();
        for _ in 0..4 {
            let mut client = cluster.client(1).await;
            let id = client.send(9, &produce_request(TOPIC, 0, batch(&[&large]), -1)).await;
            clients.push((client, id));
        }

        for (mut client, id) in clients {
            let response = client.receive::<ProduceRequest>(9, id).await;
            assert_eq!(answer_of(&response).0, ErrorCode::NONE);
        }
    });
}
