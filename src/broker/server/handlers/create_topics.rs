//! CreateTopics. Any broker makes topics; the one that clients are told to ask is the controller they see.

use std::collections::{BTreeMap, BTreeSet};

use super::super::context::RequestContext;
use crate::broker::core::Core;
use crate::broker::purgatory::wait_of;
use crate::broker::topics::{self, NewTopic, Refusal};
use crate::protocol::ErrorCode;
use crate::protocol::messages::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use crate::registry::TopicSpec;
use crate::runtime::{Instant, clock};
use crate::types::BrokerId;

/// Topics that one request may make: each takes several writes to ZooKeeper, one after the other.
const TOPICS_MAX: usize = 1_000;
/// `config_source` of what the topic itself sets (KIP-525).
const SOURCE_TOPIC: i8 = 1;

pub(in crate::broker::server) async fn create_topics(
    core: &Core,
    context: &RequestContext<'_>,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let deadline = clock::now() + wait_of(request.timeout_ms);
    if request.topics.len() > TOPICS_MAX {
        return too_many(request.topics);
    }
    let repeated = repeated_names(&request.topics);
    let mut results = Vec::with_capacity(request.topics.len());
    for asked in request.topics {
        let name = asked.name.clone();
        let outcome = if repeated.contains(&name) {
            let message = "the topic is named more than once in the request".to_owned();
            Err(Refusal { code: ErrorCode::INVALID_REQUEST, message })
        } else {
            create(core, asked, request.validate_only, deadline).await
        };
        let created = outcome.is_ok() && !request.validate_only;
        match &outcome {
            Ok(_) => tracing::info!(topic = name, created, from = %context, "topic_asked_for"),
            Err(Refusal { code, message }) => {
                tracing::warn!(topic = name, %code, reason = message, from = %context, "topic_refused");
            }
        }
        results.push(result(name, outcome));
    }
    CreateTopicsResponse { topics: results, ..Default::default() }
}

fn too_many(topics: Vec<CreatableTopic>) -> CreateTopicsResponse {
    let refused = topics.into_iter().map(|topic| {
        let message = format!("more than {TOPICS_MAX} topics in one request");
        result(topic.name, Err(Refusal { code: ErrorCode::POLICY_VIOLATION, message }))
    });
    CreateTopicsResponse { topics: refused.collect(), ..Default::default() }
}

fn repeated_names(topics: &[CreatableTopic]) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    topics.iter().filter(|topic| !seen.insert(&topic.name)).map(|topic| topic.name.clone()).collect()
}

async fn create(
    core: &Core,
    asked: CreatableTopic,
    validate_only: bool,
    deadline: Instant,
) -> Result<TopicSpec, Refusal> {
    let spec = topics::plan(core, &new_topic(asked)?).await?;
    if !validate_only {
        topics::create(core, &spec, deadline).await?;
    }
    Ok(spec)
}

fn new_topic(asked: CreatableTopic) -> Result<NewTopic, Refusal> {
    let mut assignment = BTreeMap::new();
    for partition in asked.assignments {
        let brokers = partition.broker_ids.into_iter().map(BrokerId).collect();
        if assignment.insert(partition.partition_index, brokers).is_some() {
            let message = format!("partition {} is assigned twice", partition.partition_index);
            return Err(Refusal { code: ErrorCode::INVALID_REPLICA_ASSIGNMENT, message });
        }
    }
    // A null value asks for the default.
    let config = asked.configs.into_iter().filter_map(|config| Some((config.name, config.value?)));
    Ok(NewTopic {
        name: asked.name,
        partitions: asked.num_partitions,
        replication_factor: asked.replication_factor,
        assignment,
        config: config.collect(),
    })
}

fn result(name: String, outcome: Result<TopicSpec, Refusal>) -> CreatableTopicResult {
    match outcome {
        Ok(spec) => CreatableTopicResult {
            name,
            num_partitions: spec.partitions.len() as i32,
            replication_factor: spec.partitions.values().next().map_or(-1, |replicas| replicas.len() as i16),
            configs: Some(spec.config.into_iter().map(shown).collect()),
            ..Default::default()
        },
        Err(refusal) => CreatableTopicResult {
            name,
            error_code: refusal.code.0,
            error_message: Some(refusal.message),
            configs: Some(Vec::new()),
            ..Default::default()
        },
    }
}

fn shown((name, value): (String, String)) -> CreatableTopicConfigs {
    CreatableTopicConfigs { name, value: Some(value), config_source: SOURCE_TOPIC, ..Default::default() }
}
