//! One run, fully decided: a scenario with everything that it left open drawn from the seed.
//!
//! Draws come from streams of their own per part, so that fixing one part leaves the others as they were.

mod promises;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use seedlog::consumer::AutoReset;
use seedlog::record::Compression;
use seedlog::runtime::rng::Rng;
use seedlog::runtime::sim::rng::derive;
use seedlog::types::{Acks, BrokerId, Durability, TopicPartition};

use super::group::{self, GroupPlan, MemberPlan};
use super::settings::{DELIVERY_TIMEOUT, Owner, Settings, draw_topic as draw_topic_settings};
use super::{Chaos, Class, Created, Level, Scenario, Step, Within};
use crate::checkers::Patience;

const QUIET_SESSIONS: u32 = 2;
const QUIET_MORE: Duration = Duration::from_secs(10);

/// Everything that a run needs to know, besides the seed's own draws while it runs.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub brokers: u32,
    pub broker_config: toml::Table,
    pub topics: BTreeMap<String, TopicPlan>,
    pub producers: BTreeMap<String, ProducerPlan>,
    pub consumers: BTreeMap<String, ConsumerPlan>,
    pub groups: BTreeMap<String, GroupPlan>,
    pub steps: Vec<Step>,
    /// What must come true in time.
    pub within: Vec<Within>,
    /// What is left of the scenario's classes after the swarm selection.
    pub chaos: Chaos,
    /// Whether drawn faults may go beyond what the cluster promises to survive.
    pub over_budget: bool,
    /// Of the drawn faults only these strike, by number.
    pub only: Option<BTreeSet<u64>>,
    /// How long the workload takes, and with it the storm.
    pub storm: Duration,
    /// What the heal leaves as it is.
    pub left_broken: Option<LeftBroken>,
    /// No longer than this ZooKeeper grants a session; `None`: as long as it usually does.
    pub session_max: Option<Duration>,
}

/// A minority that stays broken when everything else is well again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeftBroken {
    /// The server of the ensemble that serves this member never finds its leader again.
    Follower(String),
    /// The same once all is at rest: whom it serves has nothing to do but to find another one.
    FollowerInPeace(String),
    /// This client's process, or its machine, does not come back.
    Killed(String),
    WithoutPower(String),
    /// This broker's disk works no more, and the others owe nobody less for that.
    Disk {
        broker: BrokerId,
        how: BrokenDisk,
    },
}

/// How a disk is broken for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokenDisk {
    /// Writes fail, and fsyncs where nothing relies on the page cache alone.
    Fails,
    /// Writes and fsyncs do not come to their end.
    WritesHang,
    /// Nothing does.
    Hangs,
}

/// How much damage drawn faults may do. What a scenario writes down is done whatever this says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// The page cache must survive: some topic promises no more than that.
    NoLoss,
    /// What was not flushed may be lost.
    LossOfCache,
    /// Over budget on purpose: only what must hold even then is demanded.
    Anything,
}

#[derive(Clone, Debug)]
pub struct TopicPlan {
    pub partitions: u32,
    pub durability: Durability,
    pub config: BTreeMap<String, String>,
    pub created: Created,
}

#[derive(Clone, Debug)]
pub struct ConsumerPlan {
    pub topics: Vec<String>,
    pub config: Settings,
    /// It seeks to and fro, asks for its positions, and closes now and then.
    pub wanders: bool,
    pub reset: AutoReset,
    /// How long it works on what a poll gave it.
    pub works: Duration,
}

#[derive(Clone, Debug)]
pub struct ProducerPlan {
    pub topic: String,
    pub records: u64,
    pub interval: Duration,
    pub acks: Acks,
    pub linger: Duration,
    /// Bytes of a value, at most; each is at least its unique name.
    pub value_bytes: u64,
    pub keyed: bool,
    pub compression: Compression,
    /// The product's own settings.
    pub config: Settings,
    /// What the application does.
    pub habits: Settings,
    /// Whether it speaks the bare protocol.
    pub is_wire: bool,
    /// Where the records go that stray: topics that are there from the beginning.
    pub strays_to: Vec<String>,
    /// A record's fate is known after this, at the latest.
    pub delivery_timeout: Duration,
}

impl ProducerPlan {
    /// Whether it may give a record up while the cluster heals: it counts its tries, or has less time than others.
    fn gives_up(&self) -> bool {
        let patience = DELIVERY_TIMEOUT.as_millis() as i64;
        let is_short = self.config.get("delivery.timeout.ms").is_some_and(|time| *time < patience);
        self.is_wire || self.config.contains_key("retries") || is_short
    }

