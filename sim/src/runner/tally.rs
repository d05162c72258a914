//! The sums of a session of many runs: verdicts, causes, excused shares, repeats, speed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use seedlog::marks::Mark;
use serde::Serialize;

use super::Exit;
use super::ambiguous::Ambiguous;
use super::atlas::Atlas;
use super::biting::Biting;
use super::excused::Excuses;
use super::exercised::Exercised;
use super::groups::{GroupLine, Groups};
use super::pool::Done;
use super::work::Work;
use crate::report::{Excused, Outcome, Verdict};

pub struct Tally {
    started: Instant,
    jobs: usize,
    /// Whether what proves too little is a failure: of a sweep, not of a few scenarios.
    is_sweep: bool,
    /// Marks that some run must have met.
    must_meet: Vec<Mark>,
    pub runs: u64,
    /// Failed and not known.
    pub failed: u64,
    known: u64,
    cached: u64,
    nondeterministic: u64,
    violations: u64,
    vacuous: u64,
    reruns: u64,
    pub events: u64,
    sim_ms: u64,
    work: Work,
    pub cpu_ms: u64,
    peak_rss_kb: u64,
    /// The first run after which a worker had its peak.
    peak_rss_seed: Option<u64>,
    faults: BTreeMap<String, u64>,
    atlas: Atlas,
    marks: BTreeMap<String, u64>,
    /// Runs by check for which something was excused.
    excused: Excuses,
    /// Likewise, what looked like a failure and was none.
    explained: BTreeMap<String, u64>,
    /// Likewise, what was there to judge.
    exercised: Exercised,
    biting: Biting,
    ambiguous: Ambiguous,
    /// The first failure of each cause, and how many there were.
    causes: Groups,
    /// Likewise, of those that `known.toml` knows.
    known_causes: Groups,
    scenarios: BTreeMap<String, Sums>,
}

/// What became of the runs of one scenario. Those that failed as known are counted apart.
#[derive(Debug, Default)]
pub struct Sums {
    pub outcomes: BTreeMap<Outcome, u64>,
    pub known: u64,
    pub cached: u64,
}

/// The last line of `--json`.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    summary: bool,
    runs: u64,
    violations: u64,
    vacuous: u64,
    nondeterministic: u64,
    known: u64,
    cached: u64,
    causes: usize,
    groups: Vec<GroupLine<'a>>,
    reruns: u64,
    reruns_equal: u64,
    excused: &'a Excuses,
    explained: &'a BTreeMap<String, u64>,
    /// Runs by check that it applies to, and those that gave it something to compare.
    exercised: &'a Exercised,
    /// What drawn faults did, by kind.
    biting: &'a Biting,
    /// Runs with a send whose fate nobody knows.
    ambiguous: Ambiguous,
    /// What the sweep proves too little of.
    too_little: Vec<String>,
    faults: &'a BTreeMap<String, u64>,
    /// Seeds and times by kind of fault.
    atlas: &'a Atlas,
    /// Kinds of faults that fired in no run.
    never_fired: Vec<&'static str>,
    marks: &'a BTreeMap<String, u64>,
    /// Of `marks`, those that had to be met and were not.
    unmet: Vec<&'a str>,
    wall_ms: u64,
    cpu_ms: u64,
    events: u64,
    sim_ms: u64,
    work: Work,
    events_per_second_and_core: u64,
    sim_seconds_per_second_and_core: u64,
    /// Of the workers' CPU time: what the machine's other work does not disturb.
    sim_seconds_per_cpu_second: u64,
    events_per_cpu_second: u64,
    seeds_per_hour: u64,
    peak_rss_kb: u64,
    peak_rss_seed: Option<u64>,
}

impl Tally {
    /// Sums of a sweep, or of scenarios.
    pub fn new(jobs: usize, is_sweep: bool, must_meet: &[Mark]) -> Tally {
        Tally {
            started: Instant::now(),
            jobs: jobs.max(1),
            is_sweep,
            must_meet: must_meet.to_vec(),
            runs: 0,
            failed: 0,
            known: 0,
            cached: 0,
            nondeterministic: 0,
            violations: 0,
            vacuous: 0,
            reruns: 0,
            events: 0,
            sim_ms: 0,
            work: Work::default(),
            cpu_ms: 0,
            peak_rss_kb: 0,
            peak_rss_seed: None,
            faults: BTreeMap::new(),
            atlas: Atlas::default(),
            // A sweep is asked for each of them; a story meets what it tells of.
            marks: Mark::ALL.iter().filter(|_| is_sweep).map(|mark| (mark.slug().to_owned(), 0)).collect(),
            excused: Excuses::default(),
            explained: BTreeMap::new(),
            exercised: Exercised::default(),
            biting: Biting::default(),
            ambiguous: Ambiguous::default(),
            causes: Groups::default(),
            known_causes: Groups::default(),
            scenarios: BTreeMap::new(),
        }
    }

