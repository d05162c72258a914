//! The cluster as one broker last saw it in ZooKeeper: who is alive, which topics there are, who leads what.
//!
//! A value: built whole, published whole, never changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::registry::{BrokerRegistration, PartitionState};
use crate::types::{BrokerId, LeaderEpoch, TopicId, TopicPartition};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::broker) struct Image {
    pub brokers: BTreeMap<BrokerId, BrokerRegistration>,
    pub topics: BTreeMap<Arc<str>, Arc<TopicImage>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::broker) struct TopicImage {
    pub topic_id: TopicId,
    pub config: BTreeMap<String, String>,
    pub partitions: BTreeMap<i32, PartitionImage>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::broker) struct PartitionImage {
    pub replicas: Vec<BrokerId>,
    /// `None` where the state was not written yet, or could not be read.
    pub state: Option<PartitionState>,
}

/// Who answers for a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) enum Leader {
    Alive(BrokerId, LeaderEpoch),
    /// Nobody, or one who is not registered.
    Unavailable(LeaderEpoch),
}

impl Image {
    /// One broker is named controller to clients: the lowest number, until a controller is elected.
    pub fn controller(&self) -> Option<BrokerId> {
        self.brokers.keys().next().copied()
    }

    pub fn partition(&self, topic: &str, partition: i32) -> Option<&PartitionImage> {
        self.topics.get(topic)?.partitions.get(&partition)
    }

    /// Replaces a partition's state, where the partition is known.
    pub fn set_state(&mut self, partition: &TopicPartition, state: PartitionState) {
        let Some(topic) = self.topics.get_mut(&partition.topic) else { return };
        if let Some(known) = Arc::make_mut(topic).partitions.get_mut(&partition.partition) {
            known.state = Some(state);
        }
    }

    pub fn leader(&self, partition: &PartitionImage) -> Leader {
        match &partition.state {
            Some(PartitionState { leader: Some(leader), leader_epoch, .. })
                if self.brokers.contains_key(leader) =>
            {
                Leader::Alive(*leader, *leader_epoch)
            }
            state => Leader::Unavailable(state.as_ref().map_or(LeaderEpoch::UNKNOWN, |s| s.leader_epoch)),
        }
    }
}

#[cfg(test)]
pub(in crate::broker) mod tests {
    use super::*;

    pub fn broker(id: i32) -> (BrokerId, BrokerRegistration) {
        let broker = BrokerId(id);
        (broker, BrokerRegistration { broker, host: format!("h{id}"), port: 9092, rack: None })
    }

    pub fn led_by(leader: i32, epoch: i32) -> PartitionImage {
        let leader = BrokerId(leader);
        let state = PartitionState {
            leader: Some(leader),
            leader_epoch: LeaderEpoch(epoch),
            controller_epoch: 0,
            isr: vec![leader],
        };
        PartitionImage { replicas: vec![leader], state: Some(state) }
    }

    #[test]
    fn a_leader_who_is_not_registered_is_not_available() {
        let image = Image { brokers: BTreeMap::from([broker(1)]), ..Image::default() };

        assert_eq!(image.leader(&led_by(1, 4)), Leader::Alive(BrokerId(1), LeaderEpoch(4)));
        assert_eq!(image.leader(&led_by(2, 4)), Leader::Unavailable(LeaderEpoch(4)));
        let stateless = PartitionImage { replicas: vec![BrokerId(1)], state: None };
        assert_eq!(image.leader(&stateless), Leader::Unavailable(LeaderEpoch::UNKNOWN));
    }

    #[test]
    fn the_lowest_broker_is_named_controller() {
        let image = Image { brokers: BTreeMap::from([broker(3), broker(2)]), ..Image::default() };

        assert_eq!(image.controller(), Some(BrokerId(2)));
        assert_eq!(Image::default().controller(), None);
    }
}
