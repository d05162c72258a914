//! `run` and `sweep`: many seeds of some scenarios, told as they come and summed up in the end.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::time::Instant;

use anyhow::Context;

use super::cache::Cache;
use super::calendar::Day;
use super::console::tell;
use super::junit::Junit;
use super::known::{Known, Remark};
use super::necessity;
use super::picture;
use super::pool::{self, Done, Task};
use super::progress::Progress;
use super::shard::Shard;
use super::tally::Tally;
use super::token;
use super::worker::{Job, Keep};
use super::{Exit, Settings};
use crate::report::{self, Outcome, RunFolder, Verdict};
use crate::scenario::Scenario;
use crate::workspace::shown;

/// Seeds of one scenario.
pub struct Portion {
    pub scenario: Scenario,
    pub seeds: Range<u64>,
}

/// What a session tells besides the failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// A line a scenario: these are scenarios.
    Stories,
    /// Sums and speed: this is a sweep.
    Sums,
}

/// Runs every portion and tells the results on stdout.
pub fn run(portions: &[Portion], settings: &Settings, keep: Keep, telling: Telling) -> anyhow::Result<Exit> {
    let total = portions.iter().map(Portion::runs).fold(0, u64::saturating_add);
    let share = settings.shard.share_of(total);
    let mut session = Session {
        tally: Tally::new(settings.jobs, telling == Telling::Sums, &settings.must_meet),
        progress: Progress::new(settings.time_budget.is_none().then_some(share)),
        settings,
        told: BTreeMap::new(),
        junit: Junit::default(),
        known: settings.known.clone(),
        today: Day::today(),
        cache: settings.cached.then(|| Cache::of_this_program(&report::sim_folder())).transpose()?,
        portions,
    };
    let deadline = settings.time_budget.map(|budget| Instant::now() + budget);
    let is_in_time = || deadline.is_none_or(|deadline| Instant::now() < deadline);
    let cached = session.cached_passes();
    let (mut left_out, mut is_over) = (false, false);
    for verdict in cached_here(portions, &cached, settings.shard) {
        is_over |= session.take(Done::of(verdict.clone())).is_break();
    }
    let tasks = places(portions).filter(|(place, _, _)| settings.shard.takes(*place));
    let tasks =
        tasks.filter(|(_, nth, seed)| !cached.get(*nth).is_some_and(|passes| passes.contains_key(seed)));
    let tasks = tasks.map_while(|(_, nth, seed)| {
        left_out |= !is_in_time();
        (!left_out).then(|| task(&portions[nth].scenario, seed, settings, keep))
    });
    if !is_over {
        pool::run_all(tasks, settings.jobs, settings.wall_limit, |done| session.take(done))?;
    }
    session.finish(telling)?;
    Ok(session.tally.exit(left_out))
}

impl Portion {
    fn runs(&self) -> u64 {
        self.seeds.end.saturating_sub(self.seeds.start)
    }
}

/// The cached passes that are this shard's. Starts from what is cached: a session may have more seeds than can be
/// counted up to.
fn cached_here<'a>(
    portions: &'a [Portion],
    cached: &'a [BTreeMap<u64, Verdict>],
    shard: Shard,
) -> impl Iterator<Item = &'a Verdict> {
    let firsts = portions.iter().scan(0_u64, |next, portion| {
        let first = *next;
        *next = next.saturating_add(portion.runs());
        Some(first)
    });
    portions.iter().zip(firsts).zip(cached).flat_map(move |((portion, first), passes)| {
        let here = passes.range(portion.seeds.clone());
        let here = here.filter(move |(seed, _)| shard.takes(first + (*seed - portion.seeds.start)));
        here.map(|(_, verdict)| verdict)
    })
}

/// Every run: its place in the session, which portion it belongs to, and its seed.
fn places(portions: &[Portion]) -> impl Iterator<Item = (u64, usize, u64)> + Send {
    let runs = portions
        .iter()
        .enumerate()
        .flat_map(|(nth, portion)| portion.seeds.clone().map(move |seed| (nth, seed)));
    (0..).zip(runs).map(|(place, (nth, seed))| (place, nth, seed))
}

fn task(scenario: &Scenario, seed: u64, settings: &Settings, keep: Keep) -> Task {
    Task {
        job: Job::new(scenario, seed, &settings.without, keep),
        rerun: is_repeated(seed, settings.rerun_percent),
    }
}

/// Spreads the repeats evenly over the seeds.
fn is_repeated(seed: u64, percent: u64) -> bool {
    (seed.wrapping_add(1)).wrapping_mul(percent) / 100 != seed.wrapping_mul(percent) / 100
}

struct Session<'a> {
    tally: Tally,
    progress: Progress,
    settings: &'a Settings,
    /// The verdicts by scenario, for the line that sums a story up.
    told: BTreeMap<String, Vec<Verdict>>,
    junit: Junit,
    known: Known,
    today: Day,
    cache: Option<Cache>,
    portions: &'a [Portion],
}

/// Verdicts remembered for summing up; a sweep has its tally.
const VERDICTS_KEPT_MAX: usize = 100_000;

