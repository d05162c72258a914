//! Makes topics: checks what is asked for and places the partitions.
//!
//! Placing is round robin over the registered brokers, one replica each. More replicas come with replication.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::config::topic_log_config;
use super::core::Core;
use crate::protocol::ErrorCode;
use crate::registry::{Registry, RegistryError, TopicSpec};
use crate::runtime::{Instant, rng};
use crate::types::{BrokerId, TopicId};
use crate::zookeeper::ZkError;

/// Kafka's limit.
const NAME_BYTES_MAX: usize = 249;
/// Kept small enough for directory names: the longest topic name, a dash and four digits are 254 bytes, and file
/// systems take 255. What one write to ZooKeeper takes may bound a topic earlier: [`check_size`].
const PARTITIONS_MAX: i32 = 10_000;
/// Replication factors for now.
const REPLICATION_FACTOR: i16 = 1;
/// Said by requests for "the default".
const DEFAULT: i32 = -1;
/// A topic made on the way of another request is waited for this long.
pub(super) const AUTO_CREATE_WAIT: Duration = Duration::from_secs(5);

/// A topic as a client asks for it.
#[derive(Clone, Debug, Default)]
pub(super) struct NewTopic {
    pub name: String,
    /// -1: the default, or as many as `assignment` has.
    pub partitions: i32,
    /// -1: the default, or as many as `assignment` has.
    pub replication_factor: i16,
    /// By hand; empty: the cluster places them.
    pub assignment: BTreeMap<i32, Vec<BrokerId>>,
    pub config: BTreeMap<String, String>,
}

impl NewTopic {
    /// With the broker's defaults.
    pub fn by_default(name: &str) -> NewTopic {
        NewTopic {
            name: name.to_owned(),
            partitions: DEFAULT,
            replication_factor: DEFAULT as i16,
            ..Default::default()
        }
    }
}

/// Why a topic is not made, as clients are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub code: ErrorCode,
    pub message: String,
}

fn refuse<T>(code: ErrorCode, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { code, message: message.into() })
}

/// What would be made, if nothing is wrong with it. The brokers are asked of ZooKeeper, not of this broker's
/// image: one that registered a moment ago gets its share.
pub(super) async fn plan(core: &Core, topic: &NewTopic) -> Result<TopicSpec, Refusal> {
    check_name(&topic.name)?;
    let image = core.metadata.image();
    if image.topics.contains_key(topic.name.as_str()) {
        return refuse(ErrorCode::TOPIC_ALREADY_EXISTS, format!("topic {} exists already", topic.name));
    }
    check_metric_name(&topic.name, image.topics.keys())?;
    if let Err(problem) = topic_log_config(&core.config, &topic.config) {
        return refuse(ErrorCode::INVALID_CONFIG, problem.to_string());
    }
    let brokers = registered(core).await?;
    let partitions = if topic.assignment.is_empty() {
        let count = partition_count(topic.partitions, core.config.partitions_default)?;
        check_replication_factor(topic.replication_factor)?;
        let mut draws = rng::stream("topic-placement");
        let first = draws.below(brokers.len().max(1) as u64) as usize;
        place(count, &brokers, first)?
    } else {
        check_assignment(topic, &brokers)?
    };
    let topic_id = draw_topic_id();
    let spec = TopicSpec { name: topic.name.clone(), topic_id, partitions, config: topic.config.clone() };
    check_size(&spec)?;
    check_descriptors(core, &spec)?;
    Ok(spec)
}

fn draw_topic_id() -> TopicId {
    let mut id = [0; 16];
    rng::stream("topic-id").fill(&mut id);
    TopicId::from_bytes(id)
}

async fn registered(core: &Core) -> Result<Vec<BrokerId>, Refusal> {
    match registry(core)?.live_broker_ids().await {
        Ok(brokers) => Ok(brokers),
        Err(error) => refuse(ErrorCode::BROKER_NOT_AVAILABLE, error.to_string()),
    }
}

