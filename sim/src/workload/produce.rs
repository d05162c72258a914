//! A producer's process: an application that sends records, and looks at what the library promises it.
//!
//! They are unique, but for those that it sends again by habit: each is one more send, of which the judge cannot tell by the
//! bytes which one it reads.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use seedlog::facts::{self, Fact};
use seedlog::producer::{Producer, ProducerConfig, ProducerRecord, SendError};
use seedlog::record::RecordHeader;
use seedlog::runtime::rng::Rng;
use seedlog::runtime::sim::effects::{self, NOTICEABLE};
use seedlog::runtime::{Instant, clock, rng};
use seedlog::types::Timestamp;

use super::client::{Context, PAUSE, producer_config, refused};
use super::{Pace, unique};
use crate::scenario::plan::ProducerPlan;
use crate::scenario::settings::apply_to_producer;

/// Different keys that a producer uses.
const KEYS: u64 = 16;
/// One value in so many may be as large as the habit `peak-bytes` says.
const PEAKS: u64 = 50;
/// One of so many of the last records may be sent again. Not an old one: its topic may mind its time.
const LAST: usize = 8;
const LAST_FOR: Duration = Duration::from_secs(20);

/// Sends the plan's records at its rate; a new incarnation goes on where the last one ended. A record that was not
/// accepted is not tried again: its number is its own.
pub(super) async fn produce(context: Context, plan: ProducerPlan) {
    let mut config =
        ProducerConfig { compression: plan.compression, ..producer_config(&context, plan.acks, plan.linger) };
    apply_to_producer(&plan.config, &mut config);
    let producer = Producer::start(config);
    let mut application =
        Application { context: &context, plan: &plan, draws: rng::stream("workload"), last: VecDeque::new() };
    let (burst, flush_every) = (plan.habit("burst", 1), plan.habit("flush-every", u64::MAX));
    let (mut due, mut sent) = (clock::now(), 0);
    while let Some(number) = context.shared.take_number(&context.name, plan.records) {
        if sent % burst == 0 {
            wait_for_turn(&context, due).await;
            due = (due + plan.time_of(sent, sent + burst)).max(clock::now());
        }
        sent += 1;
        let record = application.next(number);
        let topic = record.topic.clone();
        if let Err(error) = producer.send(record).await {
            refused(&context, &topic, &error);
            clock::sleep(PAUSE).await;
        }
        if sent % flush_every == 0 {
            flush(&context, &producer).await;
        }
    }
    flush(&context, &producer).await;
    if plan.habit("closes", 0) == 1 {
        close(&context, &producer, &plan.topic).await;
    }
    context.shared.finish(&context.name);
    std::future::pending::<()>().await;
}

async fn flush(context: &Context, producer: &Producer) {
    producer.flush().await;
    facts::record(|| Fact::FlushReturned { producer: context.name.clone() });
}

/// A closed producer takes nothing more.
async fn close(context: &Context, producer: &Producer, topic: &str) {
    producer.close().await;
    facts::record(|| Fact::ProducerClosed { producer: context.name.clone() });
    let late = ProducerRecord { topic: topic.to_owned(), ..ProducerRecord::default() };
    let outcome = producer.send(late).await.map(|_| ());
    if outcome != Err(SendError::Closed) {
        facts::record(|| Fact::WrongReply {
            client: context.name.clone(),
            partition: None,
            reason: format!("a closed producer answers a send with {outcome:?}"),
        });
    }
}

/// Waits until the next record is due, as the load has it now.
pub(super) async fn wait_for_turn(context: &Context, due: Instant) {
    while context.shared.pace(&context.name) == Pace::Idle {
        if clock::now() > due + NOTICEABLE {
            effects::struck_here("idle");
        }
        clock::sleep(PAUSE).await;
    }
    if context.shared.pace(&context.name) != Pace::Burst {
        clock::sleep_until(due).await;
    } else if due > clock::now() + NOTICEABLE {
        effects::struck_here("burst");
    }
}

