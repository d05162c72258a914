//! Two runs of one seed, or of two, compared event by event: the first in which they differ.

use std::fs::File;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};

use super::child::Worker;
use super::worker::{HISTORY_FILE, Job, TRACE_FILE};
use crate::history::Entry;

/// Runs both jobs in the two processes given, keeps their traces, and tells the first difference.
/// `None`: the traces agree.
pub fn first_difference(
    (a, worker_a): (&Job, &mut Worker),
    (b, worker_b): (&Job, &mut Worker),
    wall_limit: Duration,
) -> anyhow::Result<Option<String>> {
    let folder = std::env::temp_dir().join(format!("seedlog-sim-{}-{:x}", std::process::id(), a.seed));
    let (in_a, in_b) = (folder.join("a"), folder.join("b"));
    run_traced(a, worker_a, &in_a, wall_limit)?;
    run_traced(b, worker_b, &in_b, wall_limit)?;
    let difference = compare_traces(&in_a, &in_b)?;
    std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    Ok(difference)
}

fn run_traced(job: &Job, worker: &mut Worker, folder: &Path, wall_limit: Duration) -> anyhow::Result<()> {
    let job = Job { compare_in: Some(folder.to_owned()), ..job.clone() };
    match worker.run(&job, wall_limit)? {
        Ok(_) => Ok(()),
        Err(broken) => bail!("{}@{} broke off: {}", job.scenario, job.seed, broken.message),
    }
}

fn compare_traces(a: &Path, b: &Path) -> anyhow::Result<Option<String>> {
    let Some(event) = first_differing_line(&a.join(TRACE_FILE), &b.join(TRACE_FILE))? else {
        return Ok(None);
    };
    let (number, one, other) = event;
    let mut told = format!("event {number} is the first to differ:\n    {one}\n    {other}");
    if let Some((_, one, other)) = first_differing_line(&a.join(HISTORY_FILE), &b.join(HISTORY_FILE))? {
        let told_line = |line: &str| match serde_json::from_str::<Entry>(line) {
            Ok(entry) => crate::report::evidence_line(&entry),
            Err(_) => line.to_owned(),
        };
        told.push_str(&format!(
            "\n  the histories differ first in:\n    {}\n    {}",
            told_line(&one),
            told_line(&other)
        ));
    }
    Ok(Some(told))
}

const END: &str = "(the run ends)";

/// The number (from 0) of the first line that differs, and both versions of it.
fn first_differing_line(a: &Path, b: &Path) -> anyhow::Result<Option<(usize, String, String)>> {
    let (mut a, mut b) = (lines(a)?, lines(b)?);
    for number in 0.. {
        let (one, other) = (a.next().transpose()?, b.next().transpose()?);
        if one.is_none() && other.is_none() {
            break;
        }
        if one != other {
            let text = |line: Option<String>| line.unwrap_or_else(|| END.to_owned());
            return Ok(Some((number, text(one), text(other))));
        }
    }
    Ok(None)
}

fn lines(path: &Path) -> anyhow::Result<Lines<BufReader<File>>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(BufReader::new(file).lines())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_named_and_so_is_an_end() {
        let folder = std::env::temp_dir().join(format!("seedlog-sim-compare-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (a, b) = (folder.join("a"), folder.join("b"));
        let difference = |one: &str, other: &str| {
            std::fs::write(&a, one).unwrap();
            std::fs::write(&b, other).unwrap();
            first_differing_line(&a, &b).unwrap()
        };
        assert_eq!(difference("x\ny\n", "x\ny\n"), None);
        assert_eq!(difference("x\ny\n", "x\nz\n"), Some((1, "y".into(), "z".into())));
        assert_eq!(difference("x\n", "x\nz\n"), Some((1, END.into(), "z".into())));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
