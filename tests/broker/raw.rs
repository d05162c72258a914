//! A raw client over the simulated network.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use seedlog::protocol::frame::next_frame;
use seedlog::protocol::messages::*;
use seedlog::protocol::{Api, ErrorCode, Records, decode_response, encode_request};
use seedlog::record::{BatchBuilder, Compression, batches, records};
use seedlog::runtime::net::{self, ReadHalf, WriteHalf};
use seedlog::runtime::{Segment, clock};
use seedlog::types::Timestamp;

/// How long an answer may take before the test fails.
const ANSWER_MAX: Duration = Duration::from_secs(60);
const FRAME_BYTES_MAX: usize = 64 << 20;

pub struct Raw {
    read: ReadHalf,
    write: WriteHalf,
    buffer: BytesMut,
    correlation_id: i32,
}

impl Raw {
    pub async fn connect(address: SocketAddr) -> Raw {
        let stream = net::connect(address, Duration::from_secs(5)).await.expect("a broker that listens");
        let (read, write) = stream.into_split();
        Raw { read, write, buffer: BytesMut::new(), correlation_id: 0 }
    }

    pub async fn send_bytes(&mut self, bytes: Bytes) {
        self.try_send_bytes(bytes).await.expect("an open connection");
    }

    /// The error says that the broker has closed the connection.
    pub async fn try_send_bytes(&mut self, bytes: Bytes) -> std::io::Result<()> {
        self.write.send(&mut vec![Segment::Bytes(bytes)]).await
    }

    /// Sends a request and does not wait; returns its correlation id.
    pub async fn send<R: Api>(&mut self, version: i16, request: &R) -> i32 {
        self.correlation_id += 1;
        let frame = encode_request(version, self.correlation_id, Some("raw"), request);
        self.send_bytes(frame).await;
        self.correlation_id
    }

    /// The next frame, or `None` if the broker closed the connection.
    pub async fn next_frame(&mut self) -> Option<Bytes> {
        let reading = async {
            loop {
                if let Some(frame) = next_frame(&mut self.buffer, FRAME_BYTES_MAX).expect("frames") {
                    return Some(frame);
                }
                match self.read.read(&mut self.buffer, 64 * 1024).await {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        };
        clock::timeout(ANSWER_MAX, reading).await.expect("an answer in time")
    }

    pub async fn receive<R: Api>(&mut self, version: i16, correlation_id: i32) -> R::Response {
        let frame = self.next_frame().await.expect("an answer");
        let (answered, response) = decode_response::<R>(frame, version).expect("a readable answer");
        assert_eq!(answered, correlation_id, "answers come in request order");
        response
    }

    pub async fn call<R: Api>(&mut self, version: i16, request: &R) -> R::Response {
        let correlation_id = self.send(version, request).await;
        self.receive::<R>(version, correlation_id).await
    }

    pub async fn create_topic(&mut self, topic: &str, partitions: i32, config: &[(&str, &str)]) -> ErrorCode {
        let configs = config.iter().map(|(name, value)| CreatableTopicConfig {
            name: (*name).to_owned(),
            value: Some((*value).to_owned()),
        });
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: topic.to_owned(),
                num_partitions: partitions,
                replication_factor: 1,
                configs: configs.collect(),
                ..Default::default()
            }],
            timeout_ms: 30_000,
            validate_only: false,
        };
        ErrorCode(self.call(5, &request).await.topics[0].error_code)
    }

    /// All topics.
    pub async fn metadata(&mut self) -> MetadataResponse {
        self.call(9, &MetadataRequest::default()).await
    }

    pub async fn produce(&mut self, topic: &str, partition: i32, value: &str) -> (ErrorCode, i64) {
        let request = produce_request(topic, partition, batch(&[value]), -1);
        answer_of(&self.call(9, &request).await)
    }

    /// The values stored in a partition, from the beginning.
    pub async fn values(&mut self, topic: &str, partition: i32) -> Vec<String> {
        let mut values = Vec::new();
        loop {
            let request = fetch_request(topic, partition, values.len() as i64, 0);
            let response = self.call(12, &request).await;
            let found = values_of(&response);
            if found.is_empty() {
                return values;
            }
            values.extend(found);
        }
    }
}

pub fn answer_of(response: &ProduceResponse) -> (ErrorCode, i64) {
    let partition = &response.responses[0].partition_responses[0];
    (ErrorCode(partition.error_code), partition.base_offset)
}

pub fn error_of(response: &FetchResponse) -> ErrorCode {
    ErrorCode(response.responses[0].partitions[0].error_code)
}

pub fn values_of(response: &FetchResponse) -> Vec<String> {
    let partition = &response.responses[0].partitions[0];
    assert_eq!(error_of(response), ErrorCode::NONE);
    let Records::Bytes(bytes) = partition.records.clone() else { return Vec::new() };
    let mut values = Vec::new();
    for batch in batches(bytes) {
        for record in records(&batch.expect("a whole batch"), 1 << 20).expect("a readable batch") {
            let value = record.expect("a readable record").value.unwrap_or_default();
            values.push(String::from_utf8_lossy(&value).into_owned());
        }
    }
    values
}

pub fn batch(values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    for (at, value) in values.iter().enumerate() {
        builder.push(Timestamp(1_700_000_000_000 + at as i64), None, Some(value.as_bytes()), &[]);
    }
    builder.build()
}

pub fn produce_request(topic: &str, partition: i32, records: Bytes, acks: i16) -> ProduceRequest {
    ProduceRequest {
        acks,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: topic.to_owned(),
            partition_data: vec![PartitionProduceData { index: partition, records: Some(records) }],
        }],
        ..Default::default()
    }
}

pub fn fetch_request(topic: &str, partition: i32, offset: i64, max_wait_ms: i32) -> FetchRequest {
    FetchRequest {
        max_wait_ms,
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: vec![FetchTopic {
            topic: topic.to_owned(),
            partitions: vec![FetchPartition {
                partition,
                fetch_offset: offset,
                partition_max_bytes: 1 << 20,
                ..Default::default()
            }],
        }],
        ..Default::default()
    }
}
