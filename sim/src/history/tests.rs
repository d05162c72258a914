use seedlog::facts::Fact;
use seedlog::types::{BrokerId, Offset, TopicPartition};

use super::hasher::stable_hash;
use super::*;

fn entry(what: What) -> Entry {
    Entry { at_ns: 1_500_000_000, node: "broker-2".into(), incarnation: 3, what }
}

fn flushed(end: i64) -> Fact {
    Fact::Flushed { broker: BrokerId(2), partition: TopicPartition::new("orders", 1), end: Offset(end) }
}

#[test]
fn facts_faults_and_phases_survive_the_way_through_json_lines() {
    let history = vec![
        entry(What::Fact(flushed(7))),
        entry(What::Fault(Injected::PowerFailure { target: "broker-2".into() })),
        entry(What::Fault(Injected::Cut { from: "shop".into(), to: "broker-1".into() })),
        entry(What::Phase(Entered { phase: Phase::Heal })),
    ];
    let mut lines = Vec::new();
    write_json_lines(&history, &mut lines).unwrap();
    let text = String::from_utf8(lines.clone()).unwrap();
    assert!(
        text.starts_with(r#"{"at_ns":1500000000,"node":"broker-2","incarnation":3,"fact":"flushed""#),
        "{text}"
    );
    assert_eq!(text.lines().count(), 4);
    assert_eq!(read_json_lines(lines.as_slice()).unwrap(), history);
}

#[test]
fn a_line_that_is_no_entry_is_an_error_with_its_number() {
    let error = read_json_lines("{}\n".as_bytes()).unwrap_err();
    assert!(error.to_string().starts_with("line 1: "), "{error}");
}

#[test]
fn the_hash_of_a_fact_depends_on_every_field_and_on_nothing_else() {
    assert_eq!(stable_hash(&flushed(7)), stable_hash(&flushed(7)));
    assert_ne!(stable_hash(&flushed(7)), stable_hash(&flushed(8)));
    // Pinned: it must be the same on every machine and in every build.
    assert_eq!(stable_hash(&(1_u8, "orders", -1_i64)), PINNED);
}

const PINNED: u64 = 5_817_177_619_102_160_859;

#[test]
fn the_node_of_a_broker_names_the_broker() {
    assert_eq!(broker_of_node(&broker_node(BrokerId(3))), Some(BrokerId(3)));
    assert_eq!(broker_of_node("shop"), None);
}
