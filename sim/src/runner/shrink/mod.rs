//! `shrink`: from a failing run to the smallest scenario that fails in the same check.
//!
//! First the storm ends sooner, and faults are left out one by one while all others stay as drawn; then the topology, the settings and the
//! workload are written down, and the faults as steps; then everything gets smaller as long as the check stays
//! violated; last, times become logical moments. Every change is tried; what does not fail is not kept. Bounded
//! by time: the best so far is the answer.

mod anchor;
mod ddmin;
mod each_rule;
mod hunt;
mod literal;
mod pin;
mod reduce;
mod words;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use seedlog::rules::Rule;
use serde::Serialize;
use toml::Value;

pub use each_rule::each_rule;
pub use hunt::{Candidate, Hunt, strikes, violates};

use super::Settings;
use super::crew::Crew;
use super::named::Named;
use super::token::Token;
use super::worker::{Job, Keep, Reply};
use crate::checkers;
use crate::faults::Origin;
use crate::lookout::TooLate;
use crate::report::{self, Outcome, Verdict};
use crate::scenario::{Document, Plan, Scenario};

/// Seeds looked at for a failure where a file names many.
const SEEDS_MAX: u64 = 200;
/// Other seeds tried where written steps do not fail with the seed that drew them.
const OTHER_SEEDS: u64 = 64;
/// Other seeds tried with each list of written faults.
const OTHER_SEEDS_OF_A_LIST: u64 = 8;
/// Other seeds tried with each smaller scenario.
const OTHER_SEEDS_OF_A_STEP: u64 = 2;
/// Shorter storms that are tried, in percent of the failing run's.
const STORM_SHARES: [u32; 5] = [10, 20, 35, 50, 75];
/// A candidate that takes this many times as long as the failing run, and then some, is no smaller one.
const SLOWER_MAX: u32 = 20;
const SLOWER_GRACE: Duration = Duration::from_secs(5);

/// A shrunk failure.
#[derive(Clone, Debug, Serialize)]
pub struct Shrunk {
    pub scenario: String,
    pub seed: u64,
    pub check: String,
    pub faults_before: usize,
    pub faults_after: usize,
    pub runs: u64,
    pub wall_ms: u64,
    /// Until no single fault could be left out any more.
    pub faults_wall_ms: u64,
    /// Whether every fault is a written step.
    pub is_literal: bool,
    /// With suspended rules: whether it passes as soon as they hold.
    pub holds_with_rules: Option<bool>,
    /// The scenario file.
    pub text: String,
    /// The verdict over it.
    #[serde(skip)]
    pub verdict: Verdict,
}

/// A failure that was found again.
pub struct Found {
    pub scenario: Scenario,
    pub seed: u64,
    pub check: String,
    pub without: Vec<Rule>,
    pub reply: Reply,
}

/// Runs what is named until it fails.
pub fn find_failure(named: &Named, check: Option<&str>, crew: &mut Crew) -> anyhow::Result<Found> {
    let Named { scenario, seeds, without } = named;
    let end = seeds.end.min(seeds.start.saturating_add(SEEDS_MAX));
    let jobs: Vec<Job> =
        (seeds.start..end).map(|seed| Job::new(scenario, seed, without, Keep::Never)).collect();
    let is_wanted = |reply: &Reply| match check {
        Some(check) => violates(&reply.verdict, check),
        None => !reply.verdict.violations.is_empty(),
    };
    let Some((at, reply)) = crew.first(&jobs, is_wanted)? else {
        let what = check.map_or_else(|| "any check".to_owned(), |check| format!("check `{check}`"));
        bail!(
            "{} does not violate {what} with seed {}{}; is a rule to be suspended with --without?",
            scenario.name,
            seeds.start,
            if jobs.len() > 1 { format!(" to {}", end - 1) } else { String::new() }
        );
    };
    let check = check.map_or_else(|| reply.verdict.violations[0].slug.clone(), str::to_owned);
    Ok(Found { scenario: scenario.clone(), seed: jobs[at].seed, check, without: without.clone(), reply })
}

