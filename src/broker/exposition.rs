//! Says to Prometheus what the broker counts and measures, in sorted order.
//!
//! Everything is gathered when somebody asks. The number of series is bounded: topics and partitions beyond a limit
//! have none of their own, and a gauge says how many those are.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet, prometheus_text, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::core::Core;
use super::gauges::LimitUse;
use super::metrics::{Counter, Histogram};
use super::partition::{Partition, PartitionGauges};
use crate::protocol::supported;

/// Topics that have series of their own, in order of their names; the rest are added up in one.
const TOPICS_MAX: usize = 1_000;
/// The label of the topics beyond that. No topic can be named so.
const OTHER_TOPICS: &str = "(other)";
/// Partitions that have series of their own.
const PARTITIONS_MAX: usize = 5_000;

/// How an answer is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// What Prometheus asks for.
    OpenMetrics,
    /// What everybody else is given.
    PrometheusText,
}

impl Format {
    /// By a request's head.
    pub fn wanted_by(head: &[u8]) -> Format {
        let head = String::from_utf8_lossy(head).to_ascii_lowercase();
        let accepts = head
            .lines()
            .any(|line| line.starts_with("accept:") && line.contains("application/openmetrics-text"));
        if accepts { Format::OpenMetrics } else { Format::PrometheusText }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::PrometheusText => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// One broker's registry of metrics.
pub(super) struct Exposition {
    registry: Registry,
}

impl Exposition {
    pub fn new(core: Arc<Core>) -> Exposition {
        let mut registry = Registry::with_prefix("seedlog");
        registry.register_collector(Box::new(BrokerCollector { core }));
        Exposition { registry }
    }

    /// Everything, as of now.
    pub fn render(&self, format: Format) -> String {
        let mut body = String::new();
        let rendered = match format {
            Format::OpenMetrics => text::encode(&mut body, &self.registry),
            Format::PrometheusText => prometheus_text::encode(&mut body, &self.registry),
        };
        rendered.expect("a String takes every text");
        body
    }
}

struct BrokerCollector {
    core: Arc<Core>,
}

impl fmt::Debug for BrokerCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BrokerCollector")
    }
}

impl Collector for BrokerCollector {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut page = Page { encoder };
        page.build()?;
        page.traffic(&self.core)?;
        page.storage(&self.core)?;
        page.zookeeper(&self.core)?;
        page.limits(&self.core)?;
        page.groups(&self.core)?;
        let partitions = self.core.replicas.open();
        page.topics(&partitions)?;
        page.partitions(&partitions)
    }
}

/// The answer that is being written.
struct Page<'a> {
    encoder: DescriptorEncoder<'a>,
}

