//! The task of one member: performs what `member` decides, one step after the other, session after session.
//!
//! Limit: it decides nothing about who owns what. Commits are made here too, so that none can overtake the
//! release of its partition.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

use super::delivery_gate::DeliveryGate;
use super::member::{Event, Member, RebalancePolicy};
use crate::consumer::membership::finished::Progress;
use crate::consumer::membership::{GroupConfig, GroupError};
use crate::consumer::partition::Reader;
use crate::consumer::shared::Shared;
use crate::facts::{self, Fact};
use crate::marks::{self, Mark};
use crate::registry::Registry;
use crate::rules::{self, Rule};
use crate::runtime::clock::{self, DeadlineTimer};
use crate::runtime::lock::{Mutex, MutexGuard};
use crate::runtime::task::{Lane, TaskGroup};
use crate::types::{Offset, TopicPartition};
use crate::zookeeper::{Watch, ZkError, ZooKeeper};

/// How long a member waits after a change, so that one rebalance answers many: at most this part of its session.
const SETTLE_PER_SESSION: u32 = 30;
const SETTLE_MAX: Duration = Duration::from_millis(50);

/// What the application asks of its member.
pub(in crate::consumer::membership) enum Command {
    Commit(ReplyTo),
    Close(ReplyTo),
}

/// What the member reads.
pub(in crate::consumer::membership) struct Subscribed {
    /// Streams by topic.
    pub subscription: BTreeMap<String, u32>,
    /// Who takes the records of a topic's stream.
    pub readers: BTreeMap<(String, u32), Reader>,
}

/// See the module.
pub(in crate::consumer::membership) struct Shell {
    pub(super) config: GroupConfig,
    /// The member's name, the same in every session.
    pub(super) name: String,
    pub(super) shared: Arc<Shared>,
    pub(super) progress: Arc<Mutex<Progress>>,
    pub(super) subscribed: Subscribed,
    /// Of the present session.
    pub(super) registry: Option<Registry>,
    pub(super) commits_to_repeat: BTreeMap<TopicPartition, Offset>,
    /// Why what was finished could not be committed when partitions were given up last.
    pub(super) released_uncommitted: Option<GroupError>,
    pub(super) member: Member,
    /// Of what the last view was read from.
    pub(super) watches: Vec<Watch>,
    commands: mpsc::Receiver<Command>,
    paused: Arc<AtomicBool>,
    refused: Arc<Notify>,
    pub(super) delivery_gate: Option<DeliveryGate>,
    sessions_lost: u32,
    pause: DeadlineTimer,
    /// What ends a pause early.
    way_free: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    auto_commit: DeadlineTimer,
}

/// Why the shell stops with a session.
enum End {
    SessionLost,
    Closed(ReplyTo),
    /// Nobody is there any more to say what was finished: the session is left to expire.
    Dropped,
}

/// Where the outcome of a command goes.
type ReplyTo = oneshot::Sender<Result<(), GroupError>>;

/// The session is over, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionOver;

impl Shell {
    pub(in crate::consumer::membership) fn new(
        config: GroupConfig,
        name: String,
        subscribed: Subscribed,
        shared: Arc<Shared>,
        progress: Arc<Mutex<Progress>>,
        commands: mpsc::Receiver<Command>,
    ) -> Shell {
        let policy = RebalancePolicy {
            tries_max: config.rebalance_tries_max,
            backoff: config.rebalance_backoff,
            settle: (config.zookeeper.session_timeout / SETTLE_PER_SESSION).min(SETTLE_MAX),
        };
        Shell {
            config,
            name,
            shared,
            progress,
            subscribed,
            registry: None,
            commits_to_repeat: BTreeMap::new(),
            released_uncommitted: None,
            member: Member::new(policy),
            watches: Vec::new(),
            commands,
            paused: Arc::new(AtomicBool::new(false)),
            refused: Arc::new(Notify::new()),
            delivery_gate: None,
            sessions_lost: 0,
            pause: DeadlineTimer::new(),
            way_free: None,
            auto_commit: DeadlineTimer::new(),
        }
    }

