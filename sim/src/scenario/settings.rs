//! Settings that a scenario may write down (`config`, `habits`), and that the seed draws where it says
//! `settings = "any"`.
//!
//! Each setting is drawn from a stream of its own: to write one down leaves the others as they were. Half of them keep
//! their default in any one seed, for two that matter together may hide a third.

use std::collections::BTreeMap;
use std::time::Duration;

use seedlog::consumer::{ConsumerConfig, OnCorruption};
use seedlog::producer::{Partitioner, ProducerConfig};
use seedlog::runtime::sim::rng::derive;
use seedlog::types::Durability;

use super::words::nearest;

/// What is set, by key; the rest has its default.
pub type Settings = BTreeMap<String, i64>;

/// One setting: its key, what a seed picks from, and what a file may say.
struct Setting {
    key: &'static str,
    drawn: &'static [i64],
    low: i64,
    high: i64,
}

const fn setting(key: &'static str, drawn: &'static [i64], low: i64, high: i64) -> Setting {
    Setting { key, drawn, low, high }
}

/// The greatest number of bytes or records that a setting may say.
const MANY: i64 = 1 << 26;
const MINUTE_MS: i64 = 60_000;

/// What a producer that is told nothing makes of its batches.
const BATCH_SIZE_DEFAULT: i64 = 64 << 10;

/// A record's fate is known after this, whatever happens, unless its producer is told otherwise.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);

/// A producer's own, by Kafka's names where there is one.
const PRODUCER: &[Setting] = &[
    setting("retries", &[0, 0, 1, 5], 0, 1 << 30),
    setting("max.in.flight.requests.per.connection", &[1, 5], 1, 100),
    setting("request.timeout.ms", &[1_000, 2_000, 10_000], 1, MINUTE_MS),
    setting("delivery.timeout.ms", &[1_000, 2_000, 5_000], 1, MINUTE_MS),
    setting("max.block.ms", &[1_000, 10_000], 1, MINUTE_MS),
    setting("retry.backoff.ms", &[10, 50, 500], 1, MINUTE_MS),
    setting("batch.size", &[1, 300, 16_384], 1, MANY),
    setting("batch.records", &[1, 3, 100], 1, MANY),
    setting("buffer.memory", &[1_000, 4_000, 40_000, 1 << 20], 1, MANY),
    setting("max.request.size", &[20_000, 200_000], 1, MANY),
    // 0: by the key, 1: sticky, 2: in turn.
    setting("partitioner", &[1, 2], 0, 2),
];

/// Whoever reads partitions by itself has this besides: a member of a group skips what is damaged.
const READER: &[Setting] = &[
    // 1: it is told of damage, and goes on behind it by itself.
    setting("fails-on-corruption", &[1], 0, 1),
];

/// A consumer's own. Not drawn is what a batch may unpack to: the library's bound is 64 times what a broker takes, and one
/// that is lower makes sound batches corrupt.
const CONSUMER: &[Setting] = &[
    setting("fetch.max.wait.ms", &[20, 100, 2_000], 1, MINUTE_MS),
    setting("fetch.min.bytes", &[100, 1_000, 10_000], 1, MANY),
    setting("fetch.max.bytes", &[1, 1_000, 20_000], 1, MANY),
    setting("max.partition.fetch.bytes", &[1, 300, 10_000], 1, MANY),
    setting("max.poll.records", &[1, 3, 50], 1, MANY),
    setting("prefetch.bytes", &[1, 4_096, 100_000], 1, MANY),
    setting("request.timeout.ms", &[1_000, 10_000], 1, MINUTE_MS),
    setting("retry.backoff.ms", &[10, 50, 500], 1, MINUTE_MS),
];

