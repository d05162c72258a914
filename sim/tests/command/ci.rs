//! What machines use: shards, test cases, known failures, annotations, the cache, marks.

use std::collections::BTreeSet;

use crate::{KILL, Place, stderr, stdout};

const FULL: &str = "[[step]]\nat = \"1s\"\ndo = \"disk-full broker(1) for 600ms\"\n";

/// A session that fails in both of its seeds.
const FAILS: [&str; 2] = ["--without", "append-before-ack"];

#[test]
fn two_shards_together_run_every_seed_once() {
    let place = Place::new("shards");
    let story = place.scenario("dealt", KILL);
    let mut seeds = Vec::new();
    for shard in ["1/2", "2/2"] {
        let output = place.sim(&["run", &story, "--json", "--shard", shard]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        for line in stdout(&output).lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            seeds.extend(line["seed"].as_u64());
        }
    }
    assert_eq!(seeds.len(), seeds.iter().collect::<BTreeSet<_>>().len());
    assert_eq!(seeds, [0, 1]);
    assert_eq!(place.sim(&["run", &story, "--shard", "3/2"]).status.code(), Some(2));
}

#[test]
fn a_shard_may_be_bounded_by_time_alone() {
    let place = Place::new("shard-time");
    let output = place.sim(&["sweep", "--for", "1s", "--shard", "2/3", "--json"]);
    let text = stdout(&output);
    let seeds = text
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["seed"].as_u64());
    let seeds: Vec<u64> = seeds.collect();
    assert!(!seeds.is_empty() && seeds.iter().all(|seed| seed % 3 == 1), "{seeds:?}");
}

#[test]
fn a_failure_becomes_a_test_case_and_a_known_one_a_skipped_case() {
    let place = Place::new("junit");
    let story = place.scenario("cases", FULL);
    let (junit, known) = (place.0.join("junit.xml"), place.0.join("known.toml"));
    let arguments = |rest: &[&str]| -> Vec<String> {
        let first = ["run", &story, "--junit", junit.to_str().unwrap()];
        first.iter().chain(&FAILS).chain(rest).map(|one| (*one).to_owned()).collect()
    };
    let run = |rest: &[&str]| {
        let arguments = arguments(rest);
        let output = place.sim(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let xml = std::fs::read_to_string(&junit).unwrap();
        (output, xml)
    };

    let (output, xml) = run(&[]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    let document = roxmltree::Document::parse(&xml).unwrap();
    let failure = document.descendants().find(|node| node.has_tag_name("failure")).unwrap();
    assert!(failure.text().unwrap().contains("cases.toml@0#"), "{xml}");

    let entry = "[[known]]\nscenario = \"cases\"\nissue = \"#12\"\nexpires = ";
    std::fs::write(&known, format!("{entry}\"9999-12-31\"\n")).unwrap();
    let (output, xml) = run(&["--known", known.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(
        stdout(&output).contains("KNOWN cases") && stdout(&output).contains("#12"),
        "{}",
        stdout(&output)
    );
    let document = roxmltree::Document::parse(&xml).unwrap();
    assert!(document.descendants().any(|node| node.has_tag_name("skipped")), "{xml}");

    std::fs::write(&known, format!("{entry}\"2020-01-01\"\n")).unwrap();
    let (output, _) = run(&["--known", known.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(stderr(&output).contains("known.toml:1: #12 expired on 2020-01-01: its 2 failures count again"));

    std::fs::write(&known, format!("{entry}\"soon\"\n")).unwrap();
    let (output, _) = run(&["--known", known.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("known.toml:4: `soon` is no day"), "{}", stderr(&output));
}

#[test]
fn under_github_a_failure_is_annotated_and_the_step_is_summed_up() {
    let place = Place::new("github");
    let story = place.scenario("annotated", FULL);
    let summary = place.0.join("summary.md");
    std::fs::write(&summary, "before\n").unwrap();
    let mut command = place.command(&["run", &story, "--without", FAILS[1], "--json"]);
    let output = command.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &summary).output().unwrap();
    let told = stderr(&output);
    let annotation = told.lines().find(|line| line.starts_with("::error ")).unwrap();
    assert!(annotation.contains("title=annotated seed 0%3A "), "{annotation}");
    assert!(annotation.contains("%0A"), "{annotation}");
    let text = std::fs::read_to_string(&summary).unwrap();
    assert!(text.starts_with("before\n## Simulation failed\n"), "{text}");
    assert!(text.contains("annotated.toml@0#") && text.contains("--without append-before-ack`"), "{text}");
    assert!(stdout(&output).lines().all(|line| line.starts_with('{')), "{}", stdout(&output));
}

#[test]
fn passes_of_the_same_code_and_text_are_not_run_again() {
    let place = Place::new("cache");
    let story = place.scenario("cached", KILL);
    let cached = |arguments: &[&str]| {
        let output = place.sim(&[&["run", &story, "--json"], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let summary = stdout(&output).lines().last().unwrap().to_owned();
        let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
        assert_eq!(summary["runs"], 2);
        summary["cached"].as_u64().unwrap()
    };
    assert_eq!(cached(&[]), 0);
    assert_eq!(cached(&[]), 2);
    assert_eq!(cached(&["--no-cache"]), 0);
    assert_eq!(cached(&["--without", "cut-torn-tail"]), 0);
    place.scenario("cached", &format!("{KILL}# changed\n"));
    assert_eq!(cached(&[]), 0);
}

#[test]
fn a_damaged_cache_is_left_out_with_a_warning() {
    let place = Place::new("cache-damaged");
    let story = place.scenario("damaged", KILL);
    assert_eq!(place.sim(&["run", &story]).status.code(), Some(0));
    let program = std::fs::read_dir(place.0.join("sim/cache")).unwrap().next().unwrap().unwrap().path();
    let file = std::fs::read_dir(program).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, b"0123 \xff\xfe\n").unwrap();
    let output = place.sim(&["run", &story]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("warning: cache: 1 damaged lines of "), "{}", stderr(&output));
    assert!(!stdout(&output).contains("from the cache"), "{}", stdout(&output));
}

#[test]
fn a_sweep_fails_on_a_mark_that_had_to_be_met() {
    let place = Place::new("marks");
    let sweep = ["sweep", "--seeds", "0..1", "--rerun", "0"];
    let tame = place.sim(&[&sweep[..], &["--must-meet", "torn-tail-cut"]].concat());
    let text = stdout(&tame);
    assert!(text.contains("marks NEVER met: "), "{text}");
    assert_eq!(tame.status.code(), Some(1), "{text}");
    assert!(text.contains("FAIL no seed met the mark torn-tail-cut: "), "{text}");
    let unknown = place.sim(&["sweep", "--must-meet", "blue-moon"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("torn-tail-cut"), "{}", stderr(&unknown));
}
