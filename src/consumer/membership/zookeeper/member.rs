//! One member's side of the rebalance (section 3.2 of the paper): what it does when something changed.
//!
//! Pure: what was read, what became of each step, and that time passed go in; steps come out, one or a few at a
//! time, to be performed in order. Nothing is kept that ZooKeeper does not know, but what this member holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::assign::{View, assign};
use crate::marks::{self, Mark};
use crate::rules::{self, Rule};
use crate::types::TopicPartition;

/// How patient a member is.
#[derive(Clone, Copy, Debug)]
pub(super) struct RebalancePolicy {
    /// Tries of one rebalance before it is reported as failed.
    pub tries_max: u32,
    /// Between two tries.
    pub backoff: Duration,
    /// After a change, so that one rebalance answers many.
    pub settle: Duration,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A session with ZooKeeper exists; whatever an earlier one held is gone.
    SessionOpened,
    /// The member is registered under this name.
    Joined(String),
    /// Another session holds the member's name.
    NameHeld,
    ViewRead(View),
    /// The owner nodes were deleted.
    Released,
    Claimed,
    /// Other sessions hold these partitions.
    Conflict(BTreeMap<TopicPartition, String>),
    Delivering,
    /// The last step could not be finished: ZooKeeper was not reached in time.
    Failed,
    /// A watch fired.
    Changed,
    /// The pause is over, or what was in the way is gone.
    PauseOver,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Join,
    /// Watch, then read.
    ReadView,
    /// Stop delivering these, commit what is finished of them, and delete their owner nodes.
    Release(BTreeSet<TopicPartition>),
    /// Make the owner nodes of these, all or none, by stream.
    Claim(BTreeMap<TopicPartition, u32>),
    /// Begin to deliver these where the offset registry says.
    Deliver(BTreeMap<TopicPartition, u32>),
    Pause(Duration),
    /// As above, or until these have no owner.
    PauseUntilUnowned(Duration, BTreeSet<TopicPartition>),
    PauseUntilNameFree(Duration),
    Report(Report),
}

/// What is worth stating.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Report {
    Started,
    Conflict { partition: TopicPartition, owner: String },
    Failed { tries: u32 },
    Finished { owned: u32 },
}

