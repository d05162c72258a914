//! The settings in force, as clients are told them (DescribeConfigs, KIP-226): Kafka's names where it has one,
//! each value with where it comes from and what would be in force without it.
//!
//! A configuration in, a list out. The settings can only be read: nothing is altered at run time yet.

use std::collections::BTreeMap;
use std::time::Duration;

use super::topic::{FIXED, topic_log_config};
use super::{BrokerConfig, CheckedConfig, keys};
use crate::log::LogConfig;
use crate::types::{Durability, Expose};

/// Where a value comes from; the number is the protocol's `config_source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) enum ConfigSource {
    Topic = 1,
    BrokerFile = 4,
    Default = 5,
}

/// What kind of value it is; the number is the protocol's `config_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) enum ConfigKind {
    Boolean = 1,
    Text = 2,
    Long = 5,
    List = 7,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::broker) struct DescribedConfig {
    pub name: String,
    pub kind: ConfigKind,
    /// The value in force first, then what it hides; never empty.
    pub values: Vec<ConfigValue>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::broker) struct ConfigValue {
    /// The key that sets it there.
    pub name: String,
    pub value: Option<String>,
    pub source: ConfigSource,
}

/// A topic's key, the broker's key that it takes its value from, and how the value reads.
struct TopicKey {
    name: &'static str,
    of_broker: &'static str,
    kind: ConfigKind,
    value: fn(&LogConfig) -> Option<String>,
}

const TOPIC_KEYS: &[TopicKey] = &[
    TopicKey {
        name: "segment.bytes",
        of_broker: "log.segment.bytes",
        kind: ConfigKind::Long,
        value: |log| Some(log.segment_bytes.to_string()),
    },
    TopicKey {
        name: "segment.ms",
        of_broker: "log.roll.ms",
        kind: ConfigKind::Long,
        value: |log| log.segment_ms.map(|time| time.as_millis().to_string()),
    },
    TopicKey {
        name: "index.interval.bytes",
        of_broker: "log.index.interval.bytes",
        kind: ConfigKind::Long,
        value: |log| Some(log.index_interval_bytes.to_string()),
    },
    TopicKey {
        name: "flush.messages",
        of_broker: "log.flush.interval.messages",
        kind: ConfigKind::Long,
        value: |log| Some(log.flush_messages.min(i64::MAX as u64).to_string()),
    },
    TopicKey {
        name: "flush.ms",
        of_broker: "log.flush.interval.ms",
        kind: ConfigKind::Long,
        value: |log| log.flush_interval.map(|time| time.as_millis().to_string()),
    },
    TopicKey {
        name: "max.message.bytes",
        of_broker: "message.max.bytes",
        kind: ConfigKind::Long,
        value: |log| Some(log.batch_bytes_max.to_string()),
    },
    TopicKey {
        name: "message.timestamp.type",
        of_broker: "log.message.timestamp.type",
        kind: ConfigKind::Text,
        value: |log| Some(log.records.timestamp_type.name().to_owned()),
    },
    TopicKey {
        name: "message.timestamp.before.max.ms",
        of_broker: "log.message.timestamp.before.max.ms",
        kind: ConfigKind::Long,
        value: |log| Some(millis_or_any(log.records.timestamp_before_max)),
    },
    TopicKey {
        name: "message.timestamp.after.max.ms",
        of_broker: "log.message.timestamp.after.max.ms",
        kind: ConfigKind::Long,
        value: |log| Some(millis_or_any(log.records.timestamp_after_max)),
    },
    TopicKey {
        // The older key: what both bounds are, where they are the same.
        name: "message.timestamp.difference.max.ms",
        of_broker: "log.message.timestamp.difference.max.ms",
        kind: ConfigKind::Long,
        value: |log| {
            let (before, after) = (log.records.timestamp_before_max, log.records.timestamp_after_max);
            Some(millis_or_any(before.filter(|_| before == after)))
        },
    },
    TopicKey {
        name: "validation",
        of_broker: "validation",
        kind: ConfigKind::Text,
        value: |log| Some(log.records.validation.name().to_owned()),
    },
    TopicKey {
        name: "durability",
        of_broker: "durability",
        kind: ConfigKind::Text,
        value: |log| {
            Some(match log.durability {
                Durability::Fsync => "fsync".to_owned(),
                Durability::PageCache => "page-cache".to_owned(),
            })
        },
    },
    TopicKey {
        name: "expose",
        of_broker: "expose",
        kind: ConfigKind::Text,
        value: |log| {
            Some(match log.expose {
                Expose::Flushed => "flushed".to_owned(),
                Expose::Replicated => "replicated".to_owned(),
            })
        },
    },
];

/// As Kafka writes a bound; its largest number where there is none.
fn millis_or_any(bound: Option<Duration>) -> String {
    bound.map_or(i64::MAX as u128, |bound| bound.as_millis()).to_string()
}

