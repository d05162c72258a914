//! Who is meant: `leader(orders-0)`, `owner(billing, orders-0)`, `minority`, a client, what a step was called.
//!
//! Words in, a [`Selector`] out. Which nodes it means is decided when the step fires.

use std::fmt;

use seedlog::types::{BrokerId, TopicPartition};

use super::is_name;

/// `leader(orders-0)` and `leader:orders-0` are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    Broker(BrokerId),
    /// Every broker.
    Brokers,
    Leader(TopicPartition),
    /// The member of the group that owns the partition.
    Owner {
        group: String,
        partition: TopicPartition,
    },
    /// Any member of the group that runs; drawn from the seed.
    Member(String),
    /// Every member of the group.
    Group(String),
    /// Every producer, consumer and group member.
    Clients,
    ZooKeeper,
    /// Any broker that runs; drawn from the seed.
    Any,
    /// Fewer than half of the brokers, as many as that allows; drawn from the seed.
    Minority,
    /// A producer, a consumer, a group member, or what an earlier step was called.
    Named(String),
    /// All of these.
    List(Vec<Selector>),
}

/// What a selector may look like, for error messages.
pub const FORMS: &str = "`broker(1)`, `broker:*`, `leader(orders-0)`, `owner(billing, orders-0)`, \
     `member(billing)`, `group(billing)`, `client(shop)`, `client:*`, `zookeeper`, `any`, `minority`, a client's \
     name or the name of an earlier step";

/// Words that selectors begin with, for suggestions.
pub const WORDS: &[&str] =
    &["broker", "leader", "owner", "member", "group", "client", "zookeeper", "any", "minority"];

/// Reads one selector, or several with commas between them.
pub fn parse(text: &str) -> Result<Selector, String> {
    let parts = super::words::split_outside_parentheses(text, |c| c == ',');
    match parts.as_slice() {
        [one] => single(one),
        [] => Err(format!("nobody is named; write {FORMS}")),
        several => Ok(Selector::List(several.iter().map(|part| single(part)).collect::<Result<_, _>>()?)),
    }
}

/// Reads `orders-0`.
pub fn partition(text: &str) -> Option<TopicPartition> {
    let (topic, partition) = text.rsplit_once('-')?;
    let partition = partition.parse().ok().filter(|&partition: &i32| partition >= 0)?;
    is_name(topic).then(|| TopicPartition::new(topic, partition))
}

fn single(text: &str) -> Result<Selector, String> {
    let wrong = || {
        let word = text.split(['(', ':']).next().unwrap_or(text);
        match super::words::nearest(word, WORDS.iter().copied()).filter(|meant| *meant != word) {
            Some(meant) => format!("`{text}` names nobody; did you mean `{meant}`?"),
            None => format!("`{text}` names nobody; write {FORMS}"),
        }
    };
    let (kind, argument) = match text.strip_suffix(')').and_then(|t| t.split_once('(')) {
        Some((kind, argument)) => (kind, Some(argument.trim())),
        None => text.split_once(':').map_or((text, None), |(kind, argument)| (kind, Some(argument))),
    };
    match (kind, argument) {
        ("broker", Some("*")) => Ok(Selector::Brokers),
        ("broker", Some(id)) => {
            id.parse().ok().filter(|&id| id >= 1).map(|id| Selector::Broker(BrokerId(id))).ok_or_else(wrong)
        }
        ("leader", Some(place)) => partition(place).map(Selector::Leader).ok_or_else(wrong),
        ("owner", Some(place)) => {
            let (group, place) = place.split_once(',').ok_or_else(wrong)?;
            let partition = partition(place.trim()).ok_or_else(wrong)?;
            Ok(Selector::Owner { group: group.trim().to_owned(), partition })
        }
        ("member", Some(group)) if is_name(group) => Ok(Selector::Member(group.to_owned())),
        ("group", Some(group)) if is_name(group) => Ok(Selector::Group(group.to_owned())),
        ("client", Some("*")) => Ok(Selector::Clients),
        ("client", Some(name)) if is_name(name) => Ok(Selector::Named(name.to_owned())),
        ("zookeeper", None) => Ok(Selector::ZooKeeper),
        ("any", None) => Ok(Selector::Any),
        ("minority", None) => Ok(Selector::Minority),
        ("controller", None) | ("isr", Some(_)) => {
            Err(format!("`{text}` cannot be named yet: there is no replication, so nobody holds that office"))
        }
        ("zookeeper", Some(_)) => Err(format!(
            "`{text}` cannot be told apart: one ZooKeeper server is simulated; write `zookeeper`"
        )),
        (name, None) if is_name(name) => Ok(Selector::Named(name.to_owned())),
        _ => Err(wrong()),
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Broker(id) => write!(f, "broker({id})"),
            Selector::Brokers => f.write_str("broker:*"),
            Selector::Leader(partition) => write!(f, "leader({partition})"),
            Selector::Owner { group, partition } => write!(f, "owner({group}, {partition})"),
            Selector::Member(group) => write!(f, "member({group})"),
            Selector::Group(group) => write!(f, "group({group})"),
            Selector::Clients => f.write_str("client:*"),
            Selector::ZooKeeper => f.write_str("zookeeper"),
            Selector::Any => f.write_str("any"),
            Selector::Minority => f.write_str("minority"),
            Selector::Named(name) => f.write_str(name),
            Selector::List(selectors) => {
                for (index, selector) in selectors.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{selector}")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_read_and_written_alike() {
        for text in [
            "broker(2)",
            "broker:*",
            "leader(orders-0)",
            "owner(billing, orders-0)",
            "member(billing)",
            "group(billing)",
            "client:*",
            "zookeeper",
            "any",
            "minority",
            "shop",
            "broker(1), owner(billing, orders-0), shop",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(parse("broker:2"), parse("broker(2)"));
        assert_eq!(parse("client(shop)"), parse("shop"));
    }

    #[test]
    fn what_names_nobody_is_refused_with_the_reason() {
        for (text, hint) in [
            ("broker(0)", "`broker(1)`"),
            ("brokr(1)", "did you mean `broker`"),
            ("leader(orders)", "`leader(orders-0)`"),
            ("owner(orders-0)", "`owner(billing, orders-0)`"),
            ("controller", "no replication"),
            ("isr:orders-0", "no replication"),
            ("zookeeper:leader", "one ZooKeeper server"),
            ("", "nobody is named"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
