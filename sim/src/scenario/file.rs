//! The file format: TOML as written, into a checked [`Scenario`].
//!
//! Unknown keys and impossible values are errors with a line. What a selector or a name refers to is checked
//! here as well, so that a run cannot fail half-way over a slip of the pen.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use seedlog::record::Compression;
use seedlog::rules::Rule;
use seedlog::types::{Acks, Durability};
use serde::Deserialize;
use toml::Spanned;

use super::action;
use super::error::{ScenarioError, Source};
use super::group::{self, RawGroup};
use super::selector::Selector;
use super::step::{self, Trigger};
use super::within::{self, Within};
use super::{
    BROKERS_MAX, Chaos, Class, Consumer, Expect, Level, Mix, PARTITIONS_MAX, Producer, STORM_MAX, Scenario,
    Seeds, Step, Topic, Without, happening, is_name, units,
};
use crate::checkers;

/// Largest value that a producer may be told to send.
const VALUE_BYTES_MAX: u64 = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    format: Spanned<u32>,
    story: Spanned<String>,
    #[serde(default)]
    covers: Vec<String>,
    seed: Option<Spanned<RawSeed>>,
    seeds: Option<Spanned<u64>>,
    #[serde(default)]
    cluster: RawCluster,
    #[serde(default)]
    topics: BTreeMap<Spanned<String>, RawTopic>,
    #[serde(default)]
    producers: BTreeMap<Spanned<String>, RawProducer>,
    #[serde(default)]
    consumers: BTreeMap<Spanned<String>, RawConsumer>,
    #[serde(default)]
    groups: BTreeMap<Spanned<String>, RawGroup>,
    #[serde(default)]
    step: Vec<RawStep>,
    #[serde(default)]
    chaos: RawChaos,
    #[serde(default)]
    expect: RawExpect,
}

