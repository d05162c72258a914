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
use super::token::Token;
use super::{Exit, Settings, named, replay};
use crate::history;
use crate::phases::{self, Run, RunOptions};
use crate::report::timeline::{self, Scene};
use crate::report::{RunFolder, Verdict};
use crate::scenario::Scenario;

pub const TIMELINE_FILE: &str = "timeline.html";
const MESSAGES_FILE: &str = "messages.jsonl";

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
    let token = Token::here(&scenario.name, run.verdict.seed).to_string();
    draw(path, &run.verdict, &run.history, messages, &token)
}

/// `report WHAT`: a folder is drawn as it is; anything else is replayed, which draws it.
pub fn report(what: &str, scenario: Option<&str>, settings: &Settings) -> anyhow::Result<Exit> {
    let path = Path::new(what);
    if !path.is_dir() {
        return replay::replay(named::find(what, scenario, &settings.without)?, settings);
    }
    let read = |name: &str| {
        fs::File::open(path.join(name))
            .map(BufReader::new)
            .with_context(|| format!("{} is no folder of a run: it has no {name}", path.display()))
    };
    let verdict: Verdict = serde_json::from_reader(read("verdict.json")?).context("verdict.json")?;
    let history = history::read_json_lines(read("history.jsonl")?).context("history.jsonl")?;
    let messages: Vec<Message> = match read(MESSAGES_FILE) {
        Ok(file) => timeline::read_messages(file).context(MESSAGES_FILE)?,
        // A run that passed has none.
        Err(_) => Vec::new(),
    };
    let token = path.join("scenario.toml").display().to_string();
    draw(path, &verdict, &history, &messages, &token)?;
    tell(&path.join(TIMELINE_FILE).display().to_string());
    Ok(Exit::Pass)
}

fn draw(
    folder: &Path,
    verdict: &Verdict,
    history: &[history::Entry],
    messages: &[Message],
    token: &str,
) -> std::io::Result<()> {
    let page = timeline::page(&Scene { verdict, history, messages, token, necessary: &[] });
    fs::write(folder.join(TIMELINE_FILE), page)
}
