//! Reads the cluster from ZooKeeper, and again what may have changed since.
//!
//! The brokers' and the topics' registries are watched. Partition states are not, one by one: a leader raises
//! its epochs *before* it registers, so that whoever sees the registration then reads the new states.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::image::{Image, PartitionImage, TopicImage};
use crate::registry::{BrokerRegistration, PartitionState, Registry, RegistryError};
use crate::runtime::{clock, concurrently};
use crate::types::{BrokerId, TopicPartition};
use crate::zookeeper::Watch;

/// Reads sent to ZooKeeper side by side.
const READS_AT_A_TIME_MAX: usize = 32;
/// What was found half-written is looked at again after this time.
const INCOMPLETE_RETRY: Duration = Duration::from_millis(500);

/// One session's reader.
pub(in crate::broker) struct Refresh {
    registry: Registry,
    brokers: Option<(BTreeMap<BrokerId, BrokerRegistration>, Watch)>,
    topics: Option<(Vec<String>, Watch)>,
    /// As last read; partition states of a topic are kept until something says that they may be old.
    known: BTreeMap<Arc<str>, Arc<TopicImage>>,
    /// What has to be read again; cleared only when that has succeeded.
    stale: Stale,
    /// Something was there that could not be read whole.
    is_incomplete: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Stale {
    specs: bool,
    states: bool,
}

/// What was read of a topic.
#[derive(Default)]
struct TopicRead {
    found: Option<(Arc<str>, Arc<TopicImage>)>,
    /// What is stored there cannot be understood, and may be mended any time.
    is_to_be_read_again: bool,
}

impl Refresh {
    /// A reader that has read nothing yet.
    pub fn new(registry: Registry) -> Refresh {
        Refresh {
            registry,
            brokers: None,
            topics: None,
            known: BTreeMap::new(),
            stale: Stale::default(),
            is_incomplete: false,
        }
    }

    /// The cluster as it is now: reads what has not been read or may have changed.
    pub async fn read(&mut self) -> Result<Image, RegistryError> {
        self.stale.specs |= self.is_incomplete || self.topics.is_none();
        self.stale.states |= self.brokers.is_none();
        if self.brokers.is_none() {
            self.brokers = Some(self.registry.brokers_watch().await?);
        }
        if self.topics.is_none() {
            self.topics = Some(self.registry.topics_watch().await?);
        }
        if self.stale.specs || self.stale.states {
            self.read_topics(self.stale).await?;
            self.stale = Stale::default();
        }
        let brokers = self.brokers.as_ref().map(|(brokers, _)| brokers.clone()).unwrap_or_default();
        Ok(Image { brokers, topics: self.known.clone() })
    }

    /// First the topics, then the states of all their partitions side by side: a topic of a thousand partitions would
    /// else take a thousand round trips.
    async fn read_topics(&mut self, stale: Stale) -> Result<(), RegistryError> {
        let names = self.topics.as_ref().map(|(names, _)| names.clone()).unwrap_or_default();
        let reads = names.iter().map(|name| self.read_topic(name, stale));
        let mut found = BTreeMap::new();
        let mut is_incomplete = false;
        for topic in concurrently(READS_AT_A_TIME_MAX, reads.collect()).await {
            let topic = topic?;
            is_incomplete |= topic.is_to_be_read_again;
            found.extend(topic.found);
        }
        let unread: Vec<TopicPartition> =
            found.iter().flat_map(|(name, topic)| stateless(name, topic)).collect();
        let reads = unread.iter().map(|partition| self.read_state(partition));
        let mut states = concurrently(READS_AT_A_TIME_MAX, reads.collect()).await.into_iter();
        for partition in &unread {
            let state = states.next().expect("one for each")?;
            is_incomplete |= state.is_none();
            let topic = found.get_mut(&partition.topic).map(Arc::make_mut);
            if let Some(known) = topic.and_then(|topic| topic.partitions.get_mut(&partition.partition)) {
                known.state = state;
            }
        }
        self.known = found;
        self.is_incomplete = is_incomplete;
        Ok(())
    }

    /// The topic as it stands; states of its partitions only where they are known and not stale.
    async fn read_topic(&self, name: &str, stale: Stale) -> Result<TopicRead, RegistryError> {
        let known = self.known.get_key_value(name);
        let as_known = || known.map(|(name, topic)| (Arc::clone(name), Arc::clone(topic)));
        if known.is_some() && !stale.specs && !stale.states {
            return Ok(TopicRead { found: as_known(), is_to_be_read_again: false });
        }
        let spec = match self.registry.topic(name).await {
            // Somebody's slip of the pen ends no partition: it goes on as it was until that is mended.
            Err(RegistryError::Corrupt { path, reason }) => {
                tracing::error!(path, reason, "topic_not_understood");
                return Ok(TopicRead { found: as_known(), is_to_be_read_again: true });
            }
            spec => spec?,
        };
        // A topic deleted meanwhile: the watch will say so too.
        let Some(spec) = spec else { return Ok(TopicRead::default()) };
        let name: Arc<str> = known.map_or_else(|| Arc::from(name), |(name, _)| Arc::clone(name));
        let same =
            known.map(|(_, topic)| topic).filter(|topic| topic.topic_id == spec.topic_id && !stale.states);
        let partition = |(number, replicas)| {
            let state = same.and_then(|topic| topic.partitions.get(&number)?.state.clone());
            (number, PartitionImage { replicas, state })
        };
        let partitions = spec.partitions.into_iter().map(partition).collect();
        let topic = TopicImage { topic_id: spec.topic_id, config: spec.config, partitions };
        Ok(TopicRead { found: Some((name, Arc::new(topic))), is_to_be_read_again: false })
    }

    async fn read_state(&self, partition: &TopicPartition) -> Result<Option<PartitionState>, RegistryError> {
        match self.registry.partition_state(partition).await {
            Err(RegistryError::Corrupt { path, reason }) => {
                tracing::error!(path, reason, "partition_state_not_understood");
                Ok(None)
            }
            state => Ok(state?.map(|(state, _version)| state)),
        }
    }

    /// Waits until a watch has fired (or a second look is due); [`Refresh::read`] then reads again.
    pub async fn changed(&mut self) {
        let (Some((_, brokers)), Some((_, topics))) = (&mut self.brokers, &mut self.topics) else { return };
        let again = async {
            match self.is_incomplete {
                true => clock::sleep(INCOMPLETE_RETRY).await,
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _event = brokers => self.brokers = None,
            _event = topics => self.topics = None,
            () = again => {}
        }
    }

    /// States a leader epoch that this broker has raised itself.
    pub fn note_state(&mut self, partition: &TopicPartition, state: PartitionState) {
        let Some(topic) = self.known.get_mut(&partition.topic) else { return };
        let topic = Arc::make_mut(topic);
        if let Some(known) = topic.partitions.get_mut(&partition.partition) {
            known.state = Some(state);
        }
    }
}

/// The partitions whose states are yet to be read.
fn stateless(name: &Arc<str>, topic: &TopicImage) -> Vec<TopicPartition> {
    let unread = topic.partitions.iter().filter(|(_, partition)| partition.state.is_none());
    unread.map(|(number, _)| TopicPartition::new(Arc::clone(name), *number)).collect()
}
