//! Faults that the seed draws: which kind, whom, how long, and when the next one comes.
//!
//! Drawn when they strike, each from a stream of its own; whole classes are left out by the plan, and so is what
//! would go over budget in a run that is to stay within.

mod crashes;
mod ensemble;

use std::time::Duration;

use seedlog::runtime::rng::Rng;
use seedlog::runtime::sim::rng;

use super::network::both_ways;
use super::ongoing::Ongoing;
use super::script::Later;
use super::storm::Due;
use super::{Injector, Name};
use crate::cluster::ZOOKEEPER;
use crate::history::Refusal;
use crate::scenario::{Class, Damage, Level, Plan};

pub(super) use crashes::NOTICE_EVERY;

/// The shortest time between two faults of a class.
const INTERVAL_MIN: Duration = Duration::from_millis(200);

/// How many kinds are drawn for one fault until one finds somebody to strike.
const DRAWS_MAX: u32 = 8;

/// Values that fill many segments, and one that nobody takes.
const HUGE_RECORD_BYTES: [u64; 4] = [64 << 10, 256 << 10, 1_000_000, 1 << 20];

/// When the next fault of a class at this level comes.
pub(super) fn draw_interval(draws: &mut Rng, level: Level) -> Option<Duration> {
    let mean_ms = match level {
        Level::None => return None,
        Level::Light => 6_000,
        Level::Heavy => 2_500,
    };
    Some(INTERVAL_MIN + Duration::from_millis(draws.exponential(mean_ms)))
}

