//! The few events that prove a violation, as lines for people, with the faults that led there.
//!
//! Of a finding about a group's members, these are the members' own turns; of any other, what befell the brokers
//! that held the partition.

mod members;

use std::collections::BTreeSet;

use seedlog::facts::Fact;
use seedlog::types::{Acks, TopicPartition};

use super::{Violation, fault_text};
use crate::checkers::{Check, Finding};
use crate::history::{Entry, What, broker_node, broker_of_node};

/// Faults and recoveries shown beside the evidence itself.
const CONTEXT_LINES_MAX: usize = 6;

/// Tells a finding, with the faults that struck its partition's broker before it was noticed.
pub fn violation(history: &[Entry], check: &Check, finding: &Finding) -> Violation {
    let shown = proof(history, check, finding);
    let faults = shown.iter().filter_map(|&at| match &history[at].what {
        What::Fault(fault) => fault.kind().map(str::to_owned),
        _ => None,
    });
    Violation {
        check: check.id.to_owned(),
        slug: check.slug.to_owned(),
        message: finding.message.clone(),
        faults: faults.collect(),
        evidence: shown.iter().map(|&at| line(&history[at])).collect(),
    }
}

/// The entries of a finding's evidence, and of what led there.
pub fn proof(history: &[Entry], check: &Check, finding: &Finding) -> BTreeSet<usize> {
    let mut shown: BTreeSet<usize> = finding.evidence.iter().copied().collect();
    let noticed = shown.last().copied().unwrap_or(history.len());
    shown.extend(if members::concerns(check.id) {
        members::context(history, finding)
    } else {
        context(history, finding.partition.as_ref(), noticed)
    });
    shown
}

/// The latest faults of, and recoveries on, the brokers that held the partition.
fn context(history: &[Entry], partition: Option<&TopicPartition>, noticed: usize) -> Vec<usize> {
    let before = &history[..noticed.min(history.len())];
    let hosts: BTreeSet<String> = before
        .iter()
        .filter_map(|entry| match &entry.what {
            What::Fact(Fact::Appended { broker, partition: p, .. }) if Some(p) == partition => {
                Some(broker_node(*broker).to_string())
            }
            _ => None,
        })
        .collect();
    let concerns = |entry: &Entry| match &entry.what {
        What::Fault(fault) if fault.kind().is_none() => false,
        What::Fault(fault) => {
            fault.targets().iter().any(|target| partition.is_none() || hosts.contains(&***target))
        }
        What::Fact(Fact::LogRecovered { partition: p, .. } | Fact::Truncated { partition: p, .. }) => {
            Some(p) == partition
        }
        What::Fact(Fact::LogDirFailed { broker, .. } | Fact::BrokerStartFailed { broker, .. }) => {
            partition.is_none() || hosts.contains(&*broker_node(*broker))
        }
        _ => false,
    };
    let found = before.iter().enumerate().rev().filter(|(_, entry)| concerns(entry));
    found.take(CONTEXT_LINES_MAX).map(|(at, _)| at).collect()
}

/// One line: when, who, what.
pub fn line(entry: &Entry) -> String {
    let millis = entry.at_ns / 1_000_000;
    let who = match &entry.what {
        What::Fact(_) => person(&entry.node),
        What::Fault(_) => "FAULT".to_owned(),
        What::Phase(_) => "PHASE".to_owned(),
        What::Seen(_) => "DISK".to_owned(),
    };
    format!("{:>4}.{:03}s  {who:<9} {}", millis / 1000, millis % 1000, text(entry))
}

/// What happened, without when and to whom.
pub fn text(entry: &Entry) -> String {
    match &entry.what {
        What::Fact(fact) => fact_text(fact),
        What::Fault(fault) => fault_text::text(fault),
        What::Phase(entered) => format!("{:?}", entered.phase).to_lowercase(),
        What::Seen(seen) => seen.text(),
    }
}

/// A node's name for people.
pub(super) fn person(node: &str) -> String {
    broker_of_node(node).map_or_else(|| node.to_owned(), |broker| format!("broker {broker}"))
}

fn acks_text(acks: Acks) -> &'static str {
    match acks {
        Acks::None => "0",
        Acks::Leader => "1",
        Acks::All => "all",
    }
}

