use std::collections::BTreeMap;

use seedlog::facts::{Fact, RecordTag};
use seedlog::types::{BrokerId, LeaderEpoch, Offset, SessionId};

use super::*;
use crate::history::{Entered, Injected};
use crate::scenario::Scenario;

/// A run of one topic, one producer and a group of two, told in seconds.
struct Tale {
    lookout: Lookout,
}

const FILE: &str = r#"format = 1
story = "A test's."
[cluster]
brokers = 1
[topics.orders]
partitions = 1
[producers.shop]
topic = "orders"
[groups.billing]
topics = ["orders"]
consumers = 2
"#;

impl Tale {
    /// The storm begins at once.
    fn of(rest: &str) -> Tale {
        let scenario = Scenario::parse("tale", "tale.toml", &format!("{FILE}{rest}")).unwrap();
        let mut tale = Tale { lookout: Lookout::new(&Plan::new(&scenario, 1)) };
        tale.at(0, "testbed", What::Phase(Entered { phase: Phase::Storm }));
        tale
    }

    fn at(&mut self, second: u64, node: &str, what: What) -> bool {
        let entry = Entry { at_ns: second * 1_000_000_000, node: node.into(), incarnation: 1, what };
        self.lookout.observe(&entry)
    }

    fn fact(&mut self, second: u64, node: &str, fact: Fact) -> bool {
        self.at(second, node, What::Fact(fact))
    }

    fn appended(&mut self, second: u64, offset: i64) -> bool {
        let (base, last) = (Offset(offset), Offset(offset));
        let (broker, partition, epoch) = (BrokerId(1), orders(), LeaderEpoch(0));
        self.fact(second, "broker-1", Fact::Appended { broker, partition, epoch, base, last, crc: 0 })
    }

    fn acked(&mut self, second: u64, offset: i64) -> bool {
        let (partition, offset) = (orders(), Some(Offset(offset)));
        self.fact(second, "shop", Fact::SendOk { producer: "shop".into(), seq: 0, partition, offset })
    }

    fn delivered(&mut self, second: u64, node: &str, offset: i64) -> bool {
        let record = RecordTag::of(None, None);
        let (consumer, partition, offset) = (node.to_owned(), orders(), Offset(offset));
        self.fact(second, node, Fact::Delivered { consumer, partition, offset, record })
    }

    fn joined(&mut self, second: u64, node: &str, session: i64) {
        let session = SessionId(session);
        let (group, consumer, subscription) = ("billing".into(), node.to_owned(), BTreeMap::new());
        self.fact(second, node, Fact::GroupJoined { group, consumer, session, subscription });
    }

    fn owned(&mut self, second: u64, node: &str) {
        let (group, consumer, partition) = ("billing".to_owned(), node.to_owned(), orders());
        self.fact(second, node, Fact::RebalanceStarted { group: group.clone(), consumer: consumer.clone() });
        let owned = Fact::PartitionOwned {
            group: group.clone(),
            consumer: consumer.clone(),
            partition,
            stream: 0,
            session: SessionId(1),
        };
        self.fact(second, node, owned);
        self.fact(second, node, Fact::RebalanceFinished { group, consumer, owned: 1 });
    }

    fn step(&mut self, second: u64, name: &str) {
        self.lookout.step_fired(name, second * 1_000_000_000);
    }

    fn late(&self) -> Vec<String> {
        self.lookout.too_late().into_iter().map(|late| late.message).collect()
    }
}

fn orders() -> TopicPartition {
    TopicPartition::new("orders", 0)
}

const KILL: &str = "[[step]]\nat = \"1s\"\ndo = \"kill any\"\nas = \"old\"\n";

fn within(condition: &str, limit: &str) -> String {
    format!("{KILL}[expect]\nwithin = {{ \"{condition}\" = \"{limit}\" }}\n")
}

#[test]
fn a_step_fires_when_its_offset_is_acknowledged() {
    let mut tale = Tale::of("[[step]]\nwhen = \"acked orders-0 2\"\ndo = \"kill any\"\n");
    assert!(!tale.acked(1, 1));
    assert!(tale.lookout.is_awaiting());
    assert!(tale.acked(2, 3));
    assert_eq!(tale.lookout.fired(), [0]);
    assert!(!tale.acked(3, 4));
    assert!(!tale.lookout.is_awaiting());
}

#[test]
fn writable_means_that_something_new_was_acknowledged() {
    let mut tale = Tale::of(&within("writable orders-0", "3s after old"));
    tale.appended(1, 5);
    tale.step(2, "old");
    // Under way already.
    tale.acked(2, 5);
    assert!(tale.lookout.has_open_limits(3_000_000_000));
    tale.appended(6, 6);
    tale.acked(6, 6);
    assert_eq!(tale.late(), ["`writable orders-0` took 4.000 s, not within 3.000 s after old"]);
}

#[test]
fn what_came_true_in_time_is_not_too_late() {
    let mut tale = Tale::of(&within("readable orders-0", "3s after old"));
    tale.step(2, "old");
    tale.appended(3, 6);
    tale.delivered(4, "billing-1", 6);
    assert!(tale.late().is_empty());
    assert!(!tale.lookout.has_open_limits(4_000_000_000));
}

#[test]
fn what_never_came_true_is_too_late_and_what_never_began_is_not() {
    let mut tale = Tale::of(&within("caught-up billing", "3s after old"));
    tale.appended(1, 0);
    assert!(tale.late().is_empty());
    assert_eq!(tale.lookout.never_begun().len(), 1);
    tale.step(2, "old");
    assert_eq!(tale.late(), ["`caught-up billing` never came true, within 3.000 s after old or later"]);
    tale.joined(3, "billing-1", 1);
    tale.delivered(3, "billing-1", 0);
    assert!(tale.late().is_empty());
}

#[test]
fn a_group_is_rebalanced_when_a_living_member_owns_what_the_dead_one_did() {
    let mut tale = Tale::of(&within("rebalanced billing", "3s after old"));
    tale.joined(0, "billing-1", 1);
    tale.joined(0, "billing-2", 2);
    tale.owned(0, "billing-1");
    assert_eq!(tale.lookout.owner("billing", &orders()).as_deref(), Some("billing-1"));
    tale.at(1, "testbed", What::Fault(Injected::Kill { target: "billing-1".into() }));
    tale.step(1, "old");
    assert_eq!(tale.lookout.owner("billing", &orders()), None);
    assert_eq!(tale.late().len(), 1);
    tale.owned(4, "billing-2");
    assert!(tale.late().is_empty());
}

#[test]
fn a_limit_may_count_from_what_happens() {
    let mut tale = Tale::of(&within("joined billing-1", "2s after session-expired billing-1"));
    tale.joined(0, "billing-1", 1);
    tale.fact(1, "zookeeper", Fact::SessionExpired { session: SessionId(1) });
    tale.joined(4, "billing-1", 2);
    assert_eq!(
        tale.late(),
        ["`group-joined billing-1` took 3.000 s, not within 2.000 s after session-expired billing-1"]
    );
}
