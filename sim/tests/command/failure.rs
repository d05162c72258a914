//! From a failure to its cause: shrink, explain, promote, inspect, judge, diff of commits, and their bad input.

use serde_json::Value;

use super::{Place, stderr, stdout};

/// One step is needed where acknowledgements do not wait for their append; the others are noise.
const NOISY: &str = "[[step]]\nat = \"300ms\"\ndo = \"cut shop | broker(1) for 100ms\"\n\
     [[step]]\nat = \"600ms\"\ndo = \"disk-slow broker(1) x10 for 200ms\"\n\
     [[step]]\nat = \"1s\"\ndo = \"disk-full broker(1) for 600ms\"\n\
     [[step]]\nat = \"1700ms\"\ndo = \"pause zookeeper for 100ms\"\n\
     [[step]]\nat = \"1800ms\"\ndo = \"reset shop | broker(1)\"\n";
const WITHOUT: [&str; 2] = ["--without", "append-before-ack"];

fn json(place: &Place, arguments: &[&str]) -> Value {
    let output = place.sim(&[arguments, &["--json"]].concat());
    let text = stdout(&output);
    let last = text.lines().last().unwrap_or_else(|| panic!("{}", stderr(&output)));
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {text}{}", stderr(&output)))
}

fn refused(place: &Place, arguments: &[&str]) -> String {
    let output = place.sim(arguments);
    assert_eq!(output.status.code(), Some(2), "{}{}", stdout(&output), stderr(&output));
    stderr(&output)
}

#[test]
fn a_noisy_story_shrinks_to_one_step_at_most() {
    let place = Place::new("shrink");
    let story = place.scenario("noisy", NOISY);
    let shrunk = json(&place, &[&["shrink", &story, "--for", "40s"], &WITHOUT[..]].concat());
    // Under another seed the rule's absence is enough, without any fault.
    assert_eq!(shrunk["faults_before"], 5, "{shrunk}");
    assert!(shrunk["faults_after"].as_u64().unwrap() <= 1, "{shrunk}");
    assert_eq!(shrunk["holds_with_rules"], true, "{shrunk}");
    let text = shrunk["text"].as_str().unwrap();
    assert!(text.contains("violates"), "{text}");
    assert!(text.contains("noisy.toml@0#") && text.contains("--without append-before-ack"), "{text}");
    let file = shrunk["file"].as_str().unwrap();
    let again = json(&place, &[&["run", file], &WITHOUT[..]].concat());
    assert_eq!(again["violations"], 1, "{again}");
    assert_eq!(place.sim(&["run", file]).status.code(), Some(0));
}

#[test]
fn a_failing_seed_of_the_sweep_shrinks_to_three_faults_at_most() {
    let place = Place::new("shrink_seed");
    let rule = "sync-directory-of-new-name";
    let score = place.sim(&["score", "--rule", rule, "--seeds", "0..60", "--json"]);
    let found: Value = serde_json::from_str(stdout(&score).lines().next().unwrap()).unwrap();
    let token = found["replay"].as_str().unwrap().split_whitespace().next().unwrap().to_owned();
    let shrunk = json(&place, &["shrink", &token, "--without", rule, "--for", "40s"]);
    assert!(shrunk["faults_after"].as_u64().unwrap() <= 3, "{shrunk}");
    let check = found["check"].as_str().unwrap();
    assert_eq!(shrunk["check"], check, "{shrunk}");
}

#[test]
fn explain_names_the_necessary_fault_and_tells_the_story() {
    let place = Place::new("explain");
    let story = place.scenario("noisy", NOISY);
    let explained = json(&place, &[&["explain", &story], &WITHOUT[..]].concat());
    assert_eq!(
        explained["necessary"]["faults"],
        serde_json::json!(["disk of broker 1 is full"]),
        "{explained}"
    );
    assert_eq!(explained["necessary"]["of"], 5);
    let told = explained["story"].as_array().unwrap();
    assert!(
        told.iter().any(|line| line.as_str().unwrap().contains("FAULT: disk of broker 1 is full")),
        "{told:?}"
    );
    assert!(told.last().unwrap().as_str().unwrap().starts_with("Therefore: "), "{told:?}");
}

#[test]
fn a_failure_is_told_with_its_necessary_faults_and_its_group() {
    let place = Place::new("necessary");
    let story = place.scenario("noisy", NOISY);
    let run = [&["run", &story, "--seed", "1"], &WITHOUT[..]].concat();
    let text = stdout(&place.sim(&run));
    assert!(text.contains("necessary: disk of broker 1 is full (1 of 5 faults)"), "{text}");
    let summary = json(&place, &run);
    let group = &summary["groups"][0];
    assert_eq!((group["runs"].as_u64(), &group["seeds"]), (Some(1), &serde_json::json!([1])), "{summary}");
    assert_eq!(group["necessary"]["kinds"], serde_json::json!(["disk-full"]), "{summary}");
    assert_eq!(group["without"], serde_json::json!(["append-before-ack"]));
}

