//! Writes what is finished to the offset registry, through the session that owns the partitions.
//!
//! Limit: a commit whose reply was lost is not sent again by itself; the next one says at least as much.

mod without_rule;

use std::collections::{BTreeMap, BTreeSet};

use super::shell::Shell;
use crate::consumer::membership::GroupError;
use crate::facts::{self, Fact};
use crate::marks::{self, Mark};
use crate::rules::{self, Rule};
use crate::types::{Offset, TopicPartition};
use crate::zookeeper::ZkError;

/// How often a commit is tried before its partition is given up; more may be delivered again then.
const RELEASE_TRIES_MAX: usize = 2;

impl Shell {
    /// Commits everything finished.
    pub(super) async fn commit_all(&mut self) -> Result<(), GroupError> {
        let offsets = self.to_commit(|partition| self.shared.position(partition));
        self.commit(offsets).await
    }

    /// Commits what is finished of partitions that are about to be given up; `stood` says where, if that is known.
    pub(super) async fn commit_before_release(
        &mut self,
        partitions: &BTreeSet<TopicPartition>,
        stood: &BTreeMap<TopicPartition, Offset>,
    ) -> Result<(), GroupError> {
        let mut outcome = Ok(());
        for _ in 0..RELEASE_TRIES_MAX {
            let mut offsets = self.to_commit(|partition| stood.get(partition).copied());
            offsets.retain(|name, _| partitions.contains(name));
            outcome = self.commit(offsets).await;
            if outcome != Err(GroupError::ZooKeeper(ZkError::ConnectionLost)) {
                break;
            }
        }
        outcome
    }

    fn to_commit(
        &self,
        position: impl Fn(&TopicPartition) -> Option<Offset>,
    ) -> BTreeMap<TopicPartition, Offset> {
        self.progress().due_commits(position, |partition| self.shared.fetch_offset(partition))
    }

    async fn commit(&mut self, offsets: BTreeMap<TopicPartition, Offset>) -> Result<(), GroupError> {
        let offsets: Vec<(TopicPartition, Offset)> = offsets.into_iter().collect();
        let Some(registry) = self.registry.clone() else { return Err(GroupError::SessionLost) };
        for (partition, offset) in &offsets {
            self.state(|group, consumer| Fact::CommitInvoked {
                group,
                consumer,
                partition: partition.clone(),
                offset: *offset,
            });
        }
        let outcomes = match rules::holds(Rule::CommitThroughOwningSession) {
            true => registry.commit_offsets(&self.config.group, &offsets).await,
            false => without_rule::overwrite_offsets(&registry, &self.config.group, &offsets).await,
        };
        let mut worst = Ok(());
        for ((partition, offset), outcome) in offsets.into_iter().zip(outcomes) {
            if let Err(error) = self.committed(partition, offset, outcome) {
                worst = Err(error);
            }
        }
        worst
    }

    fn committed(
        &mut self,
        partition: TopicPartition,
        offset: Offset,
        outcome: Result<(), ZkError>,
    ) -> Result<(), GroupError> {
        let Err(error) = outcome else {
            self.progress().committed(&partition, offset);
            self.state(|group, consumer| Fact::CommitOk { group, consumer, partition, offset });
            return Ok(());
        };
        let is_unknown = matches!(error, ZkError::ConnectionLost | ZkError::SessionExpired | ZkError::Closed);
        if is_unknown {
            self.progress().commit_unknown(&partition);
        }
        tracing::warn!(group = self.config.group, %partition, %offset, %error, "group_commit_failed");
        self.state(|group, consumer| Fact::CommitFailed {
            group,
            consumer,
            partition: partition.clone(),
            offset,
            is_unknown,
        });
        if is_unknown && !rules::holds(Rule::CommitThroughOwningSession) {
            self.commits_to_repeat.insert(partition, offset);
        }
        match error {
            ZkError::SessionExpired | ZkError::Closed | ZkError::NoNode => {
                marks::sometimes(Mark::CommitOfLostSessionDropped);
                Err(GroupError::SessionLost)
            }
            error => Err(error.into()),
        }
    }

    fn state(&self, fact: impl FnOnce(String, String) -> Fact) {
        facts::record(|| fact(self.config.group.clone(), self.config.consumer.client_id.clone()));
    }
}
