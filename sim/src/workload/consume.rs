//! A consumer's process: it reads what it is assigned, for ever, and may wander to and fro meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use seedlog::consumer::{
    ConsumeError, ConsumedRecord, Consumer, ConsumerConfig, OnCorruption, StartPosition,
};
use seedlog::facts::{self, Fact, RecordTag, SeekTarget};
use seedlog::record::RecordHeader;
use seedlog::runtime::rng::Rng;
use seedlog::runtime::{clock, rng};
use seedlog::types::{Offset, Timestamp, TopicPartition};

use super::client::{Context, PAUSE, REQUEST_TIMEOUT};
use crate::scenario::plan::ConsumerPlan;
use crate::scenario::settings::apply_to_consumer;

/// How long a poll waits; the fetch wait of the measured sweep.
const POLL_WAIT: Duration = Duration::from_millis(500);
/// A moment.
const MOMENT_MS: u64 = 50;
/// A wanderer goes elsewhere after one poll in so many.
const STAYS: u64 = 8;

/// Reads the partitions from their beginning, for ever.
pub(super) async fn consume(context: Context, partitions: Vec<TopicPartition>, plan: ConsumerPlan) {
    let mut wanderer = Wanderer {
        consumer: start(&context, &plan),
        context,
        partitions,
        plan,
        seen: BTreeMap::new(),
        draws: rng::stream("workload"),
    };
    wanderer.assign(StartPosition::Earliest);
    while wanderer.plan.wanders && !wanderer.context.shared.is_storm_over() {
        wanderer.poll().await;
        if wanderer.draws.chance(1, STAYS) {
            wanderer.go_elsewhere().await;
        }
    }
    if wanderer.plan.wanders {
        wanderer.assign(StartPosition::Earliest);
    }
    let mut asks_once_more = wanderer.plan.wanders;
    loop {
        wanderer.poll().await;
        asks_once_more = asks_once_more && !wanderer.asks_for_a_time();
        if !wanderer.plan.works.is_zero() {
            clock::sleep(wanderer.plan.works).await;
        }
    }
}

fn start(context: &Context, plan: &ConsumerPlan) -> Consumer {
    let mut config = ConsumerConfig {
        bootstrap: context.bootstrap.clone(),
        client_id: context.name.clone(),
        fetch_wait: POLL_WAIT,
        request_timeout: REQUEST_TIMEOUT,
        on_corruption: OnCorruption::Skip,
        auto_reset: plan.reset,
        ..ConsumerConfig::default()
    };
    apply_to_consumer(&plan.config, &mut config);
    Consumer::start(config)
}

/// One that may go elsewhere.
struct Wanderer {
    context: Context,
    plan: ConsumerPlan,
    partitions: Vec<TopicPartition>,
    consumer: Consumer,
    /// Of each partition: the greatest offset that was read, and the time of a record.
    seen: BTreeMap<TopicPartition, (Offset, Timestamp)>,
    draws: Rng,
}

impl Wanderer {
    fn assign(&self, start: StartPosition) {
        self.partitions.iter().for_each(|partition| self.say_where(partition, start));
        self.consumer.assign(self.partitions.iter().map(|partition| (partition.clone(), start)).collect());
    }

    async fn poll(&mut self) {
        match self.consumer.poll(POLL_WAIT).await {
            Ok(records) => {
                polled(&self.context.name, &records);
                if self.plan.wanders {
                    self.look_at(&records);
                }
            }
            // With `reset = "none"` it is the application that says where to go on.
            Err(ConsumeError::OutOfRange { partition, offset }) => {
                let (consumer, at) = (self.context.name.clone(), Some(offset));
                facts::record(|| Fact::PositionRefused { consumer, partition: partition.clone(), at });
                self.seek(&partition, StartPosition::Earliest);
            }
            // Who wants to be told of damage goes on behind it by itself, one offset at a time: how much is damaged it is not
            // told.
            Err(ConsumeError::Corrupt { partition, offset, .. }) => {
                let consumer = self.context.name.clone();
                facts::record(|| Fact::CorruptSkipped { consumer, partition: partition.clone(), offset });
                self.seek(&partition, StartPosition::At(offset.next()));
            }
            Err(error) => {
                self.context.shared.report(format!("{} could not read: {error}", self.context.name));
                clock::sleep(PAUSE).await;
            }
        }
    }

    /// Right after a poll, the position of a partition that gave records is behind the last of them.
    fn look_at(&mut self, records: &[ConsumedRecord]) {
        let mut last = BTreeMap::new();
        for record in records {
            last.insert(&record.partition, record);
        }
        for (partition, record) in last {
            let known = self.seen.entry(partition.clone()).or_insert((record.offset, record.timestamp));
            known.0 = known.0.max(record.offset);
            if self.draws.chance(1, 4) {
                known.1 = record.timestamp;
            }
            facts::record(|| Fact::PositionTold {
                consumer: self.context.name.clone(),
                partition: partition.clone(),
                position: self.consumer.position(partition),
            });
        }
    }

    async fn go_elsewhere(&mut self) {
        let Some(partition) = self.draws.pick(&self.partitions).cloned() else { return };
        if self.consumer.position(&partition).is_none() {
            // It is on its way already: the answer would not tell which of two questions it is to.
            return;
        }
        match self.draws.below(9) {
            0 => self.close().await,
            1 => return self.assign(StartPosition::Latest),
            2 => return self.seek(&partition, StartPosition::Earliest),
            3 => return self.seek(&partition, StartPosition::Latest),
            4 | 5 => return self.seek_to_a_time(&partition),
            6 => return self.think_better_of_it(&partition).await,
            7 => return self.seek_just_behind_the_end(&partition),
            _ => return self.seek_to_an_offset(&partition),
        }
        self.consumer = start(&self.context, &self.plan);
        self.assign(StartPosition::Earliest);
    }

