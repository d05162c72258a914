//! A panic anywhere ends a process that installed the command's hook, and its log says why.
//!
//! The process under test is this test binary itself, started again with an environment variable: the product has
//! no way to panic on demand.
#![cfg(feature = "real-runtime")]
#![allow(clippy::disallowed_methods)] // Outside of any simulation.

#[path = "../src/command/logging/mod.rs"]
#[allow(dead_code)]
mod logging;
#[path = "../src/command/panics.rs"]
mod panics;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use std::time::Duration;

use seedlog::runtime::clock;
use seedlog::runtime::task::{self, Lane, TaskGroup};

/// Where the process under test panics; unset in the tests themselves.
const PLACE: &str = "SEEDLOG_TEST_PANICS_IN";
const SIGABRT: i32 = 6;
/// How long the process would go on if the panic did not end it.
const GOES_ON: Duration = Duration::from_secs(20);

/// Not a test of its own: the body of the process under test.
#[test]
fn process_under_test() {
    let Ok(place) = std::env::var(PLACE) else { return };
    panics::abort_on_panic();
    let _log = logging::Log::start();
    task::block_on(async move {
        let group = TaskGroup::new(if place == "control-task" { Lane::Control } else { Lane::Data });
        match place.as_str() {
            "data-task" | "control-task" => group.spawn("flusher", async { panic!("a \"bad\" invariant") }),
            "thread-pool" => group.spawn("recovery", task::blocking(|| panic!("a \"bad\" invariant"))),
            other => unreachable!("no test says {other}"),
        }
        clock::sleep(GOES_ON).await;
    });
}

fn panicking_in(place: &str) -> Output {
    let program = std::env::current_exe().expect("this test binary");
    let mut command = Command::new(program);
    command.args(["--exact", "process_under_test", "--nocapture"]).env(PLACE, place);
    command.env_remove("RUST_BACKTRACE").output().expect("this test binary starts")
}

#[test]
fn a_panic_anywhere_ends_the_process_and_the_log_says_why() {
    for place in ["data-task", "control-task", "thread-pool"] {
        let output = panicking_in(place);

        assert_eq!(output.status.signal(), Some(SIGABRT), "{place}: {:?}", output.status);
        let log = String::from_utf8_lossy(&output.stderr);
        let line = log.lines().find(|line| line.contains("event=panicked"));
        let line = line.unwrap_or_else(|| panic!("{place}: no line says so:\n{log}"));
        assert!(line.contains(" level=error "), "{line}");
        assert!(line.contains(" place=tests/panics.rs:"), "{line}");
        assert!(line.ends_with(" reason=\"a \\\"bad\\\" invariant\""), "{line}");
    }
}