/// For log lines.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Report::Started => f.write_str("started"),
            Report::Conflict { partition, owner } => write!(f, "{partition} is owned by {owner}"),
            Report::Failed { tries } => write!(f, "failed after {tries} tries"),
            Report::Finished { owned } => write!(f, "finished, {owned} partition(s) owned"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// No session, or not registered.
    Joining,
    Reading,
    Releasing(AfterRelease),
    Claiming(BTreeMap<TopicPartition, u32>),
    StartingDelivery(BTreeMap<TopicPartition, u32>),
    /// A pause, before reading again or joining again.
    Pausing,
    Stable,
    /// Used up its tries, for good; only where the rule is suspended.
    GaveUp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum AfterRelease {
    Claim(BTreeMap<TopicPartition, u32>),
    BackOff(BTreeSet<TopicPartition>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    stream: u32,
    delivering: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Member {
    policy: RebalancePolicy,
    /// As registered.
    name: Option<String>,
    phase: Phase,
    /// Whose owner node is, or may be, this session's.
    held: BTreeMap<TopicPartition, Held>,
    tries: u32,
    /// Had nothing to read when it last was stable.
    is_surplus: bool,
}

impl Member {
    pub(super) fn new(policy: RebalancePolicy) -> Member {
        Member {
            policy,
            name: None,
            phase: Phase::Joining,
            held: BTreeMap::new(),
            tries: 0,
            is_surplus: false,
        }
    }

    /// The name under which it is registered.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whatever it holds or may hold.
    pub(super) fn held(&self) -> BTreeSet<TopicPartition> {
        self.held.keys().cloned().collect()
    }

    pub(super) fn on(&mut self, event: Event) -> Vec<Effect> {
        match (event, std::mem::replace(&mut self.phase, Phase::Stable)) {
            (Event::SessionOpened, _) => self.session_opened(),
            (Event::Joined(name), _) => {
                self.name = Some(name);
                self.start()
            }
            (Event::NameHeld, _) => {
                self.phase = Phase::Pausing;
                vec![Effect::PauseUntilNameFree(self.policy.backoff)]
            }
            (_, Phase::GaveUp) => {
                self.phase = Phase::GaveUp;
                Vec::new()
            }
            (Event::ViewRead(view), Phase::Reading) => self.view_read(&view),
            (Event::Released, Phase::Releasing(next)) => self.released(next),
            (Event::Claimed, Phase::Claiming(claim)) => self.deliver(claim),
            (Event::Conflict(others), Phase::Claiming(claim)) => self.conflict(others, claim),
            (Event::Delivering, Phase::StartingDelivery(claim)) => self.delivering(claim),
            (Event::Changed, Phase::Stable) => {
                self.phase = Phase::Pausing;
                vec![Effect::Pause(self.policy.settle)]
            }
            (Event::Changed | Event::PauseOver, Phase::Pausing) => self.pause_over(),
            (Event::Failed, _) => {
                self.phase = Phase::Pausing;
                vec![Effect::Pause(self.policy.backoff)]
            }
            // A word that comes late: the phase says what goes on.
            (_, phase) => {
                self.phase = phase;
                Vec::new()
            }
        }
    }

    fn session_opened(&mut self) -> Vec<Effect> {
        self.name = None;
        self.tries = 0;
        self.phase = Phase::Joining;
        if rules::holds(Rule::DropOwnershipOnExpiry) {
            self.held.clear();
        } else {
            // Until the next rebalance, which has to make the owner nodes anew.
            self.held.values_mut().for_each(|held| held.delivering = false);
        }
        vec![Effect::Join]
    }

    fn pause_over(&mut self) -> Vec<Effect> {
        if self.name.is_some() {
            return self.start();
        }
        self.phase = Phase::Joining;
        vec![Effect::Join]
    }

    fn start(&mut self) -> Vec<Effect> {
        self.phase = Phase::Reading;
        vec![Effect::Report(Report::Started), Effect::ReadView]
    }

    fn view_read(&mut self, view: &View) -> Vec<Effect> {
        let me = self.name.as_deref().expect("only a registered member reads");
        let wanted = assign(view, me);
        let keeps = |name: &TopicPartition, held: &Held| wanted.get(name) == Some(&held.stream);
        let release: BTreeSet<TopicPartition> = self
            .held
            .iter()
            .filter(|(name, held)| !keeps(name, held))
            .map(|(name, _)| name.clone())
            .collect();
        let delivered = |name: &TopicPartition| self.held.get(name).is_some_and(|held| held.delivering);
        let claim: BTreeMap<TopicPartition, u32> = wanted
            .iter()
            .filter(|(name, _)| release.contains(*name) || !delivered(name))
            .map(|(name, stream)| (name.clone(), *stream))
            .collect();
        if release.is_empty() {
            return self.claim(claim);
        }
        self.release(release, AfterRelease::Claim(claim))
    }

    fn release(&mut self, partitions: BTreeSet<TopicPartition>, next: AfterRelease) -> Vec<Effect> {
        for name in &partitions {
            if let Some(held) = self.held.get_mut(name) {
                held.delivering = false;
            }
        }
        self.phase = Phase::Releasing(next);
        vec![Effect::Release(partitions)]
    }

    fn released(&mut self, next: AfterRelease) -> Vec<Effect> {
        self.held.retain(|_, held| held.delivering);
        match next {
            AfterRelease::Claim(claim) => self.claim(claim),
            AfterRelease::BackOff(others) => self.back_off(others),
        }
    }

    fn claim(&mut self, claim: BTreeMap<TopicPartition, u32>) -> Vec<Effect> {
        if claim.is_empty() {
            return self.finish();
        }
        assert!(self.name.is_some(), "only a registered member claims");
        for (name, stream) in &claim {
            self.held.insert(name.clone(), Held { stream: *stream, delivering: false });
        }
        self.phase = Phase::Claiming(claim.clone());
        vec![Effect::Claim(claim)]
    }

    fn deliver(&mut self, claim: BTreeMap<TopicPartition, u32>) -> Vec<Effect> {
        self.phase = Phase::StartingDelivery(claim.clone());
        vec![Effect::Deliver(claim)]
    }

    fn delivering(&mut self, claim: BTreeMap<TopicPartition, u32>) -> Vec<Effect> {
        for (name, stream) in claim {
            let before = self.held.insert(name, Held { stream, delivering: true });
            assert!(before.is_some(), "what is delivered was claimed before");
        }
        self.finish()
    }

    fn finish(&mut self) -> Vec<Effect> {
        debug_assert!(self.held.values().all(|held| held.delivering), "what is held in the end is delivered");
        self.phase = Phase::Stable;
        self.tries = 0;
        if self.is_surplus && !self.held.is_empty() {
            marks::sometimes(Mark::SurplusStreamTookOver);
        }
        self.is_surplus = self.held.is_empty();
        let owned = u32::try_from(self.held.len()).unwrap_or(u32::MAX);
        vec![Effect::Report(Report::Finished { owned })]
    }

    /// P23: release everything, back off, and try again.
    fn conflict(
        &mut self,
        others: BTreeMap<TopicPartition, String>,
        claim: BTreeMap<TopicPartition, u32>,
    ) -> Vec<Effect> {
        marks::sometimes(Mark::RebalanceMetConflict);
        let names = others.keys().cloned().collect();
        let reports = others.into_iter().map(|(partition, owner)| Report::Conflict { partition, owner });
        let mut effects: Vec<Effect> = reports.map(Effect::Report).collect();
        if !rules::holds(Rule::OwnBeforeDelivering) {
            effects.extend(self.deliver(claim));
            return effects;
        }
        effects.extend(self.release(self.held(), AfterRelease::BackOff(names)));
        effects
    }

    fn back_off(&mut self, others: BTreeSet<TopicPartition>) -> Vec<Effect> {
        assert!(self.tries < self.policy.tries_max, "a rebalance that goes on has a try left");
        assert!(self.held.is_empty(), "a conflict releases everything");
        self.tries += 1;
        self.phase = Phase::Pausing;
        let mut effects = Vec::new();
        if self.tries >= self.policy.tries_max {
            marks::sometimes(Mark::RebalanceTriesUsedUp);
            effects.push(Effect::Report(Report::Failed { tries: self.tries }));
            self.tries = 0;
            if !rules::holds(Rule::KeepTryingToRebalance) {
                self.phase = Phase::GaveUp;
                return effects;
            }
        }
        effects.push(Effect::PauseUntilUnowned(self.policy.backoff, others));
        effects
    }
}

#[cfg(test)]
mod tests;
