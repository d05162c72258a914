//! What the fetcher does while `queue-before-advancing` is suspended.

use std::time::Duration;

use bytes::Bytes;

use super::Fetcher;
use crate::consumer::chunk;
use crate::consumer::positions::PartitionRequest;
use crate::runtime::clock;
use crate::types::Offset;

/// How long a full queue keeps a chunk waiting, where its position moved already.
const FULL_QUEUE_WAIT: Duration = Duration::from_millis(10);

impl Fetcher {
    /// KAFKA-154: between the two halves waits whoever finds the queue full, and a rebalance interrupts him.
    pub(super) async fn advance_before_queueing(
        &self,
        asked: &PartitionRequest<Offset>,
        records: Bytes,
        high_watermark: Offset,
    ) {
        let chunk = chunk::verify(records, asked.target, high_watermark);
        let before = self.shared.with_all_positions(|positions| {
            positions.advance(asked, &chunk);
            positions.assignments()
        });
        clock::sleep(FULL_QUEUE_WAIT).await;
        self.shared.answer(self.broker, &asked.partition, |positions| {
            if positions.assignments() == before {
                positions.queue(asked, chunk);
            }
            Vec::new()
        });
    }
}