    pub fn take(&mut self, done: &Done) {
        let verdict = &done.verdict;
        self.runs += 1;
        self.reruns += u64::from(done.rerun);
        self.events += done.events;
        self.sim_ms += done.sim_ms;
        // Like its events: a run that was repeated did its work twice, one from the cache none.
        let times = if verdict.cached { 0 } else { 1 + u64::from(done.rerun) };
        (0..times).for_each(|_| self.work.take(verdict));
        self.cpu_ms += done.cpu_ms;
        if done.peak_rss_kb > self.peak_rss_kb {
            (self.peak_rss_kb, self.peak_rss_seed) = (done.peak_rss_kb, Some(verdict.seed));
        }
        self.cached += u64::from(verdict.cached);
        self.take_outcome(verdict);
        self.atlas.take(verdict);
        for (kind, count) in &verdict.faults {
            *self.faults.entry(kind.clone()).or_default() += count;
        }
        for mark in &verdict.marks {
            *self.marks.entry(mark.clone()).or_default() += 1;
        }
        self.excused.take(verdict);
        count_checks(&mut self.explained, &verdict.explained);
        self.exercised.take(verdict);
        self.biting.take(verdict);
        self.ambiguous.take(verdict);
    }

    fn take_outcome(&mut self, verdict: &Verdict) {
        let sums = self.scenarios.entry(verdict.scenario.clone()).or_default();
        sums.cached += u64::from(verdict.cached);
        if verdict.known.is_some() {
            self.known += 1;
            sums.known += 1;
            self.known_causes.take(verdict);
            return;
        }
        *sums.outcomes.entry(verdict.verdict).or_default() += 1;
        match verdict.verdict {
            Outcome::Pass => return,
            Outcome::Vacuous => self.vacuous += 1,
            Outcome::Violation => self.violations += 1,
            Outcome::Nondeterministic => self.nondeterministic += 1,
        }
        self.failed += 1;
        self.causes.take(verdict);
    }

    /// One failure of each cause, with how many runs failed alike.
    pub fn causes(&self) -> impl Iterator<Item = (&Verdict, u64)> {
        self.causes.firsts()
    }

    /// The first failure of each cause, to add what was found out about it.
    pub fn causes_mut(&mut self) -> impl Iterator<Item = &mut Verdict> {
        self.causes.firsts_mut()
    }

    /// Makes causes one of which has been found out that they are.
    pub fn merge_causes(&mut self) {
        self.causes.merge();
    }

    /// How else failures of the cause are told whose first one this is.
    pub fn also(&self, first: &Verdict) -> impl Iterator<Item = &str> {
        self.causes.also(first)
    }

    /// The first failure of each cause that is known, and how many there were.
    pub fn known_causes(&self) -> impl Iterator<Item = (&Verdict, u64)> {
        self.known_causes.firsts()
    }

    pub fn scenarios(&self) -> &BTreeMap<String, Sums> {
        &self.scenarios
    }

    /// Seeds by mark; of a sweep, every mark that there is.
    pub fn marks(&self) -> &BTreeMap<String, u64> {
        &self.marks
    }

    /// How long the session has taken.
    pub fn wall(&self) -> Duration {
        self.started.elapsed()
    }

    pub fn fails(&self) -> bool {
        self.exit(false) != Exit::Pass
    }

    pub fn exit(&self, ran_out_of_time: bool) -> Exit {
        let proves_too_little = !self.unmet().is_empty() || !self.too_little().is_empty();
        match () {
            () if self.nondeterministic > 0 => Exit::Nondeterminism,
            () if self.violations > 0 || proves_too_little => Exit::Violation,
            () if self.vacuous > 0 => Exit::Vacuous,
            () if ran_out_of_time => Exit::TimeBudget,
            () => Exit::Pass,
        }
    }

    /// Checks that too many runs were excused from, or too few gave something to compare, faults that did nothing, and sends
    /// whose fate is known.
    fn too_little(&self) -> Vec<String> {
        if !self.is_sweep {
            return Vec::new();
        }
        let shares = self.excused.objections(self.runs).into_iter();
        let shares = shares.chain(self.exercised.objections(self.runs));
        shares.chain(self.biting.objection(self.runs)).chain(self.ambiguous.objection()).collect()
    }

    /// Marks that had to be met and were not.
    fn unmet(&self) -> Vec<Mark> {
        let is_unmet = |mark: &Mark| self.marks.get(mark.slug()).is_none_or(|seeds| *seeds == 0);
        self.must_meet.iter().copied().filter(is_unmet).collect()
    }

