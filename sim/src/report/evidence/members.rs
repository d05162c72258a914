//! What led to a finding about members of a group: who owned the partition under which session, what became of
//! those sessions, and the faults that struck these members meanwhile.
//!
//! A selection around the finding's own evidence; never an entry behind it.

use std::collections::BTreeSet;

use seedlog::facts::Fact;
use seedlog::types::{SessionId, TopicPartition};

use crate::checkers::Finding;
use crate::cluster::ZOOKEEPER;
use crate::history::{Entry, Injected, What};

/// Checks whose findings are about what members of a group did.
const CHECKS: [&str; 6] = ["G4", "H16", "H17", "H20", "C1", "C3"];
/// Members whose ownership is told.
const TENURES_MAX: usize = 3;
/// Faults and turns told beside that.
const TURNS_MAX: usize = 5;

pub fn concerns(check: &str) -> bool {
    CHECKS.contains(&check)
}

/// One member's time with the partition: an incarnation, the session, and since which entry.
struct Tenure<'a> {
    consumer: &'a str,
    incarnation: u32,
    session: SessionId,
    since: usize,
}

/// Entries before the end of the evidence that tell how it came about.
pub fn context(history: &[Entry], finding: &Finding) -> Vec<usize> {
    let (Some(&first), Some(&end)) = (finding.evidence.iter().min(), finding.evidence.iter().max()) else {
        return Vec::new();
    };
    let Some(partition) = &finding.partition else { return Vec::new() };
    let concerned: BTreeSet<(&str, u32)> =
        finding.evidence.iter().filter_map(|&at| incarnation(history.get(at)?)).collect();
    let Some(group) = concerned.iter().find_map(|(consumer, _)| group_of(history, consumer)) else {
        return Vec::new();
    };
    let tenures = tenures(history, group, partition, end);
    let is_told = |t: &&Tenure| t.since >= first || concerned.contains(&(t.consumer, t.incarnation));
    let told: Vec<&Tenure> = latest_of_each(tenures.iter().rev().filter(is_told));
    let begin = told.iter().map(|tenure| tenure.since).min().unwrap_or(first).min(first);
    let turns = (begin..end).rev().filter(|&at| is_turn(&history[at], &told, partition));
    told.iter().map(|tenure| tenure.since).chain(turns.take(TURNS_MAX)).collect()
}

/// The latest tenure of each incarnation, the latest first.
fn latest_of_each<'a>(latest_first: impl Iterator<Item = &'a Tenure<'a>>) -> Vec<&'a Tenure<'a>> {
    let mut incarnations = BTreeSet::new();
    latest_first.filter(|t| incarnations.insert((t.consumer, t.incarnation))).take(TENURES_MAX).collect()
}

fn incarnation(entry: &Entry) -> Option<(&str, u32)> {
    match &entry.what {
        What::Fact(fact) => Some((fact.consumer()?, entry.incarnation)),
        _ => None,
    }
}

fn group_of<'a>(history: &'a [Entry], wanted: &str) -> Option<&'a str> {
    history.iter().find_map(|entry| match &entry.what {
        What::Fact(Fact::GroupJoined { group, consumer, .. }) if consumer == wanted => Some(group.as_str()),
        _ => None,
    })
}

fn tenures<'a>(history: &'a [Entry], wanted: &str, place: &TopicPartition, end: usize) -> Vec<Tenure<'a>> {
    let entries = history.iter().enumerate().take(end + 1);
    let tenure = |(since, entry): (usize, &'a Entry)| match &entry.what {
        What::Fact(Fact::PartitionOwned { group, consumer, partition, session, .. })
            if group == wanted && partition == place =>
        {
            Some(Tenure { consumer, incarnation: entry.incarnation, session: *session, since })
        }
        _ => None,
    };
    entries.filter_map(tenure).collect()
}

