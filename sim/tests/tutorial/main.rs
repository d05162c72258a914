//! The tutorials of docs/tutorial: their commands are typed, their files are those beside them, and what they say is
//! printed is printed.
#![allow(clippy::disallowed_methods)] // Reads the pages and runs the command.

#[path = "../../../docs/tutorial/billing.rs"]
mod billing;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use seedlog_sim::workspace::root;

/// A workspace with nothing but the tutorials.
fn clone(name: &str) -> PathBuf {
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("tutorial-{name}"));
    let _absent = fs::remove_dir_all(&place);
    let folder = place.join("docs/tutorial");
    fs::create_dir_all(&folder).unwrap();
    fs::write(place.join("Cargo.toml"), "[workspace]\n").unwrap();
    for entry in fs::read_dir(root().join("docs/tutorial")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    place
}

/// What a page has to be held to, in order.
enum Part {
    /// A line that begins with `cargo sim`, and the exit code that it ends with.
    Command(String, i32),
    /// Lines that the last command printed; `...` stands for anything.
    Printed(Vec<String>),
    /// A file's text.
    Code(String),
}

fn parts(page: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(command) = line.strip_prefix("    cargo sim ") {
            let (command, remark) = command.split_once('#').unwrap_or((command, ""));
            let code = remark.trim().strip_prefix("exit code ").map_or(0, |code| code.parse().unwrap());
            parts.push(Part::Command(format!("cargo sim {}", command.trim()), code));
        } else if let Some(kind) = line.strip_prefix("```").filter(|kind| !kind.is_empty()) {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            parts.push(match kind {
                "text" => Part::Printed(block.iter().map(|line| line.trim().to_owned()).collect()),
                _ => Part::Code(format!("{}\n", block.join("\n"))),
            });
        }
    }
    parts
}

/// Whether the pieces between `...` stand in one line, in order.
fn is_printed(wanted: &str, output: &str) -> bool {
    output.lines().any(|line| {
        let mut rest = line;
        wanted.split("...").map(str::trim).all(|piece| match rest.find(piece) {
            Some(at) => {
                rest = &rest[at + piece.len()..];
                true
            }
            None => false,
        })
    })
}

fn type_in(command: &str, place: &Path) -> (i32, String) {
    let typed = command.replacen("cargo sim", env!("CARGO_BIN_EXE_seedlog-sim"), 1);
    let mut shell = Command::new("sh");
    shell.args(["-c", &typed]).current_dir(place);
    for name in ["CARGO_TARGET_DIR", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "CARGO_SEEDLOG"] {
        shell.env_remove(name);
    }
    let output = shell.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
}

fn files_beside(place: &Path) -> Vec<String> {
    let entries = fs::read_dir(place.join("docs/tutorial")).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// Holds a page to what it says; returns how many commands it has.
fn follow(name: &str) -> usize {
    let place = clone(name);
    let files = files_beside(&place);
    let page = fs::read_to_string(place.join(format!("docs/tutorial/{name}.md"))).unwrap();
    let (mut commands, mut output) = (0, String::new());
    for part in parts(&page) {
        match part {
            Part::Command(command, code) => {
                commands += 1;
                let (exit, text) = type_in(&command, &place);
                assert_eq!(exit, code, "{command}\n{text}");
                output = text;
            }
            Part::Printed(_) if output.is_empty() => {}
            Part::Printed(lines) => {
                for line in lines.iter().filter(|line| !line.is_empty()) {
                    assert!(is_printed(line, &output), "{name}: {line:?} is not in\n{output}");
                }
            }
            Part::Code(code) => {
                let is_there = files.iter().any(|file| file.contains(&code));
                assert!(is_there, "{name}: no file beside it holds\n{code}");
            }
        }
    }
    commands
}

#[test]
fn the_first_scenario_runs_as_its_page_says() {
    assert!(follow("first-scenario") >= 4);
}

#[test]
fn the_first_failure_fails_and_is_explained_as_its_page_says() {
    assert!(follow("first-failure") >= 5);
}

#[test]
fn the_application_loses_what_its_page_says_it_loses() {
    follow("your-application");
    std::env::set_current_dir(root()).unwrap();
    let report = billing::run().unwrap();
    assert!(report.lost_records() > 0, "{report}");
    assert_eq!(report.seeds, 20);
    let page = fs::read_to_string(root().join("docs/tutorial/your-application.md")).unwrap();
    for part in parts(&page) {
        let Part::Printed(lines) = part else { continue };
        for line in lines {
            assert!(is_printed(&line, &report.to_string()), "{line:?} is not in\n{report}");
        }
    }
}

#[test]
fn dots_stand_for_anything_and_the_rest_for_itself() {
    assert!(is_printed("FAIL ... seed 7", "x\nFAIL lost  seed 7  lost-write"));
    assert!(!is_printed("seed 7 ... FAIL", "FAIL lost  seed 7"));
}
