//! What a plan promises: what the checks may rely on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use seedlog::types::{Durability, TopicPartition};

use super::{ConsumerPlan, Plan, ProducerPlan, TopicPlan};
use crate::checkers::{ConsumerTerms, GroupTerms, Membership, Patience, ProducerTerms, Terms, TopicTerms};
use crate::cluster::AUDITOR;
use crate::scenario::Commit;
use crate::scenario::group::GroupPlan;
use crate::scenario::settings::{DELIVERY_TIMEOUT, Settings};

impl Plan {
    /// What the checks may rely on.
    pub fn terms(&self) -> Terms {
        let topic = |t: &TopicPlan| TopicTerms {
            durability: t.durability,
            partitions: t.partitions,
            replicas: 1,
            flush_interval: t
                .config
                .get("flush.ms")
                .and_then(|ms| ms.parse().ok())
                .map(Duration::from_millis),
            exposes_flushed: t.durability == Durability::Fsync || self.exposes_flushed(t),
        };
        let producer = |p: &ProducerPlan| ProducerTerms {
            acks: p.acks,
            may_overtake: false,
            gives_up: p.gives_up(),
            keyed: p.keyed,
            follows_keys: !p.config.contains_key("partitioner"),
            is_refusable: self.refuses_some(),
            is_wire: p.is_wire,
            delivery_timeout: p.delivery_timeout,
        };
        let consumer = |c: &ConsumerPlan| ConsumerTerms { reset: c.reset, wanders: c.wanders };
        Terms {
            topics: self.topics.iter().map(|(name, t)| (Arc::from(name.as_str()), topic(t))).collect(),
            producers: self.producers.iter().map(|(name, p)| (name.clone(), producer(p))).collect(),
            groups: self.groups.iter().map(|(name, group)| (name.clone(), self.group_terms(group))).collect(),
            memberships: self.memberships(),
            left_dead: self.left_dead().cloned(),
            consumers: self.consumers.iter().map(|(name, c)| (name.clone(), consumer(c))).collect(),
            assigned: self.assigned(),
            patience: self.patience(),
        }
    }

    /// Whether some topic may refuse a record for good. Producers stray to all of them.
    fn refuses_some(&self) -> bool {
        let is_bound = |key: &str| {
            let of_times = key.contains("message.timestamp.") && key.ends_with(".max.ms");
            of_times || key == "max.message.bytes"
        };
        let of_topics = self.topics.values().flat_map(|topic| topic.config.keys());
        of_topics.map(String::as_str).any(is_bound)
            || self.broker_config.keys().any(|key| is_bound(key) || key == "message.max.bytes")
    }

    fn assigned(&self) -> BTreeMap<String, Vec<TopicPartition>> {
        let assigned = self.consumers.iter();
        let assigned = assigned.map(|(name, c)| (name.clone(), self.partitions_of(c.topics.iter())));
        let everything = self.partitions_of(self.topics.keys());
        assigned.chain([(AUDITOR.to_owned(), everything)]).collect()
    }

    fn exposes_flushed(&self, topic: &TopicPlan) -> bool {
        let of_broker = self.broker_config.get("expose").and_then(toml::Value::as_str);
        topic.config.get("expose").map(String::as_str).or(of_broker) == Some("flushed")
    }

    /// The longest that anybody in the run waits.
    fn patience(&self) -> Patience {
        let usual = Patience::default();
        let told = |settings: &Settings| {
            let wait =
                |key: &str| Duration::from_millis(settings.get(key).map_or(0, |ms| ms.cast_unsigned()));
            wait("request.timeout.ms").max(usual.request)
                + wait("fetch.max.wait.ms")
                + wait("retry.backoff.ms")
        };
        let producers = self.producers.values().map(|producer| &producer.config);
        let consumers = self.consumers.values().map(|consumer| &consumer.config);
        let groups = self.groups.values().map(|group| &group.config);
        let of_broker =
            self.broker_config.get("zookeeper.session.timeout.ms").and_then(toml::Value::as_integer);
        let of_broker = of_broker.map(|ms| Duration::from_millis(ms.cast_unsigned()));
        let sessions = self.groups.values().map(|group| group.session).chain(of_broker);
        let rebalance = |group: &GroupPlan| group.rebalance_backoff * group.rebalance_tries;
        let delivery = self.producers.values().map(|producer| producer.delivery_timeout);
        Patience {
            request: producers.chain(consumers).chain(groups).map(told).max().unwrap_or(usual.request),
            session: sessions.max().unwrap_or(usual.session),
            // The testbed's own producers, which send in every run, are never told otherwise.
            delivery: delivery.fold(DELIVERY_TIMEOUT, Duration::max),
            rebalance: self.groups.values().map(rebalance).max().unwrap_or_default(),
        }
    }

    fn group_terms(&self, group: &GroupPlan) -> GroupTerms {
        let longest = group.members.values().map(|member| member.processing).max();
        GroupTerms {
            session_timeout: group.session.min(self.session_max.unwrap_or(group.session)),
            processing: longest.unwrap_or_default(),
            reset: group.reset,
            auto_commit: (group.commit == Commit::Auto).then_some(group.commit_interval),
        }
    }

    fn memberships(&self) -> BTreeMap<String, Membership> {
        self.groups.iter().map(|(name, group)| (name.clone(), self.membership(group))).collect()
    }

    fn membership(&self, group: &GroupPlan) -> Membership {
        let is_left = |name: &&String| Some(*name) != self.left_dead();
        Membership {
            members: group.members.keys().filter(is_left).cloned().collect(),
            partitions: self.partitions_of(group.topics.iter()).into_iter().collect(),
            reads_everything: group.reads_everything(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    fn delivery(settings: &str) -> Duration {
        let head = "format = 1\nstory = \"s\"\n[cluster]\nbrokers = 1\n";
        let text = format!("{head}[topics.orders]\n[producers.shop]\ntopic = \"orders\"\n{settings}");
        Plan::new(&Scenario::parse("s", "scenarios/s.toml", &text).unwrap(), 1).terms().patience.delivery
    }

    #[test]
    fn the_longest_that_a_producer_may_hold_a_record_is_waited_for() {
        let told = |millis: u64| delivery(&format!("config = {{ \"delivery.timeout.ms\" = {millis} }}\n"));
        assert_eq!(told(45_000), Duration::from_secs(45));
        assert_eq!(delivery(""), DELIVERY_TIMEOUT);
        assert_eq!(told(1_000), DELIVERY_TIMEOUT, "the testbed's own have no less");
    }
}
