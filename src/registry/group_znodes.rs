//! Where consumer groups stand in ZooKeeper, and in which form: the layout of Kafka 0.8 to 1.1.
//!
//! Pure. Unknown fields are skipped.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::znodes::Unreadable;
use crate::types::{Offset, Timestamp, TopicPartition};

/// Under which all groups stand.
pub(super) const GROUPS: &str = "/consumers";

/// What a group's nodes are put under, parents first.
pub(super) fn persistent_paths(group: &str, topics: &BTreeSet<String>) -> Vec<String> {
    let mut paths = vec!["/consumers".to_owned(), format!("/consumers/{group}")];
    paths.extend(["ids", "owners", "offsets"].map(|part| format!("/consumers/{group}/{part}")));
    for topic in topics {
        paths.extend(["owners", "offsets"].map(|part| format!("/consumers/{group}/{part}/{topic}")));
    }
    paths
}

pub(super) fn members(group: &str) -> String {
    format!("/consumers/{group}/ids")
}

pub(super) fn member(group: &str, member: &str) -> String {
    format!("/consumers/{group}/ids/{member}")
}

pub(super) fn owner(group: &str, partition: &TopicPartition) -> String {
    format!("/consumers/{group}/owners/{}/{}", partition.topic, partition.partition)
}

pub(super) fn offsets(group: &str) -> String {
    format!("/consumers/{group}/offsets")
}

pub(super) fn offset(group: &str, partition: &TopicPartition) -> String {
    format!("/consumers/{group}/offsets/{}/{}", partition.topic, partition.partition)
}

#[derive(Serialize, Deserialize)]
struct MemberJson {
    version: i32,
    /// Streams by topic.
    subscription: BTreeMap<String, u32>,
    pattern: String,
    /// Milliseconds since 1970, as text.
    timestamp: String,
}

pub(super) fn write_member(subscription: &BTreeMap<String, u32>, now: Timestamp) -> Vec<u8> {
    let member = MemberJson {
        version: 1,
        subscription: subscription.clone(),
        pattern: "static".to_owned(),
        timestamp: now.0.to_string(),
    };
    serde_json::to_vec(&member).expect("a plain struct with text keys is JSON")
}

pub(super) fn read_member(data: &[u8]) -> Result<BTreeMap<String, u32>, Unreadable> {
    Ok(serde_json::from_slice::<MemberJson>(data)?.subscription)
}

pub(super) fn read_offset(data: &[u8]) -> Result<Offset, Unreadable> {
    let text = std::str::from_utf8(data).ok();
    let offset = text.and_then(|text| text.parse().ok()).filter(|offset| *offset >= 0);
    offset.map(Offset).ok_or_else(|| Unreadable(format!("{:?} is no offset", String::from_utf8_lossy(data))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_written_as_kafka_writes_it_and_reads_back() {
        let subscription = BTreeMap::from([("t".to_owned(), 2)]);
        let data = write_member(&subscription, Timestamp(5));
        assert_eq!(read_member(&data).ok(), Some(subscription));
        assert_eq!(
            String::from_utf8(data).as_deref(),
            Ok(r#"{"version":1,"subscription":{"t":2},"pattern":"static","timestamp":"5"}"#)
        );
    }

    #[test]
    fn an_offset_is_decimal_text() {
        assert_eq!(read_offset(b"17"), Ok(Offset(17)));
        for bad in [&b""[..], b"-1", b"1.5", b"\xff"] {
            assert!(read_offset(bad).is_err(), "{bad:?}");
        }
    }
}
