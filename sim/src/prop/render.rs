//! The parts of a scenario, written as a file and read again: what a strategy makes, a user can replay.

use seedlog::types::{Acks, Durability};
use toml::{Table, Value};

use super::{Fault, Hit, Topology, Workload};
use crate::scenario::{Document, Scenario};

const NAME: &str = "prop";
const TOPIC: &str = "orders";
const READER: &str = "reader";
const GROUP: &str = "group";

/// The scenario of these parts.
pub(super) fn scenario(topology: &Topology, workload: &Workload, faults: &[Fault]) -> Scenario {
    let text = text(topology, workload, faults);
    // A test makes any number of these; that the parser takes them all is a property of this file.
    Scenario::parse(NAME, "prop.toml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn text(topology: &Topology, workload: &Workload, faults: &[Fault]) -> String {
    let head = "format = 1\nstory = \"Made by a strategy.\"\nseed = 0\n";
    let mut file = Document::of(head).expect("three plain lines");
    file.set(&["cluster", "brokers"], i64::from(topology.brokers));
    file.set(&["topics", TOPIC, "partitions"], i64::from(topology.partitions));
    let durability = match topology.durability {
        Durability::Fsync => "fsync",
        Durability::PageCache => "page-cache",
    };
    file.set(&["topics", TOPIC, "config", "durability"], durability);
    let clients = clients(workload);
    for (name, producing) in producer_names(workload).iter().zip(&workload.producers) {
        file.set(&["producers", name, "topic"], TOPIC);
        file.set(&["producers", name, "records"], producing.records.cast_signed());
        file.set(&["producers", name, "rate"], format!("{}/s", producing.per_second));
        let acks = match producing.acks {
            Acks::All => "all",
            Acks::Leader => "1",
            Acks::None => "0",
        };
        file.set(&["producers", name, "acks"], acks);
    }
    let topics = || Value::Array(vec![TOPIC.into()]);
    if workload.has_reader {
        file.set(&["consumers", READER, "topics"], topics());
    }
    if let Some(members) = &workload.group {
        file.set(&["groups", GROUP, "topics"], topics());
        file.set(&["groups", GROUP, "consumers"], i64::from(members.consumers));
        file.set(&["groups", GROUP, "streams"], i64::from(members.streams));
        file.set(&["groups", GROUP, "processing"], format!("{}ms", members.processing_ms));
    }
    let steps = faults.iter().enumerate().flat_map(|(nth, fault)| steps(topology, &clients, nth, fault));
    file.set_steps(steps.collect());
    file.text()
}

fn producer_names(workload: &Workload) -> Vec<String> {
    (1..=workload.producers.len()).map(|number| format!("producer{number}")).collect()
}

/// Everyone whom a fault may cut off or kill.
fn clients(workload: &Workload) -> Vec<String> {
    let members = workload.group.iter().flat_map(|group| 1..=group.consumers);
    let members = members.map(|number| format!("{GROUP}-{number}"));
    let reader = workload.has_reader.then(|| READER.to_owned());
    producer_names(workload).into_iter().chain(reader).chain(members).collect()
}

/// The steps of one fault, and of its end.
fn steps(topology: &Topology, clients: &[String], nth: usize, fault: &Fault) -> Vec<Table> {
    let name = format!("fault{nth}");
    let lasting = format!("{}ms", fault.lasting_ms);
    let broker = format!("broker({})", 1 + fault.target % topology.brokers);
    let client = format!("client({})", clients[fault.target as usize % clients.len()]);
    let action = match fault.hit {
        Hit::KillBroker => format!("kill {broker}"),
        Hit::KillClient => format!("kill {client}"),
        Hit::PowerFail => format!("power-fail {broker}"),
        Hit::Pause => format!("pause {broker} for {lasting}"),
        Hit::Cut => format!("cut {client} | {broker} for {lasting}"),
        Hit::CutOneWay => format!("cut {client} -> {broker} for {lasting}"),
        Hit::CutZooKeeper => format!("cut {broker} | zookeeper for {lasting}"),
        Hit::Reset => format!("reset {client} | {broker}"),
        Hit::DiskFull => format!("disk-full {broker} for {lasting}"),
        Hit::DiskSlow => format!("disk-slow {broker} x20 for {lasting}"),
        Hit::DiskError => format!("disk-error {broker} fsync for {lasting}"),
        Hit::Expire => format!("expire {broker}"),
    };
    let mut steps = vec![step("at", &format!("{}ms", fault.at_ms), &action)];
    let is_over_by_itself = !matches!(fault.hit, Hit::KillBroker | Hit::KillClient | Hit::PowerFail);
    if !is_over_by_itself {
        steps[0].insert("as".to_owned(), name.clone().into());
        steps.push(step("after", &format!("{name} + {lasting}"), &format!("restart {name}")));
    }
    steps
}

fn step(when: &str, time: &str, action: &str) -> Table {
    Table::from_iter([(when.to_owned(), time.into()), ("do".to_owned(), action.into())])
}
