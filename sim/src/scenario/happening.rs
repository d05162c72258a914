//! What a story demands to have happened: `log-recovered broker-1`, `tail-cut`, `send-retried shop`.
//!
//! A happening is a kind of fact, or one of a few marks that are narrower than a kind, with an optional subject.

use seedlog::facts::Fact;

use crate::history::{Entry, What};

/// The kind, and optionally who or what it concerns: a node, a client or a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    kind: String,
    subject: Option<String>,
}

const KINDS: &[&str] = &[
    "broker-registered",
    "broker-start-failed",
    "broker-stopped",
    "log-recovered",
    "became-leader",
    "appended",
    "flushed",
    "truncated",
    "segment-rolled",
    "log-dir-failed",
    "send-ok",
    "send-failed",
    "send-unknown",
    "send-retried",
    "delivered",
    "session-expired",
    "corrupt-skipped",
    "position-reset",
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
];

const MARKS: [&str; 2] = [
    // Recovery cut bytes off the end of a log.
    "tail-cut",
    // A broker registered again in the same life: its session had expired.
    "registered-again",
];

/// Reads `KIND [SUBJECT]`.
pub fn parse(text: &str) -> Result<Happening, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (kind, subject) = match words.as_slice() {
        [kind] => (*kind, None),
        [kind, subject] => (*kind, Some((*subject).to_owned())),
        _ => return Err(format!("`{text}` is no happening; write it as `KIND` or `KIND SUBJECT`")),
    };
    if !KINDS.contains(&kind) && !MARKS.contains(&kind) {
        let known = [MARKS.as_slice(), KINDS].concat().join(", ");
        return Err(format!("`{kind}` is nothing that can happen; there are: {known}"));
    }
    Ok(Happening { kind: kind.to_owned(), subject })
}

impl Happening {
    /// Whether the history has it.
    pub fn is_in(&self, history: &[Entry]) -> bool {
        let mut earlier: Vec<&Entry> = Vec::new();
        history.iter().filter(|entry| matches!(entry.what, What::Fact(_))).any(|entry| {
            let found = self.concerns(entry) && self.is_shown_by(entry, &earlier);
            if self.kind == "registered-again"
                && matches!(entry.what, What::Fact(Fact::BrokerRegistered { .. }))
            {
                earlier.push(entry);
            }
            found
        })
    }

    fn is_shown_by(&self, entry: &Entry, registrations: &[&Entry]) -> bool {
        let What::Fact(fact) = &entry.what else { return false };
        match (self.kind.as_str(), fact) {
            ("tail-cut", Fact::LogRecovered { bytes_cut, .. }) => *bytes_cut > 0,
            ("registered-again", Fact::BrokerRegistered { .. }) => registrations
                .iter()
                .any(|earlier| earlier.node == entry.node && earlier.incarnation == entry.incarnation),
            _ => fact.kind() == self.kind,
        }
    }

    fn concerns(&self, entry: &Entry) -> bool {
        let Some(subject) = &self.subject else { return true };
        let What::Fact(fact) = &entry.what else { return false };
        *entry.node == **subject
            || fact.partition().is_some_and(|partition| partition.to_string() == *subject)
    }
}

impl std::fmt::Display for Happening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.kind)?;
        self.subject.iter().try_for_each(|subject| write!(f, " {subject}"))
    }
}

#[cfg(test)]
mod tests {
    use seedlog::types::BrokerId;

    use super::*;

    fn registered(node: &str, incarnation: u32) -> Entry {
        let fact = Fact::BrokerRegistered { broker: BrokerId(1), session: 7 };
        Entry { at_ns: 0, node: node.into(), incarnation, what: What::Fact(fact) }
    }

    #[test]
    fn a_kind_of_fact_happens_where_a_node_states_it() {
        let history = [registered("broker-1", 1)];
        assert!(parse("broker-registered").unwrap().is_in(&history));
        assert!(parse("broker-registered broker-1").unwrap().is_in(&history));
        assert!(!parse("broker-registered broker-2").unwrap().is_in(&history));
        assert!(!parse("log-dir-failed").unwrap().is_in(&history));
    }

    #[test]
    fn registering_in_a_new_life_is_not_registering_again() {
        let again = parse("registered-again broker-1").unwrap();
        assert!(!again.is_in(&[registered("broker-1", 1), registered("broker-1", 2)]));
        assert!(again.is_in(&[registered("broker-1", 2), registered("broker-1", 2)]));
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
    fn what_cannot_happen_is_refused() {
        assert!(parse("log-recoverd").unwrap_err().contains("log-recovered"));
        assert!(parse("").is_err());
    }
}
