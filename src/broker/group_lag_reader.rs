//! Reads how far consumer groups are behind, of the partitions that this broker leads.
//!
//! The groups keep their offsets in ZooKeeper, so a broker has to read them there. It does so only while somebody asks
//! for metrics, now and then, and reads a bounded number of nodes each time. What it left out is counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use super::group_lag::LagReport;
use super::partition::Partition;
use crate::registry::{GroupOffset, Registry, RegistryError};
use crate::runtime::clock;
use crate::types::TopicPartition;

/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// How soon the first question after a pause is seen.
const IDLE_INTERVAL: Duration = Duration::from_millis(500);
/// Offsets read at one look.
const READS_MAX: usize = 2_000;
/// Groups looked at.
const GROUPS_MAX: usize = 500;

/// Looks now and then, for as long as it is polled.
pub(super) async fn read_when_asked(core: Arc<Core>) {
    loop {
        if !core.group_lag.is_asked_for() {
            clock::sleep(IDLE_INTERVAL).await;
            continue;
        }
        let report = match core.registry() {
            Some(registry) => look(&core, &registry).await,
            None => LagReport::default(),
        };
        core.group_lag.publish(report);
        clock::sleep(LOOK_INTERVAL).await;
    }
}

async fn look(core: &Core, registry: &Registry) -> LagReport {
    let mut report = LagReport::default();
    let mut led: BTreeMap<Arc<str>, Vec<Arc<Partition>>> = BTreeMap::new();
    for partition in core.replicas.open().into_iter().filter(|partition| partition.epoch().is_some()) {
        led.entry(Arc::clone(&partition.name().topic)).or_default().push(partition);
    }
    let groups = registry.groups().await.unwrap_or_else(|error| {
        tracing::debug!(%error, "groups_not_read");
        Vec::new()
    });
    report.left_out += groups.len().saturating_sub(GROUPS_MAX) as u64;
    let mut reads_left = READS_MAX;
    for group in groups.into_iter().take(GROUPS_MAX) {
        if let Err(error) = look_at_group(registry, &group, &led, &mut reads_left, &mut report).await {
            tracing::debug!(group, %error, "group_offsets_not_read");
            report.left_out += 1;
        }
    }
    report
}

async fn look_at_group(
    registry: &Registry,
    group: &str,
    led: &BTreeMap<Arc<str>, Vec<Arc<Partition>>>,
    reads_left: &mut usize,
    report: &mut LagReport,
) -> Result<(), RegistryError> {
    for topic in registry.group_topics(group).await? {
        let Some((topic, partitions)) = led.get_key_value(topic.as_str()) else { continue };
        let read = &partitions[..partitions.len().min(*reads_left)];
        *reads_left -= read.len();
        report.left_out += (partitions.len() - read.len()) as u64;
        let names: Vec<TopicPartition> = read.iter().map(|partition| partition.name().clone()).collect();
        let offsets = registry.group_offsets(group, &names).await?;
        let mut lags: Vec<u64> = Vec::new();
        for (partition, offset) in read.iter().zip(offsets) {
            match offset {
                GroupOffset::Next(offset) => {
                    let behind = partition.gauges().readable_end.0 - offset.0;
                    lags.push(u64::try_from(behind).unwrap_or_default());
                }
                GroupOffset::Absent => {}
                GroupOffset::Unreadable => report.left_out += 1,
            }
        }
        if !lags.is_empty() {
            report.lag.insert((group.to_owned(), Arc::clone(topic)), lags.iter().sum());
        }
    }
    Ok(())
}
