//! Looks at the cluster while nothing is injured any more, through the bare protocol: what each broker says about who
//! leads, and whether it keeps a connection for as long as it may be idle. Makes the topics that are to be made in a
//! cluster that works, and sends to them at once.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use seedlog::admin::{Admin, AdminConfig};
use seedlog::facts::{self, Fact};
use seedlog::producer::{Producer, ProducerRecord};
use seedlog::protocol::encode_request;
use seedlog::protocol::messages::MetadataRequest;
use seedlog::runtime::{clock, concurrently, rng};
use seedlog::types::{Acks, BrokerId, TopicPartition};

use super::client::{Context, REQUEST_TIMEOUT, make_topic, producer_config, refused};
use super::wire::{Connection, leaders_told};
use crate::scenario::plan::TopicPlan;
use crate::scenario::{Created, Plan};

/// The first version of Metadata that says epochs and takes "all topics".
const METADATA_VERSION: i16 = 9;
/// Left of the quiet time when a broker is asked for the second time.
const BEFORE_THE_END: Duration = Duration::from_secs(2);
/// A broker closes a connection that is idle for too long; one that is idle for this much less it keeps.
const IDLE_MARGIN: Duration = Duration::from_secs(1);
/// How long after a topic was asked for somebody sends to it.
const SENT_WITHIN_MS: u64 = 20;
/// Brokers and topics at a time.
const VISITS_AT_ONCE_MAX: usize = 16;

/// What there is to look at.
#[derive(Clone)]
pub(super) struct Visit {
    newcomers: Arc<BTreeMap<String, TopicPlan>>,
    /// Between the two times that a broker is asked.
    idle: Duration,
    /// Whether the brokers keep a connection that is idle for so long.
    is_kept: bool,
}

impl Visit {
    pub fn of(plan: &Plan) -> Visit {
        let newcomers = plan.topics.iter().filter(|(_, topic)| topic.created == Created::Healed);
        let idle = plan.quiet_time().saturating_sub(BEFORE_THE_END);
        let idle_max = plan.broker_config.get("connections.max.idle.ms").and_then(toml::Value::as_integer);
        let idle_max = idle_max.map_or(Duration::MAX, |ms| Duration::from_millis(ms.cast_unsigned()));
        Visit {
            newcomers: Arc::new(newcomers.map(|(name, topic)| (name.clone(), topic.clone())).collect()),
            idle,
            is_kept: idle + IDLE_MARGIN < idle_max,
        }
    }
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(super) async fn visit(context: Context, visit: Visit) {
    let mut works: Vec<Work> = Vec::new();
    for address in context.bootstrap.clone() {
        works.push(Box::pin(look(context.clone(), address, visit.clone())));
    }
    for (name, topic) in visit.newcomers.iter() {
        works.push(Box::pin(make(context.clone(), name.clone(), topic.clone())));
        works.push(Box::pin(send(context.clone(), name.clone(), topic.partitions)));
    }
    concurrently(VISITS_AT_ONCE_MAX, works).await;
    context.shared.finish(&context.name);
    std::future::pending::<()>().await;
}

async fn make(context: Context, name: String, topic: TopicPlan) {
    let admin = Admin::start(AdminConfig {
        bootstrap: context.bootstrap.clone(),
        client_id: context.name.clone(),
        timeout: Duration::from_secs(10),
    });
    make_topic(&context, &admin, &name, &topic).await;
}

/// One record to each partition, which may not be there yet, or not be known to everybody.
async fn send(context: Context, topic: String, partitions: u32) {
    clock::sleep(Duration::from_millis(rng::stream("workload").below(SENT_WITHIN_MS))).await;
    let producer = Producer::start(producer_config(&context, Acks::All, Duration::ZERO));
    for partition in 0..partitions as i32 {
        let record = ProducerRecord {
            topic: topic.clone(),
            partition: Some(partition),
            value: Some(Bytes::from(format!("{}-{topic}-{partition}", context.name))),
            ..ProducerRecord::default()
        };
        if let Err(error) = producer.send(record).await {
            refused(&context, &topic, &error);
        }
    }
    producer.flush().await;
}

async fn look(context: Context, address: String, visit: Visit) {
    if let Err(reason) = look_twice(&context, &address, &visit).await {
        let reason = format!("{address}, in a cluster at peace: {reason}");
        facts::record(|| Fact::WrongReply { client: context.name.clone(), partition: None, reason });
    }
}

async fn look_twice(context: &Context, address: &str, visit: &Visit) -> Result<(), String> {
    let mut connection = Connection::open(address, REQUEST_TIMEOUT).await?;
    // One that has only just registered may not have read so yet.
    let _knows_itself = ask(context, &mut connection, address).await?;
    clock::sleep(visit.idle).await;
    if !visit.is_kept {
        connection = Connection::open(address, REQUEST_TIMEOUT).await?;
    }
    match ask(context, &mut connection, address).await? {
        true => Ok(()),
        false => Err("it does not know itself".to_owned()),
    }
}

/// Whether the broker told of itself.
async fn ask(context: &Context, connection: &mut Connection, address: &str) -> Result<bool, String> {
    let id = connection.next_id();
    let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
    connection.send(vec![encode_request(METADATA_VERSION, id, Some(&context.name), &request)]).await?;
    let told = leaders_told(connection.reply(REQUEST_TIMEOUT).await?, METADATA_VERSION, id)?;
    let broker = told.brokers.iter().find(|(_, of_it)| of_it.as_str() == address);
    let Some((broker, _)) = broker else { return Ok(false) };
    let named = told.leaders.keys();
    let partitions = named.map(|(topic, number)| TopicPartition::new(topic.as_str(), *number)).collect();
    facts::record(|| Fact::PartitionsTold { client: context.name.clone(), broker: *broker, partitions });
    for ((topic, partition), (leader, epoch)) in told.leaders {
        facts::record(|| Fact::LeaderTold {
            client: context.name.clone(),
            broker: *broker,
            partition: TopicPartition::new(topic.as_str(), partition),
            leader: (leader >= 0).then_some(BrokerId(leader)),
            epoch,
        });
    }
    Ok(true)
}
