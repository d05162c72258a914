//! One run: start, storm, heal, converge, drain, judge.
//!
//! Decides nothing about right and wrong: it brings a history about and hands it to the checks.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seedlog::facts::{self, Fact};
use seedlog::marks;
use seedlog::rules::{self, Rule};
use seedlog::runtime::sim::buggify;
use seedlog::runtime::sim::net::messages::Message;
use seedlog::runtime::sim::trace::{Event, TOO_MANY_EVENTS};
use seedlog::runtime::sim::world::{self, Finished, RunConfig};
use seedlog::runtime::{Instant, clock};
use seedlog::types::Offset;

use crate::app::Applications;
use crate::cluster::{ADMIN, AUDITOR, Cluster, OPERATOR, PROBE, VISITOR, ZOOKEEPER};
use crate::faults::{Injector, Storm, Struck};
use crate::history::{Entry, Phase, Recorder, Seen, What};
use crate::lookout::{Lookout, TooLate};
use crate::report::{Breakdown, Verdict, evidence_line};
use crate::runner::sabotage;
use crate::scenario::group::GroupPlan;
use crate::scenario::{Created, LeftBroken, Plan, Scenario};
use crate::survey;
use crate::workload::Shared;

/// How a run is done, besides what scenario and seed say.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Rules to suspend.
    pub without: Vec<Rule>,
    /// Keep every trace event, for comparison with another run, and every message, for its picture.
    pub keep_trace: bool,
    pub event_limit: u64,
}

/// Everything that is left of a run.
pub struct Run {
    pub verdict: Verdict,
    pub history: Vec<Entry>,
    pub trace: Vec<Event>,
    /// What the storm did, fault by fault; empty if the run broke off.
    pub struck: Vec<Struck>,
    /// Rules that somebody asked for; all if the run broke off.
    pub asked: Vec<Rule>,
    /// What was said over the network, if everything was kept.
    pub messages: Vec<Message>,
}

/// Virtual time that a healthy cluster has to come up in.
const START_MAX: Duration = Duration::from_secs(60);
/// Virtual time after which nobody waits any longer for a healed cluster to work again. Check L1 has a deadline of its
/// own, which comes from the run's timeouts, and demands everything at the earlier of the two.
const CONVERGE_MAX: Duration = Duration::from_secs(120);
/// How often a broker that ended by itself after the heal is started again.
const TEND_EVERY: Duration = Duration::from_secs(2);
/// How long nobody writes into a cluster that does not come to rest. By then check H13 has something to say.
const PROBE_LATE_MAX: Duration = Duration::from_secs(60);
/// How much longer than the quiet the look at all brokers may take: a send of its own may wait for its timeout.
const VISIT_MAX: Duration = Duration::from_secs(40);
/// Virtual time to read everything in.
const DRAIN_MAX: Duration = Duration::from_secs(60);
/// How often a phase looks whether it may end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the testbed knows at the end of a run that did not break off.
#[derive(Default)]
struct Ended {
    started: bool,
    unfired: Vec<String>,
    trouble: Vec<String>,
    struck: Vec<Struck>,
    asked: Vec<Rule>,
    too_late: Vec<TooLate>,
    never_begun: Vec<String>,
}

/// Runs one seed of a scenario, on a thread of its own, and judges it.
pub fn run_seed(scenario: &Scenario, seed: u64, options: &RunOptions) -> Run {
    run_seed_with(scenario, seed, options, &Applications::default())
}

/// As [`run_seed`], with groups whose members run applications from outside.
pub fn run_seed_with(
    scenario: &Scenario,
    seed: u64,
    options: &RunOptions,
    applications: &Applications,
) -> Run {
    let plan = Plan::new(scenario, seed);
    if let Err(message) = applications.suffice_for(&plan) {
        let violation = Breakdown::Setup.violation(message);
        let verdict = Verdict::of_breakdown(&scenario.name, seed, &options.without, violation);
        return Run {
            verdict,
            history: Vec::new(),
            trace: Vec::new(),
            struck: Vec::new(),
            asked: Vec::new(),
            messages: Vec::new(),
        };
    }
    let entries = Arc::new(Mutex::new(Vec::new()));
    let config =
        RunConfig { seed, keep_trace: options.keep_trace, event_limit: options.event_limit, buggify: false };
    let (planned, shared_entries, without) = (plan.clone(), Arc::clone(&entries), options.without.clone());
    let applications = applications.clone();
    let finished = world::run(config, move || {
        sabotage::strike(seed);
        for rule in without {
            rules::suspend(rule);
        }
        let recorder = Recorder::new(shared_entries, &planned.terms());
        let recorder = Rc::new(recorder.without_times_of(planned.stamped_by_brokers()));
        recorder.look_out(Lookout::new(&planned));
        facts::install(Some(recorder.clone()));
        go_through_phases(planned, recorder, applications)
    });
    let history = std::mem::take(&mut *entries.lock().expect("the run is over"));
    let mut verdict = Verdict::empty(&scenario.name, seed);
    verdict.without = options.without.iter().map(|rule| rule.slug().to_owned()).collect();
    verdict.trace_hash = format!("{:016x}", finished.trace_hash);
    verdict.sim_ms = finished.sim_time.as_millis() as u64;
    verdict.events = finished.events;
    verdict.judge(&history, &plan.terms(), &scenario.expect.except);
    add_outcome(&mut verdict, scenario, &plan, &history, &finished);
    verdict.conclude();
    let (struck, asked) = match finished.outcome {
        Ok(ended) => (ended.struck, ended.asked),
        // Nobody could say any more.
        Err(_) => (Vec::new(), Rule::ALL.to_vec()),
    };
    Run { verdict, history, trace: finished.kept, struck, asked, messages: finished.messages }
}