fn fact_text(fact: &Fact) -> String {
    match fact {
        Fact::BrokerRegistered { session, .. } => format!("registered, session {session:#x}"),
        Fact::BrokerStopped { .. } => "stopped".to_owned(),
        Fact::BrokerStartFailed { reason, .. } => format!("did not start: {reason}"),
        Fact::LogRecovered { partition, clean, log_start, log_end, bytes_cut, .. } => {
            let how = if *clean { "after a clean stop" } else { "by scanning" };
            format!("recovered {partition} {how}: {log_start}..{log_end}, {bytes_cut} bytes cut")
        }
        Fact::UnsoundTailCut { partition, at, bytes_cut, bytes_kept, .. } => {
            format!("cut {partition} at {at}: {bytes_cut} unsound bytes, {bytes_kept} of them kept aside")
        }
        Fact::BecameLeader { partition, epoch, .. } => format!("leads {partition} in epoch {epoch}"),
        Fact::Appended { partition, base, last, epoch, .. } => {
            format!("appended {partition}@{base}..={last} (epoch {epoch})")
        }
        Fact::Flushed { partition, end, .. } => format!("flushed {partition} up to {end}"),
        Fact::Truncated { partition, end, .. } => format!("truncated {partition} to {end}"),
        Fact::SegmentRolled { partition, base, .. } => format!("rolled {partition} at {base}"),
        Fact::LogDirFailed { reason, .. } => format!("log directory failed: {reason}"),
        Fact::SendInvoked { seq, partition, record, acks, .. } => {
            format!("sends {partition} number {seq} {:?} (acks {})", record.label, acks_text(*acks))
        }
        Fact::SendOk { seq, partition, offset, .. } => match offset {
            Some(offset) => format!("{partition}@{offset} number {seq} acked"),
            None => format!("{partition} number {seq} sent, no ack asked for"),
        },
        Fact::SendFailed { seq, partition, error, .. } => format!("{partition} number {seq} failed: {error}"),
        Fact::SendUnknown { seq, partition, error, .. } => {
            format!("{partition} number {seq} has an unknown fate: {error}")
        }
        Fact::SendRetried { first_seq, last_seq, partition, .. } => {
            format!("sends {partition} numbers {first_seq}..={last_seq} again")
        }
        Fact::Assigned { partition, position, .. } => format!("reads {partition} from {position}"),
        Fact::Seeked { partition, position, reason, .. } => {
            format!("goes to {partition}@{position}: {reason}")
        }
        Fact::Delivered { partition, offset, record, .. } => {
            format!("read {partition}@{offset} {:?}", record.label)
        }
        Fact::CorruptSkipped { partition, offset, .. } => format!("skipped damage at {partition}@{offset}"),
        Fact::Processed { partition, offset, .. } => format!("processed {partition}@{offset}"),
        Fact::Finished { partition, offset, .. } => format!("finished {partition}@{offset}"),
        Fact::SessionOpened { session } => format!("opened session {session:#x}"),
        Fact::SessionExpired { session } => format!("session {session:#x} expired"),
        _ => group_text(fact),
    }
}

fn group_text(fact: &Fact) -> String {
    match fact {
        Fact::GroupJoined { group, session, .. } => format!("joined {group}, session {session:#x}"),
        Fact::GroupLeft { group, .. } => format!("left {group}"),
        Fact::GroupSessionLost { session, .. } => format!("knows that session {session:#x} expired"),
        Fact::RebalanceStarted { group, .. } => format!("rebalances {group}"),
        Fact::RebalanceConflict { partition, owner, .. } => format!("finds {partition} owned by {owner}"),
        Fact::MemberUnreadable { member, reason, .. } => {
            format!("cannot read the node of {member}: {reason}")
        }
        Fact::RebalanceFailed { tries, .. } => format!("gave the rebalance up after {tries} tries"),
        Fact::RebalanceFinished { owned, .. } => format!("finished the rebalance with {owned} partitions"),
        Fact::PartitionOwned { partition, session, .. } => format!("owns {partition}, session {session:#x}"),
        Fact::PartitionReleased { partition, .. } => format!("released {partition}"),
        Fact::DeliveryPaused { .. } => "pauses delivery: ZooKeeper is not heard".to_owned(),
        Fact::DeliveryResumed { .. } => "delivers again".to_owned(),
        Fact::OffsetFetched { partition, offset, .. } => match offset {
            Some(offset) => format!("finds {partition}@{offset} committed"),
            None => format!("finds no offset of {partition} committed"),
        },
        Fact::CommitInvoked { partition, offset, .. } => format!("commits {partition}@{offset}"),
        Fact::CommitOk { partition, offset, .. } => format!("committed {partition}@{offset}"),
        Fact::CommitFailed { partition, offset, is_unknown, .. } => {
            let fate = if *is_unknown { "has an unknown fate" } else { "failed" };
            format!("commit of {partition}@{offset} {fate}")
        }
        Fact::PositionReset { partition, from, to, log_start, log_end, .. } => {
            let from = from.map_or_else(|| "nowhere".to_owned(), |from| from.to_string());
            format!("resets {partition} from {from} to {to} (log {log_start}..{log_end})")
        }
        _ => fact.kind().to_owned(),
    }
}
