//! DescribeConfigs: what brokers and topics are told to do.

use seedlog::protocol::ErrorCode;
use seedlog::protocol::messages::*;

use crate::harness::{with_brokers, with_config};

const TOPIC_TYPE: i8 = 2;
const BROKER_TYPE: i8 = 4;

fn ask(resources: &[(i8, &str)]) -> DescribeConfigsRequest {
    let resource = |(resource_type, name): &(i8, &str)| DescribeConfigsResource {
        resource_type: *resource_type,
        resource_name: (*name).to_owned(),
        configuration_keys: None,
    };
    DescribeConfigsRequest {
        resources: resources.iter().map(resource).collect(),
        include_synonyms: true,
        include_documentation: false,
    }
}

fn setting<'a>(result: &'a DescribeConfigsResult, name: &str) -> &'a DescribeConfigsResourceResult {
    let found = result.configs.iter().find(|config| config.name == name);
    found.unwrap_or_else(|| panic!("{name} is told"))
}

#[test]
fn a_broker_tells_where_its_zookeeper_is() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;

        for version in 1..=4 {
            let response = client.call(version, &ask(&[(BROKER_TYPE, "1")])).await;

            let zookeeper = setting(&response.results[0], "zookeeper.connect");
            assert!(zookeeper.value.as_ref().is_some_and(|value| value.ends_with(":2181")), "{zookeeper:?}");
            assert!(zookeeper.read_only && !zookeeper.is_sensitive);
            assert_eq!(zookeeper.config_source, 4);
        }
    });
}

#[test]
fn a_topic_tells_its_own_settings_and_the_brokers() {
    let change = |config: &mut seedlog::broker::config::BrokerConfig| config.segment_bytes = 1 << 20;
    with_config(1, change, |cluster| async move {
        let mut client = cluster.client(1).await;
        assert_eq!(client.create_topic("orders", 1, &[("max.message.bytes", "1000")]).await, ErrorCode::NONE);

        let response = client.call(4, &ask(&[(TOPIC_TYPE, "orders")])).await;

        let result = &response.results[0];
        let own = setting(result, "max.message.bytes");
        assert_eq!((own.value.as_deref(), own.config_source), (Some("1000"), 1));
        assert_eq!(
            own.synonyms.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(),
            ["max.message.bytes", "message.max.bytes"]
        );
        let of_broker = setting(result, "segment.bytes");
        assert_eq!((of_broker.value.as_deref(), of_broker.config_source), (Some("1048576"), 4));
        assert_eq!(setting(result, "index.interval.bytes").config_source, 5);
    });
}

#[test]
fn only_what_was_asked_for_is_told_and_each_resource_once() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        let mut request = ask(&[(BROKER_TYPE, "1"); 50]);
        for resource in &mut request.resources {
            resource.configuration_keys =
                Some(vec!["zookeeper.connect".to_owned(), "no.such.key".to_owned()]);
        }

        let response = client.call(4, &request).await;

        assert_eq!(response.results.len(), 1);
        let names: Vec<&str> =
            response.results[0].configs.iter().map(|config| config.name.as_str()).collect();
        assert_eq!(names, ["zookeeper.connect"]);
    });
}

#[test]
fn what_is_not_there_is_refused_in_words() {
    with_brokers(1, |cluster| async move {
        let mut client = cluster.client(1).await;
        let asked = [
            (TOPIC_TYPE, "nowhere", ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            (TOPIC_TYPE, "no/thing", ErrorCode::INVALID_TOPIC_EXCEPTION),
            (BROKER_TYPE, "2", ErrorCode::INVALID_REQUEST),
            (BROKER_TYPE, "two", ErrorCode::INVALID_REQUEST),
            (16, "a client's metrics", ErrorCode::INVALID_REQUEST),
        ];

        for (resource_type, name, expected) in asked {
            let response = client.call(4, &ask(&[(resource_type, name)])).await;
            let result = &response.results[0];
            assert_eq!(ErrorCode(result.error_code), expected, "{name}");
            assert!(result.error_message.is_some() && result.configs.is_empty());
        }
    });
}
