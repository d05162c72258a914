//! A scenario file as it is written: keys and their shapes, with the place of each value.
//!
//! The JSON schema is generated from these types, whose comments are its descriptions. What values mean, and
//! what names refer to, is checked in `file`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use toml::Spanned;

use super::chaos::Level;
use super::group::{Commit, Finish};

/// A value and where it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub struct At<T>(Spanned<T>);

impl<T> At<T> {
    pub fn span(&self) -> Range<usize> {
        self.0.span()
    }

    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T> std::ops::Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.get_ref()
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// What happens to a simulated Seedlog cluster. What is left out is drawn from the seed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Seedlog scenario")]
pub struct RawFile {
    /// Version of the format.
    #[schemars(extend("const" = 1))]
    pub format: At<i64>,
    /// What the file tells, in a sentence.
    pub story: At<String>,
    /// The guarantees and historic bugs that it is about.
    #[serde(default)]
    pub covers: Vec<At<String>>,
    /// The one seed to run.
    #[serde(default)]
    #[schemars(schema_with = "seed_schema")]
    pub seed: Option<At<toml::Value>>,
    /// Runs the seeds from 0 to this, exclusive. Without `seed` and `seeds`: 3.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub seeds: Option<At<i64>>,
    /// How long the storm lasts, e.g. `20s`. Left out: until the last producer is to have sent everything.
    pub storm: Option<At<String>>,
    #[serde(default)]
    pub cluster: RawCluster,
    /// By name.
    #[serde(default)]
    pub topics: BTreeMap<At<String>, RawTopic>,
    /// By name, which is also the name of the producer's node.
    #[serde(default)]
    pub producers: BTreeMap<At<String>, RawProducer>,
    /// By name, which is also the name of the consumer's node.
    #[serde(default)]
    pub consumers: BTreeMap<At<String>, RawConsumer>,
    /// By name; the members' nodes are called NAME-1, NAME-2 and so on.
    #[serde(default)]
    pub groups: BTreeMap<At<String>, RawGroup>,
    /// What is done to the cluster, one by one.
    #[serde(default)]
    pub step: Vec<RawStep>,
    #[serde(default)]
    pub chaos: RawChaos,
    #[serde(default)]
    pub expect: RawExpect,
}

/// Brokers and ZooKeeper servers.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawCluster {
    /// How many brokers; they are called broker-1, broker-2 and so on.
    #[schemars(range(min = 1, max = 16))]
    pub brokers: Option<At<i64>>,
    /// How many ZooKeeper servers.
    #[schemars(range(min = 1, max = 1))]
    pub zookeepers: Option<At<i64>>,
    /// Settings of every broker, under Kafka's names or ours.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    pub config: Option<At<toml::Table>>,
    /// `any`: the seed draws what `config` leaves open, half of it at a time.
    pub settings: Option<RawSettings>,
}

/// A topic.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTopic {
    #[schemars(range(min = 1, max = 64))]
    pub partitions: Option<At<i64>>,
    #[schemars(range(min = 1, max = 1))]
    pub replicas: Option<At<i64>>,
    /// The topic's own settings: `durability`, `segment.bytes` and so on.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    pub config: Option<At<toml::Table>>,
    /// `any`: the seed draws what `config` leaves open, half of it at a time.
    pub settings: Option<RawSettings>,
    /// When it is made, of the storm: `3s`. Left out: before. `any`: the seed decides, in its first eight seconds.
    pub created: Option<At<String>>,
    /// Whether the seed may leave the topic out, with its producers. Who reads others too reads those alone then.
    #[serde(default)]
    pub optional: bool,
}

