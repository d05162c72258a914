//! What clients do: produce unique records at a rate, read every partition, probe and audit in the end.
//!
//! Producers and consumers state their own facts; nothing is judged here.

mod client;
mod consume;
mod member;
mod operator;
mod produce;
mod shared;
mod tinkerer;
mod visitor;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use seedlog::consumer::AutoReset;
use seedlog::runtime::sim::identity::NodeId;
use seedlog::runtime::sim::world;
use seedlog::types::{BrokerId, TopicPartition};

use crate::app::{Applications, Place};
use crate::cluster::{ADMIN, AUDITOR, OPERATOR, PROBE, TINKERER, VISITOR};
use crate::scenario::plan::ConsumerPlan;
use crate::scenario::{Created, Plan, Settings};

pub use shared::{Pace, Shared, Slip};

/// A slow auditor takes so many records at a time, and works on them for so long: its partitions have to take turns.
pub const AUDITED_AT_A_TIME: u64 = 4;
const AUDITED_IN: Duration = Duration::from_millis(20);

fn auditors_settings() -> Settings {
    Settings::from([("max.poll.records".to_owned(), AUDITED_AT_A_TIME.cast_signed())])
}

/// Adds a node for every client of the plan, and the testbed's own.
pub fn add_clients(
    plan: &Plan,
    servers: &Servers,
    shared: &Arc<Shared>,
    mut added: impl FnMut(&str, NodeId),
) {
    let context = |name: &str| client::Context {
        name: name.to_owned(),
        bootstrap: servers.brokers.clone(),
        shared: Arc::clone(shared),
    };
    let topics: Arc<_> = Arc::new(plan.topics.clone());
    let (admin, made) = (context(ADMIN), Arc::clone(&topics));
    added(ADMIN, world::add_node(ADMIN, move || client::make_topics(admin.clone(), Arc::clone(&made))));
    for (name, producer) in &plan.producers {
        let (context, producer) = (context(name), producer.clone());
        let node = if producer.is_wire {
            let partitions = plan.topics[&producer.topic].partitions;
            let is_stamped = plan.stamped_by_brokers().any(|topic| *topic == *producer.topic);
            let produce = move || wire::produce(context.clone(), producer.clone(), partitions, is_stamped);
            world::add_node(name, produce)
        } else {
            world::add_node(name, move || produce::produce(context.clone(), producer.clone()))
        };
        added(name, node);
    }
    let reader = |name: &str, partitions: Vec<TopicPartition>, consumer: ConsumerPlan| {
        let context = context(name);
        world::add_node(name, move || consume::consume(context.clone(), partitions.clone(), consumer.clone()))
    };
    for (name, consumer) in &plan.consumers {
        let partitions = plan.partitions_of(consumer.topics.iter());
        added(name, reader(name, partitions, consumer.clone()));
    }
    let everything = plan.partitions_of(plan.topics.keys());
    let are_there = plan.topics.iter().filter(|(_, topic)| topic.created != Created::Healed);
    let (probe, probed) = (context(PROBE), plan.partitions_of(are_there.map(|(name, _)| name)));
    added(PROBE, world::add_node(PROBE, move || client::probe(probe.clone(), probed.clone())));
    let members =
        plan.groups.iter().map(|(name, group)| (name.clone(), group.members.keys().cloned().collect()));
    let tool = tinkerer::Tool { zookeeper: servers.zookeeper.clone(), members: members.collect() };
    let tinkerer = context(TINKERER);
    added(TINKERER, world::add_node(TINKERER, move || tinkerer::tinker(tinkerer.clone(), tool.clone())));
    let visit = visitor::Visit::of(plan);
    let visitor = context(VISITOR);
    added(VISITOR, world::add_node(VISITOR, move || visitor::visit(visitor.clone(), visit.clone())));
    let (operator, pages) = (context(OPERATOR), servers.pages.clone());
    let site = |(broker, host, port)| operator::Site { broker, host, port };
    let sites: Vec<_> = pages.into_iter().map(site).collect();
    let configs = plan.topics.iter().map(|(name, topic)| (name.clone(), topic.config.clone())).collect();
    let configs = Arc::new(configs);
    let operate = move || operator::operate(operator.clone(), sites.clone(), Arc::clone(&configs));
    added(OPERATOR, world::add_node(OPERATOR, operate));
    // Out of range is possible only over budget, and then everything is read again.
    let plain = ConsumerPlan {
        topics: Vec::new(),
        config: if plan.has_slow_auditor() { auditors_settings() } else { Settings::new() },
        wanders: false,
        reset: AutoReset::Earliest,
        works: if plan.has_slow_auditor() { AUDITED_IN } else { Duration::ZERO },
    };
    added(AUDITOR, reader(AUDITOR, everything, plain));
}

/// Adds a node for every member of every group. An error names an application that nobody registered.
pub fn add_members(
    plan: &Plan,
    applications: &Applications,
    servers: &Servers,
    shared: &Arc<Shared>,
    mut added: impl FnMut(&str, NodeId),
) -> anyhow::Result<()> {
    for (name, group) in &plan.groups {
        let application = applications.of(name, group.application.as_deref()).map_err(anyhow::Error::msg)?;
        let group = Arc::new(group.clone());
        for member in group.members.keys() {
            let place = Place {
                member: member.clone(),
                group: name.clone(),
                plan: Arc::clone(&group),
                bootstrap: servers.brokers.clone(),
                zookeeper: servers.zookeeper.clone(),
                shared: Arc::clone(shared),
            };
            let application = application.clone();
            added(member, world::add_node(member, move || member::live(place.clone(), application.clone())));
        }
    }
    Ok(())
}

/// Where clients connect to: `host:port` each.
pub struct Servers {
    pub brokers: Vec<String>,
    /// Where each broker serves its pages: host and port.
    pub pages: Vec<(BrokerId, String, u16)>,
    pub zookeeper: String,
}

/// `shop-17`, then filler up to `bytes`.
fn unique(producer: &str, number: u64, bytes: u64) -> Bytes {
    let mut value = format!("{producer}-{number}").into_bytes();
    let length = bytes as usize;
    if value.len() + 1 < length {
        value.push(b' ');
        value.resize(length, b'.');
    }
    Bytes::from(value)
}