/// Decimal, or text in decimal or hex: TOML's integers end at 2^63.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawSeed {
    Number(u64),
    Text(String),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCluster {
    brokers: Option<Spanned<u32>>,
    zookeepers: Option<Spanned<u32>>,
    config: Option<Spanned<toml::Table>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTopic {
    partitions: Option<Spanned<u32>>,
    replicas: Option<Spanned<u32>>,
    config: Option<Spanned<toml::Table>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProducer {
    topic: Spanned<String>,
    records: Option<Spanned<u64>>,
    rate: Option<Spanned<String>>,
    acks: Option<Spanned<toml::Value>>,
    linger: Option<Spanned<String>>,
    /// Bytes of a value, at most.
    #[serde(rename = "value-bytes")]
    value_bytes: Option<Spanned<u64>>,
    keyed: Option<bool>,
    compression: Option<Spanned<Compression>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConsumer {
    topics: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    at: Option<Spanned<String>>,
    when: Option<Spanned<String>>,
    after: Option<Spanned<String>>,
    #[serde(rename = "do")]
    action: Spanned<String>,
    #[serde(rename = "as")]
    name: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawChaos {
    #[serde(default)]
    process: Level,
    #[serde(default)]
    network: Level,
    #[serde(default)]
    disk: Level,
    #[serde(default)]
    clock: Level,
    #[serde(default)]
    zookeeper: Level,
    #[serde(default)]
    clients: Level,
    only: Option<BTreeSet<u64>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExpect {
    #[serde(default)]
    happens: Vec<Spanned<String>>,
    #[serde(default)]
    within: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    except: Vec<Spanned<String>>,
    #[serde(default)]
    without: Vec<RawWithout>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWithout {
    rule: Spanned<String>,
    violates: Spanned<String>,
}

type Checked<T> = Result<T, ScenarioError>;

pub(super) fn parse(name: &str, file: &str, text: &str) -> Checked<Scenario> {
    let source = Source { file, text };
    let raw: RawFile = toml::from_str(text)
        .map_err(|error| source.error(error.span().unwrap_or(0..0), error.message().trim().to_owned()))?;
    if *raw.format.get_ref() != 1 {
        return Err(source.error(raw.format.span(), "this testbed reads format 1"));
    }
    if raw.story.get_ref().trim().is_empty() {
        return Err(source.error(raw.story.span(), "a story needs a sentence"));
    }
    if let Some(count) = raw.cluster.zookeepers.as_ref().filter(|count| *count.get_ref() != 1) {
        return Err(source.error(count.span(), "only one ZooKeeper server can be simulated so far"));
    }
    let scenario = Scenario {
        name: name.to_owned(),
        text: text.to_owned(),
        covers: raw.covers,
        seeds: seeds(source, raw.seed, raw.seeds)?,
        brokers: raw.cluster.brokers.map(|n| bounded(source, n, 1, BROKERS_MAX, "brokers")).transpose()?,
        broker_config: raw.cluster.config.map(Spanned::into_inner).unwrap_or_default(),
        topics: named(source, raw.topics, topic)?,
        producers: named(source, raw.producers, producer)?,
        consumers: named(source, raw.consumers, consumer)?,
        groups: named(source, raw.groups, group::group)?,
        steps: steps(source, &raw.step)?,
        chaos: chaos(&raw.chaos),
        only: raw.chaos.only,
        expect: expect(source, raw.expect)?,
        story: raw.story.into_inner(),
    };
    check_selectors(source, &scenario, &raw.step)?;
    Ok(scenario)
}

/// Checks each entry of a table, and its name.
fn named<Raw, T>(
    source: Source,
    table: BTreeMap<Spanned<String>, Raw>,
    check: impl Fn(Source, Raw) -> Checked<T>,
) -> Checked<BTreeMap<String, T>> {
    let checked = table.into_iter().map(|(name, raw)| {
        if !is_name(name.get_ref()) {
            let message = format!("`{}` is no name: letters, digits, `-`, `_`, `.`", name.get_ref());
            return Err(source.error(name.span(), message));
        }
        Ok((name.into_inner(), check(source, raw)?))
    });
    checked.collect()
}

fn bounded(source: Source, number: Spanned<u32>, low: u32, high: u32, what: &str) -> Checked<u32> {
    if (low..=high).contains(number.get_ref()) {
        return Ok(number.into_inner());
    }
    Err(source.error(number.span(), format!("{what}: {low} to {high}")))
}

fn seeds(source: Source, one: Option<Spanned<RawSeed>>, count: Option<Spanned<u64>>) -> Checked<Seeds> {
    match (one, count) {
        (Some(one), Some(_)) => Err(source.error(one.span(), "write `seed` or `seeds`, not both")),
        (Some(one), None) => match one.get_ref() {
            RawSeed::Number(seed) => Ok(Seeds::One(*seed)),
            RawSeed::Text(text) => {
                parse_seed(text).map(Seeds::One).map_err(|message| source.error(one.span(), message))
            }
        },
        (None, Some(count)) if (1..=1_000_000).contains(count.get_ref()) => {
            Ok(Seeds::Count(*count.get_ref()))
        }
        (None, Some(count)) => Err(source.error(count.span(), "seeds: 1 to 1000000")),
        (None, None) => Ok(Seeds::Count(3)),
    }
}

/// A seed in decimal or hex.
pub fn parse_seed(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("`{text}` is no seed; write a number as 42 or 0x2a"))
}

fn topic(source: Source, raw: RawTopic) -> Checked<Topic> {
    let partitions =
        raw.partitions.map(|n| bounded(source, n, 1, PARTITIONS_MAX, "partitions")).transpose()?;
    if let Some(replicas) = raw.replicas.filter(|replicas| *replicas.get_ref() != 1) {
        return Err(source.error(replicas.span(), "only one replica can be simulated so far"));
    }
    let Some(config) = raw.config else { return Ok(Topic { partitions, ..Topic::default() }) };
    let span = config.span();
    let mut topic = Topic { partitions, ..Topic::default() };
    for (key, value) in config.into_inner() {
        let text = plain_text(&value)
            .ok_or_else(|| source.error(span.clone(), format!("`{key}`: a text, a number or a boolean")))?;
        if key == "durability" {
            let durability = Durability::deserialize(value)
                .map_err(|_| source.error(span.clone(), "durability: `fsync` or `page-cache`"))?;
            topic.durability = Some(durability);
        }
        topic.config.insert(key, text);
    }
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

fn producer(source: Source, raw: RawProducer) -> Checked<Producer> {
    let records = match raw.records {
        Some(records) if !(1..=1_000_000).contains(records.get_ref()) => {
            return Err(source.error(records.span(), "records: 1 to 1000000"));
        }
        records => records.map(Spanned::into_inner),
    };
    let interval = raw
        .rate
        .map(|rate| units::interval(rate.get_ref()).map_err(|message| source.error(rate.span(), message)));
    let acks = raw.acks.map(|acks| match plain_text(acks.get_ref()).as_deref() {
        Some("all" | "-1") => Ok(Acks::All),
        Some("1") => Ok(Acks::Leader),
        Some("0") => Ok(Acks::None),
        _ => Err(source.error(acks.span(), "acks: 0, 1 or \"all\"")),
    });
    let linger = raw.linger.map(|linger| {
        units::duration(linger.get_ref()).map_err(|message| source.error(linger.span(), message))
    });
    if let Some(bytes) = raw.value_bytes.as_ref().filter(|bytes| *bytes.get_ref() > VALUE_BYTES_MAX) {
        return Err(source.error(bytes.span(), format!("value-bytes: 0 to {VALUE_BYTES_MAX}")));
    }
    Ok(Producer {
        topic: raw.topic.into_inner(),
        records,
        interval: interval.transpose()?,
        acks: acks.transpose()?,
        linger: linger.transpose()?,
        value_bytes: raw.value_bytes.map(Spanned::into_inner),
        keyed: raw.keyed,
        compression: raw.compression.map(Spanned::into_inner),
    })
}

fn consumer(_: Source, raw: RawConsumer) -> Checked<Consumer> {
    Ok(Consumer { topics: raw.topics.into_iter().map(Spanned::into_inner).collect() })
}

fn steps(source: Source, raw: &[RawStep]) -> Checked<Vec<Step>> {
    raw.iter().map(|raw| step_of(source, raw)).collect()
}

fn step_of(source: Source, raw: &RawStep) -> Checked<Step> {
    let wrong = |place: &Spanned<String>, message: String| source.error(place.span(), message);
    let trigger = match (&raw.at, &raw.when, &raw.after) {
        (Some(at), None, None) => {
            let at_time = units::duration(at.get_ref()).map_err(|m| wrong(at, m))?;
            if at_time > STORM_MAX {
                return Err(wrong(at, format!("a storm lasts at most {} s", STORM_MAX.as_secs())));
            }
            Trigger::At(at_time)
        }
        (None, Some(when), None) => step::when(when.get_ref()).map_err(|m| wrong(when, m))?,
        (None, None, Some(after)) => step::after(after.get_ref()).map_err(|m| wrong(after, m))?,
        _ => return Err(wrong(
            &raw.action,
            "a step needs one of `at = \"4s\"`, `when = \"acked orders-0 17\"` and `after = \"NAME + 2s\"`"
                .into(),
        )),
    };
    if let Some(name) = raw.name.as_ref().filter(|name| !is_name(name.get_ref())) {
        return Err(wrong(name, format!("`{}` is no name for a step", name.get_ref())));
    }
    Ok(Step {
        trigger,
        action: action::parse(raw.action.get_ref()).map_err(|m| wrong(&raw.action, m))?,
        name: raw.name.as_ref().map(|name| name.get_ref().clone()),
        text: raw.action.get_ref().clone(),
    })
}

fn chaos(raw: &RawChaos) -> Chaos {
    let level = |class| match class {
        Class::Process => raw.process,
        Class::Network => raw.network,
        Class::Disk => raw.disk,
        Class::Clock => raw.clock,
        Class::ZooKeeper => raw.zookeeper,
        Class::Clients => raw.clients,
    };
    let mix = |class| Mix { level: level(class), weights: None };
    Chaos { mixes: Class::ALL.into_iter().map(|class| (class, mix(class))).collect() }
}

fn expect(source: Source, raw: RawExpect) -> Checked<Expect> {
    let check = |name: &Spanned<String>| match checkers::named(name.get_ref()) {
        Some(check) => Ok(check.slug.to_owned()),
        None => {
            let known: Vec<&str> = checkers::CHECKS.iter().map(|check| check.slug).collect();
            let message = format!("`{}` is no check; there are: {}", name.get_ref(), known.join(", "));
            Err(source.error(name.span(), message))
        }
    };
    let happens = raw
        .happens
        .iter()
        .map(|text| happening::parse(text.get_ref()).map_err(|message| source.error(text.span(), message)));
    let without = raw.without.iter().map(|without| {
        let rule = Rule::from_slug(without.rule.get_ref()).ok_or_else(|| {
            let known: Vec<&str> = Rule::ALL.iter().map(|rule| rule.slug()).collect();
            let message = format!("`{}` is no rule; there are: {}", without.rule.get_ref(), known.join(", "));
            source.error(without.rule.span(), message)
        })?;
        Ok(Without { rule, violates: check(&without.violates)? })
    });
    let within = raw.within.iter().map(|(condition, limit)| {
        let wrong = |place: &Spanned<String>| {
            let span = place.span();
            move |message: String| source.error(span, message)
        };
        let (time, since) = within::limit(limit.get_ref()).map_err(wrong(limit))?;
        let condition = within::condition(condition.get_ref()).map_err(wrong(condition))?;
        Ok(Within { condition, limit: time, since })
    });
    Ok(Expect {
        happens: happens.collect::<Checked<_>>()?,
        within: within.collect::<Checked<_>>()?,
        except: raw.except.iter().map(check).collect::<Checked<_>>()?,
        without: without.collect::<Checked<_>>()?,
    })
}

/// Checks what names refer to, once everything that has a name is known.
fn check_selectors(source: Source, scenario: &Scenario, raw: &[RawStep]) -> Checked<()> {
    let mut earlier: BTreeSet<&str> = BTreeSet::new();
    for (step, raw) in scenario.steps.iter().zip(raw) {
        if let Trigger::After { step: name, .. } = &step.trigger
            && !earlier.contains(name.as_str())
        {
            let place = raw.after.as_ref().unwrap_or(&raw.action);
            return Err(source.error(place.span(), format!("no earlier step is called `{name}`")));
        }
        for selector in step.action.selectors() {
            if let Err(message) = resolvable(scenario, selector, &earlier) {
                return Err(source.error(raw.action.span(), message));
            }
        }
        earlier.extend(step.name.as_deref());
    }
    check_topics(source, scenario)?;
    group::check(source, scenario)
}

fn resolvable(scenario: &Scenario, selector: &Selector, earlier: &BTreeSet<&str>) -> Result<(), String> {
    let members = || scenario.groups.iter().flat_map(|(name, group)| group.members_min(name));
    let clients = || scenario.producers.keys().chain(scenario.consumers.keys()).cloned().chain(members());
    match selector {
        Selector::Broker(id) => match scenario.brokers {
            Some(brokers) if id.0 as u32 > brokers => {
                Err(format!("there are {brokers} brokers, no broker({id})"))
            }
            None if id.0 > 1 => Err("say how many `brokers` there are before naming one".into()),
            _ => Ok(()),
        },
        Selector::Leader(partition) | Selector::Owner { partition, .. } => {
            match scenario.topics.get(&*partition.topic) {
                None => Err(format!("there is no topic `{}`", partition.topic)),
                Some(topic) if partition.partition >= topic.partitions.unwrap_or(1) as i32 => {
                    Err(format!("topic `{}` has no partition {}", partition.topic, partition.partition))
                }
                Some(_) => Ok(()),
            }
        }
        Selector::List(selectors) => selectors.iter().try_for_each(|one| resolvable(scenario, one, earlier)),
        Selector::Named(name) if earlier.contains(name.as_str()) || clients().any(|c| c == *name) => Ok(()),
        Selector::Named(name) => Err(format!("`{name}` is neither a client nor an earlier step")),
        Selector::Member(group) | Selector::Group(group) if !scenario.groups.contains_key(group) => {
            Err(format!("there is no group `{group}`"))
        }
        Selector::Brokers
        | Selector::Clients
        | Selector::Member(_)
        | Selector::Group(_)
        | Selector::ZooKeeper
        | Selector::Any
        | Selector::Minority => Ok(()),
    }
}

fn check_topics(source: Source, scenario: &Scenario) -> Checked<()> {
    let wrong = |topic: &str, client: &str| {
        let at = source.text.find(&format!(".{client}]")).unwrap_or(0);
        source.error(at..at, format!("`{client}` uses topic `{topic}`, which has no [topics.{topic}]"))
    };
    for (name, producer) in &scenario.producers {
        if !scenario.topics.contains_key(&producer.topic) {
            return Err(wrong(&producer.topic, name));
        }
        let interval = producer.interval.unwrap_or(Duration::from_millis(50));
        if interval * producer.records.unwrap_or(0).min(u64::from(u32::MAX)) as u32 > STORM_MAX {
            let at = source.text.find(&format!(".{name}]")).unwrap_or(0);
            let message = format!("`{name}` would send for more than {} s", STORM_MAX.as_secs());
            return Err(source.error(at..at, message));
        }
    }
    for (name, consumer) in &scenario.consumers {
        if let Some(topic) = consumer.topics.iter().find(|topic| !scenario.topics.contains_key(*topic)) {
            return Err(wrong(topic, name));
        }
        if scenario.producers.contains_key(name) {
            let at = source.text.find(&format!("consumers.{name}]")).unwrap_or(0);
            return Err(source.error(at..at, format!("`{name}` is a producer already")));
        }
    }
    Ok(())
}
