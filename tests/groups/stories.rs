//! What a group does for its members, whatever it runs on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use seedlog::consumer::membership::{Finish, GroupConfig, GroupConsumer, GroupError};
use seedlog::consumer::{AutoReset, ConsumeError, StartPosition};
use seedlog::runtime::clock;
use seedlog::types::Offset;

use super::harness::{PATIENCE, SESSION, Setting, TOPIC, join, partition, take, until, values};

/// Hands the list of every story to a macro that makes a test of each.
macro_rules! every_story {
    ($make_tests:ident) => {
        $make_tests! {
            members_share_the_partitions_and_take_over_from_one_that_leaves = sharing;
            after_a_crash_only_what_was_not_finished_comes_again = crash;
            marks_in_any_order_are_committed_up_to_the_first_gap = marks;
            every_group_gets_every_record = publish_subscribe;
            streams_of_one_member_share_a_topic = streams;
            a_member_may_begin_at_either_end_or_be_told_that_there_is_no_position = resets;
            a_position_that_the_log_does_not_hold_is_told_to_who_wants_no_reset = out_of_range;
            a_member_may_go_back_to_a_time_and_skip_to_now = seeks;
            a_name_that_is_in_use_is_waited_for = names;
            what_cannot_be_meant_is_refused = refusals;
            a_member_that_is_told_no_zookeeper_finds_it_by_the_brokers = discovery;
            streams_that_outlive_their_consumer_end_and_leave_its_partitions_to_others = kept_streams;
            #[cfg(feature = "real-runtime")]
            ordinary_threads_iterate_over_streams = threads;
        }
    };
}
pub(crate) use every_story;

fn expected(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("{number:04}")).collect()
}

fn sorted(mut values: Vec<String>) -> Vec<String> {
    values.sort_unstable();
    values
}

pub async fn sharing(at: Setting) {
    at.create_topic(5).await;
    let (first, mut first_streams) = join(at.config("billing", "a"), 1).await;
    until("the first owns everything", || first.owned().len() == 5).await;
    let (second, mut second_streams) = join(at.config("billing", "b"), 1).await;
    until("they share", || first.owned().len() + second.owned().len() == 5 && second.owned().len() >= 2)
        .await;
    assert!(first.owned().is_disjoint(&second.owned()));

    at.produce(0..50).await;
    let (firsts, seconds) = (first.owned().len() * 10, second.owned().len() * 10);
    let mut read = take(&mut first_streams[0], firsts).await;
    read.extend(take(&mut second_streams[0], seconds).await);
    assert_eq!(sorted(values(&read)), expected(0..50));

    first_streams[0].mark_finished(&read[firsts - 1].partition, read[firsts - 1].offset);
    first.close().await.expect("it leaves in order");
    assert_eq!(first_streams[0].next().await, Err(ConsumeError::Closed));
    until("the second owns everything", || second.owned().len() == 5).await;
    at.produce(50..100).await;
    assert_eq!(sorted(values(&take(&mut second_streams[0], 50).await)), expected(50..100));
    second.close().await.expect("it leaves in order");
}

pub async fn crash(at: Setting) {
    at.create_topic(1).await;
    at.produce(0..20).await;
    let config = GroupConfig { auto_commit: None, ..at.config("billing", "a") };
    let (first, mut streams) = join(config.clone(), 1).await;
    take(&mut streams[0], 8).await;
    // The eighth was asked for, so seven are finished.
    first.commit().await.expect("ZooKeeper has it");
    take(&mut streams[0], 5).await;
    drop(first);
    drop(streams);

    let (second, mut streams) = join(GroupConfig { auto_commit: None, ..at.config("billing", "b") }, 1).await;
    assert_eq!(values(&take(&mut streams[0], 13).await), expected(7..20));
    second.close().await.expect("it leaves in order");
}

pub async fn marks(at: Setting) {
    at.create_topic(1).await;
    at.produce(0..20).await;
    let mut config = GroupConfig { finish: Finish::Explicit, auto_commit: None, ..at.config("billing", "a") };
    config.unfinished_records_max = 6;
    let (first, mut streams) = join(config.clone(), 1).await;
    let records = take(&mut streams[0], 6).await;
    let waits = clock::timeout(Duration::from_millis(500), streams[0].next()).await;
    assert!(waits.is_err(), "a stream waits for marks");
    for index in [0, 1, 2, 4] {
        first.mark_finished(&records[index].partition, records[index].offset);
    }
    assert_eq!(values(&take(&mut streams[0], 1).await), expected(6..7));
    first.close().await.expect("it leaves in order");
    first.mark_finished(&partition(0), Offset(3));

    let (second, mut streams) = join(config, 1).await;
    assert_eq!(values(&take(&mut streams[0], 3).await), expected(3..6));
    second.close().await.expect("it leaves in order");
}

pub async fn publish_subscribe(at: Setting) {
    at.create_topic(3).await;
    at.produce(0..30).await;
    for group in ["billing", "search"] {
        let (consumer, mut streams) = join(at.config(group, "a"), 1).await;
        assert_eq!(sorted(values(&take(&mut streams[0], 30).await)), expected(0..30));
        consumer.close().await.expect("it leaves in order");
    }
}

