//! Random programs over the seam, on the half that this build has. The other build runs the same ones, and
//! `cargo xtask fidelity` compares.
//!
//! Without arguments it runs the programs on record (`record.jsonl`) and demands what the record says. `measure
//! --programs N` runs N programs of each theme, and the ledger's own, and prints what they came to as JSON lines. `measure-given`
//! does so with the programs on its input.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // A program of its own, started again by itself.

mod disk;
mod half;
mod kept;
mod net;
mod program;
mod properties;
#[cfg(feature = "real-runtime")]
#[path = "../support/mod.rs"]
mod support;
mod zookeeper;

use std::collections::BTreeSet;
use std::process::ExitCode;

use program::{History, Measured, Program};

/// As the test harness would call it.
const TEST: &str = "programs_on_record_come_to_what_they_came_to";

/// Runs of a program that may have several outcomes. The simulation has to show every one that the machine may show.
#[derive(Clone, Copy)]
enum Runs {
    /// Those of a test, which must be among the many.
    Few,
    Many,
}

impl Runs {
    fn count(self, program: &Program) -> u64 {
        let is_racing = program.name.starts_with("net/racing/");
        let sessions_race = program.name.starts_with("zookeeper/racing/");
        let meets_rare_things = program.area() == "net" && program.is_of_a_row();
        let (few, many) = match cfg!(feature = "real-runtime") {
            true if is_racing => (1, 6),
            true if program.area() == "zookeeper" => (1, 1),
            false if sessions_race => (4, 100),
            false if program.area() == "zookeeper" => (1, 3),
            true => (1, 2),
            false if is_racing => (4, 300),
            false if meets_rare_things => (4, 100),
            false => (4, 30),
        };
        match self {
            Runs::Few => few,
            Runs::Many => many,
        }
    }
}

fn main() -> ExitCode {
    let _stopped_at_the_end = half::Servers;
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["measure", "--programs", count] => {
            let count = count.parse().expect("a number of programs");
            measure(&drawn(count).chain(kept::probes()).collect::<Vec<_>>());
            ExitCode::SUCCESS
        }
        ["measure-given"] => {
            let lines = std::io::read_to_string(std::io::stdin()).expect("programs, one a line");
            let given = lines.lines().map(|line| serde_json::from_str(line).expect("a program"));
            measure(&given.collect::<Vec<_>>());
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

/// What a program came to, in every way that was seen; in none where it could not run.
fn histories(program: &Program, runs: Runs) -> BTreeSet<History> {
    match program.area() {
        "disk" => half::on_disk(program).into_iter().collect(),
        "net" => half::on_net(program, runs.count(program)),
        "zookeeper" => half::on_zookeeper(program, runs.count(program)),
        "clock" | "task" => half::on_node(program, runs.count(program)),
        area => panic!("{}: nobody performs the steps of {area}", program.name),
    }
}

fn measure(programs: &[Program]) {
    at_once(programs, Runs::Many, |program, histories| {
        let measured = Measured { program: program.clone(), histories };
        println!("{}", serde_json::to_string(&measured).expect("it is data"));
    });
}

/// Programs of every theme, `count` of each.
fn drawn(count: u64) -> impl Iterator<Item = Program> {
    let on_disk = disk::themes::THEMES.into_iter();
    let on_net = net::themes::THEMES.into_iter();
    let on_disk = on_disk.flat_map(move |theme| (0..count).map(move |seed| disk::themes::draw(theme, seed)));
    let on_net = on_net.flat_map(move |theme| (0..count).map(move |seed| net::themes::draw(theme, seed)));
    let on_zookeeper = zookeeper::themes::THEMES.into_iter();
    let on_zookeeper = on_zookeeper.flat_map(move |theme| {
        let count = zookeeper::themes::count_of(theme, count);
        (0..count).map(move |seed| zookeeper::themes::draw(theme, seed))
    });
    on_disk.chain(on_net).chain(on_zookeeper)
}

/// Programs that run at once: on the machine those of the network wait most of their time.
const AT_ONCE: usize = 16;

/// Tells what programs came to, in their order.
fn at_once(programs: &[Program], runs: Runs, mut tell: impl FnMut(&Program, BTreeSet<History>)) {
    for some in programs.chunks(AT_ONCE) {
        let all = std::thread::scope(|scope| {
            let running = some.iter().map(|program| scope.spawn(move || histories(program, runs)));
            let running: Vec<_> = running.collect();
            running.into_iter().map(|one| one.join().expect("no program panics")).collect::<Vec<_>>()
        });
        some.iter().zip(all).for_each(|(program, histories)| tell(program, histories));
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
    let record = kept::record();
    let programs: Vec<Program> = record.iter().map(|kept| kept.program.clone()).collect();
    let mut kept = record.iter();
    let mut wrong = Vec::new();
    at_once(&programs, Runs::Few, |program, histories| {
        let kept = kept.next().expect("as many as there are programs");
        wrong.extend(
            histories.iter().filter(|history| !kept.allows(history)).map(|history| told(program, history)),
        );
    });
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
