//! Why a broker does not start, in words for the operator who reads them.

use std::io;
use std::time::Duration;

use super::data_dir::DataDirError;
use super::descriptors::TooFewDescriptors;
use crate::log::LogError;
use crate::registry::RegistryError;
use crate::types::{BrokerId, TopicPartition};
use crate::zookeeper::ZkError;

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error("the limit of open files cannot be raised: {0}")]
    OpenFilesLimit(io::Error),
    #[error(transparent)]
    TooFewDescriptors(#[from] TooFewDescriptors),
    /// The port is taken, or the address is not this machine's.
    #[error("cannot listen on {address}: {source}")]
    Listen { address: String, source: io::Error },
    #[error("ZooKeeper at {servers} cannot be reached: {error}")]
    ZooKeeper { servers: String, error: ZkError },
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("broker {broker} is registered by another process (waited {} ms for it to go)", waited.as_millis())]
    RegisteredElsewhere { broker: BrokerId, waited: Duration },
    /// ZooKeeper, asked in a new session, is another cluster's.
    #[error("ZooKeeper is of cluster {found} now, this broker belongs to cluster {ours}")]
    OtherCluster { ours: String, found: String },
    #[error("the log of {partition} cannot be used: {error}")]
    Log { partition: TopicPartition, error: LogError },
}