/// Shrinks what is named, for at most `time`.
pub fn shrink(
    named: &Named,
    check: Option<&str>,
    time: Duration,
    settings: &Settings,
) -> anyhow::Result<Shrunk> {
    let started = Instant::now();
    let mut crew = Crew::new(settings.jobs, settings.wall_limit, started + time)?;
    let found = find_failure(named, check, &mut crew)?;
    let mut hunt = hunt_of(&found, crew)?;
    let faults_before = strikes(&found.reply);
    end_storm_sooner(&mut hunt)?;
    leave_out_faults(&mut hunt)?;
    let faults_wall_ms = started.elapsed().as_millis() as u64;
    pin(&mut hunt)?;
    write_faults_down(&mut hunt)?;
    leave_out_steps(&mut hunt)?;
    reduce(&mut hunt)?;
    anchor::anchor(&mut hunt)?;
    let shrunk = finish(&mut hunt, &found, faults_before, faults_wall_ms, started)?;
    hunt.clear();
    Ok(shrunk)
}

/// The hunt that begins with a failure.
pub fn hunt_of(found: &Found, mut crew: Crew) -> anyhow::Result<Hunt> {
    let document = Document::of(&found.scenario.text).context("the scenario's text")?;
    let took = Duration::from_millis(found.reply.verdict.wall_ms);
    // Of a run that broke off, how long it takes is what it is about.
    if !report::is_breakdown(&found.check) {
        crew.wall_limit = crew.wall_limit.min(took * SLOWER_MAX + SLOWER_GRACE);
    }
    let best = Candidate { document, seed: found.seed };
    Ok(Hunt::new(crew, &found.scenario.name, &found.without, &found.check, best, found.reply.clone()))
}

/// Leaves out every fault without which the check is still violated.
pub fn leave_out_faults(hunt: &mut Hunt) -> anyhow::Result<()> {
    let all: Vec<Origin> = hunt.reply().struck.iter().map(|struck| struck.by).collect();
    let whole = hunt.best().clone();
    hunt.tell("leaving faults out");
    ddmin::minimise(all, |lists| {
        let candidates = lists
            .iter()
            .map(|kept| Candidate { document: with_faults(&whole.document, kept), seed: whole.seed });
        let found = hunt.improve(candidates.collect());
        hunt.tell("leaving faults out");
        found
    })?;
    Ok(())
}

/// Ends the storm soon after what fails has happened: later faults are not needed, and shorter runs are sooner done.
/// Those before stay as they were: a fault that a shorter storm moves would be another. The heal that comes sooner may
/// matter too, so this is for who wants a smaller failure, not for who asks which faults this one needs.
fn end_storm_sooner(hunt: &mut Hunt) -> anyhow::Result<()> {
    hunt.tell("ending the storm sooner");
    let plan = Plan::new(&hunt.scenario(), hunt.best().seed);
    let whole = hunt.best().clone();
    let sooner = STORM_SHARES.iter().filter_map(|percent| {
        let storm = Duration::from_secs((plan.storm * *percent / 100).as_secs());
        let mut smaller = whole.clone();
        smaller.document.set(&["storm"], literal::duration(storm));
        (!storm.is_zero()).then_some(smaller)
    });
    let strikes = |reply: &Reply| reply.struck.iter().map(|s| (s.by, s.at_ns)).collect::<BTreeSet<_>>();
    let drawn = strikes(hunt.reply());
    hunt.improve_if(sooner.collect(), |reply| strikes(reply).is_subset(&drawn))?;
    Ok(())
}

/// The document with no other faults than these.
pub fn with_faults(document: &Document, kept: &[Origin]) -> Document {
    let mut smaller = document.clone();
    let drawn: Vec<i64> = kept
        .iter()
        .filter_map(|by| match by {
            Origin::Drawn(number) => Some(*number as i64),
            Origin::Written(_) => None,
        })
        .collect();
    if drawn.is_empty() {
        smaller.remove(&["chaos"]);
    } else {
        smaller.set(&["chaos", "only"], drawn);
    }
    let steps = document.steps().into_iter().enumerate();
    let left = steps.filter(|(at, _)| kept.contains(&Origin::Written(*at))).map(|(_, step)| step);
    smaller.set_steps(left.collect());
    smaller
}

