//! The processes of the clients, one function each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use seedlog::admin::{Admin, AdminConfig, AdminError};
use seedlog::consumer::{AutoReset, Consumer, ConsumerConfig, OnCorruption, StartPosition};
use seedlog::producer::{Partitioner, Producer, ProducerConfig, ProducerRecord};
use seedlog::runtime::{Instant, clock, rng};
use seedlog::types::{Acks, TopicPartition};

use super::{Pace, Shared};
use crate::scenario::plan::{ProducerPlan, TopicPlan};

/// What every client knows.
#[derive(Clone)]
pub(super) struct Context {
    pub name: String,
    pub bootstrap: Vec<String>,
    pub shared: Arc<Shared>,
}

/// A request of a client is given up after this.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// A record's fate is known after this, whatever happens.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two tries of what did not work.
pub(super) const PAUSE: Duration = Duration::from_millis(100);
/// How long a poll waits; the fetch wait of the measured sweep.
const POLL_WAIT: Duration = Duration::from_millis(500);

/// Makes every topic, however often it takes.
pub(super) async fn make_topics(context: Context, topics: Arc<BTreeMap<String, TopicPlan>>) {
    let admin = Admin::start(AdminConfig {
        bootstrap: context.bootstrap.clone(),
        client_id: context.name.clone(),
        timeout: Duration::from_secs(10),
    });
    for (name, topic) in topics.iter() {
        loop {
            match admin.create_topic(name, topic.partitions as i32, 1, &topic.config).await {
                Ok(()) | Err(AdminError::TopicExists(_)) => break,
                Err(error) => context.shared.report(format!("create topic {name}: {error}")),
            }
            clock::sleep(PAUSE).await;
        }
    }
    context.shared.set_topics_made();
}

/// Sends the plan's records at its rate; a new incarnation goes on where the last one ended. A record that was not
/// accepted is not tried again: its number is its own.
pub(super) async fn produce(context: Context, plan: ProducerPlan) {
    let producer = Producer::start(ProducerConfig {
        compression: plan.compression,
        ..producer_config(&context, plan.acks, plan.linger)
    });
    let mut draws = rng::stream("workload");
    let mut due = clock::now();
    while let Some(number) = context.shared.take_number(&context.name, plan.records) {
        wait_for_turn(&context, due).await;
        due = (due + plan.interval).max(clock::now());
        let key = plan.keyed.then(|| Bytes::from(format!("key-{}", draws.below(16))));
        let is_hot = context.shared.pace(&context.name) == Pace::HotKey;
        let bytes = draws.below(plan.value_bytes.max(1));
        let bytes = context.shared.take_huge(&context.name).unwrap_or(bytes);
        let record = ProducerRecord {
            topic: plan.topic.clone(),
            key: if is_hot { Some(Bytes::from_static(b"key-hot")) } else { key },
            value: Some(unique_value(&context.name, number, bytes)),
            ..ProducerRecord::default()
        };
        if let Err(error) = producer.send(record).await {
            context.shared.report(format!("{} could not send: {error}", context.name));
            clock::sleep(PAUSE).await;
        }
    }
    producer.flush().await;
    context.shared.finish(&context.name);
    std::future::pending::<()>().await;
}

/// Waits until the next record is due, as the load has it now.
async fn wait_for_turn(context: &Context, due: Instant) {
    while context.shared.pace(&context.name) == Pace::Idle {
        clock::sleep(PAUSE).await;
    }
    if context.shared.pace(&context.name) != Pace::Burst {
        clock::sleep_until(due).await;
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
            context.shared.report(format!("{} could not send to {partition}: {error}", context.name));
        }
    }
    producer.flush().await;
    context.shared.finish(&context.name);
    std::future::pending::<()>().await;
}

/// Reads the partitions from their beginning, for ever.
pub(super) async fn consume(context: Context, partitions: Vec<TopicPartition>) {
    let mut consumer = Consumer::start(ConsumerConfig {
        bootstrap: context.bootstrap.clone(),
        client_id: context.name.clone(),
        fetch_wait: POLL_WAIT,
        request_timeout: REQUEST_TIMEOUT,
        on_corruption: OnCorruption::Skip,
        // Out of range is possible only over budget, and then everything is read again.
        auto_reset: AutoReset::Earliest,
        ..ConsumerConfig::default()
    });
    consumer.assign(partitions.into_iter().map(|partition| (partition, StartPosition::Earliest)).collect());
    loop {
        if let Err(error) = consumer.poll(POLL_WAIT).await {
            context.shared.report(format!("{} could not read: {error}", context.name));
            clock::sleep(PAUSE).await;
        }
    }
}

fn producer_config(context: &Context, acks: Acks, linger: Duration) -> ProducerConfig {
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

/// `shop-17`, then filler up to `bytes`.
fn unique_value(producer: &str, number: u64, bytes: u64) -> Bytes {
    let mut value = format!("{producer}-{number}").into_bytes();
    let length = bytes as usize;
    if value.len() + 1 < length {
        value.push(b' ');
        value.resize(length, b'.');
    }
    Bytes::from(value)
}