/// Settings of a broker that are true of every broker for now; tools look for them.
const FIXED_OF_BROKER: &[(&str, &str)] = &[
    ("compression.type", "producer"),
    ("delete.topic.enable", "false"),
    ("log.cleanup.policy", "delete"),
    ("log.retention.bytes", "-1"),
    ("log.retention.ms", "-1"),
    ("min.insync.replicas", "1"),
    ("unclean.leader.election.enable", "false"),
];

/// Every setting of this broker, in order of the names.
pub(in crate::broker) fn describe_broker(config: &CheckedConfig) -> Vec<DescribedConfig> {
    let written = values_of(&config.written);
    let defaults = values_of(&BrokerConfig::default());
    let mut described: Vec<DescribedConfig> = keys::shown_names()
        .map(|(shown, ours)| {
            let (kind, value) = written.get(ours).cloned().unwrap_or((ConfigKind::Text, None));
            let default = defaults.get(ours).and_then(|(_, value)| value.clone());
            let value = value.or_else(|| in_force(config, ours));
            let is_written = written.get(ours).map(|(_, value)| value) != defaults.get(ours).map(|(_, v)| v);
            setting(shown, kind, value, default, is_written)
        })
        .collect();
    let fixed = FIXED_OF_BROKER.iter().map(|(name, value)| {
        setting(name, kind_of_text(value), Some((*value).to_owned()), Some((*value).to_owned()), false)
    });
    described.extend(fixed);
    described.sort_by(|a, b| a.name.cmp(&b.name));
    described
}

fn setting(
    name: &str,
    kind: ConfigKind,
    value: Option<String>,
    default: Option<String>,
    is_written: bool,
) -> DescribedConfig {
    let one = |value, source| ConfigValue { name: name.to_owned(), value, source };
    let values = match is_written {
        true => vec![one(value, ConfigSource::BrokerFile), one(default, ConfigSource::Default)],
        false => vec![one(value, ConfigSource::Default)],
    };
    DescribedConfig { name: name.to_owned(), kind, values }
}

/// What stands for a setting that nobody wrote and that depends on others.
fn in_force(config: &CheckedConfig, ours: &str) -> Option<String> {
    let log_key =
        |name| TOPIC_KEYS.iter().find(|key| key.name == name).and_then(|key| (key.value)(&config.log));
    match ours {
        "advertised" => Some(config.written.listen.clone()),
        "expose" => log_key("expose"),
        "flush_messages" => log_key("flush.messages"),
        "message_timestamp_before_ms_max" => log_key("message.timestamp.before.max.ms"),
        "message_timestamp_after_ms_max" => log_key("message.timestamp.after.max.ms"),
        "message_timestamp_difference_ms_max" => log_key("message.timestamp.difference.max.ms"),
        _ => None,
    }
}

/// Every field of a configuration as text, by our names.
fn values_of(config: &BrokerConfig) -> BTreeMap<String, (ConfigKind, Option<String>)> {
    let table = toml::Table::try_from(config).expect("a config is a table");
    table.into_iter().map(|(name, value)| (name, shown(value))).collect()
}

fn shown(value: toml::Value) -> (ConfigKind, Option<String>) {
    match value {
        toml::Value::Boolean(value) => (ConfigKind::Boolean, Some(value.to_string())),
        toml::Value::Integer(value) => (ConfigKind::Long, Some(value.to_string())),
        toml::Value::Array(values) => {
            let texts: Vec<String> = values.into_iter().filter_map(|value| shown(value).1).collect();
            (ConfigKind::List, Some(texts.join(",")))
        }
        toml::Value::String(text) => (ConfigKind::Text, Some(text)),
        other => (ConfigKind::Text, Some(other.to_string())),
    }
}

fn kind_of_text(value: &str) -> ConfigKind {
    if value.parse::<i64>().is_ok() {
        ConfigKind::Long
    } else if value.parse::<bool>().is_ok() {
        ConfigKind::Boolean
    } else {
        ConfigKind::Text
    }
}

/// Every setting of a topic with this configuration of its own, in order of the names; `of_broker` is what
/// [`describe_broker`] says.
pub(in crate::broker) fn describe_topic(
    defaults: &CheckedConfig,
    of_broker: &[DescribedConfig],
    own: &BTreeMap<String, String>,
) -> Vec<DescribedConfig> {
    // What no broker can use (written by another tool) is shown as it is written.
    let log = topic_log_config(defaults, own).unwrap_or_else(|_| defaults.log.clone());
    let settable = TOPIC_KEYS.iter().map(|key| {
        let value = own.get(key.name).cloned().or_else(|| (key.value)(&log));
        topic_setting(key, value, own.contains_key(key.name), of_broker)
    });
    let fixed = FIXED.iter().map(|(name, value)| DescribedConfig {
        name: (*name).to_owned(),
        kind: kind_of_text(value),
        values: vec![ConfigValue {
            name: (*name).to_owned(),
            value: Some((*value).to_owned()),
            source: if own.contains_key(*name) { ConfigSource::Topic } else { ConfigSource::Default },
        }],
    });
    let mut described: Vec<DescribedConfig> = settable.chain(fixed).collect();
    described.sort_by(|a, b| a.name.cmp(&b.name));
    described
}