/// Writes down what the seed drew, all at once or, where that changes the run, key by key.
fn pin(hunt: &mut Hunt) -> anyhow::Result<()> {
    hunt.tell("writing settings down");
    let plan = Plan::new(&hunt.scenario(), hunt.best().seed);
    let document = hunt.best().document.clone();
    let open: Vec<pin::Pin> = pin::pins(&plan).into_iter().filter(|pin| pin.is_open_in(&document)).collect();
    let mut all = hunt.best().clone();
    open.iter().for_each(|pin| pin.set_in(&mut all.document));
    if hunt.improve(vec![all])?.is_some() {
        return Ok(());
    }
    for pin in open {
        let mut one = hunt.best().clone();
        pin.set_in(&mut one.document);
        hunt.improve(vec![one])?;
    }
    Ok(())
}

/// Writes drawn faults as steps: all of them, with this seed or another, or else one by one.
fn write_faults_down(hunt: &mut Hunt) -> anyhow::Result<()> {
    let drawn: Vec<_> =
        hunt.reply().struck.iter().filter(|s| matches!(s.by, Origin::Drawn(_))).cloned().collect();
    if drawn.is_empty() {
        return Ok(());
    }
    hunt.tell("writing faults as steps");
    let history = hunt.history()?;
    let written: Vec<(u64, Option<Vec<toml::Table>>)> = drawn
        .iter()
        .filter_map(|struck| match struck.by {
            Origin::Drawn(number) => {
                Some((number, literal::steps(struck, &history, &format!("fault{number}"))))
            }
            Origin::Written(_) => None,
        })
        .collect();
    let all: BTreeSet<u64> = written.iter().filter(|(_, s)| s.is_some()).map(|(number, _)| *number).collect();
    let own = hunt.best().seed;
    let other_seeds = if all.len() == written.len() { OTHER_SEEDS } else { 0 };
    let base = hunt.best().document.clone();
    let seeds = std::iter::once(own).chain(0..other_seeds);
    let document = with_steps(&base, &written, &all);
    let candidates = seeds.map(|seed| Candidate { document: document.clone(), seed });
    if hunt.improve(candidates.collect())?.is_some() {
        return Ok(());
    }
    let mut done = BTreeSet::new();
    for number in all {
        let mut more = done.clone();
        more.insert(number);
        let candidate = Candidate { document: with_steps(&base, &written, &more), seed: own };
        if hunt.improve(vec![candidate])?.is_some() {
            done = more;
        }
    }
    Ok(())
}

/// The document with these of the drawn faults as steps, and the others still drawn.
fn with_steps(
    document: &Document,
    written: &[(u64, Option<Vec<toml::Table>>)],
    chosen: &BTreeSet<u64>,
) -> Document {
    let mut smaller = document.clone();
    let left: Vec<i64> = written
        .iter()
        .filter(|(number, _)| !chosen.contains(number))
        .map(|(number, _)| *number as i64)
        .collect();
    if left.is_empty() {
        smaller.remove(&["chaos"]);
    } else {
        smaller.set(&["chaos", "only"], left);
    }
    let mut steps = document.steps();
    for (_, of_fault) in written.iter().filter(|(number, _)| chosen.contains(number)) {
        steps.extend(of_fault.clone().into_iter().flatten());
    }
    smaller.set_steps(steps);
    smaller
}

/// Leaves out every written fault, with what belongs to it, without which the check is violated with some seed.
fn leave_out_steps(hunt: &mut Hunt) -> anyhow::Result<()> {
    let whole = hunt.best().clone();
    let groups = reduce::groups(&whole.document.steps());
    hunt.tell("leaving steps out");
    ddmin::minimise(groups, |lists| {
        let documents = lists.iter().map(|groups| {
            let mut smaller = whole.document.clone();
            smaller.set_steps(groups.iter().flatten().cloned().collect());
            smaller
        });
        let seeds = seeds_for(&whole, OTHER_SEEDS_OF_A_LIST);
        let candidates = with_seeds(documents.collect(), &seeds);
        let found = hunt.improve(candidates)?;
        hunt.tell("leaving steps out");
        Ok::<_, anyhow::Error>(found.map(|at| at % lists.len()))
    })?;
    Ok(())
}

