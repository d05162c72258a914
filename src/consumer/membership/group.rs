//! The handles of an application on its group consumer: streams, commits, positions.
//!
//! Limit: who owns what is decided behind them, by the member's task.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::mpsc;

use super::config::path_part;
use super::discovery;
use super::shared::GroupShared;
use super::stream::MessageStream;
use super::zookeeper::{Command, Shell, Subscribed};
use super::{GroupConfig, GroupError};
use crate::consumer::partition::Reader;
use crate::consumer::shared::Shared;
use crate::consumer::{ConsumerConfig, StartPosition, fetcher};
use crate::runtime::lock::Mutex;
use crate::runtime::task::{Lane, TaskGroup};
use crate::runtime::{Elapsed, ask, clock, rng};
use crate::types::{Offset, TopicPartition};
use crate::zookeeper::ZooKeeper;

/// Commands that wait for the member's task; a caller waits for room.
const COMMANDS_QUEUED_MAX: usize = 16;
/// Streams of one topic that one member may have.
pub(super) const STREAMS_MAX: u32 = 1_000;
/// How many session timeouts a member has for leaving in order.
const LEAVING_SESSIONS: u32 = 2;

/// A member of a group. Dropping it ends the membership: its streams answer [`ConsumeError::Closed`] from then on,
/// whoever still holds them, and its partitions go to the others once its session has expired.
/// [`GroupConsumer::close`] commits before and leaves at once.
///
/// ```no_run
/// use std::collections::BTreeMap;
///
/// use seedlog::consumer::ConsumerConfig;
/// use seedlog::consumer::membership::{GroupConfig, GroupConsumer};
///
/// async fn bill() -> Result<(), Box<dyn std::error::Error>> {
///     let bootstrap = vec!["localhost:9092".to_owned()];
///     let config = ConsumerConfig { bootstrap, ..ConsumerConfig::default() };
///     let consumer = GroupConsumer::start(GroupConfig::with_discovery("billing", config)).await?;
///     let topics = BTreeMap::from([("orders".to_owned(), 1)]);
///     for stream in consumer.create_message_streams(topics).await?.get_mut("orders").into_iter().flatten() {
///         for _ in 0..100 {
///             let record = stream.next().await?;
///             println!("{} {}: {:?}", record.partition, record.offset, record.value);
///         }
///     }
///     consumer.close().await?;
///     Ok(())
/// }
/// ```
///
/// [`ConsumeError::Closed`]: crate::consumer::ConsumeError::Closed
pub struct GroupConsumer {
    inner: Arc<GroupShared>,
    /// Owns the fetchers.
    consumer_tasks: Arc<TaskGroup>,
    /// Owns the member's task.
    member_tasks: TaskGroup,
    member: Mutex<Option<mpsc::Sender<Command>>>,
    /// The session to begin with.
    first_session: Mutex<Option<ZooKeeper>>,
}

impl GroupConsumer {
    /// Opens a session with ZooKeeper; `ZooKeeper` if no server grants one within the session timeout. Where none is
    /// named, the brokers are asked first: `ZooKeeperUnknown` if none of them tells within that time.
    pub async fn start(mut config: GroupConfig) -> Result<GroupConsumer, GroupError> {
        config.check()?;
        let consumer_tasks = Arc::new(TaskGroup::new(Lane::Data));
        let consumer = ConsumerConfig { auto_reset: config.reset, ..config.consumer.clone() };
        let shared = Shared::new(consumer, &consumer_tasks, fetcher::start);
        if config.zookeeper.servers.is_empty() {
            config.zookeeper.servers = discovery::zookeeper_servers(&shared.cluster, &config).await?;
            tracing::info!(
                group = config.group,
                servers = config.zookeeper.servers.join(","),
                "zookeeper_found"
            );
        }
        let session = ZooKeeper::connect(config.zookeeper.clone()).await?;
        consumer_tasks.spawn("consumer-refresh", Arc::clone(&shared).keep_refreshed());
        let inner =
            GroupShared { config, shared, progress: Arc::default(), marks_awaited: AtomicBool::new(false) };
        Ok(GroupConsumer {
            inner: Arc::new(inner),
            consumer_tasks,
            member_tasks: TaskGroup::new(Lane::Data),
            member: Mutex::new(None),
            first_session: Mutex::new(Some(session)),
        })
    }

