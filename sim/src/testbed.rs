//! Many seeds of one scenario, run in this very process with applications of yours: what a crate outside of this
//! repository calls from its `main` or its tests.
//!
//! The command `cargo sim` runs seeds in processes of their own and survives what aborts or hangs; this does not.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use anyhow::bail;
use seedlog::facts::Fact;
use seedlog::types::{Offset, TopicPartition};

use crate::app::{Application, Applications};
use crate::checkers::{Case, LostRecord, lost_records};
use crate::history::{Entry, What};
use crate::phases::{self, Run, RunOptions};
use crate::report::{Outcome, Verdict};
use crate::runner::EVENT_LIMIT;
use crate::scenario::{Plan, Scenario, library};

/// Seeds to run, and with what.
///
/// ```no_run
/// use seedlog_sim::app::AppContext;
/// use seedlog_sim::testbed::Sweep;
///
/// async fn billing(context: AppContext) -> anyhow::Result<()> {
///     context.asked_to_leave().await;
///     Ok(())
/// }
///
/// # fn main() -> anyhow::Result<()> {
/// let report = Sweep::of_file("billing.toml")?.application("billing", billing).seeds(0..200).run()?;
/// println!("{report}");
/// assert_eq!(report.lost_records(), 0);
/// # Ok(())
/// # }
/// ```
pub struct Sweep {
    scenario: Scenario,
    applications: Applications,
    registered: Vec<String>,
    seeds: Range<u64>,
    threads: usize,
}

/// What came of a sweep.
#[derive(Clone, Debug)]
pub struct Report {
    pub scenario: String,
    pub seeds: u64,
    /// Records that a broker acknowledged.
    pub acked: u64,
    /// Faults injected, by kind.
    pub faults: BTreeMap<String, u64>,
    pub groups: BTreeMap<String, GroupReport>,
    /// Verdicts of the seeds that did not pass, in the order of the seeds.
    pub failures: Vec<Verdict>,
}

/// What one group's application did, over all seeds.
#[derive(Clone, Debug, Default)]
pub struct GroupReport {
    /// Different records that it processed.
    pub processed: u64,
    /// Times that it processed a record that it had processed before.
    pub processed_again: u64,
    /// Times that it was given a record that it had been given before.
    pub redelivered: u64,
    /// Acknowledged records that it left behind and never processed; what the run's damage excuses is not counted.
    pub lost_records: u64,
    pub seeds_with_loss: u64,
    /// Some of the lost records, with their seeds.
    pub examples: Vec<(u64, LostRecord)>,
}

/// Lost records that a report names.
const EXAMPLES_MAX: usize = 10;

impl Sweep {
    /// Of a scenario file.
    pub fn of_file(path: impl AsRef<Path>) -> anyhow::Result<Sweep> {
        Ok(Sweep::of(library::load_file(path.as_ref())?))
    }

    /// Of a scenario as the file `NAME.toml` would tell it.
    pub fn of_text(name: &str, text: &str) -> anyhow::Result<Sweep> {
        Ok(Sweep::of(Scenario::parse(name, &format!("{name}.toml"), text)?))
    }

    /// Of a scenario that was read already; runs the seeds that it names.
    pub fn of(scenario: Scenario) -> Sweep {
        let seeds = scenario.seeds.range();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Sweep { scenario, applications: Applications::default(), registered: Vec::new(), seeds, threads }
    }

    /// The members of the group `name`, and of groups that say `application = "NAME"`, run `application`.
    pub fn application(mut self, name: &str, application: impl Application) -> Sweep {
        self.applications.insert(name, application);
        self.registered.push(name.to_owned());
        self
    }

    pub fn seeds(mut self, seeds: Range<u64>) -> Sweep {
        self.seeds = seeds;
        self
    }

    /// Seeds at a time; one a core unless said otherwise.
    pub fn threads(mut self, threads: usize) -> Sweep {
        self.threads = threads.max(1);
        self
    }

    /// Runs one seed and keeps everything that is left of it.
    pub fn run_seed(&self, seed: u64) -> Run {
        let options = RunOptions { without: Vec::new(), keep_trace: false, event_limit: EVENT_LIMIT };
        phases::run_seed_with(&self.scenario, seed, &options, &self.applications)
    }

    /// Runs every seed. An error says what is wrong with the sweep itself: failures are in the report.
    pub fn run(&self) -> anyhow::Result<Report> {
        self.check()?;
        let next = AtomicU64::new(self.seeds.start);
        let (told, results) = mpsc::sync_channel(self.threads);
        let mut done: BTreeMap<u64, SeedReport> = BTreeMap::new();
        std::thread::scope(|scope| {
            for _ in 0..self.threads {
                let told = told.clone();
                scope.spawn(|| self.run_seeds(&next, told));
            }
            drop(told);
            done.extend(results);
        });
        let mut report = Report::new(&self.scenario);
        done.into_iter().for_each(|(seed, seed_report)| report.take(seed, seed_report));
        Ok(report)
    }

