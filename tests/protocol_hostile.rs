//! Hostile frames: decoding never panics, and never holds more memory than a small multiple of the frame.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use seedlog::protocol::messages::*;
use seedlog::protocol::{
    self, ARRAY_BYTES_FREE, ARRAY_BYTES_MAX, ARRAY_GROWTH_MAX, Api, DecodeError, Message, Piece,
    RequestError, decode_request, decode_response, encode_request, frame,
};

mod counting_allocator;
mod protocol_support;

use counting_allocator::peak_of;
use protocol_support::{Sample, Source, encode_response};

/// Arrays, and the texts in them.
const GROWTH_MAX: usize = ARRAY_GROWTH_MAX + 1;
/// What may be taken whatever the frame's size.
const FIXED_BYTES_MAX: usize = ARRAY_BYTES_FREE + 1024;

fn within_bounds<T>(frame: &Bytes, decode: impl FnOnce(Bytes) -> T) -> T {
    let (peak, outcome) = peak_of(|| decode(frame.clone()));
    let allowed = GROWTH_MAX * frame.len() + FIXED_BYTES_MAX;
    assert!(peak <= allowed, "{peak} bytes held for a frame of {}: {frame:?}", frame.len());
    outcome
}

fn is_request(frame: &Bytes) -> bool {
    within_bounds(frame, |frame| decode_request(frame).is_ok())
}

fn is_response<A: Api>(frame: &Bytes, version: i16) -> bool {
    within_bounds(frame, |frame| decode_response::<A>(frame, version).is_ok())
}

/// A valid request of every version.
fn requests<A: Api + Sample>(entropy: &[u8]) -> impl Iterator<Item = (i16, Bytes)> {
    (A::VERSIONS.min..=A::VERSIONS.max).map(move |version| {
        let request = A::sample(&mut Source::new(entropy), version);
        (version, encode_request(version, 1, Some("client"), &request).slice(frame::LENGTH_BYTES..))
    })
}

/// A valid response of every version.
fn responses<A: Api>(entropy: &[u8]) -> impl Iterator<Item = (i16, Bytes)>
where
    A::Response: Sample,
{
    (A::VERSIONS.min..=A::VERSIONS.max).map(move |version| {
        let response = A::Response::sample(&mut Source::new(entropy), version);
        match &encode_response(A::KEY, version, 1, &response)[..] {
            [Piece::Bytes(bytes)] => (version, bytes.slice(frame::LENGTH_BYTES..)),
            pieces => panic!("no holes were asked for: {pieces:?}"),
        }
    })
}

/// Lengths that promise more than any frame holds, as each form writes them, and lengths below zero.
const BOMBS: &[&[u8]] = &[
    &[0x7f, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xfe],
    &[0x00, 0xff, 0xff, 0xff],
    &[0x7f, 0xff],
    &[0xff, 0xfe],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0x7f],
];

/// `frame` with a bomb at `at`, over what was there.
fn with_bomb(frame: &Bytes, at: usize, bomb: &[u8]) -> Bytes {
    let mut hostile = frame[..at].to_vec();
    hostile.extend_from_slice(bomb);
    hostile.extend_from_slice(frame.get(at + bomb.len()..).unwrap_or_default());
    Bytes::from(hostile)
}

fn header(key: i16, version: i16) -> BytesMut {
    let mut frame = BytesMut::new();
    frame.extend_from_slice(&key.to_be_bytes());
    frame.extend_from_slice(&version.to_be_bytes());
    // Correlation id and no client id.
    frame.extend_from_slice(&[0, 0, 0, 1, 0xff, 0xff]);
    frame
}

