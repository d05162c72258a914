//! Clusters.

use proptest::prelude::*;
use seedlog::types::Durability;

/// Brokers, and the one topic that they share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    pub brokers: u32,
    pub partitions: u32,
    pub durability: Durability,
}

/// Up to three brokers and six partitions; shrinks towards one of each.
pub fn topology() -> impl Strategy<Value = Topology> {
    let durability = prop_oneof![Just(Durability::Fsync), Just(Durability::PageCache)];
    (1..=3u32, 1..=6u32, durability).prop_map(|(brokers, partitions, durability)| Topology {
        brokers,
        partitions,
        durability,
    })
}