    /// A table of a sweep's faults, a line of a few scenarios'.
    fn faults_text(&self) -> String {
        if self.is_sweep {
            return self.atlas.text();
        }
        format!("faults: {}", listed(self.faults.iter().map(|(kind, count)| format!("{kind} {count}"))))
    }

    /// For every check that excused something: in how many of the seeds, in budget and beyond it.
    pub fn excused_shares(&self) -> String {
        self.excused.text(self.runs)
    }

    fn shares(&self, by_check: &BTreeMap<String, u64>) -> String {
        let share = |runs: &u64| *runs as f64 * 100.0 / self.runs.max(1) as f64;
        listed(by_check.iter().map(|(slug, runs)| format!("{slug} {:.1} %", share(runs))))
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
            known: self.known,
            cached: self.cached,
            causes: self.causes.count(),
            groups: self.causes.lines(),
            reruns: self.reruns,
            reruns_equal: self.reruns - self.nondeterministic,
            excused: &self.excused,
            explained: &self.explained,
            exercised: &self.exercised,
            biting: &self.biting,
            ambiguous: self.ambiguous,
            too_little: self.too_little(),
            faults: &self.faults,
            atlas: &self.atlas,
            never_fired: self.atlas.never(),
            marks: &self.marks,
            unmet: self.unmet().into_iter().map(Mark::slug).collect(),
            wall_ms: wall.as_millis() as u64,
            cpu_ms: self.cpu_ms,
            events: self.events,
            sim_ms: self.sim_ms,
            work: self.work,
            events_per_second_and_core: self.events * 1000 / core_ms,
            sim_seconds_per_second_and_core: self.sim_ms / core_ms,
            sim_seconds_per_cpu_second: self.sim_ms / self.cpu_ms.max(1),
            events_per_cpu_second: self.events * 1000 / self.cpu_ms.max(1),
            seeds_per_hour: self.runs * 3_600_000 / (wall.as_millis() as u64).max(1),
            peak_rss_kb: self.peak_rss_kb,
            peak_rss_seed: self.peak_rss_seed,
        }
    }

    pub fn json(&self) -> String {
        serde_json::to_string(&self.summary()).expect("a summary is plain data")
    }

    pub fn text(&self) -> String {
        let s = self.summary();
        let met = |(name, n): (&String, &u64)| (*n > 0).then(|| format!("{name} {n}"));
        let never = |(name, n): (&String, &u64)| (*n == 0).then(|| name.clone());
        let mut lines = vec![
            format!(
                "{} runs: {} violations, {} vacuous, {} not repeatable; {} causes",
                s.runs, s.violations, s.vacuous, s.nondeterministic, s.causes
            ),
            format!("repeated in another process: {} of {}, equal: {}", s.reruns, s.runs, s.reruns_equal),
            self.faults_text(),
            format!("marks (seeds): {}", listed(self.marks.iter().filter_map(met))),
        ];
        if self.marks.values().any(|seeds| *seeds == 0) {
            lines.push(format!("marks NEVER met: {}", listed(self.marks.iter().filter_map(never))));
        }
        lines.push(format!("excused (share of seeds): {}", self.excused_shares()));
        lines.push(format!("explained (share of seeds): {}", self.shares(&self.explained)));
        lines.push(format!("exercised (share of the seeds with the feature): {}", self.exercised.text()));
        if self.is_sweep {
            lines.push(format!("biting (share of the drawn faults): {}", self.biting.text()));
            lines.push(format!("faults of clocks (share of those that bit): {}", self.biting.clocks()));
            let ambiguous = self.ambiguous.text();
            lines
                .extend(ambiguous.map(|share| format!("ambiguous sends (share of seeds with one): {share}")));
        }
        if self.known > 0 {
            lines.push(format!("failed as known: {}", self.known));
        }
        if self.cached > 0 {
            lines.push(format!("passes from the cache: {} (--no-cache runs them again)", self.cached));
        }
        lines.extend(speed(&s));
        lines.extend(s.too_little.iter().map(|objection| format!("FAIL {objection}")));
        for mark in self.unmet() {
            let summary = mark.summary().trim();
            lines.push(format!("FAIL no seed met the mark {}: {summary}", mark.slug()));
        }
        lines.join("\n")
    }
}

fn speed(s: &Summary<'_>) -> [String; 3] {
    [
        format!(
            "{} events/s and core, {} simulated s per wall s and core, {} seeds/h",
            s.events_per_second_and_core, s.sim_seconds_per_second_and_core, s.seeds_per_hour,
        ),
        format!(
            "{} events and {} simulated s per CPU second, {} s CPU, peak RSS of a worker {} MB{}",
            s.events_per_cpu_second,
            s.sim_seconds_per_cpu_second,
            s.cpu_ms / 1000,
            s.peak_rss_kb / 1024,
            s.peak_rss_seed.map_or_else(String::new, |seed| format!(" (seed {seed})"))
        ),
        s.work.text(s.cpu_ms),
    ]
}

