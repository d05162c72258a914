//! A raw client: whole frames in, whole frames out, nothing retried.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use seedlog::protocol::messages::*;
use seedlog::protocol::{Api, ErrorCode, Records, decode_response, encode_request};
use seedlog::record::{BatchBuilder, Compression, batches, records};
use seedlog::types::Timestamp;

/// How long an answer may take before the test gives up.
const ANSWER_MAX: Duration = Duration::from_secs(20);

pub struct Raw {
    pub stream: TcpStream,
}

impl Raw {
    pub fn connect(address: &str) -> Raw {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(ANSWER_MAX)).expect("a time-out");
        stream.set_write_timeout(Some(ANSWER_MAX)).expect("a time-out");
        Raw { stream }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("a broker that reads");
    }

    /// The next frame's body, or why there is none.
    pub fn read_frame(&mut self) -> io::Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut body = vec![0; i32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut body)?;
        Ok(Bytes::from(body))
    }

    pub fn call<R: Api>(&mut self, version: i16, request: &R) -> R::Response {
        self.send(&encode_request(version, 7, Some("raw"), request));
        let frame = self.read_frame().expect("an answer");
        let (correlation_id, response) = decode_response::<R>(frame, version).expect("a readable answer");
        assert_eq!(correlation_id, 7);
        response
    }

    /// Whether the broker ended the connection, without answering.
    pub fn is_closed_by_broker(&mut self) -> bool {
        match self.stream.read(&mut [0; 1]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    /// Produces raw record bytes to partition 0 with acks = all; returns the error code and the base offset.
    pub fn produce(&mut self, topic: &str, records: Bytes) -> (ErrorCode, i64) {
        let request = produce_request(topic, 0, records, -1);
        let response = self.call(9, &request);
        let partition = &response.responses[0].partition_responses[0];
        (ErrorCode(partition.error_code), partition.base_offset)
    }

    /// The values stored in partition 0, from the beginning.
    pub fn values(&mut self, topic: &str) -> Vec<String> {
        let mut values = Vec::new();
        let mut offset = 0;
        loop {
            let request = fetch_request(topic, 0, offset, 1 << 20);
            let response = self.call(12, &request);
            let partition = &response.responses[0].partitions[0];
            assert_eq!(ErrorCode(partition.error_code), ErrorCode::NONE);
            let Records::Bytes(bytes) = partition.records.clone() else { return values };
            let before = values.len();
            for batch in batches(bytes) {
                for record in records(&batch.expect("a whole batch"), 64 << 20).expect("a readable batch") {
                    let record = record.expect("a readable record");
                    offset = record.offset.next().0;
                    values.push(
                        String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned(),
                    );
                }
            }
            if values.len() == before {
                return values;
            }
        }
    }
}

pub fn produce_request(topic: &str, partition: i32, records: Bytes, acks: i16) -> ProduceRequest {
    ProduceRequest {
        acks,
        timeout_ms: 10_000,
        topic_data: vec![TopicProduceData {
            name: topic.to_owned(),
            partition_data: vec![PartitionProduceData { index: partition, records: Some(records) }],
        }],
        ..Default::default()
    }
}

pub fn fetch_request(topic: &str, partition: i32, offset: i64, bytes_max: i32) -> FetchRequest {
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 0,
        max_bytes: bytes_max,
        topics: vec![FetchTopic {
            topic: topic.to_owned(),
            partitions: vec![FetchPartition {
                partition,
                fetch_offset: offset,
                partition_max_bytes: bytes_max,
                ..Default::default()
            }],
        }],
        ..Default::default()
    }
}

/// One batch with these values.
pub fn batch(compression: Compression, values: &[&[u8]]) -> Bytes {
    let mut builder = BatchBuilder::new(compression);
    for value in values {
        builder.push(Timestamp(1_700_000_000_000), None, Some(value), &[]);
    }
    builder.build()
}
