//! The language of steps: `power-fail leader(orders-0)`, `cut shop -> broker(1) for 3s`.
//!
//! Words in, an [`Action`] out. Which node a selector means is decided when the step fires.

use std::fmt;
use std::time::Duration;

use seedlog::types::{BrokerId, TopicPartition};

use super::units;
use crate::history::DiskOperation;

/// One written fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub trigger: Trigger,
    pub action: Action,
    /// What later steps call the node that this one struck.
    pub name: Option<String>,
    /// As written, for people.
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// This long after the storm began.
    At(Duration),
    /// This long after the step of this name fired.
    After { step: String, delay: Duration },
}

/// Who is meant. `leader(orders-0)` and `leader:orders-0` are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    Broker(BrokerId),
    Leader(TopicPartition),
    ZooKeeper,
    /// Any broker that runs; drawn from the seed.
    Any,
    /// A producer or consumer, or what an earlier step was called.
    Named(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Kill(Selector),
    PowerFail(Selector),
    Pause { target: Selector, lasting: Option<Duration> },
    Resume(Selector),
    Restart(Selector),
    Cut { from: Selector, to: Selector, both_ways: bool, lasting: Option<Duration> },
    Reset { a: Selector, b: Selector },
    DiskError { target: Selector, operation: DiskOperation, lasting: Option<Duration> },
    DiskFull { target: Selector, lasting: Option<Duration> },
    DiskSlow { target: Selector, factor: u32, lasting: Option<Duration> },
    DiskHeal(Selector),
    Expire(Selector),
}

const ACTIONS: &str = "kill WHO, power-fail WHO, pause WHO [for TIME], resume WHO, restart WHO, \
     cut WHO | WHO [for TIME], cut WHO -> WHO [for TIME], reset WHO | WHO, \
     disk-error WHO read|write|fsync|rename [for TIME], disk-full WHO [for TIME], \
     disk-slow WHO xN [for TIME], disk-heal WHO, expire WHO";

/// Largest factor by which a disk may be slowed down.
const SLOWDOWN_MAX: u32 = 1000;

/// Reads what a step does.
pub fn action(text: &str) -> Result<Action, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (words, lasting) = match words.as_slice() {
        [rest @ .., "for", time] => (rest, Some(units::duration(time)?)),
        all => (all, None),
    };
    let found = match words {
        ["pause", who] => Action::Pause { target: selector(who)?, lasting },
        ["cut", a, "|", b] => cut(a, b, true, lasting)?,
        ["cut", a, "->", b] => cut(a, b, false, lasting)?,
        ["disk-error", who, operation] => {
            Action::DiskError { target: selector(who)?, operation: disk_operation(operation)?, lasting }
        }
        ["disk-full", who] => Action::DiskFull { target: selector(who)?, lasting },
        ["disk-slow", who, factor] => {
            Action::DiskSlow { target: selector(who)?, factor: slowdown(factor)?, lasting }
        }
        _ if lasting.is_some() => {
            return Err(format!("`{text}` is no action that lasts; there are: {ACTIONS}"));
        }
        ["kill", who] => Action::Kill(selector(who)?),
        ["power-fail", who] => Action::PowerFail(selector(who)?),
        ["resume", who] => Action::Resume(selector(who)?),
        ["restart", who] => Action::Restart(selector(who)?),
        ["reset", a, "|", b] => Action::Reset { a: selector(a)?, b: selector(b)? },
        ["disk-heal", who] => Action::DiskHeal(selector(who)?),
        ["expire", who] => Action::Expire(selector(who)?),
        _ => return Err(format!("`{text}` is no action; there are: {ACTIONS}")),
    };
    Ok(found)
}

/// Reads `NAME + TIME`.
pub fn after(text: &str) -> Result<Trigger, String> {
    let wrong = || format!("`{text}` names no moment; write it as `NAME + 2s`");
    let (step, delay) = text.split_once('+').ok_or_else(wrong)?;
    let step = step.trim();
    if !is_name(step) {
        return Err(wrong());
    }
    Ok(Trigger::After { step: step.to_owned(), delay: units::duration(delay.trim())? })
}

/// Whether `text` may name a step, a topic or a client.
pub fn is_name(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
    (1..=64).contains(&text.len()) && text.chars().all(is_word)
}

fn cut(from: &str, to: &str, both_ways: bool, lasting: Option<Duration>) -> Result<Action, String> {
    Ok(Action::Cut { from: selector(from)?, to: selector(to)?, both_ways, lasting })
}

fn slowdown(text: &str) -> Result<u32, String> {
    let factor = text.strip_prefix('x').and_then(|n| n.parse().ok());
    factor
        .filter(|factor| (2..=SLOWDOWN_MAX).contains(factor))
        .ok_or_else(|| format!("`{text}` is no slowdown; write it as `x100` (x2 to x{SLOWDOWN_MAX})"))
}