/// What the application does that sends.
const HABITS: &[Setting] = &[
    // Records sent at once, and then none until their time is over.
    setting("burst", &[5, 20, 100, 300], 1, 10_000),
    // It rests after so many records, for so long. Drawn with the rate, see `plan::load`.
    setting("surge", &[], 1, 1 << 30),
    setting("rests-ms", &[], 1, MINUTE_MS),
    // One value in fifty has up to so many bytes, or just as many. The last is what a producer's request just takes.
    setting("peak-bytes", &[20_000, 100_000, 100_000, 1_048_000], 0, 1 << 20),
    // Of the records, in percent: without a value, without a key though the others have one, with headers.
    setting("null-values", &[10, 50], 0, 100),
    setting("null-keys", &[20], 0, 100),
    setting("headers", &[20, 100], 0, 100),
    // Its own timestamps, all of so many milliseconds alike.
    setting("same-time-ms", &[100, 1_000], 1, MINUTE_MS),
    // `flush` after so many records.
    setting("flush-every", &[1, 7, 50], 1, 1 << 30),
    // So many percent of the records go to other topics, in the same requests as the rest.
    setting("strays", &[10, 50], 0, 100),
    // So many percent of the records are one of the last ones once more: key, value, headers and time.
    setting("repeats", &[10, 50], 0, 100),
    // In the end it closes the producer, and does not only flush it.
    setting("closes", &[1], 0, 1),
];

/// What the application does that is a member of a group.
const MEMBER: &[Setting] = &[
    // Records of a stream that are worked on at the same time, where they are marked when they are done.
    setting("records-at-once", &[2, 5, 20], 1, 1_000),
    // It asks a stream again after so long, and lets go of the first question.
    setting("asks-again-ms", &[5, 100], 1, MINUTE_MS),
    // It marks through the stream, and not through the consumer.
    setting("marks-on-stream", &[1], 0, 1),
    // It closes its consumer while its streams are being read.
    setting("closes-under-streams", &[1], 0, 1),
    // After so many records it goes back, by a few.
    setting("rewinds-every", &[20, 100], 1, 1 << 30),
];

/// A broker's own. Not drawn are names and addresses, the testbed's to give; what a topic that is made by being asked for
/// gets, for the testbed makes its topics; and durability, which each topic says for itself. The session's length is
/// drawn by the plan.
const BROKER: &[Setting] = &[
    setting("log.flush.interval.ms", &[5, 200, 1_000], 1, MINUTE_MS),
    setting("log.flush.interval.messages", &[1, 3, 50], 1, MANY),
    setting("log.index.interval.bytes", &[1, 300], 1, MANY),
    setting("log.roll.ms", &[300, 3_000], 1, MINUTE_MS),
    setting("fetch.max.bytes", &[1_024, 65_536], 1, MANY),
    setting("connections.max.idle.ms", &[2_000, 10_000], 1, MINUTE_MS),
    setting("request_arrival_ms_max", &[3_000, 8_000], 1, MINUTE_MS),
    setting("response_send_ms_max", &[2_000, 8_000], 1, MINUTE_MS),
    setting("shutdown_drain_ms_max", &[0, 300], 0, MINUTE_MS),
    setting("zookeeper.connection.timeout.ms", &[500, 2_000], 1, MINUTE_MS),
    setting("message.max.bytes", &[50_000, 300_000], 128, MANY),
    setting("log.message.timestamp.before.max.ms", TIME_BEFORE_MS, 0, i64::MAX),
    setting("log.message.timestamp.after.max.ms", TIME_AFTER_MS, 0, i64::MAX),
    // Not less than the clients that there are need in a storm.
    setting("max.connections", &[150, 400], 1, MANY),
    setting("max.connections.per.ip", &[20, 60], 1, MANY),
    // The first is hardly more than the largest request that a producer sends.
    setting("socket.request.max.bytes", &[REQUEST_BYTES, 8 << 20], 1_024, MANY),
    setting("queued.max.request.bytes", &[REQUEST_BYTES, 2_000_000], 1_024, MANY),
];

const REQUEST_BYTES: i64 = 1_200_000;
/// Less than a record's own time, and clocks that are wrong by no more than a moment, keep to. Some of the clock's faults
/// break them.
const TIME_BEFORE_MS: &[i64] = &[60_000, 3_600_000];
const TIME_AFTER_MS: &[i64] = &[1_000, 60_000];

