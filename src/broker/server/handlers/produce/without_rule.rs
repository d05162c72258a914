//! What a run of produce requests does where a safety rule is suspended: never in a deployed broker.

use super::{Answer, ProduceRun};
use crate::broker::partition::EpochFence;
use crate::types::Timestamp;

impl ProduceRun {
    /// Without `append-before-ack`: what an append would answer, were it made before the reply.
    pub fn foretell(&mut self) {
        for group in &self.groups {
            let Ok(bounds) = group.partition.bounds(EpochFence::NONE) else { continue };
            let mut base = bounds.log_end;
            for (slot, batch) in group.lists.slots.iter().zip(&group.lists.batches) {
                let (log_start, at) = (bounds.log_start, Timestamp::NONE);
                self.answers[*slot] = Answer::Appended { base, log_start, at };
                base = base.plus(i64::from(batch.header.last_offset_delta) + 1);
            }
        }
    }
}
