//! The steps of a rebalance, performed: what each does to ZooKeeper and to the consumer, and in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::assign::View;
use super::member::{Effect, Event, Report};
use super::shell::{SessionOver, Shell, is_over};
use crate::consumer::positions::Begin;
use crate::facts::{self, Fact};
use crate::marks::{self, Mark};
use crate::registry::{Claim, GroupOffset, Membership, Registry, RegistryError};
use crate::rules::{self, Rule};
use crate::runtime::{buggify, clock};
use crate::types::{BrokerId, TopicPartition};

/// What a rare slow step takes in simulation.
const SLOW_STEP: Duration = Duration::from_millis(300);

/// What a step led to; `None`: nothing to decide.
type Outcome = Result<Option<Event>, SessionOver>;

impl Shell {
    pub(super) async fn perform(&mut self, effect: Effect) -> Outcome {
        match effect {
            Effect::Join => self.join().await,
            Effect::ReadView => self.read_view().await,
            Effect::Release(partitions) => self.release(&partitions).await,
            Effect::Claim(partitions) => self.claim(&partitions).await,
            Effect::Deliver(partitions) => self.deliver(partitions).await,
            Effect::Pause(duration) => {
                self.pause_for(shortened(duration), None);
                Ok(None)
            }
            Effect::PauseUntilUnowned(duration, partitions) => {
                let (registry, group) = (self.of_session()?, self.config.group.clone());
                let way_free = async move {
                    for partition in &partitions {
                        if let Err(error) = registry.wait_unowned(&group, partition).await {
                            tracing::warn!(%partition, %error, "owner_not_watched");
                            std::future::pending::<()>().await;
                        }
                    }
                };
                self.pause_for(shortened(duration), Some(Box::pin(way_free)));
                Ok(None)
            }
            Effect::PauseUntilNameFree(duration) => {
                let (registry, group) = (self.of_session()?, self.config.group.clone());
                let name = self.name.clone();
                let way_free = async move {
                    if let Err(error) = registry.wait_member_gone(&group, &name).await {
                        tracing::warn!(member = name, %error, "name_not_watched");
                        std::future::pending::<()>().await;
                    }
                };
                self.pause_for(shortened(duration), Some(Box::pin(way_free)));
                Ok(None)
            }
            Effect::Report(report) => {
                self.report(report);
                Ok(None)
            }
        }
    }

    fn of_session(&self) -> Result<Registry, SessionOver> {
        self.registry.clone().ok_or(SessionOver)
    }

    /// The end of the session, or another reason to try again later.
    fn failed(&self, step: &str, error: &RegistryError) -> Outcome {
        if let RegistryError::ZooKeeper(error) = error
            && is_over(error)
        {
            return Err(SessionOver);
        }
        tracing::warn!(group = self.config.group, step, %error, "rebalance_step_failed");
        Ok(Some(Event::Failed))
    }

    async fn join(&mut self) -> Outcome {
        let registry = self.of_session()?;
        let group = self.config.group.clone();
        let topics: BTreeSet<String> = self.subscribed.subscription.keys().cloned().collect();
        if let Err(error) = registry.ensure_group(&group, &topics).await {
            return self.failed("ensure-group", &error);
        }
        let subscription = self.subscribed.subscription.clone();
        match registry.register_member(&group, &self.name, &subscription).await {
            Ok(Membership::Joined(name)) => {
                let session = registry.zookeeper().session_id();
                tracing::info!(group, member = name, %session, "group_joined");
                let consumer = self.consumer();
                facts::record(|| Fact::GroupJoined { group, consumer, session, subscription });
                Ok(Some(Event::Joined(name)))
            }
            Ok(Membership::HeldBy(session)) => {
                tracing::info!(group, member = self.name, %session, "member_name_held");
                Ok(Some(Event::NameHeld))
            }
            Err(error) => self.failed("register", &error),
        }
    }

    async fn read_view(&mut self) -> Outcome {
        match self.view().await {
            Ok(view) => Ok(Some(Event::ViewRead(view))),
            Err(error) => self.failed("read-view", &error),
        }
    }

    /// Every watch is set before what it watches is trusted.
    async fn view(&mut self) -> Result<View, RegistryError> {
        let Ok(registry) = self.of_session() else {
            return Err(crate::zookeeper::ZkError::SessionExpired.into());
        };
        let (brokers, brokers_changed) = registry.broker_ids_watch().await?;
        let members = registry.members_watch(&self.config.group).await?;
        for (member, reason) in &members.unreadable {
            let group = &self.config.group;
            tracing::warn!(group, member, reason, "member_unreadable");
            facts::record(|| Fact::MemberUnreadable {
                group: group.clone(),
                consumer: self.consumer(),
                member: member.clone(),
                reason: reason.clone(),
            });
        }
        let mut watches = members.watches;
        watches.push(brokers_changed);
        let mut partitions = BTreeMap::new();
        for topic in self.subscribed.subscription.keys() {
            let (numbers, topic_changed) = registry.partitions_watch(topic).await?;
            watches.push(topic_changed);
            let names: BTreeSet<_> =
                numbers.iter().map(|n| TopicPartition::new(topic.as_str(), *n)).collect();
            let is_led = |leaders: &BTreeMap<TopicPartition, BrokerId>, name: &TopicPartition| {
                leaders.get(name).is_some_and(|leader| brokers.contains(leader))
            };
            let leaders = registry.leaders(&names).await?;
            let (mut led, leaderless): (BTreeSet<_>, BTreeSet<_>) =
                names.into_iter().partition(|name| is_led(&leaders, name));
            for partition in &leaderless {
                // Another broker may come to lead it without anything else that is watched changing.
                watches.push(registry.partition_state_watch(partition).await?);
            }
            if !leaderless.is_empty() {
                let leaders = registry.leaders(&leaderless).await?;
                led.extend(leaderless.into_iter().filter(|name| is_led(&leaders, name)));
            }
            partitions.insert(topic.clone(), led.into_iter().map(|name| name.partition).collect());
        }
        if rules::holds(Rule::SetWatchesAgain) || self.watches.is_empty() {
            self.watches = watches;
        }
        Ok(View { members: members.subscriptions, partitions })
    }

