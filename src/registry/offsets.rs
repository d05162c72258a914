//! What a group has finished: the offset registry (P20), which outlives every session.
//!
//! A write is made once. Whether it may be made again is for the caller to know, who knows its session.

use bytes::Bytes;

use super::{CALLS_AT_ONCE_MAX, Registry, RegistryError, group_znodes, report_skipped, retry_read};
use crate::runtime::concurrently;
use crate::types::{Offset, TopicPartition};
use crate::zookeeper::{CreateMode, MultiOp, ZkError};

/// What the registry says about where a group goes on in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupOffset {
    /// With this record.
    Next(Offset),
    /// The group has not committed anything yet.
    Absent,
    /// Something that is no offset. To begin anywhere would lose records or repeat them: the partition waits for an
    /// operator, and the others go on.
    Unreadable,
}

impl Registry {
    /// The next offset that the group reads of each partition.
    pub async fn group_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<GroupOffset>, RegistryError> {
        let read: Vec<_> = partitions.iter().map(|partition| self.group_offset(group, partition)).collect();
        let offsets = concurrently(CALLS_AT_ONCE_MAX, read).await;
        assert_eq!(offsets.len(), partitions.len(), "each partition has its answer");
        offsets.into_iter().collect()
    }

    async fn group_offset(
        &self,
        group: &str,
        partition: &TopicPartition,
    ) -> Result<GroupOffset, RegistryError> {
        let path = group_znodes::offset(group, partition);
        match retry_read(|| self.zookeeper.get_data(&path)).await {
            Ok((data, _)) => Ok(match group_znodes::read_offset(&data) {
                Ok(offset) => GroupOffset::Next(offset),
                Err(unreadable) => {
                    report_skipped(&path, &unreadable);
                    GroupOffset::Unreadable
                }
            }),
            Err(ZkError::NoNode) => Ok(GroupOffset::Absent),
            Err(error) => Err(error.into()),
        }
    }

    /// The names of all groups. Read once: who looks from time to time looks again.
    pub async fn groups(&self) -> Result<Vec<String>, RegistryError> {
        self.names_below(group_znodes::GROUPS).await
    }

    /// The topics of which a group keeps offsets.
    pub async fn group_topics(&self, group: &str) -> Result<Vec<String>, RegistryError> {
        self.names_below(&group_znodes::offsets(group)).await
    }

    /// No node, no names.
    async fn names_below(&self, path: &str) -> Result<Vec<String>, RegistryError> {
        match self.zookeeper.get_children(path).await {
            Err(ZkError::NoNode) => Ok(Vec::new()),
            names => Ok(names?),
        }
    }

    /// Writes the next offset of partitions that this session owns, each on its own. `NoNode`: the owner node
    /// is gone, and nothing was written; after `ConnectionLost` and `SessionExpired` it is not known.
    pub async fn commit_offsets(
        &self,
        group: &str,
        offsets: &[(TopicPartition, Offset)],
    ) -> Vec<Result<(), ZkError>> {
        let commits: Vec<_> =
            offsets.iter().map(|(partition, offset)| self.commit_offset(group, partition, *offset)).collect();
        let outcomes = concurrently(CALLS_AT_ONCE_MAX, commits).await;
        assert_eq!(outcomes.len(), offsets.len(), "each commit has its outcome");
        outcomes
    }

    async fn commit_offset(
        &self,
        group: &str,
        partition: &TopicPartition,
        offset: Offset,
    ) -> Result<(), ZkError> {
        let owner = MultiOp::Check { path: group_znodes::owner(group, partition), version: None };
        let path = group_znodes::offset(group, partition);
        let data = Bytes::from(offset.0.to_string());
        let change = MultiOp::SetData { path: path.clone(), data: data.clone(), version: None };
        match self.zookeeper.multi(vec![owner.clone(), change]).await {
            // The group's first commit of the partition, or the owner node is gone.
            Err(ZkError::NoNode) => {}
            outcome => return outcome.map(drop),
        }
        let creation = MultiOp::Create { path, data, mode: CreateMode::Persistent };
        self.zookeeper.multi(vec![owner, creation]).await.map(drop)
    }

    /// Writes the next offset of a partition, whoever owns it.
    pub async fn overwrite_offset(
        &self,
        group: &str,
        partition: &TopicPartition,
        offset: Offset,
    ) -> Result<(), ZkError> {
        let path = group_znodes::offset(group, partition);
        let data = offset.0.to_string();
        match self.zookeeper.set_data(&path, data.as_bytes(), None).await {
            Err(ZkError::NoNode) => {
                self.zookeeper.create(&path, data.as_bytes(), CreateMode::Persistent).await.map(drop)
            }
            outcome => outcome.map(drop),
        }
    }
}
