use std::time::Duration;

use seedlog::types::{Acks, Durability};

use super::*;

const STORY: &str = r#"format = 1
story  = "An acked record survives a power failure."
covers = ["G3"]
seeds  = 5

[cluster]
brokers = 2
config  = { "log.segment.bytes" = 4096 }

[topics.orders]
partitions = 2
config     = { durability = "fsync" }

[producers.shop]
topic   = "orders"
records = 100
rate    = "20/s"
acks    = "all"

[consumers.billing]
topics = ["orders"]

[[step]]
at = "2s"
do = "power-fail leader(orders-1)"
as = "old"

[[step]]
after = "old + 1s"
do    = "restart old"

[chaos]
network = "light"

[expect]
happens = ["log-recovered"]

[[expect.without]]
rule     = "cut-torn-tail"
violates = "storage"
"#;

fn parse(text: &str) -> Result<Scenario, ScenarioError> {
    Scenario::parse("power", "scenarios/power.toml", text)
}

#[test]
fn a_story_is_read_as_written() {
    let scenario = parse(STORY).unwrap();
    assert_eq!(scenario.seeds.range(), 0..5);
    assert_eq!(scenario.brokers, Some(2));
    assert_eq!(scenario.topics["orders"].durability, Some(Durability::Fsync));
    assert_eq!(scenario.producers["shop"].interval, Some(Duration::from_millis(50)));
    assert_eq!(scenario.producers["shop"].acks, Some(Acks::All));
    assert_eq!(scenario.steps.len(), 2);
    assert_eq!(scenario.chaos.level(Class::Network), Level::Light);
    assert_eq!(scenario.expect.without[0].violates, "storage");
}

#[test]
fn seeds_are_decimal_or_hex() {
    let with = |line: &str| parse(&STORY.replace("seeds  = 5", line)).unwrap().seeds;
    assert_eq!(with("seed = 7"), Seeds::One(7));
    assert_eq!(with("seed = 0x2a"), Seeds::One(42));
    assert_eq!(with("seed = \"0xffffffffffffffff\""), Seeds::One(u64::MAX));
}

#[test]
fn a_plan_depends_on_the_scenario_and_the_seed_alone() {
    let scenario = parse(STORY).unwrap();
    let plan = Plan::new(&scenario, 3);
    assert_eq!(format!("{plan:?}"), format!("{:?}", Plan::new(&scenario, 3)));
    assert_eq!(plan.producers["shop"].records, 100);
    assert_eq!(plan.storm, Duration::from_secs(5));
    assert_eq!(plan.broker_config["log.segment.bytes"].as_integer(), Some(4096));
    assert!(plan.demands_faults());
}

#[test]
fn the_swarm_leaves_each_class_out_of_about_half_of_the_seeds() {
    let sweep = library::built_in_sweep();
    let with_disk =
        (0..200).filter(|&seed| Plan::new(&sweep, seed).chaos.level(Class::Disk) != Level::None).count();
    assert!((70..130).contains(&with_disk), "{with_disk} of 200");
    assert!((0..200).all(|seed| Plan::new(&sweep, seed).demands_faults()), "one class stays in");
}

const GROUP: &str = r#"
[groups.audit]
topics = ["orders"]
consumers = 3
coordination = "zookeeper"
commit = "before-processing"
finish = "explicit"
reset = "largest"
processing = "20ms"
session = "4s"
"#;

#[test]
fn a_group_is_read_as_written_and_its_members_have_numbers() {
    let scenario = parse(&format!("{STORY}{GROUP}")).unwrap();
    let plan = Plan::new(&scenario, 1);
    let group = &plan.groups["audit"];
    assert_eq!(group.members.keys().collect::<Vec<_>>(), ["audit-1", "audit-2", "audit-3"]);
    assert_eq!(group.commit, Commit::BeforeProcessing);
    assert_eq!(group.finish, Finish::Explicit);
    assert_eq!(group.session, Duration::from_secs(4));
    assert!(group.members.values().all(|member| member.processing == Duration::from_millis(20)));
}

#[test]
fn a_member_needs_a_name_of_its_own() {
    let text = format!("{STORY}{GROUP}\n[consumers.audit-2]\ntopics = [\"orders\"]\n");
    let error = parse(&text).unwrap_err().to_string();
    assert!(error.contains("`audit` would have a member `audit-2`"), "{error}");
}

#[test]
fn what_a_producer_sends_can_be_written_down_completely() {
    let wanted = "linger = \"5ms\"\nvalue-bytes = 90\nkeyed = true\ncompression = \"lz4\"";
    let text = STORY.replacen("acks    =", &format!("{wanted}\nacks ="), 1);
    let plan = Plan::new(&parse(&text).unwrap(), 3);
    let producer = plan.producers.values().next().unwrap();
    assert_eq!((producer.linger, producer.value_bytes, producer.keyed), (Duration::from_millis(5), 90, true));
    assert_eq!(producer.compression, seedlog::record::Compression::Lz4);
    let error = parse(&text.replace("90", "9000000")).unwrap_err().to_string();
    assert!(error.contains("value-bytes: 0 to 1048576"), "{error}");
}

#[test]
fn a_disk_is_left_broken_in_a_small_share_of_the_runs_and_never_the_only_one() {
    let sweep = library::built_in_sweep();
    let plans: Vec<Plan> = (0..1_000).map(|seed| Plan::new(&sweep, seed)).collect();
    let disks = plans.iter().filter_map(|plan| match &plan.left_broken {
        Some(LeftBroken::Disk { broker, .. }) => {
            assert!(plan.topics.values().all(|topic| topic.created != Created::Healing));
            Some((plan.brokers, broker.0))
        }
        _ => None,
    });
    let disks: Vec<_> = disks.collect();
    assert!((10..80).contains(&disks.len()), "{}", disks.len());
    for (brokers, broker) in disks {
        assert!(brokers > 1 && (1..=brokers.cast_signed()).contains(&broker), "{broker} of {brokers}");
    }
}