async fn go_through_phases(plan: Plan, recorder: Rc<Recorder>, applications: Applications) -> Ended {
    let shared = Arc::new(Shared::default());
    let told = Arc::clone(&shared);
    recorder.tell_rebalances(move || told.rebalance_begins());
    let cluster = Cluster::build(&plan, &shared, &applications).expect("scenarios are checked when read");
    let cluster = Rc::new(cluster);
    let injector = Injector::new(Rc::clone(&cluster), Rc::clone(&recorder), &plan);
    let mut storm = Storm::new(&plan, injector);

    recorder.phase(Phase::Start);
    let brokers: Vec<String> = cluster.brokers().map(|(_, name)| name.to_string()).collect();
    storm.injector().start_all([ZOOKEEPER].into_iter());
    storm.injector().start_all(brokers.iter().map(String::as_str));
    let registered = until(START_MAX, || recorder.progress(|progress| progress.all_registered())).await;
    storm.injector().start_all([ADMIN, OPERATOR].into_iter());
    let started = registered && until(START_MAX, || shared.topics_made()).await;
    if !started {
        return Ended { trouble: shared.trouble(), asked: rules::asked(), ..Ended::default() };
    }

    recorder.phase(Phase::Storm);
    shared.begin_storm();
    buggify::enable(true);
    storm.injector().start_all(plan.consumers.keys().chain(plan.producers.keys()).map(String::as_str));
    let punctual = plan.members().filter(|(_, member)| member.joins.is_zero());
    storm.injector().start_all(punctual.map(|(name, _)| name.as_str()));
    storm.rage().await;

    recorder.phase(Phase::Heal);
    buggify::enable(false);
    storm.heal();
    storm.leave_broken();
    let raced = plan.topics.iter().filter(|(_, topic)| topic.created == Created::Healing);
    raced.for_each(|(name, _)| storm.injector().race_to_make(name));
    shared.end_storm(plan.terms().patience.until_served());

    recorder.phase(Phase::Converge);
    let is_settled = || {
        !shared.is_tinkering()
            && unfinished(&plan, &shared).next().is_none()
            && recorder.progress(|progress| progress.is_settled())
    };
    if plan.has_late_probe() {
        tend_until(&mut storm, PROBE_LATE_MAX, &is_settled).await;
    }
    storm.injector().start_all([PROBE].into_iter());
    let is_healed = || shared.has_finished(PROBE) && is_settled();
    if tend_until(&mut storm, CONVERGE_MAX, &is_healed).await {
        rest(&plan, &mut storm, &shared).await;
    } else {
        let stuck = unfinished(&plan, &shared);
        stuck.for_each(|name| recorder.seen(Seen::Unfinished { client: name.as_str().into() }));
    }

    recorder.phase(Phase::Drain);
    storm.injector().start_all([AUDITOR].into_iter());
    until(DRAIN_MAX, || is_drained(&plan, &recorder)).await;
    look_at_disks(&cluster, &recorder);
    recorder.phase(Phase::Judge);
    Ended {
        started,
        unfired: storm.unfired(),
        trouble: shared.trouble(),
        struck: storm.struck(),
        asked: rules::asked(),
        too_late: recorder.lookout(|lookout| lookout.too_late()).unwrap_or_default(),
        never_begun: recorder.lookout(|lookout| lookout.never_begun()).unwrap_or_default(),
    }
}

/// The quiet time: nothing is injured any more, but for what is left so.
async fn rest(plan: &Plan, storm: &mut Storm<'_>, shared: &Shared) {
    storm.injector().assert_at_peace();
    if let Some(LeftBroken::FollowerInPeace(member)) = &plan.left_broken {
        // By then nothing of the storm is an excuse.
        clock::sleep(plan.quiet_time()).await;
        storm.injector().lose_leader_for_good(member);
    }
    storm.injector().start_all([VISITOR].into_iter());
    clock::sleep(plan.quiet_time()).await;
    until(VISIT_MAX, || shared.has_finished(VISITOR)).await;
}

/// The applications that have not come to the end of what they send, and are to.
fn unfinished<'a>(plan: &'a Plan, shared: &'a Shared) -> impl Iterator<Item = &'a String> {
    let awaited = plan.producers.keys().filter(|name| Some(*name) != plan.left_dead());
    awaited.filter(|name| !shared.has_finished(name))
}

