//! How long something took, as counts between fixed bounds.
//!
//! An observation is two additions to relaxed atomics and no lock: requests that were answered together are added
//! together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Counter;

/// Upper bounds (inclusive) in microseconds, from a write to the page cache to a disk that stands still.
const BOUNDS_US: [u64; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

#[derive(Default)]
pub(in crate::broker) struct Histogram {
    counts: [Counter; BOUNDS_US.len()],
    /// Longer than the last bound.
    beyond: Counter,
    sum_ns: AtomicU64,
}

/// What Prometheus is told: counts between one bound and the next, not added up.
pub(in crate::broker) struct Snapshot {
    pub sum_seconds: f64,
    pub count: u64,
    pub buckets: Vec<(f64, u64)>,
}

impl Histogram {
    /// `count` things took `time` each.
    pub fn observe(&self, time: Duration, count: u64) {
        let time_us = time.as_nanos().div_ceil(1_000);
        let index = BOUNDS_US.partition_point(|bound| u128::from(*bound) < time_us);
        self.counts.get(index).unwrap_or(&self.beyond).add(count);
        let sum_ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).saturating_mul(count);
        self.sum_ns.fetch_add(sum_ns, Ordering::Relaxed);
    }

    pub fn snapshot(&self) -> Snapshot {
        let counts = self.counts.iter().map(Counter::get);
        let mut buckets: Vec<(f64, u64)> =
            BOUNDS_US.iter().map(|bound| *bound as f64 / 1e6).zip(counts).collect();
        buckets.push((f64::INFINITY, self.beyond.get()));
        let count = buckets.iter().map(|(_, count)| count).sum();
        Snapshot { sum_seconds: self.sum_ns.load(Ordering::Relaxed) as f64 / 1e9, count, buckets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_below_the_first_bound_that_it_does_not_exceed() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_micros(50), 1);
        histogram.observe(Duration::from_nanos(50_001), 1);
        histogram.observe(Duration::from_millis(3), 10);
        histogram.observe(Duration::from_secs(60), 1);

        let snapshot = histogram.snapshot();

        let filled: Vec<_> = snapshot.buckets.iter().filter(|(_, count)| *count > 0).copied().collect();
        assert_eq!(filled, [(0.00005, 1), (0.0001, 1), (0.005, 10), (f64::INFINITY, 1)]);
        assert_eq!(snapshot.count, 13);
        assert!((snapshot.sum_seconds - 60.030_100_001).abs() < 1e-9, "{}", snapshot.sum_seconds);
        assert!(BOUNDS_US.is_sorted());
    }
}
