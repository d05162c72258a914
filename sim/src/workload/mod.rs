//! What clients do: produce unique records at a rate, read every partition, probe and audit in the end.
//!
//! Producers and consumers state their own facts; nothing is judged here.

mod client;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use seedlog::runtime::sim::identity::NodeId;
use seedlog::runtime::sim::world;
use seedlog::types::TopicPartition;

use crate::cluster::{ADMIN, AUDITOR, PROBE};
use crate::scenario::Plan;

/// What clients tell the testbed, and the other way round. Everything runs on the seed's one thread.
#[derive(Default)]
pub struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    topics_made: bool,
    finished: BTreeSet<String>,
    trouble: Vec<String>,
}

impl Shared {
    pub fn topics_made(&self) -> bool {
        self.state.lock().expect("never held over a panic").topics_made
    }

    /// Whether the client has handed over all that it was to.
    pub fn has_finished(&self, client: &str) -> bool {
        self.state.lock().expect("never held over a panic").finished.contains(client)
    }

    /// What clients could not do; for the report.
    pub fn trouble(&self) -> Vec<String> {
        self.state.lock().expect("never held over a panic").trouble.clone()
    }

    fn set_topics_made(&self) {
        self.state.lock().expect("never held over a panic").topics_made = true;
    }

    fn finish(&self, client: &str) {
        self.state.lock().expect("never held over a panic").finished.insert(client.to_owned());
    }

    /// Troubles kept; the first ones tell.
    const TROUBLES_MAX: usize = 20;

    fn report(&self, trouble: String) {
        let mut state = self.state.lock().expect("never held over a panic");
        if state.trouble.len() < Shared::TROUBLES_MAX {
            state.trouble.push(trouble);
        }
    }
}

/// Adds a node for every client of the plan, and the testbed's own three.
pub fn add_clients(
    plan: &Plan,
    bootstrap: &[String],
    shared: &Arc<Shared>,
    mut added: impl FnMut(&str, NodeId),
) {
    let context = |name: &str| client::Context {
        name: name.to_owned(),
        bootstrap: bootstrap.to_vec(),
        shared: Arc::clone(shared),
    };
    let topics: Arc<_> = Arc::new(plan.topics.clone());
    let (admin, made) = (context(ADMIN), Arc::clone(&topics));
    added(ADMIN, world::add_node(ADMIN, move || client::make_topics(admin.clone(), Arc::clone(&made))));
    for (name, producer) in &plan.producers {
        let (context, producer) = (context(name), producer.clone());
        added(name, world::add_node(name, move || client::produce(context.clone(), producer.clone())));
    }
    for (name, topics) in &plan.consumers {
        let (context, partitions) = (context(name), partitions_of(plan, topics.iter()));
        added(name, world::add_node(name, move || client::consume(context.clone(), partitions.clone())));
    }
    let everything = partitions_of(plan, plan.topics.keys());
    let (probe, probed) = (context(PROBE), everything.clone());
    added(PROBE, world::add_node(PROBE, move || client::probe(probe.clone(), probed.clone())));
    let auditor = context(AUDITOR);
    added(AUDITOR, world::add_node(AUDITOR, move || client::consume(auditor.clone(), everything.clone())));
}

/// Every partition of these topics.
pub fn partitions_of<'a>(plan: &Plan, topics: impl Iterator<Item = &'a String>) -> Vec<TopicPartition> {
    let partitions = topics.flat_map(|topic| {
        let count = plan.topics[topic].partitions as i32;
        (0..count).map(move |partition| TopicPartition::new(topic.as_str(), partition))
    });
    partitions.collect()
}
