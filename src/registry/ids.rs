//! What the cluster hands out once: its own id, and blocks of producer ids.

use std::ops::Range;

use super::znodes::{self, ProducerIdBlock};
use super::{ATTEMPTS_MAX, Registry, RegistryError, corrupt};
use crate::runtime::rng;
use crate::types::BrokerId;
use crate::zookeeper::{CreateMode, ZkError};

impl Registry {
    /// The cluster's id (22 characters); drawn now if there is none yet.
    pub async fn cluster_id(&self) -> Result<String, RegistryError> {
        let path = znodes::CLUSTER_ID;
        for _ in 0..ATTEMPTS_MAX {
            if let Some(id) = self.existing_cluster_id().await? {
                return Ok(id);
            }
            let mut id = [0; 16];
            rng::stream("cluster-id").fill(&mut id);
            match self.zookeeper.create(path, &znodes::write_cluster_id(&id), CreateMode::Persistent).await {
                // Whichever id is there now is the cluster's.
                Ok(_) | Err(ZkError::NodeExists | ZkError::ConnectionLost) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ZkError::ConnectionLost.into())
    }

    /// The cluster's id, if it has got one.
    pub async fn existing_cluster_id(&self) -> Result<Option<String>, RegistryError> {
        let path = znodes::CLUSTER_ID;
        match self.read_back(|| self.zookeeper.get_data(path)).await {
            Ok((data, _)) => znodes::read_cluster_id(&data).map(Some).map_err(|e| corrupt(path, e)),
            Err(ZkError::NoNode) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A block of producer ids that nobody else was given. A lost reply costs a block. Waits for idempotent producers
    /// (K3b): nothing but tests calls it yet.
    pub async fn next_producer_ids(&self, me: BrokerId) -> Result<Range<i64>, RegistryError> {
        let path = znodes::PRODUCER_ID_BLOCK;
        for _ in 0..ATTEMPTS_MAX {
            let (previous, version) = match self.read_back(|| self.zookeeper.get_data(path)).await {
                Ok((data, stat)) => {
                    let block = ProducerIdBlock::read(&data).map_err(|e| corrupt(path, e))?;
                    (Some(block), Some(stat.version))
                }
                Err(ZkError::NoNode) => (None, None),
                Err(error) => return Err(error.into()),
            };
            let Some(block) = ProducerIdBlock::after(previous, me) else {
                return Err(RegistryError::Corrupt {
                    path: path.to_owned(),
                    reason: "no id is left".to_owned(),
                });
            };
            let written = match version {
                Some(version) => self.zookeeper.set_data(path, &block.write(), Some(version)).await.map(drop),
                None => self.zookeeper.create(path, &block.write(), CreateMode::Persistent).await.map(drop),
            };
            match written {
                Ok(()) => return Ok(block.first..block.last + 1),
                Err(
                    ZkError::BadVersion | ZkError::NodeExists | ZkError::NoNode | ZkError::ConnectionLost,
                ) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ZkError::ConnectionLost.into())
    }
}
