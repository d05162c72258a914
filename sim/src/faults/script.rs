//! Performs the steps that a scenario file writes down.

use std::collections::BTreeMap;
use std::time::Duration;

use seedlog::runtime::sim::disk::Rate;

use super::network::Directions;
use super::storm::Due;
use super::{Injector, Name};
use crate::cluster::ZOOKEEPER;
use crate::scenario::{Action, Plan, Selector};

/// Whom earlier steps struck, by the steps' names.
pub(super) type Bound = BTreeMap<String, Vec<Name>>;

/// What is due later because of a step.
type Later = Vec<(Duration, Due)>;

impl Injector {
    /// Performs one action; answers whom it struck first (nobody: a selector met nobody), and what is due later
    /// because of it.
    pub(super) fn act(&mut self, action: &Action, plan: &Plan, bound: &Bound) -> (Vec<Name>, Later) {
        let mut met = Vec::new();
        for selector in action.selectors() {
            match self.select(selector, plan, bound) {
                names if names.is_empty() => return (names, Vec::new()),
                names => met.push(names),
            }
        }
        let targets = met[0].clone();
        let later = match action {
            Action::Kill(_) => self.each(&targets, Injector::kill),
            Action::PowerFail(_) => self.each(&targets, Injector::fail_power),
            Action::Resume(_) => self.each(&targets, Injector::resume),
            Action::Restart(_) => self.each(&targets, Injector::start),
            Action::DiskHeal(_) => self.each(&targets, Injector::cure_disk),
            Action::Expire(_) => self.each(&targets, Injector::expire_session),
            Action::Reset { .. } => {
                for (a, b) in pairs(&targets, &met[1]) {
                    self.reset(&a, &b);
                }
                Vec::new()
            }
            Action::Pause { lasting, .. } => {
                self.each(&targets, Injector::pause);
                undo(&targets, *lasting, Due::Resume)
            }
            Action::Cut { both_ways, lasting, .. } => {
                let mut directions: Directions = pairs(&targets, &met[1]);
                if *both_ways {
                    directions.extend(pairs(&met[1], &targets));
                }
                self.cut(&directions);
                lasting.map(|lasting| (lasting, Due::Mend(directions))).into_iter().collect()
            }
            Action::DiskError { operation, lasting, .. } => {
                self.each(&targets, |injector, target| {
                    injector.break_disk(target, *operation, Rate::OneIn(1));
                });
                undo(&targets, *lasting, Due::CureDisk)
            }
            Action::DiskFull { lasting, .. } => {
                self.each(&targets, Injector::fill_disk);
                undo(&targets, *lasting, Due::CureDisk)
            }
            Action::DiskSlow { factor, lasting, .. } => {
                self.each(&targets, |injector, target| injector.slow_disk(target, *factor));
                undo(&targets, *lasting, Due::CureDisk)
            }
        };
        (targets, later)
    }

    fn each(&mut self, targets: &[Name], act: impl Fn(&mut Injector, &Name)) -> Later {
        targets.iter().for_each(|target| act(self, target));
        Vec::new()
    }

    /// The nodes that a selector means now, each once.
    fn select(&mut self, selector: &Selector, plan: &Plan, bound: &Bound) -> Vec<Name> {
        match selector {
            Selector::Broker(id) => self.name_of(*id).into_iter().collect(),
            Selector::Brokers => self.broker_names(),
            Selector::Leader(partition) => {
                let leader = self.recorder.progress(|progress| progress.leader(partition));
                leader.and_then(|leader| self.name_of(leader)).into_iter().collect()
            }
            Selector::Owner { group, partition } => {
                let owner = self.recorder.lookout(|lookout| lookout.owner(group, partition));
                owner.flatten().into_iter().collect()
            }
            Selector::Member(group) => {
                let running: Vec<Name> =
                    members(plan, group).into_iter().filter(|name| self.is_running(name)).collect();
                self.draws.pick(&running).cloned().into_iter().collect()
            }
            Selector::Group(group) => members(plan, group),
            Selector::Clients => plan.clients().map(|name| name.as_str().into()).collect(),
            Selector::ZooKeeper => vec![ZOOKEEPER.into()],
            Selector::Any => self.some_running_broker().into_iter().collect(),
            Selector::Minority => self.minority(),
            Selector::Named(name) => bound.get(name).cloned().unwrap_or_else(|| vec![name.as_str().into()]),
            Selector::List(selectors) => {
                let mut names = Vec::new();
                for name in selectors.iter().flat_map(|one| self.select(one, plan, bound)) {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
                names
            }
        }
    }

    /// As many brokers as are fewer than half, drawn.
    fn minority(&mut self) -> Vec<Name> {
        let mut left = self.broker_names();
        let size = left.len().saturating_sub(1) / 2;
        (0..size).map(|_| left.remove(self.draws.below(left.len() as u64) as usize)).collect()
    }
}

/// The nodes of a group's members; none where the seed left the group out.
fn members(plan: &Plan, group: &str) -> Vec<Name> {
    let members = plan.groups.get(group).into_iter().flat_map(|group| group.members.keys());
    members.map(|name| name.as_str().into()).collect()
}

/// Everyone of `from` with everyone else of `to`.
fn pairs(from: &[Name], to: &[Name]) -> Directions {
    let with_all =
        |a: &Name| to.iter().filter(|b| *b != a).map(|b| (a.clone(), b.clone())).collect::<Vec<_>>();
    from.iter().flat_map(with_all).collect()
}

/// What lasts until the heal has no end of its own.
fn undo(targets: &[Name], lasting: Option<Duration>, end: impl Fn(Name) -> Due) -> Later {
    lasting
        .into_iter()
        .flat_map(|lasting| targets.iter().map(move |t| (lasting, t.clone())))
        .map(|(l, t)| (l, end(t)))
        .collect()
}
