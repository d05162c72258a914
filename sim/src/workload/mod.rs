//! What clients do: produce unique records at a rate, read every partition, probe and audit in the end.
//!
//! Producers and consumers state their own facts; nothing is judged here.

mod client;
mod consume;
mod member;
mod monitor;
mod produce;
mod shared;
mod wire;

use std::sync::Arc;

use bytes::Bytes;
use seedlog::consumer::AutoReset;
use seedlog::runtime::sim::identity::NodeId;
use seedlog::runtime::sim::world;
use seedlog::types::{BrokerId, TopicPartition};

use crate::app::{Applications, Place};
use crate::cluster::{ADMIN, AUDITOR, MONITOR, PROBE};
use crate::scenario::plan::ConsumerPlan;
use crate::scenario::{Plan, Settings};

pub use shared::{Pace, Shared};

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
            world::add_node(name, move || wire::produce(context.clone(), producer.clone(), partitions))
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
    let (probe, probed) = (context(PROBE), everything.clone());
    added(PROBE, world::add_node(PROBE, move || client::probe(probe.clone(), probed.clone())));
    let (monitor, pages) = (context(MONITOR), servers.pages.clone());
    let site = |(broker, host, port)| monitor::Site { broker, host, port };
    let sites: Vec<_> = pages.into_iter().map(site).collect();
    let configs = plan.topics.iter().map(|(name, topic)| (name.clone(), topic.config.clone())).collect();
    let configs = Arc::new(configs);
    let watch = move || monitor::watch(monitor.clone(), sites.clone(), Arc::clone(&configs));
    added(MONITOR, world::add_node(MONITOR, watch));
    // Out of range is possible only over budget, and then everything is read again.
    let plain = ConsumerPlan {
        topics: Vec::new(),
        config: Settings::new(),
        wanders: false,
        reset: AutoReset::Earliest,
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
