//! The broker's configuration as a user writes it: TOML, unknown keys refused, Kafka's property names accepted.
//!
//! [`BrokerConfig`] is only text turned into fields; [`BrokerConfig::check`] judges the values, once, and gives
//! the [`CheckedConfig`] everything else works with. [`Draft`] does both for a file, and names every problem of
//! names, types and values at once.

mod checked;
mod described;
mod kafka_keys;
mod keys;
#[cfg(test)]
mod tests;
mod topic;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::record::{TimestampType, Validation};
use crate::types::{Durability, Expose};

use keys::Setting;

pub use checked::{CheckedConfig, Endpoint, Limits};
pub(super) use described::{ConfigValue, DescribedConfig, describe_broker, describe_topic};
pub use topic::check_topic_config;
pub(super) use topic::topic_log_config;

/// A broker's configuration, unchecked. The Kafka property that each field goes by as well is named beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrokerConfig {
    /// This broker's number, unique in the cluster. `broker.id`. No default.
    pub broker_id: Option<i32>,
    /// Where clients connect: `HOST:PORT` or `PLAINTEXT://HOST:PORT`; port 0 picks a free one. `listeners`.
    pub listen: String,
    /// The address clients are told; default: where the broker listens. `advertised.listeners`.
    pub advertised: Option<String>,
    /// Where `/metrics` and `/health` are served; default: nowhere.
    pub http_listen: Option<String>,
    /// The directory of this broker's logs. `log.dirs`, `log.dir`. No default.
    pub data_dir: Option<String>,
    /// ZooKeeper's servers, `HOST:PORT` each; a list or one text with commas. `zookeeper.connect`. No default.
    pub zookeeper_servers: TextList,
    /// How long ZooKeeper keeps this broker registered unheard. `zookeeper.session.timeout.ms`.
    pub zookeeper_session_timeout_ms: u64,
    /// How long one attempt to reach a ZooKeeper server may take. `zookeeper.connection.timeout.ms`.
    pub zookeeper_connect_timeout_ms: u64,

    /// Whether asking for an unknown topic's metadata creates it. `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// Partitions of a topic created without a count. `num.partitions`.
    pub partitions_default: i32,
    /// Replicas of a topic created without a count. `default.replication.factor`.
    pub replication_factor_default: i16,

    /// A segment file's size at which the next is begun. `log.segment.bytes`.
    pub segment_bytes: u64,
    /// A segment's age at which the next is begun. `log.roll.ms`.
    pub segment_ms: u64,
    /// Bytes of log per entry of the sparse index. `log.index.interval.bytes`.
    pub index_interval_bytes: u64,
    /// Flush after this many records. `log.flush.interval.messages`.
    pub flush_messages: Option<u64>,
    /// Flush after this time. `log.flush.interval.ms`.
    pub flush_interval_ms: Option<u64>,
    /// The largest batch accepted. `message.max.bytes`.
    pub message_bytes_max: u64,
    /// How far produced batches are looked into: `records` or `header`.
    pub validation: Validation,
    /// Whose clock a record's timestamp is of: `CreateTime` or `LogAppendTime`. `log.message.timestamp.type`.
    pub message_timestamp_type: TimestampType,
    /// How much older than the broker's clock a record may be. `log.message.timestamp.before.max.ms`.
    pub message_timestamp_before_ms_max: Option<u64>,
    /// How far ahead of the broker's clock it may be. `log.message.timestamp.after.max.ms`.
    pub message_timestamp_after_ms_max: Option<u64>,
    /// Both of these, where they are not set. `log.message.timestamp.difference.max.ms`.
    pub message_timestamp_difference_ms_max: Option<u64>,
    /// What an acknowledgement waits for: `fsync` or `page-cache`.
    pub durability: Durability,
    /// When a record becomes readable: `flushed` or `replicated`; default: `flushed` with `durability = "fsync"`.
    pub expose: Option<Expose>,

    /// Connections at a time. `max.connections`.
    pub connections_max: u64,
    /// Connections at a time from one address. `max.connections.per.ip`.
    pub connections_per_ip_max: u64,
    /// A connection without a request for this long is closed. `connections.max.idle.ms`.
    pub connection_idle_ms_max: u64,
    /// The largest request. `socket.request.max.bytes`.
    pub request_bytes_max: u64,
    /// Request bytes held in memory at a time, all connections together. `queued.max.request.bytes`.
    pub request_bytes_in_flight_max: u64,
    /// A request whose first byte arrived must be complete within this time.
    pub request_arrival_ms_max: u64,
    /// A client that takes nothing of a response for this long is disconnected.
    pub response_send_ms_max: u64,
    /// The most bytes one fetch response carries. `fetch.max.bytes`.
    pub fetch_bytes_max: u64,
    /// How long a clean stop waits for requests in flight.
    pub shutdown_drain_ms_max: u64,
}

impl Default for BrokerConfig {
    fn default() -> BrokerConfig {
        BrokerConfig {
            broker_id: None,
            listen: "127.0.0.1:9092".to_owned(),
            advertised: None,
            http_listen: None,
            data_dir: None,
            zookeeper_servers: TextList::default(),
            zookeeper_session_timeout_ms: 6_000,
            zookeeper_connect_timeout_ms: 6_000,
            auto_create_topics: true,
            partitions_default: 1,
            replication_factor_default: 1,
            segment_bytes: 1 << 30,
            segment_ms: 7 * 86_400_000,
            index_interval_bytes: 4096,
            flush_messages: None,
            flush_interval_ms: None,
            message_bytes_max: 1_048_588,
            validation: Validation::default(),
            message_timestamp_type: TimestampType::default(),
            message_timestamp_before_ms_max: None,
            message_timestamp_after_ms_max: None,
            message_timestamp_difference_ms_max: None,
            durability: Durability::Fsync,
            expose: None,
            connections_max: 20_000,
            connections_per_ip_max: 20_000,
            connection_idle_ms_max: 600_000,
            request_bytes_max: 100 << 20,
            request_bytes_in_flight_max: 256 << 20,
            request_arrival_ms_max: 30_000,
            response_send_ms_max: 30_000,
            fetch_bytes_max: 55 << 20,
            shutdown_drain_ms_max: 5_000,
        }
    }
}

