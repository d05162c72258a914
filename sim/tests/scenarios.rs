//! Every scenario file is a test of its name; every rule that a story says it needs is another; and so is
//! every golden hash.

use libtest_mimic::{Arguments, Failed, Trial};
use seedlog::rules::Rule;
use seedlog_sim::phases::{RunOptions, run_seed};
use seedlog_sim::report::{self, Outcome, Verdict};
use seedlog_sim::runner::EVENT_LIMIT;
use seedlog_sim::runner::golden::{self, Golden};
use seedlog_sim::scenario::{Library, Scenario};

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    let library = Library::load().expect("every scenario file can be read");
    for (path, scenario) in library.with_paths() {
        trials.extend(trials_of(path, scenario));
    }
    trials.extend(golden_trials());
    libtest_mimic::run(&arguments, trials).exit();
}

/// `path` is the story's folder and name, as `disk/slow_disk`.
fn trials_of(path: &str, scenario: &Scenario) -> Vec<Trial> {
    let story = scenario.clone();
    let mut trials = vec![Trial::test(format!("story::{path}"), move || holds(&story))];
    for without in &scenario.expect.without {
        let (story, rule, check) = (scenario.clone(), without.rule, without.violates.clone());
        let name = format!("story::{path}::needs::{rule}");
        trials.push(Trial::test(name, move || fails_without(&story, rule, &check)));
    }
    trials
}

fn run(scenario: &Scenario, seed: u64, without: &[Rule]) -> Verdict {
    let options = RunOptions { without: without.to_vec(), keep_trace: false, event_limit: EVENT_LIMIT };
    run_seed(scenario, seed, &options).verdict
}

fn holds(scenario: &Scenario) -> Result<(), Failed> {
    let mut hashes = Vec::new();
    for seed in scenario.seeds.range() {
        let verdict = run(scenario, seed, &[]);
        if verdict.verdict != Outcome::Pass {
            return Err(report::failure(&verdict, "").into());
        }
        hashes.push((seed, verdict.trace_hash));
    }
    let (seed, hash) = &hashes[0];
    let again = run(scenario, *seed, &[]).trace_hash;
    if *hash != again {
        return Err(format!("seed {seed} does not repeat: trace hash {hash}, then {again}").into());
    }
    Ok(())
}

fn fails_without(scenario: &Scenario, rule: Rule, check: &str) -> Result<(), Failed> {
    for seed in scenario.seeds.range() {
        let verdict = run(scenario, seed, &[rule]);
        if verdict.violations.iter().any(|violation| violation.slug == check) {
            return Ok(());
        }
    }
    Err(format!("without {rule} no seed of {:?} violates {check}", scenario.seeds.range()).into())
}

fn golden_trials() -> Vec<Trial> {
    let golden = Golden::load().unwrap_or_default();
    let runs = golden::runs().expect("every scenario file can be read");
    let trials = runs.into_iter().map(|(scenario, seed)| {
        let hash = golden.hashes.get(&scenario.name).and_then(|seeds| seeds.get(&seed.to_string())).cloned();
        Trial::test(format!("golden::{}@{seed}", scenario.name), move || agrees(&scenario, seed, hash))
    });
    trials.collect()
}

fn agrees(scenario: &Scenario, seed: u64, golden: Option<String>) -> Result<(), Failed> {
    let now = run(scenario, seed, &[]).trace_hash;
    if golden.as_ref() == Some(&now) {
        return Ok(());
    }
    let golden = golden.unwrap_or_else(|| "missing".into());
    Err(format!("trace hash {now}, golden {golden}; if the change was meant: cargo sim golden --write")
        .into())
}
