//! Every line that says how to run something again does so, in a clone that has nothing but the files; and all
//! files are those of the workspace that one stands in.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::{Place, stderr, stdout};

const FULL: &str = "[[step]]\nat = \"1s\"\ndo = \"disk-full broker(1) for 600ms\"\n";
const WITHOUT: [&str; 2] = ["--without", "append-before-ack"];

/// A workspace of its own, with a story in `scenarios/` and one outside of it.
struct Clone(PathBuf);

impl Clone {
    fn new(name: &str) -> Clone {
        let place = Place::new(name);
        let clone = Clone(place.0.clone());
        fs::write(clone.0.join("Cargo.toml"), "[workspace]\n").unwrap();
        for folder in ["scenarios/inside", "other stories"] {
            fs::create_dir_all(clone.0.join(folder)).unwrap();
        }
        for path in ["scenarios/inside/lost", "other stories/it's lost"] {
            place.scenario(path, FULL);
        }
        clone
    }

    /// The command in this clone, with nothing in the environment that tells of the target directory.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.0);
        for name in ["CARGO_TARGET_DIR", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "CARGO_SEEDLOG"] {
            command.env_remove(name);
        }
        command
    }

    fn sim(&self, arguments: &[&str]) -> Output {
        self.command(env!("CARGO_BIN_EXE_seedlog-sim")).args(arguments).output().unwrap()
    }

    /// Types a line as it was printed.
    fn type_in(&self, line: &str) -> Output {
        let typed = line.replacen("cargo sim", env!("CARGO_BIN_EXE_seedlog-sim"), 1);
        self.command("sh").args(["-c", &typed]).output().unwrap()
    }
}

/// From `cargo sim replay` to the end of the line or of the code span.
fn replay_lines(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter_map(|line| {
        let (_, rest) = line.split_once("cargo sim replay ")?;
        let rest = rest.split('`').next().unwrap_or_default();
        Some(format!("cargo sim replay {rest}").replace("\\|", "|"))
    })
}

/// Whatever a failing session prints, writes for a machine and writes for GitHub.
fn everything_told(clone: &Clone, story: &str) -> BTreeSet<String> {
    let mut arguments = vec!["run", story, "--seed", "0", "--junit", "junit.xml"];
    arguments.extend(WITHOUT);
    let summary = clone.0.join("summary.md");
    let mut told = clone.command(env!("CARGO_BIN_EXE_seedlog-sim"));
    told.args(&arguments).env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &summary);
    let told = told.output().unwrap();
    assert_eq!(told.status.code(), Some(1), "{}{}", stdout(&told), stderr(&told));
    let known = "[[known]]\ncheck = \"lost-write\"\nissue = \"#1\"\nexpires = \"9999-12-31\"\n\
                 [[known]]\ncause = \"\"\nissue = \"#2\"\nexpires = \"9999-12-31\"\n";
    fs::write(clone.0.join("all-known.toml"), known).unwrap();
    let known = clone.sim(&[&arguments[..], &["--known", "all-known.toml"]].concat());
    let explained = clone.sim(&[&["explain", story][..], &WITHOUT].concat());
    let json = clone.sim(&[&arguments[..], &["--json"]].concat());
    let last: serde_json::Value = serde_json::from_str(stdout(&json).lines().last().unwrap()).unwrap();
    let of_group = last["groups"][0]["replay"].as_str().unwrap();

    let (progress, text) = (stderr(&told), stdout(&told));
    let summary = fs::read_to_string(summary).unwrap();
    let places = [&progress, &text, &summary, &stdout(&known), &stdout(&explained)];
    let mut lines = BTreeSet::from([format!("cargo sim replay {of_group}")]);
    for place in places {
        assert!(replay_lines(place).next().is_some(), "{place}");
    }
    // An annotation is one line with the rest behind it, and the summary has text blocks.
    places.iter().for_each(|text| lines.extend(replay_lines(&text.replace("%0A", "\n").replace("%25", "%"))));
    lines
}

