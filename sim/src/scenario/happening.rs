//! What may happen in a run: `log-recovered broker-1`, `acked orders-0 17`, `3rd rebalanced billing`.
//!
//! A happening is a kind of fact or of fault, or one of a few marks that are narrower than a kind; whom it
//! concerns; from which offset on; and how often. Steps wait for them, and scenarios demand them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use seedlog::facts::Fact;
use seedlog::types::{Offset, SessionId};

use super::words;
use crate::history::{Entry, Injected, What};

/// A kind, everyone and everything it must concern, and how often it is to be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    kind: String,
    /// Nodes, clients, groups, topics or partitions.
    subjects: Vec<String>,
    /// At this offset or a later one.
    offset: Option<Offset>,
    count: u32,
}

/// Kinds of facts.
pub const KINDS: &[&str] = &[
    "broker-registered",
    "broker-start-failed",
    "broker-stopped",
    "log-recovered",
    "unsound-tail-cut",
    "became-leader",
    "appended",
    "flushed",
    "truncated",
    "segment-rolled",
    "log-dir-failed",
    "send-invoked",
    "send-ok",
    "send-failed",
    "send-unknown",
    "send-retried",
    "assigned",
    "seeked",
    "delivered",
    "finished",
    "processed",
    "corrupt-skipped",
    "position-reset",
    "offset-fetched",
    "commit-invoked",
    "commit-failed",
    "commit-ok",
    "group-session-lost",
    "group-left",
    "group-joined",
    "delivery-resumed",
    "delivery-paused",
    "partition-released",
    "partition-owned",
    "rebalance-finished",
    "rebalance-failed",
    "rebalance-conflict",
    "rebalance-started",
    "session-opened",
    "session-expired",
];

/// Shorter words, and the kinds that they stand for.
pub const SHORT: &[(&str, &str)] = &[
    ("acked", "send-ok"),
    ("committed", "commit-ok"),
    ("owned", "partition-owned"),
    ("released", "partition-released"),
    ("rebalanced", "rebalance-finished"),
    ("registered", "broker-registered"),
    ("recovered", "log-recovered"),
    ("joined", "group-joined"),
    ("left", "group-left"),
];

pub const MARKS: &[&str] = &[
    // Recovery cut bytes off the end of a log.
    "tail-cut",
    // A broker registered again in the same incarnation: its session had expired.
    "registered-again",
];

/// Kinds that are about an offset.
const WITH_OFFSET: &[&str] = &[
    "appended",
    "flushed",
    "send-ok",
    "delivered",
    "finished",
    "processed",
    "commit-invoked",
    "commit-ok",
    "commit-failed",
    "offset-fetched",
];

/// States of a replicated partition, which nothing has yet.
const STATES: &[&str] = &["isr", "high-watermark", "controller", "leader-epoch"];

/// How often something may be waited for; more is a slip of the pen.
const COUNT_MAX: u32 = 1_000_000;

/// Whether facts of this kind are stated.
pub fn is_kind_of_fact(kind: &str) -> bool {
    KINDS.contains(&kind)
}

