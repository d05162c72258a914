//! The handle on a session.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::codec::{
    Acl, CreateFlags, CreateRequest, ErrorCode, MultiReply, Op, PathDataVersion, PathVersion, PathWatch,
    REQUEST_BYTES_MAX, Reply, Stat,
};
use super::driver::{Call, Driver, Status};
use super::session::WatchRequest;
use super::watches::WatchOn;
use super::{ZkError, ZooKeeperConfig};
use crate::runtime::task::{Lane, TaskGroup};
use crate::runtime::{Elapsed, Instant, ask, clock};
use crate::types::SessionId;

/// Calls between the handles and the driver; a caller waits for room.
const CALLS_QUEUED_MAX: usize = 256;
/// How the wire says that a version does not matter.
const ANY_VERSION: i32 = -1;

/// How long a node lives, and who completes its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateMode {
    Persistent,
    Ephemeral,
    PersistentSequential,
    EphemeralSequential,
}

/// One operation of a multi.
///
/// ```no_run
/// # use seedlog::zookeeper::{MultiOp, ZkError, ZooKeeper};
/// # async fn example(zookeeper: &ZooKeeper, version: i32) -> Result<(), ZkError> {
/// // Only while nobody has changed the one is the other deleted.
/// let check = MultiOp::Check { path: "/epoch".into(), version: Some(version) };
/// let deletion = MultiOp::Delete { path: "/claim".into(), version: None };
/// zookeeper.multi(vec![check, deletion]).await?;
/// # Ok(())
/// # }
/// ```
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
///
/// ```no_run
/// # use seedlog::zookeeper::{WatchEvent, ZkError, ZooKeeper};
/// # async fn example(zookeeper: &ZooKeeper) -> Result<(), ZkError> {
/// loop {
///     let (data, _stat, changed) = zookeeper.get_data_watch("/config").await?;
///     println!("{} bytes", data.len());
///     if changed.await == WatchEvent::SessionLost {
///         return Err(ZkError::SessionExpired);
///     }
/// }
/// # }
/// ```
pub struct Watch {
    event: oneshot::Receiver<WatchEvent>,
}

impl Future for Watch {
    type Output = WatchEvent;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<WatchEvent> {
        Pin::new(&mut self.event).poll(cx).map(|event| event.unwrap_or(WatchEvent::SessionLost))
    }
}

/// A session with ZooKeeper; clones share it. It re-attaches after a lost connection until ZooKeeper says that
/// the session expired. Dropping the last clone leaves the session to expire; [`ZooKeeper::close`] ends it.
///
/// ```no_run
/// use std::time::Duration;
///
/// use seedlog::zookeeper::{CreateMode, ZkError, ZooKeeper, ZooKeeperConfig};
///
/// # async fn example() -> Result<(), ZkError> {
/// let config = ZooKeeperConfig {
///     servers: vec!["127.0.0.1:2181".to_owned()],
///     session_timeout: Duration::from_secs(6),
///     connect_timeout: Duration::from_secs(2),
/// };
/// let zookeeper = ZooKeeper::connect(config).await?;
/// match zookeeper.create("/lock", b"mine", CreateMode::Ephemeral).await {
///     Ok(_) => println!("held until {:?} at least", zookeeper.alive_until()),
///     // Whose it is, the node itself tells: a lost reply may have hidden a success.
///     Err(ZkError::NodeExists | ZkError::ConnectionLost) => {
///         let owner = zookeeper.exists("/lock").await?.map(|stat| stat.ephemeral_owner);
///         println!("mine: {}", owner == Some(zookeeper.session_id()));
///     }
///     Err(error) => return Err(error),
/// }
/// zookeeper.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ZooKeeper {
    inner: Arc<Inner>,
}

struct Inner {
    calls: mpsc::Sender<Call>,
    status: Arc<Status>,
    connect_timeout: Duration,
    /// Stops the driver when the last handle goes.
    tasks: TaskGroup,
}

