//! Decides what this broker does with its partitions when it sees the cluster anew.
//!
//! A decision and no more: the image and what is open here in, steps out. `membership` performs them.

use std::collections::{BTreeMap, BTreeSet};

use super::metadata::{Image, PartitionImage};
use super::replicas::Raise;
use crate::registry::PartitionState;
use crate::types::{BrokerId, LeaderEpoch, TopicId, TopicPartition};

/// What this broker has of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub topic_id: TopicId,
    /// The epoch in which it leads; `None` if it does not.
    pub epoch: Option<LeaderEpoch>,
    pub availability: Availability,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Availability {
    Open,
    /// Left alone until an operator has decided.
    Offline,
    /// There was no room to open it: to be tried again.
    Waiting(Raise),
}

/// Why a partition's leader epoch is raised, or that it need not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Session {
    /// A new session: every leadership of the one before is over.
    New,
    /// The session in which the leaderships were taken.
    Same,
}

/// In the order in which they are to be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The topic is gone, or is another of the same name.
    Close(TopicPartition),
    /// Lead no longer.
    Resign(TopicPartition),
    /// Open the log, then lead: in a raised epoch if an earlier incarnation may have led, else in this one.
    Open { partition: TopicPartition, topic_id: TopicId, epoch: LeaderEpoch, raise: Raise },
    /// Raise the epoch, then lead in it.
    Raise { partition: TopicPartition, epoch: LeaderEpoch },
    /// Lead in this epoch.
    Lead { partition: TopicPartition, epoch: LeaderEpoch },
}

impl Step {
    /// Whether something ends by it, rather than begins.
    pub fn is_end(&self) -> bool {
        matches!(self, Step::Close(_) | Step::Resign(_))
    }

    fn partition(&self) -> &TopicPartition {
        match self {
            Step::Close(partition) | Step::Resign(partition) => partition,
            Step::Open { partition, .. } | Step::Raise { partition, .. } | Step::Lead { partition, .. } => {
                partition
            }
        }
    }
}

pub(super) fn decide(
    image: &Image,
    me: BrokerId,
    held: &BTreeMap<TopicPartition, Held>,
    session: Session,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for (partition, mine) in held {
        let topic = image.topics.get(&partition.topic);
        let assigned = topic
            .filter(|topic| topic.topic_id == mine.topic_id)
            .and_then(|topic| topic.partitions.get(&partition.partition));
        match assigned.filter(|assigned| assigned.replicas.contains(&me)) {
            None => steps.push(Step::Close(partition.clone())),
            Some(assigned) => steps.extend(keep(partition, mine, epoch_led_by(me, assigned), session)),
        }
    }
    for (name, topic) in &image.topics {
        for (number, assigned) in &topic.partitions {
            let partition = TopicPartition::new(name.clone(), *number);
            let is_held = held.get(&partition).is_some_and(|mine| mine.topic_id == topic.topic_id);
            if let Some(epoch) = epoch_led_by(me, assigned)
                && !is_held
            {
                let raise = if session == Session::New { Raise::AtOnce } else { Raise::IfFound };
                steps.push(Step::Open { partition, topic_id: topic.topic_id, epoch, raise });
            }
        }
    }
    debug_assert!(are_of_different_partitions(&steps), "steps that are taken side by side do not meet");
    steps
}

/// The ends are taken first, and then the others: of either a partition has one.
fn are_of_different_partitions(steps: &[Step]) -> bool {
    let mut met = BTreeSet::new();
    steps.iter().all(|step| met.insert((step.is_end(), step.partition())))
}

fn keep(
    partition: &TopicPartition,
    mine: &Held,
    leads: Option<LeaderEpoch>,
    session: Session,
) -> Option<Step> {
    let partition = partition.clone();
    match mine.availability {
        Availability::Open => {}
        Availability::Offline => return None,
        Availability::Waiting(raise) => {
            let raise = if session == Session::New { Raise::AtOnce } else { raise };
            let topic_id = mine.topic_id;
            return leads.map(|epoch| Step::Open { partition, topic_id, epoch, raise });
        }
    }
    match (leads, mine.epoch) {
        (None, Some(_)) => Some(Step::Resign(partition)),
        (None, None) => None,
        (Some(epoch), _) if session == Session::New => Some(Step::Raise { partition, epoch }),
        (Some(epoch), None) => Some(Step::Raise { partition, epoch }),
        // Raised by somebody else on this broker's behalf.
        (Some(epoch), Some(current)) if epoch > current => Some(Step::Lead { partition, epoch }),
        (Some(_), Some(_)) => None,
    }
}

