//! Metadata: the brokers, and who leads the partitions of some or all topics; makes topics that are asked for
//! and not there, where the broker's configuration and the client agree to it.

use crate::broker::core::Core;
use crate::broker::metadata::{Image, Leader, PartitionImage};
use crate::broker::topics::{self, NewTopic};
use crate::protocol::ErrorCode;
use crate::protocol::messages::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};
use crate::runtime::{clock, task};

/// Topics that one request may make.
const AUTO_CREATE_MAX: usize = 32;
/// After so many topics and partitions other connections get their turn.
const ENTRIES_AT_A_TIME: usize = 1_000;
/// In this version an empty list asks for all topics, since null cannot be said.
const VERSION_WITHOUT_NULL: i16 = 0;

pub(in crate::broker::server) async fn metadata(
    core: &Core,
    version: i16,
    request: MetadataRequest,
) -> MetadataResponse {
    let asked =
        request.topics.filter(|topics| version > VERSION_WITHOUT_NULL || !topics.is_empty()).map(names);
    let may_create = core.config.auto_create_topics && request.allow_auto_topic_creation;
    if let Some(asked) = &asked
        && may_create
    {
        create_missing(core, asked).await;
    }
    let image = core.metadata.image();
    let topics = match asked {
        None => describe_each(&image, image.topics.keys().map(|name| name.to_string())).await,
        Some(names) => describe_each(&image, names.into_iter()).await,
    };
    MetadataResponse {
        brokers: brokers(&image),
        cluster_id: core.cluster_id(),
        controller_id: image.controller().map_or(-1, |broker| broker.0),
        topics,
        ..Default::default()
    }
}

/// Each name once, in order.
fn names(topics: Vec<MetadataRequestTopic>) -> Vec<String> {
    let mut names: Vec<String> = topics.into_iter().map(|topic| topic.name.unwrap_or_default()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

async fn describe_each(image: &Image, names: impl Iterator<Item = String>) -> Vec<MetadataResponseTopic> {
    let mut described = Vec::new();
    let mut entries = 0;
    for name in names {
        let topic = describe(image, name);
        entries += 1 + topic.partitions.len();
        described.push(topic);
        if entries >= ENTRIES_AT_A_TIME {
            entries = 0;
            task::yield_now().await;
        }
    }
    described
}

async fn create_missing(core: &Core, asked: &[String]) {
    let image = core.metadata.image();
    let missing = asked.iter().filter(|name| !image.topics.contains_key(name.as_str()));
    for name in missing.take(AUTO_CREATE_MAX) {
        let outcome = match topics::plan(core, &NewTopic::by_default(name)).await {
            Ok(spec) => topics::create(core, &spec, clock::now() + topics::AUTO_CREATE_WAIT).await,
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = outcome {
            // The client learns of it from the topic's error code; another broker may have made it first.
            tracing::debug!(topic = name, code = %refusal.code, message = refusal.message, "topic_not_made");
        }
    }
}

fn brokers(image: &Image) -> Vec<MetadataResponseBroker> {
    let broker = |broker: &crate::registry::BrokerRegistration| MetadataResponseBroker {
        node_id: broker.broker.0,
        host: broker.host.clone(),
        port: i32::from(broker.port),
        rack: broker.rack.clone(),
    };
    image.brokers.values().map(broker).collect()
}

fn describe(image: &Image, name: String) -> MetadataResponseTopic {
    let mut response = MetadataResponseTopic::default();
    match image.topics.get(name.as_str()) {
        Some(topic) => {
            let partition =
                |(number, partition): (&i32, &PartitionImage)| describe_partition(image, *number, partition);
            response.partitions = topic.partitions.iter().map(partition).collect();
        }
        None if topics::check_name(&name).is_err() => {
            response.error_code = ErrorCode::INVALID_TOPIC_EXCEPTION.0;
        }
        None => response.error_code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0,
    }
    response.name = Some(name);
    response
}

fn describe_partition(image: &Image, number: i32, partition: &PartitionImage) -> MetadataResponsePartition {
    let (error, leader_id, epoch) = match image.leader(partition) {
        Leader::Alive(leader, epoch) => (ErrorCode::NONE, leader.0, epoch),
        Leader::Unavailable(epoch) => (ErrorCode::LEADER_NOT_AVAILABLE, -1, epoch),
    };
    let isr = partition.state.iter().flat_map(|state| &state.isr);
    let offline = partition.replicas.iter().filter(|replica| !image.brokers.contains_key(replica));
    MetadataResponsePartition {
        error_code: error.0,
        partition_index: number,
        leader_id,
        leader_epoch: epoch.0,
        replica_nodes: partition.replicas.iter().map(|replica| replica.0).collect(),
        isr_nodes: isr.map(|replica| replica.0).collect(),
        offline_replicas: offline.map(|replica| replica.0).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::broker::metadata::TopicImage;
    use crate::broker::metadata::image_tests::{broker, led_by};
    use crate::types::TopicId;

    #[test]
    fn a_partition_without_a_living_leader_says_so_and_keeps_its_place() {
        let partitions = BTreeMap::from([(0, led_by(1, 5)), (1, led_by(2, 3))]);
        let topic =
            TopicImage { topic_id: TopicId::from_bytes([1; 16]), config: BTreeMap::new(), partitions };
        let image = Image {
            brokers: BTreeMap::from([broker(1)]),
            topics: BTreeMap::from([(Arc::from("orders"), Arc::new(topic))]),
        };

        let described = describe(&image, "orders".to_owned());

        assert_eq!(described.error_code, 0);
        let [served, orphaned] = described.partitions.as_slice() else { panic!("two partitions") };
        assert_eq!((served.error_code, served.leader_id, served.leader_epoch), (0, 1, 5));
        let code = ErrorCode::LEADER_NOT_AVAILABLE.0;
        assert_eq!((orphaned.error_code, orphaned.leader_id, orphaned.leader_epoch), (code, -1, 3));
        assert_eq!(orphaned.offline_replicas, [2]);
    }

    #[test]
    fn a_name_that_is_asked_for_often_is_answered_once() {
        let asked = ["b", "a", "b", "b"].map(|name| MetadataRequestTopic { name: Some(name.to_owned()) });

        assert_eq!(names(asked.into()), ["a", "b"]);
    }

    #[test]
    fn an_unknown_topic_is_told_from_one_that_cannot_be() {
        let code = |name: &str| describe(&Image::default(), name.to_owned()).error_code;

        assert_eq!(code("nothing"), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0);
        assert_eq!(code("no/thing"), ErrorCode::INVALID_TOPIC_EXCEPTION.0);
    }
}
