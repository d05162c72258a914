//! The file format: TOML as written, into a checked [`Scenario`].
//!
//! Unknown keys and impossible values are errors with a place. What a selector or a name refers to is checked
//! as well, so that a run cannot fail half-way over a slip of the pen.

use std::collections::BTreeMap;
use std::time::Duration;

use seedlog::broker::config::{CheckedConfig, check_topic_config};
use seedlog::consumer::AutoReset;
use seedlog::record::Compression;
use seedlog::types::{Acks, BrokerId, Durability};
use serde::Deserialize;

use super::error::{ScenarioError, Source};
use super::group::{Group, MEMBERS_MAX, STREAMS_MAX};
use super::raw::{At, RawCompression, RawConsumer, RawFile, RawGroup, RawProducer, RawReset, RawTopic};
use super::scope::Scope;
use super::settings::{Owner, Settings};
use super::{
    BROKERS_MAX, Consumer, Created, PARTITIONS_MAX, Producer, STORM_MAX, Scenario, Seeds, Topic, complaint,
    is_name, plot, units,
};
use crate::codes;

/// Largest value that a producer may be told to send.
const VALUE_BYTES_MAX: i64 = 1 << 20;
const RECORDS_MAX: i64 = 1_000_000;
const SEEDS_MAX: i64 = 1_000_000;
/// Longer would make a group that never gets done.
const PROCESSING_MAX: Duration = Duration::from_secs(60);
const SESSION_MIN: Duration = Duration::from_secs(1);
const SESSION_MAX: Duration = Duration::from_secs(60);
const LINGER_MAX: Duration = Duration::from_secs(60);
const COMMIT_INTERVAL_MIN: Duration = Duration::from_millis(10);
const COMMIT_RECORDS_MAX: i64 = 10_000;

pub(super) type Checked<T> = Result<T, ScenarioError>;

pub(super) fn parse(name: &str, file: &str, text: &str) -> Checked<Scenario> {
    let source = Source { file, text };
    let raw: RawFile = toml::from_str(text).map_err(|error| complaint::translated(source, &error))?;
    if *raw.format != 1 {
        return Err(source.error(raw.format.span(), "this testbed reads `format = 1`"));
    }
    if raw.story.trim().is_empty() {
        return Err(source.error(raw.story.span(), "a story needs a sentence that says what happens"));
    }
    if let Some(count) = raw.cluster.zookeepers.as_ref().filter(|count| ***count != 1) {
        return Err(source.error(count.span(), "zookeepers: 1; more servers cannot be simulated yet"));
    }
    let mut scope = Scope::default();
    scope.brokers = bounded(source, raw.cluster.brokers, 1, BROKERS_MAX.into(), "brokers")?;
    let any_broker_settings = raw.cluster.settings.is_some();
    let (broker_config, defaults) = broker_config(source, raw.cluster.config)?;
    let topics = named(source, raw.topics, |_, raw| topic(source, &defaults, raw))?;
    scope.add_topics(&topics);
    let producers = named(source, raw.producers, |name, raw| {
        scope.add_client(&name).map_err(|message| source.error(name.span(), message))?;
        producer(source, &scope, &name, raw)
    })?;
    let consumers = named(source, raw.consumers, |name, raw| {
        scope.add_client(&name).map_err(|message| source.error(name.span(), message))?;
        consumer(source, &scope, raw)
    })?;
    let groups = named(source, raw.groups, |name, raw| {
        let group = group(source, &scope, raw)?;
        scope.add_group(&name, &group).map_err(|message| source.error(name.span(), message))?;
        Ok(group)
    })?;
    let steps = plot::steps(source, &mut scope, &raw.step)?;
    Ok(Scenario {
        name: name.to_owned(),
        file: None,
        text: text.to_owned(),
        covers: covers(source, raw.covers)?,
        seeds: seeds(source, raw.seed, raw.seeds)?,
        brokers: scope.brokers,
        broker_config,
        any_broker_settings,
        topics,
        producers,
        consumers,
        groups,
        storm: time(source, raw.storm, Duration::from_millis(1), STORM_MAX, "storm")?,
        steps,
        only: raw.chaos.only.as_ref().map(|numbers| numbers.iter().copied().collect()),
        chaos: plot::chaos(source, &raw.chaos)?,
        over_budget_percent: bounded(source, raw.chaos.over_budget_percent, 0, 100, "over-budget-percent")?
            .unwrap_or(0)
            .into(),
        expect: plot::expect(source, &scope, &raw.expect)?,
        story: raw.story.into_inner(),
    })
}

/// Checks each entry of a table, and its name.
fn named<Raw, T>(
    source: Source,
    table: BTreeMap<At<String>, Raw>,
    mut check: impl FnMut(At<String>, Raw) -> Checked<T>,
) -> Checked<BTreeMap<String, T>> {
    let checked = table.into_iter().map(|(name, raw)| {
        if !is_name(&name) {
            let message = format!("`{}` is no name: 1 to 64 letters, digits, `-`, `_` and `.`", *name);
            return Err(source.error(name.span(), message));
        }
        Ok((String::clone(&name), check(name, raw)?))
    });
    checked.collect()
}

