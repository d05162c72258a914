//! A client of the bare protocol: several requests in flight, no retries, and a look at every field of the replies.
//!
//! It shares no code with the library's clients but the wire format, so that what these overlook is seen.

mod connection;
mod replies;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use seedlog::facts::{self, Fact, RecordTag};
use seedlog::protocol::encode_request;
use seedlog::protocol::messages::{
    FetchPartition, FetchRequest, FetchTopic, ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
    MetadataRequest, MetadataRequestTopic, PartitionProduceData, ProduceRequest, TopicProduceData,
};
use seedlog::record::BatchBuilder;
use seedlog::runtime::rng::Rng;
use seedlog::runtime::{clock, rng};
use seedlog::types::{Acks, BrokerId, Offset, TopicPartition};

pub(super) use self::connection::Connection;
pub(super) use self::replies::leaders_told;
use self::replies::{Fate, Latest, Leader};
use super::client::{Context, PAUSE, REQUEST_TIMEOUT};
use super::produce::wait_for_turn;
use super::unique;
use crate::scenario::plan::ProducerPlan;

/// Records of a batch at most.
const BATCH_RECORDS_MAX: u64 = 10;
/// How long a broker may hold a fetch that finds nothing.
const FETCH_WAIT: Duration = Duration::from_millis(100);

/// Sends the plan's records, several requests at once, and asks for ends and records behind them.
pub(super) async fn produce(context: Context, plan: ProducerPlan, partitions: u32, is_stamped: bool) {
    let mut client = Client {
        in_flight_max: plan.config.get("max.in.flight.requests.per.connection").map_or(5, |n| *n as u64),
        timeout: plan
            .config
            .get("request.timeout.ms")
            .map_or(REQUEST_TIMEOUT, |ms| Duration::from_millis(*ms as u64)),
        topic: Arc::from(plan.topic.as_str()),
        context,
        plan,
        partitions,
        is_stamped,
        draws: rng::stream("workload"),
        next_seq: 0,
        leaders: BTreeMap::new(),
        asked: BrokerId(-1),
        connections: BTreeMap::new(),
        stored: BTreeMap::new(),
    };
    let (mut due, mut all_sent) = (clock::now(), 0);
    loop {
        wait_for_turn(&client.context, due).await;
        let before = client.next_seq;
        match client.round().await {
            Ok(true) => {}
            Ok(false) => break,
            Err(reason) => {
                client.context.shared.report(format!("{}: {reason}", client.context.name));
                client.leaders.clear();
                client.connections.clear();
                clock::sleep(PAUSE).await;
            }
        }
        let sent = client.next_seq - before;
        due = (due + client.plan.time_of(all_sent, all_sent + sent)).max(clock::now());
        all_sent += sent;
    }
    client.context.shared.finish(&client.context.name);
    std::future::pending::<()>().await;
}

/// What was asked, in the order in which it has to be answered.
enum Asked {
    Produce(Vec<Sent>),
    Latest(i32),
    Fetch { partition: i32, offset: Offset },
}

/// One batch of a produce request.
#[derive(Clone)]
struct Sent {
    partition: i32,
    seqs: Range<u64>,
}

/// A request on its way.
struct Pending {
    version: i16,
    id: i32,
    asked: Asked,
}

struct Client {
    context: Context,
    plan: ProducerPlan,
    topic: Arc<str>,
    partitions: u32,
    /// The topic's records have the time of the append.
    is_stamped: bool,
    in_flight_max: u64,
    timeout: Duration,
    draws: Rng,
    next_seq: u64,
    /// Of each partition.
    leaders: BTreeMap<i32, Leader>,
    /// The broker of this round.
    asked: BrokerId,
    connections: BTreeMap<String, Connection>,
    /// Of each partition, an offset that was acknowledged.
    stored: BTreeMap<i32, Offset>,
}

impl Client {
    /// Sends to one broker as much as may be in flight, and waits for all replies. Answers whether there may be more
    /// to send; an error says why the connection is given up.
    async fn round(&mut self) -> Result<bool, String> {
        if self.leaders.is_empty() {
            self.learn_leaders().await?;
        }
        let leaders: Vec<Leader> = self.leaders.values().cloned().collect();
        let (asked, address) = self.draws.pick(&leaders).ok_or("no partition has a leader")?.clone();
        self.asked = asked;
        if !self.connections.contains_key(&address) {
            let connection = Connection::open(&address, self.timeout).await?;
            self.connections.insert(address.clone(), connection);
        }
        let led = self.leaders.iter().filter(|(_, (leader, _))| *leader == asked);
        let led: Vec<i32> = led.map(|(partition, _)| *partition).collect();
        let mut connection = self.connections.remove(&address).expect("made above");
        let (mut frames, mut pending, mut is_over) = (Vec::new(), Vec::new(), false);
        for _ in 0..self.draws.between(1, self.in_flight_max) {
            let Some((frame, asked)) = self.produce_request(&mut connection, &led) else {
                is_over = true;
                break;
            };
            frames.push(frame);
            pending.push(asked);
        }
        for (frame, asked) in self.questions(&mut connection, &led) {
            frames.push(frame);
            pending.push(asked);
        }
        let outcome = self.exchange(&mut connection, frames, pending).await;
        outcome.map(|()| {
            self.connections.insert(address, connection);
            !is_over
        })
    }