fn registry(core: &Core) -> Result<Registry, Refusal> {
    core.registry().ok_or_else(|| Refusal {
        code: ErrorCode::BROKER_NOT_AVAILABLE,
        message: "this broker is not registered in ZooKeeper just now".to_owned(),
    })
}

/// Makes the topic in ZooKeeper, and waits until `deadline` for this broker to see it.
pub(super) async fn create(core: &Core, spec: &TopicSpec, deadline: Instant) -> Result<(), Refusal> {
    match registry(core)?.create_topic(spec).await {
        Ok(()) => {}
        Err(RegistryError::TopicExists(name)) => {
            return refuse(ErrorCode::TOPIC_ALREADY_EXISTS, format!("topic {name} exists already"));
        }
        Err(RegistryError::ZooKeeper(ZkError::TooLarge { .. })) => {
            return refuse(ErrorCode::INVALID_PARTITIONS, "too many partitions for one write to ZooKeeper");
        }
        Err(error) => return refuse(ErrorCode::UNKNOWN_SERVER_ERROR, error.to_string()),
    }
    tracing::info!(topic = spec.name, partitions = spec.partitions.len(), "topic_created");
    let seen = core.metadata.wait_for(deadline, |image| image.topics.contains_key(spec.name.as_str()));
    match seen.await {
        Ok(_image) => Ok(()),
        Err(_elapsed) => refuse(ErrorCode::REQUEST_TIMED_OUT, "the topic is made but not yet served"),
    }
}

/// Kafka's rules for names.
pub(super) fn check_name(name: &str) -> Result<(), Refusal> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let problem = if name.is_empty() || name == "." || name == ".." {
        "is no name for a topic"
    } else if name.len() > NAME_BYTES_MAX {
        "is too long a name for a topic: at most 249 characters"
    } else if !name.chars().all(legal) {
        "is no name for a topic: only letters, digits, '.', '_' and '-' are allowed"
    } else {
        return Ok(());
    };
    let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
    refuse(ErrorCode::INVALID_TOPIC_EXCEPTION, format!("{shown:?} {problem}"))
}

/// Two topics must not differ in '.' and '_' alone: Kafka's metrics, and tools made for them, write both the same.
fn check_metric_name<'a>(name: &str, existing: impl Iterator<Item = &'a Arc<str>>) -> Result<(), Refusal> {
    fn in_metrics(name: &str) -> impl Iterator<Item = u8> {
        name.bytes().map(|byte| if byte == b'.' { b'_' } else { byte })
    }
    for other in existing {
        if **other != *name && other.len() == name.len() && in_metrics(other).eq(in_metrics(name)) {
            let message =
                format!("topic {name} would have the same name in metrics as {other}: '.' is '_' there");
            return refuse(ErrorCode::INVALID_TOPIC_EXCEPTION, message);
        }
    }
    Ok(())
}

/// A topic is made by one write to ZooKeeper, all of it or nothing.
fn check_size(spec: &TopicSpec) -> Result<(), Refusal> {
    if spec.creation_bytes() <= TopicSpec::CREATION_BYTES_MAX {
        return Ok(());
    }
    let with_partitions = |count: usize| TopicSpec {
        partitions: spec.partitions.clone().into_iter().take(count).collect(),
        ..spec.clone()
    };
    let (mut fits, mut too_many) = (0, spec.partitions.len());
    while fits + 1 < too_many {
        let middle = fits.midpoint(too_many);
        let is_too_many = with_partitions(middle).creation_bytes() > TopicSpec::CREATION_BYTES_MAX;
        if is_too_many { too_many = middle } else { fits = middle }
    }
    if fits == 0 {
        return refuse(ErrorCode::INVALID_CONFIG, "the topic's config is larger than one write to ZooKeeper");
    }
    let message = format!(
        "{} partitions: a topic is one write to ZooKeeper of {} bytes at most, into which {fits} partitions of this \
         one fit",
        spec.partitions.len(),
        TopicSpec::CREATION_BYTES_MAX,
    );
    refuse(ErrorCode::INVALID_PARTITIONS, message)
}

