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

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::gates::REAL;
use crate::run::cargo;
use ledger::Ledger;
use record::{Measured, Record};

/// Programs of each theme, unless the command line says otherwise.
const PROGRAMS: u64 = 300;
/// Programs of each theme that the record keeps, for the tests to run again.
const KEPT: u64 = 12;

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
    conclude(judge::judge(&ledger, &record, &root))?;
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
    let sim = measure("in the simulation", &[], programs)?;
    Record::merge(sim, measure("on the machine", REAL, programs)?)
}

fn conclude(wrong: Vec<String>) -> Result<()> {
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("{} findings:\n{}", wrong.len(), wrong.join("\n"));
}

/// What programs came to on one half.
fn measure(place: &str, build: &[&str], programs: u64) -> Result<Vec<Measured>> {
    println!("== programs {place}");
    let mut command = cargo(&["test", "--quiet", "--test", "fidelity"]);
    command.current_dir(root()).args(build);
    command.args(["--", "measure", "--programs", &programs.to_string()]);
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", output.status);
    }
    let lines = String::from_utf8(output.stdout)?;
    lines.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
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
