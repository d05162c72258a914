//! Where requests wait: a produce for the flush of what it appended, a fetch for enough to read.
//!
//! Both register with the partitions and give their places up by dropping them, whatever ends the wait: the
//! condition, the time, the client that leaves.

use std::sync::Arc;

use super::close::Close;
use super::connection::Connection;
use super::handlers::FetchPlan;
use crate::broker::partition::{Partition, Waiting};
use crate::broker::purgatory::{WAIT_MAX, WaitFor, wait_of};
use crate::protocol::RequestHeader;
use crate::protocol::messages::FetchRequest;
use crate::runtime::{Instant, clock};
use crate::types::Offset;

/// Bytes read ahead from a client whose fetch waits; to notice that it left, reading must go on.
const READ_AHEAD_BYTES_MAX: usize = 64 * 1024;
const READ_AHEAD_BYTES: usize = 4 * 1024;

enum Woken {
    /// Something may have changed.
    Looks,
    /// The time is up, or the broker stops.
    Over,
}

impl Connection {
    /// Waits until what the run of produce requests appended is flushed, where its topic asks for that.
    ///
    /// The requests' own time limits are for replication, as in Kafka: an append is never answered with an
    /// error because its flush takes longer than the client likes.
    pub(super) async fn wait_flushed(&mut self) {
        let mut waiting: Vec<(usize, Waiting)> = Vec::new();
        for (group, partition, end) in self.run.unflushed() {
            match partition.wait(WaitFor::Flushed(end), &self.handle.waker) {
                Ok(None) => {}
                Ok(Some(place)) => waiting.push((group, place)),
                Err(error) => self.run.flush_failed(&self.core, group, &error),
            }
        }
        if waiting.is_empty() {
            return;
        }
        self.wait_timer.set(Some(clock::now() + WAIT_MAX));
        while !waiting.is_empty() {
            let is_late = tokio::select! {
                biased;
                () = self.handle.waker.woken() => false,
                () = self.wait_timer.expired() => true,
            };
            let (core, run) = (&self.core, &mut self.run);
            waiting.retain(|(group, place)| match place.is_over() {
                Ok(true) => false,
                Ok(false) if is_late => {
                    run.flush_late(core, *group);
                    false
                }
                Ok(false) => true,
                Err(error) => {
                    run.flush_failed(core, *group, &error);
                    false
                }
            });
        }
    }

    /// Answers a fetch when it has enough to read, or its time is up.
    pub(super) async fn fetch(
        &mut self,
        mut header: RequestHeader,
        request: FetchRequest,
    ) -> Result<(), Close> {
        let begun_at = clock::now();
        let wait = wait_of(request.max_wait_ms);
        let deadline = begun_at + wait;
        let mut waited = false;
        let plan = FetchPlan::new(&self.core, request).await;
        let mut last_look = wait.is_zero();
        loop {
            let result = plan.read(&self.core).await;
            if last_look || result.is_enough() {
                plan.count(&self.core, &result);
                let metrics = &self.core.metrics;
                let times = if waited { &metrics.fetch_time_waited } else { &metrics.fetch_time };
                times.observe(clock::now().saturating_since(begun_at), 1);
                result.reply(&header, &mut self.out);
                return Ok(());
            }
            waited = true;
            let waits = result.into_waits();
            // A request that waits holds no memory but what it asked for. The name is a slice of its frame.
            header.client_id = None;
            self.charge = None;
            // The replies before this one must not wait with it.
            self.send().await?;
            if let Some(_places) = self.wait_for_more(&waits) {
                last_look = matches!(self.wait_readable(deadline).await?, Woken::Over);
            }
        }
    }

    /// Places with every partition; `None` if there is more to read already.
    fn wait_for_more(&self, waits: &[(Arc<Partition>, Offset)]) -> Option<Vec<Waiting>> {
        let place = |(partition, readable_end): &(Arc<Partition>, Offset)| {
            partition.wait(WaitFor::ReadableBeyond(*readable_end), &self.handle.waker).ok().flatten()
        };
        waits.iter().map(place).collect()
    }

    async fn wait_readable(&mut self, deadline: Instant) -> Result<Woken, Close> {
        self.wait_timer.set(Some(deadline));
        loop {
            if self.handle.is_closing() {
                return Ok(Woken::Over);
            }
            let reads_ahead = self.buffer.len() < READ_AHEAD_BYTES_MAX;
            tokio::select! {
                biased;
                () = self.handle.waker.woken() => {
                    if !self.handle.is_closing() {
                        return Ok(Woken::Looks);
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
