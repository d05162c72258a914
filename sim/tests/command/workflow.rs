//! The workflow that docs/ci offers: it can be read, and asks of `cargo sim` what there is.

use std::collections::BTreeMap;

use yaml_rust2::{Yaml, YamlLoader};

use crate::{Place, stdout};

const WORKFLOW: &str = include_str!("../../../docs/ci/github.yml");

/// Every `run:` of every step.
fn scripts() -> Vec<String> {
    let documents = YamlLoader::load_from_str(WORKFLOW).unwrap();
    let jobs = documents[0]["jobs"].as_hash().unwrap();
    let steps = jobs.values().flat_map(|job| job["steps"].as_vec().unwrap());
    steps.filter_map(|step| step["run"].as_str().map(str::to_owned)).collect()
}

/// Subcommands of `cargo sim` with the flags that the scripts give them.
fn commands() -> BTreeMap<String, Vec<String>> {
    let mut commands: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in scripts().iter().flat_map(|script| script.lines()) {
        let mut words = line.split_whitespace();
        while let Some(word) = words.next() {
            if word == "sim" {
                let flags = commands.entry(words.next().unwrap().to_owned()).or_default();
                flags.extend(words.by_ref().filter(|word| word.starts_with("--")).map(str::to_owned));
            }
        }
    }
    commands
}

#[test]
fn the_workflow_is_yaml_with_jobs_that_have_steps() {
    let documents = YamlLoader::load_from_str(WORKFLOW).unwrap();
    let shards = &documents[0]["jobs"]["sweep"]["strategy"]["matrix"]["shard"];
    let shards: Vec<&str> = shards.as_vec().unwrap().iter().filter_map(Yaml::as_str).collect();
    assert_eq!(shards, ["1/4", "2/4", "3/4", "4/4"]);
}

#[test]
fn every_flag_of_the_workflow_exists() {
    let commands = commands();
    assert!(commands.len() >= 2 && commands.values().all(|flags| !flags.is_empty()), "{commands:?}");
    let place = Place::new("workflow");
    for (command, flags) in commands {
        let help = place.help(&command);
        for flag in flags {
            assert!(help.split([' ', ',', '\n']).any(|word| word == flag), "{command} {flag}\n{help}");
        }
    }
}

impl Place {
    fn help(&self, command: &str) -> String {
        // Without `--jobs`, which `help` would take for something to explain.
        let mut sim = std::process::Command::new(env!("CARGO_BIN_EXE_seedlog-sim"));
        stdout(&sim.args([command, "--help"]).output().unwrap())
    }
}