fn bounded(source: Source, number: Option<At<i64>>, low: i64, high: i64, what: &str) -> Checked<Option<u32>> {
    let Some(number) = number else { return Ok(None) };
    if !(low..=high).contains(&*number) {
        return Err(source.error(number.span(), format!("{what}: {low} to {high}")));
    }
    Ok(u32::try_from(*number).ok())
}

fn time(
    source: Source,
    text: Option<At<String>>,
    low: Duration,
    high: Duration,
    what: &str,
) -> Checked<Option<Duration>> {
    let Some(text) = text else { return Ok(None) };
    let time = units::duration(&text).map_err(|message| source.error(text.span(), message))?;
    if !(low..=high).contains(&time) {
        let message = format!("{what}: {} to {}", units::written(low), units::written(high));
        return Err(source.error(text.span(), message));
    }
    Ok(Some(time))
}

fn seeds(source: Source, one: Option<At<toml::Value>>, count: Option<At<i64>>) -> Checked<Seeds> {
    match (one, count) {
        (Some(one), Some(_)) => Err(source.error(one.span(), "write `seed` or `seeds`, not both")),
        (Some(one), None) => {
            let text = plain_text(&one).unwrap_or_default();
            parse_seed(&text).map(Seeds::One).map_err(|message| source.error(one.span(), message))
        }
        (None, count) => {
            let count = bounded(source, count, 1, SEEDS_MAX, "seeds")?;
            Ok(Seeds::Count(count.unwrap_or(3).into()))
        }
    }
}

fn covers(source: Source, codes: Vec<At<String>>) -> Checked<Vec<String>> {
    let known = codes.into_iter().map(|code| {
        codes::check(&code).map_err(|message| source.error(code.span(), message))?;
        Ok(code.into_inner())
    });
    known.collect()
}

/// A seed in decimal or hex.
pub fn parse_seed(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("`{text}` is no seed; write a number as 42 or \"0x2a\""))
}

/// The brokers' own settings, and what topics get from them.
fn broker_config(source: Source, config: Option<At<toml::Table>>) -> Checked<(toml::Table, CheckedConfig)> {
    let span = config.as_ref().map_or(0..0, At::span);
    let table = config.map(At::into_inner).unwrap_or_default();
    match crate::cluster::broker_config(&table, BrokerId(1)) {
        Ok(checked) => Ok((table, checked)),
        Err(error) => Err(source.error(span, complaint::of_setting(&error.to_string()))),
    }
}

/// What follows the time of a topic that is made while a group rebalances.
pub const REBALANCING: &str = " rebalancing";

fn topic(source: Source, defaults: &CheckedConfig, raw: RawTopic) -> Checked<Topic> {
    let partitions = bounded(source, raw.partitions, 1, PARTITIONS_MAX.into(), "partitions")?;
    if let Some(replicas) = raw.replicas.filter(|replicas| **replicas != 1) {
        return Err(source.error(replicas.span(), "replicas: 1; there is no replication yet"));
    }
    let created = match raw.created {
        None => Created::BeforeTheStorm,
        Some(text) if *text == "any" => Created::Any,
        Some(text) if *text == "healing" => Created::Healing,
        Some(text) if *text == "healed" => Created::Healed,
        Some(text) if text.ends_with(REBALANCING) => {
            let after = units::duration(text.trim_end_matches(REBALANCING));
            Created::AtARebalance(after.map_err(|message| source.error(text.span(), message))?)
        }
        text => time(source, text, Duration::ZERO, STORM_MAX, "created")?
            .map_or(Created::BeforeTheStorm, Created::InTheStorm),
    };
    let mut topic = Topic {
        partitions,
        is_optional: raw.optional,
        any_settings: raw.settings.is_some(),
        created,
        ..Topic::default()
    };
    let Some(config) = raw.config else { return Ok(topic) };
    let span = config.span();
    for (key, value) in config.into_inner() {
        let wrong = |message: String| source.error(span.clone(), message);
        let text = plain_text(&value)
            .ok_or_else(|| wrong(format!("`{key}` is to be a text, a number, true or false")))?;
        if key == "durability" {
            let durability = Durability::deserialize(value)
                .map_err(|_| wrong(format!("`{text}` is no durability; write `fsync` or `page-cache`")))?;
            topic.durability = Some(durability);
        }
        topic.config.insert(key, text);
    }
    check_topic_config(defaults, &topic.config).map_err(|problem| source.error(span, problem.to_string()))?;
    Ok(topic)
}

fn plain_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(boolean) => Some(boolean.to_string()),
        _ => None,
    }
}

