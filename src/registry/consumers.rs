//! Consumer groups as they stand under `/consumers`: who is in them, and who owns which partition (P20).
//!
//! Registrations and owner nodes live as long as the session that made them. Offsets are in `offsets`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::brokers::broker_id;
use super::znodes::Unreadable;
use super::{
    ATTEMPTS_MAX, CALLS_AT_ONCE_MAX, Registry, RegistryError, group_znodes, report_skipped, retry_read,
    znodes,
};
use crate::marks::{self, Mark};
use crate::rules::{self, Rule};
use crate::runtime::{clock, concurrently};
use crate::types::{BrokerId, SessionId, TopicPartition};
use crate::zookeeper::{CreateMode, MultiOp, Stat, Watch, WatchEvent, ZkError};

/// Owner nodes made in one step; far below the largest request.
const CLAIMS_PER_STEP_MAX: usize = 500;

/// What became of a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// The member is registered, under this name, by this client's session.
    Joined(String),
    /// Another session holds the name: another member, or this one's previous incarnation until it expires.
    HeldBy(SessionId),
}

/// The members of a group, as they are registered.
#[derive(Default)]
pub struct Members {
    /// Streams by topic, of each member. One whose node cannot be read is there, and reads nothing.
    pub subscriptions: BTreeMap<String, BTreeMap<String, u32>>,
    /// Whose node cannot be read, and why.
    pub unreadable: BTreeMap<String, String>,
    /// One fires when a member comes or goes, or when a node that cannot be read changes.
    pub watches: Vec<Watch>,
}

/// Who owns a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionOwner {
    /// `member-stream`, as the owner wrote it.
    pub name: String,
    pub session: SessionId,
}

/// What became of an attempt to own partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// All of them are this session's.
    Owned,
    /// Others own these. Some of the rest may be this session's now.
    Conflict(BTreeMap<TopicPartition, PartitionOwner>),
}

/// What stands in a member's node.
enum Registration {
    /// It went after its name was read.
    Gone,
    Reads(BTreeMap<String, u32>),
    Unreadable {
        reason: String,
        changed: Watch,
    },
}