    /// What the habit says, or else `default`.
    pub fn habit(&self, key: &str, default: u64) -> u64 {
        self.habits.get(key).map_or(default, |value| value.cast_unsigned())
    }
}

impl Plan {
    pub fn new(scenario: &Scenario, seed: u64) -> Plan {
        let topics = draw_topics(scenario, seed);
        let producers: BTreeMap<String, ProducerPlan> = scenario
            .producers
            .iter()
            .filter(|(_, producer)| topics.contains_key(&producer.topic))
            .filter(|(name, producer)| !is_left_out(seed, name, producer.is_optional))
            .map(|(name, producer)| (name.clone(), draw_producer(name, producer, &topics, seed)))
            .collect();
        let longest = producers.values().map(|p| p.interval * p.records as u32).max().unwrap_or_default();
        let groups = group::draw_groups(scenario, &topics, seed);
        let consumers = scenario.consumers.iter();
        let consumers = consumers
            .filter(|(name, consumer)| !is_left_out(seed, name, consumer.is_optional))
            .map(|(name, consumer)| (name.clone(), draw_consumer(name, consumer, &topics, seed)));
        let plan = Plan {
            seed,
            brokers: scenario.brokers.unwrap_or_else(|| derive(seed, "brokers").between(1, 3) as u32),
            broker_config: draw_broker_config(scenario, seed),
            consumers: consumers.collect(),
            topics,
            producers,
            groups,
            steps: scenario.steps.clone(),
            within: scenario.expect.within.clone(),
            chaos: swarm(&scenario.chaos, seed),
            over_budget: derive(seed, "atlas").below(100) < scenario.over_budget_percent,
            only: scenario.only.clone(),
            storm: scenario.storm.unwrap_or(longest),
            session_max: draw_session_max(scenario, seed),
            left_broken: None,
        };
        Plan { left_broken: plan.draw_left_broken(), ..plan }
    }

    /// Now and then a minority stays broken, and the rest has to work all the same.
    fn draw_left_broken(&self) -> Option<LeftBroken> {
        let mut rng = derive(self.seed, "left broken");
        if !self.chaos.is_any || !rng.chance(1, 5) {
            return None;
        }
        let clients: Vec<&String> = self.clients().collect();
        let client = (*rng.pick(&clients)?).clone();
        let members: Vec<&String> = self.members().map(|(name, _)| name).collect();
        Some(match rng.below(5) {
            0 => LeftBroken::Follower((*rng.pick(&members)?).clone()),
            1 => LeftBroken::FollowerInPeace((*rng.pick(&members)?).clone()),
            2 => LeftBroken::Killed(client),
            // Of one broker nothing would be left that has to work. And nobody states to whom a topic is given that is made
            // while the cluster heals: of a log that such a disk never opened the judge does not know.
            3 if self.brokers > 1 && self.topics.values().all(|topic| topic.created != Created::Healing) => {
                let how = [BrokenDisk::Fails, BrokenDisk::WritesHang, BrokenDisk::Hangs];
                let how = *rng.pick(&how).expect("not empty");
                let broker = BrokerId(rng.between(1, u64::from(self.brokers)) as i32);
                LeftBroken::Disk { broker, how }
            }
            _ => LeftBroken::WithoutPower(client),
        })
    }

    /// The client that the heal does not bring back.
    pub fn left_dead(&self) -> Option<&String> {
        match self.left_broken.as_ref()? {
            LeftBroken::Killed(client) | LeftBroken::WithoutPower(client) => Some(client),
            LeftBroken::Follower(_) | LeftBroken::FollowerInPeace(_) | LeftBroken::Disk { .. } => None,
        }
    }

    /// How much damage drawn faults may do.
    pub fn damage(&self) -> Damage {
        let all_flush = self.topics.values().all(|topic| topic.durability == Durability::Fsync);
        match () {
            () if self.over_budget => Damage::Anything,
            () if all_flush => Damage::LossOfCache,
            () => Damage::NoLoss,
        }
    }

    /// Whether the last reader takes its time: then it shows whether its partitions take turns.
    pub fn has_slow_auditor(&self) -> bool {
        self.chaos.is_any && derive(self.seed, "slow auditor").chance(1, 2)
    }

    /// Whether nobody writes any more, once the faults are over, until everybody has come as far as they can by
    /// themselves: a record that arrives would wake who forgot to wake up.
    pub fn has_late_probe(&self) -> bool {
        self.chaos.is_any && derive(self.seed, "late probe").chance(1, 2)
    }