impl ZooKeeper {
    /// Opens a session; fails with `ConnectionLost` when no server granted one within the session timeout.
    pub async fn connect(config: ZooKeeperConfig) -> Result<ZooKeeper, ZkError> {
        if config.servers.is_empty() {
            return Err(ZkError::BadAddress(String::new()));
        }
        if let Some(bad) = config.servers.iter().find(|server| super::split_address(server).is_none()) {
            return Err(ZkError::BadAddress(bad.clone()));
        }
        let patience = config.session_timeout.max(config.connect_timeout);
        let connect_timeout = config.connect_timeout;
        let (calls, taken) = mpsc::channel(CALLS_QUEUED_MAX);
        let (attached, first_attached) = oneshot::channel();
        let status = Arc::new(Status::new());
        let tasks = TaskGroup::new(Lane::Control);
        tasks.spawn("zookeeper-client", Driver::new(config, Arc::clone(&status), taken, attached).run());
        match clock::timeout(patience, first_attached).await {
            Ok(Ok(())) => Ok(ZooKeeper { inner: Arc::new(Inner { calls, status, connect_timeout, tasks }) }),
            Ok(Err(_)) | Err(Elapsed) => Err(ZkError::ConnectionLost),
        }
    }

    pub fn session_id(&self) -> SessionId {
        self.inner.status.session_id()
    }

    /// As granted by the server.
    pub fn session_timeout(&self) -> Duration {
        self.inner.status.timeout()
    }

    /// When the last message was sent that a server answered, be it a ping. It proves that a server is there and
    /// nothing of the session: a follower that is cut from its leader answers pings and reads while the leader expires
    /// the session. What depends on the session asks [`ZooKeeper::leader_confirmed_at`].
    pub fn confirmed_at(&self) -> Instant {
        self.inner.status.confirmed_at()
    }

    /// When the last message was sent that only a leader can have answered: a write, a `sync` (this client sends one
    /// at a third of the session timeout by itself), or the attaching of the session. The session lived then.
    pub fn leader_confirmed_at(&self) -> Instant {
        self.inner.status.leader_confirmed_at()
    }

    /// The session does not expire before this instant, and neither do its ephemeral nodes: two thirds of the timeout
    /// after [`ZooKeeper::leader_confirmed_at`]. Only grows while the session lives.
    ///
    /// Assumed: the session timeout is at least three times the servers' `tickTime`, and `localSessionsEnabled` is
    /// off, as it is by default.
    pub fn alive_until(&self) -> Instant {
        self.inner.status.alive_until()
    }

    /// No leader has confirmed the session for its whole timeout: it may have expired, and only a server's word will
    /// tell.
    pub fn may_have_expired(&self) -> bool {
        clock::now() >= self.leader_confirmed_at() + self.session_timeout()
    }

