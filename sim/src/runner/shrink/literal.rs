//! Drawn faults as written steps: what the seed did to whom, when, and until when.
//!
//! What the seed drew and struck nobody has no words, and stays drawn.

use std::time::Duration;

use toml::{Table, Value};

use super::words;
use crate::faults::Struck;
use crate::history::{Entry, Injected, Phase, What};

/// The steps of one drawn fault; `None` where it struck nobody.
///
/// `prefix` names them, so that what ends a fault can refer to its beginning.
pub fn steps(struck: &Struck, history: &[Entry], prefix: &str) -> Option<Vec<Table>> {
    let storm = storm_began(history)?;
    let after = history.iter().position(|entry| entry.at_ns >= struck.at_ns)?;
    let story = Story { history: &history[after..], at_ns: struck.at_ns };
    let mut steps = Vec::new();
    let mut told: Vec<&Injected> = Vec::new();
    for injected in &struck.did {
        let is_part_of_wipe = |did: &Injected| matches!((injected, did), (Injected::Kill { target }, Injected::Wipe { target: wiped }) if target == wiped);
        let is_told = told.contains(&injected) || struck.did.iter().any(is_part_of_wipe);
        if is_told || injected.kind().is_none() {
            continue;
        }
        let mut words = story.words(injected)?;
        if let Injected::Cut { from, to } = injected {
            let back = Injected::Cut { from: to.clone(), to: from.clone() };
            let lasts_as_long = story.lasting(&back) == story.lasting(injected);
            if let Some(back) = struck.did.iter().find(|did| **did == back && lasts_as_long) {
                told.push(back);
                words = words.replace("->", "|");
            }
        }
        let name =
            format!("{prefix}{}", if steps.is_empty() { String::new() } else { steps.len().to_string() });
        let mut step = Table::new();
        let at = Duration::from_nanos(struck.at_ns.saturating_sub(storm));
        step.insert("at".into(), Value::String(duration(at)));
        step.insert("do".into(), Value::String(words));
        if let Some(restart) = story.restart(injected) {
            step.insert("as".into(), Value::String(name.clone()));
            let mut back = Table::new();
            back.insert("after".into(), Value::String(format!("{name} + {}", duration(restart))));
            back.insert("do".into(), Value::String(format!("restart {name}")));
            steps.extend([step, back]);
        } else {
            steps.push(step);
        }
    }
    (!steps.is_empty()).then_some(steps)
}

/// A time as scenario files write it.
pub fn duration(time: Duration) -> String {
    let millis = time.as_millis();
    match millis % 1000 {
        0 if millis > 0 => format!("{}s", millis / 1000),
        _ => format!("{millis}ms"),
    }
}

/// The virtual nanosecond at which the storm began.
pub fn storm_began(history: &[Entry]) -> Option<u64> {
    history.iter().find(|entry| is_phase(entry, Phase::Storm)).map(|entry| entry.at_ns)
}

fn is_phase(entry: &Entry, phase: Phase) -> bool {
    matches!(&entry.what, What::Phase(entered) if entered.phase == phase)
}

/// What happened from a fault on.
struct Story<'a> {
    history: &'a [Entry],
    at_ns: u64,
}

