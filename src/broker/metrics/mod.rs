//! What a broker counts. `exposition` says it to Prometheus.
//!
//! Counters are relaxed atomics, added to once per request or per socket read, never per record. Nothing here is
//! looked up by a name: what belongs to a partition is counted in that partition.

mod histogram;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::protocol::ApiKey;

pub(super) use histogram::Histogram;

/// A number that only grows.
#[derive(Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
pub(super) struct Metrics {
    pub connections_accepted: Counter,
    pub connections_refused: Counter,
    /// Not accepted: the peer was gone already, or there was no room for one more.
    pub accepts_failed: Counter,
    /// Closed for what they sent or did not: malformed, slow, idle, not reading.
    pub connections_dropped: Counter,
    pub bytes_received: Counter,
    pub bytes_sent: Counter,
    pub requests: Counter,
    /// With bytes after their last field, which are ignored.
    pub requests_with_trailing_bytes: Counter,
    pub requests_by_api: RequestsByApi,
    pub batches_appended: Counter,
    pub batch_bytes_appended: Counter,
    pub batches_refused: Counter,
    pub fetch_bytes: Counter,
    pub storage_errors: Counter,
    pub flushes: Counter,
    pub zookeeper_sessions: Counter,
    pub zookeeper_sessions_expired: Counter,
    /// From a produce request read to its reply made, the wait for the flush included.
    pub produce_time: Histogram,
    /// From a fetch request read to its reply made, of those that had enough to read at once.
    pub fetch_time: Histogram,
    /// The same, of those that had to wait for more.
    pub fetch_time_waited: Histogram,
    /// One flush of one partition's log.
    pub flush_time: Histogram,
}

/// API keys are below this; a larger one would need a larger table.
const API_KEYS_MAX: usize = 128;

/// Requests read, by what they ask for.
pub(super) struct RequestsByApi([Counter; API_KEYS_MAX]);

impl Default for RequestsByApi {
    fn default() -> RequestsByApi {
        RequestsByApi(std::array::from_fn(|_| Counter::default()))
    }
}

impl RequestsByApi {
    pub fn add(&self, api: ApiKey, count: u64) {
        self.of(api).add(count);
    }

    pub fn get(&self, api: ApiKey) -> u64 {
        self.of(api).get()
    }

    fn of(&self, api: ApiKey) -> &Counter {
        &self.0[api as i16 as usize]
    }
}

/// What is counted of one partition; kept in the partition.
#[derive(Default)]
pub(super) struct PartitionCounts {
    pub batches_appended: Counter,
    pub records_appended: Counter,
    pub bytes_appended: Counter,
    pub bytes_fetched: Counter,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::supported;

    #[test]
    fn every_api_has_a_counter_of_its_own() {
        let requests = RequestsByApi::default();
        for range in supported() {
            requests.add(range.key, 1);
        }

        assert!(supported().iter().all(|range| requests.get(range.key) == 1));
    }
}
