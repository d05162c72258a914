//! C5, `fair-share`: once a group is stable, the streams of a topic share its partitions so that no two shares
//! differ by more than one, and no partition is left to nobody (P22).
//!
//! Judged at the end of the run, if the group has been left in peace long enough after the heal: every member
//! ended its last rebalance, and nobody came, went or conflicted since. A group that never comes to rest is
//! check L1's business.

use std::collections::{BTreeMap, BTreeSet};

use seedlog::facts::Fact;
use seedlog::types::TopicPartition;

use super::groups::{Incarnation, Turn};
use super::{Case, Check, Feature, Finding};
use crate::history::{Phase, What};

/// The quiet after the heal is there for this check: a group that comes to rest at all comes to rest in it.
pub const CHECK: Check = Check::new("C5", "fair-share", Feature::Group, judge).exercised_in(50);

/// So many session timeouts must have passed since the last change: a dead member is known to be dead by then.
const PEACE_SESSIONS: u32 = 2;

struct Member<'a> {
    subscription: &'a BTreeMap<String, u32>,
    rebalancing: bool,
    owned: BTreeMap<&'a TopicPartition, u32>,
    finished_at: usize,
}

#[derive(Default)]
struct State<'a> {
    /// By group and incarnation.
    members: BTreeMap<(&'a str, Incarnation<'a>), Member<'a>>,
    /// Something changed in the group at this entry.
    changed: BTreeMap<&'a str, usize>,
}

fn judge(case: &Case) -> Vec<Finding> {
    let mut state = State::default();
    for (at, turn) in case.groups.turns(case.history) {
        match turn {
            Turn::Stated { incarnation, group, fact } => state.stated(at, incarnation, group, fact),
            Turn::Ended { node } => state.gone(at, |incarnation| incarnation.consumer == node),
            Turn::Deleted { .. } => {}
            Turn::Expired { session } => {
                let Some(member) = case.groups.member(session) else { continue };
                state.gone(at, |incarnation| incarnation == member);
                // It may have been dead already; its partitions are free only now.
                state.changed.extend(case.groups.of(member).map(|group| (group, at)));
            }
        }
    }
    let Some(healed) = phase_at(case, Phase::Converge) else { return Vec::new() };
    let Some(end) = case.history.last() else { return Vec::new() };
    let partitions = partitions_by_topic(case);
    let mut findings = Vec::new();
    for (&group, &changed) in &state.changed {
        let since = case.history[changed.max(healed)].at_ns;
        let peace = case.terms.group(group).session_timeout * PEACE_SESSIONS;
        let members = state.members.range((group, Incarnation::FIRST)..);
        let members: Vec<_> = members.take_while(|((of, _), _)| *of == group).collect();
        let is_stable = u128::from(end.at_ns - since) >= peace.as_nanos();
        if is_stable && members.iter().all(|(_, member)| !member.rebalancing) {
            case.obligations.meet();
            findings.extend(judge_group(case, group, &members, &partitions));
        }
    }
    findings
}

type Members<'m, 'a> = [(&'m (&'a str, Incarnation<'a>), &'m Member<'a>)];

fn judge_group(
    case: &Case,
    group: &str,
    members: &Members,
    partitions: &BTreeMap<&str, BTreeSet<&TopicPartition>>,
) -> Vec<Finding> {
    let topics: BTreeSet<&str> =
        members.iter().flat_map(|(_, m)| m.subscription.keys().map(String::as_str)).collect();
    let mut findings = Vec::new();
    for topic in topics {
        let all = partitions.get(topic).cloned().unwrap_or_default();
        let evidence: Vec<usize> = members.iter().map(|(_, member)| member.finished_at).collect();
        let ownerless =
            all.into_iter().filter(|partition| !members.iter().any(|(_, m)| m.owned.contains_key(partition)));
        for partition in ownerless {
            let message = format!("{partition} has no owner in {group}, which has come to rest");
            // A partition whose broker is gone is nobody's to own.
            let finding = Finding::new(Some(partition), message, evidence.clone());
            findings.push(finding.excused_by(case.budget.excuses_outage(partition)));
        }
        let shares = shares(members, topic);
        let most = shares.iter().max_by_key(|(_, share)| *share);
        let least = shares.iter().min_by_key(|(_, share)| *share);
        if let (Some((rich, most)), Some((poor, least))) = (most, least)
            && most - least > 1
        {
            let message = format!(
                "{group} has come to rest, and {rich} has {most} partitions of {topic} where {poor} has {least}"
            );
            findings.push(Finding::new(None, message, evidence));
        }
    }
    findings
}

/// Partitions of the topic by stream.
fn shares(members: &Members, topic: &str) -> Vec<(String, usize)> {
    let mut shares = Vec::new();
    for ((_, incarnation), member) in members {
        for stream in 0..member.subscription.get(topic).copied().unwrap_or(0) {
            let of_it =
                |(partition, of): &(&&TopicPartition, &u32)| *partition.topic == *topic && **of == stream;
            shares.push((
                format!("{}/{stream}", incarnation.consumer),
                member.owned.iter().filter(of_it).count(),
            ));
        }
    }
    shares
}

impl<'a> State<'a> {
    fn stated(&mut self, at: usize, incarnation: Incarnation<'a>, group: &'a str, fact: &'a Fact) {
        let key = (group, incarnation);
        match fact {
            Fact::GroupJoined { subscription, .. } => {
                let owned = BTreeMap::new();
                self.members.insert(key, Member { subscription, rebalancing: true, owned, finished_at: at });
            }
            Fact::GroupLeft { .. } | Fact::GroupSessionLost { .. } => drop(self.members.remove(&key)),
            Fact::RebalanceStarted { .. } => self.alter(key, |member| member.rebalancing = true),
            Fact::RebalanceFinished { .. } => self.alter(key, |member| {
                member.rebalancing = false;
                member.finished_at = at;
            }),
            Fact::PartitionOwned { partition, stream, .. } => {
                self.alter(key, |member| {
                    member.owned.insert(partition, *stream);
                });
            }
            Fact::PartitionReleased { partition, .. } => {
                self.alter(key, |member| {
                    member.owned.remove(partition);
                });
            }
            Fact::RebalanceConflict { .. } | Fact::RebalanceFailed { .. } => {}
            _ => return,
        }
        self.changed.insert(group, at);
    }

    fn alter(&mut self, key: (&'a str, Incarnation<'a>), change: impl FnOnce(&mut Member<'a>)) {
        if let Some(member) = self.members.get_mut(&key) {
            change(member);
        }
    }

    fn gone(&mut self, at: usize, is_gone: impl Fn(Incarnation<'a>) -> bool) {
        let changed = &mut self.changed;
        self.members.retain(|(group, incarnation), _| {
            let gone = is_gone(*incarnation);
            if gone {
                changed.insert(group, at);
            }
            !gone
        });
    }
}

fn phase_at(case: &Case, phase: Phase) -> Option<usize> {
    case.history
        .iter()
        .position(|entry| matches!(&entry.what, What::Phase(entered) if entered.phase == phase))
}

/// What brokers lead.
fn partitions_by_topic<'a>(case: &Case<'a>) -> BTreeMap<&'a str, BTreeSet<&'a TopicPartition>> {
    let mut partitions: BTreeMap<&str, BTreeSet<&TopicPartition>> = BTreeMap::new();
    for entry in case.history {
        if let What::Fact(Fact::BecameLeader { partition, .. } | Fact::Appended { partition, .. }) =
            &entry.what
        {
            partitions.entry(&partition.topic).or_default().insert(partition);
        }
    }
    partitions
}

#[cfg(test)]
mod tests;