/// A producer that sends at a steady rate, and retries.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawProducer {
    pub topic: At<String>,
    /// How many records it sends.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub records: Option<At<i64>>,
    /// How many a second: `20/s`.
    pub rate: Option<At<String>>,
    /// What it waits for: 0 nothing, 1 the leader, "all" every in-sync replica.
    #[serde(default)]
    #[schemars(schema_with = "acks_schema")]
    pub acks: Option<At<toml::Value>>,
    /// How long a batch waits for more records: `5ms`.
    pub linger: Option<At<String>>,
    /// Bytes of a value, at most.
    #[serde(rename = "value-bytes")]
    #[schemars(range(min = 0, max = 1_048_576))]
    pub value_bytes: Option<At<i64>>,
    /// Whether records have keys, which decide their partitions.
    pub keyed: Option<bool>,
    pub compression: Option<RawCompression>,
    /// The producer's own settings, by Kafka's names: `retries`, `"delivery.timeout.ms"` and so on.
    #[schemars(with = "Option<BTreeMap<String, i64>>")]
    pub config: Option<At<toml::Table>>,
    /// What the application does: `burst`, `flush-every` and so on.
    #[schemars(with = "Option<BTreeMap<String, i64>>")]
    pub habits: Option<At<toml::Table>>,
    /// `any`: the seed draws what `config` and `habits` leave open, half of it at a time.
    pub settings: Option<RawSettings>,
    /// A client of the bare protocol: no retries, several requests in flight, and a look at every field of the replies.
    #[serde(default)]
    pub wire: bool,
    /// Whether the seed may leave the producer out.
    #[serde(default)]
    pub optional: bool,
}

/// Who decides about settings that are not written.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RawSettings {
    /// The seed.
    Any,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RawCompression {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// A consumer without a group, which reads every partition of its topics from the beginning.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawConsumer {
    pub topics: At<Vec<At<String>>>,
    /// The consumer's own settings, by Kafka's names: `"fetch.max.bytes"` and so on.
    #[schemars(with = "Option<BTreeMap<String, i64>>")]
    pub config: Option<At<toml::Table>>,
    /// `any`: the seed draws what `config` leaves open, half of it at a time.
    pub settings: Option<RawSettings>,
    /// It seeks to and fro, asks for its positions, and closes now and then.
    #[serde(default)]
    pub wanders: bool,
    /// Where it goes when its position is outside of the log; `any`: the seed decides.
    pub reset: Option<RawReset>,
    /// Whether the seed may leave the consumer out.
    #[serde(default)]
    pub optional: bool,
}

/// Consumers that share topics.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawGroup {
    pub topics: At<Vec<At<String>>>,
    /// How many members it has.
    #[schemars(range(min = 1, max = 64))]
    pub consumers: Option<At<i64>>,
    /// Streams a topic of each member.
    #[schemars(range(min = 1, max = 16))]
    pub streams: Option<At<i64>>,
    /// Who shares the partitions out: `zookeeper` (the members themselves, through it).
    pub coordination: Option<At<String>>,
    pub commit: Option<Commit>,
    /// How often `commit = "auto"` commits: `500ms`.
    #[serde(rename = "commit-interval")]
    pub commit_interval: Option<At<String>>,
    /// After how many records `commit = "manual"` commits.
    #[serde(rename = "commit-records")]
    #[schemars(range(min = 1, max = 10_000))]
    pub commit_records: Option<At<i64>>,
    pub finish: Option<Finish>,
    /// Where it begins without a committed offset; `any`: the seed decides.
    pub reset: Option<RawReset>,
    /// How long a record is worked on, at most: `20ms`.
    pub processing: Option<At<String>>,
    /// The timeout of a member's session with ZooKeeper: `4s`.
    pub session: Option<At<String>>,
    /// The members' settings as consumers, by Kafka's names: `"fetch.max.bytes"` and so on.
    #[schemars(with = "Option<BTreeMap<String, i64>>")]
    pub config: Option<At<toml::Table>>,
    /// What the built-in application does: `records-at-once` and so on.
    #[schemars(with = "Option<BTreeMap<String, i64>>")]
    pub habits: Option<At<toml::Table>>,
    /// `any`: the seed draws what `config` and `habits` leave open, half of it at a time.
    pub settings: Option<RawSettings>,
    /// The name under which an application from outside is registered.
    pub application: Option<String>,
    /// Whether the seed may leave the group out.
    #[serde(default)]
    pub optional: bool,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RawReset {
    Smallest,
    Largest,
    None,
    Any,
}