impl Registry {
    /// Makes what a group's nodes are put under.
    pub async fn ensure_group(&self, group: &str, topics: &BTreeSet<String>) -> Result<(), RegistryError> {
        for path in group_znodes::persistent_paths(group, topics) {
            let mut attempts = 0;
            loop {
                attempts += 1;
                match self.zookeeper.create(&path, b"", CreateMode::Persistent).await {
                    Ok(_) | Err(ZkError::NodeExists) => break,
                    Err(ZkError::ConnectionLost) if attempts < ATTEMPTS_MAX => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// Registers a member for as long as the session lives, with its streams by topic.
    pub async fn register_member(
        &self,
        group: &str,
        member: &str,
        subscription: &BTreeMap<String, u32>,
    ) -> Result<Membership, RegistryError> {
        let data = group_znodes::write_member(subscription, clock::wall_now());
        let mut name = member.to_owned();
        for attempt in 1..=ATTEMPTS_MAX {
            let path = group_znodes::member(group, &name);
            let created = self.zookeeper.create(&path, &data, CreateMode::Ephemeral).await;
            match created {
                Ok(_) => return Ok(Membership::Joined(name)),
                Err(ZkError::NodeExists) if !rules::holds(Rule::CompareEphemeralOwner) => {
                    return Ok(Membership::Joined(name));
                }
                Err(ZkError::ConnectionLost) if !rules::holds(Rule::SettleAmbiguousCreate) => {
                    name = format!("{member}.{attempt}");
                    continue;
                }
                // Whose the node is, the node itself tells.
                Err(ZkError::NodeExists | ZkError::ConnectionLost) => {}
                Err(error) => return Err(error.into()),
            }
            match self.read_back(|| self.zookeeper.exists(&path)).await? {
                Some(stat) if stat.ephemeral_owner == self.zookeeper.session_id() => {
                    marks::sometimes(Mark::LostReplyWasApplied);
                    return Ok(Membership::Joined(name));
                }
                Some(stat) => {
                    marks::sometimes(Mark::OldRegistrationInTheWay);
                    return Ok(Membership::HeldBy(stat.ephemeral_owner));
                }
                None => {}
            }
        }
        Err(ZkError::ConnectionLost.into())
    }

    /// Waits until nobody is registered under the name.
    pub async fn wait_member_gone(&self, group: &str, member: &str) -> Result<(), RegistryError> {
        self.wait_gone(&group_znodes::member(group, member)).await
    }

    /// Waits until nobody owns the partition.
    pub async fn wait_unowned(&self, group: &str, partition: &TopicPartition) -> Result<(), RegistryError> {
        self.wait_gone(&group_znodes::owner(group, partition)).await
    }

    async fn wait_gone(&self, path: &str) -> Result<(), RegistryError> {
        loop {
            match self.zookeeper.exists_watch(path).await {
                Ok((None, _)) => return Ok(()),
                Ok((Some(_), changed)) => {
                    if changed.await == WatchEvent::SessionLost {
                        return Err(ZkError::SessionExpired.into());
                    }
                }
                Err(ZkError::ConnectionLost) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes a member of this session out of its group.
    pub async fn unregister_member(&self, group: &str, member: &str) -> Result<(), RegistryError> {
        self.delete_own(&group_znodes::member(group, member)).await
    }

    /// The members of a group. A node that cannot be read is one member's: the others go on without it.
    pub async fn members_watch(&self, group: &str) -> Result<Members, RegistryError> {
        let path = group_znodes::members(group);
        let (names, changed) = retry_read(|| self.zookeeper.get_children_watch(&path)).await?;
        let read: Vec<_> = names.iter().map(|name| self.subscription(group, name)).collect();
        let subscriptions = concurrently(CALLS_AT_ONCE_MAX, read).await;
        let mut members = Members { watches: vec![changed], ..Members::default() };
        for (name, subscription) in names.into_iter().zip(subscriptions) {
            match subscription? {
                Registration::Gone => {}
                Registration::Reads(subscription) => {
                    members.subscriptions.insert(name, subscription);
                }
                Registration::Unreadable { reason, changed } => {
                    members.subscriptions.insert(name.clone(), BTreeMap::new());
                    members.unreadable.insert(name, reason);
                    members.watches.push(changed);
                }
            }
        }
        Ok(members)
    }

    async fn subscription(&self, group: &str, member: &str) -> Result<Registration, RegistryError> {
        let path = group_znodes::member(group, member);
        match retry_read(|| self.zookeeper.get_data(&path)).await {
            Ok((data, _)) => {
                if let Ok(subscription) = group_znodes::read_member(&data) {
                    return Ok(Registration::Reads(subscription));
                }
            }
            Err(ZkError::NoNode) => return Ok(Registration::Gone),
            Err(error) => return Err(error.into()),
        }
        match retry_read(|| self.zookeeper.get_data_watch(&path)).await {
            Ok((data, _, changed)) => Ok(match group_znodes::read_member(&data) {
                Ok(subscription) => Registration::Reads(subscription),
                Err(Unreadable(reason)) => Registration::Unreadable { reason, changed },
            }),
            Err(ZkError::NoNode) => Ok(Registration::Gone),
            Err(error) => Err(error.into()),
        }
    }

    /// The ids of the brokers alive; the watch fires when one comes or goes.
    pub async fn broker_ids_watch(&self) -> Result<(BTreeSet<BrokerId>, Watch), RegistryError> {
        let (names, changed) = retry_read(|| self.zookeeper.get_children_watch(znodes::BROKER_IDS)).await?;
        let ids = names.iter().filter_map(|name| broker_id(name));
        Ok((ids.collect(), changed))
    }

    /// The partitions of a topic, none if there is no such topic or its node cannot be read; the watch fires when that changes.
    pub async fn partitions_watch(&self, topic: &str) -> Result<(BTreeSet<i32>, Watch), RegistryError> {
        let path = znodes::topic(topic);
        let (_, changed) = retry_read(|| self.zookeeper.exists_watch(&path)).await?;
        let partitions = match retry_read(|| self.zookeeper.get_data(&path)).await {
            Ok((data, _)) => match znodes::read_topic(topic, &data, BTreeMap::new()) {
                Ok(spec) => spec.partitions.into_keys().collect(),
                Err(unreadable) => {
                    report_skipped(&path, &unreadable);
                    BTreeSet::new()
                }
            },
            Err(ZkError::NoNode) => BTreeSet::new(),
            Err(error) => return Err(error.into()),
        };
        Ok((partitions, changed))
    }

    /// Who leads each of the partitions; one without a state that can be read has nobody.
    pub async fn leaders(
        &self,
        partitions: &BTreeSet<TopicPartition>,
    ) -> Result<BTreeMap<TopicPartition, BrokerId>, RegistryError> {
        let read: Vec<_> = partitions.iter().map(|name| self.partition_state(name)).collect();
        let states = concurrently(CALLS_AT_ONCE_MAX, read).await;
        let mut leaders = BTreeMap::new();
        for (name, state) in partitions.iter().zip(states) {
            let state = match state {
                Err(RegistryError::Corrupt { path, reason }) => {
                    report_skipped(&path, &Unreadable(reason));
                    None
                }
                state => state?,
            };
            if let Some(leader) = state.and_then(|(state, _)| state.leader) {
                leaders.insert(name.clone(), leader);
            }
        }
        Ok(leaders)
    }

    /// The watch fires when the partition's state changes, or comes to be.
    pub async fn partition_state_watch(&self, partition: &TopicPartition) -> Result<Watch, RegistryError> {
        let path = znodes::partition_state(partition);
        let (_, changed) = retry_read(|| self.zookeeper.exists_watch(&path)).await?;
        Ok(changed)
    }

    /// The owners of those of the partitions that have one.
    pub async fn owners(
        &self,
        group: &str,
        partitions: &[&TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, PartitionOwner>, RegistryError> {
        let read: Vec<_> = partitions.iter().map(|name| self.owner_data(group, name)).collect();
        let read = concurrently(CALLS_AT_ONCE_MAX, read).await;
        let mut owners = BTreeMap::new();
        for (name, read) in partitions.iter().copied().zip(read) {
            match read {
                Ok((data, stat)) => {
                    let owner = String::from_utf8_lossy(&data).into_owned();
                    owners
                        .insert(name.clone(), PartitionOwner { name: owner, session: stat.ephemeral_owner });
                }
                Err(ZkError::NoNode) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(owners)
    }

    async fn owner_data(&self, group: &str, partition: &TopicPartition) -> Result<(Bytes, Stat), ZkError> {
        let path = group_znodes::owner(group, partition);
        retry_read(|| self.zookeeper.get_data(&path)).await
    }

    /// Makes the owner nodes of partitions, by stream, that this session does not own yet.
    pub async fn claim_partitions(
        &self,
        group: &str,
        member: &str,
        wanted: &BTreeMap<TopicPartition, u32>,
    ) -> Result<Claim, RegistryError> {
        let names: Vec<&TopicPartition> = wanted.keys().collect();
        for _ in 0..ATTEMPTS_MAX {
            self.settle().await?;
            let owners = self.owners(group, &names).await?;
            let others: BTreeMap<_, _> =
                owners.iter().filter(|(_, owner)| !self.is_mine(owner, member)).map(cloned).collect();
            if !others.is_empty() {
                return Ok(Claim::Conflict(others));
            }
            let missing: Vec<_> = wanted.iter().filter(|(name, _)| !owners.contains_key(name)).collect();
            if missing.is_empty() {
                return Ok(Claim::Owned);
            }
            match self.create_owners(group, member, &missing).await {
                Ok(()) => return Ok(Claim::Owned),
                // Somebody was faster than what was read, or a lost reply hides a success.
                Err(ZkError::NodeExists | ZkError::ConnectionLost) => self.reply_lost(),
                Err(error) => return Err(error.into()),
            }
        }
        Err(ZkError::ConnectionLost.into())
    }

    /// By session; by the member's name alone where the rule is suspended, as Kafka did before 0.8.1.
    fn is_mine(&self, owner: &PartitionOwner, member: &str) -> bool {
        match rules::holds(Rule::CompareEphemeralOwner) {
            true => owner.session == self.zookeeper.session_id(),
            false => owner.name.rsplit_once('-').is_some_and(|(name, _)| name == member),
        }
    }

    async fn create_owners(
        &self,
        group: &str,
        member: &str,
        missing: &[(&TopicPartition, &u32)],
    ) -> Result<(), ZkError> {
        for step in missing.chunks(CLAIMS_PER_STEP_MAX) {
            let creations = step.iter().map(|(partition, stream)| MultiOp::Create {
                path: group_znodes::owner(group, partition),
                data: Bytes::from(format!("{member}-{stream}")),
                mode: CreateMode::Ephemeral,
            });
            self.zookeeper.multi(creations.collect()).await?;
        }
        Ok(())
    }

    /// Deletes those of the owner nodes that are this session's.
    pub async fn release_partitions(
        &self,
        group: &str,
        partitions: &BTreeSet<TopicPartition>,
    ) -> Result<(), RegistryError> {
        let deletions: Vec<_> = partitions.iter().map(|name| self.release_partition(group, name)).collect();
        concurrently(CALLS_AT_ONCE_MAX, deletions).await.into_iter().collect()
    }

    async fn release_partition(&self, group: &str, partition: &TopicPartition) -> Result<(), RegistryError> {
        self.delete_own(&group_znodes::owner(group, partition)).await
    }

    /// Deletes a node of this session, or finds that it is not there. Never one of another session: between
    /// a lost reply and the next attempt somebody else may have made the node anew.
    async fn delete_own(&self, path: &str) -> Result<(), RegistryError> {
        for _ in 0..ATTEMPTS_MAX {
            self.settle().await?;
            match retry_read(|| self.zookeeper.exists(path)).await? {
                Some(stat) if stat.ephemeral_owner == self.zookeeper.session_id() => {}
                _ => return Ok(()),
            }
            match self.zookeeper.delete(path, None).await {
                Ok(()) | Err(ZkError::NoNode) => return Ok(()),
                Err(ZkError::ConnectionLost) => self.reply_lost(),
                Err(error) => return Err(error.into()),
            }
        }
        Err(ZkError::ConnectionLost.into())
    }
}

fn cloned((name, owner): (&TopicPartition, &PartitionOwner)) -> (TopicPartition, PartitionOwner) {
    (name.clone(), owner.clone())
}
