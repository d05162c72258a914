//! What a reply must look like, field by field. Pure: bytes in, a fate or a complaint out.

use std::collections::BTreeMap;
use std::fmt::Debug;

use bytes::Bytes;
use seedlog::protocol::messages::{
    FetchRequest, ListOffsetsRequest, MetadataRequest, PartitionData, PartitionProduceResponse,
    ProduceRequest,
};
use seedlog::protocol::{Api, ErrorCode, Records, decode_response};
use seedlog::record::BatchHeader;
use seedlog::types::{BrokerId, LeaderEpoch, Offset};

/// What became of one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// From this offset on; `None` where no reply was asked for.
    Stored(Option<Offset>),
    /// The broker says that it does not lead the partition, or knows of none.
    NotLed(String),
    Refused(String),
    Unknown(String),
}

/// What ListOffsets said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Latest {
    pub partition: i32,
    pub offset: i64,
}

fn same<T: PartialEq + Debug>(what: &str, is: T, should_be: T) -> Result<(), String> {
    if is == should_be { Ok(()) } else { Err(format!("{what} is {is:?} and not {should_be:?}")) }
}

/// The one thing that was asked about.
fn only<'a, T>(told: &'a [T], what: &str) -> Result<&'a T, String> {
    match told {
        [only] => Ok(only),
        _ => Err(format!("{} {what} are answered, and one was asked about", told.len())),
    }
}

fn decoded<R: Api>(frame: Bytes, version: i16, id: i32) -> Result<R::Response, String> {
    let name = R::KEY.name();
    let (answered, response) = decode_response::<R>(frame, version)
        .map_err(|error| format!("{name} {version} is answered with what cannot be read: {error}"))?;
    same(&format!("the correlation id of the reply to {name}"), answered, id)?;
    Ok(response)
}

/// A broker, and where it is reached.
pub(super) type Leader = (BrokerId, String);

/// The leaders of the topic's partitions, with their addresses.
pub(super) fn leaders(
    frame: Bytes,
    version: i16,
    id: i32,
    topic: &str,
) -> Result<BTreeMap<i32, Leader>, String> {
    let response = decoded::<MetadataRequest>(frame, version, id)?;
    let told = only(&response.topics, "topics of Metadata")?;
    same("the topic of Metadata", told.name.as_deref(), Some(topic))?;
    let leader = |id: i32| {
        let broker = response.brokers.iter().find(|broker| broker.node_id == id)?;
        Some((BrokerId(id), format!("{}:{}", broker.host, broker.port)))
    };
    let led = told.partitions.iter().filter(|partition| partition.leader_id >= 0);
    Ok(led.filter_map(|led| Some((led.partition_index, leader(led.leader_id)?))).collect())
}

/// What a broker says of the cluster.
pub(in crate::workload) struct Told {
    /// With their addresses.
    pub brokers: Vec<(BrokerId, String)>,
    /// The leader of each partition, -1 for nobody, and its epoch.
    pub leaders: BTreeMap<(String, i32), (i32, LeaderEpoch)>,
}

/// Who leads what, of all topics.
pub(in crate::workload) fn leaders_told(frame: Bytes, version: i16, id: i32) -> Result<Told, String> {
    let response = decoded::<MetadataRequest>(frame, version, id)?;
    let mut leaders = BTreeMap::new();
    for topic in &response.topics {
        same(&format!("the error of {:?}", topic.name), topic.error_code, 0)?;
        for told in &topic.partitions {
            let name = topic.name.clone().unwrap_or_default();
            let led = (told.leader_id, LeaderEpoch(told.leader_epoch));
            leaders.insert((name, told.partition_index), led);
        }
    }
    let brokers = response.brokers.iter();
    let brokers =
        brokers.map(|broker| (BrokerId(broker.node_id), format!("{}:{}", broker.host, broker.port)));
    Ok(Told { brokers: brokers.collect(), leaders })
}

/// The fates of the batches for `partitions`, in that order. `is_stamped`: the topic's records have the time of the append.
pub(super) fn produced(
    frame: Bytes,
    version: i16,
    id: i32,
    (topic, is_stamped): (&str, bool),
    partitions: &[i32],
) -> Result<Vec<Fate>, String> {
    let response = decoded::<ProduceRequest>(frame, version, id)?;
    let told = only(&response.responses, "topics of Produce")?;
    same("the topic of Produce", told.name.as_str(), topic)?;
    same("the throttle time", response.throttle_time_ms, 0)?;
    same("the number of answered partitions", told.partition_responses.len(), partitions.len())?;
    let fate = |partition: &i32| {
        let answer = told.partition_responses.iter().find(|answer| answer.index == *partition);
        fate_of(answer.ok_or(format!("Produce is not answered for partition {partition}"))?, is_stamped)
    };
    partitions.iter().map(fate).collect()
}

