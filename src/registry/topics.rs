//! Topics and the states of their partitions.

use bytes::Bytes;

use super::{ATTEMPTS_MAX, PartitionState, Registry, RegistryError, TopicSpec, corrupt, retry_read, znodes};
use crate::types::{BrokerId, LeaderEpoch, TopicPartition};
use crate::zookeeper::{CreateMode, MultiOp, REQUEST_BYTES_MAX, Stat, Watch, ZkError, multi_bytes};

impl TopicSpec {
    /// A topic is made by one write to ZooKeeper, which takes so many bytes at most.
    pub const CREATION_BYTES_MAX: usize = REQUEST_BYTES_MAX;

    /// How many bytes the write that makes this topic takes.
    pub fn creation_bytes(&self) -> usize {
        multi_bytes(creation(self, false))
    }
}

/// The controller epoch of a state that no controller wrote.
const NO_CONTROLLER_EPOCH: i32 = 0;

impl Registry {
    /// Makes a topic and the states of its partitions (the first replica leads, epoch 0) in one step.
    /// `TopicExists` unless the topic there has this very topic id.
    pub async fn create_topic(&self, topic: &TopicSpec) -> Result<(), RegistryError> {
        let name = checked(&topic.name)?;
        let path = znodes::topic(name);
        for _ in 0..ATTEMPTS_MAX {
            let config_path = znodes::topic_config(name);
            let configured = self.read_back(|| self.zookeeper.exists(&config_path)).await?.is_some();
            match self.zookeeper.multi(creation(topic, configured)).await {
                Ok(_) => return Ok(()),
                // Another's topic, this very one after a lost reply, or a race about its config.
                Err(ZkError::NodeExists | ZkError::ConnectionLost) => {}
                Err(ZkError::NoNode) if configured => {}
                Err(error) => return Err(error.into()),
            }
            match self.read_back(|| self.zookeeper.get_data(&path)).await {
                Ok((data, _)) => {
                    let there =
                        znodes::read_topic(name, &data, Default::default()).map_err(|e| corrupt(&path, e))?;
                    let is_this = there.topic_id == topic.topic_id;
                    return if is_this { Ok(()) } else { Err(RegistryError::TopicExists(name.to_owned())) };
                }
                Err(ZkError::NoNode) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ZkError::ConnectionLost.into())
    }

    /// Removes a topic with all that belongs to it. `NoSuchTopic` if there is none. Waits for the deletion of topics
    /// (K7): nothing but tests calls it yet.
    pub async fn delete_topic(&self, name: &str) -> Result<(), RegistryError> {
        checked(name)?;
        let mut may_be_done = false;
        for _ in 0..ATTEMPTS_MAX {
            let Some(removal) = self.removal(name).await? else {
                return if may_be_done { Ok(()) } else { Err(RegistryError::NoSuchTopic(name.to_owned())) };
            };
            match self.zookeeper.multi(removal).await {
                Ok(_) => return Ok(()),
                Err(ZkError::ConnectionLost) => may_be_done = true,
                // It changed since it was read.
                Err(ZkError::NoNode | ZkError::NotEmpty) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ZkError::ConnectionLost.into())
    }

    /// The names of all topics, sorted; the watch fires when one comes or goes.
    pub async fn topics_watch(&self) -> Result<(Vec<String>, Watch), RegistryError> {
        Ok(retry_read(|| self.zookeeper.get_children_watch(znodes::TOPICS)).await?)
    }

    pub async fn topic(&self, name: &str) -> Result<Option<TopicSpec>, RegistryError> {
        checked(name)?;
        let path = znodes::topic(name);
        let data = match retry_read(|| self.zookeeper.get_data(&path)).await {
            Ok((data, _)) => data,
            Err(ZkError::NoNode) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let config_path = znodes::topic_config(name);
        let config = match retry_read(|| self.zookeeper.get_data(&config_path)).await {
            Ok((data, _)) => znodes::read_config(&data).map_err(|e| corrupt(&config_path, e))?,
            Err(ZkError::NoNode) => Default::default(),
            Err(error) => return Err(error.into()),
        };
        znodes::read_topic(name, &data, config).map(Some).map_err(|e| corrupt(&path, e))
    }

    /// The state of a partition and the version to compare with when changing it.
    pub async fn partition_state(
        &self,
        partition: &TopicPartition,
    ) -> Result<Option<(PartitionState, i32)>, RegistryError> {
        checked(&partition.topic)?;
        let path = znodes::partition_state(partition);
        versioned_state(&path, retry_read(|| self.zookeeper.get_data(&path)).await)
    }

    /// Raises the leader epoch of a partition that `me` leads, to above what `in_log` says, and returns the new one, which
    /// nobody else was given. A lost reply costs an epoch: one that may or may not have been written is never taken for
    /// ours.
    pub async fn raise_leader_epoch(
        &self,
        partition: &TopicPartition,
        me: BrokerId,
        in_log: LeaderEpoch,
    ) -> Result<LeaderEpoch, RegistryError> {
        checked(&partition.topic)?;
        let path = znodes::partition_state(partition);
        for _ in 0..ATTEMPTS_MAX {
            let read = self.read_back(|| self.zookeeper.get_data(&path)).await;
            let stored = versioned_state(&path, read)?;
            let Some((mut state, version)) = stored else {
                return Err(RegistryError::NoSuchPartition(partition.clone()));
            };
            if state.leader != Some(me) {
                return Err(RegistryError::NotLeader { partition: partition.clone(), leader: state.leader });
            }
            let latest = state.leader_epoch.max(in_log);
            state.leader_epoch = LeaderEpoch(latest.0.checked_add(1).ok_or_else(|| {
                RegistryError::Corrupt { path: path.clone(), reason: "no leader epoch is left".to_owned() }
            })?);
            match self.zookeeper.set_data(&path, &znodes::write_state(&state), Some(version)).await {
                Ok(_) => return Ok(state.leader_epoch),
                Err(ZkError::BadVersion | ZkError::ConnectionLost | ZkError::NoNode) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ZkError::ConnectionLost.into())
    }

    /// What removes the topic as it stands; `None` if there is none.
    async fn removal(&self, name: &str) -> Result<Option<Vec<MultiOp>>, RegistryError> {
        let topic = znodes::topic(name);
        if self.read_back(|| self.zookeeper.exists(&topic)).await?.is_none() {
            return Ok(None);
        }
        let mut paths = vec![topic.clone()];
        let mut looked_into = 0;
        while let Some(path) = paths.get(looked_into).cloned() {
            looked_into += 1;
            match retry_read(|| self.zookeeper.get_children(&path)).await {
                Ok(names) => paths.extend(names.into_iter().map(|name| format!("{path}/{name}"))),
                // Gone since: the removal will notice.
                Err(ZkError::NoNode) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let config = znodes::topic_config(name);
        if retry_read(|| self.zookeeper.exists(&config)).await?.is_some() {
            paths.insert(0, config);
        }
        // Children were found after their parents.
        let deletions = paths.into_iter().rev().map(|path| MultiOp::Delete { path, version: None });
        Ok(Some(deletions.collect()))
    }
}

fn versioned_state(
    path: &str,
    read: Result<(Bytes, Stat), ZkError>,
) -> Result<Option<(PartitionState, i32)>, RegistryError> {
    match read {
        Ok((data, stat)) => {
            let state = znodes::read_state(&data).map_err(|e| corrupt(path, e))?;
            Ok(Some((state, stat.version)))
        }
        Err(ZkError::NoNode) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A name that is one part of a path and no other path.
fn checked(name: &str) -> Result<&str, RegistryError> {
    let is_a_part = !name.is_empty() && name != "." && name != ".." && !name.contains('/');
    if is_a_part { Ok(name) } else { Err(ZkError::BadArguments.into()) }
}

/// What makes a topic, parents first. Its config may be there before it.
fn creation(topic: &TopicSpec, configured: bool) -> Vec<MultiOp> {
    let create = |path: String, data: Vec<u8>| MultiOp::Create {
        path,
        data: Bytes::from(data),
        mode: CreateMode::Persistent,
    };
    let config_path = znodes::topic_config(&topic.name);
    let config = Bytes::from(znodes::write_config(&topic.config));
    let mut operations = vec![match configured {
        true => MultiOp::SetData { path: config_path, data: config, version: None },
        false => MultiOp::Create { path: config_path, data: config, mode: CreateMode::Persistent },
    }];
    operations.push(create(znodes::topic(&topic.name), znodes::write_topic(topic)));
    operations.push(create(znodes::partitions(&topic.name), Vec::new()));
    for (number, replicas) in &topic.partitions {
        let state = PartitionState {
            leader: replicas.first().copied(),
            leader_epoch: LeaderEpoch(0),
            controller_epoch: NO_CONTROLLER_EPOCH,
            isr: replicas.clone(),
        };
        operations.push(create(znodes::partition(&topic.name, &number.to_string()), Vec::new()));
        let partition = TopicPartition::new(topic.name.as_str(), *number);
        operations.push(create(znodes::partition_state(&partition), znodes::write_state(&state)));
    }
    operations
}
