//! What the handles of a group member share with each other and with the member's task.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::GroupConfig;
use super::finished::Progress;
use crate::consumer::shared::Shared;
use crate::facts::{self, Fact};
use crate::runtime::lock::{Mutex, MutexGuard};
use crate::types::{Offset, TopicPartition};

/// See the module. `progress` is locked before the consumer's positions, never the other way round.
pub(super) struct GroupShared {
    pub(super) config: GroupConfig,
    pub(super) shared: Arc<Shared>,
    pub(super) progress: Arc<Mutex<Progress>>,
    /// A stream waits for room among its unfinished records.
    pub(super) marks_awaited: AtomicBool,
}

impl GroupShared {
    pub(super) fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().expect("no holder of the progress panics")
    }

    pub(super) fn mark_finished(&self, partition: &TopicPartition, offset: Offset) {
        if self.progress().finish(partition, offset) {
            self.marked(partition, offset);
        }
    }

    /// A record was marked just now. A stream says first that it waits, and counts then; here the mark is first, and
    /// the look whether anybody waits comes then: at least one of the two sees the other.
    pub(super) fn marked(&self, partition: &TopicPartition, offset: Offset) {
        self.finished(partition, offset);
        if self.marks_awaited.load(Ordering::SeqCst) && self.marks_awaited.swap(false, Ordering::SeqCst) {
            self.shared.wake_readers();
        }
    }

    /// States that a record is finished.
    pub(super) fn finished(&self, partition: &TopicPartition, offset: Offset) {
        facts::record(|| Fact::Finished {
            consumer: self.config.consumer.client_id.clone(),
            partition: partition.clone(),
            offset,
        });
    }
}
