//! One topic in memory behind the wire protocol. Each test says how the next requests are answered.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use seedlog::protocol::messages::*;
use seedlog::protocol::{
    ApiKey, ErrorCode, Message, Records, Request, RequestError, RequestHeader, Writer, api_versions_response,
    decode_request, encode_response_into, frame,
};
use seedlog::record;
use seedlog::runtime::net::{Listener, Stream, WriteHalf};
use seedlog::runtime::task::{Lane, TaskGroup};
use seedlog::runtime::{Segment, clock};
use seedlog::types::{LeaderEpoch, Offset};

pub const TOPIC: &str = "orders";
pub const PARTITIONS: usize = 2;
const BROKER: i32 = 1;
const SUCCESSOR: i32 = 2;
const FRAME_BYTES_MAX: usize = 1 << 20;

/// How a request is answered, other than well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// By this error for every partition, nothing done.
    Error(ErrorCode),
    /// Not at all: the connection is closed and nothing done.
    CloseBefore,
    /// Not at all: the connection is closed after it was done.
    CloseAfter,
    /// Never.
    Silence,
    /// Well, but late.
    Late(Duration),
}

/// See the module.
pub struct FakeBroker {
    pub address: SocketAddr,
    state: Mutex<State>,
}

#[derive(Default)]
pub struct State {
    /// Per partition: batches, with their base offsets set.
    pub logs: [Vec<Bytes>; PARTITIONS],
    /// Records before it are gone.
    pub log_start: [i64; PARTITIONS],
    /// Answers to the next Produce, Fetch and ListOffsets requests; then all is well.
    pub moods: VecDeque<Mood>,
    /// Produce requests that came in, moods or not.
    pub produced: usize,
    pub connections: usize,
    /// Answers ApiVersions as a broker of the year 2017 does.
    pub is_old: bool,
    /// The next Metadata requests know no leader.
    pub leaderless: usize,
    /// Another broker leads everything, in a later epoch.
    pub deposed_by: Option<SocketAddr>,
    /// It says that it is at this address now.
    pub moved_to: Option<SocketAddr>,
    /// Metadata leave it out, name another broker, and no leaders.
    pub is_away: bool,
    pub created: Vec<String>,
    /// Metadata requests that came in, and how many topics the last one named.
    pub described: usize,
    pub topics_asked: usize,
}

impl FakeBroker {
    pub fn new(address: SocketAddr) -> Arc<FakeBroker> {
        Arc::new(FakeBroker { address, state: Mutex::new(State::default()) })
    }

    pub fn bootstrap(&self) -> Vec<String> {
        vec![self.address.to_string()]
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics here")
    }

    /// The values of a partition's records, as text.
    pub fn values(&self, partition: usize) -> Vec<String> {
        let batches = self.state().logs[partition].clone();
        let records = batches.iter().flat_map(|batch| {
            record::records(batch, 1 << 20).expect("a sound batch").map(|r| r.expect("a sound record"))
        });
        records.map(|r| String::from_utf8(r.value.expect("a value").to_vec()).expect("text")).collect()
    }
}

impl State {
    fn log_end(&self, partition: usize) -> i64 {
        let last = self.logs[partition].last();
        last.map_or(0, |batch| record::BatchHeader::parse(batch).expect("a header").next_offset().0)
    }

    fn append(&mut self, partition: usize, records: &Bytes) -> i64 {
        let base = self.log_end(partition);
        let mut next = base;
        for batch in record::batches(records.clone()) {
            let mut batch = batch.expect("whole batches").to_vec();
            let header = record::validate(&batch, 1 << 20).expect("a sound batch");
            record::patch(&mut batch, Offset(next), LeaderEpoch(0));
            next += i64::from(header.last_offset_delta) + 1;
            self.logs[partition].push(batch.into());
        }
        base
    }

    /// The batches around and behind `offset`.
    /// Whole batches within the limit; the first one whatever its size, where `at_least_one` (KIP-74).
    fn read(&self, partition: usize, offset: i64, bytes_max: usize, at_least_one: bool) -> Bytes {
        let mut bytes = BytesMut::new();
        let end = |batch: &Bytes| record::BatchHeader::parse(batch).expect("a header").next_offset().0;
        for batch in self.logs[partition].iter().filter(|batch| end(batch) > offset) {
            let is_forced = at_least_one && bytes.is_empty();
            if !is_forced && bytes.len() + batch.len() > bytes_max {
                break;
            }
            bytes.extend_from_slice(batch);
        }
        bytes.freeze()
    }
}

/// Serves for ever.
pub async fn serve(listener: Listener, broker: Arc<FakeBroker>) {
    let connections = TaskGroup::new(Lane::Data);
    loop {
        let (stream, _) = listener.accept().await.expect("a listener accepts");
        broker.state().connections += 1;
        connections.spawn("fake-broker", connection(stream, Arc::clone(&broker)));
    }
}

