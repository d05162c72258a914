//! Small requests that ask for large work.

use std::time::Duration;

use bytes::Bytes;
use seedlog::protocol::messages::*;
use seedlog::protocol::{ErrorCode, REQUEST_ELEMENTS_MAX, encode_request};

use crate::subject::{Subject, TOPIC};
use crate::support::raw::Raw;

/// The most that any of these may make the broker take beyond what it had. A metadata request of 2.7 million
/// empty names made it 211 MiB and 34 s, on a machine that was busy.
const GROWTH_MIB_MAX: u64 = 100;

/// Runs `attack` and looks at the broker meanwhile: its memory, and whether it serves others.
fn under_attack(subject: &mut Subject, attack: impl FnOnce(Raw) + Send) {
    let before = subject.rss_mib();
    let client = subject.client();
    let mut peak = before;
    std::thread::scope(|scope| {
        let attacker = scope.spawn(|| attack(client));
        while !attacker.is_finished() {
            subject.serves_a_new_client();
            peak = peak.max(subject.rss_mib());
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    assert!(peak < before + GROWTH_MIB_MAX, "{before} MiB, then {peak} MiB");
    subject.goes_on();
}

fn names(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("n{number}"))
}

/// As many things as a request may name.
const MANY: usize = REQUEST_ELEMENTS_MAX - 10;

#[test]
fn metadata_of_millions_of_empty_names_is_not_even_read() {
    let mut subject = Subject::start("");
    under_attack(&mut subject, |mut client| {
        let nobody = MetadataRequestTopic { name: Some(String::new()) };
        let request = MetadataRequest { topics: Some(vec![nobody; 2_700_000]), ..Default::default() };
        let frame = encode_request(4, 1, Some("bomb"), &request);
        // The broker may close while this is sent.
        if std::io::Write::write_all(&mut client.stream, &frame).is_ok() {
            assert!(client.is_closed_by_broker());
        }
    });
}

#[test]
fn metadata_of_very_many_names_is_answered_within_bounds() {
    let mut subject = Subject::start("auto_create_topics = false\n");
    under_attack(&mut subject, |mut client| {
        let topics = names(MANY).map(|name| MetadataRequestTopic { name: Some(name) }).collect();
        let request = MetadataRequest { topics: Some(topics), ..Default::default() };
        assert_eq!(client.call(9, &request).topics.len(), MANY);
    });
}

#[test]
fn one_name_asked_for_again_and_again_is_answered_once() {
    let mut subject = Subject::start("");
    under_attack(&mut subject, |mut client| {
        let topic = MetadataRequestTopic { name: Some(TOPIC.to_owned()) };
        let request = MetadataRequest { topics: Some(vec![topic; MANY]), ..Default::default() };
        assert_eq!(client.call(9, &request).topics.len(), 1);
    });
}

fn fetch_of(partitions: impl Iterator<Item = i32>) -> FetchRequest {
    let partition =
        |partition| FetchPartition { partition, partition_max_bytes: 1 << 20, ..Default::default() };
    let topics =
        vec![FetchTopic { topic: TOPIC.to_owned(), partitions: partitions.map(partition).collect() }];
    FetchRequest { max_bytes: 1 << 20, min_bytes: 1, topics, ..Default::default() }
}

#[test]
fn a_fetch_of_very_many_partitions_is_answered_within_bounds() {
    let mut subject = Subject::start("");
    under_attack(&mut subject, |mut client| {
        let response = client.call(12, &fetch_of(0..MANY as i32));
        assert_eq!(response.responses[0].partitions.len(), MANY);
    });
}

#[test]
fn a_partition_that_is_fetched_again_and_again_is_answered_once() {
    let mut subject = Subject::start("");
    under_attack(&mut subject, |mut client| {
        let response = client.call(12, &fetch_of(std::iter::repeat_n(0, MANY)));
        assert_eq!(response.responses[0].partitions.len(), 1);
    });
}

#[test]
fn a_produce_to_very_many_partitions_without_records_is_answered_within_bounds() {
    let mut subject = Subject::start("");
    under_attack(&mut subject, |mut client| {
        let partition = PartitionProduceData { index: 0, records: Some(Bytes::new()) };
        let topic_data =
            vec![TopicProduceData { name: TOPIC.to_owned(), partition_data: vec![partition; MANY] }];
        let request = ProduceRequest { acks: 1, timeout_ms: 1000, topic_data, ..Default::default() };
        let response = client.call(9, &request);
        let answers = &response.responses[0].partition_responses;
        assert_eq!(answers.len(), MANY);
        assert!(answers.iter().all(|answer| ErrorCode(answer.error_code) == ErrorCode::INVALID_RECORD));
    });
}

#[test]
fn settings_of_very_many_resources_are_told_within_bounds() {
    let mut subject = Subject::start("");
    under_attack(&mut subject, |mut client| {
        let resource = |resource_name| DescribeConfigsResource {
            resource_type: 2,
            resource_name,
            configuration_keys: Some(Vec::new()),
        };
        let resources = names(MANY).map(resource).collect();
        let request = DescribeConfigsRequest { resources, include_synonyms: true, ..Default::default() };
        assert_eq!(client.call(4, &request).results.len(), MANY);
    });
}

#[test]
fn topics_made_by_the_thousand_are_refused_at_once() {
    let mut subject = Subject::start("");
    under_attack(&mut subject, |mut client| {
        let topics = names(MANY).map(|name| CreatableTopic {
            name,
            num_partitions: 1,
            replication_factor: 1,
            ..Default::default()
        });
        let request =
            CreateTopicsRequest { topics: topics.collect(), timeout_ms: 10_000, validate_only: true };
        let response = client.call(5, &request);
        assert_eq!(response.topics.len(), MANY);
        assert!(response.topics.iter().all(|topic| topic.error_code != 0));
    });
}