    /// Resolves when ZooKeeper has said that the session is over.
    pub fn session_expired(&self) -> impl Future<Output = ()> + Send + 'static {
        Arc::clone(&self.inner.status).expired()
    }

    /// Ends the session at the server, its ephemeral nodes with it. If no server can be told within the
    /// connect timeout, the session is left to expire.
    pub async fn close(self) {
        let told = clock::timeout(self.inner.connect_timeout, self.call(Op::Close)).await;
        let reason = match told {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(elapsed) => Some(elapsed.to_string()),
        };
        if let Some(reason) = reason {
            tracing::warn!(session = %self.session_id(), reason, "zookeeper_session_left_to_expire");
        }
        self.inner.tasks.abort_all();
    }

    /// Makes a node; returns its path, which has ten digits more in a sequential mode.
    pub async fn create(&self, path: &str, data: &[u8], mode: CreateMode) -> Result<String, ZkError> {
        check_size(data)?;
        let request = create_request(path.to_owned(), Bytes::copy_from_slice(data), mode);
        match self.call(Op::Create(request)).await? {
            Reply::Path(path) => Ok(path),
            other => mismatch(&other),
        }
    }

    /// `version`: only if the node has it.
    pub async fn delete(&self, path: &str, version: Option<i32>) -> Result<(), ZkError> {
        self.call(Op::Delete(path_version(path.to_owned(), version))).await.map(drop)
    }

    pub async fn exists(&self, path: &str) -> Result<Option<Stat>, ZkError> {
        existing(self.call(Op::Exists(read(path, false))).await)
    }

    pub async fn exists_watch(&self, path: &str) -> Result<(Option<Stat>, Watch), ZkError> {
        let (reply, watch) = self.call_watching(Op::Exists(read(path, true)), WatchOn::Existence, path).await;
        Ok((existing(reply)?, watch))
    }

    pub async fn get_data(&self, path: &str) -> Result<(Bytes, Stat), ZkError> {
        content(self.call(Op::GetData(read(path, false))).await?)
    }

    pub async fn get_data_watch(&self, path: &str) -> Result<(Bytes, Stat, Watch), ZkError> {
        let (reply, watch) = self.call_watching(Op::GetData(read(path, true)), WatchOn::Data, path).await;
        let (data, stat) = content(reply?)?;
        Ok((data, stat, watch))
    }

    /// `version`: only if the node has it.
    pub async fn set_data(&self, path: &str, data: &[u8], version: Option<i32>) -> Result<Stat, ZkError> {
        check_size(data)?;
        let request = PathDataVersion {
            path: path.to_owned(),
            data: Some(Bytes::copy_from_slice(data)),
            version: version.unwrap_or(ANY_VERSION),
        };
        match self.call(Op::SetData(request)).await? {
            Reply::Stat(stat) => Ok(stat),
            other => mismatch(&other),
        }
    }

    /// Names, sorted.
    pub async fn get_children(&self, path: &str) -> Result<Vec<String>, ZkError> {
        names(self.call(Op::GetChildren(read(path, false))).await?)
    }

    pub async fn get_children_watch(&self, path: &str) -> Result<(Vec<String>, Watch), ZkError> {
        let op = Op::GetChildren(read(path, true));
        let (reply, watch) = self.call_watching(op, WatchOn::Children, path).await;
        Ok((names(reply?)?, watch))
    }

    /// Reads that follow see every write that anybody completed before this call.
    pub async fn sync(&self, path: &str) -> Result<(), ZkError> {
        self.call(Op::Sync(path.to_owned())).await.map(drop)
    }

    /// All or nothing; the error is that of the first operation that failed.
    pub async fn multi(&self, operations: Vec<MultiOp>) -> Result<Vec<MultiResult>, ZkError> {
        let operations = operations.into_iter().map(Op::from).collect();
        match self.call(Op::Multi(operations)).await? {
            Reply::Multi(results) => results.into_iter().map(multi_result).collect(),
            other => mismatch(&other),
        }
    }

    async fn call(&self, op: Op) -> Result<Reply, ZkError> {
        self.make(op, None).await
    }

    async fn call_watching(&self, op: Op, on: WatchOn, path: &str) -> (Result<Reply, ZkError>, Watch) {
        let (fire, event) = oneshot::channel();
        let request = WatchRequest { on, path: path.to_owned() };
        (self.make(op, Some((request, fire))).await, Watch { event })
    }

    /// Without a deadline of its own: a connection over which no leader is heard is left after two thirds of the session,
    /// what was sent over it is answered then, and what waits for a connection after a session timeout.
    async fn make(
        &self,
        op: Op,
        watch: Option<(WatchRequest, oneshot::Sender<WatchEvent>)>,
    ) -> Result<Reply, ZkError> {
        let answer = ask(&self.inner.calls, |answer| Call { op, watch, answer }).await;
        answer.unwrap_or_else(|| Err(self.ended()))
    }

    /// Why the driver takes no calls any more.
    fn ended(&self) -> ZkError {
        if self.inner.status.has_expired() { ZkError::SessionExpired } else { ZkError::Closed }
    }
}

