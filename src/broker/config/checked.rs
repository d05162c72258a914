//! Judges a broker's configuration, once, and keeps the values in the types the broker works with.
//!
//! Nothing is looked up: names are resolved, ports and directories tried when the broker starts.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::{BrokerConfig, ConfigError, Problem};
use crate::log::LogConfig;
use crate::record::RecordRules;
use crate::types::{BrokerId, Durability, Expose};

/// A configuration whose values were found usable.
#[derive(Clone, Debug)]
pub struct CheckedConfig {
    pub broker_id: BrokerId,
    pub listen: Endpoint,
    /// What clients are told; None = where the broker listens.
    pub advertised: Option<Endpoint>,
    pub http_listen: Option<Endpoint>,
    pub data_dir: PathBuf,
    pub zookeeper_servers: Vec<String>,
    pub zookeeper_session_timeout: Duration,
    pub zookeeper_connect_timeout: Duration,
    pub auto_create_topics: bool,
    pub partitions_default: i32,
    /// Read once there is replication (K4); 1 until then.
    pub replication_factor_default: i16,
    pub limits: Limits,
    pub shutdown_drain_max: Duration,
    /// What topics have unless they say otherwise.
    pub log: LogConfig,
    /// The configuration as it was written, for those who ask what is set.
    pub written: BrokerConfig,
}

/// A host (name or address) and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What one client, or all of them together, may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connections_max: usize,
    pub connections_per_ip_max: usize,
    pub connection_idle_max: Duration,
    pub request_bytes_max: usize,
    pub request_bytes_in_flight_max: usize,
    pub request_arrival_max: Duration,
    pub response_send_max: Duration,
    pub fetch_bytes_max: usize,
}

/// More directories than one come with a later version.
const DATA_DIRS_MAX: usize = 1;

pub(super) fn check(config: &BrokerConfig) -> Result<CheckedConfig, ConfigError> {
    let mut judge = Judge { problems: Vec::new() };
    let checked = CheckedConfig {
        broker_id: judge.broker_id(config),
        listen: judge.endpoint("listen", &config.listen),
        advertised: config.advertised.as_ref().map(|text| judge.endpoint("advertised", text)),
        http_listen: config.http_listen.as_ref().map(|text| judge.endpoint("http_listen", text)),
        data_dir: judge.data_dir(config),
        zookeeper_servers: judge.zookeeper_servers(config),
        zookeeper_session_timeout: judge.millis(
            "zookeeper_session_timeout_ms",
            config.zookeeper_session_timeout_ms,
            100,
        ),
        zookeeper_connect_timeout: judge.millis(
            "zookeeper_connect_timeout_ms",
            config.zookeeper_connect_timeout_ms,
            1,
        ),
        auto_create_topics: config.auto_create_topics,
        partitions_default: judge.between("partitions_default", config.partitions_default, 1, 10_000),
        replication_factor_default: judge.between(
            "replication_factor_default",
            config.replication_factor_default,
            1,
            1,
        ),
        limits: judge.limits(config),
        shutdown_drain_max: judge.millis("shutdown_drain_ms_max", config.shutdown_drain_ms_max, 0),
        log: judge.log(config),
        written: config.clone(),
    };
    judge.advertised_is_reachable(&checked);
    if judge.problems.is_empty() { Ok(checked) } else { Err(ConfigError { problems: judge.problems }) }
}

/// Collects what is wrong; a wrong value is replaced so that judging can go on.
struct Judge {
    problems: Vec<Problem>,
}

impl Judge {
    fn problem(&mut self, key: &str, value: impl fmt::Display, expected: impl Into<String>) {
        self.problems.push(Problem {
            key: key.to_owned(),
            value: value.to_string(),
            expected: expected.into(),
        });
    }

    fn between<T: PartialOrd + Copy + fmt::Display>(&mut self, key: &str, value: T, low: T, high: T) -> T {
        if value < low || value > high {
            let expected = if low == high {
                format!("must be {low} for now")
            } else {
                format!("must be {low} to {high}")
            };
            self.problem(key, value, expected);
        }
        value
    }