impl Page<'_> {
    fn build(&mut self) -> fmt::Result {
        let help = "The program that serves this";
        let mut metric = self.encoder.encode_descriptor("build", help, None, MetricType::Info)?;
        metric.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])
    }

    fn traffic(&mut self, core: &Core) -> fmt::Result {
        let metrics = &core.metrics;
        self.counter("connections_accepted", "Connections accepted", None, &metrics.connections_accepted)?;
        self.counter("connections_refused", "Connections over a limit", None, &metrics.connections_refused)?;
        self.counter(
            "connections_dropped",
            "Connections closed for what they did",
            None,
            &metrics.connections_dropped,
        )?;
        self.counter(
            "accepts_failed",
            "Connections lost before they were accepted",
            None,
            &metrics.accepts_failed,
        )?;
        self.counter("received", "Bytes read from clients", Some(Unit::Bytes), &metrics.bytes_received)?;
        self.counter("sent", "Bytes sent to clients", Some(Unit::Bytes), &metrics.bytes_sent)?;
        self.counter("requests", "Requests of any kind", None, &metrics.requests)?;
        let trailing = &metrics.requests_with_trailing_bytes;
        self.counter(
            "requests_with_trailing_bytes",
            "Requests with bytes after their last field",
            None,
            trailing,
        )?;
        let by_api = |api| metrics.requests_by_api.get(api);
        let apis = supported().iter().map(|range| ([("api", range.key.name())], by_api(range.key)));
        self.counters("requests_by_api", "Requests, by what they ask for", None, apis)?;
        self.histogram("produce", "From a produce request read to its reply made", &metrics.produce_time)?;
        let fetches = [("waited", "no", &metrics.fetch_time), ("waited", "yes", &metrics.fetch_time_waited)];
        self.histograms("fetch", "From a fetch request read to its reply made", fetches)
    }

    fn storage(&mut self, core: &Core) -> fmt::Result {
        let metrics = &core.metrics;
        self.counter("appended_batches", "Batches appended", None, &metrics.batches_appended)?;
        self.counter(
            "appended",
            "Bytes of batches appended",
            Some(Unit::Bytes),
            &metrics.batch_bytes_appended,
        )?;
        self.counter("refused_batches", "Batches answered with an error", None, &metrics.batches_refused)?;
        self.counter(
            "fetched",
            "Bytes of batches sent to consumers",
            Some(Unit::Bytes),
            &metrics.fetch_bytes,
        )?;
        self.counter(
            "storage_errors",
            "Appends and reads that the disk failed",
            None,
            &metrics.storage_errors,
        )?;
        self.counter("flushes", "Flushes of a partition's log", None, &metrics.flushes)?;
        self.histogram("flush", "One flush of a partition's log", &metrics.flush_time)?;
        let gauges = core.gauges();
        self.gauge("partitions", "Partitions stored here", gauges.partitions)?;
        self.gauge("partitions_led", "Partitions led", gauges.partitions_led)?;
        self.gauge("partitions_offline", "Partitions that wait for an operator", gauges.partitions_offline)?;
        self.gauge("health_problems", "Reasons why /health is not ok", core.health_problems().len() as u64)
    }

    fn zookeeper(&mut self, core: &Core) -> fmt::Result {
        let metrics = &core.metrics;
        self.counter("zookeeper_sessions", "ZooKeeper sessions opened", None, &metrics.zookeeper_sessions)?;
        let expired = &metrics.zookeeper_sessions_expired;
        self.counter("zookeeper_sessions_expired", "ZooKeeper sessions that expired", None, expired)?;
        let zookeeper = core.zookeeper_state();
        self.gauge("registered", "1 while registered in ZooKeeper", u64::from(zookeeper.is_registered))?;
        self.gauge("zookeeper_connected", "1 while ZooKeeper answers", u64::from(zookeeper.is_connected))?;
        let Some(age) = zookeeper.confirmed_age else { return Ok(()) };
        let help = "Time since ZooKeeper last confirmed the session";
        let mut metric = self.encoder.encode_descriptor(
            "zookeeper_confirmed_age",
            help,
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        metric.encode_gauge(&age.as_secs_f64())
    }

    /// Every limit with its use; some under the names of earlier versions as well.
    fn limits(&mut self, core: &Core) -> fmt::Result {
        let limits = core.limits_in_use();
        let labelled = |limit: &LimitUse| [("limit", limit.name)];
        let used = limits.iter().map(|limit| (labelled(limit), limit.used));
        self.gauges("limit_used", "How much of a limit is used", used)?;
        let most = limits.iter().map(|limit| (labelled(limit), limit.max));
        self.gauges("limit_max", "The limit", most)?;
        let gauges = core.gauges();
        self.gauge("connections", "Connections open", gauges.connections)?;
        self.gauge(
            "request_bytes_in_flight",
            "Memory that large requests hold",
            gauges.request_bytes_in_flight,
        )
    }

    /// From the offset registry in ZooKeeper; a broker knows of the partitions that it leads.
    fn groups(&mut self, core: &Core) -> fmt::Result {
        let report = core.group_lag.ask();
        let labels = |group: &str, topic: &str| [("group", group.to_owned()), ("topic", topic.to_owned())];
        let lag = report.lag.iter().map(|((group, topic), lag)| (labels(group, topic), *lag));
        self.gauges("group_lag_records", "Records that a group has not finished yet", lag)?;
        self.gauge("group_lag_left_out", "Groups and partitions whose lag was not read", report.left_out)
    }

    fn topics(&mut self, partitions: &[Arc<Partition>]) -> fmt::Result {
        let topics = topic_sums(partitions);
        let topics = || topics.iter().map(|(topic, sums)| ([("topic", *topic)], sums));
        let bytes = || Some(Unit::Bytes);
        let records = topics().map(|(label, sums)| (label, sums.records_appended));
        self.counters("topic_appended_records", "Records appended", None, records)?;
        let batches = topics().map(|(label, sums)| (label, sums.batches_appended));
        self.counters("topic_appended_batches", "Batches appended", None, batches)?;
        let appended = topics().map(|(label, sums)| (label, sums.bytes_appended));
        self.counters("topic_appended", "Bytes of batches appended", bytes(), appended)?;
        let fetched = topics().map(|(label, sums)| (label, sums.bytes_fetched));
        self.counters("topic_fetched", "Bytes of batches sent to consumers", bytes(), fetched)?;
        let size = topics().map(|(label, sums)| (label, sums.log_bytes));
        self.gauges("topic_log_bytes", "Bytes of the log's files", size)
    }

    fn partitions(&mut self, partitions: &[Arc<Partition>]) -> fmt::Result {
        let shown: Vec<_> = partitions.iter().take(PARTITIONS_MAX).map(|p| (p, p.gauges())).collect();
        let left_out = partitions.len() - shown.len();
        self.gauge("metrics_partitions_left_out", "Partitions without series of their own", left_out as u64)?;
        let series = |value: fn(&PartitionGauges) -> i64| {
            shown.iter().map(move |(partition, gauges)| (partition_labels(partition), value(gauges) as u64))
        };
        self.gauges("log_start_offset", "The first offset held", series(|g| g.log_start.0))?;
        self.gauges("log_end_offset", "The offset that the next record gets", series(|g| g.log_end.0))?;
        self.gauges("readable_end_offset", "Consumers may read below this", series(|g| g.readable_end.0))
    }
}

