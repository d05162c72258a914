//! Finds ZooKeeper where the brokers say that it is: DescribeConfigs, key `zookeeper.connect`.
//!
//! Limit: asked once, before the first session. A member whose ZooKeeper moves is started again.

use std::time::Duration;

use super::{GroupConfig, GroupError};
use crate::client::{Cluster, RequestError};
use crate::protocol::ErrorCode;
use crate::protocol::messages::{DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResponse};
use crate::runtime::clock;
use crate::types::BrokerId;

/// What Kafka calls the list of ZooKeeper's servers.
const KEY: &str = "zookeeper.connect";
/// The number of a broker among the kinds of resources.
const BROKER_RESOURCE: i8 = 4;
const PORT_DEFAULT: u16 = 2181;
/// Between two rounds in which no broker told.
const PAUSE: Duration = Duration::from_millis(100);

/// Why nobody told.
enum Unknown {
    /// Another broker may know, or the same one later.
    Yet(String),
    /// As long as the cluster is set up as it is.
    ForGood(String),
}

/// The addresses of ZooKeeper's servers.
pub(super) async fn zookeeper_servers(
    cluster: &Cluster,
    config: &GroupConfig,
) -> Result<Vec<String>, GroupError> {
    // As long as a session may take to be granted.
    let time_limit = config.zookeeper.session_timeout.max(config.zookeeper.connect_timeout);
    let deadline = clock::now() + time_limit;
    loop {
        let reason = match ask_each(cluster, config.consumer.request_timeout.min(time_limit)).await {
            Ok(servers) => return Ok(servers),
            Err(Unknown::ForGood(reason)) => return Err(GroupError::ZooKeeperUnknown(reason)),
            Err(Unknown::Yet(reason)) => reason,
        };
        if clock::now() >= deadline {
            return Err(GroupError::ZooKeeperUnknown(reason));
        }
        clock::sleep(PAUSE).await;
    }
}

/// A broker tells of itself alone, so one after the other is asked.
async fn ask_each(cluster: &Cluster, timeout: Duration) -> Result<Vec<String>, Unknown> {
    let mut last = match clock::timeout(timeout, cluster.refresh()).await {
        Ok(Ok(())) => Unknown::Yet("no broker is known".to_owned()),
        Ok(Err(error)) => return Err(Unknown::Yet(error.to_string())),
        Err(error) => return Err(Unknown::Yet(error.to_string())),
    };
    for broker in cluster.brokers() {
        match clock::timeout(timeout, ask(cluster, broker, timeout)).await {
            Ok(Ok(servers)) => return Ok(servers),
            Ok(Err(unknown)) => last = unknown,
            Err(_) => last = Unknown::Yet(format!("broker {broker} does not answer")),
        }
    }
    Err(last)
}

async fn ask(cluster: &Cluster, broker: BrokerId, timeout: Duration) -> Result<Vec<String>, Unknown> {
    let yet = |error: String| Unknown::Yet(format!("broker {broker}: {error}"));
    let connection = cluster.connection(broker).await.map_err(|error| yet(error.to_string()))?;
    let resource = DescribeConfigsResource {
        resource_type: BROKER_RESOURCE,
        resource_name: broker.to_string(),
        configuration_keys: Some(vec![KEY.to_owned()]),
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let told = match connection.call(&request, timeout).await {
        Ok(response) => servers_of(response),
        Err(error @ RequestError::Unsupported(_)) => Err(error.to_string()),
        Err(error) => return Err(yet(error.to_string())),
    };
    told.map_err(|reason| Unknown::ForGood(format!("broker {broker}: {reason}")))
}

fn servers_of(response: DescribeConfigsResponse) -> Result<Vec<String>, String> {
    let described = response.results.into_iter().next().ok_or("it describes nothing")?;
    match ErrorCode(described.error_code) {
        ErrorCode::NONE => {}
        error => return Err(described.error_message.unwrap_or_else(|| error.to_string())),
    }
    let told = described.configs.into_iter().find(|config| config.name == KEY);
    let list = told.and_then(|config| config.value).ok_or_else(|| format!("it has no {KEY}"))?;
    parse(&list)
}

/// `host:port` of each, as Kafka writes them: `host[:port],host[:port][/directory]`.
fn parse(list: &str) -> Result<Vec<String>, String> {
    let (hosts, directory) = list.trim().split_once('/').unwrap_or((list.trim(), ""));
    if !directory.is_empty() {
        return Err(format!("{KEY} is {list}: a directory below ZooKeeper's root is not supported"));
    }
    let servers: Vec<String> =
        hosts.split(',').map(str::trim).filter(|host| !host.is_empty()).map(with_port).collect();
    match servers.is_empty() {
        true => Err(format!("{KEY} is empty")),
        false => Ok(servers),
    }
}

fn with_port(host: &str) -> String {
    let is_bare_v6 = host.starts_with('[') && host.ends_with(']');
    match !is_bare_v6 && host.contains(':') {
        true => host.to_owned(),
        false => format!("{host}:{PORT_DEFAULT}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_as_kafka_writes_it_is_understood() {
        let read = |list| parse(list).map(|servers| servers.join(" "));
        assert_eq!(read("zk1:2181,zk2:2182"), Ok("zk1:2181 zk2:2182".to_owned()));
        assert_eq!(read(" zk1, [::1],[::1]:7/ "), Ok("zk1:2181 [::1]:2181 [::1]:7".to_owned()));
        assert!(read("zk1:2181/kafka").is_err_and(|reason| reason.contains("directory")));
        assert!(read("").is_err() && read("/").is_err() && read(",,").is_err());
    }

    #[test]
    fn a_broker_that_does_not_tell_is_no_riddle() {
        assert_eq!(servers_of(DescribeConfigsResponse::default()), Err("it describes nothing".to_owned()));
    }
}
