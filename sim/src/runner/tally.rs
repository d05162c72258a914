//! The sums of a session of many runs: verdicts, causes, excused shares, repeats, speed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Exit;
use super::pool::Done;
use crate::report::{Outcome, Verdict};

/// A sweep in which more than this share of the seeds was excused for some check proves too little of it.
const EXCUSED_PERCENT_MAX: u64 = 25;
/// Below this many runs a share says nothing.
const EXCUSED_RUNS_MIN: u64 = 40;

pub struct Tally {
    started: Instant,
    jobs: usize,
    /// Whether a share of excused runs that is too large is a failure: of a sweep, not of a few stories.
    limits_excuses: bool,
    pub runs: u64,
    pub failed: u64,
    nondeterministic: u64,
    violations: u64,
    vacuous: u64,
    reruns: u64,
    pub events: u64,
    sim_ms: u64,
    pub cpu_ms: u64,
    peak_rss_kb: u64,
    faults: BTreeMap<String, u64>,
    marks: BTreeMap<String, u64>,
    /// Runs by check for which something was excused.
    excused: BTreeMap<String, u64>,
    /// The first failure of each cause, and how many there were.
    causes: BTreeMap<(String, String), (Verdict, u64)>,
}

/// The last line of `--json`.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    summary: bool,
    runs: u64,
    violations: u64,
    vacuous: u64,
    nondeterministic: u64,
    causes: usize,
    reruns: u64,
    reruns_equal: u64,
    excused: &'a BTreeMap<String, u64>,
    faults: &'a BTreeMap<String, u64>,
    marks: &'a BTreeMap<String, u64>,
    wall_ms: u64,
    cpu_ms: u64,
    events: u64,
    sim_ms: u64,
    events_per_second_and_core: u64,
    sim_seconds_per_second_and_core: u64,
    /// Of the workers' CPU time: what the machine's other work does not disturb.
    sim_seconds_per_cpu_second: u64,
    events_per_cpu_second: u64,
    seeds_per_hour: u64,
    peak_rss_kb: u64,
}

impl Tally {
    pub fn new(jobs: usize, limits_excuses: bool) -> Tally {
        Tally {
            started: Instant::now(),
            jobs: jobs.max(1),
            limits_excuses,
            runs: 0,
            failed: 0,
            nondeterministic: 0,
            violations: 0,
            vacuous: 0,
            reruns: 0,
            events: 0,
            sim_ms: 0,
            cpu_ms: 0,
            peak_rss_kb: 0,
            faults: BTreeMap::new(),
            marks: BTreeMap::new(),
            excused: BTreeMap::new(),
            causes: BTreeMap::new(),
        }
    }

    pub fn take(&mut self, done: &Done) {
        let verdict = &done.verdict;
        self.runs += 1;
        self.reruns += u64::from(done.rerun);
        self.events += done.events;
        self.sim_ms += done.sim_ms;
        self.cpu_ms += done.cpu_ms;
        self.peak_rss_kb = self.peak_rss_kb.max(done.peak_rss_kb);
        match verdict.verdict {
            Outcome::Pass => {}
            Outcome::Vacuous => self.vacuous += 1,
            Outcome::Violation => self.violations += 1,
            Outcome::Nondeterministic => self.nondeterministic += 1,
        }
        for (kind, count) in &verdict.faults {
            *self.faults.entry(kind.clone()).or_default() += count;
        }
        for mark in &verdict.marks {
            *self.marks.entry(mark.clone()).or_default() += 1;
        }
        let mut slugs: Vec<&String> = verdict.excused.iter().map(|excused| &excused.slug).collect();
        slugs.dedup();
        for slug in slugs {
            *self.excused.entry(slug.clone()).or_default() += 1;
        }
        if verdict.verdict != Outcome::Pass {
            self.failed += 1;
            let key = (verdict.scenario.clone(), verdict.cause());
            self.causes.entry(key).or_insert_with(|| (verdict.clone(), 0)).1 += 1;
        }
    }

    /// One failure of each cause, with how many runs failed alike.
    pub fn causes(&self) -> impl Iterator<Item = (&Verdict, u64)> {
        self.causes.values().map(|(verdict, count)| (verdict, *count))
    }