    /// How long nothing may happen to the cluster once it has healed: so many session timeouts, and this much more.
    /// Timers that fire late and sessions that expire late are part of the run.
    pub fn quiet_time(&self) -> Duration {
        let sessions =
            self.groups.values().map(|group| group.session.min(self.session_max.unwrap_or(group.session)));
        let longest = sessions.max().unwrap_or_default().max(Patience::default().session);
        longest * QUIET_SESSIONS + QUIET_MORE
    }

    /// The members of every group: their nodes' names and what they do.
    pub fn members(&self) -> impl Iterator<Item = (&String, &MemberPlan)> {
        self.groups.values().flat_map(|group| &group.members)
    }

    /// Every partition of these topics.
    pub fn partitions_of<'a>(&self, topics: impl Iterator<Item = &'a String>) -> Vec<TopicPartition> {
        let partitions = topics.flat_map(|topic| {
            let count = self.topics[topic].partitions as i32;
            (0..count).map(move |partition| TopicPartition::new(topic.as_str(), partition))
        });
        partitions.collect()
    }

    /// The nodes of every client.
    pub fn clients(&self) -> impl Iterator<Item = &String> {
        self.producers.keys().chain(self.consumers.keys()).chain(self.members().map(|(name, _)| name))
    }

    /// Topics whose records have the time of the append, which their producers do not know.
    pub fn stamped_by_brokers(&self) -> impl Iterator<Item = Arc<str>> {
        let of_broker = self.broker_config.get("log.message.timestamp.type").and_then(toml::Value::as_str);
        let is_stamped = move |(_, topic): &(&String, &TopicPlan)| {
            let own = topic.config.get("message.timestamp.type").map(String::as_str);
            own.or(of_broker) == Some("LogAppendTime")
        };
        self.topics.iter().filter(is_stamped).map(|(name, _)| Arc::from(name.as_str()))
    }

    /// Whether this run is to be injured at all.
    pub fn demands_faults(&self) -> bool {
        !self.steps.is_empty() || !self.chaos.is_none()
    }
}

/// Those of the topics that the seed did not leave out.
pub(super) fn those_there(topics: &BTreeMap<String, TopicPlan>, wanted: &[String]) -> Vec<String> {
    wanted.iter().filter(|name| topics.contains_key(*name)).cloned().collect()
}

/// A seed leaves each whole class out with one chance in two: faults mask each other otherwise. One class at
/// least stays in, if the scenario has any.
fn swarm(chaos: &Chaos, seed: u64) -> Chaos {
    let mut rng = derive(seed, "swarm");
    let mut swarm = Chaos { mixes: BTreeMap::new(), is_any: chaos.is_any };
    for class in Class::ALL {
        // Drawn for each class, so that one more class in a file leaves the others as they were.
        let is_in = rng.chance(1, 2);
        if let Some(mix) = chaos.mixes.get(&class).filter(|_| is_in) {
            swarm.mixes.insert(class, mix.clone());
        }
    }
    let demanded: Vec<_> = chaos.mixes.iter().filter(|(_, mix)| mix.level != Level::None).collect();
    if swarm.is_none()
        && let Some((class, mix)) = rng.pick(&demanded)
    {
        swarm.mixes.insert(**class, (*mix).clone());
    }
    if chaos.is_any {
        for (class, mix) in &mut swarm.mixes {
            *mix = mix.varied(*class, &mut derive(seed, &format!("swarm {}", class.name())));
        }
    }
    swarm
}

fn draw_topics(scenario: &Scenario, seed: u64) -> BTreeMap<String, TopicPlan> {
    let draw = |(name, topic): (&String, &super::Topic)| {
        let mut rng = derive(seed, &format!("topic {name}"));
        let partitions = rng.between(1, 4) as u32;
        // Most seeds promise what power failures are survived with; the rest must still not invent records.
        let durability = if rng.chance(2, 3) { Durability::Fsync } else { Durability::PageCache };
        let durability = topic.durability.unwrap_or(durability);
        let mut config = topic.config.clone();
        let durability_text = match durability {
            Durability::Fsync => "fsync",
            Durability::PageCache => "page-cache",
        };
        config.insert("durability".into(), durability_text.into());
        if topic.any_settings {
            config = draw_topic_settings(seed, name, &config, durability);
        }
        let created = match topic.created {
            Created::Any => Created::draw(&mut derive(seed, &format!("created {name}"))),
            written => written,
        };
        let partitions = topic.partitions.unwrap_or(partitions);
        let plan = TopicPlan { partitions, durability, config, created };
        let is_left_out = rng.chance(1, 2) && topic.is_optional;
        (!is_left_out).then(|| (name.clone(), plan))
    };
    scenario.topics.iter().filter_map(draw).collect()
}