    /// Joins the group with so many streams of each topic, and returns them at once: the rebalance goes on
    /// behind. A topic that does not exist yet is read as soon as it does. Once per consumer.
    pub async fn create_message_streams(
        &self,
        topics: BTreeMap<String, u32>,
    ) -> Result<BTreeMap<String, Vec<MessageStream>>, GroupError> {
        check_subscription(&topics)?;
        let session = self.first_session.lock().expect("no holder panics").take();
        let session = session.ok_or(GroupError::StreamsExist)?;
        let mut readers = BTreeMap::new();
        let mut streams: BTreeMap<String, Vec<MessageStream>> = BTreeMap::new();
        for (topic, count) in &topics {
            for stream in 0..*count {
                // Reader 0 is the plain consumer's.
                let reader = Reader(u32::try_from(readers.len()).map_or(u32::MAX, |n| n.saturating_add(1)));
                readers.insert((topic.clone(), stream), reader);
                let handle = MessageStream::new(Arc::clone(&self.inner), topic, stream, reader);
                streams.entry(topic.clone()).or_default().push(handle);
            }
        }
        let (commands, received) = mpsc::channel(COMMANDS_QUEUED_MAX);
        *self.member.lock().expect("no holder panics") = Some(commands);
        let shell = Shell::new(
            self.inner.config.clone(),
            self.member_name(),
            Subscribed { subscription: topics, readers },
            Arc::clone(&self.inner.shared),
            Arc::clone(&self.inner.progress),
            received,
        );
        self.member_tasks.spawn("group-member", shell.run(session));
        Ok(streams)
    }

    /// As Kafka names its members, unless the configuration does.
    fn member_name(&self) -> String {
        let config = &self.inner.config;
        config.member.clone().unwrap_or_else(|| {
            let client: String =
                config.consumer.client_id.chars().filter(|c| *c != '/' && !c.is_control()).collect();
            let chance = rng::stream("group-member").next_u64() as u32;
            format!("{}_{client}-{}-{chance:08x}", config.group, clock::wall_now().0)
        })
    }

    /// Marks a record as finished. One that was not delivered under the present ownership is passed over.
    pub fn mark_finished(&self, partition: &TopicPartition, offset: Offset) {
        self.inner.mark_finished(partition, offset);
    }

    /// Commits everything finished so far; returns when ZooKeeper has it.
    pub async fn commit(&self) -> Result<(), GroupError> {
        let member = self.member.lock().expect("no holder panics").clone();
        let Some(member) = member else { return Ok(()) };
        ask(&member, Command::Commit).await.unwrap_or(Err(GroupError::Closed))
    }

    /// The partitions that this member owns and delivers.
    pub fn owned(&self) -> BTreeSet<TopicPartition> {
        self.inner.progress().owned()
    }

    /// Goes on from elsewhere; what was delivered before counts neither as finished nor as unfinished any more.
    /// Returns whether the partition is owned.
    pub fn seek(&self, partition: &TopicPartition, to: StartPosition) -> bool {
        // Both in one step: nobody takes records over in between.
        let mut progress = self.inner.progress();
        let is_owned = self.inner.shared.seek(partition, to);
        // One that is being given up goes on nowhere: what is in hand of it stays unfinished for the last commit.
        if is_owned {
            progress.sought(partition);
            drop(progress);
            // There may be room again among the unfinished records of a stream.
            self.inner.shared.wake_readers();
        }
        is_owned
    }

    /// The next offset to deliver; `None` while it is not known yet, or not owned.
    pub fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        self.inner.shared.position(partition)
    }

    /// Commits what is finished, gives up every partition and leaves the group. `SessionLost`: ZooKeeper could
    /// not be told in time, and the member is left to expire. Any error: what was finished since the last commit may be
    /// delivered again.
    pub async fn close(&self) -> Result<(), GroupError> {
        let member = self.member.lock().expect("no holder panics").clone();
        let patience = self.inner.config.zookeeper.session_timeout * LEAVING_SESSIONS;
        let left = match member {
            Some(member) => clock::timeout(patience, ask(&member, Command::Close)).await,
            None => Ok(Some(Ok(()))),
        };
        let session = self.first_session.lock().expect("no holder panics").take();
        if let Some(session) = session {
            session.close().await;
        }
        self.inner.shared.close();
        self.member_tasks.abort_all();
        self.consumer_tasks.abort_all();
        match left {
            Ok(left) => left.unwrap_or(Err(GroupError::Closed)),
            Err(Elapsed) => Err(GroupError::SessionLost),
        }
    }
}

impl Drop for GroupConsumer {
    /// The tasks are stopped by their owners. Streams have none of their own, and would wait for ever.
    fn drop(&mut self) {
        self.inner.shared.close();
    }
}

fn check_subscription(topics: &BTreeMap<String, u32>) -> Result<(), GroupError> {
    if topics.is_empty() {
        return Err(GroupError::BadConfig("no topic is subscribed".to_owned()));
    }
    for (topic, streams) in topics {
        path_part("topic", topic)?;
        if !(1..=STREAMS_MAX).contains(streams) {
            return Err(GroupError::BadConfig(format!(
                "{topic} needs 1 to {STREAMS_MAX} streams, not {streams}"
            )));
        }
    }
    Ok(())
}
