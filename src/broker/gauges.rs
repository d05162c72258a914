//! What is measured of a broker when somebody asks, rather than counted as it happens.

use std::time::Duration;

use super::core::Core;
use super::replicas::Local;
use crate::runtime::clock;

/// How much there is of what.
pub(super) struct Gauges {
    pub connections: u64,
    pub partitions: u64,
    pub partitions_led: u64,
    pub partitions_offline: u64,
    pub request_bytes_in_flight: u64,
}

/// The session with ZooKeeper, as this broker sees it.
pub(super) struct ZooKeeperState {
    /// There is a session, and it cannot have expired.
    pub is_registered: bool,
    /// A server answered within the last session's time.
    pub is_connected: bool,
    /// Since a leader of ZooKeeper last confirmed the session; none while there is no session.
    pub confirmed_age: Option<Duration>,
}

/// A limit, and how much of it is used.
pub(super) struct LimitUse {
    pub name: &'static str,
    pub used: u64,
    pub max: u64,
}

impl Core {
    pub fn gauges(&self) -> Gauges {
        let all = self.replicas.all();
        let count =
            |is_meant: fn(&Local) -> bool| all.iter().filter(|(_, local)| is_meant(local)).count() as u64;
        Gauges {
            connections: self.connections.count() as u64,
            partitions: all.len() as u64,
            partitions_led: count(
                |local| matches!(local, Local::Open(partition) if partition.epoch().is_some()),
            ),
            partitions_offline: count(|local| matches!(local, Local::Offline { .. })),
            request_bytes_in_flight: self.memory.bytes_held() as u64,
        }
    }

    pub fn zookeeper_state(&self) -> ZooKeeperState {
        let Some(registry) = self.registry() else {
            return ZooKeeperState { is_registered: false, is_connected: false, confirmed_age: None };
        };
        let zookeeper = registry.zookeeper();
        let now = clock::now();
        let is_led = !zookeeper.may_have_expired();
        ZooKeeperState {
            is_registered: is_led,
            is_connected: now.saturating_since(zookeeper.confirmed_at()) < zookeeper.session_timeout(),
            confirmed_age: Some(now.saturating_since(zookeeper.leader_confirmed_at())),
        }
    }

    /// Every limit that can be reached by what clients do.
    pub fn limits_in_use(&self) -> Vec<LimitUse> {
        let limits = &self.config.limits;
        let limit = |name, used: usize, max: usize| LimitUse { name, used: used as u64, max: max as u64 };
        let (descriptors, descriptors_max) = self.descriptors.shared_in_use();
        let (partitions, partitions_max) = self.descriptors.partitions_in_use();
        let of_one_address = self.connections.most_of_one_address();
        vec![
            limit("connections", self.connections.count(), limits.connections_max),
            limit("connections_of_one_address", of_one_address, limits.connections_per_ip_max),
            limit("request_bytes_in_flight", self.memory.bytes_held(), limits.request_bytes_in_flight_max),
            limit("file_descriptors", descriptors, descriptors_max),
            limit("partitions", partitions, partitions_max),
        ]
    }
}
