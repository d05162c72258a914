//! Where everything stands in ZooKeeper, and in which JSON: the layout of Kafka 1.1 to 2.8.
//!
//! Pure. Unknown fields are skipped: other tools may write more than is read here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::base64::{decode_id, encode_id};
use super::{BrokerRegistration, PartitionState, TopicSpec};
use crate::types::{BrokerId, LeaderEpoch, Timestamp, TopicId, TopicPartition};

pub(super) const BROKER_IDS: &str = "/brokers/ids";
pub(super) const TOPICS: &str = "/brokers/topics";
pub(super) const CLUSTER_ID: &str = "/cluster/id";
pub(super) const PRODUCER_ID_BLOCK: &str = "/latest_producer_id_block";

/// What everything else is put under, parents first.
pub(super) const PERSISTENT_PATHS: &[&str] = &[
    "/brokers",
    BROKER_IDS,
    TOPICS,
    "/brokers/seqid",
    "/config",
    "/config/topics",
    "/config/clients",
    "/config/users",
    "/config/brokers",
    "/config/changes",
    "/admin",
    "/admin/delete_topics",
    "/isr_change_notification",
    "/consumers",
    "/cluster",
];

/// Producer ids handed out at once.
const PRODUCER_IDS_PER_BLOCK: i64 = 1_000;

pub(super) fn broker(id: BrokerId) -> String {
    format!("{BROKER_IDS}/{id}")
}

pub(super) fn topic(name: &str) -> String {
    format!("{TOPICS}/{name}")
}

pub(super) fn topic_config(name: &str) -> String {
    format!("/config/topics/{name}")
}

pub(super) fn partitions(topic_name: &str) -> String {
    format!("{TOPICS}/{topic_name}/partitions")
}

pub(super) fn partition(topic_name: &str, number: &str) -> String {
    format!("{TOPICS}/{topic_name}/partitions/{number}")
}

pub(super) fn partition_state(of: &TopicPartition) -> String {
    format!("{TOPICS}/{}/partitions/{}/state", of.topic, of.partition)
}

/// Data that does not say what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub String);

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Unreadable {
        Unreadable(error.to_string())
    }
}

#[derive(Serialize, Deserialize)]
struct BrokerJson {
    version: i32,
    host: String,
    port: u16,
    #[serde(default = "no_jmx")]
    jmx_port: i32,
    /// Milliseconds since 1970, as text.
    timestamp: String,
    #[serde(default)]
    endpoints: Vec<String>,
    #[serde(default)]
    listener_security_protocol_map: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rack: Option<String>,
}

fn no_jmx() -> i32 {
    -1
}

pub(super) fn write_broker(registration: &BrokerRegistration, now: Timestamp) -> Vec<u8> {
    let BrokerRegistration { broker: _, host, port, rack } = registration;
    json(&BrokerJson {
        version: 4,
        host: host.clone(),
        port: *port,
        jmx_port: no_jmx(),
        timestamp: now.0.to_string(),
        endpoints: vec![format!("PLAINTEXT://{host}:{port}")],
        listener_security_protocol_map: BTreeMap::from([("PLAINTEXT".to_owned(), "PLAINTEXT".to_owned())]),
        rack: rack.clone(),
    })
}

pub(super) fn read_broker(broker: BrokerId, data: &[u8]) -> Result<BrokerRegistration, Unreadable> {
    let BrokerJson { host, port, rack, .. } = serde_json::from_slice(data)?;
    Ok(BrokerRegistration { broker, host, port, rack })
}

#[derive(Serialize, Deserialize)]
struct TopicJson {
    version: i32,
    topic_id: String,
    /// Keys are numbers as text, for JSON knows no others.
    partitions: BTreeMap<String, Vec<i32>>,
    #[serde(default)]
    adding_replicas: BTreeMap<String, Vec<i32>>,
    #[serde(default)]
    removing_replicas: BTreeMap<String, Vec<i32>>,
}

pub(super) fn write_topic(topic: &TopicSpec) -> Vec<u8> {
    let partitions = topic.partitions.iter().map(|(number, replicas)| {
        (number.to_string(), replicas.iter().map(|broker| broker.0).collect::<Vec<_>>())
    });
    json(&TopicJson {
        version: 3,
        topic_id: encode_id(topic.topic_id.as_bytes()),
        partitions: partitions.collect(),
        adding_replicas: BTreeMap::new(),
        removing_replicas: BTreeMap::new(),
    })
}