/// What may be drawn in the place of `kind` in a run that must not do so much damage.
fn within(damage: Damage, kind: &'static str) -> &'static str {
    let over_budget = match kind {
        "wipe" => "kill",
        "disk-lies" | "disk-misdirects" => "disk-slow",
        "bit-flip" | "bit-rot" => "disk-sector-lost",
        _ => kind,
    };
    match damage {
        Damage::Anything => kind,
        Damage::LossOfCache => over_budget,
        Damage::NoLoss if kind == "power-failure" => "kill",
        Damage::NoLoss => over_budget,
    }
}

impl Injector {
    /// Strikes once, as the `number`-th fault of the seed; answers what is due later because of it.
    pub(super) fn strike(&mut self, class: Class, number: u64, plan: &Plan) -> Later {
        // A stream of its own: leaving out another fault does not change this one.
        self.draws = rng::world_stream(&format!("fault {number}"));
        for _ in 0..DRAWS_MAX {
            let mix = plan.chaos.mixes.get(&class);
            let Some(kind) = mix.and_then(|mix| mix.draw(class, &mut self.draws)) else { break };
            let later = self.strike_with(class, within(self.damage, kind), plan);
            if !self.stated.is_empty() || !later.is_empty() {
                return later;
            }
            // It found nobody: nothing to expire, no connection to stall, nobody who runs.
        }
        Vec::new()
    }

    fn strike_with(&mut self, class: Class, kind: &'static str, plan: &Plan) -> Later {
        self.drawn_as = kind;
        match class {
            Class::Process => self.strike_process(kind),
            Class::Network => self.strike_network(kind, plan),
            Class::Disk => self.strike_disk(kind),
            Class::Clock => self.strike_clock(kind, plan),
            Class::ZooKeeper => self.strike_zookeeper(kind, plan),
            Class::Clients => self.strike_client(kind, plan),
        }
    }

    fn strike_process(&mut self, kind: &str) -> Later {
        // Power may fail on a machine whose process is down already: its page cache goes then.
        let even_dead = kind == "power-failure" && self.draws.chance(1, 5);
        let target = if even_dead { Some(self.some_broker()) } else { self.some_running_broker() };
        let Some(target) = target else { return Vec::new() };
        match kind {
            "power-failure" => self.fail_power(&target),
            "wipe" => self.wipe(&target),
            "stop" if self.draws.chance(1, 4) => {
                let every = self.draw_lasting();
                self.drawn_as = "rolling-restart";
                return self.restart_one_by_one(&self.broker_names(), every);
            }
            "stop" => self.stop(&target),
            "reconfigure" => {
                let (key, value) = self.draw_setting();
                self.reconfigure(&target, key, &value);
                self.stop(&target);
            }
            "crash-in-disk" => return self.crash_in_disk(target),
            "crash-at-point" => return self.crash_broker_at_point(target),
            "crash-in-recovery" => return self.crash_in_recovery(target),
            "pause" => return self.pause_for_a_while(&target),
            "suspend" => return self.suspend_for_a_while(target),
            "few-descriptors" => return self.leave_few_descriptors(target),
            _ => self.kill(&target),
        }
        vec![(self.draw_downtime(), Due::Start(target))]
    }

    /// Mostly none is left, and somebody has to connect anew while the old connection still has its own.
    fn leave_few_descriptors(&mut self, target: Name) -> Later {
        let left = if self.draws.chance(7, 8) { 0 } else { self.draws.below(6) as u32 };
        self.take_descriptors(&target, left);
        if self.draws.chance(1, 2)
            && let Some(peer) = self.some_client_of(&target)
        {
            self.reset_one_end(&peer, &target);
        }
        // A new session is noted in a file.
        if self.draws.chance(1, 4) {
            self.expire_session(&target);
        }
        vec![(self.draw_lasting(), Due::End(Ongoing::FewDescriptors(target)))]
    }

    fn pause_for_a_while(&mut self, target: &Name) -> Later {
        self.pause(target);
        vec![(self.draw_pause(), Due::Resume(target.clone()))]
    }

    fn suspend_for_a_while(&mut self, target: Name) -> Later {
        self.suspend(&target);
        vec![(self.draw_pause(), Due::Resume(target))]
    }

    /// An alternative that an operator might try.
    fn draw_setting(&mut self) -> (&'static str, toml::Value) {
        let (key, values): (_, &[i64]) = match self.draws.below(4) {
            0 => ("log.segment.bytes", &[4_096, 16_384, 1 << 20]),
            1 => ("log.index.interval.bytes", &[64, 4_096]),
            2 => ("log.flush.interval.messages", &[1, 10, 1_000]),
            _ => ("zookeeper.session.timeout.ms", &[2_000, 6_000]),
        };
        (key, toml::Value::Integer(*self.draws.pick(values).expect("not empty")))
    }

    fn strike_network(&mut self, kind: &str, plan: &Plan) -> Later {
        let clients = client_names(plan);
        match kind {
            "cut" => {
                let directions = self.aimed(
                    |injector| injector.draw_cut(&clients),
                    |injector, directions| injector.speak(directions),
                );
                // A broker may have been drawn against itself.
                if directions.is_empty() {
                    return Vec::new();
                }
                self.cut(&directions);
                let lasting = self.draw_lasting();
                // Some cuts are nobody's to mend before the heal.
                let is_mended = !self.draws.chance(1, 8);
                return is_mended.then_some((lasting, Due::Mend(directions))).into_iter().collect();
            }
            "connect-refused" | "connect-unanswered" | "slow-accept" => {
                let target = if self.draws.chance(1, 3) { ZOOKEEPER.into() } else { self.some_broker() };
                let how = match kind {
                    "connect-refused" => Refusal::Refused,
                    "connect-unanswered" => Refusal::Unanswered,
                    _ => Refusal::Late,
                };
                self.refuse(&target, how);
                // Who stays connected connects to nobody.
                if self.draws.chance(5, 6)
                    && let Some(peer) = self.some_client_of(&target)
                {
                    self.reset(&peer, &target);
                }
                return vec![(self.draw_lasting(), Due::End(Ongoing::Refusal(target)))];
            }
            _ => {}
        }
        let (a, b) = self.aimed(
            |injector| injector.draw_link(&clients),
            |injector, (a, b)| injector.speak(&both_ways(a, b)),
        );
        match kind {
            "reset" => self.reset(&a, &b),
            "reset-one-end" if self.draws.chance(1, 2) => self.reset_one_end(&a, &b),
            "reset-one-end" => self.reset_one_end(&b, &a),
            "silent-drop" => self.drop_silently(&a, &b),
            "bandwidth" => return self.limit_for_a_while(a, b),
            "stall" => return self.stall_for_a_while(&a, &b),
            _ => return self.delay_for_a_while(a, b),
        }
        Vec::new()
    }

    /// A client and a broker, or either of them and ZooKeeper.
    fn draw_link(&mut self, clients: &[Name]) -> (Name, Name) {
        let broker = self.some_broker();
        let client = self.draws.pick(clients).cloned().unwrap_or_else(|| ZOOKEEPER.into());
        match self.draws.below(4) {
            0 => (ZOOKEEPER.into(), broker),
            1 if *client != *ZOOKEEPER => (client, ZOOKEEPER.into()),
            _ => (client, broker),
        }
    }

    /// Stalls some connections, and releases them one by one in an order of their own.
    fn stall_for_a_while(&mut self, a: &Name, b: &Name) -> Later {
        let count = self.stall_drawn(a, b);
        (0..count).map(|_| (self.draw_lasting(), Due::ReleaseOne(a.clone(), b.clone()))).collect()
    }

    fn delay_for_a_while(&mut self, a: Name, b: Name) -> Later {
        let links = self.draw_directions(a, b);
        let lasting = self.draw_lasting();
        let ends = links.into_iter().map(|(from, to)| {
            let floor = Duration::from_millis(self.draws.below(30));
            let mean = Duration::from_millis(self.draws.between(1, 100));
            self.delay(&from, &to, floor, mean);
            (lasting, Due::End(Ongoing::Delay(from, to)))
        });
        ends.collect()
    }

    fn strike_clock(&mut self, kind: &str, plan: &Plan) -> Later {
        let mut names: Vec<Name> = self.broker_names();
        names.extend(client_names(plan));
        if let "monotonic-drift" | "timers-late" = kind {
            return self.strike_timers(kind, &names);
        }
        names.push(ZOOKEEPER.into());
        let target = self.aimed(
            |injector| injector.draws.pick(&names).cloned().expect("a cluster has brokers"),
            |injector, target| injector.looks_at_clock(target),
        );
        match kind {
            "clock-drift" => {
                let ppm = self.draw_drift_ppm();
                self.drift_clock(&target, ppm);
            }
            "clock-strobe" => {
                let (by_ms, lasting) = (self.draw_bump_ms(), self.draw_lasting());
                return self.strobe_for(&target, by_ms, lasting);
            }
            _ => {
                let by_ms = self.draw_bump_ms();
                self.bump_clock(&target, by_ms);
            }
        }
        // Half of the clocks stay wrong until the heal.
        let is_cured = self.draws.chance(1, 2);
        let end = (self.draw_lasting(), Due::End(Ongoing::WrongClock(target)));
        is_cured.then_some(end).into_iter().collect()
    }

    /// Of anybody but the ZooKeeper server, by whose clock the simulation's sessions are counted.
    fn strike_timers(&mut self, kind: &str, names: &[Name]) -> Later {
        let target = self.aimed(
            |injector| injector.draws.pick(names).cloned().expect("a cluster has brokers"),
            |injector, target| injector.is_at_work(target),
        );
        if kind == "timers-late" {
            let grid = self.draw_timer_grid();
            self.delay_timers(&target, grid);
        } else {
            let ppm = self.draw_drift_ppm();
            self.drift_monotonic(&target, ppm);
        }
        vec![(self.draw_lasting(), Due::End(Ongoing::WrongTimers(target)))]
    }

    fn strike_client(&mut self, kind: &str, plan: &Plan) -> Later {
        let producers = self.senders(kind, plan);
        let members = member_names(plan);
        let mut candidates = match kind {
            "idle" | "burst" | "hot-key" | "huge-record" => producers,
            "leave" | "slow-consumer" | "crash-at-point" if !members.is_empty() => members,
            _ => client_names(plan),
        };
        candidates.retain(|name| self.is_running(name));
        if candidates.is_empty() {
            return Vec::new();
        }
        let target = self.aimed(
            |injector| injector.draws.pick(&candidates).cloned().expect("somebody runs"),
            |injector, target| kind != "slow-consumer" || injector.has_lately(target, &["delivered"]),
        );
        match kind {
            "idle" => self.idle(&target),
            "burst" => self.burst(&target),
            "hot-key" => self.heat_key(&target),
            "huge-record" => {
                let bytes = *self.draws.pick(&HUGE_RECORD_BYTES).expect("not empty");
                self.send_huge_record(&target, bytes);
                return Vec::new();
            }
            "client-power-failure" => {
                self.fail_power(&target);
                return vec![(self.draw_downtime(), Due::Start(target))];
            }
            "slow-consumer" => {
                let factor = self.draws.between(2, 50) as u32;
                self.slow_down(&target, factor);
                return vec![(self.draw_lasting(), Due::End(Ongoing::Slowness(target)))];
            }
            "leave" => {
                self.stop(&target);
                return vec![(self.draw_downtime(), Due::Start(target))];
            }
            "crash-at-point" => return self.crash_member_at_point(target, plan),
            "suspend" => return self.suspend_for_a_while(target),
            "pause" => return self.pause_for_a_while(&target),
            _ => {
                self.kill(&target);
                return vec![(self.draw_downtime(), Due::Start(target))];
            }
        }
        vec![(self.draw_lasting(), Due::End(Ongoing::UnusualLoad(target)))]
    }

    /// How long something lasts: from hardly noticed to longer than a session.
    pub(super) fn draw_lasting(&mut self) -> Duration {
        let longest = if self.draws.chance(1, 3) { self.session.as_millis() as u64 * 2 } else { 2_000 };
        Duration::from_millis(self.draws.between(50, longest))
    }
}

fn client_names(plan: &Plan) -> Vec<Name> {
    plan.clients().map(|name| name.as_str().into()).collect()
}

fn member_names(plan: &Plan) -> Vec<Name> {
    plan.members().map(|(name, _)| name.as_str().into()).collect()
}

/// The other members of the group that this node is one of; nobody where it is none.
fn others_of_group(member: &Name, plan: &Plan) -> Vec<Name> {
    let of_group = plan.groups.values().find(|group| group.members.contains_key(&**member));
    let members = of_group.into_iter().flat_map(|group| group.members.keys());
    members.filter(|other| ***other != **member).map(|other| other.as_str().into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_within_budget_draws_nothing_that_goes_over() {
        for class in Class::ALL {
            for (kind, _) in class.kinds() {
                let drawn = within(Damage::LossOfCache, kind);
                let over_budget = ["wipe", "disk-lies", "disk-misdirects", "bit-flip", "bit-rot"];
                assert!(!over_budget.contains(&drawn), "{kind}");
                let drawn = within(Damage::NoLoss, kind);
                assert_ne!(drawn, "power-failure");
                assert_eq!(within(Damage::Anything, kind), *kind);
            }
        }
    }
}
