//! What is demanded of a history, one check a file. Each is pure and linear in the history.
//!
//! A check finds; whether a finding is a violation, *excused* (the damage went beyond what the cluster promised to
//! survive) or *explained* (a client stated what led to it) is part of the finding. To add a check: a file beside this one, a line in [`CHECKS`],
//! and tests that feed it a good history and a bad one.

mod budget;
mod check;
mod existing;
mod groups;
mod ledger;
mod moves;
mod stored;
mod terms;

mod aborted_read;
mod commit_ahead;
mod commit_regresses;
mod duplicate;
mod exposed_early;
mod fair_share;
mod fair_turns;
mod false_flush;
mod inconsistent_offsets;
mod lag_after_heal;
mod late_commit;
mod late_flush;
mod leader_epochs;
mod liveness;
mod lost_write;
mod misshapen_log;
mod misstated_delivery;
mod moved_key;
mod needless_expiry;
mod needless_failure;
mod needless_redelivery;
mod never_processed;
mod overdue_send;
mod overlapping_delivery;
mod phantom;
mod real_time_order;
mod repeatable_read;
mod send_order;
mod single_owner;
mod skip;
mod skip_in_poll;
mod stale_leader;
mod step_back;
mod storage;
mod unexplained_reset;
mod unfinished_flush;
mod unseen;
mod wrong_health;
mod wrong_metric;
mod wrong_position;
mod wrong_reply;
mod wrong_time;
mod zookeeper_model;

#[cfg(test)]
mod story;

use seedlog::types::TopicPartition;
use serde::Serialize;

pub use budget::Budget;
use check::Obligations;
pub use check::{Check, Feature};
use existing::Existing;
use groups::Groups;
use ledger::Ledger;
use moves::Moves;
pub use never_processed::{LostRecord, lost_records};
use stored::Stored;
pub use terms::{ConsumerTerms, GroupTerms, Membership, Patience, ProducerTerms, Terms, TopicTerms};

use crate::history::Entry;

/// Findings that one check reports of one history; more of them tell nothing new.
pub const FINDINGS_MAX: usize = 20;

/// How excuses begin that are damage beyond what the cluster promised to survive.
pub const OVER_BUDGET: &str = "over budget: ";

/// Every check, in the order in which verdicts name them.
pub static CHECKS: [Check; 43] = [
    inconsistent_offsets::CHECK,
    duplicate::CHECK,
    lost_write::CHECK,
    never_processed::CHECK,
    unseen::CHECK,
    aborted_read::CHECK,
    phantom::CHECK,
    skip::CHECK,
    step_back::CHECK,
    skip_in_poll::CHECK,
    send_order::CHECK,
    lag_after_heal::CHECK,
    real_time_order::CHECK,
    repeatable_read::CHECK,
    commit_ahead::CHECK,
    commit_regresses::CHECK,
    late_commit::CHECK,
    unexplained_reset::CHECK,
    needless_redelivery::CHECK,
    unfinished_flush::CHECK,
    wrong_position::CHECK,
    wrong_time::CHECK,
    misstated_delivery::CHECK,
    moved_key::CHECK,
    wrong_reply::CHECK,
    overdue_send::CHECK,
    stale_leader::CHECK,
    fair_turns::CHECK,
    wrong_metric::CHECK,
    wrong_health::CHECK,
    storage::CHECK,
    false_flush::CHECK,
    exposed_early::CHECK,
    misshapen_log::CHECK,
    leader_epochs::CHECK,
    late_flush::CHECK,
    needless_failure::CHECK,
    single_owner::CHECK,
    overlapping_delivery::CHECK,
    zookeeper_model::CHECK,
    fair_share::CHECK,
    needless_expiry::CHECK,
    liveness::CHECK,
];

/// A demand that was not met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub partition: Option<TopicPartition>,
    pub message: String,
    /// The entries of the history that prove it, by index.
    pub evidence: Vec<usize>,
    /// Why the cluster need not have met it: the damage went beyond what it promised to survive.
    pub excuse: Option<String>,
    /// Why it is as it should be, though it looks like a failure: the client stated what led to it.
    pub explanation: Option<&'static str>,
}

impl Finding {
    fn new(partition: Option<&TopicPartition>, message: String, evidence: Vec<usize>) -> Finding {
        Finding { partition: partition.cloned(), message, evidence, excuse: None, explanation: None }
    }

    fn explained_by(mut self, explanation: &'static str) -> Finding {
        self.explanation = Some(explanation);
        self
    }

    /// Whether nothing excuses or explains it.
    pub fn is_violation(&self) -> bool {
        self.excuse.is_none() && self.explanation.is_none()
    }

    fn excused_by(mut self, excuse: Option<String>) -> Finding {
        self.excuse = excuse;
        self
    }
}

/// A history with what was promised about it, indexed once for all checks.
pub struct Case<'a> {
    history: &'a [Entry],
    terms: &'a Terms,
    ledger: Ledger<'a>,
    groups: Groups<'a>,
    existing: Existing<'a>,
    moves: Moves<'a>,
    stored: Stored<'a>,
    budget: Budget,
    /// What the check that judges now has met.
    obligations: Obligations,
}

impl<'a> Case<'a> {
    pub fn new(history: &'a [Entry], terms: &'a Terms) -> Case<'a> {
        let existing = Existing::new(history);
        Case {
            history,
            terms,
            ledger: Ledger::new(history),
            groups: Groups::new(history),
            moves: Moves::new(history, &existing),
            existing,
            stored: Stored::new(history),
            budget: Budget::of(history, terms),
            obligations: Obligations::default(),
        }
    }

    /// What the run's damage amounts to.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }
}

/// What one check found.
pub struct Judged {
    pub check: &'static Check,
    pub findings: Vec<Finding>,
    /// How much it compared; `None`: the run does not have what it applies to.
    pub met: Option<u64>,
}

/// Applies every check.
pub fn judge(case: &Case) -> Vec<Judged> {
    let judged = CHECKS.iter().map(|check| {
        case.obligations.take();
        let mut findings = (check.judge)(case);
        let met = check.feature.is_in(case).then(|| case.obligations.take());
        // Violations first, so that a wealth of excused findings cannot hide one.
        findings.sort_by_key(|finding| !finding.is_violation());
        findings.truncate(FINDINGS_MAX);
        Judged { check, findings, met }
    });
    judged.collect()
}

/// The check with this slug or id.
pub fn named(name: &str) -> Option<&'static Check> {
    CHECKS.iter().find(|check| check.slug == name || check.id == name)
}