/// Something that is done: one of `at`, `when` and `after` says when.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawStep {
    /// This long after the storm began: `4s`.
    pub at: Option<At<String>>,
    /// When this happens: `acked orders-0 17`, `3rd rebalanced billing`.
    pub when: Option<At<String>>,
    /// After an earlier step, or after something happened: `old + 2s`, `acked orders-0 17 + 200ms`.
    pub after: Option<At<String>>,
    /// What is done, and to whom: `power-fail leader(orders-0)`.
    #[serde(rename = "do")]
    pub action: At<String>,
    /// What later steps call whom this one struck.
    #[serde(rename = "as")]
    pub name: Option<At<String>>,
}

/// Faults that the seed draws, by class. A seed leaves each class out with one chance in two.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawChaos {
    #[serde(default)]
    pub process: At<RawMix>,
    #[serde(default)]
    pub network: At<RawMix>,
    #[serde(default)]
    pub disk: At<RawMix>,
    #[serde(default)]
    pub clock: At<RawMix>,
    #[serde(default)]
    pub zookeeper: At<RawMix>,
    #[serde(default)]
    pub clients: At<RawMix>,
    /// `any`: the seed draws another level of each class now and then, and other weights of its kinds.
    pub settings: Option<RawSettings>,
    /// Of the faults that the seed draws only these strike, by number.
    pub only: Option<At<Vec<u64>>>,
    /// The share of the seeds, in percent, whose drawn faults may go over budget. Left out: 0.
    #[serde(rename = "over-budget-percent")]
    #[schemars(range(min = 0, max = 100))]
    pub over_budget_percent: Option<At<i64>>,
}

impl<T: Default> Default for At<T> {
    fn default() -> At<T> {
        At(Spanned::new(0..0, T::default()))
    }
}

/// A level, or a level with the kinds of faults that are drawn.
#[derive(Clone, Debug, Default)]
pub struct RawMix {
    pub level: Level,
    pub only: Option<Vec<At<String>>>,
    pub weights: Option<BTreeMap<At<String>, At<i64>>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MixTable {
    level: Level,
    /// Only these kinds of faults, with their usual weights.
    only: Option<Vec<At<String>>>,
    /// Only these kinds of faults, with these weights.
    weights: Option<BTreeMap<At<String>, At<i64>>>,
}

impl<'de> Deserialize<'de> for RawMix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawMix, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = RawMix;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a level or `{ level = \"light\", only = [\"kill\"] }`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<RawMix, E> {
                let level = Level::deserialize(StrDeserializer::<E>::new(text))?;
                Ok(RawMix { level, ..RawMix::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawMix, A::Error> {
                let MixTable { level, only, weights } =
                    MixTable::deserialize(MapAccessDeserializer::new(map))?;
                Ok(RawMix { level, only, weights })
            }
        }
        deserializer.deserialize_any(Form)
    }
}

impl JsonSchema for RawMix {
    fn schema_name() -> Cow<'static, str> {
        "Mix".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (level, table) = (generator.subschema_for::<Level>(), generator.subschema_for::<MixTable>());
        json_schema!({ "anyOf": [level, table] })
    }
}

/// What must hold besides every check.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawExpect {
    /// What must have happened; else the run was vacuous.
    #[serde(default)]
    pub happens: Vec<At<String>>,
    /// Marks: rare things that the code must have met; else the run was vacuous.
    #[serde(default)]
    pub meets: Vec<At<String>>,
    /// What must come true in time: `"writable orders-0" = "8s after old"`.
    #[serde(default)]
    pub within: BTreeMap<At<String>, At<String>>,
    /// Checks that this scenario may fail.
    #[serde(default)]
    pub except: Vec<At<String>>,
    /// Rules that the scenario needs.
    #[serde(default)]
    pub without: Vec<RawWithout>,
}

/// With the rule suspended, a seed of this scenario must violate the check.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawWithout {
    pub rule: At<String>,
    pub violates: At<String>,
}

fn acks_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": [0, 1, -1, "0", "1", "-1", "all"] })
}

fn seed_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["integer", "string"], "pattern": "^(0x[0-9a-fA-F]{1,16}|[0-9]{1,20})$" })
}