/// Reads `[Nth] KIND [SUBJECT...] [OFFSET] [xN]`.
pub fn parse(text: &str) -> Result<Happening, String> {
    let all: Vec<&str> = text.split_whitespace().collect();
    if let Some(state) = all.first().filter(|word| STATES.contains(*word)) {
        return Err(format!(
            "`{state}` is a state of a replicated partition, and there is no replication yet"
        ));
    }
    let (ordinal, rest) = match all.as_slice() {
        [first, rest @ ..] if first.starts_with(|c: char| c.is_ascii_digit()) => (Some(nth(first)?), rest),
        rest => (None, rest),
    };
    let (times, rest) = match rest {
        [rest @ .., last] if is_times(last) => (Some(count(&last[1..], last)?), rest),
        rest => (None, rest),
    };
    let [word, rest @ ..] = rest else {
        return Err(format!(
            "`{text}` is no happening; write it as `KIND`, `KIND SUBJECT` or `3rd KIND SUBJECT`"
        ));
    };
    let kind = kind_of(word)?;
    let (offset, subjects) = match rest {
        [subjects @ .., last] if last.bytes().all(|byte| byte.is_ascii_digit()) => (Some(*last), subjects),
        subjects => (None, subjects),
    };
    if let Some(offset) = offset.filter(|_| !WITH_OFFSET.contains(&kind)) {
        let hint = format!("write `{word} ... x{offset}` for the {offset}th time");
        return Err(format!("`{word}` is not about an offset, so `{offset}` means nothing; {hint}"));
    }
    if ordinal.is_some() && times.is_some() {
        return Err(format!("`{text}` counts twice; write `3rd` or `x3`, not both"));
    }
    Ok(Happening {
        kind: kind.to_owned(),
        subjects: subjects.iter().map(|&subject| subject.to_owned()).collect(),
        offset: offset
            .map(|text| text.parse().map(Offset))
            .transpose()
            .map_err(|_| "the offset is too large")?,
        count: ordinal.or(times).unwrap_or(1),
    })
}

fn kind_of(word: &str) -> Result<&str, String> {
    if let Some((_, kind)) = SHORT.iter().find(|(short, _)| *short == word) {
        return Ok(kind);
    }
    let known = || {
        let short = SHORT.iter().map(|(short, _)| *short);
        short.chain(MARKS.iter().copied()).chain(KINDS.iter().copied()).chain(Injected::KINDS.iter().copied())
    };
    if known().any(|kind| kind == word) {
        return Ok(word);
    }
    let hint = words::did_you_mean(word, known());
    let known: Vec<&str> = known().collect();
    let list = if hint.is_empty() { format!("; there are: {}", known.join(", ")) } else { hint };
    Err(format!("`{word}` is nothing that can happen{list}"))
}

/// `3rd`, `1st`, `12th`.
fn nth(word: &str) -> Result<u32, String> {
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    match &word[digits.len()..] {
        "st" | "nd" | "rd" | "th" => count(digits, word),
        _ => Err(format!("`{word}` counts nothing; write it as `3rd`")),
    }
}