fn disk_operation(text: &str) -> Result<DiskOperation, String> {
    match text {
        "read" => Ok(DiskOperation::Read),
        "write" => Ok(DiskOperation::Write),
        "fsync" => Ok(DiskOperation::Fsync),
        "rename" => Ok(DiskOperation::Rename),
        _ => Err(format!("`{text}` is no disk operation; there are read, write, fsync and rename")),
    }
}

fn selector(text: &str) -> Result<Selector, String> {
    let wrong = || {
        format!(
            "`{text}` names nobody; write `broker(1)`, `leader(orders-0)`, `client(shop)`, `zookeeper`, `any` or \
             the name of an earlier step"
        )
    };
    let (kind, argument) = match text.strip_suffix(')').and_then(|t| t.split_once('(')) {
        Some((kind, argument)) => (kind, Some(argument)),
        None => text.split_once(':').map_or((text, None), |(kind, argument)| (kind, Some(argument))),
    };
    match (kind, argument) {
        ("broker", Some(id)) => {
            id.parse().ok().filter(|&id| id >= 1).map(|id| Selector::Broker(BrokerId(id))).ok_or_else(wrong)
        }
        ("leader", Some(place)) => {
            let (topic, partition) = place.rsplit_once('-').ok_or_else(wrong)?;
            let partition = partition.parse().map_err(|_| wrong())?;
            Ok(Selector::Leader(TopicPartition::new(topic, partition)))
        }
        ("client", Some(name)) if is_name(name) => Ok(Selector::Named(name.to_owned())),
        ("zookeeper", None) => Ok(Selector::ZooKeeper),
        ("any", None) => Ok(Selector::Any),
        (name, None) if is_name(name) => Ok(Selector::Named(name.to_owned())),
        _ => Err(wrong()),
    }
}

impl Action {
    /// Everyone whom the action names.
    pub fn selectors(&self) -> Vec<&Selector> {
        match self {
            Action::Kill(who)
            | Action::PowerFail(who)
            | Action::Resume(who)
            | Action::Restart(who)
            | Action::DiskHeal(who)
            | Action::Expire(who) => vec![who],
            Action::Pause { target, .. }
            | Action::DiskError { target, .. }
            | Action::DiskFull { target, .. }
            | Action::DiskSlow { target, .. } => vec![target],
            Action::Cut { from, to, .. } => vec![from, to],
            Action::Reset { a, b } => vec![a, b],
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Broker(id) => write!(f, "broker({id})"),
            Selector::Leader(partition) => write!(f, "leader({partition})"),
            Selector::ZooKeeper => f.write_str("zookeeper"),
            Selector::Any => f.write_str("any"),
            Selector::Named(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(id: i32) -> Selector {
        Selector::Broker(BrokerId(id))
    }

    #[test]
    fn actions_are_read_as_written() {
        assert_eq!(action("kill broker(1)"), Ok(Action::Kill(broker(1))));
        assert_eq!(action("kill broker:1"), Ok(Action::Kill(broker(1))));
        assert_eq!(
            action("power-fail leader(orders-0)"),
            Ok(Action::PowerFail(Selector::Leader(TopicPartition::new("orders", 0))))
        );
        let lasting = Some(Duration::from_secs(3));
        assert_eq!(
            action("cut client(shop) -> broker(1) for 3s"),
            Ok(Action::Cut {
                from: Selector::Named("shop".into()),
                to: broker(1),
                both_ways: false,
                lasting
            })
        );
        assert_eq!(
            action("disk-slow any x100"),
            Ok(Action::DiskSlow { target: Selector::Any, factor: 100, lasting: None })
        );
    }

    #[test]
    fn what_is_no_action_is_refused_with_what_would_be_right() {
        for (text, hint) in [
            ("kil broker(1)", "power-fail WHO"),
            ("kill", "kill WHO"),
            ("kill broker(0)", "`broker(1)`"),
            ("kill brokr(1)", "`broker(1)`"),
            ("restart old for 2s", "no action that lasts"),
            ("pause broker(1) for ever", "`4s`"),
            ("disk-slow any 100", "`x100`"),
            ("disk-error any open", "fsync"),
            ("kill leader(orders)", "`leader(orders-0)`"),
        ] {
            let error = action(text).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn a_moment_after_a_step_has_a_name_and_a_delay() {
        let delay = Duration::from_secs(2);
        assert_eq!(after("old + 2s"), Ok(Trigger::After { step: "old".into(), delay }));
        assert!(after("old").is_err());
        assert!(after("+ 2s").is_err());
    }
}