    /// Commits what is finished, then says that it delivers no more, then lets others own the partitions.
    pub(super) async fn release(&mut self, partitions: &BTreeSet<TopicPartition>) -> Outcome {
        let stood = self.shared.remove(partitions);
        self.released_uncommitted = self.commit_before_release(partitions, &stood).await.err();
        let owned = self.progress().owned();
        for partition in partitions.intersection(&owned) {
            if self.progress().disown(partition) {
                marks::sometimes(Mark::RecordInHandAtRelease);
            }
            let (group, consumer) = (&self.config.group, self.consumer());
            let partition = partition.clone();
            facts::record(|| Fact::PartitionReleased { group: group.clone(), consumer, partition });
        }
        // What was in hand of them takes no room from others of the same stream any more.
        self.shared.wake_readers();
        if buggify::fires("group.slow-release") {
            clock::sleep(SLOW_STEP).await;
        }
        match self.of_session()?.release_partitions(&self.config.group, partitions).await {
            Ok(()) => Ok(Some(Event::Released)),
            Err(error) => self.failed("release", &error),
        }
    }

    async fn claim(&mut self, partitions: &BTreeMap<TopicPartition, u32>) -> Outcome {
        let name = self.member.name().expect("only a registered member claims").to_owned();
        match self.of_session()?.claim_partitions(&self.config.group, &name, partitions).await {
            Ok(Claim::Owned) => Ok(Some(Event::Claimed)),
            Ok(Claim::Conflict(others)) => {
                let others = others.into_iter().map(|(partition, owner)| (partition, owner.name));
                Ok(Some(Event::Conflict(others.collect())))
            }
            Err(error) => self.failed("claim", &error),
        }
    }

    /// The owner nodes are there, so nobody else commits any more: what the offset registry says stands.
    async fn deliver(&mut self, partitions: BTreeMap<TopicPartition, u32>) -> Outcome {
        let registry = self.of_session()?;
        if buggify::fires("group.slow-start") {
            clock::sleep(SLOW_STEP).await;
        }
        let names: Vec<TopicPartition> = partitions.keys().cloned().collect();
        let offsets = match registry.group_offsets(&self.config.group, &names).await {
            Ok(offsets) => offsets,
            Err(error) => return self.failed("read-offsets", &error),
        };
        let session = registry.zookeeper().session_id();
        let mut begins = Vec::new();
        for ((partition, stream), offset) in partitions.into_iter().zip(offsets) {
            let offset = match offset {
                GroupOffset::Next(offset) => Some(offset),
                GroupOffset::Absent => None,
                GroupOffset::Unreadable => continue,
            };
            let (group, consumer) = (&self.config.group, self.consumer());
            facts::record(|| Fact::PartitionOwned {
                group: group.clone(),
                consumer: consumer.clone(),
                partition: partition.clone(),
                stream,
                session,
            });
            facts::record(|| Fact::OffsetFetched {
                group: group.clone(),
                consumer,
                partition: partition.clone(),
                offset,
            });
            let reader = self.subscribed.readers.get(&(partition.topic.to_string(), stream));
            let Some(reader) = reader.copied() else { continue };
            self.progress().own(partition.clone(), stream, offset);
            begins.push((partition, reader, offset.map_or(Begin::Reset, Begin::At)));
        }
        if let Some(delivery_gate) = &self.delivery_gate {
            delivery_gate.resume();
        }
        debug_assert!(self.progress().owned().is_subset(&self.member.held()), "what is delivered is held");
        self.shared.add(begins);
        Ok(Some(Event::Delivering))
    }

    fn report(&self, report: Report) {
        let (group, consumer) = (&self.config.group, self.consumer());
        tracing::info!(group, %report, "rebalance");
        if matches!(report, Report::Finished { owned: 1.. }) && self.subscribed.subscription.len() > 1 {
            marks::sometimes(Mark::SeveralTopicsShared);
        }
        facts::record(|| {
            let group = group.clone();
            match report {
                Report::Started => Fact::RebalanceStarted { group, consumer },
                Report::Conflict { partition, owner } => {
                    Fact::RebalanceConflict { group, consumer, partition, owner }
                }
                Report::Failed { tries } => Fact::RebalanceFailed { group, consumer, tries },
                Report::Finished { owned } => Fact::RebalanceFinished { group, consumer, owned },
            }
        });
    }
}

/// In simulation a timer is early now and then.
fn shortened(pause: Duration) -> Duration {
    if buggify::fires("group.early-timer") { Duration::from_millis(1) } else { pause }
}
