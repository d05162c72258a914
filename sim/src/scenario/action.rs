//! What a step does: `power-fail leader(orders-0)`, `cut shop -> broker(1) for 3s`.
//!
//! Words in, an [`Action`] out. A new one is a variant here, its words in [`parse`] and [`FORMS`], and what it
//! does in `faults::script`.

use std::time::Duration;

use super::selector::{self, Selector};
use super::{units, words};
use crate::history::DiskOperation;

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

/// Every form of an action, for error messages.
pub const FORMS: &str = "kill WHO, power-fail WHO, pause WHO [for TIME], resume WHO, restart WHO, \
     cut WHO | WHO [for TIME], cut WHO -> WHO [for TIME], reset WHO | WHO, \
     disk-error WHO read|write|fsync|rename [for TIME], disk-full WHO [for TIME], \
     disk-slow WHO xN [for TIME], disk-heal WHO, expire WHO";

/// Largest factor by which a disk may be slowed down.
const SLOWDOWN_MAX: u32 = 1000;

/// Reads what a step does.
pub fn parse(text: &str) -> Result<Action, String> {
    let found = words::of_step(text);
    let words: Vec<&str> = found.iter().map(String::as_str).collect();
    let (words, lasting) = match words.as_slice() {
        [rest @ .., "for", time] => (rest, Some(units::duration(time)?)),
        all => (all, None),
    };
    let action = match words {
        ["pause", who] => Action::Pause { target: selector::parse(who)?, lasting },
        ["cut", a, "|", b] => cut(a, b, true, lasting)?,
        ["cut", a, "->", b] => cut(a, b, false, lasting)?,
        ["disk-error", who, operation] => Action::DiskError {
            target: selector::parse(who)?,
            operation: disk_operation(operation)?,
            lasting,
        },
        ["disk-full", who] => Action::DiskFull { target: selector::parse(who)?, lasting },
        ["disk-slow", who, factor] => {
            Action::DiskSlow { target: selector::parse(who)?, factor: slowdown(factor)?, lasting }
        }
        _ if lasting.is_some() => {
            return Err(format!("`{text}` is no action that lasts; there are: {FORMS}"));
        }
        ["kill", who] => Action::Kill(selector::parse(who)?),
        ["power-fail", who] => Action::PowerFail(selector::parse(who)?),
        ["resume", who] => Action::Resume(selector::parse(who)?),
        ["restart", who] => Action::Restart(selector::parse(who)?),
        ["reset", a, "|", b] => Action::Reset { a: selector::parse(a)?, b: selector::parse(b)? },
        ["disk-heal", who] => Action::DiskHeal(selector::parse(who)?),
        ["expire", who] => Action::Expire(selector::parse(who)?),
        _ => return Err(format!("`{text}` is no action; there are: {FORMS}")),
    };
    Ok(action)
}

fn cut(from: &str, to: &str, both_ways: bool, lasting: Option<Duration>) -> Result<Action, String> {
    Ok(Action::Cut { from: selector::parse(from)?, to: selector::parse(to)?, both_ways, lasting })
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

#[cfg(test)]
mod tests {
    use seedlog::types::{BrokerId, TopicPartition};

    use super::*;

    fn broker(id: i32) -> Selector {
        Selector::Broker(BrokerId(id))
    }

    #[test]
    fn actions_are_read_as_written() {
        assert_eq!(parse("kill broker(1)"), Ok(Action::Kill(broker(1))));
        assert_eq!(parse("kill broker:1"), Ok(Action::Kill(broker(1))));
        assert_eq!(
            parse("power-fail leader(orders-0)"),
            Ok(Action::PowerFail(Selector::Leader(TopicPartition::new("orders", 0))))
        );
        let lasting = Some(Duration::from_secs(3));
        assert_eq!(
            parse("cut client(shop) -> broker(1) for 3s"),
            Ok(Action::Cut {
                from: Selector::Named("shop".into()),
                to: broker(1),
                both_ways: false,
                lasting
            })
        );
        assert_eq!(
            parse("disk-slow any x100"),
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
            let error = parse(text).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
