//! DescribeConfigs: the settings of topics, and of the broker that is asked. Nothing is altered here.

use std::collections::BTreeSet;

use crate::broker::config::{self, DescribedConfig};
use crate::broker::core::Core;
use crate::broker::topics;
use crate::protocol::ErrorCode;
use crate::protocol::messages::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::runtime::task;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// After so many resources other connections get their turn.
const RESOURCES_AT_A_TIME: usize = 100;

/// Why a resource is not described.
struct Refused {
    code: ErrorCode,
    message: String,
}

pub(in crate::broker::server) async fn describe_configs(
    core: &Core,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let mut results = Vec::new();
    let of_broker = config::describe_broker(&core.config);
    // An answer is a thousand times as long as the question: each resource gets one.
    let mut described = BTreeSet::new();
    for resource in request.resources {
        if !described.insert((resource.resource_type, resource.resource_name.clone())) {
            continue;
        }
        let configs = describe(core, &of_broker, &resource);
        results.push(result(resource, configs, request.include_synonyms));
        if results.len().is_multiple_of(RESOURCES_AT_A_TIME) {
            task::yield_now().await;
        }
    }
    DescribeConfigsResponse { results, ..Default::default() }
}

fn describe(
    core: &Core,
    of_broker: &[DescribedConfig],
    resource: &DescribeConfigsResource,
) -> Result<Vec<DescribedConfig>, Refused> {
    match resource.resource_type {
        TOPIC => describe_topic(core, of_broker, &resource.resource_name),
        BROKER => describe_broker(core, of_broker, &resource.resource_name),
        other => {
            let message = format!("the settings of resources of type {other} are not served yet");
            Err(Refused { code: ErrorCode::INVALID_REQUEST, message })
        }
    }
}

fn describe_topic(
    core: &Core,
    of_broker: &[DescribedConfig],
    name: &str,
) -> Result<Vec<DescribedConfig>, Refused> {
    topics::check_name(name).map_err(|refusal| Refused { code: refusal.code, message: refusal.message })?;
    match core.metadata.image().topics.get(name) {
        Some(topic) => Ok(config::describe_topic(&core.config, of_broker, &topic.config)),
        None => {
            let message = format!("there is no topic {name}");
            Err(Refused { code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message })
        }
    }
}

/// Each broker knows its own settings; those of the cluster as a whole (no name) are not kept apart from them.
fn describe_broker(
    core: &Core,
    of_broker: &[DescribedConfig],
    name: &str,
) -> Result<Vec<DescribedConfig>, Refused> {
    let refused = |message| Err(Refused { code: ErrorCode::INVALID_REQUEST, message });
    if name.is_empty() {
        return Ok(Vec::new());
    }
    match name.parse::<i32>() {
        Ok(id) if id == core.id.0 => Ok(of_broker.to_vec()),
        Ok(id) => refused(format!("this is broker {}: ask broker {id} for its own settings", core.id)),
        Err(_) => refused("the name of a broker is its number".to_owned()),
    }
}

fn result(
    resource: DescribeConfigsResource,
    configs: Result<Vec<DescribedConfig>, Refused>,
    with_synonyms: bool,
) -> DescribeConfigsResult {
    let DescribeConfigsResource { resource_type, resource_name, configuration_keys } = resource;
    let mut result = DescribeConfigsResult { resource_type, resource_name, ..Default::default() };
    match configs {
        Ok(configs) => {
            let asked = configuration_keys.filter(|keys| !keys.is_empty());
            let is_asked =
                |config: &DescribedConfig| asked.as_ref().is_none_or(|keys| keys.contains(&config.name));
            let configs = configs.into_iter().filter(is_asked);
            result.configs = configs.map(|config| shown(config, with_synonyms)).collect();
        }
        Err(refused) => {
            result.error_code = refused.code.0;
            result.error_message = Some(refused.message);
        }
    }
    result
}

fn shown(config: DescribedConfig, with_synonyms: bool) -> DescribeConfigsResourceResult {
    let in_force = config.values.first().expect("a setting has a value in force");
    DescribeConfigsResourceResult {
        name: config.name,
        value: in_force.value.clone(),
        read_only: true,
        config_source: in_force.source as i8,
        config_type: config.kind as i8,
        synonyms: match with_synonyms {
            true => config.values.into_iter().map(synonym).collect(),
            false => Vec::new(),
        },
        ..Default::default()
    }
}

fn synonym(value: config::ConfigValue) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym { name: value.name, value: value.value, source: value.source as i8 }
}