pub(super) fn read_topic(
    name: &str,
    data: &[u8],
    config: BTreeMap<String, String>,
) -> Result<TopicSpec, Unreadable> {
    let topic: TopicJson = serde_json::from_slice(data)?;
    let topic_id = decode_id(&topic.topic_id)
        .map(TopicId::from_bytes)
        .ok_or_else(|| Unreadable(format!("{:?} is no topic id", topic.topic_id)))?;
    let mut partitions = BTreeMap::new();
    for (number, replicas) in topic.partitions {
        let parsed = number.parse::<i32>().ok().filter(|number| *number >= 0);
        let number = parsed.ok_or_else(|| Unreadable(format!("{number:?} is no partition")))?;
        partitions.insert(number, replicas.into_iter().map(BrokerId).collect());
    }
    Ok(TopicSpec { name: name.to_owned(), topic_id, partitions, config })
}

#[derive(Serialize, Deserialize)]
struct ConfigJson {
    version: i32,
    config: BTreeMap<String, String>,
}

pub(super) fn write_config(config: &BTreeMap<String, String>) -> Vec<u8> {
    json(&ConfigJson { version: 1, config: config.clone() })
}

pub(super) fn read_config(data: &[u8]) -> Result<BTreeMap<String, String>, Unreadable> {
    Ok(serde_json::from_slice::<ConfigJson>(data)?.config)
}

#[derive(Serialize, Deserialize)]
struct StateJson {
    version: i32,
    /// -1: nobody.
    leader: i32,
    leader_epoch: i32,
    controller_epoch: i32,
    isr: Vec<i32>,
}

pub(super) fn write_state(state: &PartitionState) -> Vec<u8> {
    let data = json(&StateJson {
        version: 1,
        leader: state.leader.map_or(-1, |leader| leader.0),
        leader_epoch: state.leader_epoch.0,
        controller_epoch: state.controller_epoch,
        isr: state.isr.iter().map(|broker| broker.0).collect(),
    });
    debug_assert_eq!(read_state(&data).as_ref(), Ok(state), "what is written can be read back");
    data
}

pub(super) fn read_state(data: &[u8]) -> Result<PartitionState, Unreadable> {
    let state: StateJson = serde_json::from_slice(data)?;
    Ok(PartitionState {
        leader: Some(BrokerId(state.leader)).filter(|leader| leader.0 >= 0),
        leader_epoch: LeaderEpoch(state.leader_epoch),
        controller_epoch: state.controller_epoch,
        isr: state.isr.into_iter().map(BrokerId).collect(),
    })
}

#[derive(Serialize, Deserialize)]
struct ClusterIdJson {
    version: String,
    id: String,
}

pub(super) fn write_cluster_id(id: &[u8; 16]) -> Vec<u8> {
    json(&ClusterIdJson { version: "1".to_owned(), id: encode_id(id) })
}

pub(super) fn read_cluster_id(data: &[u8]) -> Result<String, Unreadable> {
    Ok(serde_json::from_slice::<ClusterIdJson>(data)?.id)
}

#[derive(Serialize, Deserialize)]
struct ProducerIdBlockJson {
    version: i32,
    broker: i32,
    block_start: String,
    /// Inclusive.
    block_end: String,
}

/// A block of producer ids, `first..=last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProducerIdBlock {
    pub broker: BrokerId,
    pub first: i64,
    pub last: i64,
}

impl ProducerIdBlock {
    /// The block after `previous`; `None` when there are no more ids.
    pub fn after(previous: Option<ProducerIdBlock>, broker: BrokerId) -> Option<ProducerIdBlock> {
        let first = previous.map_or(Some(0), |block| block.last.checked_add(1))?;
        let last = first.checked_add(PRODUCER_IDS_PER_BLOCK - 1)?;
        Some(ProducerIdBlock { broker, first, last })
    }

    pub fn write(&self) -> Vec<u8> {
        json(&ProducerIdBlockJson {
            version: 1,
            broker: self.broker.0,
            block_start: self.first.to_string(),
            block_end: self.last.to_string(),
        })
    }