/// Makes everything smaller until nothing gets smaller, or the time is up.
fn reduce(hunt: &mut Hunt) -> anyhow::Result<()> {
    loop {
        let mut got_smaller = false;
        for (name, propose) in reduce::PASSES {
            loop {
                if !hunt.is_in_time() {
                    return Ok(());
                }
                hunt.tell(name);
                let smaller = propose(&hunt.best().document);
                let seeds = seeds_for(hunt.best(), OTHER_SEEDS_OF_A_STEP);
                if hunt.improve(with_seeds(smaller, &seeds))?.is_none() {
                    break;
                }
                got_smaller = true;
            }
        }
        if !got_smaller {
            return Ok(());
        }
    }
}

/// Each document with each seed; all documents with the first seed first.
fn with_seeds(documents: Vec<Document>, seeds: &[u64]) -> Vec<Candidate> {
    let of_seed = |&seed: &u64| {
        let documents = documents.iter().cloned();
        documents.map(move |document| Candidate { document, seed })
    };
    seeds.iter().flat_map(of_seed).collect()
}

/// The candidate's own seed, and others where no fault is drawn any more.
fn seeds_for(best: &Candidate, others: u64) -> Vec<u64> {
    let others = if best.document.get(&["chaos"]).is_none() { others } else { 0 };
    let mut seeds = vec![best.seed];
    seeds.extend((0..others).filter(|seed| *seed != best.seed));
    seeds
}

/// What the story had expected besides; a time limit stays where it is what was violated.
fn forget_expectations(document: &mut Document, check: &str) {
    if check == TooLate::SLUG {
        ["happens", "except", "without"].iter().for_each(|key| document.remove(&["expect", key]));
    } else {
        document.remove(&["expect"]);
    }
}

fn finish(
    hunt: &mut Hunt,
    found: &Found,
    faults_before: usize,
    faults_wall_ms: u64,
    started: Instant,
) -> anyhow::Result<Shrunk> {
    let verdict = hunt.reply().verdict.clone();
    let seed = hunt.best().seed;
    let mut document = hunt.best().document.clone();
    let check = hunt.check().to_owned();
    let violation = verdict.violations.iter().find(|v| v.slug == check).context("the check is violated")?;
    let kinds: Vec<&str> = verdict.faults.keys().map(String::as_str).collect();
    let after = if kinds.is_empty() { String::new() } else { format!(" after {}", kinds.join(", ")) };
    document
        .set(&["story"], format!("{}{after}: {}.", violation.slug, violation.message.trim_end_matches('.')));
    document.set(&["covers"], vec![violation.check.clone()]);
    document.remove(&["seeds"]);
    document.set(&["seed"], i64::try_from(seed).map_or(Value::String(seed.to_string()), Value::Integer));
    forget_expectations(&mut document, &check);
    let from = Token::of(&found.scenario, found.seed).arguments(&found.without);
    document.remarks.push(format!("Shrunk from {from}"));
    let holds_with_rules = match found.without.as_slice() {
        [] => None,
        rules => {
            let passes = hunt.verdict(&document.text(), seed, &[])?.verdict == Outcome::Pass;
            let is_of_history = checkers::named(&check).is_some();
            if let ([rule], true, true) = (rules, passes, is_of_history) {
                let mut without = toml::Table::new();
                without.insert("rule".into(), Value::String(rule.slug().to_owned()));
                without.insert("violates".into(), Value::String(check.clone()));
                document.set(&["expect", "without"], vec![Value::Table(without)]);
            }
            Some(passes)
        }
    };
    Ok(Shrunk {
        scenario: found.scenario.name.clone(),
        seed: found.seed,
        check: format!("{} ({})", violation.slug, violation.check),
        faults_before,
        faults_after: strikes(hunt.reply()),
        runs: hunt.runs(),
        wall_ms: started.elapsed().as_millis() as u64,
        faults_wall_ms,
        is_literal: document.get(&["chaos"]).is_none(),
        holds_with_rules,
        text: document.text(),
        verdict,
    })
}
