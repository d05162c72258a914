//! Drawn faults as written steps: what the seed did to whom, when, and until when.
//!
//! A fault that the language of steps has no words for stays drawn.

use std::time::Duration;

use toml::{Table, Value};

use crate::cluster::ZOOKEEPER;
use crate::faults::Struck;
use crate::history::{DiskOperation, Entry, Injected, Phase, Refusal, What, broker_of_node};

/// The steps of one drawn fault; `None` where a part of it cannot be written.
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
        let words = match injected {
            Injected::Kill { target } => format!("kill {}", who(target)),
            Injected::PowerFailure { target } => format!("power-fail {}", who(target)),
            Injected::Pause { target } => format!("pause {}", who(target)),
            Injected::Cut { from, to } => format!("cut {} -> {}", who(from), who(to)),
            Injected::Reset { a, b } => format!("reset {} | {}", who(a), who(b)),
            Injected::DiskError { target, operation } => {
                let operation = match operation {
                    DiskOperation::Read => "read",
                    DiskOperation::Write => "write",
                    DiskOperation::Fsync => "fsync",
                    DiskOperation::Rename => "rename",
                };
                format!("disk-error {} {operation}", who(target))
            }
            Injected::DiskFull { target } => format!("disk-full {}", who(target)),
            Injected::DiskSlow { target, factor } => format!("disk-slow {} x{factor}", who(target)),
            Injected::DiskLies { target } => format!("disk-lies {}", who(target)),
            Injected::DiskMisdirects { target } => format!("disk-misdirects {}", who(target)),
            Injected::ExpireSession { target, .. } => format!("expire {}", who(target)),
            Injected::Stop { target } => format!("stop {}", who(target)),
            Injected::Wipe { target } => format!("wipe {}", who(target)),
            Injected::CrashArmed { target, point, nth, power_failure } => {
                let death = if *power_failure { "power-crash" } else { "crash" };
                format!("{death} {} at {point} {nth}", who(target))
            }
            Injected::Stall { a, b, .. } => format!("stall {} | {}", who(a), who(b)),
            Injected::Drop { a, b } => format!("drop {} | {}", who(a), who(b)),
            Injected::Refuse { target, how } => match how {
                Refusal::Refused => format!("refuse {}", who(target)),
                Refusal::Unanswered => format!("ignore-connects {}", who(target)),
                Refusal::Late => format!("accept-late {}", who(target)),
            },
            Injected::ClockDrift { target, ppm } => format!("clock {} {ppm:+}ppm", who(target)),
            Injected::LoseReply { target, .. } => format!("lose-reply {}", who(target)),
            Injected::WatchesLate { target, millis, .. } => {
                format!("watches-late {} {millis}ms", who(target))
            }
            Injected::ReconnectStorm { .. } => "reconnect-storm".to_owned(),
            Injected::QuorumLost { .. } => "zookeeper-down".to_owned(),
            Injected::Idle { target } => format!("idle {}", who(target)),
            Injected::Burst { target } => format!("burst {}", who(target)),
            Injected::Slow { target, factor } => format!("slow {} x{factor}", who(target)),
            _ => return None,
        };
        Some(match self.lasting(injected) {
            Some(lasting) => format!("{words} for {}", duration(lasting)),
            None => words,
        })
    }

    /// How long it lasts, of what ends before the heal and has an end of its own.
    fn lasting(&self, injected: &Injected) -> Option<Duration> {
        self.until(|other| match (injected, other) {
            (Injected::Pause { target }, Injected::Resume { target: other }) => target == other,
            (Injected::Cut { from, to }, Injected::Mend { from: a, to: b }) => from == a && to == b,
            (
                Injected::DiskError { target, .. }
                | Injected::DiskFull { target }
                | Injected::DiskSlow { target, .. }
                | Injected::DiskLies { target },
                Injected::DiskHealthy { target: other },
            ) => target == other,
            (Injected::Stall { a, b, .. }, Injected::Release { a: c, b: d, .. }) => a == c && b == d,
            (Injected::Refuse { target, .. }, Injected::Accept { target: other }) => target == other,
            (Injected::ClockDrift { target, .. }, Injected::ClockRight { target: other }) => target == other,
            (Injected::WatchesLate { target, .. }, Injected::WatchesPrompt { target: other, .. }) => {
                target == other
            }
            (Injected::QuorumLost { .. }, Injected::QuorumBack { .. }) => true,
            (
                Injected::Idle { target } | Injected::Burst { target },
                Injected::UsualLoad { target: other },
            )
            | (Injected::Slow { target, .. }, Injected::UsualPace { target: other }) => target == other,
            _ => false,
        })
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
        self.until(|other| matches!(other, Injected::Start { target: other } if other == target))
    }

    fn until(&self, is_end: impl Fn(&Injected) -> bool) -> Option<Duration> {
        let storm = self.history.iter().take_while(|entry| !is_phase(entry, Phase::Heal));
        let end = storm
            .skip_while(|entry| entry.at_ns < self.at_ns)
            .find(|entry| matches!(&entry.what, What::Fault(fault) if is_end(fault)))?;
        Some(Duration::from_nanos(end.at_ns - self.at_ns))
    }
}

/// The selector of a node.
fn who(node: &str) -> String {
    match broker_of_node(node) {
        Some(broker) => format!("broker({broker})"),
        None if node == ZOOKEEPER => "zookeeper".to_owned(),
        None => format!("client({node})"),
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
        let struck = Struck { by: Origin::Drawn(3), at_ns: 1_500_000_000, did };
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
    fn every_kind_that_can_be_written_is_an_action_that_can_be_read() {
        let target: std::sync::Arc<str> = "broker-1".into();
        let t = || target.clone();
        let all = [
            Injected::DiskError { target: t(), operation: DiskOperation::Fsync },
            Injected::CrashArmed { target: t(), point: "appended".into(), nth: 2, power_failure: true },
            Injected::CrashArmed { target: t(), point: "fsync".into(), nth: 1, power_failure: false },
            Injected::DiskLies { target: t() },
            Injected::DiskMisdirects { target: t() },
            Injected::Wipe { target: t() },
            Injected::Stall { a: t(), b: "shop".into(), connections: 1 },
            Injected::Refuse { target: t(), how: Refusal::Late },
            Injected::ClockDrift { target: t(), ppm: -200 },
            Injected::WatchesLate { target: t(), session: 1, millis: 300 },
            Injected::LoseReply { target: t(), session: 1 },
            Injected::QuorumLost { target: ZOOKEEPER.into() },
            Injected::ReconnectStorm { target: ZOOKEEPER.into() },
            Injected::Burst { target: "shop".into() },
            Injected::Slow { target: "shop".into(), factor: 10 },
        ];
        for fault in all {
            let words = Story { history: &[], at_ns: 0 }.words(&fault).unwrap();
            let text = format!(
                "format = 1\nstory = \"S.\"\n[cluster]\nbrokers = 1\n[topics.orders]\n[producers.shop]\n\
                 topic = \"orders\"\n[[step]]\nat = \"1s\"\ndo = \"{words}\"\n"
            );
            crate::scenario::Scenario::parse("s", "s", &text).unwrap_or_else(|error| panic!("{error}"));
        }
    }
}
