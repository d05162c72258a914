//! Performs the steps that a scenario file writes down.

use std::collections::BTreeMap;
use std::time::Duration;

use seedlog::runtime::sim::world::Death;
use seedlog::zk_sim::Breaking;

use super::chaos::NOTICE_EVERY;
use super::network::Directions;
use super::ongoing::Ongoing;
use super::storm::{Due, PATIENCE, STROBE_EVERY};
use super::{Injector, Name};
use crate::cluster::ZOOKEEPER;
use crate::history::Injected;
use crate::scenario::{Action, CrashPoint, Plan, Selector};

/// Whom earlier steps struck, by the steps' names.
pub(super) type Bound = BTreeMap<String, Vec<Name>>;

/// What is due later because of a step.
pub(super) type Later = Vec<(Duration, Due)>;

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
        let mut targets = met[0].clone();
        let later = match action {
            Action::Kill(_) => self.each(&targets, Injector::kill),
            Action::PowerFail(_) => self.each(&targets, Injector::fail_power),
            Action::Resume(_) => self.each(&targets, Injector::resume),
            Action::Restart(_) => self.each(&targets, Injector::start),
            Action::DiskHeal(_) => self.each(&targets, Injector::cure_disk),
            Action::Expire(_) => self.each(&targets, Injector::expire_session),
            Action::Reset { .. } | Action::ResetOneEnd { .. } => {
                self.reset_each(action, &pairs(&targets, &met[1]))
            }
            Action::Suspend { lasting, .. } | Action::Pause { lasting, .. } => {
                let is_pause = matches!(action, Action::Pause { .. });
                self.each(&targets, if is_pause { Injector::pause } else { Injector::suspend });
                undo(&targets, *lasting, Due::Resume)
            }
            Action::Cut { both_ways, lasting, .. } => {
                let mut directions: Directions = pairs(&targets, &met[1]);
                if *both_ways {
                    directions.extend(pairs(&met[1], &targets));
                }
                self.cut_for(directions, *lasting)
            }
            Action::Stop(_) => self.each(&targets, Injector::stop),
            Action::Wipe(_) => self.each(&targets, Injector::wipe),
            Action::RollingRestart { every } => self.restart_one_by_one(&targets, *every),
            Action::Crash { point, nth, death, .. } => self.arm_crashes(&targets, point, *nth, *death),
            Action::Configure { key, value, .. } => {
                self.each(&targets, |injector, target| injector.reconfigure(target, key, value))
            }
            Action::LoseReply(_)
            | Action::CutShort { .. }
            | Action::Rejoin(_)
            | Action::LoseRegistration(_) => self.act_on_sessions(action, &targets, plan),
            Action::DiskMisdirects(_) => self.each(&targets, Injector::misdirect_write),
            Action::BitFlip { .. } | Action::BitRot { .. } | Action::Truncate { .. } => {
                targets.retain(|target| self.damage(action, target));
                Vec::new()
            }
            Action::HugeRecord { bytes, .. } => {
                self.each(&targets, |injector, target| injector.send_huge_record(target, *bytes))
            }
            Action::DiskError { lasting, .. }
            | Action::DiskFull { lasting, .. }
            | Action::DiskSlow { lasting, .. }
            | Action::DiskHangs { lasting, .. }
            | Action::DiskLies { lasting, .. }
            | Action::DiskSectorLost { lasting, .. } => {
                targets.retain(|target| self.make_ill(action, target));
                undo(&targets, *lasting, Due::CureDisk)
            }
            _ => self.act_on_surroundings(action, &mut targets, met.get(1)),
        };
        (targets, later)
    }

    fn reset_each(&mut self, action: &Action, connections: &Directions) -> Later {
        let is_whole = matches!(action, Action::Reset { .. });
        let reset = if is_whole { Injector::reset } else { Injector::reset_one_end };
        connections.iter().for_each(|(a, b)| reset(self, a, b));
        Vec::new()
    }

    /// What changes a file for good; whether it did.
    fn damage(&mut self, action: &Action, target: &Name) -> bool {
        match action {
            Action::BitFlip { at, .. } => self.flip_bit(target, at.as_ref()),
            Action::BitRot { at, .. } => self.rot_bit(target, at.as_ref()),
            Action::Truncate { at, .. } => self.truncate(target, at.as_ref()),
            other => unreachable!("{other:?} is performed elsewhere"),
        }
    }

    /// What befalls a disk until it is cured; whether it did.
    fn make_ill(&mut self, action: &Action, target: &Name) -> bool {
        match action {
            Action::DiskError { operation, failure, errno, one_in, .. } => {
                self.break_disk(target, *operation, *failure, *errno, *one_in);
            }
            Action::DiskFull { free_bytes, .. } => self.fill_disk(target, *free_bytes),
            Action::DiskSlow { factor, stalls, .. } => self.slow_disk(target, *factor, *stalls),
            Action::DiskHangs { operation, file, .. } => self.hang_disk(target, *operation, file.as_deref()),
            Action::DiskLies { .. } => self.lie_about_syncs(target),
            Action::DiskSectorLost { at, .. } => return self.lose_sector(target, at.as_ref()),
            other => unreachable!("{other:?} is performed elsewhere"),
        }
        true
    }

    /// What befalls the next requests of sessions, and what ends it.
    fn act_on_sessions(&mut self, action: &Action, targets: &[Name], plan: &Plan) -> Later {
        self.each(targets, |injector, target| match action {
            Action::CutShort { answered, broken, .. } => injector.cut_short(target, *answered, *broken),
            Action::LoseReply(_) => injector.lose_reply(target),
            Action::LoseRegistration(_) => injector.lose_registration(target, plan),
            _ => injector.rejoin_all_of(target),
        })
    }

    /// What befalls links, clocks, ZooKeeper and the load.
    fn act_on_surroundings(
        &mut self,
        action: &Action,
        targets: &mut Vec<Name>,
        others: Option<&Vec<Name>>,
    ) -> Later {
        let others = others.map_or(&[][..], Vec::as_slice);
        let (lasting, faults): (Option<Duration>, Vec<Ongoing>) = match action {
            Action::Isolate { lasting, .. } => {
                let around: Directions = targets.iter().flat_map(|target| self.around(target)).collect();
                return self.cut_for(around, *lasting);
            }
            Action::Split { lasting } => {
                let halves = self.draw_halves();
                return self.cut_for(halves, *lasting);
            }
            Action::Drop { .. } => {
                pairs(targets, others).iter().for_each(|(a, b)| self.drop_silently(a, b));
                return Vec::new();
            }
            Action::Delay { both_ways, by, mean, lasting, .. } => {
                let mut links = pairs(targets, others);
                if *both_ways {
                    links.extend(pairs(others, targets));
                }
                links.iter().for_each(|(from, to)| self.delay(from, to, *by, *mean));
                (*lasting, links.into_iter().map(|(from, to)| Ongoing::Delay(from, to)).collect())
            }
            Action::Limit { bytes_per_second, lasting, .. } => {
                let links = pairs(targets, others);
                links.iter().for_each(|(from, to)| self.limit(from, to, *bytes_per_second));
                (*lasting, links.into_iter().map(|(from, to)| Ongoing::Bandwidth(from, to)).collect())
            }
            Action::Stall { connections, lasting, .. } => {
                let mut links = pairs(targets, others);
                links.retain(|(a, b)| self.stall_some(a, b, *connections) > 0);
                targets.retain(|target| links.iter().any(|(a, _)| a == target));
                (*lasting, links.into_iter().map(|(a, b)| Ongoing::Stall(a, b)).collect())
            }
            Action::Refuse { how, lasting, .. } => {
                self.each(targets, |injector, target| injector.refuse(target, *how));
                (*lasting, ongoing(targets, Ongoing::Refusal))
            }
            Action::ClockStrobe { by_ms, lasting, .. } => {
                return targets.iter().flat_map(|t| self.strobe_for(t, *by_ms, *lasting)).collect();
            }
            Action::WatchesLate { by, lasting, .. } => {
                (*lasting, targets.iter().filter_map(|target| self.delay_watches(target, *by)).collect())
            }
            Action::Detach { reaches_others, lasting, .. } => {
                let faults = targets.iter().filter_map(|target| self.detach(target, *reaches_others));
                (*lasting, faults.collect())
            }
            _ => self.act_on_ensemble(action).unwrap_or_else(|| self.act_on_clocks_and_load(action, targets)),
        };
        let ends = lasting.into_iter().flat_map(|lasting| {
            faults.iter().map(move |fault| (lasting, Due::End(fault.clone()))).collect::<Vec<_>>()
        });
        ends.collect()
    }

    /// Of ZooKeeper as a whole; `None`: it is about something else.
    fn act_on_ensemble(&mut self, action: &Action) -> Option<(Option<Duration>, Vec<Ongoing>)> {
        Some(match action {
            Action::ReconnectStorm => {
                self.storm_of_reconnects();
                (None, Vec::new())
            }
            Action::GarbleOffset { group, partition, lasting } => {
                self.garble_offset(group, partition, *lasting);
                (None, Vec::new())
            }
            Action::BreakOff { below, answered, broken, applies, reads } => {
                let (below, answered, broken) = (below.clone(), *answered, *broken);
                self.break_registry(Breaking { below, answered, broken, applies: *applies, reads: *reads });
                (None, Vec::new())
            }
            Action::ServerLags { lasting } => (*lasting, vec![self.let_server_lag()]),
            Action::QuorumLost { lasting } => {
                self.lose_quorum();
                (*lasting, vec![Ongoing::NoQuorum])
            }
            _ => return None,
        })
    }

    fn act_on_clocks_and_load(
        &mut self,
        action: &Action,
        targets: &[Name],
    ) -> (Option<Duration>, Vec<Ongoing>) {
        match action {
            Action::ClockBump { by_ms, lasting, .. } => {
                self.each(targets, |injector, target| injector.bump_clock(target, *by_ms));
                (*lasting, ongoing(targets, Ongoing::WrongClock))
            }
            Action::ClockDrift { ppm, lasting, .. } => {
                self.each(targets, |injector, target| injector.drift_clock(target, *ppm));
                (*lasting, ongoing(targets, Ongoing::WrongClock))
            }
            Action::MonotonicDrift { ppm, lasting, .. } => {
                self.each(targets, |injector, target| injector.drift_monotonic(target, *ppm));
                (*lasting, ongoing(targets, Ongoing::WrongTimers))
            }
            Action::TimersLate { grid, lasting, .. } => {
                self.each(targets, |injector, target| injector.delay_timers(target, *grid));
                (*lasting, ongoing(targets, Ongoing::WrongTimers))
            }
            Action::FewDescriptors { left, lasting, .. } => {
                self.each(targets, |injector, target| injector.take_descriptors(target, *left));
                (*lasting, ongoing(targets, Ongoing::FewDescriptors))
            }
            Action::Idle { lasting, .. } => {
                self.each(targets, Injector::idle);
                (*lasting, ongoing(targets, Ongoing::UnusualLoad))
            }
            Action::Burst { lasting, .. } => {
                self.each(targets, Injector::burst);
                (*lasting, ongoing(targets, Ongoing::UnusualLoad))
            }
            Action::HotKey { lasting, .. } => {
                self.each(targets, Injector::heat_key);
                (*lasting, ongoing(targets, Ongoing::UnusualLoad))
            }
            Action::Slow { factor, lasting, .. } => {
                self.each(targets, |injector, target| injector.slow_down(target, *factor));
                (*lasting, ongoing(targets, Ongoing::Slowness))
            }
            other => unreachable!("{other:?} is performed elsewhere"),
        }
    }

    /// One after the other is asked to end, and started again half of `every` later.
    pub(super) fn restart_one_by_one(&mut self, brokers: &[Name], every: Duration) -> Later {
        let every_ms = every.as_millis() as u32;
        self.state(Injected::RollingRestart { target: brokers[0].clone(), every_ms });
        let turn = |(nth, broker): (usize, &Name)| {
            let at = every * nth as u32;
            [(at, Due::Stop(broker.clone())), (at + every / 2, Due::Start(broker.clone()))]
        };
        brokers.iter().enumerate().flat_map(turn).collect()
    }

    /// Nobody brings them back but a step, or the heal.
    fn arm_crashes(&mut self, targets: &[Name], point: &CrashPoint, nth: u32, death: Death) -> Later {
        self.each(targets, |injector, target| injector.arm_crash(target, point, nth, death));
        let look = |target: &Name| Due::ArmedCrash { target: target.clone(), looks_left: None };
        targets.iter().map(|target| (NOTICE_EVERY, look(target))).collect()
    }

    fn cut_for(&mut self, directions: Directions, lasting: Option<Duration>) -> Later {
        self.cut(&directions);
        lasting.map(|lasting| (lasting, Due::Mend(directions))).into_iter().collect()
    }

    /// The clock jumps there and back for so long, and is right after that.
    pub(super) fn strobe_for(&mut self, target: &Name, by_ms: i64, lasting: Duration) -> Later {
        self.begin_strobe(target, by_ms);
        // The end of the fault ends it, which may come late.
        let jumps_left = ((lasting + PATIENCE).as_millis() / STROBE_EVERY.as_millis()) as u32;
        let strobe = Due::Strobe { target: target.clone(), by_ms, jumps_left };
        vec![(Duration::ZERO, strobe), (lasting, Due::End(Ongoing::WrongClock(target.clone())))]
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

fn ongoing(targets: &[Name], fault: impl Fn(Name) -> Ongoing) -> Vec<Ongoing> {
    targets.iter().cloned().map(fault).collect()
}

/// What lasts until the heal has no end of its own.
fn undo(targets: &[Name], lasting: Option<Duration>, end: impl Fn(Name) -> Due) -> Later {
    lasting
        .into_iter()
        .flat_map(|lasting| targets.iter().map(move |t| (lasting, t.clone())))
        .map(|(l, t)| (l, end(t)))
        .collect()
}