/// What decides how the records look.
struct Application<'a> {
    context: &'a Context,
    plan: &'a ProducerPlan,
    draws: Rng,
    /// What it sent last, if it is one to send it again.
    last: VecDeque<(Instant, ProducerRecord)>,
}

impl Application<'_> {
    /// A record of its own, or one of the last ones again.
    fn next(&mut self, number: u64) -> ProducerRecord {
        if self.plan.habit("repeats", 0) == 0 {
            return self.record(number);
        }
        let now = clock::now();
        self.last.retain(|(sent, _)| now.saturating_since(*sent) < LAST_FOR);
        let index = self.draws.below(LAST as u64) as usize;
        if self.is_one_of("repeats")
            && let Some((_, record)) = self.last.get(index)
        {
            return record.clone();
        }
        let mut record = self.record(number);
        // Said here, so that it is the same the next time.
        record.timestamp = record.timestamp.or_else(|| Some(clock::wall_now()));
        self.last.truncate(LAST - 1);
        self.last.push_front((clock::now(), record.clone()));
        record
    }

    fn record(&mut self, number: u64) -> ProducerRecord {
        let name = &self.context.name;
        let key = self.key();
        let bytes = self.value_bytes();
        let is_null = self.is_one_of("null-values");
        let mut headers = if self.is_one_of("headers") { some_headers(&mut self.draws) } else { Vec::new() };
        if is_null {
            // What makes it unique has to stand somewhere.
            let value = Some(unique(name, number, 0));
            headers.insert(0, RecordHeader { key: Bytes::from_static(b"name"), value });
        }
        let topic = self.topic();
        ProducerRecord {
            topic,
            key,
            value: (!is_null).then(|| unique(name, number, bytes)),
            headers,
            timestamp: self.timestamp(),
            partition: None,
        }
    }

    fn topic(&mut self) -> String {
        let strays = !self.plan.strays_to.is_empty() && self.is_one_of("strays");
        let elsewhere = if strays { self.draws.pick(&self.plan.strays_to) } else { None };
        elsewhere.unwrap_or(&self.plan.topic).clone()
    }

    fn key(&mut self) -> Option<Bytes> {
        let drawn = format!("key-{}", self.draws.below(KEYS));
        let is_null = self.is_one_of("null-keys");
        if self.context.shared.pace(&self.context.name) == Pace::HotKey {
            effects::struck_here("hot-key");
            return Some(Bytes::from_static(b"key-hot"));
        }
        (self.plan.keyed && !is_null).then(|| Bytes::from(drawn))
    }

    fn value_bytes(&mut self) -> u64 {
        let peak = self.plan.habit("peak-bytes", 0);
        let is_peak = peak > 0 && self.draws.chance(1, PEAKS);
        let most = if is_peak { peak } else { self.plan.value_bytes };
        let is_full = is_peak && self.draws.chance(1, 4);
        let bytes = if is_full { most } else { self.draws.below(most.max(1)) };
        self.context.shared.take_huge(&self.context.name).unwrap_or(bytes)
    }

    fn timestamp(&self) -> Option<Timestamp> {
        let step = self.plan.habit("same-time-ms", 0).cast_signed();
        (step > 0).then(|| Timestamp(clock::wall_now().0 / step * step))
    }

    /// Whether this record is one of those of which the habit says how many percent there are.
    fn is_one_of(&mut self, habit: &str) -> bool {
        let percent = self.plan.habit(habit, 0);
        percent > 0 && self.draws.chance(percent, 100)
    }
}

fn some_headers(draws: &mut Rng) -> Vec<RecordHeader> {
    let count = draws.between(1, 3);
    let header = |number: u64| RecordHeader {
        key: Bytes::from(format!("header-{number}")),
        value: draws.chance(3, 4).then(|| Bytes::from(draws.below(1_000).to_string())),
    };
    (0..count).map(header).collect()
}
