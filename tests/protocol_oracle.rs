//! Every message in every version, against the `kafka-protocol` crate and against fixed bytes.

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use proptest::collection::vec;
use proptest::prelude::*;
use seedlog::protocol::messages::*;
use seedlog::protocol::{
    self, Api, ErrorCode, Message, Piece, Reader, Records, Request, RequestError, Writer,
    api_versions_response, decode_request, decode_response, encode_request, encode_response,
};

mod protocol_support;

use protocol_support::{Oracle, Sample, Source};

/// Enough for a message with a few elements in each array.
const ENTROPY_BYTES_MAX: usize = 400;

fn their_bytes(message: &impl Encodable, version: i16) -> Bytes {
    let mut out = BytesMut::new();
    message.encode(&mut out, version).expect("the crate encodes what the version can carry");
    out.freeze()
}

fn our_bytes(message: &impl Message, version: i16) -> Bytes {
    let mut out = Writer::new();
    message.encode(&mut out, version);
    out.into_bytes()
}

/// Same bytes from both, and each reads the other's, in every version.
fn agrees<Ours, Theirs>(entropy: &[u8]) -> Result<(), TestCaseError>
where
    Ours: Message + Sample + Oracle<Theirs> + PartialEq + Debug,
    Theirs: Encodable + Decodable + PartialEq + Debug,
{
    for version in Ours::VERSIONS.min..=Ours::VERSIONS.max {
        let ours = Ours::sample(&mut Source::new(entropy), version);
        let theirs = ours.oracle(version);
        let bytes = their_bytes(&theirs, version);

        prop_assert_eq!(&our_bytes(&ours, version), &bytes, "version {}", version);

        let mut input = Reader::new(bytes.clone());
        let decoded = Ours::decode(&mut input, version);
        prop_assert_eq!(decoded.as_ref(), Ok(&ours), "version {}", version);
        prop_assert_eq!(input.finish(), Ok(()));
        let decoded = Theirs::decode(&mut bytes.clone(), version).expect("the crate decodes its own");
        prop_assert_eq!(decoded, theirs, "version {}", version);
    }
    Ok(())
}

/// A request with its header, written by us and by the crate.
fn request_agrees<Ours, Theirs>(
    entropy: &[u8],
    correlation_id: i32,
    client_id: Option<String>,
) -> Result<(), TestCaseError>
where
    Ours: Api + Sample + Oracle<Theirs>,
    Theirs: Encodable,
{
    for version in Ours::VERSIONS.min..=Ours::VERSIONS.max {
        let ours = Ours::sample(&mut Source::new(entropy), version);
        let frame = encode_request(version, correlation_id, client_id.as_deref(), &ours);

        let key = theirs::ApiKey::try_from(Ours::KEY as i16).expect("the crate knows every API");
        let header = theirs::RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(correlation_id)
            .with_client_id(client_id.clone().map(StrBytes::from_string));
        let mut expected = their_bytes(&header, key.request_header_version(version)).to_vec();
        expected.extend_from_slice(&their_bytes(&ours.oracle(version), version));
        prop_assert_eq!(frame.slice(..4), Bytes::copy_from_slice(&(expected.len() as i32).to_be_bytes()));
        prop_assert_eq!(frame.slice(4..), Bytes::from(expected));

        let (header, request) = decode_request(frame.slice(4..)).expect("what we encode we decode");
        prop_assert_eq!((header.api_key, header.api_version), (Ours::KEY, version));
        prop_assert_eq!((header.correlation_id, &header.client_id), (correlation_id, &client_id));
        prop_assert_eq!(encode_again(&request, version), our_bytes(&ours, version));
    }
    Ok(())
}

fn encode_again(request: &Request, version: i16) -> Bytes {
    macro_rules! arms {
        ($($api:ident)*) => { match request { $( Request::$api(request) => our_bytes(request, version), )* } };
    }
    arms! {
        Produce Fetch ListOffsets Metadata FindCoordinator ApiVersions CreateTopics DeleteTopics InitProducerId
    }
}

/// A response with its header, written by us and by the crate.
fn response_agrees<Ours, Theirs>(entropy: &[u8], correlation_id: i32) -> Result<(), TestCaseError>
where
    Ours: Api,
    Ours::Response: Sample + Oracle<Theirs> + PartialEq + Debug,
    Theirs: Encodable,
{
    for version in Ours::VERSIONS.min..=Ours::VERSIONS.max {
        let ours = Ours::Response::sample(&mut Source::new(entropy), version);
        let pieces = encode_response(Ours::KEY, version, correlation_id, &ours);
        let [Piece::Bytes(frame)] = &pieces[..] else { panic!("no holes were asked for: {pieces:?}") };

        let key = theirs::ApiKey::try_from(Ours::KEY as i16).expect("the crate knows every API");
        let header = theirs::ResponseHeader::default().with_correlation_id(correlation_id);
        let mut expected = their_bytes(&header, key.response_header_version(version)).to_vec();
        expected.extend_from_slice(&their_bytes(&ours.oracle(version), version));
        prop_assert_eq!(frame.slice(4..), Bytes::from(expected));

        prop_assert_eq!(protocol::correlation_id(&frame[4..]), Some(correlation_id));
        if is_version_refusal(Ours::KEY, &frame[8..]) {
            continue;
        }
        let decoded = decode_response::<Ours>(frame.slice(4..), version);
        prop_assert_eq!(decoded, Ok((correlation_id, ours)));
    }
    Ok(())
}

/// Such a response is read in version 0, whatever was asked.
fn is_version_refusal(key: protocol::ApiKey, body: &[u8]) -> bool {
    key == protocol::ApiKey::ApiVersions && body.starts_with(&ErrorCode::UNSUPPORTED_VERSION.0.to_be_bytes())
}

