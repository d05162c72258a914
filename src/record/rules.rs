//! What a topic demands of the batches it is sent.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::types::Timestamp;

/// How far a produced batch is looked into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Validation {
    /// Every record, as Kafka does: compressed ones are unpacked.
    #[default]
    Records,
    /// The batch's header and CRC alone. What is inside is the producers' affair, and their consumers'.
    Header,
}

impl Validation {
    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Validation::Records => "records",
            Validation::Header => "header",
        }
    }
}

/// Whose clock a record's timestamp is of (`message.timestamp.type`, KIP-32).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimestampType {
    /// The producer's, when it made the record.
    #[default]
    CreateTime,
    /// The broker's, when it appended the batch.
    LogAppendTime,
}

impl TimestampType {
    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            TimestampType::CreateTime => "CreateTime",
            TimestampType::LogAppendTime => "LogAppendTime",
        }
    }
}

/// A topic's demands, beside the size of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordRules {
    pub validation: Validation,
    pub timestamp_type: TimestampType,
    /// How much older than the broker's clock a record may be; `None`: any (`message.timestamp.before.max.ms`,
    /// KIP-937).
    pub timestamp_before_max: Option<Duration>,
    /// How far ahead of the broker's clock it may be; `None`: any (`message.timestamp.after.max.ms`, KIP-937).
    pub timestamp_after_max: Option<Duration>,
}

impl RecordRules {
    /// Whether the broker's clock matters to [`RecordRules::timestamp_range`].
    pub fn judges_timestamps(&self) -> bool {
        self.timestamp_type == TimestampType::CreateTime
            && (self.timestamp_before_max.is_some() || self.timestamp_after_max.is_some())
    }

    /// The timestamps taken at `now`. A record that says none ([`Timestamp::NONE`]) is taken besides.
    pub fn timestamp_range(&self, now: Timestamp) -> TimestampRange {
        let millis = |bound: Duration| i64::try_from(bound.as_millis()).unwrap_or(i64::MAX);
        if !self.judges_timestamps() {
            return TimestampRange::ANY;
        }
        TimestampRange {
            earliest: self
                .timestamp_before_max
                .map_or(TimestampRange::ANY.earliest, |b| Timestamp(now.0.saturating_sub(millis(b)))),
            latest: self
                .timestamp_after_max
                .map_or(TimestampRange::ANY.latest, |a| Timestamp(now.0.saturating_add(millis(a)))),
        }
    }
}

/// Timestamps from `earliest` to `latest`, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampRange {
    pub earliest: Timestamp,
    pub latest: Timestamp,
}

impl TimestampRange {
    pub const ANY: TimestampRange =
        TimestampRange { earliest: Timestamp(i64::MIN), latest: Timestamp(i64::MAX) };

    pub(super) fn takes(&self, timestamp: Timestamp) -> bool {
        (self.earliest..=self.latest).contains(&timestamp) || timestamp == Timestamp::NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_counted_from_the_brokers_clock() {
        let rules = RecordRules {
            timestamp_before_max: Some(Duration::from_millis(100)),
            timestamp_after_max: Some(Duration::from_millis(10)),
            ..RecordRules::default()
        };
        let range = rules.timestamp_range(Timestamp(1_000));
        let taken: Vec<i64> =
            [899, 900, 1_010, 1_011, -1].into_iter().filter(|&at| range.takes(Timestamp(at))).collect();
        assert_eq!(taken, [900, 1_010, -1]);
        assert!(RecordRules::default().timestamp_range(Timestamp(0)).takes(Timestamp(i64::MIN)));
    }

    #[test]
    fn where_the_broker_sets_the_time_the_producers_is_not_judged() {
        let rules = RecordRules {
            timestamp_type: TimestampType::LogAppendTime,
            timestamp_before_max: Some(Duration::from_millis(1)),
            ..RecordRules::default()
        };
        assert_eq!(rules.timestamp_range(Timestamp(1_000)), TimestampRange::ANY);
    }
}
