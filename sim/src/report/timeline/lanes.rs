//! Which lanes there are, and in what order: who writes, who reads, who stores, who coordinates, who helps.
//!
//! Pure. A node's part is told by what it states; one that states nothing is a client.

use std::collections::BTreeMap;
use std::sync::Arc;

use seedlog::facts::Fact;
use seedlog::runtime::sim::net::messages::Message;
use serde::Serialize;

use crate::cluster::{ADMIN, AUDITOR, MONITOR, OPERATOR, PROBE, VISITOR, ZOOKEEPER};
use crate::history::{Entry, What, broker_of_node};

/// One horizontal strip of the picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lane {
    /// The node's name.
    pub name: String,
    /// The name for people.
    pub label: String,
    pub kind: Part,
    /// The group of a member.
    pub group: Option<String>,
}

/// What a lane's node does; lanes are ordered by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    Producer,
    Member,
    Consumer,
    Client,
    Broker,
    /// The disk of the broker above it.
    Disk,
    Zookeeper,
    /// A client of the testbed's own.
    Helper,
}

pub struct Lanes {
    lanes: Vec<Lane>,
    nodes: BTreeMap<Arc<str>, usize>,
    disks: BTreeMap<Arc<str>, usize>,
}

impl Lanes {
    pub fn of(history: &[Entry], messages: &[Message]) -> Lanes {
        let mut parts: BTreeMap<Arc<str>, (Part, Option<String>)> = BTreeMap::new();
        let mut see = |node: &Arc<str>, part: Part, group: Option<&String>| {
            let known = parts.entry(Arc::clone(node)).or_insert((Part::Client, None));
            if known.0 == Part::Client || group.is_some() {
                *known = (part, group.cloned().or_else(|| known.1.take()));
            }
        };
        for entry in history {
            match &entry.what {
                What::Phase(_) | What::Seen(_) => {}
                What::Fault(fault) => {
                    fault.targets().into_iter().for_each(|target| see(target, by_name(target), None));
                }
                What::Fact(fact) => match by_name(&entry.node) {
                    Part::Client => match fact {
                        Fact::GroupJoined { group, .. } => see(&entry.node, Part::Member, Some(group)),
                        Fact::SendInvoked { .. } => see(&entry.node, Part::Producer, None),
                        fact if fact.consumer().is_some() => see(&entry.node, Part::Consumer, None),
                        _ => see(&entry.node, Part::Client, None),
                    },
                    part => see(&entry.node, part, None),
                },
            }
        }
        for message in messages {
            for node in [&message.from, &message.to] {
                if !node.is_empty() && &**node != "testbed" {
                    see(node, by_name(node), None);
                }
            }
        }
        Lanes::ordered(parts)
    }

    fn ordered(parts: BTreeMap<Arc<str>, (Part, Option<String>)>) -> Lanes {
        let mut nodes: Vec<_> = parts.into_iter().collect();
        nodes.sort_by_key(|(name, (part, group))| {
            // broker-2 before broker-10.
            (*part, group.clone(), number_at_end(name), Arc::clone(name))
        });
        let mut lanes = Lanes { lanes: Vec::new(), nodes: BTreeMap::new(), disks: BTreeMap::new() };
        for (name, (kind, group)) in nodes {
            let label = broker_of_node(&name).map_or_else(|| name.to_string(), |id| format!("broker {id}"));
            lanes.nodes.insert(Arc::clone(&name), lanes.lanes.len());
            lanes.lanes.push(Lane { name: name.to_string(), label, kind, group });
            if kind == Part::Broker {
                lanes.disks.insert(Arc::clone(&name), lanes.lanes.len());
                let label = "disk".to_owned();
                lanes.lanes.push(Lane { name: name.to_string(), label, kind: Part::Disk, group: None });
            }
        }
        lanes
    }

    pub fn node(&self, name: &str) -> Option<usize> {
        self.nodes.get(name).copied()
    }

    /// The lane of the node's disk, or the node's own if it has none.
    pub fn disk(&self, name: &str) -> Option<usize> {
        self.disks.get(name).copied().or_else(|| self.node(name))
    }

    pub fn finish(self) -> Vec<Lane> {
        self.lanes
    }
}

fn by_name(node: &str) -> Part {
    match node {
        ADMIN | MONITOR | OPERATOR | PROBE | VISITOR | AUDITOR | "testbed" => Part::Helper,
        _ if node.starts_with(ZOOKEEPER) => Part::Zookeeper,
        _ if broker_of_node(node).is_some() => Part::Broker,
        _ => Part::Client,
    }
}

fn number_at_end(name: &str) -> u64 {
    let digits = name.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}