    fn seek_to_an_offset(&mut self, partition: &TopicPartition) {
        let (end, _) = self.seen.get(partition).copied().unwrap_or((Offset(8), Timestamp(0)));
        // Now and then behind the end of the log.
        let most = if self.draws.chance(1, 4) { end.0 + 1_000 } else { end.0 + 1 };
        let offset = Offset(self.draws.below(most.cast_unsigned()).cast_signed());
        self.seek(partition, StartPosition::At(offset));
    }

    /// Where the log may end in a moment: it may have grown so far when the answer comes that it does not reach there.
    fn seek_just_behind_the_end(&mut self, partition: &TopicPartition) {
        let Some((last, _)) = self.seen.get(partition).copied() else { return };
        let beyond = self.draws.between(1, 4).cast_signed();
        self.seek(partition, StartPosition::At(Offset(last.0 + 1 + beyond)));
    }

    /// A second seek, while the first one's question may be on its way: its answer counts no more.
    async fn think_better_of_it(&mut self, partition: &TopicPartition) {
        match self.draws.below(3) {
            0 => self.seek(partition, StartPosition::Latest),
            1 => self.seek(partition, StartPosition::Earliest),
            _ => self.seek_to_a_time(partition),
        }
        let ms = *self.draws.pick(&[0, 1, 5, 30]).expect("not empty");
        clock::sleep(Duration::from_millis(ms)).await;
        if self.draws.chance(1, 2) {
            self.seek_to_an_offset(partition);
        } else {
            self.seek_to_a_time(partition);
        }
    }

    async fn close(&mut self) {
        self.consumer.close().await;
        if self.consumer.poll(Duration::ZERO).await != Err(ConsumeError::Closed) {
            self.complain("a closed consumer goes on reading");
        }
    }

    fn complain(&self, reason: &str) {
        facts::record(|| Fact::WrongReply {
            client: self.context.name.clone(),
            partition: None,
            reason: reason.to_owned(),
        });
    }

    /// To the time of a record that was read, or a little beside it; or to a moment ago, of which there may be records that
    /// nobody may see yet.
    fn seek_to_a_time(&mut self, partition: &TopicPartition) {
        let Some((_, time)) = self.seen.get(partition).copied() else { return };
        let beside = *self.draws.pick(&[0, 0, 0, -1, 1, 5_000]).expect("not empty");
        let is_of_now = self.draws.chance(1, 2);
        let ago = self.draws.below(MOMENT_MS).cast_signed();
        let time = if is_of_now { clock::wall_now().0 - ago } else { time.0 + beside };
        let time = Timestamp(time);
        facts::record(|| Fact::TimeSought {
            consumer: self.context.name.clone(),
            partition: partition.clone(),
            timestamp: time.0,
        });
        self.seek(partition, StartPosition::Time(time));
    }

    /// Where it stands somewhere, and knows a time. In a cluster that works again there is an answer.
    fn asks_for_a_time(&mut self) -> bool {
        let known = |partition: &&TopicPartition| self.consumer.position(partition).is_some();
        let Some(partition) = self.seen.keys().find(known).cloned() else { return false };
        self.seek_to_a_time(&partition);
        true
    }

    fn seek(&self, partition: &TopicPartition, to: StartPosition) {
        self.say_where(partition, to);
        if !self.consumer.seek(partition, to) {
            self.context.shared.report(format!("{} does not have {partition}", self.context.name));
        }
    }

    /// A time is told by who asks for it.
    fn say_where(&self, partition: &TopicPartition, to: StartPosition) {
        if let Some(to) = target(to) {
            let consumer = self.context.name.clone();
            facts::record(|| Fact::Sought { consumer, partition: partition.clone(), to });
        }
    }
}

/// The place in the log, unless it is a time.
pub(super) fn target(to: StartPosition) -> Option<SeekTarget> {
    Some(match to {
        StartPosition::At(offset) => SeekTarget::Offset(offset),
        StartPosition::Earliest => SeekTarget::Earliest,
        StartPosition::Latest => SeekTarget::Latest,
        StartPosition::Time(_) => return None,
    })
}

/// States what one poll gave, by partition.
fn polled(consumer: &str, records: &[ConsumedRecord]) {
    let mut portions: BTreeMap<&TopicPartition, Vec<&ConsumedRecord>> = BTreeMap::new();
    for record in records {
        portions.entry(&record.partition).or_default().push(record);
    }
    for (partition, portion) in portions {
        let (Some(first), Some(last)) = (portion.first(), portion.last()) else { continue };
        facts::record(|| Fact::Polled {
            consumer: consumer.to_owned(),
            partition: partition.clone(),
            first: first.offset,
            last: last.offset,
            records: portion.len() as u64,
            digest: portion.iter().fold(0, |digest, record| tag_of(record).extend_digest(digest)),
        });
    }
}

fn tag_of(record: &ConsumedRecord) -> RecordTag {
    RecordTag::of(record.key.as_deref(), record.value.as_deref())
        .with(record.headers.iter().map(RecordHeader::parts), record.timestamp)
}
