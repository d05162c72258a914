//! A fetch that waits for enough to read.

use std::sync::Arc;
use std::time::Duration;

use super::connection::{Close, Connection};
use super::handlers::FetchPlan;
use crate::broker::partition::Partition;
use crate::broker::purgatory::WaitFor;
use crate::protocol::RequestHeader;
use crate::protocol::messages::FetchRequest;
use crate::runtime::{Instant, clock};
use crate::types::Offset;

/// Whatever a client asks for, it is answered after this time.
const FETCH_WAIT_MAX: Duration = Duration::from_secs(300);
/// Bytes read ahead from a client whose fetch waits; to notice that it left, reading must go on.
const READ_AHEAD_BYTES_MAX: usize = 64 * 1024;
const READ_AHEAD_BYTES: usize = 4 * 1024;

enum Woken {
    /// Something may have changed.
    Rung,
    /// The time is up, or the broker stops.
    Over,
}

impl Connection {
    /// Answers a fetch when it has enough to read, or its time is up.
    pub(super) async fn fetch(&mut self, header: RequestHeader, request: FetchRequest) -> Result<(), Close> {
        self.core.metrics.requests_fetch.add(1);
        let wait = Duration::from_millis(request.max_wait_ms.max(0) as u64).min(FETCH_WAIT_MAX);
        let deadline = clock::now() + wait;
        let plan = FetchPlan::new(&self.core, request);
        let mut last_look = wait.is_zero();
        loop {
            let result = plan.read(&self.core);
            if last_look || result.is_enough() {
                self.core.metrics.fetch_bytes.add(result.bytes());
                result.reply(&header, &mut self.out);
                return Ok(());
            }
            let waits = result.into_waits();
            // The replies before this one must not wait with it.
            self.send().await?;
            if self.leave_bells(&waits) {
                last_look = matches!(self.wait(deadline).await?, Woken::Over);
            }
            for (partition, _) in &waits {
                partition.wait_no_longer(&self.attention.bell);
            }
        }
    }

    /// False if there is more to read already.
    fn leave_bells(&self, waits: &[(Arc<Partition>, Offset)]) -> bool {
        waits.iter().all(|(partition, readable_end)| {
            let wait = WaitFor::ReadableBeyond(*readable_end);
            partition.wait(wait, &self.attention.bell).unwrap_or(false)
        })
    }

    async fn wait(&mut self, deadline: Instant) -> Result<Woken, Close> {
        self.wait_timer.set(Some(deadline));
        loop {
            if self.attention.is_closing() {
                return Ok(Woken::Over);
            }
            let reads_ahead = self.buffer.len() < READ_AHEAD_BYTES_MAX;
            tokio::select! {
                biased;
                () = self.attention.bell.heard() => {
                    if !self.attention.is_closing() {
                        return Ok(Woken::Rung);
                    }
                }
                () = self.wait_timer.expired() => return Ok(Woken::Over),
                read = self.incoming.read(&mut self.buffer, READ_AHEAD_BYTES), if reads_ahead => {
                    let count = read?;
                    if count == 0 {
                        return Err(Close::Peer);
                    }
                    self.core.metrics.bytes_received.add(count as u64);
                }
            }
        }
    }
}