pub async fn streams(at: Setting) {
    at.create_topic(3).await;
    at.produce(0..30).await;
    let (consumer, mut streams) = join(at.config("billing", "a"), 4).await;
    let mut read = Vec::new();
    for stream in &mut streams[..3] {
        let records = take(stream, 10).await;
        let partitions: BTreeSet<_> = records.iter().map(|record| record.partition.partition).collect();
        assert_eq!(partitions.len(), 1, "a third of three partitions is one");
        assert!(records.is_sorted_by_key(|record| record.offset));
        read.extend(values(&records));
    }
    assert_eq!(sorted(read), expected(0..30));
    let surplus = clock::timeout(Duration::from_millis(300), streams[3].next()).await;
    assert!(surplus.is_err(), "the fourth stream has nothing to read");
    consumer.close().await.expect("it leaves in order");
}

pub async fn resets(at: Setting) {
    at.create_topic(1).await;
    at.produce(0..10).await;
    let (consumer, mut streams) = join(at.config("smallest", "a"), 1).await;
    assert_eq!(values(&take(&mut streams[0], 1).await), expected(0..1));
    consumer.close().await.expect("it leaves in order");

    let config = GroupConfig { reset: AutoReset::Latest, ..at.config("largest", "a") };
    let (consumer, mut streams) = join(config, 1).await;
    until("the end is known", || consumer.position(&partition(0)).is_some()).await;
    at.produce(10..12).await;
    assert_eq!(values(&take(&mut streams[0], 2).await), expected(10..12));
    consumer.close().await.expect("it leaves in order");

    let config = GroupConfig { reset: AutoReset::None, ..at.config("none", "a") };
    let (consumer, mut streams) = join(config, 1).await;
    let refused = clock::timeout(PATIENCE, streams[0].next()).await.expect("it says so in time");
    assert_eq!(refused, Err(ConsumeError::NoPosition { partition: partition(0) }));
    assert!(consumer.seek(&partition(0), StartPosition::At(Offset(4))));
    assert_eq!(values(&take(&mut streams[0], 1).await), expected(4..5));
    consumer.close().await.expect("it leaves in order");
}

pub async fn out_of_range(at: Setting) {
    at.create_topic(1).await;
    at.produce(0..5).await;
    let config = GroupConfig { reset: AutoReset::None, ..at.config("billing", "a") };
    let (consumer, mut streams) = join(config, 1).await;
    until("it owns the partition", || consumer.owned().len() == 1).await;
    assert!(consumer.seek(&partition(0), StartPosition::At(Offset(1_000))));
    let refused = clock::timeout(PATIENCE, streams[0].next()).await.expect("it says so in time");
    assert_eq!(refused, Err(ConsumeError::OutOfRange { partition: partition(0), offset: Offset(1_000) }));
    let again = clock::timeout(PATIENCE, streams[0].next()).await.expect("it says so in time");
    assert_eq!(again, refused, "as long as nobody acts on it");
    assert!(consumer.seek(&partition(0), StartPosition::At(Offset(3))));
    assert_eq!(values(&take(&mut streams[0], 2).await), expected(3..5));
    consumer.close().await.expect("it leaves in order");
}

pub async fn seeks(at: Setting) {
    at.create_topic(1).await;
    at.produce(0..5).await;
    clock::sleep(Duration::from_millis(50)).await;
    let then = clock::wall_now();
    clock::sleep(Duration::from_millis(50)).await;
    at.produce(5..10).await;
    let (consumer, mut streams) = join(at.config("billing", "a"), 1).await;
    take(&mut streams[0], 10).await;

    assert!(consumer.seek(&partition(0), StartPosition::Time(then)));
    assert_eq!(values(&take(&mut streams[0], 1).await), expected(5..6));
    assert!(consumer.seek(&partition(0), StartPosition::Latest));
    until("the end is known", || consumer.position(&partition(0)).is_some()).await;
    at.produce(10..11).await;
    assert_eq!(values(&take(&mut streams[0], 1).await), expected(10..11));
    assert!(consumer.seek(&partition(0), StartPosition::Earliest));
    assert_eq!(values(&take(&mut streams[0], 2).await), expected(0..2));
    assert!(!consumer.seek(&partition(7), StartPosition::Earliest), "not owned");

    // What was sought is where the group goes on.
    consumer.close().await.expect("it leaves in order");
    let (consumer, mut streams) = join(at.config("billing", "b"), 1).await;
    assert_eq!(values(&take(&mut streams[0], 1).await), expected(1..2));
    assert!(consumer.seek(&partition(0), StartPosition::At(Offset(4))));
    consumer.close().await.expect("it leaves in order");
    let (consumer, mut streams) = join(at.config("billing", "c"), 1).await;
    assert_eq!(values(&take(&mut streams[0], 1).await), expected(4..5), "though nothing was read there");
    consumer.close().await.expect("it leaves in order");
}