fn is_times(word: &str) -> bool {
    word.strip_prefix('x').is_some_and(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
}

fn count(digits: &str, word: &str) -> Result<u32, String> {
    let count = digits.parse().ok().filter(|count| (1..=COUNT_MAX).contains(count));
    count.ok_or_else(|| format!("`{word}` counts nothing; 1 to {COUNT_MAX} times"))
}

impl Happening {
    /// Whether the history has it.
    pub fn is_in(&self, history: &[Entry]) -> bool {
        let (mut known, mut watch) = (Known::default(), Watch::new(self));
        history.iter().any(|entry| {
            let seen = watch.sees(entry, &known);
            known.observe(entry);
            seen
        })
    }

    /// Nodes, clients, groups, topics and partitions that it names.
    pub fn subjects(&self) -> &[String] {
        &self.subjects
    }

    fn is_shown_by(&self, entry: &Entry, known: &Known) -> bool {
        let is_kind = match &entry.what {
            What::Fact(fact) => match (self.kind.as_str(), fact) {
                ("tail-cut", Fact::LogRecovered { bytes_cut, .. }) => *bytes_cut > 0,
                ("registered-again", Fact::BrokerRegistered { .. }) => {
                    known.registered.contains(&(Arc::clone(&entry.node), entry.incarnation))
                }
                (kind, fact) => fact.kind() == kind,
            },
            What::Fault(fault) => fault.kind() == Some(self.kind.as_str()),
            What::Phase(_) | What::Seen(_) => false,
        };
        is_kind
            && self.subjects.iter().all(|subject| known.concerns(entry, subject))
            && self.offset.is_none_or(|offset| reached_offset(entry).is_some_and(|at| at >= offset))
    }
}

/// The latest offset that a fact is about.
fn reached_offset(entry: &Entry) -> Option<Offset> {
    let What::Fact(fact) = &entry.what else { return None };
    match fact {
        Fact::Appended { last, .. } => Some(*last),
        Fact::Flushed { end, .. } => end.0.checked_sub(1).map(Offset),
        Fact::SendOk { offset, .. } | Fact::OffsetFetched { offset, .. } => *offset,
        Fact::Delivered { offset, .. }
        | Fact::Finished { offset, .. }
        | Fact::Processed { offset, .. }
        | Fact::CommitInvoked { offset, .. }
        | Fact::CommitOk { offset, .. }
        | Fact::CommitFailed { offset, .. } => Some(*offset),
        _ => None,
    }
}

/// What earlier entries tell about names: whose session it is, who belongs to which group.
#[derive(Clone, Debug, Default)]
pub struct Known {
    sessions: BTreeMap<SessionId, Arc<str>>,
    groups: BTreeMap<Arc<str>, String>,
    registered: BTreeSet<(Arc<str>, u32)>,
}

impl Known {
    pub fn observe(&mut self, entry: &Entry) {
        let What::Fact(fact) = &entry.what else { return };
        match fact {
            Fact::BrokerRegistered { session, .. } => {
                self.sessions.insert(*session, Arc::clone(&entry.node));
                self.registered.insert((Arc::clone(&entry.node), entry.incarnation));
            }
            Fact::GroupJoined { session, group, .. } => {
                self.sessions.insert(*session, Arc::clone(&entry.node));
                self.groups.insert(Arc::clone(&entry.node), group.clone());
            }
            _ => {}
        }
    }

    /// The node whose session it is.
    pub fn holder(&self, session: SessionId) -> Option<&Arc<str>> {
        self.sessions.get(&session)
    }

    /// The group that the node is a member of.
    pub fn group(&self, node: &str) -> Option<&str> {
        self.groups.get(node).map(String::as_str)
    }

    fn concerns(&self, entry: &Entry, subject: &str) -> bool {
        match &entry.what {
            What::Fault(fault) => fault.targets().iter().any(|target| self.is_meant(target, subject)),
            What::Phase(_) | What::Seen(_) => false,
            What::Fact(Fact::GroupJoined { group, .. }) if group == subject => true,
            What::Fact(Fact::SessionExpired { session }) => {
                self.holder(*session).is_some_and(|holder| self.is_meant(holder, subject))
            }
            What::Fact(fact) => {
                let partition = fact.partition();
                self.is_meant(&entry.node, subject)
                    || partition.is_some_and(|p| *p.topic == *subject || p.to_string() == subject)
            }
        }
    }

    /// Whether the node is meant, by its name or its group's.
    fn is_meant(&self, node: &Arc<str>, subject: &str) -> bool {
        **node == *subject || self.groups.get(node).is_some_and(|group| group == subject)
    }
}

/// Counts how often a happening was seen.
#[derive(Clone, Debug)]
pub struct Watch {
    happening: Happening,
    seen: u32,
}

impl Watch {
    pub fn new(happening: &Happening) -> Watch {
        Watch { happening: happening.clone(), seen: 0 }
    }

    /// Whether it has now happened as often as it must. `known` holds what was stated before.
    pub fn sees(&mut self, entry: &Entry, known: &Known) -> bool {
        let is_seen = self.happening.is_shown_by(entry, known);
        self.seen += u32::from(is_seen);
        is_seen && self.seen == self.happening.count
    }
}

impl std::fmt::Display for Happening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.kind)?;
        self.subjects.iter().try_for_each(|subject| write!(f, " {subject}"))?;
        self.offset.iter().try_for_each(|offset| write!(f, " {offset}"))?;
        if self.count > 1 { write!(f, " x{}", self.count) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use seedlog::types::{BrokerId, SessionId, TopicPartition};

    use super::*;

    fn entry(node: &str, incarnation: u32, fact: Fact) -> Entry {
        Entry { at_ns: 0, node: node.into(), incarnation, what: What::Fact(fact) }
    }

    fn registered(node: &str, incarnation: u32) -> Entry {
        entry(node, incarnation, Fact::BrokerRegistered { broker: BrokerId(1), session: SessionId(7) })
    }

    fn acked(offset: i64) -> Entry {
        let (partition, offset) = (TopicPartition::new("orders", 0), Some(Offset(offset)));
        entry("shop", 1, Fact::SendOk { producer: "shop".into(), seq: 0, partition, offset })
    }

    fn has(text: &str, history: &[Entry]) -> bool {
        parse(text).unwrap().is_in(history)
    }

    #[test]
    fn a_kind_of_fact_happens_where_a_node_states_it() {
        let history = [registered("broker-1", 1)];
        assert!(has("broker-registered", &history));
        assert!(has("registered broker-1", &history));
        assert!(!has("broker-registered broker-2", &history));
        assert!(!has("log-dir-failed", &history));
    }

    #[test]
    fn registering_in_a_new_incarnation_is_not_registering_again() {
        let again = "registered-again broker-1";
        assert!(!has(again, &[registered("broker-1", 1), registered("broker-1", 2)]));
        assert!(has(again, &[registered("broker-1", 2), registered("broker-1", 2)]));
    }

    #[test]
    fn an_offset_is_reached_by_a_later_one_too() {
        let history = [acked(3), acked(5)];
        assert!(has("acked orders-0 4", &history));
        assert!(has("acked shop orders 5", &history));
        assert!(!has("acked orders-0 6", &history));
        assert!(!has("acked orders-1 3", &history));
    }

    #[test]
    fn a_count_is_written_before_or_behind() {
        let history = [acked(0), acked(1)];
        assert!(has("2nd acked orders-0", &history));
        assert!(has("acked orders-0 x2", &history));
        assert!(!has("3rd acked", &history));
        assert!(!has("acked orders-0 1 x2", &history));
    }

    #[test]
    fn a_session_is_its_holders_and_a_member_its_groups() {
        let joined = Fact::GroupJoined {
            group: "billing".into(),
            consumer: "billing-1".into(),
            session: SessionId(9),
            subscription: BTreeMap::new(),
        };
        let expired = entry("zookeeper", 1, Fact::SessionExpired { session: SessionId(9) });
        let history = [entry("billing-1", 1, joined), expired];
        assert!(has("session-expired billing-1", &history));
        assert!(has("session-expired billing", &history));
        assert!(!has("session-expired billing-2", &history));
        assert!(has("joined billing billing-1", &history));
    }

    #[test]
    fn every_kind_is_one_that_facts_have() {
        for kind in KINDS {
            let json = format!(r#"{{"fact":"{kind}"}}"#);
            let error = serde_json::from_str::<Fact>(&json).unwrap_err().to_string();
            assert!(error.contains("missing field"), "{kind}: {error}");
        }
    }

    #[test]
    fn a_happening_is_written_as_it_can_be_read() {
        for text in ["acked orders-0 17", "3rd rebalanced billing", "tail-cut", "power-failure broker-1 x2"] {
            let happening = parse(text).unwrap();
            assert_eq!(parse(&happening.to_string()), Ok(happening));
        }
    }

    #[test]
    fn what_cannot_happen_is_refused() {
        for (text, hint) in [
            ("log-recoverd", "did you mean `log-recovered`?"),
            ("", "is no happening"),
            ("isr orders-0 = 1", "there is no replication yet"),
            ("rebalanced billing 3", "write `rebalanced ... x3`"),
            ("3 acked", "write it as `3rd`"),
            ("2nd acked x2", "counts twice"),
            ("acked x0", "1 to 1000000 times"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
