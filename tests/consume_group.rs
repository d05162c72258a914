//! `seedlog consume --group`, as processes on this machine: members share a topic, leave in order, crash, and go on
//! where the group stopped.
#![cfg(feature = "real-runtime")]
#![allow(clippy::disallowed_methods)] // Outside of any simulation.

mod support;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use support::{Dev, Process, seedlog, wait_until};

const TOPIC: &str = "orders";
const PARTITIONS: usize = 4;
/// The session of a member, which ends so long after a crash at the latest; see `seedlog consume`.
const SESSION: Duration = Duration::from_secs(6);
/// Twice as long as it takes `seedlog consume` to commit what it printed.
const COMMITTED: Duration = Duration::from_secs(2);

/// A broker with an embedded ZooKeeper, and a topic.
struct Place {
    dev: Dev,
    folder: tempfile::TempDir,
}

/// A running `seedlog consume --group`, and where its output goes.
struct Member {
    process: Process,
    output: PathBuf,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().expect("a folder");
        let dev = Dev::start(&folder.path().join("data"));
        let partitions = PARTITIONS.to_string();
        let create = ["topic", "create", TOPIC, "--partitions", &partitions, "--bootstrap", &dev.address()];
        support::run(seedlog().args(create));
        Place { dev, folder }
    }

    /// Sends a value to each partition for each number.
    fn produce(&self, numbers: std::ops::Range<usize>) -> BTreeSet<String> {
        let mut sent = BTreeSet::new();
        for partition in 0..PARTITIONS {
            let values: Vec<String> = numbers.clone().map(|n| format!("{partition}-{n}")).collect();
            let mut command = seedlog();
            command.args(["produce", TOPIC, "--partition", &partition.to_string()]);
            command.args(["--bootstrap", &self.dev.address()]).stdin(Stdio::piped()).stderr(Stdio::null());
            let mut child = command.spawn().expect("the seedlog command");
            let text = values.join("\n") + "\n";
            child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
            assert!(child.wait().expect("a process to wait for").success());
            sent.extend(values);
        }
        sent
    }

    fn command(&self, group: &str) -> Command {
        let mut command = seedlog();
        command.args(["consume", TOPIC, "--group", group, "--from-beginning"]);
        // Where ZooKeeper is, the broker says.
        command.args(["--bootstrap", &self.dev.address()]);
        command
    }

    fn member(&self, name: &str) -> Member {
        let output = self.folder.path().join(name);
        let file = File::create(&output).expect("a file for its output");
        Member { process: Process::start(self.command("billing").stdout(file)), output }
    }
}

impl Member {
    fn printed(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.output).expect("its output");
        // A line that is not complete is still being written.
        text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect()
    }

    fn prints(&self, expected: &BTreeSet<String>) {
        wait_until("it prints what was sent", || self.printed().len() >= expected.len());
        assert_eq!(&set(self.printed()), expected);
        assert_eq!(self.printed().len(), expected.len(), "each once");
    }
}

fn set(lines: Vec<String>) -> BTreeSet<String> {
    lines.into_iter().collect()
}

fn partitions(lines: &[String]) -> BTreeSet<&str> {
    lines.iter().filter_map(|line| line.split('-').next()).collect()
}

#[test]
fn two_members_share_the_partitions_and_print_everything_once() {
    let place = Place::new();
    let (first, second) = (place.member("first"), place.member("second"));
    let (mut sent, mut number) = (BTreeSet::new(), 0);
    wait_until("both print", || {
        sent.extend(place.produce(number..number + 1));
        number += 1;
        !first.printed().is_empty() && !second.printed().is_empty()
    });
    let shared_from = (first.printed().len(), second.printed().len());
    sent.extend(place.produce(number..number + 5));
    let printed = || first.printed().into_iter().chain(second.printed()).collect::<Vec<_>>();
    wait_until("they print everything", || printed().len() >= sent.len());
    assert_eq!(set(printed()), sent);
    assert_eq!(printed().len(), sent.len(), "each once");
    let (firsts, seconds) = (first.printed(), second.printed());
    let (firsts, seconds) = (&firsts[shared_from.0..], &seconds[shared_from.1..]);
    assert!(partitions(firsts).is_disjoint(&partitions(seconds)), "{firsts:?} and {seconds:?}");
    assert_eq!(partitions(firsts).len(), PARTITIONS / 2);
}

#[test]
fn a_member_that_is_asked_to_end_commits_and_leaves_in_order() {
    let place = Place::new();
    for (round, how) in ["terminated", "interrupted"].into_iter().enumerate() {
        let sent = place.produce(round * 10..round * 10 + 5);
        let mut member = place.member(how);
        member.prints(&sent);
        let process = &mut member.process;
        let ended_well = if how == "terminated" { process.terminate() } else { process.interrupt() };
        assert!(ended_well, "{how}");
    }
    let sent = place.produce(100..105);
    let begun = Instant::now();
    place.member("next").prints(&sent);
    assert!(begun.elapsed() < SESSION, "nobody's session is waited for");
}

#[test]
fn after_a_crash_the_next_member_goes_on_from_the_last_commit() {
    let place = Place::new();
    let mut member = place.member("killed");
    member.prints(&place.produce(0..5));
    std::thread::sleep(COMMITTED);
    member.process.kill();
    let next = place.member("next");
    next.prints(&place.produce(5..10));
}

#[test]
fn a_member_whose_reader_goes_away_leaves_in_order_too() {
    let place = Place::new();
    place.produce(0..5);
    let mut member = place.command("billing");
    let mut child = member.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the seedlog command");
    drop(child.stdout.take());
    // A reader that has seen enough is no failure.
    assert!(child.wait().expect("a process to wait for").success());
    let begun = Instant::now();
    let next = place.member("next");
    wait_until("somebody else prints", || next.printed().len() >= PARTITIONS * 5 - 1);
    assert!(begun.elapsed() < SESSION, "nobody's session is waited for");
}

/// What the command says, and its exit code.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } =
        seedlog().args(arguments).stdin(Stdio::null()).output().expect("the seedlog command");
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

#[test]
fn what_cannot_be_meant_is_refused_with_what_would_be_right() {
    let at = ["--zookeeper", "127.0.0.1:1"];
    let consume = ["consume", TOPIC];
    for (options, hint) in [
        (&at[..], "--group"),
        (&["--group", "billing", "--partition", "0", at[0], at[1]], "--partition"),
        (&["--group", "billing", "--follow", at[0], at[1]], "--follow"),
        (&["--group", "a/b", at[0], at[1]], "\"a/b\" cannot be the name of a group"),
        (&["--group", "", at[0], at[1]], "cannot be the name of a group"),
        (&["--group", "billing", "--zookeeper", "nowhere"], "\"nowhere\" is no HOST:PORT"),
    ] {
        let (code, said) = refused(&[&consume[..], options].concat());
        assert_eq!(code, Some(2), "{options:?}: {said}");
        assert!(said.contains(hint), "{options:?}: {said}");
    }
}

#[test]
fn without_a_broker_that_names_zookeeper_it_says_so() {
    let address = format!("127.0.0.1:{}", support::free_port());
    let (code, said) = refused(&["consume", TOPIC, "--group", "billing", "--bootstrap", &address]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no ZooKeeper is named, and none was found"), "{said}");
}

#[test]
fn a_zookeeper_that_does_not_answer_is_named() {
    let address = format!("127.0.0.1:{}", support::free_port());
    let (code, said) = refused(&["consume", TOPIC, "--group", "billing", "--zookeeper", &address]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("no ZooKeeper answers at {address}")), "{said}");
}
