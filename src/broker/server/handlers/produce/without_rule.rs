//! What a run of produce requests does where a safety rule is suspended: never in a deployed broker.

use super::{ProduceRun, answer};
use crate::broker::partition::EpochFence;
use crate::types::Timestamp;

impl ProduceRun {
    /// Without `append-before-ack`: what an append would answer, were it made before the reply.
    pub fn foretell(&mut self) {
        for group in &self.groups {
            let Ok(bounds) = group.partition.bounds(EpochFence::NONE) else { continue };
            let mut base = bounds.log_end;
            for (slot, batch) in group.slots.iter().zip(&group.batches) {
                answer(&mut self.answers[*slot], base, bounds.log_start, Timestamp::NONE);
                base = base.plus(i64::from(batch.header.last_offset_delta) + 1);
            }
        }
    }
}
