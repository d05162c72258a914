//! The storm: a schedule of what is due, worked off in virtual time.
//!
//! Brokers that ended by themselves (their log directory failed), and members that did, are started again after a drawn time, as an
//! operator's supervisor would; everything else that is down comes back when its fault says so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use seedlog::runtime::rng::Rng;
use seedlog::runtime::sim::rng;
use seedlog::runtime::{Instant, clock};

use super::chaos::{self, NOTICE_EVERY};
use super::network::Directions;
use super::ongoing::Ongoing;
use super::script::Bound;
use super::{Injector, Name, Origin, Struck, has_bitten};
use crate::scenario::{Class, Plan, Trigger};

/// Something to do at its time.
pub(super) enum Due {
    /// The step of this index fires.
    Step(usize),
    /// The next fault of a class strikes.
    Chaos(Class),
    Start(Name),
    /// A crash was armed: has it come? With nothing left to look for it is given up, and the node starts anew
    /// if it died; without a limit whoever armed it brings the node back.
    ArmedCrash {
        target: Name,
        looks_left: Option<u32>,
    },
    Stop(Name),
    End(Ongoing),
    ReconnectStorm,
    /// One of the stalled connections between the two is released.
    ReleaseOne(Name, Name),
    /// The clock jumps there, or back, until no jumps are left.
    Strobe {
        target: Name,
        by_ms: i64,
        jumps_left: u32,
    },
    Resume(Name),
    Mend(Directions),
    CureDisk(Name),
    /// The time of the drawn fault of this number is over: this is due once it has bitten, or has met nobody for long.
    Over {
        number: u64,
        then: Box<Due>,
        looks_left: u32,
    },
    /// Look for brokers that ended by themselves.
    Supervise,
}

/// How long after the workload's end a step may still wait for what it is to follow.
const AWAITED_AFTER_END_MAX: Duration = Duration::from_secs(30);

/// How often, and how many times, a fault whose time is over looks whether it has met somebody.
const BITTEN_EVERY: Duration = Duration::from_millis(200);
const BITTEN_LOOKS_MAX: u32 = 100;

/// How much longer a storm lasts whose last faults have yet to bite.
const LAST_FAULTS_MAX: Duration = Duration::from_secs(3);

/// How much longer a storm lasts none of whose faults has bitten.
const FIRST_FAULT_MAX: Duration = Duration::from_secs(60);

/// How long a drawn fault that has met nobody goes on after its time.
pub(super) const PATIENCE: Duration =
    Duration::from_millis(BITTEN_EVERY.as_millis() as u64 * BITTEN_LOOKS_MAX as u64);

/// Why the storm stopped sleeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Woken {
    OnTime,
    Called,
}

/// How often the supervisor looks.
const SUPERVISE_EVERY: Duration = Duration::from_millis(500);
/// The time between two jumps of a clock that strobes.
pub(super) const STROBE_EVERY: Duration = Duration::from_millis(100);

/// The schedule of one storm.
pub struct Storm<'a> {
    plan: &'a Plan,
    injector: Injector,
    /// By time, then by the order in which they were scheduled.
    schedule: BTreeMap<(Instant, u64), Due>,
    scheduled: u64,
    bound: Bound,
    fired: BTreeSet<usize>,
    awaiting_start: BTreeSet<Name>,
    /// Draws when faults come; what they do is drawn from streams of their own.
    calendar: Rng,
    /// How many faults were drawn, whether or not they were left out.
    drawn: u64,
    struck: Vec<Struck>,
}