fn fate_of(answer: &PartitionProduceResponse, is_stamped: bool) -> Result<Fate, String> {
    let place = format!("of partition {}", answer.index);
    let code = ErrorCode(answer.error_code);
    if !code.is_none() {
        same(&format!("the base offset {place}, refused with {code},"), answer.base_offset, -1)?;
        return Ok(match code {
            ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
                Fate::NotLed(code.to_string())
            }
            ErrorCode::LEADER_NOT_AVAILABLE => Fate::Refused(code.to_string()),
            _ => Fate::Unknown(code.to_string()),
        });
    }
    if answer.base_offset < 0 {
        return Err(format!("the base offset {place} is {}", answer.base_offset));
    }
    if !is_stamped {
        same(&format!("the time of the append {place}"), answer.log_append_time_ms, -1)?;
    } else if answer.log_append_time_ms < 0 {
        return Err(format!("the time of the append {place} is not told"));
    }
    if answer.log_start_offset > answer.base_offset {
        return Err(format!("the log start {place} lies behind the base offset"));
    }
    same(&format!("the record errors {place}"), answer.record_errors.len(), 0)?;
    same(&format!("the error message {place}"), answer.error_message.as_deref(), None)?;
    Ok(Fate::Stored(Some(Offset(answer.base_offset))))
}

/// The end of the partition's log; `None` where the broker does not know.
pub(super) fn latest(
    frame: Bytes,
    version: i16,
    id: i32,
    topic: &str,
    partition: i32,
) -> Result<Option<Latest>, String> {
    let response = decoded::<ListOffsetsRequest>(frame, version, id)?;
    let told = only(&response.topics, "topics of ListOffsets")?;
    same("the topic of ListOffsets", told.name.as_str(), topic)?;
    let told = only(&told.partitions, "partitions of ListOffsets")?;
    same("the partition of ListOffsets", told.partition_index, partition)?;
    if !ErrorCode(told.error_code).is_none() {
        same("the offset beside an error", told.offset, -1)?;
        return Ok(None);
    }
    same("the timestamp of the log's end", told.timestamp, -1)?;
    if told.offset < 0 {
        return Err(format!("the log's end is {}", told.offset));
    }
    Ok(Some(Latest { partition, offset: told.offset }))
}

/// A fetch from an offset that was acknowledged; `latest` was told before on the same connection.
pub(super) fn fetched(
    frame: Bytes,
    version: i16,
    id: i32,
    topic: &str,
    partition: i32,
    offset: Offset,
    latest: Option<&Latest>,
) -> Result<(), String> {
    let response = decoded::<FetchRequest>(frame, version, id)?;
    same("the error of Fetch", response.error_code, 0)?;
    let told = only(&response.responses, "topics of Fetch")?;
    same("the topic of Fetch", told.topic.as_str(), topic)?;
    let told = only(&told.partitions, "partitions of Fetch")?;
    same("the partition of Fetch", told.partition_index, partition)?;
    let bytes = match &told.records {
        Records::Bytes(bytes) => bytes.clone(),
        Records::None | Records::Hole(_) => Bytes::new(),
    };
    if !ErrorCode(told.error_code).is_none() {
        return same("the bytes beside an error", bytes.len(), 0);
    }
    if let Some(latest) = latest.filter(|latest| latest.partition == partition)
        && latest.offset > told.high_watermark
    {
        return Err(format!(
            "the log's end was told to be {}, and the high watermark after that is {}",
            latest.offset, told.high_watermark
        ));
    }
    records_are_right(told, offset, bytes)
}

/// Whole batches from the one that holds `offset` to the high watermark; at least one if there is one.
fn records_are_right(told: &PartitionData, offset: Offset, bytes: Bytes) -> Result<(), String> {
    if bytes.is_empty() {
        return match offset.0 < told.high_watermark && told.log_start_offset <= offset.0 {
            false => Ok(()),
            true => Err(format!(
                "nothing is returned from {offset} on, though the high watermark is {}",
                told.high_watermark
            )),
        };
    }
    let first = BatchHeader::parse(&bytes).map_err(|error| format!("the first batch: {error}"))?;
    if first.size() > bytes.len() {
        return Err(format!("the first batch has {} bytes, {} were sent", first.size(), bytes.len()));
    }
    if !(first.base_offset..=first.last_offset()).contains(&offset) {
        return Err(format!(
            "asked for {offset}, the first batch has {} to {}",
            first.base_offset,
            first.last_offset()
        ));
    }
    let mut rest = &bytes[..];
    while let Ok(header) = BatchHeader::parse(rest)
        && header.size() <= rest.len()
    {
        if header.last_offset().0 >= told.high_watermark {
            return Err(format!(
                "{} is returned, the high watermark is {}",
                header.last_offset(),
                told.high_watermark
            ));
        }
        rest = &rest[header.size()..];
    }
    Ok(())
}

#[cfg(test)]
mod tests;
