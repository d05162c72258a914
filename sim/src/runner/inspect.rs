//! `inspect WHAT --at TIME`: the state of every node at a moment of a run.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};

use super::child::Worker;
use super::console::tell;
use super::judge;
use super::named::{self, Named};
use super::worker::{HISTORY_FILE, Job, Keep};
use super::{Exit, Settings};
use crate::history::Entry;
use crate::report::state::State;

/// Tells the state at `at` of the run's virtual time. A folder's history is read; anything else is run again.
pub fn inspect(
    what: &str,
    scenario: Option<&str>,
    at: Duration,
    settings: &Settings,
) -> anyhow::Result<Exit> {
    let stored = Path::new(what).join(HISTORY_FILE);
    let history = if stored.is_file() {
        judge::read(&stored)?
    } else {
        history_of(&named::find(what, scenario, &settings.without)?, settings)?
    };
    let end = Duration::from_nanos(history.last().context("a history has entries")?.at_ns);
    if at > end {
        bail!("the run ends at {:.3} s; there is nothing at {:.3} s", end.as_secs_f64(), at.as_secs_f64());
    }
    let state = State::at(&history, at.as_nanos() as u64);
    if settings.json {
        tell(&serde_json::to_string(&state)?);
    } else {
        tell(&state.text());
    }
    Ok(Exit::Pass)
}

/// Runs the first seed that is named, and brings its history.
fn history_of(named: &Named, settings: &Settings) -> anyhow::Result<Vec<Entry>> {
    let folder = std::env::temp_dir().join(format!("seedlog-sim-inspect-{}", std::process::id()));
    let mut job = Job::new(&named.scenario, named.seeds.start, &named.without, Keep::Never);
    job.compare_in = Some(folder.clone());
    if let Err(broken) = Worker::new()?.run(&job, settings.wall_limit)? {
        bail!("{}@{} broke off: {}", job.scenario, job.seed, broken.message);
    }
    let file = std::fs::File::open(folder.join(HISTORY_FILE))?;
    let history = crate::history::read_json_lines(std::io::BufReader::new(file))?;
    std::fs::remove_dir_all(&folder)?;
    Ok(history)
}