/// A topic's own.
const TOPIC: &[Setting] = &[
    setting("flush.ms", &[5, 200, 1_000], 1, MINUTE_MS),
    setting("flush.messages", &[1, 3, 50], 1, MANY),
    setting("index.interval.bytes", &[1, 300], 1, MANY),
    setting("segment.ms", &[300, 3_000], 1, MINUTE_MS),
    setting("segment.bytes", &[1_024, 8_192], 256, MANY),
    setting("max.message.bytes", &[4_000, 50_000, 300_000], 128, MANY),
    setting("message.timestamp.before.max.ms", TIME_BEFORE_MS, 0, i64::MAX),
    setting("message.timestamp.after.max.ms", TIME_AFTER_MS, 0, i64::MAX),
];

/// A setting that is a word: the key, and the word that is not the default.
type Word = (&'static str, &'static str);

const BROKER_WORDS: [Word; 2] = [("validation", "header"), ("log.message.timestamp.type", "LogAppendTime")];
const TOPIC_WORDS: [Word; 2] = [("validation", "header"), ("message.timestamp.type", "LogAppendTime")];
/// One owner in so many says such a word: most records keep the time that their producers gave them, which the judge then
/// knows.
const ONE_SAYS_A_WORD: u64 = 6;

fn draw_words(seed: u64, owner: &str, words: [Word; 2]) -> impl Iterator<Item = Word> {
    let is_said =
        move |(key, _): &Word| derive(seed, &format!("word {owner} {key}")).chance(1, ONE_SAYS_A_WORD);
    words.into_iter().filter(is_said)
}

/// Whose settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Producer,
    Consumer,
    Reader,
    Habits,
    Member,
    Broker,
    Topic,
}

impl Owner {
    fn settings(self) -> impl Iterator<Item = &'static Setting> {
        let (own, more): (&[Setting], &[Setting]) = match self {
            Owner::Producer => (PRODUCER, &[]),
            Owner::Consumer => (CONSUMER, &[]),
            Owner::Reader => (CONSUMER, READER),
            Owner::Habits => (HABITS, &[]),
            Owner::Member => (MEMBER, &[]),
            Owner::Broker => (BROKER, &[]),
            Owner::Topic => (TOPIC, &[]),
        };
        own.iter().chain(more)
    }

    /// Checks what a file says.
    pub fn check(self, written: &toml::Table) -> Result<Settings, String> {
        written.iter().map(|(key, value)| Ok((key.clone(), self.check_one(key, value)?))).collect()
    }

    fn check_one(self, key: &str, value: &toml::Value) -> Result<i64, String> {
        let Some(setting) = self.settings().find(|setting| setting.key == key) else {
            let keys: Vec<&str> = self.settings().map(|setting| setting.key).collect();
            return Err(match nearest(key, keys.iter().copied()) {
                Some(near) => format!("`{key}` is no setting here; did you mean `{near}`?"),
                None => format!("`{key}` is no setting here; there are: {}", keys.join(", ")),
            });
        };
        match value.as_integer().filter(|value| (setting.low..=setting.high).contains(value)) {
            Some(value) => Ok(value),
            None => Err(format!("`{key}`: a number from {} to {}", setting.low, setting.high)),
        }
    }

    /// Those of `name` in this seed: what is written, and where `is_any` what is drawn.
    pub(super) fn draw(self, seed: u64, name: &str, written: &Settings, is_any: bool) -> Settings {
        let mut settings = written.clone();
        let drawn = self.settings().filter(|setting| is_any && !setting.drawn.is_empty());
        for setting in drawn {
            let mut rng = derive(seed, &format!("{self:?} {name} {}", setting.key));
            let is_default = rng.chance(1, 2);
            let value = *rng.pick(setting.drawn).expect("not empty");
            if !is_default {
                settings.entry(setting.key.to_owned()).or_insert(value);
            }
        }
        if matches!(self, Owner::Consumer | Owner::Reader) {
            drop_unreachable_minimum(&mut settings, written);
        }
        settings
    }
}

/// A broker that may not send as many bytes as it is to wait for waits each time: a slip of the pen, not a fault.
fn drop_unreachable_minimum(settings: &mut Settings, written: &Settings) {
    let most =
        ["fetch.max.bytes", "max.partition.fetch.bytes"].iter().filter_map(|key| settings.get(*key)).min();
    let is_out_of_reach = settings.get("fetch.min.bytes") > most && most.is_some();
    if is_out_of_reach && !written.contains_key("fetch.min.bytes") {
        settings.remove("fetch.min.bytes");
    }
}