    fn millis(&mut self, key: &str, value: u64, low: u64) -> Duration {
        Duration::from_millis(self.between(key, value, low, MILLIS_MAX))
    }

    fn broker_id(&mut self, config: &BrokerConfig) -> BrokerId {
        match config.broker_id {
            None => self.problem("broker_id", "", "is missing: a number, unique in the cluster"),
            Some(id) if id < 0 => self.problem("broker_id", id, "must be 0 or more"),
            Some(id) => return BrokerId(id),
        }
        BrokerId(0)
    }

    fn data_dir(&mut self, config: &BrokerConfig) -> PathBuf {
        let text = config.data_dir.as_deref().unwrap_or_default();
        if text.is_empty() {
            self.problem("data_dir", "", "is missing: the directory of this broker's logs");
        } else if text.split(',').count() > DATA_DIRS_MAX {
            self.problem("data_dir", format!("{text:?}"), "must be one directory for now");
        }
        PathBuf::from(text)
    }

    fn zookeeper_servers(&mut self, config: &BrokerConfig) -> Vec<String> {
        let servers = &config.zookeeper_servers.0;
        if servers.is_empty() {
            self.problem(
                "zookeeper_servers",
                "",
                "is missing: ZooKeeper's servers, as \"HOST:PORT,HOST:PORT\"",
            );
        }
        for server in servers {
            if server.contains('/') {
                let expected = "a path below ZooKeeper's root is not supported: write HOST:PORT";
                self.problem("zookeeper_servers", format!("{server:?}"), expected);
            } else if parse_endpoint(server).is_none_or(|endpoint| endpoint.port == 0) {
                self.problem("zookeeper_servers", format!("{server:?}"), "must be HOST:PORT");
            }
        }
        servers.clone()
    }

    /// `HOST:PORT`, or Kafka's `PLAINTEXT://HOST:PORT`.
    fn endpoint(&mut self, key: &str, text: &str) -> Endpoint {
        let nowhere = Endpoint { host: String::new(), port: 0 };
        let (protocol, address) = text.split_once("://").unwrap_or(("PLAINTEXT", text));
        if text.contains(',') {
            self.problem(key, format!("{text:?}"), "must be one address for now");
            return nowhere;
        }
        if protocol != "PLAINTEXT" {
            self.problem(key, format!("{text:?}"), "must be PLAINTEXT://HOST:PORT (no TLS, no SASL for now)");
            return nowhere;
        }
        match parse_endpoint(address) {
            Some(endpoint) => endpoint,
            None => {
                self.problem(key, format!("{text:?}"), "must be HOST:PORT, with a port from 0 to 65535");
                nowhere
            }
        }
    }

    /// Nobody can connect to 0.0.0.0, so it must not be what clients are told.
    fn advertised_is_reachable(&mut self, checked: &CheckedConfig) {
        let told = checked.advertised.as_ref().unwrap_or(&checked.listen);
        if told.host == "0.0.0.0" || told.host == "[::]" || told.host == "::" {
            let expected = "is no address that clients can connect to: set `advertised` to one";
            let key = if checked.advertised.is_some() { "advertised" } else { "listen" };
            self.problem(key, format!("\"{told}\""), expected);
        }
    }

    fn limits(&mut self, config: &BrokerConfig) -> Limits {
        const BYTES_MAX: u64 = 1 << 40;
        /// Lengths on the wire are 32 bits, signed.
        const WIRE_BYTES_MAX: u64 = i32::MAX as u64;
        let request_bytes_max =
            self.between("request_bytes_max", config.request_bytes_max, 1024, WIRE_BYTES_MAX);
        let in_flight = config.request_bytes_in_flight_max;
        Limits {
            connections_max: self.between("connections_max", config.connections_max, 1, 1 << 20) as usize,
            connections_per_ip_max: self.between(
                "connections_per_ip_max",
                config.connections_per_ip_max,
                1,
                1 << 20,
            ) as usize,
            connection_idle_max: self.millis("connection_idle_ms_max", config.connection_idle_ms_max, 1),
            request_bytes_max: request_bytes_max as usize,
            request_bytes_in_flight_max: self.between(
                "request_bytes_in_flight_max",
                in_flight,
                request_bytes_max,
                BYTES_MAX,
            ) as usize,
            request_arrival_max: self.millis("request_arrival_ms_max", config.request_arrival_ms_max, 1),
            response_send_max: self.millis("response_send_ms_max", config.response_send_ms_max, 1),
            fetch_bytes_max: self.between("fetch_bytes_max", config.fetch_bytes_max, 1024, WIRE_BYTES_MAX)
                as usize,
        }
    }