#[test]
fn inspect_tells_the_state_of_every_node_at_a_moment() {
    let place = Place::new("inspect");
    let story = place.scenario("inspected", NOISY);
    place.sim(&["run", &story, "--seed", "1"]);
    let folder = place.0.join("sim/inspected/1").display().to_string();
    let storm_ms = 300;
    let during = format!("{}ms", storm_ms + 1_300);
    let state = json(&place, &["inspect", &folder, "--at", &during]);
    assert_eq!(state["phase"], "storm", "{state}");
    let log = &state["brokers"]["broker-1"]["partitions"]["orders-0"];
    assert_eq!((&log["start"], &log["leads"].is_number()), (&serde_json::json!(0), &true), "{state}");
    assert!(state["producers"]["shop"]["acked"].as_u64() > Some(3), "{state}");
    assert!(state["consumers"]["billing"]["positions"]["orders-0"].as_u64() > Some(0), "{state}");
    assert!(state["faults"].as_object().unwrap().contains_key("disk of broker 1 is full"), "{state}");
    let text = stdout(&place.sim(&["inspect", &folder, "--at", "1.6s"]));
    assert!(text.contains("broker-1: ") && text.contains("session 0x"), "{text}");
    assert!(text.contains("FAULT since") && text.contains("disk of broker 1 is full"), "{text}");
    assert!(refused(&place, &["inspect", &folder, "--at", "9999s"]).contains("the run ends at"));
    assert!(refused(&place, &["inspect", &folder, "--at", "noon"]).contains("write it as 12.4s"));
}

#[test]
fn a_stored_history_is_judged_again_and_a_damaged_one_is_refused_with_its_line() {
    let place = Place::new("judge");
    let story = place.scenario("judged", NOISY);
    place.sim(&[&["run", &story, "--seed", "1"], &WITHOUT[..]].concat());
    let folder = place.0.join("sim/judged/1");
    let kept = folder.display().to_string();
    let output = place.sim(&["judge", &kept]);
    assert_eq!(output.status.code(), Some(1), "{}{}", stdout(&output), stderr(&output));
    let file = folder.join("history.jsonl");
    let whole = std::fs::read_to_string(&file).unwrap();
    let lines = whole.lines().count();
    std::fs::write(&file, &whole[..whole.len() - 20]).unwrap();
    let cut = refused(&place, &["judge", &kept]);
    assert!(cut.contains(&format!("history.jsonl: line {lines}: cut off in the middle")), "{cut}");
    std::fs::write(&file, whole.replacen("\"producer\":\"shop\"", "\"producer\":\"mall\"", 1)).unwrap();
    let other = refused(&place, &["judge", &kept]);
    assert!(other.contains("has no producer `mall`"), "{other}");
    std::fs::write(&file, "{\"level\":\"info\"}\n").unwrap();
    let foreign = refused(&place, &["judge", &kept]);
    assert!(foreign.contains("line 1: no entry of a history"), "{foreign}");
    let alone = place.0.join("alone.jsonl");
    std::fs::write(&alone, whole).unwrap();
    let alone = refused(&place, &["judge", &alone.display().to_string()]);
    assert!(alone.contains("there is no scenario.toml beside it"), "{alone}");
}

#[test]
fn a_token_of_another_commit_warns_and_offers_the_shrunk_file() {
    let place = Place::new("other_commit");
    let output = place.sim(&["replay", "slow_disk@1#0000000"]);
    assert!(stderr(&output).contains("warning: the token is of commit 0000000"), "{}", stderr(&output));
    assert!(stderr(&output).contains("nothing was shrunk from it"), "{}", stderr(&output));
    let shrunk = place.0.join("sim/slow_disk/1/shrunk.toml");
    std::fs::create_dir_all(shrunk.parent().unwrap()).unwrap();
    std::fs::write(&shrunk, "").unwrap();
    let output = place.sim(&["replay", "slow_disk@1#0000000"]);
    assert!(
        stderr(&output).contains("cargo sim run") && stderr(&output).contains("shrunk.toml"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn what_cannot_be_shrunk_promoted_or_compared_is_refused_with_the_reason() {
    let place = Place::new("refused");
    let passes = refused(&place, &["shrink", "slow_disk@1"]);
    assert!(passes.contains("slow_disk does not violate any check with seed 1"), "{passes}");
    let unknown = refused(&place, &["explain", "slow_dsk@1"]);
    assert!(unknown.contains("there is no scenario `slow_dsk`"), "{unknown}");
    let nothing = refused(&place, &["shrink", "nonsense"]);
    assert!(nothing.contains("`nonsense` names no run") && nothing.contains("NAME@SEED#COMMIT"), "{nothing}");
    let taken = refused(&place, &["promote", "slow_disk@1", "failed_fsync_then_restart_then_power_failure"]);
    assert!(taken.contains("is there already; give another name"), "{taken}");
    let commit = refused(&place, &["diff", "1", "--commits", "no-such-branch", "HEAD"]);
    assert!(commit.contains("git knows no commit `no-such-branch`"), "{commit}");
}