impl Session<'_> {
    /// Passes that need no run, by portion and seed.
    fn cached_passes(&self) -> Vec<BTreeMap<u64, Verdict>> {
        let Some(cache) = &self.cache else { return Vec::new() };
        let passes = |portion: &Portion| {
            let (passes, warning) = cache.passes(&portion.scenario, &self.settings.without);
            if let Some(warning) = warning {
                eprintln!("warning: cache: {warning}");
            }
            passes
        };
        self.portions.iter().map(passes).collect()
    }

    fn take(&mut self, done: Done) -> ControlFlow<()> {
        let mut done = done;
        done.verdict.known = self.known.look_up(&done.verdict, self.today);
        self.keep_pass(&done.verdict);
        if self.settings.junit.is_some() {
            self.junit.take(&done.verdict);
        }
        let is_new_cause = {
            let before = self.tally.causes().count();
            self.tally.take(&done);
            self.tally.causes().count() > before
        };
        let verdict = done.verdict;
        if self.settings.json {
            self.progress.clear();
            tell(&serde_json::to_string(&verdict).expect("a verdict is plain data"));
        } else if is_new_cause {
            // The full story comes in the end, with how many runs failed alike.
            self.progress.clear();
            let replay = token::replay_line(&verdict);
            eprintln!("{}: {}; {replay}", verdict.scenario, verdict.cause());
        }
        let told = self.told.entry(verdict.scenario.clone()).or_default();
        if told.len() < VERDICTS_KEPT_MAX {
            told.push(verdict);
        }
        self.progress.update(self.tally.runs, self.tally.failed, self.tally.events);
        if self.tally.failed >= self.settings.failures_max {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// A cache that cannot be written costs time, not the session.
    fn keep_pass(&mut self, verdict: &Verdict) {
        let portion = self.portions.iter().find(|portion| portion.scenario.name == verdict.scenario);
        let (Some(cache), Some(portion)) = (&self.cache, portion) else { return };
        if let Err(error) = cache.keep(&portion.scenario, &self.settings.without, verdict) {
            eprintln!("warning: cache: {error}; passes are not kept");
            self.cache = None;
        }
    }

    fn finish(&mut self, telling: Telling) -> anyhow::Result<()> {
        self.progress.clear();
        self.find_necessary_faults();
        let remarks = self.known.remarks(self.today);
        for Remark { line, text } in &remarks {
            eprintln!("warning: {}:{line}: {text}", self.known.file());
        }
        if let Some(path) = &self.settings.junit {
            let written = std::fs::write(path, self.junit.xml(self.tally.wall()));
            written.with_context(|| format!("cannot write {}", path.display()))?;
        }
        if let Some(step) = &self.settings.step {
            step.tell(&self.tally, self.known.file(), &remarks)?;
        }
        if self.settings.json {
            tell(&self.tally.json());
            return Ok(());
        }
        self.tell_causes();
        if telling == Telling::Stories {
            for portion in self.portions {
                self.tell_story(&portion.scenario.name);
            }
        }
        tell(&self.tally.text());
        Ok(())
    }

    fn tell_causes(&self) {
        let causes = self.tally.causes().count();
        for (verdict, count) in self.tally.causes() {
            let plural = if causes == 1 { "cause" } else { "causes" };
            let group = format!("[{count} of {} seeds, {causes} {plural}]", self.tally.runs);
            let mut text = report::failure(verdict, &group);
            for shape in self.tally.also(verdict) {
                text.push_str(&format!("  of the same cause: {shape}\n"));
            }
            tell(&text);
        }
        for (verdict, count) in self.tally.known_causes() {
            let replay = token::replay_line(verdict);
            let issue = verdict.known.as_deref().unwrap_or_default();
            let cause = verdict.cause();
            tell(&format!("KNOWN {}  {cause}: {issue}   [{count} seeds]  {replay}", verdict.scenario));
        }
    }

    /// Of the first failure of each cause, as far as a few seconds suffice. Causes that need the same become one.
    fn find_necessary_faults(&mut self) {
        for first in self.tally.causes_mut().take(necessity::CAUSES_IN_SWEEP_MAX) {
            let scenario = self.portions.iter().map(|p| &p.scenario).find(|s| s.name == first.scenario);
            first.necessary =
                scenario.and_then(|scenario| necessity::in_sweep(scenario, first, self.settings));
            let Some(necessary) = &first.necessary else { continue };
            let folder = report::seed_folder(&first.scenario, first.seed);
            if let Err(error) = picture::light(&folder, necessary) {
                let RunFolder(path) = &folder;
                eprintln!(
                    "warning: the necessary faults are not in the picture of {}: {error:#}",
                    shown(path)
                );
            }
        }
        self.tally.merge_causes();
    }

    fn tell_story(&self, name: &str) {
        let Some(verdicts) = self.told.get(name) else { return };
        let verdicts: Vec<&Verdict> = verdicts.iter().collect();
        let counting = verdicts.iter().filter(|verdict| verdict.known.is_none());
        let worst = counting.map(|verdict| verdict.verdict).max().unwrap_or(Outcome::Pass);
        let word = match worst {
            Outcome::Pass => "PASS",
            Outcome::Vacuous => "VACUOUS",
            Outcome::Violation => "FAIL",
            Outcome::Nondeterministic => "NONDETERMINISTIC",
        };
        tell(&format!("{word:<7} {}", report::sum_line(name, &verdicts)));
    }
}

#[cfg(test)]
mod tests {
    use super::is_repeated;

    #[test]
    fn repeats_are_spread_evenly() {
        let repeated = |percent| (0..1000).filter(|&seed| is_repeated(seed, percent)).count();
        assert_eq!(repeated(0), 0);
        assert_eq!(repeated(5), 50);
        assert_eq!(repeated(100), 1000);
    }
}