/// A topic's own settings with what the seed draws. With the page cache alone, `expose = "flushed"` needs somebody who
/// flushes.
pub(super) fn draw_topic(
    seed: u64,
    name: &str,
    written: &BTreeMap<String, String>,
    durability: Durability,
) -> BTreeMap<String, String> {
    let drawn = Owner::Topic.draw(seed, name, &Settings::new(), true);
    let mut config: BTreeMap<String, String> =
        drawn.into_iter().map(|(key, value)| (key, value.to_string())).collect();
    let owner = format!("topic {name}");
    let words = draw_words(seed, &owner, TOPIC_WORDS);
    config.extend(words.map(|(key, word)| (key.to_owned(), word.to_owned())));
    config.extend(written.clone());
    let is_exposed_late = derive(seed, &format!("expose {name}")).chance(1, 2);
    if durability == Durability::PageCache && config.contains_key("flush.ms") && is_exposed_late {
        config.entry("expose".to_owned()).or_insert_with(|| "flushed".to_owned());
    }
    config
}

/// What the seed draws of the brokers' settings.
pub(super) fn draw_broker(seed: u64) -> toml::Table {
    let mut drawn = Owner::Broker.draw(seed, "broker", &Settings::new(), true);
    // All requests together may take no less than one.
    if let Some(queued) = drawn.get("queued.max.request.bytes").copied() {
        let one = *drawn.entry("socket.request.max.bytes".to_owned()).or_insert(REQUEST_BYTES);
        drawn.insert("queued.max.request.bytes".to_owned(), queued.max(one));
    }
    let numbers = drawn.into_iter().map(|(key, value)| (key, toml::Value::Integer(value)));
    let words = draw_words(seed, "broker", BROKER_WORDS).map(|(key, word)| (key.to_owned(), word.into()));
    numbers.chain(words).collect()
}

/// Batches that the topic refuses are of no use to an application: its own are half as large, at most. A record that is too
/// large by itself it sends all the same.
pub(super) fn fit_batches(limit: i64, config: &mut Settings) {
    let size = config.entry("batch.size".to_owned()).or_insert(BATCH_SIZE_DEFAULT);
    *size = (*size).min(limit / 2).max(1);
}

fn millis(settings: &Settings, key: &str, into: &mut Duration) {
    if let Some(value) = settings.get(key) {
        *into = Duration::from_millis(value.cast_unsigned());
    }
}

fn size(settings: &Settings, key: &str, into: &mut usize) {
    if let Some(value) = settings.get(key) {
        *into = usize::try_from(*value).expect("checked when read");
    }
}

/// The product's own settings of a producer.
pub fn apply_to_producer(settings: &Settings, config: &mut ProducerConfig) {
    millis(settings, "request.timeout.ms", &mut config.request_timeout);
    millis(settings, "delivery.timeout.ms", &mut config.delivery_timeout);
    millis(settings, "max.block.ms", &mut config.metadata_timeout);
    millis(settings, "retry.backoff.ms", &mut config.retry_backoff);
    size(settings, "max.in.flight.requests.per.connection", &mut config.in_flight_max);
    size(settings, "batch.size", &mut config.batch_bytes_max);
    size(settings, "batch.records", &mut config.batch_records_max);
    size(settings, "buffer.memory", &mut config.buffer_bytes_max);
    size(settings, "max.request.size", &mut config.request_bytes_max);
    match settings.get("partitioner") {
        Some(1) => config.partitioner = Partitioner::Sticky,
        Some(2) => config.partitioner = Partitioner::RoundRobin,
        _ => {}
    }
    if let Some(retries) = settings.get("retries") {
        config.retries = u32::try_from(*retries).expect("checked when read");
    }
}