impl<'a> Storm<'a> {
    pub fn new(plan: &'a Plan, injector: Injector) -> Storm<'a> {
        Storm {
            plan,
            injector,
            schedule: BTreeMap::new(),
            scheduled: 0,
            bound: Bound::new(),
            fired: BTreeSet::new(),
            awaiting_start: BTreeSet::new(),
            calendar: rng::world_stream("fault calendar"),
            drawn: 0,
            struck: Vec::new(),
        }
    }

    /// Rages until the workload's time is over and every written step has fired.
    pub async fn rage(&mut self) {
        let begin = clock::now();
        let end = begin + self.plan.storm;
        for (index, step) in self.plan.steps.iter().enumerate() {
            if let Trigger::At(at) = step.trigger {
                self.schedule(begin + at, Due::Step(index));
            }
        }
        for class in Class::ALL {
            // The first fault comes early enough to strike a short workload too.
            let first = chaos::draw_interval(&mut self.calendar, self.plan.chaos.level(class));
            if let Some(first) = first.map(|first| first.min(self.plan.storm / 2)) {
                self.schedule(begin + first, Due::Chaos(class));
            }
        }
        self.expect_late_members(begin);
        self.schedule(begin + SUPERVISE_EVERY, Due::Supervise);
        while let Some(next) = self.schedule.first_entry() {
            let (at, _) = *next.key();
            if at > end && !self.has_more_to_do(end) {
                break;
            }
            if at > clock::now() && self.sleep_unless_called(at).await == Woken::Called {
                self.schedule_fired();
                continue;
            }
            if let Some((_, due)) = self.schedule.pop_first() {
                let is_raging = at < end || self.has_tried_nothing(end);
                self.perform(due, is_raging);
            }
        }
        if end > clock::now() {
            clock::sleep_until(end).await;
        }
    }

    /// Members that join while the storm rages; the supervisor leaves them alone until then.
    fn expect_late_members(&mut self, begin: Instant) {
        for (name, member) in self.plan.members().filter(|(_, member)| !member.joins.is_zero()) {
            let name: Name = name.as_str().into();
            self.injector.put_down.insert(name.clone());
            self.schedule(begin + member.joins, Due::Start(name));
        }
    }

    /// Ends the storm; what was injured is well again.
    pub fn heal(&mut self) {
        self.schedule.clear();
        self.injector.heal();
    }

    /// A minority may stay broken.
    pub fn leave_broken(&mut self) {
        if let Some(left) = &self.plan.left_broken {
            self.injector.leave_broken(left);
        }
    }

    /// After the heal: starts brokers and members that ended by themselves again.
    pub fn tend(&mut self) {
        for name in self.injector.supervised_names() {
            self.injector.start(&name);
        }
    }

    /// The steps, as written, that did not fire, or found nobody to strike.
    pub fn unfired(&self) -> Vec<String> {
        let steps = self.plan.steps.iter().enumerate();
        steps.filter(|(index, _)| !self.fired.contains(index)).map(|(_, step)| step.text.clone()).collect()
    }

    /// Everything that struck, in the order of time.
    pub fn struck(&mut self) -> Vec<Struck> {
        std::mem::take(&mut self.struck)
    }

    pub fn injector(&mut self) -> &mut Injector {
        &mut self.injector
    }

    /// Whether the storm has to go on after the workload's end: for steps, or for what is to come true in time.
    fn has_more_to_do(&self, end: Instant) -> bool {
        let now = clock::now();
        let recorder = &self.injector.recorder;
        let is_awaiting = recorder.lookout(|lookout| lookout.is_awaiting()) == Some(true);
        self.schedule.values().any(|due| matches!(due, Due::Step(_)))
            || (now < end + LAST_FAULTS_MAX && self.has_just_struck_nobody())
            || self.has_tried_nothing(end)
            || (is_awaiting && now < end + AWAITED_AFTER_END_MAX)
            || recorder.lookout(|lookout| lookout.has_open_limits(now.as_nanos())) == Some(true)
    }

    /// Whether everything that was drawn has met nobody, and there is time for more. A run that is shrunk is given no other
    /// faults than it had, each in its time.
    fn has_tried_nothing(&self, end: Instant) -> bool {
        if self.plan.chaos.is_none() || clock::now() >= end + FIRST_FAULT_MAX {
            return false;
        }
        if let Some(only) = &self.plan.only {
            return only.last().is_some_and(|last| *last >= self.drawn);
        }
        let recorder = &self.injector.recorder;
        recorder.state_effects();
        let injuring = self.struck.iter().filter(|struck| struck.injures());
        recorder.history(|history| {
            let mut tried = injuring.map(|struck| struck.kind.is_none() || has_bitten(struck, history));
            !tried.any(|has| has)
        })
    }

    /// Whether one of the last drawn faults has yet to bite.
    fn has_just_struck_nobody(&self) -> bool {
        let since = clock::now().as_nanos().saturating_sub(LAST_FAULTS_MAX.as_nanos() as u64);
        let drawn = |struck: &&Struck| matches!(struck.by, Origin::Drawn(_)) && struck.injures();
        let last = self.struck.iter().rev().take_while(|struck| struck.at_ns >= since).filter(drawn);
        let recorder = &self.injector.recorder;
        recorder.state_effects();
        recorder.history(|history| last.into_iter().any(|struck| !has_bitten(struck, history)))
    }

    /// Sleeps until `at`, or until what a step waits for happens.
    async fn sleep_unless_called(&self, at: Instant) -> Woken {
        tokio::select! {
            biased;
            () = self.injector.recorder.call() => Woken::Called,
            () = clock::sleep_until(at) => Woken::OnTime,
        }
    }

    /// Schedules the steps whose happening came.
    fn schedule_fired(&mut self) {
        for index in self.injector.recorder.lookout(|lookout| lookout.fired()).unwrap_or_default() {
            if let Trigger::When { delay, .. } = &self.plan.steps[index].trigger {
                self.schedule(clock::now() + *delay, Due::Step(index));
            }
        }
    }

    fn schedule(&mut self, at: Instant, due: Due) {
        self.scheduled += 1;
        self.schedule.insert((at, self.scheduled), due);
    }

    fn schedule_all(&mut self, later: Vec<(Duration, Due)>) {
        let now = clock::now();
        for (delay, due) in later {
            if delay.is_zero() {
                // At the very instant: the new incarnation begins before the old one's tasks were dropped.
                self.perform(due, true);
            } else {
                self.schedule(now + delay, due);
            }
        }
    }

    fn perform(&mut self, due: Due, is_raging: bool) {
        match due {
            Due::Step(index) => self.step(index),
            Due::Chaos(class) if is_raging => {
                self.strike(class);
                let level = self.plan.chaos.level(class);
                if let Some(interval) = chaos::draw_interval(&mut self.calendar, level) {
                    self.schedule(clock::now() + interval, Due::Chaos(class));
                }
            }
            Due::Chaos(_) => {}
            // It takes its time over an orderly end.
            Due::Start(name) if self.injector.is_ending(&name) => {
                self.schedule(clock::now() + NOTICE_EVERY, Due::Start(name));
            }
            Due::Start(name) => {
                self.awaiting_start.remove(&name);
                self.injector.start(&name);
            }
            Due::ArmedCrash { target, looks_left } => self.look_for_crash(target, looks_left),
            Due::Stop(name) => self.injector.stop(&name),
            Due::End(fault) => self.injector.end(&fault),
            Due::ReconnectStorm => self.injector.storm_of_reconnects(),
            Due::ReleaseOne(a, b) => self.injector.release_one(&a, &b),
            Due::Strobe { target, by_ms, jumps_left } => {
                if self.injector.strobe(&target, by_ms) && jumps_left > 0 {
                    let next = Due::Strobe { target, by_ms: -by_ms, jumps_left: jumps_left - 1 };
                    self.schedule(clock::now() + STROBE_EVERY, next);
                }
            }
            Due::Resume(name) => self.injector.resume(&name),
            Due::Mend(directions) => self.injector.mend(&directions),
            Due::CureDisk(name) => self.injector.cure_disk(&name),
            Due::Over { number, then, looks_left } => {
                self.end_if_bitten(number, then, looks_left, is_raging);
            }
            Due::Supervise => {
                self.supervise();
                self.schedule(clock::now() + SUPERVISE_EVERY, Due::Supervise);
            }
        }
    }

    /// The next fault that the seed draws, unless the scenario leaves it out.
    fn strike(&mut self, class: Class) {
        let number = self.drawn;
        self.drawn += 1;
        if self.plan.only.as_ref().is_none_or(|only| only.contains(&number)) {
            self.injector.stated.clear();
            let later = self.injector.strike(class, number, self.plan);
            self.note(Origin::Drawn(number));
            let later = later.into_iter().map(|(delay, due)| (delay, over(number, due)));
            self.schedule_all(later.collect());
        }
    }

    /// Ends a drawn fault whose time is over, unless it has yet to bite: one that met nobody has tried nothing.
    fn end_if_bitten(&mut self, number: u64, then: Box<Due>, looks_left: u32, is_raging: bool) {
        let is_it = |struck: &&Struck| struck.by == Origin::Drawn(number);
        let struck = self.struck.iter().rev().find(is_it);
        let recorder = &self.injector.recorder;
        recorder.state_effects();
        let has_bitten = |struck| recorder.history(|history| has_bitten(struck, history));
        if looks_left == 0 || struck.is_none_or(has_bitten) {
            self.perform(*then, is_raging);
        } else {
            let again = Due::Over { number, then, looks_left: looks_left - 1 };
            self.schedule(clock::now() + BITTEN_EVERY, again);
        }
    }

    /// Remembers what was just done, and by what.
    fn note(&mut self, by: Origin) {
        let did = std::mem::take(&mut self.injector.stated);
        let drawn_as = matches!(by, Origin::Drawn(_)).then(|| self.injector.drawn_as.to_owned());
        self.struck.push(Struck { by, kind: drawn_as, at_ns: clock::now().as_nanos(), did });
    }

    fn look_for_crash(&mut self, target: Name, looks_left: Option<u32>) {
        self.injector.notice_crashes();
        if !self.injector.is_armed(&target) {
            if looks_left.is_some() && self.injector.is_put_down(&target) {
                let downtime = self.injector.draw_downtime();
                self.schedule(clock::now() + downtime, Due::Start(target));
            }
        } else if looks_left == Some(0) {
            self.injector.disarm(&target);
        } else {
            let next = Due::ArmedCrash { target, looks_left: looks_left.map(|left| left - 1) };
            self.schedule(clock::now() + NOTICE_EVERY, next);
        }
    }

    fn step(&mut self, index: usize) {
        self.injector.notice_crashes();
        let step = &self.plan.steps[index];
        self.injector.stated.clear();
        let (struck, later) = self.injector.act(&step.action, self.plan, &self.bound);
        if struck.is_empty() {
            return;
        }
        self.note(Origin::Written(index));
        self.fired.insert(index);
        if let Some(name) = &step.name {
            let now_ns = clock::now().as_nanos();
            self.injector.recorder.lookout(|lookout| lookout.step_fired(name, now_ns));
            self.bound.insert(name.clone(), struck);
        }
        self.schedule_all(later);
        for (next, waiting) in self.plan.steps.iter().enumerate() {
            if let Trigger::After { step: name, delay } = &waiting.trigger
                && step.name.as_ref() == Some(name)
            {
                self.schedule(clock::now() + *delay, Due::Step(next));
            }
        }
    }

    /// Starts brokers and members that ended by themselves, after a while; what a written step put down stays down until a
    /// step, or the heal, brings it back.
    fn supervise(&mut self) {
        self.injector.notice_crashes();
        for name in self.injector.supervised_names() {
            let ended_by_itself = !self.injector.is_running(&name) && !self.injector.is_put_down(&name);
            if ended_by_itself && self.awaiting_start.insert(name.clone()) {
                let downtime = self.injector.draw_downtime().max(SUPERVISE_EVERY);
                self.schedule(clock::now() + downtime, Due::Start(name));
            }
        }
    }
}

/// What is due when the time of a drawn fault is over, if this ends it.
fn over(number: u64, due: Due) -> Due {
    match due {
        Due::End(_) | Due::Mend(_) | Due::CureDisk(_) | Due::ReleaseOne(..) => {
            Due::Over { number, then: Box::new(due), looks_left: BITTEN_LOOKS_MAX }
        }
        Due::Step(_)
        | Due::Chaos(_)
        | Due::Start(_)
        | Due::ArmedCrash { .. }
        | Due::Stop(_)
        | Due::ReconnectStorm
        | Due::Strobe { .. }
        | Due::Resume(_)
        | Due::Over { .. }
        | Due::Supervise => due,
    }
}
