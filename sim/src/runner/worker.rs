//! The worker's side: one job a line on stdin, one reply a line on stdout.
//!
//! A run gets a fresh thread (`world::run`'s doing); what a run breaks beyond that costs this process, and the
//! parent starts another.

use std::any::Any;
use std::fs;
use std::io::{self, BufRead, BufWriter, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::process::{Resource, Rlimit, setrlimit};
use seedlog::rules::Rule;
use seedlog::runtime::sim::trace::Event;
use serde::{Deserialize, Serialize};

use super::picture::{self, MESSAGES_FILE};
use super::{EVENT_LIMIT, MEMORY_BYTES_MAX};
use crate::faults::Struck;
use crate::phases::{self, RunOptions};
use crate::report::{self, Breakdown, Outcome, Verdict};
use crate::scenario::Scenario;

/// One run to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    pub scenario: String,
    /// Where the scenario's file lies, if it is none of `scenarios/`.
    #[serde(default)]
    pub file: Option<String>,
    /// The scenario's text.
    pub text: String,
    pub seed: u64,
    /// Slugs of the rules to suspend.
    pub without: Vec<String>,
    pub keep: Keep,
    /// Where to write the run's trace and history for comparison.
    pub compare_in: Option<PathBuf>,
}

/// Whether the run folder is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Keep {
    /// With the messages and the picture, though the run may pass.
    Everything,
    /// With the picture only if the run failed.
    Always,
    Failures,
    Never,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reply {
    pub verdict: Verdict,
    /// CPU time of this process since its last reply.
    pub cpu_ms: u64,
    /// The process's largest resident set so far.
    pub peak_rss_kb: u64,
    /// What the storm did, fault by fault. Testbeds of earlier commits do not tell.
    #[serde(default)]
    pub struck: Vec<Struck>,
    /// Slugs of the rules that somebody asked for in the run.
    #[serde(default)]
    pub asked: Vec<String>,
}

impl Job {
    pub fn new(scenario: &Scenario, seed: u64, without: &[Rule], keep: Keep) -> Job {
        Job {
            scenario: scenario.name.clone(),
            file: scenario.file.clone(),
            text: scenario.text.clone(),
            seed,
            without: without.iter().map(|rule| rule.slug().to_owned()).collect(),
            keep,
            compare_in: None,
        }
    }
}

/// The files that a run for comparison leaves in its folder.
pub const TRACE_FILE: &str = "trace.txt";
pub const HISTORY_FILE: &str = "history.jsonl";

/// Serves jobs until stdin ends.
pub fn serve(input: impl BufRead, mut output: impl Write) -> anyhow::Result<()> {
    limit_resources()?;
    let mut cpu_before = cpu_ms();
    for line in input.lines() {
        let job: Job = serde_json::from_str(&line?)?;
        // A node's panic is the run's; one of the testbed's own code, judging, must not be taken for less.
        let (verdict, struck, asked) = catch_unwind(AssertUnwindSafe(|| run(&job)))
            .unwrap_or_else(|panic| Ok((panicked(&job, &*panic), Vec::new(), Rule::ALL.to_vec())))?;
        let asked = asked.into_iter().map(|rule| rule.slug().to_owned()).collect();
        let cpu_now = cpu_ms();
        let cpu_ms = cpu_now.saturating_sub(cpu_before);
        let reply = Reply { verdict, cpu_ms, peak_rss_kb: peak_rss_kb(), struck, asked };
        cpu_before = cpu_now;
        serde_json::to_writer(&mut output, &reply)?;
        output.write_all(b"\n")?;
        output.flush()?;
    }
    Ok(())
}

/// A run that eats more fails in its own process, and leaves the machine's other work alone.
fn limit_resources() -> io::Result<()> {
    let at_most = |bytes| Rlimit { current: Some(bytes), maximum: Some(bytes) };
    setrlimit(Resource::As, at_most(MEMORY_BYTES_MAX))?;
    // A worker's core would be as large and of no use: the seed does it again.
    setrlimit(Resource::Core, at_most(0))?;
    Ok(())
}

fn panicked(job: &Job, panic: &(dyn Any + Send)) -> Verdict {
    let said = panic.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
    let without: Vec<Rule> = job.without.iter().filter_map(|slug| Rule::from_slug(slug)).collect();
    let violation = Breakdown::Panic.violation(format!("while the run was judged: {said}"));
    let mut verdict = Verdict::of_breakdown(&job.scenario, job.seed, &without, violation);
    verdict.file = job.file.clone();
    verdict
}

fn run(job: &Job) -> anyhow::Result<(Verdict, Vec<Struck>, Vec<Rule>)> {
    let mut scenario = Scenario::parse(&job.scenario, &job.scenario, &job.text)?;
    scenario.file = job.file.clone();
    let without: Vec<Rule> = job.without.iter().filter_map(|slug| Rule::from_slug(slug)).collect();
    let keep_trace = job.compare_in.is_some() || job.keep == Keep::Everything;
    let options = RunOptions { without, keep_trace, event_limit: EVENT_LIMIT };
    let started = Instant::now();
    let mut run = phases::run_seed(&scenario, job.seed, &options);
    run.verdict.file = job.file.clone();
    run.verdict.wall_ms = started.elapsed().as_millis() as u64;
    let failed = run.verdict.verdict != Outcome::Pass;
    let is_kept = match job.keep {
        Keep::Everything | Keep::Always => true,
        Keep::Failures => failed,
        Keep::Never => false,
    };
    if is_kept {
        let folder = report::seed_folder(&job.scenario, job.seed);
        report::write_run(&folder, &scenario, &run.verdict, &run.history)?;
        if failed || job.keep == Keep::Everything {
            picture::keep(&folder, &scenario, &run, &options)?;
        }
    }
    if let Some(folder) = &job.compare_in {
        fs::create_dir_all(folder)?;
        write_trace(&folder.join(TRACE_FILE), &run.trace)?;
        let mut history = BufWriter::new(fs::File::create(folder.join(HISTORY_FILE))?);
        crate::history::write_json_lines(&run.history, &mut history)?;
        let mut messages = BufWriter::new(fs::File::create(folder.join(MESSAGES_FILE))?);
        report::timeline::write_messages(&run.messages, &mut messages)?;
    }
    Ok((run.verdict, run.struck, run.asked))
}

fn write_trace(path: &Path, trace: &[Event]) -> io::Result<()> {
    let mut out = BufWriter::new(fs::File::create(path)?);
    for event in trace {
        writeln!(out, "{event}")?;
    }
    out.flush()
}

/// User and system time of this process. 0 where the system does not tell.
fn cpu_ms() -> u64 {
    /// Clock ticks of /proc are hundredths of a second on every Linux.
    const MS_PER_TICK: u64 = 10;
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is a name in parentheses that may hold blanks.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    (ticks(11) + ticks(12)) * MS_PER_TICK
}

/// 0 where the system does not tell.
fn peak_rss_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
