//! The handle on a session.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::codec::Stat;
use super::{ZkError, ZooKeeperConfig};

/// How long a node lives, and who completes its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateMode {
    Persistent,
    Ephemeral,
    PersistentSequential,
    EphemeralSequential,
}

/// One operation of a multi.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MultiOp {
    Create {
        path: String,
        data: Bytes,
        mode: CreateMode,
    },
    Delete {
        path: String,
        version: Option<i32>,
    },
    SetData {
        path: String,
        data: Bytes,
        version: Option<i32>,
    },
    /// The node exists and has this version.
    Check {
        path: String,
        version: Option<i32>,
    },
}

/// What one operation of a successful multi did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MultiResult {
    /// The path, with its sequence number if it has one.
    Created(String),
    Deleted,
    DataSet(Stat),
    Checked,
}

/// What ended a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    Created,
    Deleted,
    DataChanged,
    ChildrenChanged,
    /// The session expired or its client was closed: nobody watches any longer.
    SessionLost,
}

/// Resolves once, when what it watches changes or the session ends.
pub struct Watch {
    pub(super) event: oneshot::Receiver<WatchEvent>,
}

impl Future for Watch {
    type Output = WatchEvent;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<WatchEvent> {
        Pin::new(&mut self.event).poll(cx).map(|event| event.unwrap_or(WatchEvent::SessionLost))
    }
}

/// A session with ZooKeeper; clones share it. It re-attaches after a lost connection until ZooKeeper says that
/// the session expired. Dropping the last clone leaves the session to expire; [`ZooKeeper::close`] ends it.
#[derive(Clone)]
pub struct ZooKeeper {}

impl ZooKeeper {
    /// Opens a session; fails with `ConnectionLost` when no server granted one within the session timeout.
    pub async fn connect(_config: ZooKeeperConfig) -> Result<ZooKeeper, ZkError> {
        Err(ZkError::Closed)
    }

    pub fn session_id(&self) -> i64 {
        0
    }

    /// As granted by the server.
    pub fn session_timeout(&self) -> Duration {
        Duration::ZERO
    }

    /// Resolves when ZooKeeper has said that the session is over.
    pub fn session_expired(&self) -> impl Future<Output = ()> + Send + 'static {
        std::future::pending()
    }

    /// Ends the session at the server, its ephemeral nodes with it.
    pub async fn close(self) {}

    /// Makes a node; returns its path, which has ten digits more in a sequential mode.
    pub async fn create(&self, _path: &str, _data: &[u8], _mode: CreateMode) -> Result<String, ZkError> {
        Err(ZkError::Closed)
    }

    pub async fn delete(&self, _path: &str, _version: Option<i32>) -> Result<(), ZkError> {
        Err(ZkError::Closed)
    }

    pub async fn exists(&self, _path: &str) -> Result<Option<Stat>, ZkError> {
        Err(ZkError::Closed)
    }

    pub async fn exists_watch(&self, _path: &str) -> Result<(Option<Stat>, Watch), ZkError> {
        Err(ZkError::Closed)
    }

    pub async fn get_data(&self, _path: &str) -> Result<(Bytes, Stat), ZkError> {
        Err(ZkError::Closed)
    }

    pub async fn get_data_watch(&self, _path: &str) -> Result<(Bytes, Stat, Watch), ZkError> {
        Err(ZkError::Closed)
    }

    /// `version`: only if the node has it.
    pub async fn set_data(&self, _path: &str, _data: &[u8], _version: Option<i32>) -> Result<Stat, ZkError> {
        Err(ZkError::Closed)
    }

    /// Names, sorted.
    pub async fn get_children(&self, _path: &str) -> Result<Vec<String>, ZkError> {
        Err(ZkError::Closed)
    }

    pub async fn get_children_watch(&self, _path: &str) -> Result<(Vec<String>, Watch), ZkError> {
        Err(ZkError::Closed)
    }

    /// Reads that follow see every write that anybody completed before this call.
    pub async fn sync(&self, _path: &str) -> Result<(), ZkError> {
        Err(ZkError::Closed)
    }

    /// All or nothing; the error is that of the first operation that failed.
    pub async fn multi(&self, _operations: Vec<MultiOp>) -> Result<Vec<MultiResult>, ZkError> {
        Err(ZkError::Closed)
    }
}