#[test]
fn every_printed_replay_line_fails_again_in_a_fresh_clone() {
    for (nth, story) in ["scenarios/inside/lost.toml", "other stories/it's lost.toml"].into_iter().enumerate()
    {
        let lines = everything_told(&Clone::new(&format!("told-{nth}")), story);
        let fresh = Clone::new(&format!("fresh-{nth}"));
        for line in &lines {
            assert!(line.ends_with("--without append-before-ack"), "{line}");
            let again = fresh.type_in(line);
            assert_eq!(again.status.code(), Some(1), "{line}\n{}{}", stdout(&again), stderr(&again));
        }
    }
}

#[test]
fn a_replay_line_names_the_command_that_the_launcher_was_called_by() {
    let clone = Clone::new("launched");
    let mut command = clone.command(env!("CARGO_BIN_EXE_seedlog-sim"));
    let output =
        command.args(["run", "lost", "--seed", "0"]).args(WITHOUT).env("CARGO_SEEDLOG", "1").output();
    let text = stdout(&output.unwrap());
    assert!(text.contains("replay: cargo seedlog sim replay lost@0#"), "{text}");
}

#[test]
fn everything_is_read_from_and_written_to_the_workspace_of_the_current_directory() {
    let clone = Clone::new("rooted");
    let listed = clone.sim(&["run", "--json"]);
    let names: BTreeSet<String> = stdout(&listed)
        .lines()
        .filter_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["scenario"].as_str().map(str::to_owned)
        })
        .collect();
    assert_eq!(names, BTreeSet::from(["lost".to_owned()]), "{}", stderr(&listed));
    assert!(clone.0.join("target/sim/lost/0/verdict.json").is_file());

    let below = clone.0.join("scenarios/inside");
    let mut command = clone.command(env!("CARGO_BIN_EXE_seedlog-sim"));
    let failed =
        command.current_dir(&below).args(["run", "lost", "--seed", "0"]).args(WITHOUT).output().unwrap();
    let picture = clone.0.join("target/sim/lost/0/timeline.html");
    assert!(stdout(&failed).contains(&format!("picture: {}", picture.display())), "{}", stdout(&failed));

    fs::write(clone.0.join("known.toml"), "[[known]]\nexpires = 7\n").unwrap();
    let known = clone.sim(&["run", "lost"]);
    assert!(stderr(&known).contains("known.toml:"), "{}", stderr(&known));
    fs::remove_file(clone.0.join("known.toml")).unwrap();

    let promoted = clone.sim(&[&["promote", "lost@0", "found", "--for", "5s"][..], &WITHOUT].concat());
    assert_eq!(promoted.status.code(), Some(0), "{}{}", stdout(&promoted), stderr(&promoted));
    assert!(clone.0.join("scenarios/regressions/found.toml").is_file());
}

#[test]
fn a_workspace_without_stories_sweeps_and_says_where_stories_would_be() {
    let place = Place::new("empty");
    fs::write(place.0.join("Cargo.toml"), "[workspace]\n[package]\nname = \"shop\"\n").unwrap();
    let clone = Clone(place.0);
    assert_eq!(clone.sim(&["sweep", "--seeds", "0..1"]).status.code(), Some(0));
    let none = clone.sim(&["run"]);
    assert_eq!(none.status.code(), Some(2));
    let wanted = format!("no file below {}", clone.0.join("scenarios").display());
    assert!(stderr(&none).contains(&wanted), "{}", stderr(&none));
}

#[test]
fn the_aliases_show_the_build() {
    let root = seedlog_sim::workspace::root();
    let config = fs::read_to_string(root.join(".cargo/config.toml")).unwrap();
    for alias in ["sim", "xtask"] {
        let line = config.lines().find(|line| line.starts_with(&format!("{alias} = "))).unwrap();
        assert!(!line.contains("--quiet"), "{line}");
    }
}