fn epoch_led_by(me: BrokerId, assigned: &PartitionImage) -> Option<LeaderEpoch> {
    match &assigned.state {
        Some(PartitionState { leader: Some(leader), leader_epoch, .. }) if *leader == me => {
            Some(*leader_epoch)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::broker::metadata::TopicImage;
    use crate::broker::metadata::image_tests::led_by;

    const ME: BrokerId = BrokerId(1);
    const ID: TopicId = TopicId::from_bytes([7; 16]);

    fn orders(partitions: &[(i32, PartitionImage)]) -> Image {
        let partitions = partitions.iter().cloned().collect();
        let topic = TopicImage { topic_id: ID, config: BTreeMap::new(), partitions };
        Image { topics: BTreeMap::from([(Arc::from("orders"), Arc::new(topic))]), ..Image::default() }
    }

    fn partition(number: i32) -> TopicPartition {
        TopicPartition::new("orders", number)
    }

    fn held(number: i32, epoch: Option<i32>) -> BTreeMap<TopicPartition, Held> {
        let epoch = epoch.map(LeaderEpoch);
        BTreeMap::from([(partition(number), Held { topic_id: ID, epoch, availability: Availability::Open })])
    }

    fn open(epoch: i32, raise: Raise) -> Step {
        Step::Open { partition: partition(0), topic_id: ID, epoch: LeaderEpoch(epoch), raise }
    }

    #[test]
    fn a_partition_that_this_broker_leads_is_opened_and_others_are_not() {
        let image = orders(&[(0, led_by(1, 3)), (1, led_by(2, 3))]);

        let steps = decide(&image, ME, &BTreeMap::new(), Session::New);

        assert_eq!(steps, [open(3, Raise::AtOnce)]);
        let later = decide(&image, ME, &BTreeMap::new(), Session::Same);
        assert_eq!(later, [open(3, Raise::IfFound)]);
    }

    #[test]
    fn a_new_session_raises_the_epoch_of_what_was_led_before() {
        let image = orders(&[(0, led_by(1, 3))]);

        let steps = decide(&image, ME, &held(0, Some(3)), Session::New);

        assert_eq!(steps, [Step::Raise { partition: partition(0), epoch: LeaderEpoch(3) }]);
    }

    #[test]
    fn in_the_same_session_nothing_changes_without_a_reason() {
        let image = orders(&[(0, led_by(1, 3))]);

        assert_eq!(decide(&image, ME, &held(0, Some(3)), Session::Same), []);
        assert_eq!(decide(&image, ME, &held(0, Some(4)), Session::Same), []);
        let lead = Step::Lead { partition: partition(0), epoch: LeaderEpoch(3) };
        assert_eq!(decide(&image, ME, &held(0, Some(2)), Session::Same), [lead]);
    }

    #[test]
    fn a_leadership_given_to_another_is_resigned_and_one_lost_is_closed() {
        let mut shared = led_by(2, 4);
        shared.replicas = vec![BrokerId(2), ME];

        let steps = decide(&orders(&[(0, shared)]), ME, &held(0, Some(3)), Session::Same);
        assert_eq!(steps, [Step::Resign(partition(0))]);

        let steps = decide(&orders(&[(0, led_by(2, 4))]), ME, &held(0, Some(3)), Session::Same);
        assert_eq!(steps, [Step::Close(partition(0))]);
    }

    #[test]
    fn a_topic_made_anew_under_its_old_name_is_closed_then_opened() {
        let mut old = held(0, Some(3));
        old.get_mut(&partition(0)).expect("held").topic_id = TopicId::from_bytes([9; 16]);

        let steps = decide(&orders(&[(0, led_by(1, 0))]), ME, &old, Session::Same);

        assert_eq!(steps, [Step::Close(partition(0)), open(0, Raise::IfFound)]);
    }

    #[test]
    fn what_waits_for_an_operator_is_left_alone_and_what_waits_for_room_is_opened() {
        let mut held = held(0, None);
        held.get_mut(&partition(0)).expect("held").availability = Availability::Offline;
        assert_eq!(decide(&orders(&[(0, led_by(1, 3))]), ME, &held, Session::New), []);

        held.get_mut(&partition(0)).expect("held").availability = Availability::Waiting(Raise::Done);
        assert_eq!(decide(&orders(&[(0, led_by(1, 3))]), ME, &held, Session::Same), [open(3, Raise::Done)]);
        assert_eq!(decide(&orders(&[(0, led_by(1, 3))]), ME, &held, Session::New), [open(3, Raise::AtOnce)]);
        assert_eq!(
            decide(&orders(&[(0, led_by(2, 3))]), ME, &held, Session::Same),
            [Step::Close(partition(0))]
        );
    }
}