fn producer(source: Source, scope: &Scope, name: &At<String>, raw: RawProducer) -> Checked<Producer> {
    scope.topic(&raw.topic).map_err(|message| source.error(raw.topic.span(), message))?;
    let records_span = raw.records.as_ref().map(At::span);
    let records = bounded(source, raw.records, 1, RECORDS_MAX, "records")?;
    let interval = raw
        .rate
        .map(|rate| units::interval(&rate).map_err(|message| source.error(rate.span(), message)))
        .transpose()?;
    let lasts = interval.unwrap_or(Duration::from_millis(50)) * records.unwrap_or(0);
    if lasts > STORM_MAX {
        let message =
            format!("`{}` would send for {} s; at most {} s", **name, lasts.as_secs(), STORM_MAX.as_secs());
        return Err(source.error(records_span.unwrap_or(name.span()), message));
    }
    let acks = raw.acks.map(|acks| match plain_text(&acks).as_deref() {
        Some("all" | "-1") => Ok(Acks::All),
        Some("1") => Ok(Acks::Leader),
        Some("0") => Ok(Acks::None),
        _ => Err(source.error(acks.span(), "acks: 0, 1 or \"all\"")),
    });
    Ok(Producer {
        topic: raw.topic.into_inner(),
        records: records.map(u64::from),
        interval,
        acks: acks.transpose()?,
        linger: time(source, raw.linger, Duration::ZERO, LINGER_MAX, "linger")?,
        value_bytes: bounded(source, raw.value_bytes, 0, VALUE_BYTES_MAX, "value-bytes")?.map(u64::from),
        keyed: raw.keyed,
        compression: raw.compression.map(|compression| match compression {
            RawCompression::None => Compression::None,
            RawCompression::Gzip => Compression::Gzip,
            RawCompression::Snappy => Compression::Snappy,
            RawCompression::Lz4 => Compression::Lz4,
            RawCompression::Zstd => Compression::Zstd,
        }),
        config: settings(source, Owner::Producer, raw.config)?,
        habits: settings(source, Owner::Habits, raw.habits)?,
        any_settings: raw.settings.is_some(),
        is_wire: raw.wire,
        is_optional: raw.optional,
    })
}

fn settings(source: Source, owner: Owner, written: Option<At<toml::Table>>) -> Checked<Settings> {
    let Some(written) = written else { return Ok(Settings::new()) };
    owner.check(&written).map_err(|message| source.error(written.span(), message))
}

/// `None`: the seed decides.
fn reset(raw: Option<RawReset>) -> Option<AutoReset> {
    match raw {
        None | Some(RawReset::Smallest) => Some(AutoReset::Earliest),
        Some(RawReset::Largest) => Some(AutoReset::Latest),
        Some(RawReset::None) => Some(AutoReset::None),
        Some(RawReset::Any) => None,
    }
}

fn topics(source: Source, scope: &Scope, topics: At<Vec<At<String>>>) -> Checked<Vec<String>> {
    if topics.is_empty() {
        return Err(source.error(topics.span(), "nothing is read; write `topics = [\"orders\"]`"));
    }
    if topics.iter().all(|topic| scope.is_optional(topic)) {
        let message = "every topic here is optional, and a seed may leave out all of them";
        return Err(source.error(topics.span(), message));
    }
    let known = topics.into_inner().into_iter().map(|topic| {
        scope.topic(&topic).map_err(|message| source.error(topic.span(), message))?;
        Ok(topic.into_inner())
    });
    known.collect()
}

fn consumer(source: Source, scope: &Scope, raw: RawConsumer) -> Checked<Consumer> {
    Ok(Consumer {
        topics: topics(source, scope, raw.topics)?,
        config: settings(source, Owner::Reader, raw.config)?,
        any_settings: raw.settings.is_some(),
        wanders: raw.wanders,
        reset: reset(raw.reset),
        is_optional: raw.optional,
    })
}

fn group(source: Source, scope: &Scope, raw: RawGroup) -> Checked<Group> {
    if let Some(by) = raw.coordination.filter(|by| **by != "zookeeper") {
        let message = format!("`{}` is no coordination that there is; write `zookeeper`", *by);
        return Err(source.error(by.span(), message));
    }
    Ok(Group {
        topics: topics(source, scope, raw.topics)?,
        consumers: bounded(source, raw.consumers, 1, MEMBERS_MAX.into(), "consumers")?,
        streams: bounded(source, raw.streams, 1, STREAMS_MAX.into(), "streams")?,
        commit: raw.commit,
        commit_interval: time(
            source,
            raw.commit_interval,
            COMMIT_INTERVAL_MIN,
            STORM_MAX,
            "commit-interval",
        )?,
        commit_records: bounded(source, raw.commit_records, 1, COMMIT_RECORDS_MAX, "commit-records")?
            .map(u64::from),
        finish: raw.finish,
        reset: reset(raw.reset),
        processing: time(source, raw.processing, Duration::ZERO, PROCESSING_MAX, "processing")?,
        session: time(source, raw.session, SESSION_MIN, SESSION_MAX, "session")?,
        config: settings(source, Owner::Consumer, raw.config)?,
        habits: settings(source, Owner::Member, raw.habits)?,
        any_settings: raw.settings.is_some(),
        application: raw.application,
        is_optional: raw.optional,
    })
}
