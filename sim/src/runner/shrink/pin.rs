//! What a seed drew, written down: topology, settings and workload of a run as keys of its scenario.

use std::time::Duration;

use seedlog::consumer::AutoReset;
use seedlog::record::Compression;
use seedlog::types::Acks;
use toml::Value;

use super::literal::duration;
use crate::scenario::group::GroupPlan;
use crate::scenario::plan::ProducerPlan;
use crate::scenario::{Commit, Created, Document, Finish, Plan, REBALANCING, Settings};

/// One key to write down.
#[derive(Clone, Debug)]
pub struct Pin {
    path: Vec<String>,
    value: Value,
}

impl Pin {
    fn new(path: &[&str], value: impl Into<Value>) -> Pin {
        Pin { path: path.iter().map(|key| (*key).to_owned()).collect(), value: value.into() }
    }

    /// Whether the document leaves this open.
    pub fn is_open_in(&self, document: &Document) -> bool {
        match document.get(&self.keys()) {
            None => true,
            Some(value) => value.as_str() == Some("any"),
        }
    }

    pub fn set_in(&self, document: &mut Document) {
        document.set(&self.keys(), self.value.clone());
    }

    fn keys(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }
}

/// Everything that the plan decided and the format has a key for.
pub fn pins(plan: &Plan) -> Vec<Pin> {
    let mut pins = vec![Pin::new(&["cluster", "brokers"], i64::from(plan.brokers))];
    for (key, value) in &plan.broker_config {
        pins.push(Pin::new(&["cluster", "config", key], value.clone()));
    }
    for (name, topic) in &plan.topics {
        pins.push(Pin::new(&["topics", name, "partitions"], i64::from(topic.partitions)));
        for (key, value) in &topic.config {
            pins.push(Pin::new(&["topics", name, "config", key], value.clone()));
        }
        let created = match topic.created {
            Created::BeforeTheStorm | Created::Any => continue,
            Created::InTheStorm(after) => duration(after),
            Created::AtARebalance(after) => format!("{}{REBALANCING}", duration(after)),
            Created::Healing => "healing".to_owned(),
            Created::Healed => "healed".to_owned(),
        };
        pins.push(Pin::new(&["topics", name, "created"], created));
    }
    for (name, producer) in &plan.producers {
        pin_producer(&mut pins, name, producer);
        pin_settings(&mut pins, &["producers", name, "config"], &producer.config);
        pin_settings(&mut pins, &["producers", name, "habits"], &producer.habits);
    }
    for (name, consumer) in &plan.consumers {
        pins.push(Pin::new(&["consumers", name, "reset"], reset_word(consumer.reset)));
        pin_settings(&mut pins, &["consumers", name, "config"], &consumer.config);
    }
    for (name, group) in &plan.groups {
        pin_group(&mut pins, name, group);
        pin_settings(&mut pins, &["groups", name, "config"], &group.config);
        pin_settings(&mut pins, &["groups", name, "habits"], &group.habits);
    }
    pins
}

fn pin_settings(pins: &mut Vec<Pin>, path: &[&str], settings: &Settings) {
    for (key, value) in settings {
        pins.push(Pin::new(&[path, &[key.as_str()]].concat(), *value));
    }
}

fn reset_word(reset: AutoReset) -> &'static str {
    match reset {
        AutoReset::Earliest => "smallest",
        AutoReset::Latest => "largest",
        AutoReset::None => "none",
    }
}

fn pin_producer(pins: &mut Vec<Pin>, name: &str, producer: &ProducerPlan) {
    let mut pin = |key: &str, value: Value| pins.push(Pin::new(&["producers", name, key], value));
    pin("records", Value::Integer(producer.records as i64));
    if let Some(rate) = rate(producer.interval) {
        pin("rate", Value::String(rate));
    }
    let acks = match producer.acks {
        Acks::None => "0",
        Acks::Leader => "1",
        Acks::All => "all",
    };
    pin("acks", Value::String(acks.into()));
    pin("linger", Value::String(duration(producer.linger)));
    pin("value-bytes", Value::Integer(producer.value_bytes as i64));
    pin("keyed", Value::Boolean(producer.keyed));
    let codec = match producer.compression {
        Compression::None => "none",
        Compression::Gzip => "gzip",
        Compression::Snappy => "snappy",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
    };
    pin("compression", Value::String(codec.into()));
}

fn pin_group(pins: &mut Vec<Pin>, name: &str, group: &GroupPlan) {
    let mut pin = |key: &str, value: Value| pins.push(Pin::new(&["groups", name, key], value));
    pin("consumers", Value::Integer(group.members.len() as i64));
    let streams = group.members.values().map(|member| member.streams).max().unwrap_or(1);
    pin("streams", Value::Integer(streams.into()));
    let processing = group.members.values().map(|member| member.processing).max().unwrap_or_default();
    pin("processing", Value::String(duration(processing)));
    pin("session", Value::String(duration(group.session)));
    let commit = match group.commit {
        Commit::Auto => "auto",
        Commit::Manual => "manual",
        Commit::BeforeProcessing => "before-processing",
    };
    pin("commit", Value::String(commit.into()));
    let finish = match group.finish {
        Finish::OnNext => "on-next",
        Finish::Explicit => "explicit",
    };
    pin("finish", Value::String(finish.into()));
    pin("reset", Value::String(reset_word(group.reset).into()));
}

/// The rate whose interval this is.
fn rate(interval: Duration) -> Option<String> {
    let micros = interval.as_micros() as u64;
    (1..=1000_u64).find(|per_second| 1_000_000 / per_second == micros).map(|n| format!("{n}/s"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;
    use crate::scenario::library::built_in_sweep;

    #[test]
    fn a_pinned_scenario_has_the_plan_that_its_seed_drew() {
        let sweep = built_in_sweep();
        for seed in 0..50 {
            let plan = Plan::new(&sweep, seed);
            let mut document = Document::of(&sweep.text).unwrap();
            let open: Vec<Pin> = pins(&plan).into_iter().filter(|pin| pin.is_open_in(&document)).collect();
            assert!(!open.is_empty());
            open.iter().for_each(|pin| pin.set_in(&mut document));
            let pinned = Scenario::parse("sweep", "pinned", &document.text()).unwrap();
            let again = Plan::new(&pinned, seed);
            assert_eq!(format!("{:?}", again.topics), format!("{:?}", plan.topics));
            assert_eq!(format!("{:?}", again.producers), format!("{:?}", plan.producers));
            assert_eq!(again.broker_config, plan.broker_config);
        }
    }
}
