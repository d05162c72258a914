//! Each field is shown wrong once.

use seedlog::protocol::messages::{
    FetchResponse, FetchableTopicResponse, ListOffsetsPartitionResponse, ListOffsetsResponse,
    ListOffsetsTopicResponse, ProduceResponse, TopicProduceResponse,
};
use seedlog::protocol::{Message, Writer, encode_response_into, frame};
use seedlog::record::{BatchBuilder, Compression};
use seedlog::types::Timestamp;

use super::*;

const TOPIC: &str = "orders";
const ID: i32 = 7;
const AT: Offset = Offset(0);

/// The frame of a reply, without its length.
fn reply<R: Api>(version: i16, response: &R::Response) -> Bytes
where
    R::Response: Message,
{
    let mut out = Writer::new();
    encode_response_into(&mut out, R::KEY, version, ID, response);
    out.into_bytes().slice(frame::LENGTH_BYTES..)
}

fn stored() -> PartitionProduceResponse {
    PartitionProduceResponse { index: 1, base_offset: 5, log_start_offset: 0, ..Default::default() }
}

fn judged_produce(answer: PartitionProduceResponse) -> Result<Vec<Fate>, String> {
    let topic = TopicProduceResponse { name: TOPIC.into(), partition_responses: vec![answer] };
    let response = ProduceResponse { responses: vec![topic], throttle_time_ms: 0 };
    produced(reply::<ProduceRequest>(9, &response), 9, ID, (TOPIC, false), &[1])
}

#[test]
fn a_right_reply_to_produce_tells_the_base_offset() {
    assert_eq!(judged_produce(stored()), Ok(vec![Fate::Stored(Some(Offset(5)))]));
}

#[test]
fn a_wrong_field_of_a_reply_to_produce_is_named() {
    let wrong = [
        (PartitionProduceResponse { index: 2, ..stored() }, "not answered for partition 1"),
        (PartitionProduceResponse { base_offset: -1, ..stored() }, "base offset"),
        (PartitionProduceResponse { log_append_time_ms: 3, ..stored() }, "time of the append"),
        (PartitionProduceResponse { log_start_offset: 6, ..stored() }, "log start"),
        (PartitionProduceResponse { error_message: Some("?".into()), ..stored() }, "error message"),
        (PartitionProduceResponse { error_code: 6, ..stored() }, "refused"),
    ];
    for (answer, named) in wrong {
        let complaint = judged_produce(answer).unwrap_err();
        assert!(complaint.contains(named), "{complaint}");
    }
}

#[test]
fn a_reply_to_another_request_is_found() {
    let response = ProduceResponse::default();
    let complaint =
        produced(reply::<ProduceRequest>(9, &response), 9, ID + 1, (TOPIC, false), &[1]).unwrap_err();
    assert_eq!(complaint, "the correlation id of the reply to Produce is 7 and not 8");
}

fn judged_latest(answer: ListOffsetsPartitionResponse) -> Result<Option<Latest>, String> {
    let topic = ListOffsetsTopicResponse { name: TOPIC.into(), partitions: vec![answer] };
    let response = ListOffsetsResponse { topics: vec![topic], ..Default::default() };
    latest(reply::<ListOffsetsRequest>(7, &response), 7, ID, TOPIC, 1)
}

#[test]
fn the_end_of_a_log_has_no_time_and_no_error_has_an_offset() {
    let right = || ListOffsetsPartitionResponse { partition_index: 1, offset: 4, ..Default::default() };
    assert_eq!(judged_latest(right()), Ok(Some(Latest { partition: 1, offset: 4 })));
    assert!(judged_latest(ListOffsetsPartitionResponse { timestamp: 9, ..right() }).is_err());
    assert!(judged_latest(ListOffsetsPartitionResponse { error_code: 6, ..right() }).is_err());
    assert!(judged_latest(ListOffsetsPartitionResponse { partition_index: 0, ..right() }).is_err());
}

/// One batch of one record, at offset 0.
fn batch() -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(Timestamp(1), None, Some(b"r"), &[]);
    builder.build()
}

fn judged_fetch(high_watermark: i64, records: Bytes, latest: Option<Latest>) -> Result<(), String> {
    let data = PartitionData {
        partition_index: 1,
        high_watermark,
        log_start_offset: 0,
        records: Records::Bytes(records),
        ..Default::default()
    };
    let topic = FetchableTopicResponse { topic: TOPIC.into(), partitions: vec![data] };
    let response = FetchResponse { responses: vec![topic], ..Default::default() };
    fetched(reply::<FetchRequest>(12, &response), 12, ID, TOPIC, 1, AT, latest.as_ref())
}

#[test]
fn a_whole_batch_below_the_high_watermark_and_nothing_at_it_are_right() {
    assert_eq!(judged_fetch(1, batch(), None), Ok(()));
    assert_eq!(judged_fetch(0, Bytes::new(), None), Ok(()));
}

#[test]
fn nothing_though_there_is_something_and_something_too_early_are_found() {
    assert!(judged_fetch(1, Bytes::new(), None).unwrap_err().contains("nothing is returned"));
    assert!(judged_fetch(0, batch(), None).unwrap_err().contains("high watermark is 0"));
}

#[test]
fn a_piece_of_the_first_batch_is_found() {
    let complaint = judged_fetch(1, batch().slice(..batch().len() - 1), None).unwrap_err();
    assert!(complaint.contains("the first batch"), "{complaint}");
}

#[test]
fn an_end_of_the_log_beyond_a_later_high_watermark_is_found() {
    let told = |offset| Some(Latest { partition: 1, offset });
    assert_eq!(judged_fetch(1, batch(), told(1)), Ok(()));
    assert!(judged_fetch(1, batch(), told(2)).unwrap_err().contains("the log's end was told to be 2"));
}