impl Story<'_> {
    fn words(&self, injected: &Injected) -> Option<String> {
        let words = words::of(injected)?;
        let lasting = match injected {
            // Its step must say for how long.
            Injected::ClockStrobe { .. } => Some(self.lasting(injected).unwrap_or_else(|| self.left())),
            _ => self.lasting(injected),
        };
        Some(match lasting {
            Some(lasting) => format!("{words} for {}", duration(lasting)),
            None => words,
        })
    }

    /// What was left of the storm.
    fn left(&self) -> Duration {
        let heal = self.history.iter().find(|entry| is_phase(entry, Phase::Heal)).or(self.history.last());
        Duration::from_nanos(heal.map_or(0, |entry| entry.at_ns.saturating_sub(self.at_ns)))
    }

    /// How long it lasts, of what ends before the heal and has an end of its own.
    fn lasting(&self, injected: &Injected) -> Option<Duration> {
        if let Injected::Stall { a, b, connections } = injected {
            return self.until_released(a, b, *connections);
        }
        self.until(|other| match (injected, other) {
            (
                Injected::Pause { target } | Injected::Suspend { target },
                Injected::Resume { target: other },
            ) => target == other,
            (Injected::FewDescriptors { target, .. }, Injected::EnoughDescriptors { target: other })
            | (
                Injected::MonotonicDrift { target, .. } | Injected::TimersLate { target, .. },
                Injected::TimersRight { target: other },
            ) => target == other,
            (Injected::Cut { from, to }, Injected::Mend { from: a, to: b }) => from == a && to == b,
            (
                Injected::DiskError { target, .. }
                | Injected::DiskFull { target, .. }
                | Injected::DiskSlow { target, .. }
                | Injected::DiskHangs { target, .. }
                | Injected::DiskLies { target }
                | Injected::DiskSectorLost { target, .. },
                Injected::DiskHealthy { target: other },
            ) => target == other,
            (Injected::Delay { from, to, .. }, Injected::Prompt { from: a, to: b })
            | (Injected::Bandwidth { from, to, .. }, Injected::FullBandwidth { from: a, to: b }) => {
                from == a && to == b
            }
            (Injected::Refuse { target, .. }, Injected::Accept { target: other }) => target == other,
            (
                Injected::ClockDrift { target, .. }
                | Injected::ClockBump { target, .. }
                | Injected::ClockStrobe { target, .. },
                Injected::ClockRight { target: other },
            ) => target == other,
            (Injected::WatchesLate { target, .. }, Injected::WatchesPrompt { target: other, .. }) => {
                target == other
            }
            (Injected::Detach { session, .. }, Injected::Rejoin { session: other, .. }) => session == other,
            (Injected::ServerLags { .. }, Injected::ServerCaughtUp { .. }) => true,
            (Injected::QuorumLost { .. }, Injected::QuorumBack { .. }) => true,
            (
                Injected::Idle { target } | Injected::Burst { target } | Injected::HotKey { target },
                Injected::UsualLoad { target: other },
            )
            | (Injected::Slow { target, .. }, Injected::UsualPace { target: other }) => target == other,
            _ => false,
        })
    }

    /// Connections are released one by one; as a step, all of them with the last.
    fn until_released(&self, a: &str, b: &str, mut stalled: u32) -> Option<Duration> {
        let mut is_last = |other: &Injected| {
            if let Injected::Release { a: c, b: d, connections } = other
                && (a, b) == (&**c, &**d)
            {
                stalled = stalled.saturating_sub(*connections);
                return stalled == 0;
            }
            false
        };
        self.until(&mut is_last)
    }

    /// After how long who died was started again.
    fn restart(&self, injected: &Injected) -> Option<Duration> {
        let (Injected::Kill { target }
        | Injected::PowerFailure { target }
        | Injected::Stop { target }
        | Injected::Wipe { target }
        | Injected::CrashArmed { target, .. }) = injected
        else {
            return None;
        };
        let starts = |other: &Injected| matches!(other, Injected::Start { target: other } if other == target);
        let Injected::CrashArmed { .. } = injected else { return self.until(starts) };
        // It may have been down for another reason before.
        let armed = self.history.iter().position(|entry| entry.what == What::Fault(injected.clone()))?;
        let after = Story { history: &self.history[armed..], at_ns: self.at_ns };
        let dies = |entry: &Entry| {
            matches!(&entry.what, What::Fault(Injected::Kill { target: dead } | Injected::PowerFailure { target: dead })
                if dead == target)
        };
        let died = after.history.iter().position(dies)?;
        Story { history: &after.history[died..], at_ns: self.at_ns }.until(starts)
    }

    fn until(&self, mut is_end: impl FnMut(&Injected) -> bool) -> Option<Duration> {
        let storm = self.history.iter().take_while(|entry| !is_phase(entry, Phase::Heal));
        let end = storm
            .skip_while(|entry| entry.at_ns < self.at_ns)
            .find(|entry| matches!(&entry.what, What::Fault(fault) if is_end(fault)))?;
        Some(Duration::from_nanos(end.at_ns - self.at_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Origin;
    use crate::history::Entered;

    fn fault(millis: u64, fault: Injected) -> Entry {
        entry(millis, What::Fault(fault))
    }

    fn entry(millis: u64, what: What) -> Entry {
        Entry { at_ns: millis * 1_000_000, node: "testbed".into(), incarnation: 0, what }
    }

    fn written(did: Vec<Injected>, later: Vec<Entry>) -> Vec<String> {
        let mut history = vec![entry(500, What::Phase(Entered { phase: Phase::Storm }))];
        history.extend(did.iter().map(|did| fault(1_500, did.clone())));
        history.extend(later);
        let struck = Struck { by: Origin::Drawn(3), kind: None, at_ns: 1_500_000_000, did };
        let steps = steps(&struck, &history, "fault3").unwrap();
        let text = |step: &Table, key: &str| step.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
        steps.iter().map(|s| format!("{} {} {}", text(s, "at"), text(s, "after"), text(s, "do"))).collect()
    }

    #[test]
    fn who_dies_is_started_again_as_long_after() {
        let died = vec![Injected::Kill { target: "broker-2".into() }];
        let later = vec![fault(1_900, Injected::Start { target: "broker-2".into() })];
        assert_eq!(written(died, later), ["1s - kill broker(2)", "- fault3 + 400ms restart fault3"]);
    }

    #[test]
    fn a_cut_both_ways_is_one_step_with_its_time() {
        let (a, b) = ("broker-1", "shop");
        let cut = |from: &str, to: &str| Injected::Cut { from: from.into(), to: to.into() };
        let mend = |from: &str, to: &str| fault(2_000, Injected::Mend { from: from.into(), to: to.into() });
        let steps = written(vec![cut(a, b), cut(b, a)], vec![mend(a, b), mend(b, a)]);
        assert_eq!(steps, ["1s - cut broker(1) | client(shop) for 500ms"]);
    }

    #[test]
    fn what_only_the_heal_ends_has_no_end_of_its_own() {
        let heal = vec![
            entry(3_000, What::Phase(Entered { phase: Phase::Heal })),
            fault(3_000, Injected::Resume { target: "zookeeper".into() }),
        ];
        assert_eq!(
            written(vec![Injected::Pause { target: "zookeeper".into() }], heal),
            ["1s - pause zookeeper"]
        );
    }

    #[test]
    fn a_stall_lasts_until_the_last_of_its_connections_is_released() {
        let release = |millis| {
            fault(millis, Injected::Release { a: "shop".into(), b: "broker-1".into(), connections: 1 })
        };
        let stall = Injected::Stall { a: "shop".into(), b: "broker-1".into(), connections: 2 };
        let steps = written(vec![stall], vec![release(1_700), release(2_500)]);
        assert_eq!(steps, ["1s - stall client(shop) | broker(1) 2 for 1s"]);
    }

    #[test]
    fn delays_narrow_links_and_wrong_clocks_last_as_long_as_they_did() {
        let (a, b): (std::sync::Arc<str>, std::sync::Arc<str>) = ("broker-1".into(), "shop".into());
        let delay = Injected::Delay { from: a.clone(), to: b.clone(), floor_ms: 3, mean_ms: 40 };
        let prompt = fault(2_000, Injected::Prompt { from: a.clone(), to: b.clone() });
        let steps = written(vec![delay], vec![prompt]);
        assert_eq!(steps, ["1s - delay broker(1) -> client(shop) 3ms + 40ms for 500ms"]);

        let narrow = Injected::Bandwidth { from: a.clone(), to: b.clone(), bytes_per_second: 4096 };
        let end = fault(2_000, Injected::FullBandwidth { from: a.clone(), to: b });
        assert_eq!(
            written(vec![narrow], vec![end]),
            ["1s - limit broker(1) -> client(shop) to 4KiB/s for 500ms"]
        );

        let strobe = Injected::ClockStrobe { target: a.clone(), by_ms: -20 };
        let heal = entry(4_500, What::Phase(Entered { phase: Phase::Heal }));
        let steps = written(
            vec![strobe],
            vec![heal.clone(), fault(4_500, Injected::ClockRight { target: a.clone() })],
        );
        assert_eq!(steps, ["1s - strobe broker(1) -20ms for 3s"]);

        let bump = Injected::ClockBump { target: a.clone(), by_ms: 11 };
        let steps = written(vec![bump], vec![heal, fault(4_500, Injected::ClockRight { target: a })]);
        assert_eq!(steps, ["1s - clock broker(1) +11ms"]);
    }

    #[test]
    fn who_dies_where_a_crash_was_armed_is_started_again_after_that_death() {
        let t = || std::sync::Arc::<str>::from("broker-2");
        let armed =
            Injected::CrashArmed { target: t(), point: "log-recovered".into(), nth: 1, power_failure: false };
        let later = vec![
            fault(1_900, Injected::Start { target: t() }),
            fault(2_000, Injected::Kill { target: t() }),
            fault(2_500, Injected::Start { target: t() }),
        ];
        assert_eq!(
            written(vec![Injected::Kill { target: t() }, armed], later),
            [
                "1s - kill broker(2)",
                "- fault3 + 400ms restart fault3",
                "1s - crash broker(2) at log-recovered 1",
                "- fault32 + 1s restart fault32"
            ]
        );
    }
}
