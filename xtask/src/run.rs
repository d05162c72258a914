//! Runs a step, shows its time, and counts the tests in what it prints.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

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
    let stdout = child.stdout.take().context("the step's output")?;
    for line in BufReader::new(stdout).lines() {
        let line = line.context("the step's output is not text")?;
        tally.read(&line);
        println!("{line}");
    }
    let status = child.wait()?;
    println!("== {name}: {status}, {:.1} s", start.elapsed().as_secs_f64());
    if !status.success() {
        bail!("{name} failed ({status}): {command:?}");
    }
    Ok(())
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
