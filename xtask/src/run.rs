//! Runs steps, shows how far they are and how long they take, and counts the tests in what it prints.

use std::io::{self, BufRead, BufReader};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Tests seen so far, over all steps.
#[derive(Default)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
    pub ignored: u64,
}

/// A step: a command with a name that says what it proves.
pub struct Step {
    pub name: &'static str,
    pub command: Command,
}

pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    command
}

/// A step that prints nothing for this long is said to be still running.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Runs the steps one after the other until one fails, and says which of how many it is at.
pub fn run_all(steps: Vec<Step>, tally: &mut Tally) -> Result<()> {
    let total = steps.len();
    steps.into_iter().enumerate().try_for_each(|(index, step)| {
        println!("== step {} of {total}", index + 1);
        run(step, tally)
    })
}

/// Runs the step; its output passes through, test results are added to the tally.
pub fn run(step: Step, tally: &mut Tally) -> Result<()> {
    let Step { name, mut command } = step;
    println!("== {name}");
    let start = Instant::now();
    let mut child = command
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let lines = lines_of(child.stdout.take().context("the step's output")?);
    loop {
        match lines.recv_timeout(SILENCE_MAX) {
            Ok(line) => {
                let line = line.context("the step's output is not text")?;
                tally.read(&line);
                println!("{line}");
            }
            Err(RecvTimeoutError::Timeout) => {
                println!("== {name}: still running, {:.0} s so far", start.elapsed().as_secs_f64());
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child.wait()?;
    println!("== {name}: {status}, {:.1} s", start.elapsed().as_secs_f64());
    if !status.success() {
        bail!("{name} failed ({status}): {command:?}");
    }
    Ok(())
}

/// Reads on a thread of its own, so that silence can be told from the end.
fn lines_of(stdout: ChildStdout) -> Receiver<io::Result<String>> {
    // Without room to queue: a reader that is behind holds the writer up, as a pipe does.
    let (sender, receiver) = mpsc::sync_channel(0);
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

impl Tally {
    /// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
    fn read(&mut self, line: &str) {
        let Some(counts) = line.strip_prefix("test result: ") else { return };
        for part in counts.split(['.', ';']) {
            let mut words = part.split_whitespace();
            let (Some(count), Some(what)) = (words.next().and_then(|w| w.parse::<u64>().ok()), words.next())
            else {
                continue;
            };
            match what {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn test_results_are_counted() {
        let mut tally = Tally::default();
        tally.read(
            "test result: ok. 3 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        );
        tally.read("running 3 tests");
        assert_eq!((tally.passed, tally.failed, tally.ignored), (3, 1, 2));
    }
}