    async fn learn_leaders(&mut self) -> Result<(), String> {
        let bootstrap = self.draws.pick(&self.context.bootstrap).cloned().ok_or("no broker is known")?;
        let mut connection = Connection::open(&bootstrap, self.timeout).await?;
        let version = self.draws.between(0, 9) as i16;
        let id = connection.next_id();
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic { name: Some(self.topic.to_string()) }]),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        connection.send(vec![encode_request(version, id, Some(&self.context.name), &request)]).await?;
        let frame = connection.reply(self.timeout).await?;
        match replies::leaders(frame, version, id, &self.topic) {
            Ok(leaders) => self.leaders = leaders,
            Err(reason) => self.complain(None, reason),
        }
        if self.leaders.is_empty() { Err("no partition has a leader".to_owned()) } else { Ok(()) }
    }

    /// Batches for one or two of the partitions; none once all numbers are used up.
    fn produce_request(&mut self, connection: &mut Connection, led: &[i32]) -> Option<(Bytes, Pending)> {
        let mut wanted = vec![*self.draws.pick(led)?, *self.draws.pick(led)?];
        wanted.sort_unstable();
        wanted.dedup();
        let (mut sent, mut data) = (Vec::new(), Vec::new());
        for index in wanted {
            if let Some((batch, records)) = self.batch(index) {
                sent.push(batch);
                data.push(PartitionProduceData { index, records: Some(records) });
            }
        }
        if sent.is_empty() {
            return None;
        }
        let (version, id) = (self.draws.between(3, 9) as i16, connection.next_id());
        let request = ProduceRequest {
            acks: match self.plan.acks {
                Acks::None => 0,
                Acks::Leader => 1,
                Acks::All => -1,
            },
            timeout_ms: self.timeout.as_millis() as i32,
            topic_data: vec![TopicProduceData { name: self.topic.to_string(), partition_data: data }],
            ..ProduceRequest::default()
        };
        let frame = encode_request(version, id, Some(&self.context.name), &request);
        Some((frame, Pending { version, id, asked: Asked::Produce(sent) }))
    }

    fn batch(&mut self, partition: i32) -> Option<(Sent, Bytes)> {
        let mut builder = BatchBuilder::new(self.plan.compression);
        let first = self.next_seq;
        for _ in 0..self.draws.between(1, BATCH_RECORDS_MAX) {
            let Some(number) = self.context.shared.take_number(&self.context.name, self.plan.records) else {
                break;
            };
            let bytes = self.draws.below(self.plan.value_bytes.max(1));
            let value = unique(&self.context.name, number, bytes);
            let timestamp = clock::wall_now();
            builder.push(timestamp, None, Some(&value), &[]);
            facts::record(|| Fact::SendInvoked {
                producer: self.context.name.clone(),
                seq: self.next_seq,
                partition: self.partition(partition),
                record: RecordTag::of(None, Some(&value)).with(std::iter::empty(), timestamp),
                acks: self.plan.acks,
            });
            self.next_seq += 1;
        }
        let seqs = first..self.next_seq;
        (!seqs.is_empty()).then(|| (Sent { partition, seqs }, builder.build()))
    }

    /// Where a log ends, and what is there: a fetch that has room for one byte.
    fn questions(&mut self, connection: &mut Connection, led: &[i32]) -> Vec<(Bytes, Pending)> {
        let known: Vec<i32> = led.iter().copied().filter(|led| self.stored.contains_key(led)).collect();
        let Some(partition) = self.draws.pick(&known).copied() else { return Vec::new() };
        let offset = self.stored[&partition];
        let (name, client) = (self.topic.to_string(), self.context.name.clone());
        let (version, id) = (self.draws.between(2, 7) as i16, connection.next_id());
        let ask = ListOffsetsPartition {
            partition_index: partition,
            timestamp: -1,
            ..ListOffsetsPartition::default()
        };
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic { name: name.clone(), partitions: vec![ask] }],
            ..ListOffsetsRequest::default()
        };
        let latest = encode_request(version, id, Some(&client), &request);
        let latest = (latest, Pending { version, id, asked: Asked::Latest(partition) });
        let (version, id) = (self.draws.between(4, 12) as i16, connection.next_id());
        let bytes = *self.draws.pick(&[1, 1, 100, 1 << 20]).expect("not empty");
        let ask = FetchPartition {
            partition,
            fetch_offset: offset.0,
            partition_max_bytes: bytes,
            ..FetchPartition::default()
        };
        let request = FetchRequest {
            max_wait_ms: FETCH_WAIT.as_millis() as i32,
            min_bytes: 1,
            max_bytes: bytes,
            topics: vec![FetchTopic { topic: name, partitions: vec![ask] }],
            ..FetchRequest::default()
        };
        let fetch = encode_request(version, id, Some(&client), &request);
        vec![latest, (fetch, Pending { version, id, asked: Asked::Fetch { partition, offset } })]
    }

    /// Sends all and takes the replies in turn. What is not answered has an unknown fate.
    async fn exchange(
        &mut self,
        connection: &mut Connection,
        frames: Vec<Bytes>,
        pending: Vec<Pending>,
    ) -> Result<(), String> {
        let mut broken = connection.send(frames).await.err();
        let mut latest: Option<Latest> = None;
        for waiting in pending {
            let is_answered = self.plan.acks != Acks::None || !matches!(waiting.asked, Asked::Produce(_));
            let reply = match (&broken, is_answered) {
                (Some(reason), _) => Err(reason.clone()),
                (None, true) => connection.reply(self.timeout).await.map(Some),
                (None, false) => Ok(None),
            };
            match reply {
                Ok(frame) => self.take(waiting, frame, &mut latest)?,
                Err(reason) => {
                    if let Asked::Produce(sent) = &waiting.asked {
                        sent.iter().for_each(|sent| self.state(sent, &Fate::Unknown(reason.clone())));
                    }
                    broken = Some(reason);
                }
            }
        }
        broken.map_or(Ok(()), Err)
    }

    /// Looks at one reply; `None` where there is to be none.
    fn take(
        &mut self,
        waiting: Pending,
        frame: Option<Bytes>,
        latest: &mut Option<Latest>,
    ) -> Result<(), String> {
        let (version, id) = (waiting.version, waiting.id);
        match (waiting.asked, frame) {
            (Asked::Produce(sent), None) => {
                sent.iter().for_each(|sent| self.state(sent, &Fate::Stored(None)));
            }
            (Asked::Produce(sent), Some(frame)) => {
                let asked: Vec<i32> = sent.iter().map(|sent| sent.partition).collect();
                let topic = (&*self.topic, self.is_stamped);
                match replies::produced(frame, version, id, topic, &asked) {
                    Ok(fates) => sent.iter().zip(&fates).for_each(|(sent, fate)| self.state(sent, fate)),
                    Err(reason) => {
                        let fate = Fate::Unknown(reason.clone());
                        sent.iter().for_each(|sent| self.state(sent, &fate));
                        self.complain(None, reason);
                    }
                }
            }
            (Asked::Latest(partition), Some(frame)) => {
                match replies::latest(frame, version, id, &self.topic, partition) {
                    Ok(told) => *latest = told,
                    Err(reason) => self.complain(None, reason),
                }
            }
            (Asked::Fetch { partition, offset }, Some(frame)) => {
                let judged =
                    replies::fetched(frame, version, id, &self.topic, partition, offset, latest.as_ref());
                if let Err(reason) = judged {
                    self.complain(Some(self.partition(partition)), reason);
                }
            }
            (_, None) => return Err("only a send may go unanswered".to_owned()),
        }
        Ok(())
    }

    fn state(&mut self, sent: &Sent, fate: &Fate) {
        let partition = self.partition(sent.partition);
        if matches!(fate, Fate::NotLed(_)) {
            let (client, broker, seq) = (self.context.name.clone(), self.asked, sent.seqs.start);
            let partition = partition.clone();
            facts::record(|| Fact::LeadershipDenied { client, broker, partition, seq });
        }
        for (nth, seq) in sent.seqs.clone().enumerate() {
            let (producer, partition) = (self.context.name.clone(), partition.clone());
            facts::record(|| match fate {
                Fate::Stored(base) => {
                    let offset = base.map(|base| Offset(base.0 + nth as i64));
                    Fact::SendOk { producer, seq, partition, offset }
                }
                Fate::NotLed(error) | Fate::Refused(error) => {
                    Fact::SendFailed { producer, seq, partition, error: error.clone() }
                }
                Fate::Unknown(error) => Fact::SendUnknown { producer, seq, partition, error: error.clone() },
            });
        }
        match fate {
            Fate::Stored(Some(base)) => {
                self.stored.insert(sent.partition, *base);
            }
            Fate::Stored(None) => {}
            Fate::NotLed(_) | Fate::Refused(_) | Fate::Unknown(_) => self.leaders.clear(),
        }
    }

    fn complain(&self, partition: Option<TopicPartition>, reason: String) {
        facts::record(|| Fact::WrongReply { client: self.context.name.clone(), partition, reason });
    }

    fn partition(&self, number: i32) -> TopicPartition {
        debug_assert!(
            (0..self.partitions as i32).contains(&number),
            "a leader is known of partitions that there are"
        );
        TopicPartition::new(Arc::clone(&self.topic), number)
    }
}
