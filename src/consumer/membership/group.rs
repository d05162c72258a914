//! The handles of an application on its group consumer: streams, commits, positions.

use std::collections::{BTreeMap, BTreeSet};

use super::{GroupConfig, GroupError};
use crate::consumer::{ConsumeError, ConsumedRecord, StartPosition};
use crate::types::{Offset, TopicPartition};

/// A member of a group. Dropped without [`GroupConsumer::close`], its session is left to expire.
pub struct GroupConsumer {
    config: GroupConfig,
}

/// One stream of a topic: the records of the partitions that it owns, in offset order per partition (P15).
pub struct MessageStream {
    _private: (),
}

impl GroupConsumer {
    /// Opens a session with ZooKeeper; `ZooKeeper` if no server grants one within the session timeout.
    pub async fn start(config: GroupConfig) -> Result<GroupConsumer, GroupError> {
        config.check()?;
        Ok(GroupConsumer { config })
    }

    /// Joins the group with so many streams of each topic, and returns them at once: the rebalance goes on
    /// behind. A topic that does not exist yet is read as soon as it does.
    pub async fn create_message_streams(
        &self,
        topics: BTreeMap<String, u32>,
    ) -> Result<BTreeMap<String, Vec<MessageStream>>, GroupError> {
        let _ = topics;
        self.config.check()?;
        Err(GroupError::Closed)
    }

    /// Marks a record as finished. One that was not delivered under the present ownership is passed over.
    pub fn mark_finished(&self, partition: &TopicPartition, offset: Offset) {
        let _ = (partition, offset);
    }

    /// Commits everything finished so far; returns when ZooKeeper has it.
    pub async fn commit(&self) -> Result<(), GroupError> {
        Err(GroupError::Closed)
    }

    /// The partitions that this member owns and delivers.
    pub fn owned(&self) -> BTreeSet<TopicPartition> {
        BTreeSet::new()
    }

    /// Goes on from elsewhere; what was delivered before counts as finished. Returns whether it is owned.
    pub fn seek(&self, partition: &TopicPartition, to: StartPosition) -> bool {
        let _ = (partition, to);
        false
    }

    /// The next offset to deliver; `None` while it is not known yet, or not owned.
    pub fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        let _ = partition;
        None
    }

    /// Commits what is finished, gives up every partition and leaves the group.
    pub async fn close(&self) -> Result<(), GroupError> {
        Ok(())
    }
}

impl MessageStream {
    /// The next record, however long it takes. Dropped half-way, no record is lost.
    pub async fn next(&mut self) -> Result<ConsumedRecord, ConsumeError> {
        Err(ConsumeError::Closed)
    }

    /// As [`GroupConsumer::mark_finished`].
    pub fn mark_finished(&self, partition: &TopicPartition, offset: Offset) {
        let _ = (partition, offset);
    }
}