async fn connection(stream: Stream, broker: Arc<FakeBroker>) {
    let (mut reader, mut writer) = stream.into_split();
    let mut buffer = BytesMut::new();
    loop {
        while let Some(frame) = frame::next_frame(&mut buffer, FRAME_BYTES_MAX).expect("our frames") {
            if answer(&broker, frame, &mut writer).await.is_none() {
                return;
            }
        }
        match reader.read(&mut buffer, 64 << 10).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// `None` ends the connection.
async fn answer(broker: &FakeBroker, frame: Bytes, writer: &mut WriteHalf) -> Option<()> {
    let (header, request) = match decode_request(frame) {
        Ok(decoded) => decoded,
        Err(RequestError::UnsupportedApiVersions { correlation_id, .. }) => {
            let refusal = api_versions_response(ErrorCode::UNSUPPORTED_VERSION);
            return send(writer, ApiKey::ApiVersions, 0, correlation_id, &refusal).await;
        }
        Err(error) => panic!("our clients sent {error}"),
    };
    match request {
        Request::ApiVersions(_) => versions(broker, &header, writer).await,
        Request::Metadata(request) => reply(writer, &header, &metadata(broker, &request)).await,
        Request::CreateTopics(request) => reply(writer, &header, &create(broker, &request)).await,
        Request::Produce(request) => produce(broker, &header, &request, writer).await,
        Request::Fetch(request) => fetch(broker, &header, &request, writer).await,
        Request::ListOffsets(request) => list_offsets(broker, &header, &request, writer).await,
        other => panic!("our clients never send {other:?}"),
    }
}

async fn reply<M: Message>(writer: &mut WriteHalf, header: &RequestHeader, response: &M) -> Option<()> {
    send(writer, header.api_key, header.api_version, header.correlation_id, response).await
}

async fn send<M: Message>(
    writer: &mut WriteHalf,
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    response: &M,
) -> Option<()> {
    let mut segments = vec![encoded(api, version, correlation_id, response)];
    writer.send(&mut segments).await.ok()
}

/// A response without holes.
pub fn encoded<M: Message>(api: ApiKey, version: i16, correlation_id: i32, response: &M) -> Segment {
    let mut out = Writer::new();
    encode_response_into(&mut out, api, version, correlation_id, response);
    Segment::Bytes(out.into_bytes())
}

/// Lets the next mood pass. `Err`: the connection ends.
async fn mood(broker: &FakeBroker) -> Result<Option<Mood>, ()> {
    let next = broker.state().moods.pop_front();
    match next {
        Some(Mood::CloseBefore) => return Err(()),
        Some(Mood::Silence) => std::future::pending().await,
        Some(Mood::Late(delay)) => clock::sleep(delay).await,
        _ => {}
    }
    Ok(next)
}

async fn versions(broker: &FakeBroker, header: &RequestHeader, writer: &mut WriteHalf) -> Option<()> {
    let is_old = broker.state().is_old;
    if is_old && header.api_version > 0 {
        let refusal = api_versions_response(ErrorCode::UNSUPPORTED_VERSION);
        return send(writer, header.api_key, 0, header.correlation_id, &refusal).await;
    }
    let mut response = api_versions_response(ErrorCode::NONE);
    if is_old {
        response.api_keys.iter_mut().for_each(|api| api.max_version = api.max_version.min(5));
    }
    reply(writer, header, &response).await
}

fn metadata(broker: &FakeBroker, request: &MetadataRequest) -> MetadataResponse {
    let mut state = broker.state();
    let is_leaderless = state.leaderless > 0 || state.is_away;
    state.leaderless = state.leaderless.saturating_sub(1);
    let names = match &request.topics {
        None => vec![TOPIC.to_owned()],
        Some(topics) => topics.iter().filter_map(|topic| topic.name.clone()).collect(),
    };
    state.described += 1;
    state.topics_asked = names.len();
    let topics = names.into_iter().map(|name| {
        let is_known = name == TOPIC || state.created.contains(&name);
        let leader = if state.deposed_by.is_some() { SUCCESSOR } else { BROKER };
        let partitions = (0..PARTITIONS as i32).map(move |partition_index| MetadataResponsePartition {
            partition_index,
            leader_id: if is_leaderless { -1 } else { leader },
            leader_epoch: leader,
            replica_nodes: vec![BROKER],
            isr_nodes: vec![BROKER],
            ..Default::default()
        });
        MetadataResponseTopic {
            error_code: if is_known { 0 } else { ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0 },
            partitions: if is_known { partitions.collect() } else { vec![] },
            name: Some(name),
            ..Default::default()
        }
    });
    let described = |node_id: i32, address: SocketAddr| MetadataResponseBroker {
        node_id,
        host: address.ip().to_string(),
        port: i32::from(address.port()),
        rack: None,
    };
    let itself = described(BROKER, state.moved_to.unwrap_or(broker.address));
    let mut brokers = vec![if state.is_away { described(SUCCESSOR, broker.address) } else { itself }];
    brokers.extend(state.deposed_by.map(|successor| described(SUCCESSOR, successor)));
    MetadataResponse { brokers, topics: topics.collect(), ..Default::default() }
}

fn create(broker: &FakeBroker, request: &CreateTopicsRequest) -> CreateTopicsResponse {
    let mut state = broker.state();
    let topics = request.topics.iter().map(|topic| {
        let exists = topic.name == TOPIC || state.created.contains(&topic.name);
        state.created.push(topic.name.clone());
        CreatableTopicResult {
            name: topic.name.clone(),
            error_code: if exists { ErrorCode::TOPIC_ALREADY_EXISTS.0 } else { 0 },
            ..Default::default()
        }
    });
    CreateTopicsResponse { topics: topics.collect(), ..Default::default() }
}

async fn produce(
    broker: &FakeBroker,
    header: &RequestHeader,
    request: &ProduceRequest,
    writer: &mut WriteHalf,
) -> Option<()> {
    broker.state().produced += 1;
    let mood = mood(broker).await.ok()?;
    let error = match mood {
        Some(Mood::Error(code)) => code,
        _ => ErrorCode::NONE,
    };
    let topics = request.topic_data.iter().map(|topic| {
        let partitions = topic.partition_data.iter().map(|data| {
            let records = data.records.as_ref().expect("our producer sends records");
            let base_offset = match error.is_none() {
                true => broker.state().append(data.index as usize, records),
                false => -1,
            };
            PartitionProduceResponse {
                index: data.index,
                error_code: error.0,
                base_offset,
                ..Default::default()
            }
        });
        TopicProduceResponse { name: topic.name.clone(), partition_responses: partitions.collect() }
    });
    let response = ProduceResponse { responses: topics.collect(), throttle_time_ms: 0 };
    match (mood, request.acks) {
        (Some(Mood::CloseAfter), _) => None,
        (_, 0) => Some(()),
        _ => reply(writer, header, &response).await,
    }
}

async fn fetch(
    broker: &FakeBroker,
    header: &RequestHeader,
    request: &FetchRequest,
    writer: &mut WriteHalf,
) -> Option<()> {
    let mood = mood(broker).await.ok()?;
    let deadline = clock::now() + Duration::from_millis(request.max_wait_ms as u64);
    loop {
        let (response, is_idle) = fetch_once(broker, request, mood);
        if !is_idle || clock::now() >= deadline {
            return reply(writer, header, &response).await;
        }
        clock::sleep(Duration::from_millis(5)).await;
    }
}

fn fetch_once(broker: &FakeBroker, request: &FetchRequest, mood: Option<Mood>) -> (FetchResponse, bool) {
    let state = broker.state();
    let mut is_idle = true;
    let mut sent = 0;
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let number = asked.partition as usize;
            let in_range = (state.log_start[number]..=state.log_end(number)).contains(&asked.fetch_offset);
            let error = match mood {
                Some(Mood::Error(code)) => code,
                _ if !in_range => ErrorCode::OFFSET_OUT_OF_RANGE,
                _ => ErrorCode::NONE,
            };
            let bytes_max = (asked.partition_max_bytes as usize).min(request.max_bytes as usize - sent);
            let records = match error.is_none() {
                true => state.read(number, asked.fetch_offset, bytes_max, sent == 0),
                false => Bytes::new(),
            };
            sent = (sent + records.len()).min(request.max_bytes as usize);
            is_idle &= error.is_none() && records.is_empty();
            PartitionData {
                partition_index: asked.partition,
                error_code: error.0,
                high_watermark: state.log_end(number),
                records: Records::Bytes(records),
                ..Default::default()
            }
        });
        FetchableTopicResponse { topic: topic.topic.clone(), partitions: partitions.collect() }
    });
    let response = FetchResponse { responses: topics.collect(), ..Default::default() };
    (response, is_idle)
}

async fn list_offsets(
    broker: &FakeBroker,
    header: &RequestHeader,
    request: &ListOffsetsRequest,
    writer: &mut WriteHalf,
) -> Option<()> {
    mood(broker).await.ok()?;
    let response = {
        let state = broker.state();
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|asked| {
                let number = asked.partition_index as usize;
                let offset = match asked.timestamp {
                    -2 => state.log_start[number],
                    _ => state.log_end(number),
                };
                ListOffsetsPartitionResponse {
                    partition_index: asked.partition_index,
                    offset,
                    ..Default::default()
                }
            });
            ListOffsetsTopicResponse { name: topic.name.clone(), partitions: partitions.collect() }
        });
        ListOffsetsResponse { topics: topics.collect(), throttle_time_ms: 0 }
    };
    reply(writer, header, &response).await
}
