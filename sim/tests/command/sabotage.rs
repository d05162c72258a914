//! A seed that takes its worker along costs itself alone: it is named with its kind, and the sweep goes on.

use std::time::{Duration, Instant};

use crate::{KILL, Place, stderr, stdout};

/// Seeds of each sweep, and the one that is broken.
const SEEDS: &str = "0..3";
const BROKEN: u64 = 1;

/// What a machine under load may take for three seeds of a second each, and for noticing the hang.
const BOUND: Duration = Duration::from_secs(60);

fn breaks(kind: &str, check: &str, slug: &str) {
    let place = Place::new(&format!("sabotage-{kind}"));
    let story = place.scenario("broken", KILL);
    let started = Instant::now();
    let mut command = place.command(&["run", &story, "--json"]);
    // The story has two seeds; the one that is not broken comes last.
    let output = command
        .env("SEEDLOG_SIM_SABOTAGE", format!("{kind}@0"))
        .args(["--wall-limit", "8s"])
        .output()
        .unwrap();
    assert!(started.elapsed() < BOUND, "{kind} took {:?}", started.elapsed());
    let told = format!("{}{}", stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(1), "{told}");
    let lines: Vec<serde_json::Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{told}");
    assert_eq!((&lines[0]["seed"], &lines[0]["verdict"]), (&0.into(), &"violation".into()), "{told}");
    let violation = &lines[0]["violations"][0];
    assert_eq!((&violation["check"], &violation["slug"]), (&check.into(), &slug.into()), "{told}");
    assert_eq!((&lines[1]["seed"], &lines[1]["verdict"]), (&1.into(), &"pass".into()), "{told}");
}

#[test]
fn a_seed_that_hangs_is_named_and_the_next_one_runs() {
    breaks("hang", "X3", "hang");
}

#[test]
fn a_seed_that_panics_is_named_and_the_next_one_runs() {
    breaks("panic", "X1", "panic");
}

#[test]
fn a_seed_that_aborts_is_named_and_the_next_one_runs() {
    breaks("abort", "X4", "abort");
}

#[test]
fn a_seed_that_overflows_its_stack_is_named_and_the_next_one_runs() {
    breaks("overflow", "X6", "stack-overflow");
}

#[test]
fn a_seed_that_exhausts_its_memory_is_named_and_the_next_one_runs() {
    breaks("memory", "X7", "out-of-memory");
}

#[test]
fn a_sweep_tells_a_broken_seed_like_any_other_failure() {
    let place = Place::new("sabotage-sweep");
    let mut command = place.command(&["sweep", "--seeds", SEEDS, "--rerun", "0"]);
    let output = command.env("SEEDLOG_SIM_SABOTAGE", format!("abort@{BROKEN}")).output().unwrap();
    let text = stdout(&output);
    assert!(text.contains(&format!("FAIL sweep  seed {BROKEN}  abort (X4)")), "{text}");
    assert!(text.contains("3 runs: 1 violations") && text.contains("cargo sim replay sweep@1#"), "{text}");
}

#[test]
fn an_unknown_sabotage_is_refused() {
    let place = Place::new("sabotage-unknown");
    let output = place.command(&["golden"]).env("SEEDLOG_SIM_SABOTAGE", "smash@1").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("smash@1 is none of hang, panic"), "{}", stderr(&output));
}
