//! What a story demands within a time: `"writable orders-0" = "8s after old"`.
//!
//! Words in, a [`Within`] out. Watching for it is the job of `lookout`.

use std::fmt;
use std::time::Duration;

use seedlog::types::TopicPartition;

use super::happening::{self, Happening};
use super::selector::partition;
use super::{is_name, units, words};

/// `condition` is to come true within `limit` after `since`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Within {
    pub condition: Condition,
    pub limit: Duration,
    pub since: Since,
}

/// What is to come true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A record that was appended since is acknowledged.
    Writable(TopicPartition),
    /// A record that was appended since is delivered to somebody.
    Readable(TopicPartition),
    /// A rebalance ended since, none is under way, and every partition has one living owner.
    Rebalanced(String),
    /// Everything that was stored at that time has been delivered to the group or consumer.
    CaughtUp(String),
    /// Anything that can happen, happens since.
    Happens(Happening),
}

/// When the time begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    /// The step of this name fired.
    Step(String),
    /// The storm is over: faults have stopped.
    Heal,
    /// It happened for the first time since the storm began.
    Happening(Happening),
}

/// Longest time that may be asked for.
const LIMIT_MAX: Duration = Duration::from_secs(600);

/// Words that conditions begin with, besides happenings.
pub const WORDS: &[&str] = &["writable", "readable", "rebalanced", "caught-up"];

/// Reads what is to come true.
pub fn condition(text: &str) -> Result<Condition, String> {
    let found: Vec<&str> = text.split_whitespace().collect();
    match found.as_slice() {
        ["writable", place] => partition(place).map(Condition::Writable).ok_or_else(|| no_partition(place)),
        ["readable", place] => partition(place).map(Condition::Readable).ok_or_else(|| no_partition(place)),
        ["rebalanced", group] if is_name(group) => Ok(Condition::Rebalanced((*group).to_owned())),
        ["caught-up", who] if is_name(who) => Ok(Condition::CaughtUp((*who).to_owned())),
        ["writable" | "readable", ..] => Err(format!("`{text}`: write it as `{} orders-0`", found[0])),
        ["rebalanced" | "caught-up"] => Err(format!("`{text}`: write it as `{text} billing`")),
        [word, ..] => happening::parse(text).map(Condition::Happens).map_err(|message| {
            // A condition may have been meant where no happening is near.
            match words::nearest(word, WORDS.iter().copied()) {
                Some(meant) => format!("`{word}` is nothing that can come true; did you mean `{meant}`?"),
                None => message,
            }
        }),
        [] => Err("nothing is to come true; write it as `writable orders-0`".to_owned()),
    }
}

/// Reads `8s after old`.
pub fn limit(text: &str) -> Result<(Duration, Since), String> {
    let wrong = || {
        format!(
            "`{text}` is no time limit; write it as `8s after NAME`, `8s after heal` or `8s after KIND SUBJECT`"
        )
    };
    let (time, since) = text.split_once(" after ").ok_or_else(wrong)?;
    let limit = units::duration(time.trim())?;
    if limit.is_zero() || limit > LIMIT_MAX {
        return Err(format!("a time limit is 1 ms to {} s", LIMIT_MAX.as_secs()));
    }
    let since = since.trim();
    if since.is_empty() {
        return Err(wrong());
    }
    Ok((limit, since_of(since)?))
}

/// A word that is no kind of happening is a step's name.
fn since_of(text: &str) -> Result<Since, String> {
    if text == "heal" {
        return Ok(Since::Heal);
    }
    match happening::parse(text) {
        Ok(happening) => Ok(Since::Happening(happening)),
        Err(_) if is_name(text) => Ok(Since::Step(text.to_owned())),
        Err(message) => Err(message),
    }
}

fn no_partition(text: &str) -> String {
    format!("`{text}` is no partition; write it as `orders-0`")
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Writable(partition) => write!(f, "writable {partition}"),
            Condition::Readable(partition) => write!(f, "readable {partition}"),
            Condition::Rebalanced(group) => write!(f, "rebalanced {group}"),
            Condition::CaughtUp(who) => write!(f, "caught-up {who}"),
            Condition::Happens(happening) => happening.fmt(f),
        }
    }
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Since::Step(name) => f.write_str(name),
            Since::Heal => f.write_str("heal"),
            Since::Happening(happening) => happening.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_and_limits_are_read_and_written_alike() {
        for text in
            ["writable orders-0", "readable orders-0", "rebalanced billing", "caught-up billing", "tail-cut"]
        {
            assert_eq!(condition(text).unwrap().to_string(), text);
        }
        let limit_of = |text| limit(text).unwrap();
        assert_eq!(limit_of("8s after old"), (Duration::from_secs(8), Since::Step("old".into())));
        assert_eq!(limit_of("250ms after heal").1, Since::Heal);
        assert!(matches!(limit_of("2s after session-expired billing-1").1, Since::Happening(_)));
    }

    #[test]
    fn what_cannot_come_true_is_refused() {
        for (text, hint) in [
            ("writeable orders-0", "did you mean `writable`?"),
            ("writable orders", "`orders-0`"),
            ("writable", "`writable orders-0`"),
            ("rebalanced", "`rebalanced billing`"),
            ("", "nothing is to come true"),
        ] {
            let error = condition(text).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
        for (text, hint) in
            [("8s", "`8s after NAME`"), ("0s after old", "1 ms to 600 s"), ("8 after old", "`4s`")]
        {
            let error = limit(text).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
