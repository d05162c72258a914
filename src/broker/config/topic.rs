//! What a topic's own configuration changes in the log settings of its partitions. Kafka's keys, and ours.

use std::collections::BTreeMap;
use std::time::Duration;

use super::checked::{
    BATCH_BYTES_MIN, INDEX_INTERVAL_BYTES_MAX, MILLIS_MAX, SEGMENT_BYTES_MIN, expose_default, never_readable,
};
use super::keys::nearest;
use super::{CheckedConfig, Problem};
use crate::log::LogConfig;
use crate::record::{TimestampType, Validation};
use crate::types::{Durability, Expose};

/// Keys that change something.
pub(super) const KEYS: &[&str] = &[
    "segment.bytes",
    "segment.ms",
    "index.interval.bytes",
    "flush.messages",
    "flush.ms",
    "max.message.bytes",
    "message.timestamp.type",
    "message.timestamp.before.max.ms",
    "message.timestamp.after.max.ms",
    TIMESTAMP_DIFFERENCE,
    "validation",
    "durability",
    "expose",
];

/// Both bounds of a timestamp at once, as it was before KIP-937.
const TIMESTAMP_DIFFERENCE: &str = "message.timestamp.difference.max.ms";

/// Keys of Kafka's that are accepted with the one value that is true of every topic for now.
pub(super) const FIXED: &[(&str, &str)] = &[
    ("cleanup.policy", "delete"),
    ("compression.type", "producer"),
    ("min.insync.replicas", "1"),
    ("retention.bytes", "-1"),
    ("retention.ms", "-1"),
    ("unclean.leader.election.enable", "false"),
];

/// Whether a topic may have this configuration of its own, on a broker with these defaults.
pub fn check_topic_config(defaults: &CheckedConfig, own: &BTreeMap<String, String>) -> Result<(), Problem> {
    topic_log_config(defaults, own).map(|_| ())
}

/// The log settings of a topic with this configuration of its own.
pub(in crate::broker) fn topic_log_config(
    defaults: &CheckedConfig,
    own: &BTreeMap<String, String>,
) -> Result<LogConfig, Problem> {
    let mut log = defaults.log.clone();
    let bytes_max = defaults.limits.request_bytes_max as u64;
    // The old key first: the newer two say more (KIP-937).
    let (older, newer): (Vec<_>, Vec<_>) = own.iter().partition(|(key, _)| *key == TIMESTAMP_DIFFERENCE);
    for (key, value) in older.into_iter().chain(newer) {
        set(&mut log, key, value, bytes_max).map_err(|expected| Problem {
            key: key.clone(),
            value: value.clone(),
            expected,
        })?;
    }
    if own.contains_key("durability") && !own.contains_key("expose") {
        log.expose = expose_default(log.durability);
    }
    match never_readable(&log) {
        None => Ok(log),
        Some(expected) => {
            Err(Problem { key: "expose".into(), value: "flushed".into(), expected: expected.into() })
        }
    }
}

fn set(log: &mut LogConfig, key: &str, value: &str, bytes_max: u64) -> Result<(), String> {
    const I32_MAX: u64 = i32::MAX as u64;
    match key {
        "segment.bytes" => log.segment_bytes = number(value, SEGMENT_BYTES_MIN, I32_MAX)?,
        "segment.ms" => log.segment_ms = Some(millis(value)?),
        "index.interval.bytes" => {
            log.index_interval_bytes = number(value, 1, INDEX_INTERVAL_BYTES_MAX)?;
        }
        "flush.messages" => log.flush_messages = number(value, 1, u64::MAX)?,
        "flush.ms" => log.flush_interval = Some(millis(value)?),
        "max.message.bytes" => log.batch_bytes_max = number(value, BATCH_BYTES_MIN, bytes_max)? as usize,
        "message.timestamp.type" => {
            log.records.timestamp_type = match value {
                "CreateTime" => TimestampType::CreateTime,
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => return Err("must be CreateTime or LogAppendTime".to_owned()),
            }
        }
        "message.timestamp.before.max.ms" => log.records.timestamp_before_max = difference(value)?,
        "message.timestamp.after.max.ms" => log.records.timestamp_after_max = difference(value)?,
        TIMESTAMP_DIFFERENCE => {
            log.records.timestamp_before_max = difference(value)?;
            log.records.timestamp_after_max = difference(value)?;
        }
        "validation" => {
            log.records.validation = match value {
                "records" => Validation::Records,
                "header" => Validation::Header,
                _ => return Err("must be records or header".to_owned()),
            }
        }
        "durability" => {
            log.durability = match value {
                "fsync" => Durability::Fsync,
                "page-cache" => Durability::PageCache,
                _ => return Err("must be fsync or page-cache".to_owned()),
            }
        }
        "expose" => {
            log.expose = match value {
                "flushed" => Expose::Flushed,
                "replicated" => Expose::Replicated,
                _ => return Err("must be flushed or replicated".to_owned()),
            }
        }
        _ => return fixed(key, value),
    }
    Ok(())
}

