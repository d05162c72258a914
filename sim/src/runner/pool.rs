//! Runs jobs on several worker processes at once, and repeats some of them in another process.
//!
//! Each slot has two workers: one for first runs, one for repeats, so that a repeat is always another
//! process's.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use seedlog::rules::Rule;

use super::child::{Broken, Worker};
use super::compare;
use super::worker::{Job, Reply};
use crate::report::Verdict;

/// A job, and whether it is to be done twice.
#[derive(Clone, Debug)]
pub struct Task {
    pub job: Job,
    pub rerun: bool,
}

/// A task done.
#[derive(Clone, Debug)]
pub struct Done {
    pub verdict: Verdict,
    /// Both runs together, where there were two.
    pub cpu_ms: u64,
    pub events: u64,
    pub sim_ms: u64,
    pub peak_rss_kb: u64,
    pub rerun: bool,
    /// Rules that the run asked for.
    pub asked: Vec<String>,
}

impl Done {
    /// A verdict that cost nothing here.
    pub fn of(verdict: Verdict) -> Done {
        Done { verdict, cpu_ms: 0, events: 0, sim_ms: 0, peak_rss_kb: 0, rerun: false, asked: Vec::new() }
    }
}

/// Finished tasks that may wait to be told.
const RESULTS_WAITING_MAX: usize = 64;

/// Does `tasks` on `jobs` slots; `tell` hears each result and may end it all.
pub fn run_all(
    tasks: impl Iterator<Item = Task> + Send,
    jobs: usize,
    wall_limit: Duration,
    mut tell: impl FnMut(Done) -> ControlFlow<()>,
) -> anyhow::Result<()> {
    let tasks = Mutex::new(tasks);
    let stop = AtomicBool::new(false);
    let (sender, results) = sync_channel(RESULTS_WAITING_MAX);
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            let sender = sender.clone();
            scope.spawn(|| slot(&tasks, &stop, wall_limit, sender));
        }
        drop(sender);
        let mut outcome = Ok(());
        for result in results {
            if stop.load(Ordering::Relaxed) {
                continue;
            }
            let over = match result {
                Ok(done) => tell(done).is_break(),
                Err(error) => {
                    outcome = Err(error);
                    true
                }
            };
            stop.fetch_or(over, Ordering::Relaxed);
        }
        outcome
    })
}

fn slot<T: Iterator<Item = Task>>(
    tasks: &Mutex<T>,
    stop: &AtomicBool,
    wall_limit: Duration,
    results: SyncSender<anyhow::Result<Done>>,
) {
    let (mut first, mut second) = match (Worker::new(), Worker::new()) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(error), _) | (_, Err(error)) => {
            // Nobody listens any more only where the session is over.
            let _unheard = results.send(Err(error));
            return;
        }
    };
    while !stop.load(Ordering::Relaxed) {
        let Some(task) = tasks.lock().expect("no slot panics with it").next() else { return };
        let done = run_task(&task, &mut first, &mut second, wall_limit);
        if results.send(done).is_err() {
            return;
        }
    }
}

fn run_task(
    task: &Task,
    first: &mut Worker,
    second: &mut Worker,
    wall_limit: Duration,
) -> anyhow::Result<Done> {
    let mut done = one_run(&task.job, first, wall_limit)?;
    if !task.rerun {
        return Ok(done);
    }
    let again = one_run(&task.job, second, wall_limit)?;
    done.rerun = true;
    done.cpu_ms += again.cpu_ms;
    done.events += again.events;
    done.sim_ms += again.sim_ms;
    done.peak_rss_kb = done.peak_rss_kb.max(again.peak_rss_kb);
    if again.verdict.trace_hash != done.verdict.trace_hash {
        let hashes = format!("trace hash {} and then {}", done.verdict.trace_hash, again.verdict.trace_hash);
        let first_event = compare::first_difference((&task.job, first), (&task.job, second), wall_limit)?;
        let event = first_event.unwrap_or_else(|| "the traces agreed when run once more".to_owned());
        done.verdict.diverged = Some(format!("{hashes}; {event}"));
        done.verdict.conclude();
    }
    Ok(done)
}

fn one_run(job: &Job, worker: &mut Worker, wall_limit: Duration) -> anyhow::Result<Done> {
    let reply = match worker.run(job, wall_limit)? {
        Ok(reply) => reply,
        Err(broken) => broken_reply(job, broken),
    };
    Ok(Done {
        cpu_ms: reply.cpu_ms,
        events: reply.verdict.events,
        sim_ms: reply.verdict.sim_ms,
        peak_rss_kb: reply.peak_rss_kb,
        verdict: reply.verdict,
        rerun: false,
        asked: reply.asked,
    })
}

pub(super) fn broken_reply(job: &Job, broken: Broken) -> Reply {
    let without: Vec<Rule> = job.without.iter().filter_map(|slug| Rule::from_slug(slug)).collect();
    let violation = broken.how.violation(broken.message);
    let mut verdict = Verdict::of_breakdown(&job.scenario, job.seed, &without, violation);
    verdict.file = job.file.clone();
    let asked = Rule::ALL.iter().map(|rule| rule.slug().to_owned()).collect();
    Reply { verdict, cpu_ms: 0, peak_rss_kb: 0, struck: Vec::new(), asked }
}
