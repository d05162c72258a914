//! The names that a file gives, and whether what refers to them means something that is there.

use std::collections::{BTreeMap, BTreeSet};

use seedlog::types::TopicPartition;

use super::group::Group;
use super::happening::Happening;
use super::selector::Selector;
use super::within::{Condition, Since};
use super::{PARTITIONS_MAX, Topic, words};
use crate::cluster::ZOOKEEPER;

/// Everything in a file that has a name.
#[derive(Default)]
pub struct Scope {
    pub brokers: Option<u32>,
    /// With their partitions, where the file says how many.
    topics: BTreeMap<String, Option<u32>>,
    /// Those of them that not every seed has.
    optional: BTreeSet<String>,
    /// Producers and consumers.
    clients: BTreeSet<String>,
    /// With their members, as many as there may be.
    groups: BTreeMap<String, Vec<String>>,
    /// Names of steps, and whether one comes later.
    earlier: BTreeSet<String>,
    steps: BTreeSet<String>,
}

type Meant = Result<(), String>;

impl Scope {
    pub fn add_topics(&mut self, topics: &BTreeMap<String, Topic>) {
        self.topics.extend(topics.iter().map(|(name, topic)| (name.clone(), topic.partitions)));
        let optional = topics.iter().filter(|(_, topic)| topic.is_optional);
        self.optional.extend(optional.map(|(name, _)| name.clone()));
    }

    /// A producer or consumer.
    pub fn add_client(&mut self, name: &str) -> Meant {
        if self.nodes().any(|node| node == name) || !self.clients.insert(name.to_owned()) {
            return Err(format!("`{name}` is the name of another node already"));
        }
        Ok(())
    }

    pub fn add_group(&mut self, name: &str, group: &Group) -> Meant {
        let members = group.members_max(name);
        if let Some(taken) = members.iter().find(|member| self.nodes().any(|node| node == *member)) {
            return Err(format!(
                "`{name}` would have a member `{taken}`, which is the name of another node already"
            ));
        }
        self.groups.insert(name.to_owned(), members);
        Ok(())
    }