fn fixed(key: &str, value: &str) -> Result<(), String> {
    match FIXED.iter().find(|(fixed, _)| *fixed == key) {
        Some((_, only)) if *only == value => Ok(()),
        Some((_, only)) => Err(format!("must be {only} for now")),
        None => {
            let known = KEYS.iter().copied().chain(FIXED.iter().map(|(key, _)| *key));
            Err(match nearest(key, known) {
                Some(near) => format!("unknown key; did you mean `{near}`?"),
                None => "unknown key".to_owned(),
            })
        }
    }
}

fn number(text: &str, low: u64, high: u64) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| (low..=high).contains(number));
    number.ok_or_else(|| format!("must be a number from {low} to {high}"))
}

/// Kafka writes "never" as the largest number.
fn millis(text: &str) -> Result<Duration, String> {
    let millis: u64 = number(text, 1, u64::MAX)?;
    Ok(Duration::from_millis(millis.min(MILLIS_MAX)))
}

/// Of a record's timestamp to the broker's clock, either way. Kafka writes "any" as the largest number.
fn difference(text: &str) -> Result<Option<Duration>, String> {
    const ANY: u64 = i64::MAX as u64;
    let millis = number(text, 0, ANY)?;
    Ok((millis < ANY).then_some(Duration::from_millis(millis)))
}

#[cfg(test)]
mod tests {
    use super::super::{BrokerConfig, TextList};
    use super::*;
    use crate::record::RecordRules;

    fn defaults() -> CheckedConfig {
        let config = BrokerConfig {
            broker_id: Some(1),
            data_dir: Some("/d".into()),
            zookeeper_servers: TextList(vec!["z:1".into()]),
            ..BrokerConfig::default()
        };
        config.check().expect("usable")
    }

    fn with(pairs: &[(&str, &str)]) -> Result<LogConfig, Problem> {
        let own = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        topic_log_config(&defaults(), &own)
    }

    #[test]
    fn a_topic_changes_what_it_says_and_keeps_the_rest() {
        let log = with(&[("segment.bytes", "4096"), ("max.message.bytes", "1000"), ("flush.ms", "50")])
            .expect("ok");

        let expected = LogConfig {
            segment_bytes: 4096,
            batch_bytes_max: 1000,
            flush_interval: Some(Duration::from_millis(50)),
            ..defaults().log
        };
        assert_eq!(log, expected);
    }

    #[test]
    fn what_is_demanded_of_records_is_the_topics_own() {
        let demanded = |pairs: &[(&str, &str)]| with(pairs).expect("ok").records;
        let newer = "message.timestamp.before.max.ms";

        assert_eq!(demanded(&[]), RecordRules::default());
        let rules = demanded(&[("validation", "header"), ("message.timestamp.type", "LogAppendTime")]);
        assert_eq!(
            (rules.validation, rules.timestamp_type),
            (Validation::Header, TimestampType::LogAppendTime)
        );
        let rules = demanded(&[(TIMESTAMP_DIFFERENCE, "50"), (newer, "9223372036854775807")]);
        assert_eq!(rules.timestamp_before_max, None, "the newer key counts");
        assert_eq!(rules.timestamp_after_max, Some(Duration::from_millis(50)));
    }

    #[test]
    fn impossible_values_say_what_would_be_right() {
        let refused = |key, value| with(&[(key, value)]).expect_err("refused").to_string();

        assert_eq!(
            refused("segment.bytes", "big"),
            "`segment.bytes = big`: must be a number from 256 to 2147483647"
        );
        assert_eq!(
            refused("index.interval.bytes", "1048577"),
            "`index.interval.bytes = 1048577`: must be a number from 1 to 1048576"
        );
        assert_eq!(refused("durability", "maybe"), "`durability = maybe`: must be fsync or page-cache");
        assert_eq!(
            refused("cleanup.policy", "compact"),
            "`cleanup.policy = compact`: must be delete for now"
        );
        assert_eq!(
            refused("segment.byte", "1"),
            "`segment.byte = 1`: unknown key; did you mean `segment.bytes`?"
        );
    }

    #[test]
    fn what_is_exposed_follows_the_topics_durability() {
        assert_eq!(with(&[("durability", "page-cache")]).expect("ok").expose, Expose::Replicated);
        let stuck = with(&[("durability", "page-cache"), ("expose", "flushed")]);
        assert!(stuck.is_err());
        let flushed = with(&[("durability", "page-cache"), ("expose", "flushed"), ("flush.ms", "100")]);
        assert_eq!(flushed.expect("ok").expose, Expose::Flushed);
    }
}
