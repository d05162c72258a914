//! Random programs over the seam, on the half that this build has. The other build runs the same ones, and
//! `cargo xtask fidelity` compares.
//!
//! Without arguments it runs the programs on record (`record.jsonl`) and demands what the record says. `measure
//! --programs N` runs N programs of each theme, and the ledger's own, and prints what they came to as JSON lines.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // A program of its own, started again by itself.

mod disk;
mod half;
mod kept;
mod program;

use std::collections::BTreeSet;
use std::process::ExitCode;

use program::{History, Measured, Program};

/// As the test harness would call it.
const TEST: &str = "programs_on_record_come_to_what_they_came_to";

/// Runs of a program that may have several outcomes.
#[derive(Clone, Copy)]
enum Runs {
    /// Those of a test.
    Few,
    Many,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["measure", "--programs", count] => {
            measure(count.parse().expect("a number of programs"));
            ExitCode::SUCCESS
        }
        #[cfg(feature = "real-runtime")]
        [half::WITHIN_LIMITS] => {
            half::run_within_limits();
            ExitCode::SUCCESS
        }
        words => as_a_test(words),
    }
}

/// What a program came to, in every way that was seen.
fn histories(program: &Program, _runs: Runs) -> BTreeSet<History> {
    match program.area() {
        "disk" => BTreeSet::from([half::on_disk(program)]),
        area => panic!("{}: nobody performs the steps of {area}", program.name),
    }
}

fn measure(count: u64) {
    let seeds = move |theme| (0..count).map(move |seed| disk::themes::draw(theme, seed));
    let drawn = disk::themes::THEMES.into_iter().flat_map(seeds);
    for program in drawn.chain(kept::probes()) {
        let histories = histories(&program, Runs::Many);
        println!("{}", serde_json::to_string(&Measured { program, histories }).expect("it is data"));
    }
}

/// Keeps to the test harness: arguments that are no options are parts of names, and the last line counts.
fn as_a_test(words: &[&str]) -> ExitCode {
    let mut wanted = words.iter().filter(|word| !word.starts_with('-')).peekable();
    if words.contains(&"--list") {
        println!("{TEST}: test");
        return ExitCode::SUCCESS;
    }
    let is_wanted = wanted.peek().is_none() || wanted.any(|word| TEST.contains(word));
    println!("\nrunning {} test", u32::from(is_wanted));
    let wrong: Vec<String> = if is_wanted { differing() } else { Vec::new() };
    let failed = u32::from(!wrong.is_empty());
    let passed = u32::from(is_wanted) - failed;
    if is_wanted {
        println!("test {TEST} ... {}", if failed == 0 { "ok" } else { "FAILED" });
    }
    println!("{}", wrong.join("\n"));
    let result = if failed == 0 { "ok" } else { "FAILED" };
    let left_out = u32::from(!is_wanted);
    println!(
        "test result: {result}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {left_out} filtered out"
    );
    ExitCode::from(u8::from(failed > 0))
}

/// What programs on record did that the record does not know.
fn differing() -> Vec<String> {
    let mut wrong = Vec::new();
    for kept in kept::record() {
        for history in histories(&kept.program, Runs::Few) {
            if !kept.allows(&history) {
                wrong.push(told(&kept.program, &history));
            }
        }
    }
    if !wrong.is_empty() {
        wrong.push(
            "If this is meant: `cargo xtask fidelity` measures both halves and writes the record anew."
                .to_owned(),
        );
    }
    wrong
}

fn told(program: &Program, history: &History) -> String {
    let steps = program.steps.iter().zip(history).map(|(step, outcome)| format!("    {step} => {outcome}\n"));
    format!("{} came to what is not on record:\n{}", program.name, steps.collect::<String>())
}