/// Whether everything was read once more, and by every group.
fn is_drained(plan: &Plan, recorder: &Recorder) -> bool {
    recorder.progress(|p| {
        let has_all = |tp| p.has_read_all(AUDITOR, tp) && p.groups_have_processed(tp);
        p.is_settled() && plan.partitions_of(plan.topics.keys()).iter().all(has_all)
    })
}

/// What the brokers' disks hold in the end.
fn look_at_disks(cluster: &Cluster, recorder: &Recorder) {
    for (broker, name) in cluster.brokers() {
        survey::final_logs(broker, cluster.node(name)).into_iter().for_each(|seen| recorder.seen(seen));
    }
}

/// Waits until `reached`, at most for `longest`, and has what ended by itself started again; whether it was reached.
async fn tend_until(storm: &mut Storm<'_>, longest: Duration, reached: impl Fn() -> bool) -> bool {
    let deadline = clock::now() + longest;
    while !until(TEND_EVERY, &reached).await {
        if clock::now() >= deadline {
            return false;
        }
        storm.tend();
    }
    true
}

/// Waits until `reached`, at most for `longest`; whether it was reached.
async fn until(longest: Duration, reached: impl Fn() -> bool) -> bool {
    let deadline: Instant = clock::now() + longest;
    while !reached() {
        if clock::now() >= deadline {
            return false;
        }
        clock::sleep(LOOK_EVERY).await;
    }
    true
}

fn add_outcome(
    verdict: &mut Verdict,
    scenario: &Scenario,
    plan: &Plan,
    history: &[Entry],
    finished: &Finished<Ended>,
) {
    verdict.marks.extend(marks::of(finished.met).map(|mark| mark.slug().to_owned()));
    let ended = match &finished.outcome {
        Ok(ended) if !ended.started => {
            let trouble = ended.trouble.join("; ");
            let message = format!("the cluster did not come up within {} s: {trouble}", START_MAX.as_secs());
            let mut violation = Breakdown::Setup.violation(message);
            let is_telling = |entry: &&Entry| {
                matches!(entry.what, What::Fact(Fact::BrokerStartFailed { .. } | Fact::LogDirFailed { .. }))
            };
            violation.evidence = history.iter().filter(is_telling).take(5).map(evidence_line).collect();
            verdict.violations.insert(0, violation);
            return;
        }
        Ok(ended) => ended,
        Err(message) => {
            let how =
                if message.contains(TOO_MANY_EVENTS) { Breakdown::EventLimit } else { Breakdown::Panic };
            verdict.violations.insert(0, how.violation(message.clone()));
            return;
        }
    };
    count_clients_work(verdict, history);
    let has_any_fault = verdict.count_bites(history, &ended.struck);
    let mut vacuous: Vec<String> =
        ended.unfired.iter().map(|step| format!("step never fired: {step}")).collect();
    if plan.demands_faults() && !has_any_fault {
        vacuous.push("no fault bit though some were demanded".to_owned());
    }
    if verdict.sends == 0 && !plan.producers.is_empty() {
        vacuous.push(format!("nothing was sent: {}", ended.trouble.join("; ")));
    }
    vacuous.extend(idle_groups(plan, history));
    let missing = scenario.expect.happens.iter().filter(|happening| !happening.is_in(history));
    vacuous.extend(missing.map(|happening| format!("never happened: {happening}")));
    let unmet = scenario.expect.meets.iter().filter(|mark| !marks::of(finished.met).any(|met| met == **mark));
    vacuous.extend(unmet.map(|mark| format!("never met: {}", mark.slug())));
    vacuous.extend(ended.never_begun.iter().cloned());
    verdict.vacuous = vacuous;
    if !scenario.expect.except.iter().any(|slug| slug == TooLate::SLUG) {
        verdict.violations.extend(ended.too_late.iter().map(|late| late.violation(history)));
    }
}

/// Groups that nothing was delivered to, though they were to read everything.
fn idle_groups(plan: &Plan, history: &[Entry]) -> Vec<String> {
    let delivered = |entry: &Entry| matches!(entry.what, What::Fact(Fact::Delivered { .. }));
    let takers: BTreeSet<&str> = history.iter().filter(|e| delivered(e)).map(|e| &*e.node).collect();
    let is_idle = |group: &GroupPlan| !group.members.keys().any(|member| takers.contains(member.as_str()));
    let idle = plan.groups.iter().filter(|(_, group)| group.reads_everything() && is_idle(group));
    idle.map(|(name, _)| format!("nothing was delivered to group {name}")).collect()
}

/// Counts what the plan's own clients did, and the recoveries; the probe's and the auditor's work is no load.
fn count_clients_work(verdict: &mut Verdict, history: &[Entry]) {
    for entry in history.iter().filter(|entry| ![PROBE, VISITOR, AUDITOR].contains(&&*entry.node)) {
        let What::Fact(fact) = &entry.what else { continue };
        match fact {
            Fact::SendInvoked { .. } => verdict.sends += 1,
            Fact::SendOk { .. } => verdict.acked += 1,
            Fact::Delivered { .. } => verdict.delivered += 1,
            Fact::LogRecovered { clean: false, log_end, .. } if *log_end > Offset(0) => {
                verdict.recoveries += 1
            }
            _ => {}
        }
    }
}