    fn run_seeds(&self, next: &AtomicU64, told: mpsc::SyncSender<(u64, SeedReport)>) {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.seeds.end {
                return;
            }
            let run = self.run_seed(seed);
            let report = SeedReport::of(&Plan::new(&self.scenario, seed), run);
            if told.send((seed, report)).is_err() {
                return;
            }
        }
    }

    fn check(&self) -> anyhow::Result<()> {
        let groups = &self.scenario.groups;
        for (name, group) in groups {
            self.applications.of(name, group.application.as_deref()).map_err(anyhow::Error::msg)?;
        }
        let is_used = |name: &String| {
            groups.contains_key(name) || groups.values().any(|g| g.application.as_ref() == Some(name))
        };
        if let Some(name) = self.registered.iter().find(|name| !is_used(name)) {
            let there: Vec<&str> = groups.keys().map(String::as_str).collect();
            bail!("no group runs the application `{name}`; the scenario's groups: {}", there.join(", "));
        }
        if self.seeds.is_empty() {
            bail!("there is no seed to run");
        }
        Ok(())
    }
}

/// What came of one seed.
struct SeedReport {
    verdict: Verdict,
    groups: BTreeMap<String, GroupReport>,
    lost: Vec<LostRecord>,
}

impl SeedReport {
    fn of(plan: &Plan, run: Run) -> SeedReport {
        let terms = plan.terms();
        let mut lost = lost_records(&Case::new(&run.history, &terms));
        lost.retain(|lost| lost.excuse.is_none());
        SeedReport { groups: count_work(plan, &run.history), lost, verdict: run.verdict }
    }
}

/// How often members of each group were given, and processed, each record.
fn count_work(plan: &Plan, history: &[Entry]) -> BTreeMap<String, GroupReport> {
    let mut groups: BTreeMap<String, GroupReport> =
        plan.groups.keys().map(|name| (name.clone(), GroupReport::default())).collect();
    let group_of: HashMap<&str, &str> = plan
        .groups
        .iter()
        .flat_map(|(name, group)| group.members.keys().map(|member| (member.as_str(), name.as_str())))
        .collect();
    let mut delivered: HashMap<(&str, &TopicPartition, Offset), u64> = HashMap::new();
    let mut processed: HashMap<(&str, &TopicPartition, Offset), u64> = HashMap::new();
    for entry in history {
        let Some(&group) = group_of.get(&*entry.node) else { continue };
        match &entry.what {
            What::Fact(Fact::Delivered { partition, offset, .. }) => {
                *delivered.entry((group, partition, *offset)).or_default() += 1;
            }
            What::Fact(Fact::Processed { partition, offset, .. }) => {
                *processed.entry((group, partition, *offset)).or_default() += 1;
            }
            _ => {}
        }
    }
    for ((group, _, _), times) in delivered {
        groups.get_mut(group).expect("of the plan").redelivered += times - 1;
    }
    for ((group, _, _), times) in processed {
        let report = groups.get_mut(group).expect("of the plan");
        report.processed += 1;
        report.processed_again += times - 1;
    }
    groups
}

impl Report {
    fn new(scenario: &Scenario) -> Report {
        let groups = scenario.groups.keys().map(|name| (name.clone(), GroupReport::default()));
        Report {
            scenario: scenario.name.clone(),
            seeds: 0,
            acked: 0,
            faults: BTreeMap::new(),
            groups: groups.collect(),
            failures: Vec::new(),
        }
    }

    /// Acknowledged records that some group never processed, over all groups and seeds.
    pub fn lost_records(&self) -> u64 {
        self.groups.values().map(|group| group.lost_records).sum()
    }

    /// Times that some group was given a record again.
    pub fn redelivered(&self) -> u64 {
        self.groups.values().map(|group| group.redelivered).sum()
    }

    fn take(&mut self, seed: u64, done: SeedReport) {
        self.seeds += 1;
        self.acked += done.verdict.acked;
        for (kind, count) in &done.verdict.faults {
            *self.faults.entry(kind.clone()).or_default() += count;
        }
        for (name, group) in done.groups {
            let sum = self.groups.entry(name.clone()).or_default();
            let lost = done.lost.iter().filter(|lost| lost.group == name);
            sum.lost_records += lost.clone().count() as u64;
            sum.seeds_with_loss += u64::from(lost.clone().next().is_some());
            let room = EXAMPLES_MAX - sum.examples.len();
            sum.examples.extend(lost.take(room).map(|lost| (seed, lost.clone())));
            sum.processed += group.processed;
            sum.processed_again += group.processed_again;
            sum.redelivered += group.redelivered;
        }
        if done.verdict.verdict != Outcome::Pass {
            self.failures.push(done.verdict);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: u64 = self.faults.values().sum();
        writeln!(
            f,
            "{}: {} seeds, {} records acked, {faults} faults",
            self.scenario, self.seeds, self.acked
        )?;
        for (name, group) in &self.groups {
            writeln!(
                f,
                "  {name} processed {} records, {} times one again, and lost {} in {} of {} seeds",
                group.processed, group.processed_again, group.lost_records, group.seeds_with_loss, self.seeds
            )?;
            for (seed, lost) in &group.examples {
                writeln!(f, "    seed {seed}: {}@{} {:?}", lost.partition, lost.offset, lost.label)?;
            }
        }
        for verdict in &self.failures {
            writeln!(f, "  seed {} did not pass: {}", verdict.seed, verdict.cause())?;
        }
        Ok(())
    }
}
