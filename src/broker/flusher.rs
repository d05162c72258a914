//! Group commit: one task that syncs the partitions of the log directory, many acknowledgements a sync.
//!
//! While a round of syncs runs, appends go on; what they wrote is the next round's. A sync that fails fails
//! the log directory: nobody knows then what is on disk, and asking again would only look like success.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::failure::Failure;
use super::metrics::Metrics;
use super::partition::{FlushNeed, Partition};
use super::purgatory::Bell;
use crate::log::LogError;
use crate::runtime::{Instant, clock, concurrently};

/// Partitions synced side by side.
const SYNCS_AT_A_TIME_MAX: usize = 32;

/// How long a flush that the process had no file descriptor for is put off.
const REFUSED_RETRY: Duration = Duration::from_millis(200);
/// Where the rule that a failed sync fails the log directory is suspended.
const FORGETFUL_RETRY: Duration = Duration::from_millis(10);

/// Which partitions wait for a sync.
#[derive(Default)]
pub(super) struct Flusher {
    queue: Mutex<Queue>,
    bell: Bell,
}

#[derive(Default)]
struct Queue {
    now: Vec<Arc<Partition>>,
    /// By time; the number tells entries of one instant apart.
    later: BTreeMap<(Instant, u64), Arc<Partition>>,
    later_count: u64,
}

impl Flusher {
    /// Puts a partition on the list, as its append demands.
    pub fn note(&self, partition: &Arc<Partition>, need: FlushNeed) {
        let mut queue = self.queue.lock().expect("flush queue");
        match need {
            FlushNeed::None => return,
            FlushNeed::Now => queue.now.push(Arc::clone(partition)),
            FlushNeed::At(at) => {
                queue.later_count += 1;
                let key = (at, queue.later_count);
                queue.later.insert(key, Arc::clone(partition));
            }
        }
        drop(queue);
        self.bell.ring();
    }

    /// Syncs what comes, for as long as the broker runs.
    pub async fn run(&self, failure: &Failure, metrics: &Metrics) {
        let mut timer = clock::DeadlineTimer::new();
        loop {
            let due = self.take_due(clock::now());
            if due.is_empty() {
                timer.set(self.next_deadline());
                tokio::select! {
                    biased;
                    () = self.bell.heard() => {}
                    () = timer.expired() => {}
                }
                continue;
            }
            let syncs = due.iter().map(|partition| self.flush(partition, failure, metrics));
            concurrently(SYNCS_AT_A_TIME_MAX, syncs.collect()).await;
        }
    }

    fn flush_later(&self, partition: &Arc<Partition>, at: Instant) {
        self.note(partition, FlushNeed::At(at));
    }

    fn take_due(&self, now: Instant) -> Vec<Arc<Partition>> {
        let mut queue = self.queue.lock().expect("flush queue");
        let mut due = std::mem::take(&mut queue.now);
        let still_later = queue.later.split_off(&(now, u64::MAX));
        let in_time = std::mem::replace(&mut queue.later, still_later);
        drop(queue);
        due.extend(in_time.into_values().filter(|partition| partition.flush_is_due()));
        due
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.queue.lock().expect("flush queue").later.keys().next().map(|(at, _)| *at)
    }

    async fn flush(&self, partition: &Arc<Partition>, failure: &Failure, metrics: &Metrics) {
        let Some(ticket) = partition.begin_flush() else { return };
        match ticket.run().await {
            Ok(()) => {
                metrics.flushes.add(1);
                partition.finish_flush(ticket);
            }
            Err(error) => match partition.flush_failed(ticket, error) {
                // Nothing was lost, nothing counts as flushed: those who wait go on waiting.
                LogError::NoDescriptors(error) => {
                    tracing::warn!(partition = %partition.name(), %error, "flush_put_off");
                    self.flush_later(partition, clock::now() + REFUSED_RETRY);
                }
                // The log goes on as though nothing had happened: its rule is suspended.
                LogError::Io(_) => self.flush_later(partition, clock::now() + FORGETFUL_RETRY),
                error => failure.trip(format!("{}: {error}", partition.name())),
            },
        }
    }
}
