//! `run` and `sweep`: many seeds of some scenarios, told as they come and summed up in the end.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::time::Instant;

use super::console::tell;
use super::pool::{self, Done, Task};
use super::progress::Progress;
use super::tally::Tally;
use super::token::Token;
use super::worker::{Job, Keep};
use super::{Exit, Settings};
use crate::report::{self, Outcome, Verdict};
use crate::scenario::Scenario;

/// Seeds of one scenario.
pub struct Portion {
    pub scenario: Scenario,
    pub seeds: Range<u64>,
}

/// What a session tells besides the failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// A line a scenario: these are stories.
    Stories,
    /// Sums and speed: this is a sweep.
    Sums,
}

/// Runs every portion and tells the results on stdout.
pub fn run(portions: &[Portion], settings: &Settings, keep: Keep, telling: Telling) -> anyhow::Result<Exit> {
    let total: u64 = portions.iter().map(|portion| portion.seeds.end - portion.seeds.start).sum();
    let mut session = Session {
        tally: Tally::new(settings.jobs, telling == Telling::Sums),
        progress: Progress::new(settings.time_budget.is_none().then_some(total)),
        settings,
        told: BTreeMap::new(),
    };
    let deadline = settings.time_budget.map(|budget| Instant::now() + budget);
    let is_in_time = || deadline.is_none_or(|deadline| Instant::now() < deadline);
    let mut left_out = false;
    let tasks = portions.iter().flat_map(|portion| tasks_of(portion, settings, keep));
    let tasks = tasks.map_while(|task| {
        left_out |= !is_in_time();
        (!left_out).then_some(task)
    });
    pool::run_all(tasks, settings.jobs, settings.wall_limit, |done| session.take(done))?;
    session.finish(portions, telling);
    Ok(session.tally.exit(left_out))
}

fn tasks_of<'a>(
    portion: &'a Portion,
    settings: &'a Settings,
    keep: Keep,
) -> impl Iterator<Item = Task> + use<'a> {
    portion.seeds.clone().map(move |seed| Task {
        job: Job::new(&portion.scenario, seed, &settings.without, keep),
        rerun: is_repeated(seed, settings.rerun_percent),
    })
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
}

/// Verdicts remembered for summing up; a sweep has its tally.
const VERDICTS_KEPT_MAX: usize = 100_000;

impl Session<'_> {
    fn take(&mut self, done: Done) -> ControlFlow<()> {
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
            let token = Token::here(&verdict.scenario, verdict.seed);
            eprintln!("{}: {}; cargo sim replay {token}", verdict.scenario, verdict.cause());
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

    fn finish(&self, portions: &[Portion], telling: Telling) {
        self.progress.clear();
        if self.settings.json {
            tell(&self.tally.json());
            return;
        }
        let causes = self.tally.causes().count();
        for (verdict, count) in self.tally.causes() {
            let token = Token::here(&verdict.scenario, verdict.seed);
            let plural = if causes == 1 { "cause" } else { "causes" };
            let group = format!("[{count} of {} seeds, {causes} {plural}]", self.tally.runs);
            tell(&report::failure(verdict, &group, &token));
        }
        if telling == Telling::Stories {
            for portion in portions {
                self.tell_story(&portion.scenario.name);
            }
        }
        tell(&self.tally.text());
    }

    fn tell_story(&self, name: &str) {
        let Some(verdicts) = self.told.get(name) else { return };
        let verdicts: Vec<&Verdict> = verdicts.iter().collect();
        let worst = verdicts.iter().map(|verdict| verdict.verdict).max().unwrap_or(Outcome::Pass);
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
