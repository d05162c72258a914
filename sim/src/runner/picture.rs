//! Puts `timeline.html` into a run's folder, and draws it again from what the folder holds.
//!
//! Messages are recorded only while a run keeps everything; a failed run that did not is run once more for
//! them, since it can be repeated bit for bit.

use std::fs;
use std::io::BufReader;
use std::path::Path;

use anyhow::Context;
use seedlog::runtime::sim::net::messages::Message;

use super::console::tell;
use super::token;
use super::{Exit, Settings, named, replay};
use crate::history::{self, What};
use crate::phases::{self, Run, RunOptions};
use crate::report::cause::Necessary;
use crate::report::timeline::{self, Scene};
use crate::report::{RunFolder, Verdict, evidence_line, fault_text};
use crate::scenario::Scenario;

pub const TIMELINE_FILE: &str = "timeline.html";
/// What was said over the network, one message a line.
pub const MESSAGES_FILE: &str = "messages.jsonl";
const NECESSARY_FILE: &str = "necessary.json";

/// Writes the run's messages and its picture.
pub fn keep(folder: &RunFolder, scenario: &Scenario, run: &Run, options: &RunOptions) -> std::io::Result<()> {
    let again: Run;
    let messages = if options.keep_trace {
        &run.messages
    } else {
        let options = RunOptions { keep_trace: true, ..options.clone() };
        again = phases::run_seed(scenario, run.verdict.seed, &options);
        // Another run's messages would tell another story.
        if again.verdict.trace_hash == run.verdict.trace_hash { &again.messages } else { &run.messages }
    };
    let RunFolder(path) = folder;
    let mut out = std::io::BufWriter::new(fs::File::create(path.join(MESSAGES_FILE))?);
    timeline::write_messages(messages, &mut out)?;
    let Run { verdict, history, .. } = run;
    let replay = token::replay_line(verdict);
    draw(path, &Scene { verdict, history, messages, replay: &replay, necessary: &[] })
}

/// `report WHAT`: a folder is drawn as it is; anything else is replayed, which draws it.
pub fn report(what: &str, scenario: Option<&str>, settings: &Settings) -> anyhow::Result<Exit> {
    let path = Path::new(what);
    if !path.is_dir() {
        return replay::replay(named::find(what, scenario, &settings.without)?, settings);
    }
    Kept::read(path)?.draw(path)?;
    tell(&path.join(TIMELINE_FILE).display().to_string());
    Ok(Exit::Pass)
}

/// Draws a failed run's page again, with the faults lit that the failure needs.
pub fn light(folder: &RunFolder, necessary: &Necessary) -> anyhow::Result<()> {
    let RunFolder(path) = folder;
    fs::write(path.join(NECESSARY_FILE), serde_json::to_vec(&necessary.faults)?)?;
    Kept::read(path)?.draw(path)
}

/// What a run's folder holds.
struct Kept {
    verdict: Verdict,
    history: Vec<history::Entry>,
    messages: Vec<Message>,
    /// The faults that the failure needs, in words.
    necessary: Vec<String>,
}

impl Kept {
    fn read(path: &Path) -> anyhow::Result<Kept> {
        let read = |name: &str| {
            fs::File::open(path.join(name))
                .map(BufReader::new)
                .with_context(|| format!("{} is no folder of a run: it has no {name}", path.display()))
        };
        Ok(Kept {
            verdict: serde_json::from_reader(read("verdict.json")?).context("verdict.json")?,
            history: history::read_json_lines(read("history.jsonl")?).context("history.jsonl")?,
            // A run that passed has neither of these.
            messages: match read(MESSAGES_FILE) {
                Ok(file) => timeline::read_messages(file).context(MESSAGES_FILE)?,
                Err(_) => Vec::new(),
            },
            necessary: match read(NECESSARY_FILE) {
                Ok(file) => serde_json::from_reader(file).context(NECESSARY_FILE)?,
                Err(_) => Vec::new(),
            },
        })
    }

    fn draw(mut self, folder: &Path) -> anyhow::Result<()> {
        let lines = lines_of(&self.necessary, &self.history);
        for violation in &mut self.verdict.violations {
            let missing: Vec<&String> =
                lines.iter().filter(|line| !violation.evidence.contains(line)).collect();
            violation.evidence.extend(missing.into_iter().cloned());
            violation.evidence.sort_by(|a, b| seconds_of(a).total_cmp(&seconds_of(b)));
        }
        let Kept { verdict, history, messages, .. } = &self;
        let replay = token::replay_line(verdict);
        draw(folder, &Scene { verdict, history, messages, replay: &replay, necessary: &lines })?;
        Ok(())
    }
}

/// The lines under which the history first has these faults.
fn lines_of(faults: &[String], history: &[history::Entry]) -> Vec<String> {
    let first = faults.iter().filter_map(|told| {
        history.iter().find(|entry| match &entry.what {
            What::Fault(fault) => {
                let text = fault_text::text(fault);
                told.strip_prefix(&text).is_some_and(|rest| rest.is_empty() || rest.starts_with(" and "))
            }
            _ => false,
        })
    });
    first.map(evidence_line).collect()
}

/// When a line of evidence happened; lines without a time come first.
fn seconds_of(line: &str) -> f64 {
    line.trim_start().split('s').next().and_then(|time| time.parse().ok()).unwrap_or(0.0)
}

fn draw(folder: &Path, scene: &Scene) -> std::io::Result<()> {
    fs::write(folder.join(TIMELINE_FILE), timeline::page(scene))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Entry, Injected};

    fn paused(at_ns: u64, target: &str) -> Entry {
        let what = What::Fault(Injected::Pause { target: target.into() });
        Entry { at_ns, node: "testbed".into(), incarnation: 0, what }
    }

    #[test]
    fn a_needed_fault_is_found_where_the_history_first_has_it() {
        let history = [paused(1_000_000_000, "a"), paused(2_000_000_000, "b"), paused(3_000_000_000, "b")];
        let told = ["pause b and 1 more of the kind".to_owned(), "pause nobody".to_owned()];
        assert_eq!(lines_of(&told, &history), [evidence_line(&history[1])]);
    }

    #[test]
    fn a_line_of_evidence_says_when_it_happened() {
        assert_eq!(seconds_of(&evidence_line(&paused(12_345_000_000, "a"))), 12.345);
        assert_eq!(seconds_of("no time here"), 0.0);
    }
}
