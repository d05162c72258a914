//! The server's tasks: accepting, expiring, saving.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::ServerConfig;
use super::commit::Commit;
use super::connection;
use super::core::{Core, CoreLimits};
use super::faults::Breaking;
use super::sessions::SessionLimits;
use super::shared::Shared;
use super::snapshot::Image;
use super::store::Store;
use crate::runtime::lock::Mutex;
use crate::runtime::net::Listener;
use crate::runtime::task::{Lane, TaskGroup};
use crate::runtime::{AcceptError, clock, disk, rng};
use crate::types::{Instant, SessionId};

/// Sessions alive at once.
const SESSIONS_MAX: usize = 10_000;
/// Watches of all connections together.
const WATCHES_MAX: usize = 1_000_000;
/// How long accepting rests after it failed (no file descriptors left, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Between attempts to save where there is no room.
const SAVE_PAUSE: Duration = Duration::from_millis(500);

/// A running server; dropping it stops it as a crash would.
pub struct Server {
    shared: Arc<Shared>,
    failure: Arc<Failure>,
    address: SocketAddr,
    /// Dropped to ask for the end.
    stop: Option<watch::Sender<()>>,
    /// Accepting and saving: they end when they are asked to, with the listener and the directory.
    tasks: TaskGroup,
    ticking: TaskGroup,
}

impl Server {
    /// Loads what was saved and listens. `InvalidData` if the snapshot is corrupt, `WouldBlock` if another
    /// process uses its directory, `AddrInUse` if the port is taken.
    pub async fn start(config: ServerConfig) -> io::Result<Server> {
        let store = match &config.snapshot_dir {
            Some(directory) => Some(Store::open(directory).await?),
            None => None,
        };
        let image = match &store {
            Some(store) => store.load().await?,
            None => Image::new(),
        };
        let listener = Listener::bind(config.listen).await?;
        let address = listener.local_address();
        let commit = Commit::new(core(&config, image), store.is_some());
        let shared = Arc::new(Shared::new(commit, rng::stream("zookeeper-passwords")));
        let failure = Arc::new(Failure::default());
        let tasks = TaskGroup::new(Lane::Control);
        let (stop, stop_asked) = watch::channel(());
        let handshake_timeout = config.max_session_timeout;
        let accepting = Arc::clone(&shared);
        let accept_until = stop_asked.clone();
        tasks.spawn("zookeeper-accept", async move {
            tokio::select! {
                biased;
                () = asked(accept_until) => {}
                () = accept(accepting, &listener, handshake_timeout) => {}
            }
        });
        let ticking = TaskGroup::new(Lane::Control);
        ticking.spawn("zookeeper-ticker", tick(Arc::clone(&shared), config.tick));
        if let Some(store) = store {
            let saving = save(Arc::clone(&shared), store, Arc::clone(&failure), stop_asked);
            tasks.spawn("zookeeper-saver", saving);
        }
        tracing::info!(%address, "zookeeper_started");
        Ok(Server { shared, failure, address, stop: Some(stop), tasks, ticking })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn control(&self) -> Control {
        Control { shared: Arc::clone(&self.shared) }
    }

    /// Resolves, with the reason, when the server can no longer save: it serves nobody from then on.
    pub fn failed(&self) -> impl Future<Output = String> + Send + 'static {
        let failure = Arc::clone(&self.failure);
        async move { failure.wait().await }
    }

    /// Closes every connection, stops listening and gives the directory up; sessions stay as they are in the
    /// snapshot.
    pub async fn shutdown(mut self) {
        drop(self.stop.take());
        self.tasks.all_gone().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop();
        self.tasks.abort_all();
        self.ticking.abort_all();
    }
}

/// What a test may do to a server behind its clients' backs.
#[derive(Clone)]
pub struct Control {
    shared: Arc<Shared>,
}

impl Control {
    /// The sessions alive.
    pub fn sessions(&self) -> Vec<SessionId> {
        self.shared.sessions()
    }

    /// Expires a session as the ticker would; returns whether it was alive.
    pub fn expire_session(&self, session: SessionId) -> bool {
        self.shared.expire(session)
    }

    /// Closes every connection at once, as a server does that restarts or changes its leader.
    pub fn close_connections(&self) {
        self.shared.close_connections();
    }

    /// Closes every connection and takes in none until [`Control::regain_quorum`]; sessions survive, however
    /// long it takes.
    pub fn lose_quorum(&self) {
        self.shared.lose_quorum();
    }

    /// Serves again; every session's timeout starts anew.
    pub fn regain_quorum(&self) {
        self.shared.regain_quorum();
    }

    /// The next write of the session is applied, and its connection closed in place of the reply.
    pub fn lose_reply(&self, session: SessionId) {
        self.shared.lose_reply(session);
    }

    /// The same for the next create of one of these nodes, whosever it is. A path that ends in `*` stands for all
    /// that begin as it does.
    pub fn lose_reply_to_create(&self, paths: BTreeSet<String>) {
        self.shared.lose_reply_to_create(paths);
    }

    /// `answered` more reads of the session are answered; then the next `broken` ones each end their connection in the
    /// middle of the reply.
    pub fn cut_short(&self, session: SessionId, answered: u32, broken: u32) {
        self.shared.cut_short(session, answered, broken);
    }

    /// Requests about nodes that lie together break their connections, whosever they are.
    pub fn break_off(&self, breaking: Breaking) {
        self.shared.break_off(breaking);
    }