macro_rules! hostility {
    ($api:ident, $request:ident, $response:ident) => {
        mod $api {
            use super::*;

            proptest! {
                #[test]
                fn arbitrary_bytes_are_survived(body in vec(any::<u8>(), 0..300)) {
                    for version in $request::VERSIONS.min..=$request::VERSIONS.max {
                        let mut frame = header($request::KEY as i16, version);
                        frame.extend_from_slice(&body);
                        is_request(&frame.freeze());
                        is_response::<$request>(&Bytes::copy_from_slice(&body), version);
                    }
                }
            }

            proptest! {
                #![proptest_config(ProptestConfig::with_cases(20))]

                #[test]
                fn frame_cut_short_anywhere_is_refused(entropy in vec(any::<u8>(), 0..200)) {
                    for (version, frame) in requests::<$request>(&entropy) {
                        assert!(is_request(&frame), "version {version}");
                        for end in 0..frame.len() {
                            assert!(!is_request(&frame.slice(..end)), "version {version}, {end} bytes");
                        }
                    }
                    for (version, frame) in responses::<$request>(&entropy) {
                        for end in 0..frame.len() {
                            let cut = frame.slice(..end);
                            assert!(!is_response::<$request>(&cut, version), "version {version}, {end} bytes");
                        }
                    }
                }

                #[test]
                fn length_bomb_anywhere_is_survived(entropy in vec(any::<u8>(), 0..200)) {
                    for (_, frame) in requests::<$request>(&entropy) {
                        for at in 8..frame.len() {
                            BOMBS.iter().for_each(|bomb| { is_request(&with_bomb(&frame, at, bomb)); });
                        }
                    }
                    for (version, frame) in responses::<$request>(&entropy) {
                        for at in 4..frame.len() {
                            BOMBS.iter().for_each(|bomb| {
                                is_response::<$request>(&with_bomb(&frame, at, bomb), version);
                            });
                        }
                    }
                }
            }
        }
    };
}

for_every_api!(hostility);

proptest! {
    #[test]
    fn arbitrary_frames_are_survived(frame in vec(any::<u8>(), 0..300)) {
        is_request(&Bytes::from(frame));
    }

    #[test]
    fn arbitrary_stream_is_cut_or_refused(stream in vec(any::<u8>(), 0..300), limit in 0usize..1000) {
        let mut buffer = BytesMut::from(&stream[..]);
        while let Ok(Some(frame)) = frame::next_frame(&mut buffer, limit) {
            assert!(frame.len() <= limit);
        }
    }
}

#[test]
fn nine_bytes_that_ask_for_154_gigabytes_are_refused() {
    let mut frame = header(protocol::ApiKey::Metadata as i16, 0);
    frame.extend_from_slice(&[0x7f, 0xff, 0xff, 0xff]);
    let refused = within_bounds(&frame.freeze(), decode_request);
    assert!(matches!(refused, Err(RequestError::Malformed { .. })), "{refused:?}");
}

#[test]
fn frame_full_of_the_smallest_elements_grows_as_allowed_and_no_more() {
    let topics = |count| DeleteTopicsRequest { topic_names: vec![String::new(); count], timeout_ms: 0 };
    let frame = |count| encode_request(5, 1, None, &topics(count)).slice(frame::LENGTH_BYTES..);
    let fits = ARRAY_BYTES_FREE / size_of::<String>();
    let (peak, outcome) = peak_of(|| decode_request(frame(fits)).is_ok());
    assert!(outcome);
    assert!(peak > fits * size_of::<String>(), "the measure sees what is held: {peak}");
    let large = frame(50_000);
    let (peak, outcome) = peak_of(|| decode_request(large.clone()).is_ok());
    assert!(!outcome, "{} bytes would take {}", large.len(), 50_000 * size_of::<String>());
    assert!(peak <= large.len() * GROWTH_MAX + FIXED_BYTES_MAX);
}

#[test]
fn large_frame_full_of_the_smallest_elements_is_refused() {
    let frame_bytes = 8 << 20;
    let mut frame = header(protocol::ApiKey::DeleteTopics as i16, 5);
    // No tagged fields in the header, then an array as long as the rest.
    frame.extend_from_slice(&[0, 0xf0, 0xff, 0xff, 0x03]);
    frame.resize(frame_bytes, 1);
    let (peak, outcome) = peak_of(|| decode_request(frame.freeze()));
    let api = Some(protocol::ApiKey::DeleteTopics);
    assert_eq!(outcome, Err(RequestError::Malformed { api, error: DecodeError::TooManyElements }));
    assert!(peak <= ARRAY_BYTES_MAX);
}