/// Whether an entry changed what one of these members may do with the partition.
fn is_turn(entry: &Entry, told: &[&Tenure], place: &TopicPartition) -> bool {
    let is_told = |name: &str| told.iter().any(|tenure| tenure.consumer == name);
    match &entry.what {
        What::Fact(Fact::SessionExpired { session }) => told.iter().any(|tenure| tenure.session == *session),
        What::Fact(Fact::PartitionReleased { consumer, partition, .. }) => {
            partition == place && is_told(consumer)
        }
        What::Fact(
            Fact::GroupSessionLost { consumer, .. }
            | Fact::GroupLeft { consumer, .. }
            | Fact::DeliveryPaused { consumer, .. }
            | Fact::DeliveryResumed { consumer, .. },
        ) => is_told(consumer),
        What::Fault(fault) => {
            let targets = fault.targets();
            changes_membership(fault, targets.iter().any(|target| target.starts_with(ZOOKEEPER)))
                && targets.iter().any(|target| is_told(target))
        }
        _ => false,
    }
}

/// Whether a fault can part a member from its session: one of the process, of the session, or of what lies between.
fn changes_membership(fault: &Injected, touches_zookeeper: bool) -> bool {
    match fault {
        Injected::ClockBump { .. }
        | Injected::ClockDrift { .. }
        | Injected::ClockStrobe { .. }
        | Injected::Slow { .. } => false,
        Injected::Start { .. } | Injected::Resume { .. } => true,
        other => other.kind().is_some() && (touches_zookeeper || other.targets().len() == 1),
    }
}

#[cfg(test)]
mod tests {
    use seedlog::types::Offset;

    use super::*;

    fn orders() -> TopicPartition {
        TopicPartition::new("orders", 0)
    }

    fn entry(node: &str, what: What) -> Entry {
        Entry { at_ns: 0, node: node.into(), incarnation: 1, what }
    }

    fn joined(name: &str, session: SessionId) -> Entry {
        let fact = Fact::GroupJoined {
            group: "billing".into(),
            consumer: name.into(),
            session,
            subscription: Default::default(),
        };
        entry(name, What::Fact(fact))
    }

    fn owned(name: &str, session: SessionId) -> Entry {
        let fact = Fact::PartitionOwned {
            group: "billing".into(),
            consumer: name.into(),
            partition: orders(),
            stream: 0,
            session,
        };
        entry(name, What::Fact(fact))
    }

    fn committed(name: &str, offset: i64) -> Entry {
        let fact = Fact::CommitOk {
            group: "billing".into(),
            consumer: name.into(),
            partition: orders(),
            offset: Offset(offset),
        };
        entry(name, What::Fact(fact))
    }

    fn struck(target: &str) -> Entry {
        entry("testbed", What::Fault(Injected::Pause { target: target.into() }))
    }

    fn cut(from: &str, to: &str) -> Entry {
        entry("testbed", What::Fault(Injected::Cut { from: from.into(), to: to.into() }))
    }

    fn expired(session: SessionId) -> Entry {
        entry("zookeeper", What::Fact(Fact::SessionExpired { session }))
    }

    #[test]
    fn owners_their_sessions_and_what_struck_them_are_told_and_nothing_else() {
        let history = [
            joined("a", SessionId(1)),
            joined("b", SessionId(2)),
            owned("a", SessionId(1)),
            committed("a", 5),
            struck("broker-1"),
            struck("a"),
            struck("c"),
            cut("a", "broker-1"),
            cut("a", "zookeeper"),
            expired(SessionId(9)),
            expired(SessionId(1)),
            owned("b", SessionId(2)),
            committed("b", 8),
            struck("a"),
        ];
        let finding = Finding {
            partition: Some(orders()),
            message: "M".into(),
            evidence: vec![3, 12],
            excuse: None,
            explanation: None,
        };
        let mut told = context(&history, &finding);
        told.sort_unstable();
        assert_eq!(told, [2, 5, 8, 10, 11]);
    }

    #[test]
    fn a_finding_about_no_member_has_no_such_context() {
        let finding = Finding {
            partition: Some(orders()),
            message: "M".into(),
            evidence: vec![0],
            excuse: None,
            explanation: None,
        };
        assert!(context(&[struck("a")], &finding).is_empty());
    }
}
