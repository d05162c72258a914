//! The names of the broker's settings: ours, and Kafka's that mean the same.
//!
//! Pure: a table in, a flat table with our names out.

use super::Problem;
use super::kafka_keys::is_known_to_kafka;

/// Kafka's property and our key.
const KAFKA_NAMES: &[(&str, &str)] = &[
    ("broker.id", "broker_id"),
    ("listeners", "listen"),
    ("advertised.listeners", "advertised"),
    ("log.dirs", "data_dir"),
    ("log.dir", "data_dir"),
    ("zookeeper.connect", "zookeeper_servers"),
    ("zookeeper.session.timeout.ms", "zookeeper_session_timeout_ms"),
    ("zookeeper.connection.timeout.ms", "zookeeper_connect_timeout_ms"),
    ("auto.create.topics.enable", "auto_create_topics"),
    ("num.partitions", "partitions_default"),
    ("default.replication.factor", "replication_factor_default"),
    ("log.segment.bytes", "segment_bytes"),
    ("log.roll.ms", "segment_ms"),
    ("log.index.interval.bytes", "index_interval_bytes"),
    ("log.flush.interval.messages", "flush_messages"),
    ("log.flush.interval.ms", "flush_interval_ms"),
    ("message.max.bytes", "message_bytes_max"),
    ("log.message.timestamp.type", "message_timestamp_type"),
    ("log.message.timestamp.before.max.ms", "message_timestamp_before_ms_max"),
    ("log.message.timestamp.after.max.ms", "message_timestamp_after_ms_max"),
    ("log.message.timestamp.difference.max.ms", "message_timestamp_difference_ms_max"),
    ("max.connections", "connections_max"),
    ("max.connections.per.ip", "connections_per_ip_max"),
    ("connections.max.idle.ms", "connection_idle_ms_max"),
    ("socket.request.max.bytes", "request_bytes_max"),
    ("queued.max.request.bytes", "request_bytes_in_flight_max"),
    ("fetch.max.bytes", "fetch_bytes_max"),
];

/// Our keys that have no counterpart in Kafka.
const OWN_NAMES: &[&str] = &[
    "http_listen",
    "validation",
    "durability",
    "expose",
    "request_arrival_ms_max",
    "response_send_ms_max",
    "shutdown_drain_ms_max",
];

/// An unknown key this many edits away from a known one gets it suggested.
const SUGGESTION_EDITS_MAX: usize = 6;

/// One setting: our key, the name that it was written by, and its value.
pub(super) struct Setting {
    pub key: &'static str,
    pub written: String,
    pub value: toml::Value,
}

/// Nested tables flattened to dotted names, and every name with ours; and what is wrong with the names.
pub(super) fn settings(table: toml::Table) -> (Vec<Setting>, Vec<Problem>) {
    let mut flat = Vec::new();
    flatten("", table, &mut flat);
    let mut settings: Vec<Setting> = Vec::new();
    let mut problems = Vec::new();
    for (written, value) in flat {
        let Some(key) = our_name(&written) else {
            problems.push(unknown(&written, &value));
            continue;
        };
        match settings.iter().find(|setting| setting.key == key) {
            None => settings.push(Setting { key, written, value }),
            Some(first) => {
                let expected = format!("is given twice: `{}` is the same setting", first.written);
                problems.push(Problem { key: written, value: value.to_string(), expected });
            }
        }
    }
    (settings, problems)
}

fn flatten(prefix: &str, table: toml::Table, out: &mut Vec<(String, toml::Value)>) {
    for (name, value) in table {
        let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => flatten(&name, inner, out),
            value => out.push((name, value)),
        }
    }
}

fn our_name(name: &str) -> Option<&'static str> {
    let ours =
        KAFKA_NAMES.iter().find(|(kafka, ours)| *kafka == name || *ours == name).map(|(_, ours)| *ours);
    ours.or_else(|| OWN_NAMES.iter().find(|own| **own == name).copied())
}

fn unknown(name: &str, value: &toml::Value) -> Problem {
    let expected = if is_known_to_kafka(name) {
        "is a key of Kafka's that is not served yet: leave it out".to_owned()
    } else if let Some(near) = nearest(name, all_names()) {
        format!("unknown key; did you mean `{near}`?")
    } else {
        "unknown key; docs/broker.md lists those that there are".to_owned()
    };
    Problem { key: name.to_owned(), value: value.to_string(), expected }
}

/// Every name that a setting may be written by.
pub(super) fn all_names() -> impl Iterator<Item = &'static str> {
    KAFKA_NAMES.iter().flat_map(|(kafka, ours)| [*kafka, *ours]).chain(OWN_NAMES.iter().copied())
}

/// Every setting once: the name it is shown by (Kafka's where it has one), and ours.
pub(super) fn shown_names() -> impl Iterator<Item = (&'static str, &'static str)> {
    let by_kafkas_name = KAFKA_NAMES.iter().enumerate().filter(|(index, (_, ours))| {
        // Two of Kafka's names can mean one of ours: the first is shown.
        !KAFKA_NAMES[..*index].iter().any(|(_, earlier)| earlier == ours)
    });
    by_kafkas_name.map(|(_, names)| *names).chain(OWN_NAMES.iter().map(|own| (*own, *own)))
}

/// The candidate with the fewest edits to `name`, if it is at all like it.
pub(in crate::broker) fn nearest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let limit = SUGGESTION_EDITS_MAX.min(name.chars().count() / 2);
    candidates
        .map(|candidate| (edits(name, candidate), candidate))
        .filter(|(edits, _)| *edits <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
pub(super) fn all_our_names() -> std::collections::BTreeSet<&'static str> {
    KAFKA_NAMES.iter().map(|(_, ours)| *ours).chain(OWN_NAMES.iter().copied()).collect()
}