pub(super) fn listed(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

/// One run more for every check that is named.
fn count_checks(by_check: &mut BTreeMap<String, u64>, counted: &[Excused]) {
    let slugs: BTreeSet<&String> = counted.iter().map(|excused| &excused.slug).collect();
    for slug in slugs {
        *by_check.entry(slug.clone()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Breakdown;

    fn taken(must_meet: &[Mark], verdicts: impl IntoIterator<Item = Verdict>) -> Tally {
        let mut tally = Tally::new(1, true, must_meet);
        verdicts.into_iter().for_each(|verdict| tally.take(&Done::of(verdict)));
        tally
    }

    fn failed(seed: u64) -> Verdict {
        Verdict::of_breakdown("sweep", seed, &[], Breakdown::Panic.violation("gone"))
    }

    #[test]
    fn a_sweep_names_every_mark_that_no_seed_met() {
        let met = Verdict { marks: vec!["torn-tail-cut".into()], ..Verdict::empty("sweep", 1) };
        let tally = taken(&[], [met, Verdict::empty("sweep", 2)]);
        assert_eq!(tally.marks().len(), Mark::ALL.len());
        assert!(tally.text().contains("marks (seeds): torn-tail-cut 1\n"), "{}", tally.text());
        assert!(tally.text().contains("marks NEVER met: "), "{}", tally.text());
        assert_eq!(tally.exit(false), Exit::Pass);
        let json: serde_json::Value = serde_json::from_str(&tally.json()).unwrap();
        assert_eq!(json["marks"]["torn-tail-cut"], 1);
        assert_eq!(json["marks"]["session-expired-twice"], 0);
    }

    #[test]
    fn a_mark_that_had_to_be_met_and_was_not_fails_the_sweep_by_name() {
        let met = Verdict { marks: vec!["torn-tail-cut".into()], ..Verdict::empty("sweep", 1) };
        let tally = taken(&[Mark::TornTailCut, Mark::SessionExpiredTwice], [met]);
        assert_eq!(tally.exit(false), Exit::Violation);
        assert!(
            tally.text().contains("FAIL no seed met the mark session-expired-twice: "),
            "{}",
            tally.text()
        );
        assert!(!tally.text().contains("FAIL no seed met the mark torn-tail-cut"), "{}", tally.text());
    }

    fn exercised(check: &str, seeds: u64, of: u64) -> Tally {
        let verdict = |seed| {
            let exercised = [(check.to_owned(), u64::from(seed < seeds))].into();
            Verdict { exercised, ..Verdict::empty("story", seed) }
        };
        taken(&[], (0..of).map(verdict))
    }

    #[test]
    fn a_sweep_in_which_a_check_had_too_little_to_compare_fails_and_names_it() {
        let tally = exercised("fair-share", 99, 200);
        assert_eq!(tally.exit(false), Exit::Violation);
        let share =
            "fair-share compared something in 49.5 % of the 200 seeds that it applies to, not in 50 %";
        assert!(tally.text().contains(&format!("FAIL {share}")), "{}", tally.text());
        assert!(tally.text().contains("feature): fair-share 49.5 % of 200\n"), "{}", tally.text());
        let json: serde_json::Value = serde_json::from_str(&tally.json()).unwrap();
        assert_eq!(json["exercised"]["fair-share"]["exercised"], 99);
        assert_eq!(json["too_little"][0], share);
    }

    #[test]
    fn a_share_that_suffices_passes_and_so_does_a_sweep_too_small_to_tell() {
        assert_eq!(exercised("fair-share", 100, 200).exit(false), Exit::Pass);
        assert_eq!(exercised("fair-share", 0, 199).exit(false), Exit::Pass);
        assert_eq!(exercised("skip", 40, 200).exit(false), Exit::Pass);
        assert_eq!(exercised("skip", 39, 200).exit(false), Exit::Violation);
    }

    #[test]
    fn known_failures_do_not_fail_and_are_counted_apart() {
        let known = Verdict { known: Some("#12".into()), ..failed(7) };
        let tally = taken(&[], [Verdict::empty("sweep", 1), known.clone()]);
        assert_eq!((tally.exit(false), tally.failed, tally.causes().count()), (Exit::Pass, 0, 0));
        assert_eq!(tally.known_causes().count(), 1);
        assert!(tally.text().contains("failed as known: 1"), "{}", tally.text());
        assert_eq!(taken(&[], [known, failed(8)]).exit(false), Exit::Violation);
    }
}