    pub fn read(data: &[u8]) -> Result<ProducerIdBlock, Unreadable> {
        let block: ProducerIdBlockJson = serde_json::from_slice(data)?;
        let number = |text: &str| {
            text.parse::<i64>()
                .ok()
                .filter(|n| *n >= 0)
                .ok_or_else(|| Unreadable(format!("{text:?} is no id")))
        };
        Ok(ProducerIdBlock {
            broker: BrokerId(block.broker),
            first: number(&block.block_start)?,
            last: number(&block.block_end)?,
        })
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain structs with text keys are JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(data: Vec<u8>) -> String {
        String::from_utf8(data).expect("JSON is text")
    }

    #[test]
    fn a_broker_is_written_as_kafka_writes_it_and_reads_back() {
        let registration =
            BrokerRegistration { broker: BrokerId(1), host: "h".into(), port: 9092, rack: Some("r".into()) };
        let data = write_broker(&registration, Timestamp(5));
        assert_eq!(read_broker(BrokerId(1), &data), Ok(registration));
        assert_eq!(
            text(data),
            r#"{"version":4,"host":"h","port":9092,"jmx_port":-1,"timestamp":"5","endpoints":["PLAINTEXT://h:9092"],"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT"},"rack":"r"}"#
        );
    }

    #[test]
    fn a_broker_of_kafka_2_8_is_understood() {
        let data = br#"{"features":{},"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT"},"endpoints":["PLAINTEXT://b:1"],"jmx_port":-1,"port":1,"host":"b","version":5,"timestamp":"1"}"#;
        let read = read_broker(BrokerId(2), data).expect("understood");
        assert_eq!((read.host.as_str(), read.port, read.rack), ("b", 1, None));
    }

    #[test]
    fn a_topic_is_written_as_kafka_writes_it_and_reads_back() {
        let topic = TopicSpec {
            name: "t".into(),
            topic_id: TopicId::from_bytes([0; 16]),
            partitions: BTreeMap::from([(0, vec![BrokerId(1), BrokerId(2)])]),
            config: BTreeMap::new(),
        };
        let data = write_topic(&topic);
        assert_eq!(read_topic("t", &data, BTreeMap::new()), Ok(topic));
        assert_eq!(
            text(data),
            r#"{"version":3,"topic_id":"AAAAAAAAAAAAAAAAAAAAAA","partitions":{"0":[1,2]},"adding_replicas":{},"removing_replicas":{}}"#
        );
    }

    #[test]
    fn a_partitions_state_without_leader_says_minus_one() {
        let state = PartitionState {
            leader: None,
            leader_epoch: LeaderEpoch(3),
            controller_epoch: 1,
            isr: vec![BrokerId(1)],
        };
        let data = write_state(&state);
        assert_eq!(read_state(&data), Ok(state));
        assert_eq!(
            text(data),
            r#"{"version":1,"leader":-1,"leader_epoch":3,"controller_epoch":1,"isr":[1]}"#
        );
    }

    #[test]
    fn producer_id_blocks_follow_one_another_to_the_last_id() {
        let first = ProducerIdBlock::after(None, BrokerId(1)).expect("the first block");
        assert_eq!(text(first.write()), r#"{"version":1,"broker":1,"block_start":"0","block_end":"999"}"#);
        let second = ProducerIdBlock::after(Some(first), BrokerId(2)).expect("the second block");
        assert_eq!((second.first, second.last), (1_000, 1_999));
        assert_eq!(ProducerIdBlock::read(&second.write()), Ok(second));
        let last = ProducerIdBlock { broker: BrokerId(1), first: 0, last: i64::MAX - 5 };
        assert_eq!(ProducerIdBlock::after(Some(last), BrokerId(1)), None);
    }

    #[test]
    fn data_that_makes_no_sense_is_refused() {
        assert!(read_topic("t", b"{", BTreeMap::new()).is_err());
        assert!(
            read_topic("t", br#"{"version":3,"topic_id":"x","partitions":{}}"#, BTreeMap::new()).is_err()
        );
        let negative = br#"{"version":3,"topic_id":"AAAAAAAAAAAAAAAAAAAAAA","partitions":{"-1":[1]}}"#;
        assert!(read_topic("t", negative, BTreeMap::new()).is_err());
        assert!(read_state(b"").is_err());
        assert!(
            ProducerIdBlock::read(br#"{"version":1,"broker":1,"block_start":"-1","block_end":"x"}"#).is_err()
        );
    }
}
