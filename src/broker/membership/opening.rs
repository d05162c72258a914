//! Opens the log of a partition, or says what that has to wait for.

use std::sync::Arc;

use super::{Interrupted, Membership};
use crate::broker::config::topic_log_config;
use crate::broker::data_dir::DataDirError;
use crate::broker::metadata::Image;
use crate::broker::partition::Partition;
use crate::broker::replicas::{Local, Raise, Until};
use crate::broker::start_error::StartError;
use crate::types::{TopicId, TopicPartition};

/// What became of a log that was to be opened.
pub(super) enum Opened {
    /// `is_found`: its directory was there before.
    Open { partition: Arc<Partition>, is_found: bool },
    /// Offline until there is room.
    Waiting,
    /// Offline until an operator has decided.
    Offline,
}

impl Membership {
    /// Opens a partition's log.
    pub(super) async fn open(
        &self,
        name: TopicPartition,
        topic_id: TopicId,
        raise: Raise,
        image: &Image,
    ) -> Result<Opened, Interrupted> {
        let own = image.topics.get(&name.topic).map(|topic| topic.config.clone()).unwrap_or_default();
        let config = topic_log_config(&self.core.config, &own).unwrap_or_else(|problem| {
            tracing::error!(topic = %name.topic, %problem, "topic_config_not_usable_defaults_apply");
            self.core.config.log.clone()
        });
        let descriptor = match self.core.descriptors.for_partition() {
            Ok(descriptor) => descriptor,
            Err(error) => {
                self.take_offline(&name, topic_id, &error.to_string(), Until::Room(raise));
                return Ok(Opened::Waiting);
            }
        };
        let is_found = match self.data_dir.holds(&name, topic_id) {
            Ok(is_found) => is_found,
            Err(error) => return self.without_directory(&name, topic_id, raise, error),
        };
        // A later attempt finds what this one makes.
        let raise = if raise == Raise::IfFound && !is_found { Raise::Done } else { raise };
        let path = match self.data_dir.partition(&name, topic_id).await {
            Ok(path) => path,
            Err(error) => return self.without_directory(&name, topic_id, raise, error),
        };
        let opening = Partition::open(&path, self.core.id, name.clone(), topic_id, config, descriptor);
        match opening.await {
            Ok(partition) => {
                let partition = Arc::new(partition);
                self.core.replicas.insert(&name, Local::Open(Arc::clone(&partition)));
                Ok(Opened::Open { partition, is_found })
            }
            Err(error) if error.is_damage() => {
                self.take_offline(&name, topic_id, &error.to_string(), Until::Operator);
                Ok(Opened::Offline)
            }
            Err(error) if error.is_refusal() => {
                self.take_offline(&name, topic_id, &error.to_string(), Until::Room(raise));
                Ok(Opened::Waiting)
            }
            Err(error) => Err(Interrupted::Fatal(StartError::Log { partition: name, error })),
        }
    }

    fn without_directory(
        &self,
        name: &TopicPartition,
        topic_id: TopicId,
        raise: Raise,
        error: DataDirError,
    ) -> Result<Opened, Interrupted> {
        if let DataDirError::Corrupt { .. } = error {
            self.take_offline(name, topic_id, &error.to_string(), Until::Operator);
            return Ok(Opened::Offline);
        }
        if error.is_shortage() {
            self.take_offline(name, topic_id, &error.to_string(), Until::Room(raise));
            return Ok(Opened::Waiting);
        }
        Err(Interrupted::Fatal(error.into()))
    }

    fn take_offline(&self, name: &TopicPartition, topic_id: TopicId, reason: &str, until: Until) {
        let known = self.core.replicas.get(&name.topic, name.partition);
        let is_news = !matches!(known, Some(Local::Offline { reason: known, .. }) if *known == *reason);
        if is_news {
            tracing::error!(partition = %name, reason, "partition_offline");
        }
        self.core.replicas.insert(name, Local::Offline { topic_id, reason: Arc::from(reason), until });
    }
}