    pub fn exit(&self, ran_out_of_time: bool) -> Exit {
        match () {
            () if self.nondeterministic > 0 => Exit::Nondeterminism,
            () if self.violations > 0 || !self.over_excused().is_empty() => Exit::Violation,
            () if self.vacuous > 0 => Exit::Vacuous,
            () if ran_out_of_time => Exit::TimeBudget,
            () => Exit::Pass,
        }
    }

    /// Checks that too many runs were excused from.
    fn over_excused(&self) -> Vec<&str> {
        let tells = self.limits_excuses && self.runs >= EXCUSED_RUNS_MIN;
        let is_over = |runs: u64| tells && runs * 100 > self.runs * EXCUSED_PERCENT_MAX;
        self.excused.iter().filter(|(_, runs)| is_over(**runs)).map(|(slug, _)| slug.as_str()).collect()
    }

    fn summary(&self) -> Summary<'_> {
        let wall = self.started.elapsed().max(Duration::from_millis(1));
        let core_ms = (wall.as_millis() as u64).max(1) * self.jobs as u64;
        Summary {
            summary: true,
            runs: self.runs,
            violations: self.violations,
            vacuous: self.vacuous,
            nondeterministic: self.nondeterministic,
            causes: self.causes.len(),
            reruns: self.reruns,
            reruns_equal: self.reruns - self.nondeterministic,
            excused: &self.excused,
            faults: &self.faults,
            marks: &self.marks,
            wall_ms: wall.as_millis() as u64,
            cpu_ms: self.cpu_ms,
            events: self.events,
            sim_ms: self.sim_ms,
            events_per_second_and_core: self.events * 1000 / core_ms,
            sim_seconds_per_second_and_core: self.sim_ms / core_ms,
            sim_seconds_per_cpu_second: self.sim_ms / self.cpu_ms.max(1),
            events_per_cpu_second: self.events * 1000 / self.cpu_ms.max(1),
            seeds_per_hour: self.runs * 3_600_000 / (wall.as_millis() as u64).max(1),
            peak_rss_kb: self.peak_rss_kb,
        }
    }

    pub fn json(&self) -> String {
        serde_json::to_string(&self.summary()).expect("a summary is plain data")
    }

    pub fn text(&self) -> String {
        let s = self.summary();
        let list = |counts: &BTreeMap<String, u64>| {
            let items: Vec<String> = counts.iter().map(|(name, n)| format!("{name} {n}")).collect();
            if items.is_empty() { "none".to_owned() } else { items.join(", ") }
        };
        let excused: Vec<String> = self
            .excused
            .iter()
            .map(|(slug, runs)| format!("{slug} {:.1} %", *runs as f64 * 100.0 / self.runs.max(1) as f64))
            .collect();
        let mut lines = vec![
            format!(
                "{} runs: {} violations, {} vacuous, {} not repeatable; {} causes",
                s.runs, s.violations, s.vacuous, s.nondeterministic, s.causes
            ),
            format!("repeated in another process: {} of {}, equal: {}", s.reruns, s.runs, s.reruns_equal),
            format!("faults: {}", list(&self.faults)),
            format!("marks (seeds): {}", list(&self.marks)),
            format!(
                "excused (share of seeds): {}",
                if excused.is_empty() { "none".into() } else { excused.join(", ") }
            ),
            format!(
                "{} events/s and core, {} simulated s per wall s and core, {} seeds/h",
                s.events_per_second_and_core, s.sim_seconds_per_second_and_core, s.seeds_per_hour,
            ),
            format!(
                "{} events and {} simulated s per CPU second, {} s CPU, peak RSS of a worker {} MB",
                s.events_per_cpu_second,
                s.sim_seconds_per_cpu_second,
                s.cpu_ms / 1000,
                s.peak_rss_kb / 1024
            ),
        ];
        for slug in self.over_excused() {
            lines.push(format!(
                "FAIL more than {EXCUSED_PERCENT_MAX} % of the seeds were excused from {slug}"
            ));
        }
        lines.join("\n")
    }
}