/// What is counted of a topic's partitions here, added up.
#[derive(Default)]
struct TopicSums {
    batches_appended: u64,
    records_appended: u64,
    bytes_appended: u64,
    bytes_fetched: u64,
    log_bytes: u64,
}

/// By topic, those beyond the limit together.
fn topic_sums(partitions: &[Arc<Partition>]) -> BTreeMap<&str, TopicSums> {
    let mut topics: BTreeMap<&str, TopicSums> = BTreeMap::new();
    // Sorted by name, so that it is always the same topics that have a label.
    for partition in partitions {
        let name = &*partition.name().topic;
        let label = if topics.len() < TOPICS_MAX || topics.contains_key(name) { name } else { OTHER_TOPICS };
        let sums = topics.entry(label).or_default();
        sums.batches_appended += partition.counts.batches_appended.get();
        sums.records_appended += partition.counts.records_appended.get();
        sums.bytes_appended += partition.counts.bytes_appended.get();
        sums.bytes_fetched += partition.counts.bytes_fetched.get();
        sums.log_bytes += partition.gauges().log_bytes;
    }
    topics
}

fn partition_labels(partition: &Partition) -> [(&'static str, String); 2] {
    let name = partition.name();
    [("topic", name.topic.to_string()), ("partition", name.partition.to_string())]
}

/// How one metric is written.
impl Page<'_> {
    fn counter(&mut self, name: &str, help: &str, unit: Option<Unit>, counter: &Counter) -> fmt::Result {
        let mut metric = self.encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&counter.get(), None)
    }

    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        series: impl Iterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut metric = self.encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?;
        for (labels, value) in series {
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        metric.encode_gauge(&value)
    }

    fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        series: impl Iterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in series {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// Times, in seconds.
    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        write_histogram(self.encoder.encode_descriptor(name, help, unit, MetricType::Histogram)?, histogram)
    }

    /// Times, in seconds, of several kinds: a label's name, its value, and what was measured.
    fn histograms<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        kinds: [(&str, &str, &Histogram); N],
    ) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        let mut metric = self.encoder.encode_descriptor(name, help, unit, MetricType::Histogram)?;
        for (label, value, histogram) in kinds {
            write_histogram(metric.encode_family(&[(label, value)])?, histogram)?;
        }
        Ok(())
    }
}

fn write_histogram(mut metric: MetricEncoder, histogram: &Histogram) -> fmt::Result {
    let snapshot = histogram.snapshot();
    metric.encode_histogram::<NoLabelSet>(snapshot.sum_seconds, snapshot.count, &snapshot.buckets, None)
}