fn draw_producer(
    name: &str,
    producer: &super::Producer,
    topics: &BTreeMap<String, TopicPlan>,
    seed: u64,
) -> ProducerPlan {
    let mut rng = derive(seed, &format!("producer {name}"));
    let records = rng.between(200, 600);
    let per_second = rng.between(10, 50);
    let acks = [Acks::All, Acks::All, Acks::All, Acks::Leader, Acks::Leader, Acks::None];
    let acks = *rng.pick(&acks).expect("not empty");
    let linger = Duration::from_millis(*rng.pick(&[0, 5, 100]).expect("not empty"));
    let value_bytes = *rng.pick(&[32, 200, 2000]).expect("not empty");
    let keyed = rng.chance(1, 2);
    let compression = draw_compression(&mut rng);
    let config = Owner::Producer.draw(seed, name, &producer.config, producer.any_settings);
    let others = topics
        .iter()
        .filter(|(name, topic)| topic.created == Created::BeforeTheStorm && **name != producer.topic);
    ProducerPlan {
        topic: producer.topic.clone(),
        records: producer.records.unwrap_or(records),
        interval: producer.interval.unwrap_or(Duration::from_micros(1_000_000 / per_second)),
        acks: producer.acks.unwrap_or(acks),
        linger: producer.linger.unwrap_or(linger),
        value_bytes: producer.value_bytes.unwrap_or(value_bytes),
        keyed: producer.keyed.unwrap_or(keyed),
        compression: producer.compression.unwrap_or(compression),
        delivery_timeout: delivery_timeout(&config),
        config,
        strays_to: others.map(|(name, _)| name.clone()).collect(),
        habits: Owner::Habits.draw(seed, name, &producer.habits, producer.any_settings),
        is_wire: producer.is_wire,
    }
}

fn draw_consumer(
    name: &str,
    consumer: &super::Consumer,
    topics: &BTreeMap<String, TopicPlan>,
    seed: u64,
) -> ConsumerPlan {
    ConsumerPlan {
        topics: those_there(topics, &consumer.topics),
        config: Owner::Consumer.draw(seed, name, &consumer.config, consumer.any_settings),
        wanders: consumer.wanders,
        works: Duration::ZERO,
        reset: consumer
            .reset
            .unwrap_or_else(|| group::draw_reset(&mut derive(seed, &format!("reset {name}")))),
    }
}

/// As the plan has it, or as the testbed's producers have it.
fn delivery_timeout(config: &Settings) -> Duration {
    let millis = config.get("delivery.timeout.ms");
    millis.map_or(DELIVERY_TIMEOUT, |millis| Duration::from_millis(millis.cast_unsigned()))
}

/// Whether this seed does without an optional client.
fn is_left_out(seed: u64, name: &str, is_optional: bool) -> bool {
    is_optional && derive(seed, &format!("client {name}")).chance(1, 2)
}

/// Mostly none: a codec is the same bytes to a broker, but every one should be met.
fn draw_compression(rng: &mut Rng) -> Compression {
    let codecs = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    if rng.chance(3, 4) { Compression::None } else { *rng.pick(&codecs).expect("not empty") }
}

/// A server that grants less than it was asked for: its clients have to go by what they were granted.
fn draw_session_max(scenario: &Scenario, seed: u64) -> Option<Duration> {
    let mut rng = derive(seed, "zookeeper session max");
    let millis = *rng.pick(&[1_500, 2_500]).expect("not empty");
    (scenario.any_broker_settings && rng.chance(1, 3)).then_some(Duration::from_millis(millis))
}

/// Settings that move the edges closer: small segments roll often, a short session expires soon.
fn draw_broker_config(scenario: &Scenario, seed: u64) -> toml::Table {
    let mut rng = derive(seed, "broker config");
    let mut config = toml::Table::new();
    let segment_bytes = *rng.pick(&[4_096, 16_384, 1 << 20]).expect("not empty");
    config.insert("log.segment.bytes".into(), toml::Value::Integer(segment_bytes));
    let session_ms = *rng.pick(&[2_000, 6_000]).expect("not empty");
    config.insert("zookeeper.session.timeout.ms".into(), toml::Value::Integer(session_ms));
    let drawn = Owner::Broker.draw(seed, "broker", &Settings::new(), scenario.any_broker_settings);
    config.extend(drawn.into_iter().map(|(key, value)| (key, toml::Value::Integer(value))));
    config.extend(scenario.broker_config.clone());
    config
}