    /// The next time that somebody makes this node, it comes to be right behind the next look of somebody else at it, or a
    /// third of a second later. No fault: what different clients send may be taken in in any order.
    pub fn race(&self, path: &str) {
        self.shared.race(path.to_owned());
    }

    /// No reply is lost or cut short any more.
    pub fn keep_replies(&self) {
        self.shared.keep_replies();
    }

    /// The session is served by a follower that is cut from its leader, and can reach no other server: pings and reads
    /// are answered, writes and `sync` are not, watches are silent, and the leader expires the session in its time. Until
    /// [`Control::rejoin`] or [`Control::join_leader`]. Returns whether the session was attached.
    pub fn cut_from_leader(&self, session: SessionId, reaches_others: bool) -> bool {
        self.shared.cut_from_leader(session, reaches_others)
    }

    /// The follower of this session has a leader again, or gave up looking for it (`syncLimit`): it drops its client,
    /// which attaches again or hears that it expired.
    pub fn rejoin(&self, session: SessionId) {
        self.shared.rejoin(session);
    }

    /// Every second new connection leads to a server that lags behind from now on: it attaches no session that has seen
    /// more than it knows, and answers reads from what stood when it fell behind, until something needs the leader.
    /// None does any more with `false`.
    pub fn lag(&self, begins: bool) {
        self.shared.lag(begins);
    }

    /// Every follower has a leader again; it drops its clients, which attach again or hear that they expired.
    pub fn join_leader(&self) {
        self.shared.join_leader();
    }

    /// Watch events of the session leave so much later, and with them all that follows on its connection, so
    /// that a session still hears of a change before it sees newer data; at once again with `None`.
    pub fn delay_watches(&self, session: SessionId, by: Option<Duration>) {
        self.shared.delay_watches(session, by);
    }
}

/// Session ids grow with the wall clock, so that a server which forgot everything gives out none again.
fn core(config: &ServerConfig, image: Image) -> Core {
    let limits = CoreLimits {
        sessions: SessionLimits {
            tick: config.tick,
            timeout_min: config.min_session_timeout,
            timeout_max: config.max_session_timeout,
            sessions_max: SESSIONS_MAX,
        },
        watches_max: WATCHES_MAX,
    };
    let started_ms = clock::wall_now().0 & 0xff_ffff_ffff;
    Core::new(limits, image, SessionId(1 << 56 | started_ms << 16), clock::now())
}

async fn accept(shared: Arc<Shared>, listener: &Listener, handshake_timeout: Duration) {
    let connections = TaskGroup::new(Lane::Control);
    loop {
        match listener.accept().await {
            Ok((stream, _peer)) => {
                let shared = Arc::clone(&shared);
                connections.spawn("zookeeper-connection", async move {
                    connection::serve(&shared, stream, handshake_timeout).await;
                });
            }
            Err(AcceptError::Peer(error)) => tracing::debug!(%error, "zookeeper_accept_failed"),
            Err(AcceptError::Exhausted(error)) => {
                tracing::warn!(%error, "zookeeper_accept_failed");
                clock::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn tick(shared: Arc<Shared>, tick: Duration) {
    let tick_nanos = tick.as_nanos() as u64;
    loop {
        let next = (clock::now().as_nanos() / tick_nanos + 1) * tick_nanos;
        clock::sleep_until(Instant::from_nanos(next)).await;
        shared.tick();
    }
}

/// Saves whatever waits; after an error nothing is saved, or served, any more. A full disk is waited for: until there
/// is room nothing is answered that depends on what could not be saved, and no session expires.
/// Until asked to stop; a save under way is finished first.
async fn save(shared: Arc<Shared>, store: Store, failure: Arc<Failure>, mut stop_asked: watch::Receiver<()>) {
    loop {
        tokio::select! {
            biased;
            _sender_was_dropped = stop_asked.changed() => return,
            () = shared.saver.notified() => {}
        }
        while let Some(bytes) = shared.take_save() {
            while let Err(error) = store.save(&bytes).await {
                if !(disk::is_no_space(&error) || disk::is_out_of_descriptors(&error)) {
                    tracing::error!(%error, "zookeeper_snapshot_failed");
                    shared.stop();
                    return failure.set(format!("the ZooKeeper snapshot could not be saved: {error}"));
                }
                tracing::warn!(%error, "zookeeper_snapshot_waits_for_room");
                if let Ok(_sender_was_dropped) = clock::timeout(SAVE_PAUSE, stop_asked.changed()).await {
                    return;
                }
            }
            shared.saved();
            if stop_asked.has_changed().is_err() {
                return;
            }
        }
    }
}

/// Resolves when the server is to stop.
async fn asked(mut stop: watch::Receiver<()>) {
    while stop.changed().await.is_ok() {}
}

/// Why the server stopped by itself, for all who ask.
#[derive(Default)]
struct Failure {
    reason: Mutex<Option<String>>,
    set: Notify,
}

impl Failure {
    fn set(&self, reason: String) {
        *self.reason.lock().expect("never left half changed") = Some(reason);
        self.set.notify_waiters();
    }

    async fn wait(&self) -> String {
        loop {
            let set = self.set.notified();
            if let Some(reason) = self.reason.lock().expect("never left half changed").clone() {
                return reason;
            }
            set.await;
        }
    }
}
