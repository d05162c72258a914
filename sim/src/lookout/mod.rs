//! Looks out while the run goes on: for what written steps wait for, and for what must come true in time.
//!
//! Pure: entries of the history in, fired steps and unmet limits out. Nothing here acts; the storm does.

mod condition;
mod scene;

use std::sync::Arc;
use std::time::Duration;

use seedlog::types::TopicPartition;

use condition::Watching;
use scene::Scene;

use crate::history::{Entry, Phase, What};
use crate::report::{Violation, evidence_line};
use crate::scenario::happening::{Known, Watch};
use crate::scenario::{Plan, Since, Trigger, Within};

/// Everything that a run's story waits for.
pub struct Lookout {
    known: Known,
    scene: Scene,
    is_storming: bool,
    /// Steps whose happening has not come, by index.
    awaited: Vec<(usize, Watch)>,
    fired: Vec<usize>,
    limits: Vec<Limit>,
    entries: usize,
}

/// One time limit of the story.
struct Limit {
    within: Within,
    since: Option<Watch>,
    begun: Option<Moment>,
    watching: Option<Watching>,
    met: Option<Moment>,
}

#[derive(Clone, Copy, Debug)]
struct Moment {
    at_ns: u64,
    /// The entry of the history that made it.
    entry: usize,
}

/// A time limit that was not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooLate {
    pub message: String,
    /// Entries of the history, by index.
    pub evidence: Vec<usize>,
}

impl TooLate {
    pub const ID: &str = "W1";
    pub const SLUG: &str = "too-late";

    /// As a violation, with the faults among its evidence.
    pub fn violation(&self, history: &[Entry]) -> Violation {
        let evidence = self.evidence.iter().filter_map(|&at| history.get(at));
        let faults = evidence.clone().filter_map(|entry| match &entry.what {
            What::Fault(fault) => fault.kind().map(str::to_owned),
            _ => None,
        });
        Violation {
            check: TooLate::ID.to_owned(),
            slug: TooLate::SLUG.to_owned(),
            message: self.message.clone(),
            faults: faults.collect(),
            evidence: evidence.map(evidence_line).collect(),
        }
    }
}

impl Lookout {
    pub fn new(plan: &Plan) -> Lookout {
        let awaited = plan.steps.iter().enumerate().filter_map(|(index, step)| match &step.trigger {
            Trigger::When { happening, .. } => Some((index, Watch::new(happening))),
            _ => None,
        });
        let limit = |within: &Within| Limit {
            within: within.clone(),
            since: match &within.since {
                Since::Happening(happening) => Some(Watch::new(happening)),
                Since::Step(_) | Since::Heal => None,
            },
            begun: None,
            watching: None,
            met: None,
        };
        Lookout {
            known: Known::default(),
            scene: Scene::new(plan),
            is_storming: false,
            awaited: awaited.collect(),
            fired: Vec::new(),
            limits: plan.within.iter().map(limit).collect(),
            entries: 0,
        }
    }

    /// Takes the next entry into account; whether a step's time has come.
    pub fn observe(&mut self, entry: &Entry) -> bool {
        self.scene.observe(entry, &self.known);
        let now = Moment { at_ns: entry.at_ns, entry: self.entries };
        self.entries += 1;
        let phase = match &entry.what {
            What::Phase(entered) => Some(entered.phase),
            _ => None,
        };
        self.is_storming |= phase == Some(Phase::Storm);
        if self.is_storming {
            for limit in &mut self.limits {
                limit.observe(entry, &self.known, &self.scene, now, phase);
            }
            let (known, fired) = (&self.known, &mut self.fired);
            self.awaited.retain_mut(|(index, watch)| {
                let is_seen = watch.sees(entry, known);
                fired.extend(is_seen.then_some(*index));
                !is_seen
            });
        }
        self.known.observe(entry);
        !self.fired.is_empty()
    }

    /// A named step fired: limits that count from it begin.
    pub fn step_fired(&mut self, name: &str, at_ns: u64) {
        let now = Moment { at_ns, entry: self.entries.saturating_sub(1) };
        for limit in &mut self.limits {
            if matches!(&limit.within.since, Since::Step(step) if step == name) {
                limit.begin(&self.scene, now);
            }
        }
    }

    /// The steps whose time has come since this was asked last.
    pub fn fired(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.fired)
    }

    /// Whether a step still waits for what it is to follow.
    pub fn is_awaiting(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// Whether a limit runs that may still be met.
    pub fn has_open_limits(&self, now_ns: u64) -> bool {
        self.limits.iter().any(|limit| limit.is_open(now_ns))
    }

    /// The member that owns the partition in its group.
    pub fn owner(&self, group: &str, partition: &TopicPartition) -> Option<Arc<str>> {
        self.scene.owners(group, partition).next().cloned()
    }

    /// The limits that were not met, and when they were in the end.
    pub fn too_late(&self) -> Vec<TooLate> {
        self.limits.iter().filter_map(Limit::too_late).collect()
    }

    /// The limits whose time never began.
    pub fn never_begun(&self) -> Vec<String> {
        let never = self.limits.iter().filter(|limit| limit.begun.is_none());
        never
            .map(|limit| {
                format!(
                    "`{}` was to be timed from `{}`, which never came",
                    limit.within.condition, limit.within.since
                )
            })
            .collect()
    }
}

impl Limit {
    fn observe(&mut self, entry: &Entry, known: &Known, scene: &Scene, now: Moment, phase: Option<Phase>) {
        if self.met.is_some() {
            return;
        }
        if let Some(watching) = &mut self.watching {
            if watching.sees(entry, known, scene) {
                self.met = Some(now);
            }
            return;
        }
        let begins = match &self.within.since {
            Since::Heal => phase == Some(Phase::Heal),
            Since::Happening(_) => self.since.as_mut().is_some_and(|watch| watch.sees(entry, known)),
            Since::Step(_) => false,
        };
        if begins {
            self.begin(scene, now);
        }
    }

    fn begin(&mut self, scene: &Scene, now: Moment) {
        if self.begun.is_none() {
            let watching = Watching::new(&self.within.condition, scene);
            self.met = watching.is_met(scene).then_some(now);
            self.begun = Some(now);
            self.watching = Some(watching);
        }
    }

    fn is_open(&self, now_ns: u64) -> bool {
        // The heal ends the storm, so that nothing which counts from it can keep the storm going.
        let begun = self.begun.filter(|_| self.within.since != Since::Heal && self.met.is_none());
        begun.is_some_and(|begun| now_ns <= begun.at_ns + self.limit_ns())
    }

    fn limit_ns(&self) -> u64 {
        self.within.limit.as_nanos() as u64
    }

    fn too_late(&self) -> Option<TooLate> {
        let begun = self.begun?;
        let Within { condition, limit, since } = &self.within;
        let promised = format!("within {} after {since}", seconds(*limit));
        let Some(met) = self.met else {
            let message = format!("`{condition}` never came true, {promised} or later");
            return Some(TooLate { message, evidence: vec![begun.entry] });
        };
        let took = Duration::from_nanos(met.at_ns - begun.at_ns);
        (took > *limit).then(|| TooLate {
            message: format!("`{condition}` took {}, not {promised}", seconds(took)),
            evidence: vec![begun.entry, met.entry],
        })
    }
}

fn seconds(time: Duration) -> String {
    format!("{}.{:03} s", time.as_secs(), time.subsec_millis())
}

#[cfg(test)]
mod tests;
