//! What is known of the cluster: brokers and their addresses, topics and who leads their partitions.
//!
//! Pure: answers, and what proved wrong of them, in; views out. Asking is `cluster`'s job.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::tracked::Tracked;
use crate::types::{BrokerId, Instant, LeaderEpoch, TopicPartition};

/// One partition, as some broker described it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionView {
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    pub replicas: Vec<BrokerId>,
    pub in_sync: Vec<BrokerId>,
}

/// The broker that leads a partition, in an epoch of that partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    pub broker: BrokerId,
    pub epoch: LeaderEpoch,
}

/// One topic, as some broker described it; partitions are numbered from 0 without a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicView {
    pub name: Arc<str>,
    pub partitions: Vec<PartitionView>,
    /// The partitions that have a leader, in order.
    pub led: Vec<i32>,
}

impl TopicView {
    pub(super) fn new(name: Arc<str>, partitions: Vec<PartitionView>) -> TopicView {
        let led = partitions.iter().zip(0..).filter(|(partition, _)| partition.leader.is_some());
        let led = led.map(|(_, number)| number).collect();
        TopicView { name, partitions, led }
    }
}

/// What a broker says about a topic: a view, or Kafka's name of the error.
pub(super) type TopicAnswer = Result<TopicView, &'static str>;

/// One metadata response.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) brokers: BTreeMap<BrokerId, String>,
    pub(super) controller: Option<BrokerId>,
    pub(super) topics: BTreeMap<Arc<str>, TopicAnswer>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Metadata {
    age_max: Duration,
    refreshed: Option<Instant>,
    brokers: BTreeMap<BrokerId, String>,
    controller: Option<BrokerId>,
    /// What users of this cluster read or write, whether known or not.
    tracked: Tracked,
    topics: BTreeMap<Arc<str>, Arc<TopicView>>,
    errors: BTreeMap<Arc<str>, &'static str>,
    /// Partitions whose leader turned out not to be it.
    stale_leaders: BTreeSet<TopicPartition>,
    /// Some broker could not be reached.
    brokers_stale: bool,
}

impl Metadata {
    pub(super) fn new(age_max: Duration) -> Metadata {
        Metadata {
            age_max,
            refreshed: None,
            brokers: BTreeMap::new(),
            controller: None,
            tracked: Tracked::default(),
            topics: BTreeMap::new(),
            errors: BTreeMap::new(),
            stale_leaders: BTreeSet::new(),
            brokers_stale: false,
        }
    }

    pub(super) fn track(&mut self, topic: &Arc<str>) {
        self.tracked.keep(topic);
    }

    pub(super) fn track_only(&mut self, topics: BTreeSet<Arc<str>>) {
        self.tracked.keep_only(topics);
        self.drop_untracked();
    }

    /// Somebody looks for a topic, until [`Metadata::seek_ended`].
    pub(super) fn seek(&mut self, topic: &Arc<str>, now: Instant) {
        self.tracked.seek(topic, now);
    }

    /// A topic that was not found is asked about no more.
    pub(super) fn seek_ended(&mut self, topic: &str) {
        if self.tracked.seek_ended(topic, self.topics.contains_key(topic)) {
            self.errors.remove(topic);
        }
    }

    /// A topic that is about to be used, if it is known.
    pub(super) fn use_topic(&mut self, topic: &str, now: Instant) -> Option<Arc<TopicView>> {
        let view = self.topics.get(topic)?;
        self.tracked.used_again(topic, now);
        Some(Arc::clone(view))
    }

    /// Asks about these, and no more about what was not used for `idle_max`.
    pub(super) fn used_only(&mut self, topics: &BTreeSet<Arc<str>>, now: Instant, idle_max: Duration) {
        for topic in topics {
            self.tracked.used(topic, now);
        }
        if !self.tracked.forget_idle(now, idle_max).is_empty() {
            self.drop_untracked();
        }
    }

    fn drop_untracked(&mut self) {
        self.topics.retain(|topic, _| self.tracked.contains(topic));
        self.errors.retain(|topic, _| self.tracked.contains(topic));
        self.stale_leaders.retain(|partition| self.tracked.contains(&partition.topic));
    }

