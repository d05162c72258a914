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
    api_versions_response, decode_request, decode_response, encode_request,
};

mod protocol_support;

use protocol_support::{Oracle, Sample, Source, encode_response};

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

        let mut input = Reader::new(&bytes);
        let decoded = Ours::decode(&mut input, version);
        prop_assert_eq!(decoded.as_ref(), Ok(&ours), "version {}", version);
        prop_assert_eq!(input.finish(), Ok(()));

        let other: Vec<u8> = entropy.iter().rev().copied().collect();
        let mut over = Ours::sample(&mut Source::new(&other), Ours::VERSIONS.max);
        prop_assert_eq!(over.decode_into(&mut Reader::new(&bytes), version), Ok(()));
        prop_assert_eq!(&over, &ours, "version {} over another", version);

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
        prop_assert_eq!(
            (header.correlation_id, header.client_id.as_deref()),
            (correlation_id, client_id.as_deref())
        );
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
        DescribeConfigs
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
fn bytes_after_a_request_are_counted_and_not_looked_at() {
    let frame = encode_request(4, 1, None, &InitProducerIdRequest::default());
    let mut longer = frame.slice(4..).to_vec();
    longer.extend_from_slice(&[0, 1, 2]);
    let (header, request) = decode_request(Bytes::from(longer)).expect("Kafka takes no offence either");
    assert_eq!(header.trailing_bytes, 3);
    assert_eq!(request, Request::InitProducerId(InitProducerIdRequest::default()));
}

#[test]
fn an_api_of_kafkas_that_is_not_served_is_named() {
    let told = |key| RequestError::UnknownApi { key }.to_string();
    assert_eq!(told(11), "JoinGroup (API key 11) is not served yet");
    assert_eq!(told(999), "API key 999 is not known");
}

#[test]
fn null_where_a_version_has_none_is_refused() {
    let topics_null_in_version_0 = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff]);
    let refused = MetadataRequest::decode(&mut Reader::new(&topics_null_in_version_0), 0);
    assert_eq!(refused, Err(protocol::DecodeError::UnexpectedNull));
    let topics_null_in_version_1 = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff]);
    let all_topics = MetadataRequest::decode(&mut Reader::new(&topics_null_in_version_1), 1);
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

/// Frames as a real client sends and accepts them: tests/golden, hexadecimal with comments.
mod golden {
    use super::*;

    macro_rules! golden {
        ($name:literal) => {
            frame(include_str!(concat!("golden/", $name, ".hex")))
        };
    }

    fn frame(text: &str) -> Bytes {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let digits: Vec<u8> = lines.flat_map(str::bytes).filter(|byte| !byte.is_ascii_whitespace()).collect();
        let pairs = digits.chunks(2).map(|pair| str::from_utf8(pair).expect("digits are ASCII"));
        pairs.map(|pair| u8::from_str_radix(pair, 16).expect("two hexadecimal digits")).collect()
    }

    fn is_request<A: Api + Clone>(frame: Bytes, version: i16, id: i32, expected: A, wrap: fn(A) -> Request) {
        let (header, request) = decode_request(frame.clone()).expect("a real client sent it");
        assert_eq!((header.api_key, header.api_version), (A::KEY, version));
        assert_eq!((header.correlation_id, header.client_id.as_deref()), (id, Some("rdkafka")));
        assert_eq!(request, wrap(expected.clone()));
        assert_eq!(encode_request(version, id, Some("rdkafka"), &expected).slice(4..), frame);
    }

    fn is_response<A: Api>(frame: Bytes, version: i16, correlation_id: i32, expected: A::Response)
    where
        A::Response: PartialEq + Debug,
    {
        let pieces = encode_response(A::KEY, version, correlation_id, &expected);
        let [Piece::Bytes(encoded)] = &pieces[..] else { panic!("no holes were asked for: {pieces:?}") };
        assert_eq!(encoded.slice(4..), frame);
        assert_eq!(decode_response::<A>(frame, version), Ok((correlation_id, expected)));
    }

    const BATCH_BYTES: usize = 80;

    /// The batch of one record (key `key`, value `hello`, header `a: b`) in both golden frames.
    fn batch() -> Bytes {
        let frame = golden!("fetch_v11_response");
        frame.slice(frame.len() - BATCH_BYTES..)
    }

