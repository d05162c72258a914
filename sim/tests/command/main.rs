//! The command as a user meets it: exit codes, the failure text, JSON lines, the run folder.
#![allow(clippy::disallowed_methods)] // Starts the command and reads what it left.

mod ci;
mod failure;
mod replay;
mod sabotage;
mod workflow;

use std::path::PathBuf;
use std::process::{Command, Output};

/// A folder for one test's target directory and files.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _absent = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Place(path)
    }

    fn scenario(&self, name: &str, steps: &str) -> String {
        let text = format!(
            "format = 1\nstory = \"A test's.\"\nseeds = 2\n[cluster]\nbrokers = 1\n[topics.orders]\npartitions = 1\n\
             config = {{ durability = \"fsync\" }}\n[producers.shop]\ntopic = \"orders\"\nrecords = 40\nrate = \"20/s\"\n\
             acks = \"all\"\n[consumers.billing]\ntopics = [\"orders\"]\n{steps}"
        );
        let path = self.0.join(format!("{name}.toml"));
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seedlog-sim"));
        command.args(arguments).args(["--jobs", "1"]).env("CARGO_TARGET_DIR", &self.0);
        // These tests may themselves be part of a workflow's step.
        command.env_remove("GITHUB_ACTIONS").env_remove("GITHUB_STEP_SUMMARY");
        command
    }

    fn sim(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const KILL: &str = "[[step]]\nat = \"1s\"\ndo = \"kill broker(1)\"\nas = \"old\"\n[[step]]\nafter = \"old + 1s\"\ndo = \"restart old\"\n";

#[test]
fn a_story_that_holds_exits_with_0_and_leaves_its_files() {
    let place = Place::new("holds");
    let story = place.scenario("holds", KILL);
    let output = place.sim(&["run", &story, "--seed", "0x7"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).starts_with("PASS"), "{}", stdout(&output));
    let folder = place.0.join("sim/holds/7");
    for file in ["verdict.json", "history.jsonl", "scenario.toml"] {
        assert!(folder.join(file).exists(), "{file}");
    }
    let replay = place.sim(&["replay", &folder.join("scenario.toml").display().to_string()]);
    assert_eq!(replay.status.code(), Some(0), "{}", stdout(&replay));
    assert!(stdout(&replay).contains("repeated in another process: 1 of 1, equal: 1"));
}

#[test]
fn a_violation_exits_with_1_and_tells_what_proves_it() {
    let place = Place::new("violation");
    let cut = "[[step]]\nat = \"1s\"\ndo = \"disk-full broker(1) for 600ms\"\n";
    let story = place.scenario("violation", cut);
    let output = place.sim(&["run", &story, "--seed", "1", "--without", "append-before-ack"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let first = text.lines().next().unwrap();
    assert!(
        first.starts_with("FAIL violation  seed 1  ") && first.contains("[1 of 1 seeds, 1 cause]"),
        "{first}"
    );
    assert!(text.contains("FAULT     disk of broker 1 is full"), "{text}");
    assert!(text.contains("replay: cargo sim replay ") && text.contains("violation.toml@1#"), "{text}");
    let picture = place.0.join("sim/violation/1/timeline.html");
    assert!(text.contains(&format!("picture: {}", picture.display())), "{text}");
    assert!(text.contains("--without append-before-ack"), "{text}");
}

#[test]
fn json_is_one_object_a_line_and_a_summary() {
    let place = Place::new("json");
    let story = place.scenario("json", KILL);
    let output = place.sim(&["run", &story, "--json"]);
    let lines: Vec<serde_json::Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["verdict"], "pass");
    assert_eq!(lines[0]["faults"]["kill"], 1);
    assert_eq!(lines[0]["trace_hash"].as_str().map(str::len), Some(16));
    assert_eq!(lines[2]["summary"], true);
    assert_eq!(lines[2]["runs"], 2);
}

#[test]
fn a_run_in_which_nothing_happened_exits_with_4() {
    let place = Place::new("vacuous");
    let never = format!("{KILL}[expect]\nhappens = [\"log-dir-failed\"]\n");
    let output = place.sim(&["run", &place.scenario("vacuous", &never)]);
    assert_eq!(output.status.code(), Some(4), "{}", stdout(&output));
    assert!(stdout(&output).contains("never happened: log-dir-failed"), "{}", stdout(&output));
}

#[test]
fn a_slip_of_the_pen_exits_with_2_and_names_the_line() {
    let place = Place::new("usage");
    let story = place.scenario("usage", "[[step]]\nat = \"1s\"\ndo = \"kil broker(1)\"\n");
    let output = place.sim(&["run", &story]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("usage.toml:18:7: `kil` is no action; did you mean `kill`?"),
        "{}",
        stderr(&output)
    );
    assert_eq!(place.sim(&["replay", "nonsense"]).status.code(), Some(2));
    assert_eq!(place.sim(&["sweep", "--seeds", "9..3"]).status.code(), Some(2));
}

#[test]
fn a_sweep_that_runs_out_of_time_exits_with_124() {
    let place = Place::new("time");
    let output = place.sim(&["sweep", "--seeds", "0..1000000", "--for", "1s"]);
    assert_eq!(output.status.code(), Some(124), "{}", stdout(&output));
}

#[test]
fn two_seeds_differ_first_in_an_event_that_is_named() {
    let place = Place::new("diff");
    let output = place.sim(&["diff", "slow_disk@1", "slow_disk@2"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("is the first to differ"), "{}", stdout(&output));
    let same = place.sim(&["diff", "slow_disk@1", "slow_disk@1"]);
    assert!(stdout(&same).contains("every event is equal"), "{}", stdout(&same));
}