    pub(super) fn tracked(&self) -> impl Iterator<Item = &Arc<str>> {
        self.tracked.iter()
    }

    pub(super) fn topic(&self, topic: &str) -> Option<&Arc<TopicView>> {
        self.topics.get(topic)
    }

    /// The error a broker last gave for a topic that is not known.
    pub(super) fn error(&self, topic: &str) -> Option<&'static str> {
        self.errors.get(topic).copied()
    }

    /// The leader, unless it is unknown or what is known of it is stale.
    pub(super) fn leader(&self, partition: &TopicPartition) -> Option<Leader> {
        let view =
            self.topics.get(&partition.topic)?.partitions.get(usize::try_from(partition.partition).ok()?)?;
        if self.stale_leaders.contains(partition) {
            return None;
        }
        view.leader.map(|broker| Leader { broker, epoch: view.leader_epoch })
    }

    pub(super) fn brokers(&self) -> &BTreeMap<BrokerId, String> {
        &self.brokers
    }

    pub(super) fn controller(&self) -> Option<BrokerId> {
        self.controller
    }

    pub(super) fn invalidate_leader(&mut self, partition: &TopicPartition) {
        self.stale_leaders.insert(partition.clone());
    }

    pub(super) fn invalidate_brokers(&mut self) {
        self.brokers_stale = true;
    }

    /// Whether something tracked is unknown, stale or too old.
    pub(super) fn needs_refresh(&self, now: Instant) -> bool {
        let unknown = |topic: &Arc<str>| match self.topics.get(topic) {
            None => true,
            Some(view) => view.led.len() < view.partitions.len(),
        };
        self.brokers_stale
            || !self.stale_leaders.is_empty()
            || self.tracked.iter().any(unknown)
            || self.is_too_old(now)
    }

    /// Whether something is tracked, and what is known is too old.
    pub(super) fn is_too_old(&self, now: Instant) -> bool {
        !self.tracked.is_empty() && self.expires() <= now
    }

    /// When what is known becomes too old.
    pub(super) fn expires(&self) -> Instant {
        self.refreshed.map_or(Instant::START, |refreshed| refreshed + self.age_max)
    }

    /// As above; `None` while nothing is tracked.
    pub(super) fn next_refresh(&self) -> Option<Instant> {
        (!self.tracked.is_empty()).then(|| self.expires())
    }

    /// Takes over an answer.
    pub(super) fn refreshed(&mut self, answer: Answer, now: Instant) {
        if !answer.brokers.is_empty() {
            self.brokers = answer.brokers;
        }
        self.controller = answer.controller;
        // Whoever asked about the others looks for them no more.
        for (topic, told) in answer.topics.into_iter().filter(|(topic, _)| self.tracked.contains(topic)) {
            match told {
                Ok(view) => {
                    self.errors.remove(&topic);
                    self.topics.insert(topic, Arc::new(view));
                }
                Err(error) => {
                    self.topics.remove(&topic);
                    self.errors.insert(topic, error);
                }
            }
        }
        let is_known = |topic: &Arc<str>| self.topics.contains_key(topic);
        debug_assert!(!self.errors.keys().any(is_known), "a topic is known or has an error");
        self.stale_leaders.clear();
        self.brokers_stale = false;
        self.refreshed = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE_MAX: Duration = Duration::from_secs(60);

    fn view(leaders: &[i32]) -> TopicView {
        let partition = |leader: &i32| PartitionView {
            leader: (*leader >= 0).then_some(BrokerId(*leader)),
            leader_epoch: LeaderEpoch(0),
            replicas: vec![],
            in_sync: vec![],
        };
        TopicView::new("orders".into(), leaders.iter().map(partition).collect())
    }

    fn answer(told: TopicAnswer) -> Answer {
        let brokers = BTreeMap::from([(BrokerId(1), "a:1".to_owned())]);
        Answer { brokers, controller: None, topics: BTreeMap::from([("orders".into(), told)]) }
    }

    fn tracking_orders() -> Metadata {
        let mut metadata = Metadata::new(AGE_MAX);
        metadata.track(&"orders".into());
        metadata
    }

    fn orders(partition: i32) -> TopicPartition {
        TopicPartition::new("orders", partition)
    }

    #[test]
    fn a_tracked_topic_is_asked_for_until_all_its_leaders_are_known() {
        let mut metadata = tracking_orders();
        assert!(metadata.needs_refresh(Instant::START));
        metadata.refreshed(answer(Ok(view(&[1, -1]))), Instant::START);
        assert!(metadata.needs_refresh(Instant::START));
        assert_eq!(metadata.leader(&orders(0)).map(|leader| leader.broker), Some(BrokerId(1)));
        assert_eq!(metadata.leader(&orders(1)), None);
        metadata.refreshed(answer(Ok(view(&[1, 1]))), Instant::START);
        assert!(!metadata.needs_refresh(Instant::START));
    }

    #[test]
    fn a_stale_leaders_leader_is_unknown_until_the_next_answer() {
        let mut metadata = tracking_orders();
        metadata.refreshed(answer(Ok(view(&[1]))), Instant::START);
        metadata.invalidate_leader(&orders(0));
        assert_eq!(metadata.leader(&orders(0)), None);
        assert!(metadata.needs_refresh(Instant::START));
        metadata.refreshed(answer(Ok(view(&[1]))), Instant::START);
        assert_eq!(metadata.leader(&orders(0)).map(|leader| leader.broker), Some(BrokerId(1)));
    }

    #[test]
    fn an_error_takes_the_place_of_a_topic_and_a_topic_that_of_an_error() {
        let mut metadata = tracking_orders();
        metadata.refreshed(answer(Ok(view(&[1]))), Instant::START);
        metadata.refreshed(answer(Err("UNKNOWN_TOPIC_OR_PARTITION")), Instant::START);
        assert_eq!(metadata.topic("orders"), None);
        assert_eq!(metadata.error("orders"), Some("UNKNOWN_TOPIC_OR_PARTITION"));
        metadata.refreshed(answer(Ok(view(&[1]))), Instant::START);
        assert_eq!(metadata.error("orders"), None);
    }

    #[test]
    fn knowledge_grows_old() {
        let mut metadata = tracking_orders();
        metadata.refreshed(answer(Ok(view(&[1]))), Instant::START);
        assert!(!metadata.needs_refresh(Instant::START + Duration::from_secs(59)));
        assert!(metadata.needs_refresh(Instant::START + AGE_MAX));
    }

    #[test]
    fn a_topic_that_is_used_no_more_is_forgotten_and_one_that_records_wait_for_is_not() {
        let mut metadata = Metadata::new(AGE_MAX);
        let name: Arc<str> = "orders".into();
        metadata.seek(&name, Instant::START);
        metadata.refreshed(answer(Ok(view(&[1]))), Instant::START);
        metadata.seek_ended("orders");
        let waiting = BTreeSet::from([name]);
        metadata.used_only(&waiting, Instant::START + 5 * AGE_MAX, 5 * AGE_MAX);
        metadata.used_only(&BTreeSet::new(), Instant::START + 9 * AGE_MAX, 5 * AGE_MAX);
        assert!(metadata.use_topic("orders", Instant::START + 5 * AGE_MAX).is_some());
        metadata.used_only(&BTreeSet::new(), Instant::START + 10 * AGE_MAX, 5 * AGE_MAX);
        assert_eq!(metadata.topic("orders"), None);
        assert!(!metadata.needs_refresh(Instant::START + 10 * AGE_MAX), "nothing is tracked");
    }

    #[test]
    fn an_answer_about_a_topic_that_nobody_looks_for_any_more_leaves_nothing_behind() {
        let mut metadata = Metadata::new(AGE_MAX);
        metadata.seek(&"orders".into(), Instant::START);
        metadata.seek_ended("orders");
        metadata.refreshed(answer(Err("UNKNOWN_TOPIC_OR_PARTITION")), Instant::START);
        assert_eq!(metadata.error("orders"), None);
        assert_eq!(metadata.tracked().count(), 0);
    }

    #[test]
    fn partitions_that_do_not_exist_have_no_leader() {
        let mut metadata = tracking_orders();
        metadata.refreshed(answer(Ok(view(&[1]))), Instant::START);
        assert_eq!(metadata.leader(&orders(1)), None);
        assert_eq!(metadata.leader(&orders(-1)), None);
    }
}