/// Each partition keeps a file open; this broker knows how many more of its own it can open. Another broker that
/// cannot open its share says so, and serves those partitions when it can.
fn check_descriptors(core: &Core, spec: &TopicSpec) -> Result<(), Refusal> {
    let here = spec.partitions.values().filter(|replicas| replicas.contains(&core.id)).count();
    let free = core.descriptors.partitions_free();
    if here <= free {
        return Ok(());
    }
    let message = format!(
        "{here} partitions on broker {}: it can open {free} more, for its process may have {} files open: raise that \
         limit (ulimit -n, LimitNOFILE) or place partitions elsewhere",
        core.id,
        core.descriptors.limit(),
    );
    refuse(ErrorCode::INVALID_PARTITIONS, message)
}

fn partition_count(asked: i32, default: i32) -> Result<i32, Refusal> {
    let count = if asked == DEFAULT { default } else { asked };
    if (1..=PARTITIONS_MAX).contains(&count) {
        return Ok(count);
    }
    refuse(ErrorCode::INVALID_PARTITIONS, format!("{count} partitions: there must be 1 to {PARTITIONS_MAX}"))
}

fn check_replication_factor(asked: i16) -> Result<(), Refusal> {
    if asked == DEFAULT as i16 || asked == REPLICATION_FACTOR {
        return Ok(());
    }
    refuse(
        ErrorCode::INVALID_REPLICATION_FACTOR,
        format!("replication factor {asked}: must be {REPLICATION_FACTOR} until replication is built"),
    )
}

fn check_assignment(topic: &NewTopic, brokers: &[BrokerId]) -> Result<BTreeMap<i32, Vec<BrokerId>>, Refusal> {
    if topic.partitions != DEFAULT || topic.replication_factor != DEFAULT as i16 {
        let message = "with partitions assigned by hand, their number and the replication factor must be -1";
        return refuse(ErrorCode::INVALID_REQUEST, message);
    }
    partition_count(i32::try_from(topic.assignment.len()).unwrap_or(i32::MAX), DEFAULT)?;
    if !topic.assignment.keys().copied().eq(0..topic.assignment.len() as i32) {
        return refuse(
            ErrorCode::INVALID_REPLICA_ASSIGNMENT,
            "partitions must be numbered from 0 without a gap",
        );
    }
    for (partition, replicas) in &topic.assignment {
        let [broker] = replicas.as_slice() else {
            let message = format!("partition {partition}: must have one replica until replication is built");
            return refuse(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message);
        };
        if !brokers.contains(broker) {
            let message = format!("partition {partition}: broker {broker} is not registered");
            return refuse(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message);
        }
    }
    Ok(topic.assignment.clone())
}