    /// Every step's name, before the first of them is read.
    pub fn add_steps<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        self.steps.extend(names.map(str::to_owned));
    }

    /// The next step may refer to this one.
    pub fn pass_step(&mut self, name: &str) {
        self.earlier.insert(name.to_owned());
    }

    pub fn topic(&self, name: &str) -> Meant {
        if self.topics.contains_key(name) {
            return Ok(());
        }
        let hint = words::did_you_mean(name, self.topics.keys().map(String::as_str));
        let hint = if hint.is_empty() { format!("; add [topics.{name}]") } else { hint };
        Err(format!("`{name}` is no topic of this file{hint}"))
    }

    /// Whether the seed may leave the topic out.
    pub fn is_optional(&self, topic: &str) -> bool {
        self.optional.contains(topic)
    }

    pub fn group(&self, name: &str) -> Meant {
        if self.groups.contains_key(name) {
            return Ok(());
        }
        let hint = words::did_you_mean(name, self.groups.keys().map(String::as_str));
        Err(format!("`{name}` is no group of this file{hint}"))
    }

    pub fn partition(&self, partition: &TopicPartition) -> Meant {
        self.topic(&partition.topic)?;
        if self.is_optional(&partition.topic) {
            let topic = &partition.topic;
            return Err(format!("`{partition}` is not there for every seed: `{topic}` is optional"));
        }
        let counted = self.topics[&*partition.topic];
        let index = partition.partition.unsigned_abs();
        match counted {
            Some(count) if index >= count => {
                let plural = if count == 1 {
                    "partition, `-0`".into()
                } else {
                    format!("partitions, `-0` to `-{}`", count - 1)
                };
                Err(format!("`{partition}` is not there: `{}` has {count} {plural}", partition.topic))
            }
            None if index > 0 && index < PARTITIONS_MAX => Err(format!(
                "`{partition}` is not there for every seed; say `partitions` in [topics.{}]",
                partition.topic
            )),
            _ => Ok(()),
        }
    }

    /// Whether everyone whom the selector names is there.
    pub fn selector(&self, selector: &Selector) -> Meant {
        match selector {
            Selector::Broker(id) => self.broker(id.0.unsigned_abs(), &selector.to_string()),
            Selector::Leader(partition) => self.partition(partition),
            Selector::Owner { group, partition } => {
                self.group(group).and_then(|()| self.partition(partition))
            }
            Selector::Member(group) | Selector::Group(group) => self.group(group),
            Selector::List(selectors) => selectors.iter().try_for_each(|one| self.selector(one)),
            Selector::Named(name) => self.node_or_step(name),
            Selector::Minority if self.brokers.is_some_and(|brokers| brokers < 3) => {
                Err("`minority` is nobody with fewer than 3 brokers".to_owned())
            }
            Selector::Brokers
            | Selector::Clients
            | Selector::ZooKeeper
            | Selector::Any
            | Selector::Minority => Ok(()),
        }
    }

    /// A step that fires before the one which refers to it.
    pub fn earlier_step(&self, name: &str) -> Meant {
        if self.earlier.contains(name) {
            return Ok(());
        }
        if self.steps.contains(name) {
            return Err(format!("`{name}` is the name of a later step; steps refer to earlier ones"));
        }
        let hint = words::did_you_mean(name, self.earlier.iter().map(String::as_str));
        let hint = if hint.is_empty() { format!("; name one with `as = \"{name}\"`") } else { hint };
        Err(format!("`{name}` is the name of no earlier step{hint}"))
    }

    /// Whether everything that the happening names is there.
    pub fn happening(&self, happening: &Happening) -> Meant {
        happening.subjects().iter().try_for_each(|subject| self.subject(subject))
    }

    pub fn condition(&self, condition: &Condition) -> Meant {
        match condition {
            Condition::Writable(partition) | Condition::Readable(partition) => self.partition(partition),
            Condition::Rebalanced(group) => self.group(group),
            Condition::CaughtUp(who) if self.clients.contains(who) => Ok(()),
            Condition::CaughtUp(who) => self.group(who),
            Condition::Happens(happening) => self.happening(happening),
        }
    }

    /// When a time limit begins. Steps are all known by then.
    pub fn since(&self, since: &Since) -> Meant {
        match since {
            Since::Step(name) if self.steps.contains(name) => Ok(()),
            Since::Step(name) => {
                let hint = words::did_you_mean(name, self.steps.iter().map(String::as_str));
                Err(format!("`{name}` is neither the name of a step nor anything that can happen{hint}"))
            }
            Since::Happening(happening) => self.happening(happening),
            Since::Heal => Ok(()),
        }
    }

    fn subject(&self, subject: &str) -> Meant {
        if let Some(partition) = super::selector::partition(subject)
            && self.topics.contains_key(&*partition.topic)
        {
            return self.partition(&partition);
        }
        if let Some(id) = subject.strip_prefix("broker-").and_then(|id| id.parse().ok()) {
            return self.broker(id, subject);
        }
        let is_known = subject == ZOOKEEPER
            || self.topics.contains_key(subject)
            || self.groups.contains_key(subject)
            || self.nodes().any(|node| node == subject);
        if is_known {
            return Ok(());
        }
        let partitions: Vec<String> = self.topics.keys().map(|topic| format!("{topic}-0")).collect();
        let names = self.topics.keys().chain(self.groups.keys()).map(String::as_str);
        let names = names.chain(self.nodes()).chain(partitions.iter().map(String::as_str));
        let hint = words::did_you_mean(subject, names.chain(["broker-1", ZOOKEEPER]));
        Err(format!("`{subject}` is no node, client, group, topic or partition of this file{hint}"))
    }

    fn node_or_step(&self, name: &str) -> Meant {
        let is_known = self.earlier.contains(name) || self.nodes().any(|node| node == name);
        if is_known {
            return Ok(());
        }
        if self.groups.contains_key(name) {
            return Err(format!("`{name}` is a group; write `group({name})` or `member({name})`"));
        }
        if self.steps.contains(name) {
            return self.earlier_step(name);
        }
        let names = self.earlier.iter().map(String::as_str).chain(self.nodes());
        let hint = words::did_you_mean(name, names.chain(super::selector::WORDS.iter().copied()));
        Err(format!("`{name}` is neither a client nor an earlier step{hint}"))
    }

    fn broker(&self, id: u32, written: &str) -> Meant {
        match self.brokers {
            Some(1) if id > 1 => Err(format!("`{written}` is not there: there is 1 broker")),
            Some(brokers) if id > brokers || id == 0 => {
                Err(format!("`{written}` is not there: there are {brokers} brokers, 1 to {brokers}"))
            }
            None if id > 1 => {
                Err(format!("`{written}` is not there for every seed; say `brokers` in [cluster]"))
            }
            _ => Ok(()),
        }
    }

    /// Producers, consumers and members of groups.
    fn nodes(&self) -> impl Iterator<Item = &str> {
        self.clients.iter().chain(self.groups.values().flatten()).map(String::as_str)
    }
}