fn topic_setting(
    key: &TopicKey,
    value: Option<String>,
    is_own: bool,
    of_broker: &[DescribedConfig],
) -> DescribedConfig {
    let broker = of_broker.iter().find(|setting| setting.name == key.of_broker);
    let mut values = broker.map(|setting| setting.values.clone()).unwrap_or_default();
    // `expose` follows a durability of the topic's own.
    if is_own || values.first().is_none_or(|broker| broker.value != value) {
        let source = ConfigSource::Topic;
        values.insert(0, ConfigValue { name: key.name.to_owned(), value, source });
    }
    DescribedConfig { name: key.name.to_owned(), kind: key.kind, values }
}

#[cfg(test)]
mod tests {
    use super::super::TextList;
    use super::super::topic::KEYS;
    use super::*;

    fn config() -> CheckedConfig {
        let config = BrokerConfig {
            broker_id: Some(1),
            data_dir: Some("/d".into()),
            zookeeper_servers: TextList(vec!["z:1".into(), "y:2".into()]),
            segment_bytes: 4096,
            ..BrokerConfig::default()
        };
        config.check().expect("usable")
    }

    fn find<'a>(described: &'a [DescribedConfig], name: &str) -> &'a DescribedConfig {
        described.iter().find(|setting| setting.name == name).unwrap_or_else(|| panic!("{name} is listed"))
    }

    fn values(setting: &DescribedConfig) -> Vec<(&str, Option<&str>, ConfigSource)> {
        setting.values.iter().map(|v| (v.name.as_str(), v.value.as_deref(), v.source)).collect()
    }

    #[test]
    fn a_broker_tells_its_values_by_kafkas_names_and_where_they_come_from() {
        let described = describe_broker(&config());

        let zookeeper = find(&described, "zookeeper.connect");
        assert_eq!(zookeeper.kind, ConfigKind::List);
        let written = ("zookeeper.connect", Some("z:1,y:2"), ConfigSource::BrokerFile);
        assert_eq!(values(zookeeper)[0], written);
        let segment = find(&described, "log.segment.bytes");
        let default = ("log.segment.bytes", Some("1073741824"), ConfigSource::Default);
        assert_eq!(values(segment), [("log.segment.bytes", Some("4096"), ConfigSource::BrokerFile), default]);
        let partitions = find(&described, "num.partitions");
        assert_eq!(values(partitions), [("num.partitions", Some("1"), ConfigSource::Default)]);
        let advertised = find(&described, "advertised.listeners");
        assert_eq!(values(advertised)[0].1, Some("127.0.0.1:9092"));
        assert_eq!(values(find(&described, "expose"))[0].1, Some("flushed"));
        assert!(described.is_sorted_by(|a, b| a.name < b.name), "each name once, in order");
    }

    #[test]
    fn a_topic_tells_its_own_values_the_brokers_and_the_defaults() {
        let own = [("max.message.bytes", "1000"), ("durability", "page-cache"), ("retention.ms", "-1")];
        let own = own.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();

        let described = describe_topic(&config(), &describe_broker(&config()), &own);

        let sources = |name| values(find(&described, name)).into_iter().map(|v| v.2).collect::<Vec<_>>();
        assert_eq!(sources("max.message.bytes"), [ConfigSource::Topic, ConfigSource::Default]);
        assert_eq!(sources("segment.bytes"), [ConfigSource::BrokerFile, ConfigSource::Default]);
        assert_eq!(sources("segment.ms"), [ConfigSource::Default]);
        assert_eq!(sources("retention.ms"), [ConfigSource::Topic]);
        assert_eq!(sources("cleanup.policy"), [ConfigSource::Default]);
        let segment = find(&described, "segment.bytes");
        assert_eq!(values(segment)[0], ("log.segment.bytes", Some("4096"), ConfigSource::BrokerFile));
        // What the topic's durability brings with it counts as the topic's.
        let expose = find(&described, "expose");
        assert_eq!(values(expose)[0], ("expose", Some("replicated"), ConfigSource::Topic));
    }

    #[test]
    fn every_key_that_a_topic_can_set_is_told() {
        let described = describe_topic(&config(), &describe_broker(&config()), &BTreeMap::new());

        let told: Vec<&str> = described.iter().map(|setting| setting.name.as_str()).collect();
        let known = KEYS.iter().copied().chain(FIXED.iter().map(|(name, _)| *name));
        assert_eq!(known.filter(|name| !told.contains(name)).collect::<Vec<_>>(), Vec::<&str>::new());
        assert!(told.is_sorted_by(|a, b| a < b), "each name once, in order");
    }
}
