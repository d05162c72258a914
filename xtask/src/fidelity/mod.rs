//! Compares the two halves of the seam: runs the same programs on both, holds the ledger to what they came to, and writes the
//! record and the page.
//!
//! Each half is a build of its own, so that a run of this costs both. The tests of each build run the programs on record
//! again, and the test below holds the ledger and the page to the record.

mod compare;
mod judge;
mod ledger;
mod page;
mod record;
mod shrink;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::gates::REAL;
use crate::run::cargo;
use ledger::Ledger;
use record::{Compared, Measured, Record};

/// Programs of each theme, unless the command line says otherwise.
const PROGRAMS: u64 = 300;
/// Programs of each theme that the record keeps, for the tests to run again.
const KEPT: u64 = 12;
/// Programs that are made as short as they can be, where there are findings.
const SHRUNK_MAX: usize = 4;

#[derive(Debug, PartialEq, Eq)]
pub enum Options {
    /// Measures this many programs of each theme, and writes record and page.
    Renew(u64),
    /// Measures, and writes nothing.
    Check(u64),
    /// Writes the page from what is on record.
    FromRecord,
}

impl Options {
    pub fn parse(args: &[String]) -> Result<Options> {
        let (mut programs, mut checks) = (PROGRAMS, false);
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--from-record" => return Ok(Options::FromRecord),
                "--check" => checks = true,
                "--programs" => {
                    let number = args.next().context("--programs needs a number")?;
                    programs = number.parse().with_context(|| format!("--programs {number}"))?;
                    if programs < KEPT {
                        bail!("--programs {number}: the record alone keeps {KEPT}");
                    }
                }
                other => bail!("fidelity knows --programs N, --check and --from-record, not `{other}`"),
            }
        }
        Ok(if checks { Options::Check(programs) } else { Options::Renew(programs) })
    }
}

/// The workspace's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask stands in the workspace").to_owned()
}

/// Measures, judges, and writes.
pub fn run(options: &Options) -> Result<()> {
    let root = root();
    let ledger = Ledger::load(&root)?;
    let record = match options {
        Options::Renew(programs) | Options::Check(programs) => measured(*programs)?,
        Options::FromRecord => Record::load(&root)?,
    };
    let mut wrong = judge::judge(&ledger, &record, &root);
    if !matches!(options, Options::FromRecord) {
        wrong.extend(shrunk(&ledger, &record)?);
    }
    conclude(wrong)?;
    println!("{} rows hold, {} programs", ledger.rows.len(), record.programs.len());
    let record = match options {
        Options::Check(_) => return Ok(()),
        Options::FromRecord => record,
        Options::Renew(_) => {
            let record = record.shortened(KEPT);
            record.save(&root)?;
            record
        }
    };
    Ok(std::fs::write(root.join(page::PATH), page::page(&ledger, &record))?)
}

fn measured(programs: u64) -> Result<Record> {
    let words = ["measure", "--programs", &programs.to_string()];
    let sim = measure("in the simulation", &[], &words, None)?;
    Record::merge(sim, measure("on the machine", REAL, &words, None)?)
}

/// The programs with findings, as short as they can be.
fn shrunk(ledger: &Ledger, record: &Record) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for (program, found) in judge::unaccounted(ledger, record).into_iter().take(SHRUNK_MAX) {
        println!("== making {} shorter", program.name);
        let of_its_kind = |program: &Compared| {
            judge::unaccounted_of(ledger, program).into_iter().find(|other| other.does == found.does)
        };
        let short = shrink::shortest(program.clone(), |tried| of_its_kind(tried).is_some(), measured_given)?;
        // What has several outcomes may not show it again.
        let shown = of_its_kind(&short).map(|difference| judge::told(&short, &difference));
        all.extend(shown.map(|text| format!("made shorter: {text}")));
    }
    Ok(all)
}

fn measured_given(programs: &[Measured]) -> Result<Vec<Compared>> {
    let line = |program: &Measured| serde_json::to_string(program).expect("a program is data") + "\n";
    let given: String = programs.iter().map(line).collect();
    let sim = measure("in the simulation", &[], &["measure-given"], Some(&given))?;
    let real = measure("on the machine", REAL, &["measure-given"], Some(&given))?;
    Ok(Record::merge(sim, real)?.programs)
}

fn conclude(wrong: Vec<String>) -> Result<()> {
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("{} findings:\n{}", wrong.len(), wrong.join("\n"));
}

/// What programs came to on one half.
fn measure(place: &str, build: &[&str], words: &[&str], given: Option<&str>) -> Result<Vec<Measured>> {
    println!("== programs {place}");
    let mut command = cargo(&["test", "--quiet", "--test", "fidelity"]);
    command.current_dir(root()).args(build).arg("--").args(words);
    let lines = output_of(command, given.unwrap_or_default())?;
    lines.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

/// Reads beside writing: neither pipe holds everything.
fn output_of(mut command: Command, input: &str) -> Result<String> {
    let shown = format!("{command:?}");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context(shown.clone())?;
    let mut stdin = child.stdin.take().context("its input")?;
    let output = std::thread::scope(|scope| {
        // Who fails before it has read everything says so by its status.
        scope.spawn(move || drop(stdin.write_all(input.as_bytes())));
        child.wait_with_output()
    })?;
    if !output.status.success() {
        bail!("{shown}: {}", output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_accounts_for_the_record_and_the_page_says_what_both_do() {
        let root = root();
        let (ledger, record) = (Ledger::load(&root).unwrap(), Record::load(&root).unwrap());
        let wrong = judge::judge(&ledger, &record, &root);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let there = std::fs::read_to_string(root.join(page::PATH)).unwrap();
        assert!(there == page::page(&ledger, &record), "{}: `cargo xtask fidelity`", page::PATH);
    }

    #[test]
    fn what_is_no_option_is_refused() {
        let parsed =
            |text: &str| Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(parsed("").unwrap(), Options::Renew(300));
        assert_eq!(parsed("--programs 40 --check").unwrap(), Options::Check(40));
        assert_eq!(parsed("--from-record").unwrap(), Options::FromRecord);
        for text in ["--programs", "--programs 1", "--programs x", "--program 20"] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }
}
