//! Drawn faults as written steps: what the seed did to whom, when, and until when.
//!
//! A fault that the language of steps has no words for stays drawn.

use std::time::Duration;

use toml::{Table, Value};

use crate::cluster::ZOOKEEPER;
use crate::faults::Struck;
use crate::history::{DiskOperation, Entry, Injected, Phase, What, broker_of_node};

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
        if told.contains(&injected) || injected.kind().is_none() {
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
            Injected::ExpireSession { target, .. } => format!("expire {}", who(target)),
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
                | Injected::DiskSlow { target, .. },
                Injected::DiskHealthy { target: other },
            ) => target == other,
            _ => false,
        })
    }

    /// After how long who died was started again.
    fn restart(&self, injected: &Injected) -> Option<Duration> {
        let (Injected::Kill { target } | Injected::PowerFailure { target }) = injected else { return None };
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