/// Round robin from the broker at index `first`.
fn place(
    partitions: i32,
    brokers: &[BrokerId],
    first: usize,
) -> Result<BTreeMap<i32, Vec<BrokerId>>, Refusal> {
    if brokers.is_empty() {
        return refuse(ErrorCode::INVALID_REPLICATION_FACTOR, "no broker is registered");
    }
    let broker = |partition: i32| brokers[(first + partition as usize) % brokers.len()];
    Ok((0..partitions).map(|partition| (partition, vec![broker(partition)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_spread_evenly_from_where_the_draw_fell() {
        let brokers = [BrokerId(1), BrokerId(4), BrokerId(9)];

        let placed = place(4, &brokers, 2).expect("brokers there are");

        let leaders: Vec<i32> = placed.values().map(|replicas| replicas[0].0).collect();
        assert_eq!(leaders, [9, 1, 4, 9]);
        assert!(place(1, &[], 0).is_err());
    }

    #[test]
    fn names_follow_kafkas_rules() {
        for name in ["orders", "a.b_c-D9", &"x".repeat(249)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", ".", "..", "a b", "a/b", "ä", &"x".repeat(250)] {
            let refusal = check_name(name).expect_err("not a name");
            assert_eq!(refusal.code, ErrorCode::INVALID_TOPIC_EXCEPTION, "{name}");
        }
    }

    #[test]
    fn a_name_that_metrics_cannot_tell_from_another_is_refused() {
        let existing: [Arc<str>; 3] = ["a.b".into(), "x__y".into(), "plain".into()];
        let check = |name| check_metric_name(name, existing.iter());

        for name in ["a.b", "plain", "a.bc", "x_y"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        for (name, other) in [("a_b", "a.b"), ("x..y", "x__y"), ("x._y", "x__y")] {
            let refusal = check(name).expect_err("the same in metrics");
            assert_eq!(refusal.code, ErrorCode::INVALID_TOPIC_EXCEPTION);
            assert!(refusal.message.contains(other), "{}", refusal.message);
        }
    }

    #[test]
    fn a_topic_too_large_for_one_write_is_told_how_many_partitions_fit() {
        let spec = |partitions| TopicSpec {
            name: "x".repeat(249),
            topic_id: TopicId::from_bytes([7; 16]),
            partitions: place(partitions, &[BrokerId(1), BrokerId(2)], 0).expect("brokers there are"),
            config: BTreeMap::new(),
        };

        let refusal = check_size(&spec(PARTITIONS_MAX)).expect_err("does not fit");

        assert_eq!(refusal.code, ErrorCode::INVALID_PARTITIONS);
        let words: Vec<&str> = refusal.message.split(' ').collect();
        let at = words.iter().position(|word| *word == "which").expect("says how many");
        let fits: i32 = words[at + 1].parse().expect("a number");
        assert_eq!(check_size(&spec(fits)), Ok(()), "{}", refusal.message);
        assert!(check_size(&spec(fits + 1)).is_err());
    }

    #[test]
    fn more_replicas_than_can_be_kept_are_refused_in_words() {
        let refusal = check_replication_factor(3).expect_err("no replication yet");

        assert_eq!(refusal.code, ErrorCode::INVALID_REPLICATION_FACTOR);
        assert!(refusal.message.contains("until replication is built"), "{}", refusal.message);
        assert_eq!(check_replication_factor(-1), Ok(()));
    }

    #[test]
    fn a_count_of_partitions_is_bounded() {
        assert_eq!(partition_count(-1, 3), Ok(3));
        assert_eq!(partition_count(8, 3), Ok(8));
        for asked in [0, -2, 10_001, i32::MAX] {
            let refusal = partition_count(asked, 3).expect_err("out of bounds");
            assert_eq!(refusal.code, ErrorCode::INVALID_PARTITIONS);
        }
    }

    #[test]
    fn an_assignment_by_hand_names_registered_brokers_once_a_partition() {
        let brokers = [BrokerId(1), BrokerId(2)];
        let by_hand = |assignment: &[(i32, &[i32])]| NewTopic {
            partitions: -1,
            replication_factor: -1,
            assignment: assignment
                .iter()
                .map(|(partition, ids)| (*partition, ids.iter().map(|id| BrokerId(*id)).collect()))
                .collect(),
            ..NewTopic::default()
        };

        assert!(check_assignment(&by_hand(&[(0, &[2]), (1, &[1])]), &brokers).is_ok());
        for wrong in [&[(1, &[1][..])][..], &[(0, &[1, 2][..])], &[(0, &[7][..])], &[(0, &[][..])]] {
            let refusal = check_assignment(&by_hand(wrong), &brokers).expect_err("refused");
            assert_eq!(refusal.code, ErrorCode::INVALID_REPLICA_ASSIGNMENT, "{wrong:?}");
        }
    }
}