pub async fn names(at: Setting) {
    at.create_topic(1).await;
    at.produce(0..1).await;
    let named = |client: &str| {
        let member = Some("the-one".to_owned());
        GroupConfig { member, auto_commit: None, ..at.config("billing", client) }
    };
    let (first, mut streams) = join(named("a"), 1).await;
    take(&mut streams[0], 1).await;
    let crashed_at = clock::now();
    drop(first);
    drop(streams);
    let (second, mut streams) = join(named("b"), 1).await;
    assert_eq!(values(&take(&mut streams[0], 1).await), expected(0..1));
    assert!(clock::now() - crashed_at >= SESSION / 3, "its previous life held the name");
    second.close().await.expect("it leaves in order");
}

pub async fn refusals(at: Setting) {
    let start = GroupConsumer::start(at.config("a/b", "a")).await;
    assert!(matches!(start, Err(GroupError::BadConfig(_))));
    let consumer = GroupConsumer::start(at.config("billing", "a")).await.expect("ZooKeeper runs");
    for topics in [vec![], vec![("", 1)], vec![("a/b", 1)], vec![(TOPIC, 0)], vec![(TOPIC, u32::MAX)]] {
        let topics: BTreeMap<String, u32> = topics.into_iter().map(|(t, n)| (t.to_owned(), n)).collect();
        let created = consumer.create_message_streams(topics).await;
        assert!(matches!(created, Err(GroupError::BadConfig(_))));
    }
    let topics = BTreeMap::from([("not-there-yet".to_owned(), 1)]);
    consumer.create_message_streams(topics.clone()).await.expect("it is waited for");
    let again = consumer.create_message_streams(topics).await;
    assert!(matches!(again, Err(GroupError::StreamsExist)));
    consumer.commit().await.expect("nothing to commit");
    consumer.close().await.expect("it leaves in order");
    assert_eq!(consumer.commit().await, Err(GroupError::Closed));
}

pub async fn discovery(at: Setting) {
    at.create_topic(1).await;
    at.produce(0..5).await;
    let mut config = at.config("billing", "a");
    config.zookeeper.servers.clear();
    let (consumer, mut streams) = join(config.clone(), 1).await;
    assert_eq!(values(&take(&mut streams[0], 5).await), expected(0..5));
    consumer.close().await.expect("it leaves in order");

    // What is said wins.
    config.zookeeper.servers = vec!["127.0.0.1:1".to_owned()];
    let refused = GroupConsumer::start(config.clone()).await;
    assert!(matches!(refused, Err(GroupError::ZooKeeper(_))));
    config.zookeeper.servers.clear();
    config.consumer.bootstrap = vec!["127.0.0.1:1".to_owned()];
    let refused = GroupConsumer::start(config).await;
    assert!(matches!(refused, Err(GroupError::ZooKeeperUnknown(_))));
}

pub async fn kept_streams(at: Setting) {
    at.create_topic(1).await;
    at.produce(0..20).await;
    let config = GroupConfig { auto_commit: None, ..at.config("billing", "a") };
    let (first, mut kept) = join(config.clone(), 2).await;
    assert_eq!(values(&take(&mut kept[0], 5).await), expected(0..5));
    let mut waiting = kept.pop().expect("two streams");
    let dropping = async {
        clock::sleep(Duration::from_millis(50)).await;
        drop(first);
        clock::now()
    };
    let (told, dropped_at) = tokio::join!(clock::timeout(PATIENCE, waiting.next()), dropping);
    assert_eq!(told, Ok(Err(ConsumeError::Closed)), "one that waits is told");
    // Fifteen more are at hand.
    assert_eq!(clock::timeout(PATIENCE, kept[0].next()).await, Ok(Err(ConsumeError::Closed)));

    let (second, mut streams) = join(GroupConfig { auto_commit: None, ..at.config("billing", "b") }, 1).await;
    assert_eq!(values(&take(&mut streams[0], 20).await), expected(0..20));
    assert!(clock::now() - dropped_at <= SESSION * 3, "its session was left to expire");
    drop((waiting, kept));
    second.close().await.expect("it leaves in order");
}

/// An ordinary thread reads through iterators.
#[cfg(feature = "real-runtime")]
pub async fn threads(at: Setting) {
    use seedlog::consumer::membership::blocking::BlockingGroupConsumer;
    use seedlog::runtime::task;

    at.create_topic(2).await;
    at.produce(0..20).await;
    let config = at.config("billing", "a");
    let read = task::blocking(move || {
        let consumer = BlockingGroupConsumer::start(config).expect("ZooKeeper runs");
        let topics = BTreeMap::from([(TOPIC.to_owned(), 2)]);
        let streams = consumer.create_message_streams(topics).expect("a new consumer");
        let mut read = Vec::new();
        for stream in streams.into_values().flatten() {
            let records: Vec<_> = stream.take(10).map(|record| record.expect("nothing is wrong")).collect();
            read.extend(values(&records));
        }
        consumer.commit().expect("ZooKeeper has it");
        consumer.close().expect("it leaves in order");
        read
    });
    assert_eq!(sorted(read.await), expected(0..20));
}