impl BrokerConfig {
    /// Reads TOML. Nested tables count as dotted names, so that `log.segment.bytes = 1024` is Kafka's property.
    pub fn from_toml(text: &str) -> Result<BrokerConfig, ConfigError> {
        Draft::from_toml(text)?.into_config()
    }

    /// Reads a TOML table; names as in [`BrokerConfig::from_toml`].
    pub fn from_table(table: toml::Table) -> Result<BrokerConfig, ConfigError> {
        Draft::from_table(table).into_config()
    }

    /// Sets one field from its (canonical) key: through serde, so that the types are said once, in the struct.
    fn set(&mut self, key: &str, value: toml::Value) -> Result<(), toml::de::Error> {
        let mut all = toml::Table::try_from(&*self).expect("a config is a table");
        all.insert(key.to_owned(), value);
        *self = all.try_into()?;
        Ok(())
    }

    /// Judges every value.
    pub fn check(&self) -> Result<CheckedConfig, ConfigError> {
        checked::check(self)
    }
}

/// A file's settings with all that is wrong so far, so that the rest can be judged as well.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// What could not be read has its default here.
    pub config: BrokerConfig,
    problems: Vec<Problem>,
    /// The name that a setting was written by, by our key.
    written: BTreeMap<&'static str, String>,
}

impl Draft {
    /// Reads TOML; the only error is text that is not TOML.
    pub fn from_toml(text: &str) -> Result<Draft, ConfigError> {
        text.parse::<toml::Table>().map(Draft::from_table).map_err(|e| ConfigError::syntax(&e))
    }

    fn from_table(table: toml::Table) -> Draft {
        let (settings, problems) = keys::settings(table);
        let mut draft = Draft { problems, ..Draft::default() };
        for Setting { key, written, value } in settings {
            let shown = value.to_string();
            if let Err(error) = draft.config.set(key, value) {
                let expected = in_words(error.message());
                draft.problems.push(Problem { key: written.clone(), value: shown, expected });
            }
            draft.written.insert(key, written);
        }
        draft
    }

    fn into_config(self) -> Result<BrokerConfig, ConfigError> {
        if self.problems.is_empty() { Ok(self.config) } else { Err(ConfigError { problems: self.problems }) }
    }

    /// Judges every value; the error holds everything that is wrong, by the names that were written.
    pub fn check(self) -> Result<CheckedConfig, ConfigError> {
        let Draft { config, mut problems, written } = self;
        let judged = config.check();
        if problems.is_empty() && written.is_empty() {
            return judged;
        }
        let found = judged.as_ref().err().map(|error| error.problems.clone()).unwrap_or_default();
        for mut problem in found {
            if let Some(name) = written.get(problem.key.as_str()) {
                problem.key.clone_from(name);
            }
            // What could not be read was replaced by the default: that is no second problem.
            if problems.iter().all(|known| known.key != problem.key) {
                problems.push(problem);
            }
        }
        if problems.is_empty() { judged } else { Err(ConfigError { problems }) }
    }
}

/// What a reader of values says, without the names of Rust's types.
fn in_words(message: &str) -> String {
    const TYPES: [(&str, &str); 5] = [
        ("expected u64", "expected a whole number, 0 or more"),
        ("expected u32", "expected a whole number, 0 or more"),
        ("expected i32", "expected a whole number of 32 bits"),
        ("expected i16", "expected a whole number of 16 bits"),
        ("expected a boolean", "expected true or false"),
    ];
    let known =
        TYPES.iter().find_map(|(rust, words)| Some(format!("{}{words}", message.strip_suffix(rust)?)));
    known.unwrap_or_else(|| message.to_owned())
}

/// A list of texts; may be written as one text with commas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "TextOrList")]
pub struct TextList(pub Vec<String>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "must be a text or a list of texts")]
enum TextOrList {
    Text(String),
    List(Vec<String>),
}

impl From<TextOrList> for TextList {
    fn from(written: TextOrList) -> TextList {
        let list = match written {
            TextOrList::Text(text) => text.split(',').map(|part| part.trim().to_owned()).collect(),
            TextOrList::List(list) => list,
        };
        TextList(list.into_iter().filter(|part: &String| !part.is_empty()).collect())
    }
}

/// One value that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub key: String,
    pub value: String,
    /// What would be right.
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.key.is_empty(), self.value.is_empty()) {
            (true, _) => f.write_str(&self.expected),
            (false, true) => write!(f, "`{}`: {}", self.key, self.expected),
            (false, false) => write!(f, "`{} = {}`: {}", self.key, self.value, self.expected),
        }
    }
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    pub problems: Vec<Problem>,
}

impl ConfigError {
    fn syntax(error: &toml::de::Error) -> ConfigError {
        let expected = format!("not TOML: {}", error.to_string().trim_end());
        ConfigError { problems: vec![Problem { key: String::new(), value: String::new(), expected }] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.problems.as_slice() {
            return write!(f, "{only}");
        }
        write!(f, "{} problems", self.problems.len())?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}