/// The product's own settings of a consumer.
pub fn apply_to_consumer(settings: &Settings, config: &mut ConsumerConfig) {
    millis(settings, "fetch.max.wait.ms", &mut config.fetch_wait);
    millis(settings, "request.timeout.ms", &mut config.request_timeout);
    millis(settings, "retry.backoff.ms", &mut config.retry_backoff);
    size(settings, "fetch.min.bytes", &mut config.fetch_bytes_min);
    size(settings, "fetch.max.bytes", &mut config.fetch_bytes_max);
    size(settings, "max.partition.fetch.bytes", &mut config.partition_bytes_max);
    size(settings, "max.poll.records", &mut config.poll_records_max);
    size(settings, "prefetch.bytes", &mut config.prefetch_bytes_max);
    if settings.get("fails-on-corruption") == Some(&1) {
        config.on_corruption = OnCorruption::Fail;
    }
}

#[cfg(test)]
mod tests {
    use seedlog::types::BrokerId;

    use super::*;

    #[test]
    fn half_of_the_settings_keep_their_default_and_all_are_drawn_in_some_seed() {
        let drawn: Vec<Settings> =
            (0..200).map(|seed| Owner::Producer.draw(seed, "shop", &Settings::new(), true)).collect();
        for setting in PRODUCER {
            let seeds = drawn.iter().filter(|settings| settings.contains_key(setting.key)).count();
            assert!((70..130).contains(&seeds), "{}: {seeds} of 200", setting.key);
        }
    }

    #[test]
    fn every_setting_of_brokers_and_topics_is_drawn_in_some_seed_and_a_broker_takes_what_is() {
        let brokers: Vec<toml::Table> = (0..200).map(draw_broker).collect();
        for table in &brokers {
            crate::cluster::broker_config(table, BrokerId(1))
                .unwrap_or_else(|error| panic!("{table:?}: {error}"));
        }
        let of_brokers = BROKER.iter().map(|setting| setting.key).chain(BROKER_WORDS.map(|(key, _)| key));
        for key in of_brokers {
            assert!(brokers.iter().any(|table| table.contains_key(key)), "{key}");
        }
        let topic = |seed| draw_topic(seed, "orders", &BTreeMap::new(), Durability::Fsync);
        let topics: Vec<_> = (0..200).map(topic).collect();
        let of_topics = TOPIC.iter().map(|setting| setting.key).chain(TOPIC_WORDS.map(|(key, _)| key));
        for key in of_topics {
            assert!(topics.iter().any(|config| config.contains_key(key)), "{key}");
        }
    }

    #[test]
    fn an_applications_batches_fit_where_a_record_does() {
        let fitted = |limit, size: &[(String, i64)]| {
            let mut config = Settings::from_iter(size.iter().cloned());
            fit_batches(limit, &mut config);
            config["batch.size"]
        };
        assert_eq!(fitted(4_000, &[]), 2_000);
        assert_eq!(fitted(4_000, &[("batch.size".to_owned(), 300)]), 300);
        assert_eq!(fitted(1 << 20, &[]), BATCH_SIZE_DEFAULT);
    }

    #[test]
    fn what_is_written_stays_and_leaves_the_others_as_they_were() {
        let free = Owner::Consumer.draw(7, "tail", &Settings::new(), true);
        let written = Settings::from([("fetch.max.bytes".to_owned(), 77)]);
        let mut fixed = Owner::Consumer.draw(7, "tail", &written, true);
        assert_eq!(fixed.insert("fetch.max.bytes".into(), 77), Some(77));
        let without = |mut settings: Settings| {
            settings.remove("fetch.max.bytes");
            settings
        };
        assert_eq!(without(fixed), without(free));
        assert_eq!(Owner::Consumer.draw(7, "tail", &written, false), written);
    }

    #[test]
    fn a_wrong_key_or_number_says_what_would_be_right() {
        let table = |text: &str| toml::from_str::<toml::Table>(text).unwrap();
        let error = Owner::Producer.check(&table("retrys = 1")).unwrap_err();
        assert_eq!(error, "`retrys` is no setting here; did you mean `retries`?");
        let error = Owner::Habits.check(&table("burst = 0")).unwrap_err();
        assert_eq!(error, "`burst`: a number from 1 to 10000");
        assert!(Owner::Producer.check(&table("\"batch.size\" = \"1\"")).is_err());
    }
}