/// Before a copy is made; whole requests are checked when they are encoded.
fn check_size(data: &[u8]) -> Result<(), ZkError> {
    if data.len() <= REQUEST_BYTES_MAX {
        return Ok(());
    }
    Err(ZkError::TooLarge { bytes: data.len(), limit: REQUEST_BYTES_MAX })
}

fn create_request(path: String, data: Bytes, mode: CreateMode) -> CreateRequest {
    let flags = match mode {
        CreateMode::Persistent => CreateFlags::PERSISTENT,
        CreateMode::Ephemeral => CreateFlags::EPHEMERAL,
        CreateMode::PersistentSequential => CreateFlags::PERSISTENT_SEQUENTIAL,
        CreateMode::EphemeralSequential => CreateFlags::EPHEMERAL_SEQUENTIAL,
    };
    CreateRequest { path, data: Some(data), acl: vec![Acl::open()], flags }
}

fn path_version(path: String, version: Option<i32>) -> PathVersion {
    PathVersion { path, version: version.unwrap_or(ANY_VERSION) }
}

fn read(path: &str, watch: bool) -> PathWatch {
    PathWatch { path: path.to_owned(), watch }
}

/// How many bytes a multi of these operations takes as a request.
pub fn multi_bytes(operations: Vec<MultiOp>) -> usize {
    const ANY_XID: i32 = 1;
    const LENGTH_BYTES: usize = 4;
    Op::Multi(operations.into_iter().map(Op::from).collect()).encode(ANY_XID).len() - LENGTH_BYTES
}

impl From<MultiOp> for Op {
    fn from(operation: MultiOp) -> Op {
        match operation {
            MultiOp::Create { path, data, mode } => Op::Create(create_request(path, data, mode)),
            MultiOp::Delete { path, version } => Op::Delete(path_version(path, version)),
            MultiOp::SetData { path, data, version } => Op::SetData(PathDataVersion {
                path,
                data: Some(data),
                version: version.unwrap_or(ANY_VERSION),
            }),
            MultiOp::Check { path, version } => Op::Check(path_version(path, version)),
        }
    }
}

fn existing(reply: Result<Reply, ZkError>) -> Result<Option<Stat>, ZkError> {
    match reply {
        Ok(Reply::Stat(stat)) => Ok(Some(stat)),
        Err(ZkError::NoNode) => Ok(None),
        Err(error) => Err(error),
        Ok(other) => mismatch(&other),
    }
}

/// A node without data counts as one with none.
fn content(reply: Reply) -> Result<(Bytes, Stat), ZkError> {
    match reply {
        Reply::Data(data, stat) => Ok((data.unwrap_or_default(), stat)),
        other => mismatch(&other),
    }
}

fn names(reply: Reply) -> Result<Vec<String>, ZkError> {
    match reply {
        Reply::Children(mut names) => {
            names.sort_unstable();
            Ok(names)
        }
        other => mismatch(&other),
    }
}

/// A failed multi gives 0 to the operations before the one at fault, and that one its own code.
fn multi_result(reply: MultiReply) -> Result<MultiResult, ZkError> {
    match reply {
        MultiReply::Created(path) | MultiReply::Created2(path, _) => Ok(MultiResult::Created(path)),
        MultiReply::Deleted | MultiReply::Error(ErrorCode::OK) => Ok(MultiResult::Deleted),
        MultiReply::DataSet(stat) => Ok(MultiResult::DataSet(stat)),
        MultiReply::Checked => Ok(MultiResult::Checked),
        MultiReply::Error(code) => Err(ZkError::from(code)),
    }
}

/// The operation's code determines what its reply is decoded as.
fn mismatch<T>(reply: &Reply) -> T {
    unreachable!("a reply of another operation: {reply:?}")
}