macro_rules! agreement {
    ($api:ident, $request:ident, $response:ident) => {
        mod $api {
            use super::*;

            proptest! {
                #[test]
                fn request_has_the_same_bytes_in_every_version(entropy in vec(any::<u8>(), 0..ENTROPY_BYTES_MAX)) {
                    agrees::<$request, theirs::$request>(&entropy)?;
                }

                #[test]
                fn response_has_the_same_bytes_in_every_version(entropy in vec(any::<u8>(), 0..ENTROPY_BYTES_MAX)) {
                    agrees::<$response, theirs::$response>(&entropy)?;
                }

                #[test]
                fn frames_have_the_same_bytes_in_every_version(
                    entropy in vec(any::<u8>(), 0..ENTROPY_BYTES_MAX),
                    correlation_id: i32,
                    client_id: Option<String>,
                ) {
                    request_agrees::<$request, theirs::$request>(&entropy, correlation_id, client_id)?;
                    response_agrees::<$request, theirs::$response>(&entropy, correlation_id)?;
                }
            }
        }
    };
}

for_every_api!(agreement);

proptest! {
    #[test]
    fn fetch_response_with_its_holes_filled_is_the_one_with_bytes(
        entropy in vec(any::<u8>(), 0..ENTROPY_BYTES_MAX),
    ) {
        for version in FetchRequest::VERSIONS.min..=FetchRequest::VERSIONS.max {
            let whole = FetchResponse::sample(&mut Source::new(&entropy), version);
            let mut holed = whole.clone();
            let mut fillings = Vec::new();
            let partitions = holed.responses.iter_mut().flat_map(|topic| &mut topic.partitions);
            for partition in partitions {
                if let Records::Bytes(bytes) = partition.records.clone() {
                    partition.records = Records::Hole(bytes.len() as u32);
                    fillings.push(bytes);
                }
            }

            let pieces = encode_response(protocol::ApiKey::Fetch, version, 7, &holed);

            let mut fillings = fillings.into_iter().filter(|bytes| !bytes.is_empty());
            let mut sent = Vec::new();
            for piece in pieces {
                match piece {
                    Piece::Bytes(bytes) => sent.extend_from_slice(&bytes),
                    Piece::Hole { len } => {
                        let filling = fillings.next().expect("a filling for every hole");
                        prop_assert_eq!(filling.len(), len as usize);
                        sent.extend_from_slice(&filling);
                    }
                }
            }
            let expected = encode_response(protocol::ApiKey::Fetch, version, 7, &whole);
            prop_assert_eq!(vec![Piece::Bytes(Bytes::from(sent))], expected);
        }
    }
}

#[test]
fn request_of_unknown_version_is_refused_by_reaction() {
    let frame = |key: i16, version: i16| {
        let mut frame = BytesMut::new();
        frame.extend_from_slice(&key.to_be_bytes());
        frame.extend_from_slice(&version.to_be_bytes());
        frame.extend_from_slice(&[0, 0, 0, 42]);
        frame.freeze()
    };
    let too_new = RequestError::UnsupportedApiVersions { version: 5, correlation_id: 42 };
    assert_eq!(decode_request(frame(18, 5)), Err(too_new));
    let too_old = RequestError::UnsupportedVersion { api: protocol::ApiKey::Produce, version: 2 };
    assert_eq!(decode_request(frame(0, 2)), Err(too_old));
    assert_eq!(decode_request(frame(999, 0)), Err(RequestError::UnknownApi { key: 999 }));
}

#[test]
fn refusal_of_an_api_versions_version_is_read_as_version_0() {
    let refusal = api_versions_response(ErrorCode::UNSUPPORTED_VERSION);
    let pieces = encode_response(protocol::ApiKey::ApiVersions, 0, 9, &refusal);
    let [Piece::Bytes(frame)] = &pieces[..] else { panic!("no holes were asked for: {pieces:?}") };

    let read = decode_response::<ApiVersionsRequest>(frame.slice(4..), 3);

    assert_eq!(read, Ok((9, refusal)));
}

#[test]
fn bytes_after_a_message_are_refused() {
    let frame = encode_request(4, 1, None, &InitProducerIdRequest::default());
    let mut longer = frame.slice(4..).to_vec();
    longer.push(0);
    let refused = decode_request(Bytes::from(longer));
    assert!(matches!(refused, Err(RequestError::Malformed { .. })), "{refused:?}");
}

#[test]
fn null_where_a_version_has_none_is_refused() {
    let topics_null_in_version_0 = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff]);
    let refused = MetadataRequest::decode(&mut Reader::new(topics_null_in_version_0), 0);
    assert_eq!(refused, Err(protocol::DecodeError::UnexpectedNull));
    let topics_null_in_version_1 = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff]);
    let all_topics = MetadataRequest::decode(&mut Reader::new(topics_null_in_version_1), 1);
    assert_eq!(all_topics.expect("null is allowed").topics, None);
}

#[test]
fn records_of_a_produce_request_are_a_slice_of_its_frame() {
    let records = Bytes::from(vec![7; 1000]);
    let partition = PartitionProduceData { index: 0, records: Some(records) };
    let topic = TopicProduceData { name: "t".into(), partition_data: vec![partition] };
    let request = ProduceRequest { acks: -1, topic_data: vec![topic], ..Default::default() };
    let frame = encode_request(9, 1, None, &request).slice(4..);

    let (_, decoded) = decode_request(frame.clone()).expect("what we encode we decode");

    let Request::Produce(decoded) = decoded else { panic!("{decoded:?}") };
    let records = decoded.topic_data[0].partition_data[0].records.clone().expect("records were sent");
    assert!(frame.as_ptr_range().contains(&records.as_ptr()));
}
