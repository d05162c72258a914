//! The processes of the clients, one function each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use seedlog::admin::{Admin, AdminConfig, AdminError};
use seedlog::facts::{self, Fact};
use seedlog::producer::{Partitioner, Producer, ProducerConfig, ProducerRecord, SendError};
use seedlog::runtime::{clock, rng};
use seedlog::types::{Acks, TopicPartition};

use super::Shared;
use crate::scenario::Created;
use crate::scenario::plan::TopicPlan;
use crate::scenario::settings::DELIVERY_TIMEOUT;

/// How long a rebalance is waited for, and how long after its begin a topic is made, at most: by then the other members
/// have settled, and rebalance as well.
const REBALANCE_AWAITED: Duration = Duration::from_secs(10);
const BESIDE_REBALANCE_MS: u64 = 80;

/// What every client knows.
#[derive(Clone)]
pub(super) struct Context {
    pub name: String,
    pub bootstrap: Vec<String>,
    pub shared: Arc<Shared>,
}

/// A request of a client is given up after this.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// Between two tries of what did not work.
pub(super) const PAUSE: Duration = Duration::from_millis(100);
/// A member that is started when the faults are over begins to rebalance later than this.
const SOON: Duration = Duration::from_millis(20);

/// Makes every topic, however often it takes: some before the storm, others in it or after it.
pub(super) async fn make_topics(context: Context, topics: Arc<BTreeMap<String, TopicPlan>>) {
    let admin = Admin::start(AdminConfig {
        bootstrap: context.bootstrap.clone(),
        client_id: context.name.clone(),
        timeout: Duration::from_secs(10),
    });
    for (name, topic) in topics.iter().filter(|(_, topic)| topic.created == Created::BeforeTheStorm) {
        make_topic(&context, &admin, name, topic).await;
    }
    context.shared.set_topics_made();
    let when = |topic: &TopicPlan| match topic.created {
        Created::InTheStorm(after) | Created::AtARebalance(after) => Some(after),
        Created::Healing => Some(Duration::MAX),
        Created::BeforeTheStorm | Created::Healed | Created::Any => None,
    };
    let mut later: Vec<_> = topics.iter().filter_map(|(name, t)| Some((when(t)?, name, t))).collect();
    later.sort_by_key(|(created, _, _)| *created);
    if later.is_empty() {
        return;
    }
    while !context.shared.has_storm_begun() {
        clock::sleep(PAUSE).await;
    }
    let began = clock::now();
    for (created, name, topic) in later {
        if topic.created == Created::Healing {
            while !context.shared.is_storm_over() {
                clock::sleep(SOON).await;
            }
        } else {
            clock::sleep_until(began + created).await;
        }
        if matches!(topic.created, Created::AtARebalance(_)) {
            await_rebalance(&context).await;
        }
        make_topic(&context, &admin, name, topic).await;
    }
}

/// Until some member has begun to rebalance: what it reads now may be old when the topic is there.
async fn await_rebalance(context: &Context) {
    if clock::timeout(REBALANCE_AWAITED, context.shared.next_rebalance()).await.is_err() {
        tracing::debug!("nobody_rebalances");
    }
    clock::sleep(Duration::from_millis(rng::stream("workload").below(BESIDE_REBALANCE_MS))).await;
}

pub(super) async fn make_topic(context: &Context, admin: &Admin, name: &str, topic: &TopicPlan) {
    loop {
        match admin.create_topic(name, topic.partitions as i32, 1, &topic.config).await {
            Ok(()) | Err(AdminError::TopicExists(_)) => return context.shared.set_made(name),
            Err(error) => context.shared.report(format!("create topic {name}: {error}")),
        }
        clock::sleep(PAUSE).await;
    }
}

/// Sends one record to each partition and waits for their fates.
pub(super) async fn probe(context: Context, partitions: Vec<TopicPartition>) {
    let producer = Producer::start(producer_config(&context, Acks::All, Duration::ZERO));
    for (number, partition) in partitions.iter().enumerate() {
        let record = ProducerRecord {
            topic: partition.topic.to_string(),
            partition: Some(partition.partition),
            value: Some(Bytes::from(format!("{}-{number}", context.name))),
            ..ProducerRecord::default()
        };
        if let Err(error) = producer.send(record).await {
            refused(&context, &partition.topic, &error);
        }
    }
    producer.flush().await;
    context.shared.finish(&context.name);
    std::future::pending::<()>().await;
}

/// States that a producer did not take a record. One that is too large it need not take.
pub(super) fn refused(context: &Context, topic: &str, error: &SendError) {
    context.shared.report(format!("{} could not send to {topic}: {error}", context.name));
    if !matches!(error, SendError::TooLarge { .. }) {
        facts::record(|| Fact::SendRefused {
            producer: context.name.clone(),
            topic: topic.to_owned(),
            error: error.to_string(),
            must_take: context.shared.must_take(topic),
        });
    }
}

pub(super) fn producer_config(context: &Context, acks: Acks, linger: Duration) -> ProducerConfig {
    ProducerConfig {
        bootstrap: context.bootstrap.clone(),
        client_id: context.name.clone(),
        acks,
        linger,
        request_timeout: REQUEST_TIMEOUT,
        delivery_timeout: DELIVERY_TIMEOUT,
        partitioner: Partitioner::Key,
        ..ProducerConfig::default()
    }
}