    #[test]
    fn api_versions() {
        let request = ApiVersionsRequest {
            client_software_name: "librdkafka".into(),
            client_software_version: "2.0.2".into(),
        };
        is_request(golden!("api_versions_v3_request"), 3, 1, request, Request::ApiVersions);

        let range = |api_key, max_version| ApiVersion { api_key, min_version: 0, max_version };
        let response =
            ApiVersionsResponse { api_keys: vec![range(0, 9), range(18, 3)], ..Default::default() };
        is_response::<ApiVersionsRequest>(golden!("api_versions_v3_response"), 3, 1, response);

        let refusal =
            ApiVersionsResponse { error_code: 35, api_keys: vec![range(18, 3)], ..Default::default() };
        is_response::<ApiVersionsRequest>(golden!("api_versions_v0_refusal"), 0, 9, refusal);
    }

    #[test]
    fn metadata() {
        let request = MetadataRequest {
            topics: Some(Vec::new()),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        is_request(golden!("metadata_v4_request"), 4, 2, request, Request::Metadata);

        let broker = MetadataResponseBroker { node_id: 7, host: "127.0.0.1".into(), port: 19777, rack: None };
        let partition = MetadataResponsePartition {
            leader_id: 7,
            replica_nodes: vec![7],
            isr_nodes: vec![7],
            ..Default::default()
        };
        let topic = MetadataResponseTopic {
            name: Some("words".into()),
            partitions: vec![partition],
            ..Default::default()
        };
        let response = MetadataResponse {
            brokers: vec![broker],
            cluster_id: Some("cluster-1".into()),
            controller_id: 7,
            topics: vec![topic],
            ..Default::default()
        };
        is_response::<MetadataRequest>(golden!("metadata_v4_response"), 4, 2, response);
    }

    #[test]
    fn produce() {
        let partition = PartitionProduceData { index: 0, records: Some(batch()) };
        let topic = TopicProduceData { name: "words".into(), partition_data: vec![partition] };
        let request =
            ProduceRequest { transactional_id: None, acks: -1, timeout_ms: 30_000, topic_data: vec![topic] };
        is_request(golden!("produce_v7_request"), 7, 3, request, Request::Produce);

        let partition = PartitionProduceResponse { log_start_offset: 0, ..Default::default() };
        let topic = TopicProduceResponse { name: "words".into(), partition_responses: vec![partition] };
        let response = ProduceResponse { responses: vec![topic], throttle_time_ms: 0 };
        is_response::<ProduceRequest>(golden!("produce_v7_response"), 7, 3, response);
    }

    #[test]
    fn init_producer_id() {
        let request = InitProducerIdRequest { transaction_timeout_ms: -1, ..Default::default() };
        is_request(golden!("init_producer_id_v4_request"), 4, 3, request, Request::InitProducerId);

        let response = InitProducerIdResponse { producer_id: 1000, ..Default::default() };
        is_response::<InitProducerIdRequest>(golden!("init_producer_id_v4_response"), 4, 3, response);
    }

    #[test]
    fn list_offsets() {
        let partition = ListOffsetsPartition { timestamp: -2, ..Default::default() };
        let topic = ListOffsetsTopic { name: "words".into(), partitions: vec![partition] };
        let request = ListOffsetsRequest { replica_id: -1, isolation_level: 1, topics: vec![topic] };
        is_request(golden!("list_offsets_v2_request"), 2, 4, request, Request::ListOffsets);

        let partition = ListOffsetsPartitionResponse { offset: 0, ..Default::default() };
        let topic = ListOffsetsTopicResponse { name: "words".into(), partitions: vec![partition] };
        let response = ListOffsetsResponse { topics: vec![topic], ..Default::default() };
        is_response::<ListOffsetsRequest>(golden!("list_offsets_v2_response"), 2, 4, response);
    }

    #[test]
    fn fetch() {
        let partition = FetchPartition { partition_max_bytes: 1 << 20, ..Default::default() };
        let topic = FetchTopic { topic: "words".into(), partitions: vec![partition] };
        let request = FetchRequest {
            max_wait_ms: 500,
            min_bytes: 1,
            max_bytes: 50 << 20,
            isolation_level: 1,
            topics: vec![topic],
            ..Default::default()
        };
        is_request(golden!("fetch_v11_request"), 11, 5, request, Request::Fetch);

        let partition = PartitionData {
            high_watermark: 1,
            last_stable_offset: 1,
            log_start_offset: 0,
            records: Records::Bytes(batch()),
            ..Default::default()
        };
        let topic = FetchableTopicResponse { topic: "words".into(), partitions: vec![partition] };
        let response = FetchResponse { responses: vec![topic], ..Default::default() };
        is_response::<FetchRequest>(golden!("fetch_v11_response"), 11, 5, response);
    }
}
