//! What was promised: the settings under which the verdicts hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use seedlog::consumer::AutoReset;
use seedlog::types::{Acks, Durability, TopicPartition};

/// What was promised: the settings under which the verdicts hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    pub topics: BTreeMap<Arc<str>, TopicTerms>,
    pub producers: BTreeMap<String, ProducerTerms>,
    /// A group that is not named here is held to the default terms.
    pub groups: BTreeMap<String, GroupTerms>,
    /// Who is in each group, and what it reads.
    pub memberships: BTreeMap<String, Membership>,
    /// Consumers that belong to no group.
    pub consumers: BTreeMap<String, ConsumerTerms>,
    /// What consumers that belong to no group have to read in the end, the testbed's own auditor among them.
    pub assigned: BTreeMap<String, Vec<TopicPartition>>,
    pub patience: Patience,
    /// A client that does not come back: nothing is demanded of it once the rest has healed.
    pub left_dead: Option<String>,
}

/// A group as it must be once the cluster has healed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// The members' names, which are their nodes'.
    pub members: BTreeSet<String>,
    pub partitions: BTreeSet<TopicPartition>,
    /// Without a committed offset it begins at the smallest one, so that nothing may be missed.
    pub reads_everything: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicTerms {
    pub durability: Durability,
    pub partitions: u32,
    pub replicas: u32,
    /// What was appended is flushed after this, whether or not anybody waits for it (`flush.ms`).
    pub flush_interval: Option<Duration>,
    /// Readers are told of nothing that is not flushed (`expose = "flushed"`, or `durability = "fsync"`).
    pub exposes_flushed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerTerms {
    pub acks: Acks,
    /// Whether a later request may be on its way while an earlier one may still be sent again.
    pub may_overtake: bool,
    /// Whether it may give a record up before a healed cluster serves it: few retries, or little time.
    pub gives_up: bool,
    /// Whether it may give its records keys.
    pub keyed: bool,
    /// Whether its records go where their keys lead.
    pub follows_keys: bool,
    /// Whether a topic may refuse its records for good, in a healed cluster too: they are larger than the topic takes, or
    /// of another time.
    pub is_refusable: bool,
    /// Whether it speaks the bare protocol and looks at every field of the replies.
    pub is_wire: bool,
    /// From acceptance to verdict, at most.
    pub delivery_timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerTerms {
    /// Where it goes on that does not know where it was.
    pub reset: AutoReset,
    /// It seeks to and fro.
    pub wanders: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupTerms {
    /// Of the members' ZooKeeper sessions, as granted.
    pub session_timeout: Duration,
    /// The longest that the application works on one record.
    pub processing: Duration,
    /// Where a member goes on that does not know where it was.
    pub reset: AutoReset,
    /// How often members commit by themselves, if they do.
    pub auto_commit: Option<Duration>,
}

impl Default for GroupTerms {
    fn default() -> GroupTerms {
        GroupTerms {
            session_timeout: Duration::from_secs(6),
            processing: Duration::ZERO,
            reset: AutoReset::Earliest,
            auto_commit: None,
        }
    }
}

/// What brokers and clients wait for at most, as this run told them: what is known to take time once it has healed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Until a request is given up, and the longest pause before the next one.
    pub request: Duration,
    /// Until ZooKeeper ends the session of a broker or a member that is gone.
    pub session: Duration,
    /// Until a producer gives a record up.
    pub delivery: Duration,
    /// Until a member that could not rebalance tries once more.
    pub rebalance: Duration,
}

impl Default for Patience {
    /// What clients and brokers do that are told nothing.
    fn default() -> Patience {
        Patience {
            request: Duration::from_secs(3),
            session: Duration::from_secs(6),
            delivery: Duration::from_secs(30),
            rebalance: Duration::from_secs(2),
        }
    }
}

impl Patience {
    /// Starting, electing, connecting and reading, with the slowest links and disks that a healed cluster has.
    const WORK: Duration = Duration::from_secs(5);
    /// A request that was under way and the one that finds out what there is instead; the session of who is dead and the
    /// one of who was to take over.
    const TIMES: u32 = 2;

    /// What a healed cluster takes at most until whoever reads has nothing in the way.
    pub fn until_served(&self) -> Duration {
        (self.request + self.session + self.rebalance) * Patience::TIMES + Patience::WORK
    }

    /// As above, for whoever is in no group and asks a broker that stands.
    pub fn until_answered(&self) -> Duration {
        self.request * Patience::TIMES + self.session + Patience::WORK
    }

    /// As `until_served`, until every record that a producer holds has met its fate.
    pub fn until_settled(&self) -> Duration {
        self.until_served() + self.delivery
    }
}

impl Terms {
    pub fn survive_loss_of_cache(&self, partition: &TopicPartition) -> bool {
        self.topics
            .get(&partition.topic)
            .is_none_or(|topic| topic.durability == Durability::Fsync || topic.replicas > 1)
    }

    /// What was promised about the group.
    pub fn group(&self, group: &str) -> GroupTerms {
        self.groups.get(group).copied().unwrap_or_default()
    }

    /// Whether an acknowledgement with `acks` promises the record as long as the run stays in budget. With
    /// one replica there is no fail-over, and the leader's own append is all there is to wait for.
    pub fn ack_promises(&self, partition: &TopicPartition, acks: Acks) -> bool {
        let replicas = self.topics.get(&partition.topic).map_or(1, |topic| topic.replicas);
        match acks {
            Acks::None => false,
            Acks::Leader => replicas == 1,
            Acks::All => true,
        }
    }
}
