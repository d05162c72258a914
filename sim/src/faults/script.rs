//! Performs the steps that a scenario file writes down.

use std::collections::BTreeMap;
use std::time::Duration;

use seedlog::runtime::sim::disk::Rate;

use super::network::Directions;
use super::storm::Due;
use super::{Injector, Name};
use crate::cluster::ZOOKEEPER;
use crate::scenario::{Action, Selector};

/// Whom earlier steps struck, by the steps' names.
pub(super) type Bound = BTreeMap<String, Name>;

impl Injector {
    /// Performs one action; answers whom it struck first, and what is due later because of it.
    pub(super) fn act(&mut self, action: &Action, bound: &Bound) -> (Option<Name>, Vec<(Duration, Due)>) {
        let mut targets = Vec::new();
        for selector in action.selectors() {
            match self.select(selector, bound) {
                Some(name) => targets.push(name),
                None => return (None, Vec::new()),
            }
        }
        let target = targets[0].clone();
        let later = match action {
            Action::Kill(_) => self.and_done(|injector| injector.kill(&target)),
            Action::PowerFail(_) => self.and_done(|injector| injector.fail_power(&target)),
            Action::Resume(_) => self.and_done(|injector| injector.resume(&target)),
            Action::Restart(_) => self.and_done(|injector| injector.start(&target)),
            Action::DiskHeal(_) => self.and_done(|injector| injector.cure_disk(&target)),
            Action::Expire(_) => self.and_done(|injector| injector.expire_session(&target)),
            Action::Reset { .. } => self.and_done(|injector| injector.reset(&target, &targets[1])),
            Action::Pause { lasting, .. } => {
                self.pause(&target);
                undo(*lasting, Due::Resume(target.clone()))
            }
            Action::Cut { both_ways, lasting, .. } => {
                let mut directions: Directions = vec![(target.clone(), targets[1].clone())];
                if *both_ways {
                    directions.push((targets[1].clone(), target.clone()));
                }
                self.cut(&directions);
                undo(*lasting, Due::Mend(directions))
            }
            Action::DiskError { operation, lasting, .. } => {
                self.break_disk(&target, *operation, Rate::OneIn(1));
                undo(*lasting, Due::CureDisk(target.clone()))
            }
            Action::DiskFull { lasting, .. } => {
                self.fill_disk(&target);
                undo(*lasting, Due::CureDisk(target.clone()))
            }
            Action::DiskSlow { factor, lasting, .. } => {
                self.slow_disk(&target, *factor);
                undo(*lasting, Due::CureDisk(target.clone()))
            }
        };
        (Some(target), later)
    }

    fn and_done(&mut self, act: impl FnOnce(&mut Injector)) -> Vec<(Duration, Due)> {
        act(self);
        Vec::new()
    }

    fn select(&mut self, selector: &Selector, bound: &Bound) -> Option<Name> {
        match selector {
            Selector::Broker(id) => self.name_of(*id),
            Selector::Leader(partition) => {
                let leader = self.recorder.progress(|progress| progress.leader(partition));
                leader.and_then(|leader| self.name_of(leader))
            }
            Selector::ZooKeeper => Some(ZOOKEEPER.into()),
            Selector::Any => self.some_running_broker(),
            Selector::Named(name) => Some(bound.get(name).cloned().unwrap_or_else(|| name.as_str().into())),
        }
    }
}

/// What lasts until the heal has no end of its own.
fn undo(lasting: Option<Duration>, due: Due) -> Vec<(Duration, Due)> {
    lasting.map(|lasting| (lasting, due)).into_iter().collect()
}
