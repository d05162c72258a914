//! How a member commits while `commit-through-owning-session` is suspended.

use crate::consumer::membership::zookeeper::shell::Shell;
use crate::registry::Registry;
use crate::types::{Offset, TopicPartition};
use crate::zookeeper::ZkError;

/// Whoever owns the partition by now.
pub(super) async fn overwrite_offsets(
    registry: &Registry,
    group: &str,
    offsets: &[(TopicPartition, Offset)],
) -> Vec<Result<(), ZkError>> {
    let mut outcomes = Vec::new();
    for (partition, offset) in offsets {
        outcomes.push(registry.overwrite_offset(group, partition, *offset).await);
    }
    outcomes
}

impl Shell {
    /// What the old session could not say, the new one does.
    pub(in crate::consumer::membership::zookeeper) async fn repeat_commits(&mut self) {
        if !self.commits_to_repeat.is_empty() {
            let offsets = std::mem::take(&mut self.commits_to_repeat);
            if let Err(error) = self.commit(offsets).await {
                tracing::warn!(group = self.config.group, %error, "group_commit_not_repeated");
            }
        }
    }
}
