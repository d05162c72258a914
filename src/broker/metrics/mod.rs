//! What a broker counts, and how Prometheus reads it.
//!
//! Counters are relaxed atomics, added to once per request or per socket read, never per record.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

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
    pub requests_produce: Counter,
    pub requests_fetch: Counter,
    pub batches_appended: Counter,
    pub batch_bytes_appended: Counter,
    pub batches_refused: Counter,
    pub fetch_bytes: Counter,
    pub storage_errors: Counter,
    pub flushes: Counter,
    pub zookeeper_sessions: Counter,
}

/// What is measured when asked rather than counted.
pub(super) struct Gauges {
    pub connections: u64,
    pub partitions: u64,
    pub partitions_led: u64,
    pub request_bytes_in_flight: u64,
    pub is_registered: bool,
}

impl Metrics {
    /// Prometheus' text format.
    pub fn render(&self, gauges: &Gauges) -> String {
        let counters: [(&str, &str, &Counter); 17] = [
            ("connections_accepted_total", "Connections accepted", &self.connections_accepted),
            ("connections_refused_total", "Connections over a limit", &self.connections_refused),
            ("accepts_failed_total", "Connections lost before they were accepted", &self.accepts_failed),
            ("connections_dropped_total", "Connections closed by the broker", &self.connections_dropped),
            ("received_bytes_total", "Bytes read from clients", &self.bytes_received),
            ("sent_bytes_total", "Bytes sent to clients", &self.bytes_sent),
            ("requests_total", "Requests of any kind", &self.requests),
            (
                "requests_with_trailing_bytes_total",
                "Requests with bytes after their last field",
                &self.requests_with_trailing_bytes,
            ),
            ("produce_requests_total", "Produce requests", &self.requests_produce),
            ("fetch_requests_total", "Fetch requests", &self.requests_fetch),
            ("appended_batches_total", "Batches appended", &self.batches_appended),
            ("appended_bytes_total", "Bytes of batches appended", &self.batch_bytes_appended),
            ("refused_batches_total", "Batches answered with an error", &self.batches_refused),
            ("fetched_bytes_total", "Bytes of batches sent to consumers", &self.fetch_bytes),
            ("storage_errors_total", "Appends and reads that the disk failed", &self.storage_errors),
            ("flushes_total", "Flushes of a partition's log", &self.flushes),
            ("zookeeper_sessions_total", "ZooKeeper sessions opened", &self.zookeeper_sessions),
        ];
        let gauges: [(&str, &str, u64); 5] = [
            ("connections", "Connections open", gauges.connections),
            ("partitions", "Partitions stored here", gauges.partitions),
            ("partitions_led", "Partitions led", gauges.partitions_led),
            ("request_bytes_in_flight", "Memory that large requests hold", gauges.request_bytes_in_flight),
            ("registered", "1 while registered in ZooKeeper", u64::from(gauges.is_registered)),
        ];
        let mut text = String::new();
        for (name, help, counter) in counters {
            line(&mut text, "counter", name, help, counter.get());
        }
        for (name, help, value) in gauges {
            line(&mut text, "gauge", name, help, value);
        }
        text
    }
}

fn line(text: &mut String, kind: &str, name: &str, help: &str, value: u64) {
    let written =
        writeln!(text, "# HELP seedlog_{name} {help}.\n# TYPE seedlog_{name} {kind}\nseedlog_{name} {value}");
    written.expect("a String takes every text");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_prometheus_text() {
        let metrics = Metrics::default();
        metrics.requests.add(3);
        let gauges = Gauges {
            connections: 1,
            partitions: 2,
            partitions_led: 2,
            request_bytes_in_flight: 0,
            is_registered: true,
        };

        let text = metrics.render(&gauges);

        assert!(
            text.contains("\n# TYPE seedlog_requests_total counter\nseedlog_requests_total 3\n"),
            "{text}"
        );
        assert!(text.contains("\nseedlog_registered 1\n"), "{text}");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.split_once(' ').expect("name and value");
            assert!(name.starts_with("seedlog_") && value.parse::<u64>().is_ok(), "{line}");
        }
    }
}