    fn log(&mut self, config: &BrokerConfig) -> LogConfig {
        let expose = config.expose.unwrap_or(expose_default(config.durability));
        let defaults = LogConfig {
            segment_bytes: self.between(
                "segment_bytes",
                config.segment_bytes,
                SEGMENT_BYTES_MIN,
                i32::MAX as u64,
            ),
            segment_ms: Some(self.millis("segment_ms", config.segment_ms, 1)),
            index_interval_bytes: self.between(
                "index_interval_bytes",
                config.index_interval_bytes,
                1,
                INDEX_INTERVAL_BYTES_MAX,
            ),
            flush_messages: self.between(
                "flush_messages",
                config.flush_messages.unwrap_or(u64::MAX),
                1,
                u64::MAX,
            ),
            flush_interval: config.flush_interval_ms.map(|ms| self.millis("flush_interval_ms", ms, 1)),
            batch_bytes_max: self.between(
                "message_bytes_max",
                config.message_bytes_max,
                BATCH_BYTES_MIN,
                config.request_bytes_max,
            ) as usize,
            records: record_rules(config),
            durability: config.durability,
            expose,
        };
        if let Some(expected) = never_readable(&defaults) {
            self.problem("expose", "\"flushed\"", expected);
        }
        defaults
    }
}

/// No value is wrong: Kafka's largest number stands for "any" there too.
fn record_rules(config: &BrokerConfig) -> RecordRules {
    let bound = |own: Option<u64>| {
        let millis = own.or(config.message_timestamp_difference_ms_max);
        millis.filter(|millis| *millis < i64::MAX as u64).map(Duration::from_millis)
    };
    RecordRules {
        validation: config.validation,
        timestamp_type: config.message_timestamp_type,
        timestamp_before_max: bound(config.message_timestamp_before_ms_max),
        timestamp_after_max: bound(config.message_timestamp_after_ms_max),
    }
}

/// Small enough for tests, large enough for a batch.
pub(super) const SEGMENT_BYTES_MIN: u64 = 256;
pub(super) const BATCH_BYTES_MIN: u64 = 128;
/// A read walks over the headers between two entries of the index: as much as one window of a scan, and no segment.
pub(super) const INDEX_INTERVAL_BYTES_MAX: u64 = 1 << 20;
/// A year: longer than any of these makes sense, and far from overflow.
pub(super) const MILLIS_MAX: u64 = 365 * 86_400_000;

/// What is exposed is never more than what durability promises; with the page cache that is the append.
pub(in crate::broker) fn expose_default(durability: Durability) -> Expose {
    match durability {
        Durability::Fsync => Expose::Flushed,
        Durability::PageCache => Expose::Replicated,
    }
}

/// Settings under which a record might never become readable, and what would be right.
pub(in crate::broker) fn never_readable(log: &LogConfig) -> Option<&'static str> {
    let flushes_in_time = log.durability == Durability::Fsync || log.flush_interval.is_some();
    (log.expose == Expose::Flushed && !flushes_in_time).then_some(
        "with durability = \"page-cache\" nothing flushes in time: set a flush interval too, or expose = \"replicated\"",
    )
}

fn parse_endpoint(text: &str) -> Option<Endpoint> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    let plausible = host.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c));
    plausible.then(|| Endpoint { host: host.to_owned(), port })
}
