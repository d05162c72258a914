//! Frames with wrong bits in them.

use std::io::Write;
use std::net::Shutdown;

use bytes::Bytes;
use seedlog::protocol::encode_request;
use seedlog::protocol::messages::*;
use seedlog::record::Compression;

use crate::subject::{Subject, TOPIC};
use crate::support::raw::{batch, fetch_request, produce_request};

const FRAMES: u64 = 1_500;

/// xorshift64*: the same frames in each run.
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}

fn good_frames() -> Vec<Bytes> {
    let topics = vec![MetadataRequestTopic { name: Some(TOPIC.to_owned()) }];
    let offsets = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic { name: TOPIC.to_owned(), partitions: vec![Default::default()] }],
        ..Default::default()
    };
    let resource = DescribeConfigsResource {
        resource_type: 2,
        resource_name: TOPIC.to_owned(),
        configuration_keys: None,
    };
    let describe = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let produce = produce_request(TOPIC, 0, batch(Compression::None, &[b"fuzz", b"fuzz"]), -1);
    let mut frames = vec![
        encode_request(9, 1, Some("fuzz"), &MetadataRequest { topics: Some(topics), ..Default::default() }),
        encode_request(3, 1, Some("fuzz"), &ApiVersionsRequest::default()),
        encode_request(1, 1, Some("fuzz"), &offsets),
        encode_request(7, 1, Some("fuzz"), &offsets),
        encode_request(4, 1, Some("fuzz"), &describe),
        encode_request(3, 1, Some("fuzz"), &FindCoordinatorRequest::default()),
        encode_request(4, 1, Some("fuzz"), &InitProducerIdRequest::default()),
        encode_request(5, 1, Some("fuzz"), &CreateTopicsRequest::default()),
    ];
    for version in [3, 7, 9] {
        frames.push(encode_request(version, 1, Some("fuzz"), &produce));
    }
    for version in [4, 11, 12] {
        frames.push(encode_request(version, 1, Some("fuzz"), &fetch_request(TOPIC, 0, 0, 1000)));
    }
    frames
}

/// A good frame with a few bytes changed, doubled, or cut off; its length is then mostly true.
fn bad_frame(draws: &mut Draws, good: &[Bytes]) -> Vec<u8> {
    let mut frame = good[draws.below(good.len())].to_vec();
    for _ in 0..=draws.below(4) {
        let at = 4 + draws.below(frame.len() - 4);
        match draws.below(5) {
            0 => frame[at] ^= 1 << draws.below(8),
            1 => frame[at] = 0xff,
            2 => frame[at] = draws.below(256) as u8,
            3 => frame.insert(at, draws.below(256) as u8),
            _ if frame.len() > 16 => {
                frame.remove(at);
            }
            _ => {}
        }
    }
    if draws.below(10) > 0 {
        let length = (frame.len() - 4) as i32;
        frame[..4].copy_from_slice(&length.to_be_bytes());
    }
    frame
}

#[test]
fn frames_with_wrong_bits_hurt_nobody() {
    let mut subject = Subject::start("request_arrival_ms_max = 1000\n");
    let before = subject.rss_mib();
    let good = good_frames();
    let mut draws = Draws(0x5eed_1065);
    let mut client = subject.client();
    for number in 0..FRAMES {
        // Several on one connection, for as long as the broker keeps it.
        if number % 8 == 0 || client.stream.write_all(&bad_frame(&mut draws, &good)).is_err() {
            // It may be closed already.
            let _ = client.stream.shutdown(Shutdown::Both);
            client = subject.client();
        }
    }
    drop(client);

    subject.goes_on();
    let after = subject.rss_mib();
    assert!(after < before + 64, "{before} MiB, then {after} MiB");
}