    pub(super) fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().expect("no holder of the progress panics")
    }

    pub(super) fn consumer(&self) -> String {
        self.config.consumer.client_id.clone()
    }

    /// Lives through sessions until the application closes it.
    pub(in crate::consumer::membership) async fn run(mut self, first: ZooKeeper) {
        let mut next = Some(first);
        loop {
            let zookeeper = match next.take() {
                Some(zookeeper) => zookeeper,
                None => match self.connect().await {
                    Ok(zookeeper) => zookeeper,
                    Err(closing) => return closing.map_or((), |reply_to| reply(reply_to, Ok(()))),
                },
            };
            match self.live(zookeeper.clone()).await {
                End::SessionLost => self.session_lost(&zookeeper),
                End::Closed(reply_to) => {
                    let left = self.leave(zookeeper).await;
                    return reply(reply_to, left);
                }
                End::Dropped => return,
            }
        }
    }

    /// A new session, however long it takes; unless the consumer is closed or dropped before. The attempt lives
    /// across commands: a caller who repeats his commit until it succeeds does not begin it anew each time.
    async fn connect(&mut self) -> Result<ZooKeeper, Option<ReplyTo>> {
        let mut connecting = pin!(open_session(&self.config));
        loop {
            tokio::select! {
                biased;
                zookeeper = &mut connecting => return Ok(zookeeper),
                command = self.commands.recv() => match command {
                    Some(Command::Commit(reply_to)) => reply(reply_to, Err(GroupError::SessionLost)),
                    Some(Command::Close(reply_to)) => return Err(Some(reply_to)),
                    None => return Err(None),
                },
            }
        }
    }

    /// One session's life.
    async fn live(&mut self, zookeeper: ZooKeeper) -> End {
        let gate_tasks = TaskGroup::new(Lane::Control);
        let delivery_gate = self.delivery_gate_of(&zookeeper);
        delivery_gate.close_when_unconfirmed();
        self.delivery_gate = Some(delivery_gate);
        gate_tasks.spawn("group-delivery-gate", self.delivery_gate_of(&zookeeper).run());
        self.registry = Some(Registry::new(zookeeper.clone()));
        self.watches.clear();
        self.way_free = None;
        self.repeat_commits().await;
        self.auto_commit.set(self.config.auto_commit.map(|interval| clock::now() + interval));
        let mut expired = pin!(zookeeper.session_expired());
        let mut effects = VecDeque::from(self.member.on(Event::SessionOpened));
        loop {
            while let Some(effect) = effects.pop_front() {
                match self.perform(effect).await {
                    Ok(Some(event)) => effects.extend(self.member.on(event)),
                    Ok(None) => {}
                    Err(SessionOver) => return End::SessionLost,
                }
            }
            let event = tokio::select! {
                biased;
                () = &mut expired => return End::SessionLost,
                // Before commands: callers who commit without a pause must not keep the member from rebalancing.
                () = any_fired(&mut self.watches) => Event::Changed,
                () = resolved(&mut self.way_free) => Event::PauseOver,
                () = self.pause.expired() => Event::PauseOver,
                command = self.commands.recv() => match command {
                    Some(Command::Commit(reply_to)) => {
                        let committed = self.commit_all().await;
                        reply(reply_to, committed);
                        continue;
                    }
                    Some(Command::Close(reply_to)) => return End::Closed(reply_to),
                    None => return End::Dropped,
                },
                () = self.auto_commit.expired() => {
                    self.commit_in_time().await;
                    continue;
                }
            };
            if event == Event::PauseOver {
                self.pause.set(None);
                self.way_free = None;
            }
            effects.extend(self.member.on(event));
        }
    }

    fn delivery_gate_of(&self, zookeeper: &ZooKeeper) -> DeliveryGate {
        DeliveryGate {
            group: self.config.group.clone(),
            zookeeper: zookeeper.clone(),
            shared: Arc::clone(&self.shared),
            paused: Arc::clone(&self.paused),
            refused: Arc::clone(&self.refused),
        }
    }

    async fn commit_in_time(&mut self) {
        if let Err(error) = self.commit_all().await {
            tracing::warn!(group = self.config.group, %error, "group_auto_commit_failed");
        }
        self.auto_commit.set(self.config.auto_commit.map(|interval| clock::now() + interval));
    }

    /// ZooKeeper said so: everything that was owned may be another's already.
    fn session_lost(&mut self, zookeeper: &ZooKeeper) {
        self.sessions_lost += 1;
        if !self.member.held().is_empty() {
            marks::sometimes(Mark::SessionExpiredWhileOwning);
        }
        if self.sessions_lost == 2 {
            marks::sometimes(Mark::SessionExpiredTwice);
        }
        if rules::holds(Rule::DropOwnershipOnExpiry) {
            self.shared.remove(&self.progress().owned());
            self.progress().clear();
            self.shared.wake_readers();
        }
        self.registry = None;
        self.watches.clear();
        let session = zookeeper.session_id();
        tracing::warn!(group = self.config.group, %session, "group_session_lost");
        let group = &self.config.group;
        facts::record(|| Fact::GroupSessionLost { group: group.clone(), consumer: self.consumer(), session });
    }

    /// Gives up everything, in order, and leaves.
    async fn leave(&mut self, zookeeper: ZooKeeper) -> Result<(), GroupError> {
        let held = self.member.held();
        let mut outcome = self.release(&held).await.map(drop).map_err(|SessionOver| GroupError::SessionLost);
        outcome = outcome.and(self.released_uncommitted.take().map_or(Ok(()), Err));
        if let (Some(registry), Some(name)) = (self.registry.clone(), self.member.name()) {
            if let Err(error) = registry.unregister_member(&self.config.group, name).await {
                tracing::warn!(group = self.config.group, %error, "group_registration_left_to_expire");
                outcome = outcome.and(Err(GroupError::SessionLost));
            }
            let group = &self.config.group;
            facts::record(|| Fact::GroupLeft { group: group.clone(), consumer: self.consumer() });
        }
        self.registry = None;
        zookeeper.close().await;
        outcome
    }

    pub(super) fn pause_for(&mut self, duration: Duration, way_free: Option<WayFree>) {
        self.pause.set(Some(clock::now() + duration));
        self.way_free = way_free;
    }
}

/// Tries until a server grants a session.
async fn open_session(config: &GroupConfig) -> ZooKeeper {
    loop {
        match ZooKeeper::connect(config.zookeeper.clone()).await {
            Ok(zookeeper) => return zookeeper,
            Err(error) => tracing::warn!(group = config.group, %error, "group_session_not_opened"),
        }
        clock::sleep(config.rebalance_backoff).await;
    }
}

/// Resolves when a pause has no reason any more.
pub(super) type WayFree = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Whoever asked may be gone.
fn reply(reply_to: ReplyTo, outcome: Result<(), GroupError>) {
    if reply_to.send(outcome).is_err() {
        tracing::trace!("group_caller_gone");
    }
}

/// Resolves when one of the watches fired, and takes it out; never while there is none.
async fn any_fired(watches: &mut Vec<Watch>) {
    std::future::poll_fn(|cx| {
        let before = watches.len();
        watches.retain_mut(|watch| Pin::new(watch).poll(cx).is_pending());
        if watches.len() < before { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Never, where there is nothing to wait for.
async fn resolved(future: &mut Option<WayFree>) {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

pub(super) fn is_over(error: &ZkError) -> bool {
    matches!(error, ZkError::SessionExpired | ZkError::Closed)
}
