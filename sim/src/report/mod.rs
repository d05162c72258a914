//! How a run is told: the verdict as data, as text for people, and as files.
//!
//! Says what the checks found; finding is their job.

pub mod cause;
mod evidence;
pub use evidence::{line as evidence_line, proof};
pub(crate) mod fault_text;
mod folder;
pub mod slice;
pub mod state;
mod text;
pub mod timeline;
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use seedlog::rules::Rule;
use seedlog::types::{Acks, Durability};
use serde::{Deserialize, Serialize};

use crate::checkers::{self, Case, Judged, OVER_BUDGET, Terms};
use crate::faults::{self, Bites, Struck};
use crate::history::{Entry, Injected, What};

pub use folder::{RunFolder, seed_folder, sim_folder, with_seed, write_run};
pub use text::{failure, sum_line};

/// Coverage marks: rare things that a run is glad to have met. Kinds of happenings.
pub(crate) const MARKS: [&str; 8] = [
    "tail-cut",
    "registered-again",
    "log-dir-failed",
    "segment-rolled",
    "send-retried",
    "send-unknown",
    "session-expired",
    "corrupt-skipped",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Pass,
    /// Nothing was tried: no fault bit though some were demanded, or nothing was sent.
    Vacuous,
    Violation,
    Nondeterministic,
}

/// The result of one run; one line of `--json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub scenario: String,
    /// Where the scenario's file lies, if it is none of `scenarios/`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file: Option<String>,
    pub seed: u64,
    pub verdict: Outcome,
    pub violations: Vec<Violation>,
    pub excused: Vec<Excused>,
    /// What looks like a failure and is none.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub explained: Vec<Excused>,
    /// What each check that applies to the run has compared.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub exercised: BTreeMap<String, u64>,
    /// 16 hex digits.
    pub trace_hash: String,
    pub sim_ms: u64,
    pub wall_ms: u64,
    pub events: u64,
    pub sends: u64,
    pub acked: u64,
    pub delivered: u64,
    /// Logs, not empty, that a broker opened and had not closed.
    #[serde(default)]
    pub recoveries: u64,
    /// Faults injected, by kind.
    pub faults: BTreeMap<String, u64>,
    /// Of those that the seed drew: what they did, by kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub bites: BTreeMap<String, Bites>,
    pub marks: Vec<String>,
    pub budget: BudgetLine,
    /// Why a vacuous run is vacuous.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub vacuous: Vec<String>,
    /// Rules that were suspended.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub without: Vec<String>,
    /// Of a run that did not repeat: the first event in which its traces differ.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub diverged: Option<String>,
    /// Of a failure that `known.toml` knows: its issue.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub known: Option<String>,
    /// Not run now: it passed earlier, with the same code.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub cached: bool,
    /// The faults without which it does not fail, where that was found out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub necessary: Option<cause::Necessary>,
}

/// A demand that was not met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The check's id, `H3`.
    pub check: String,
    pub slug: String,
    pub message: String,
    /// The few events that prove it, as lines for people.
    pub evidence: Vec<String>,
    /// Kinds of faults among the evidence: runs that agree in them count as one cause.
    pub faults: BTreeSet<String>,
}

/// Findings of one check that the run's damage excuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excused {
    pub check: String,
    pub slug: String,
    pub reason: String,
    pub findings: u64,
}

impl Excused {
    /// Whether damage excuses it that goes beyond what the cluster promised to survive. Else what was promised does.
    pub fn is_over_budget(&self) -> bool {
        self.reason.starts_with(OVER_BUDGET)
    }
}

/// What the run promised and how hard it was hit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetLine {
    pub acks: BTreeMap<String, Acks>,
    pub durability: BTreeMap<String, Durability>,
    pub lossy_crashes: u64,
    /// Partitions whose loss is excused, and why.
    pub over: BTreeMap<String, String>,
}

/// Trouble that no check finds because the run itself broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breakdown {
    /// A node panicked.
    Panic,
    /// The run traced more events than its limit: something spins.
    EventLimit,
    /// The worker made no progress in wall time.
    Hang,
    /// The worker process died.
    Abort,
    /// The workload could not be set up.
    Setup,
    /// The run's stack was not deep enough.
    StackOverflow,
    /// The worker reached its limit of memory, or the machine's.
    OutOfMemory,
}

impl Breakdown {
    const ALL: [Breakdown; 7] = [
        Breakdown::Panic,
        Breakdown::EventLimit,
        Breakdown::Hang,
        Breakdown::Abort,
        Breakdown::Setup,
        Breakdown::StackOverflow,
        Breakdown::OutOfMemory,
    ];

    pub fn id(self) -> &'static str {
        match self {
            Breakdown::Panic => "X1",
            Breakdown::EventLimit => "X2",
            Breakdown::Hang => "X3",
            Breakdown::Abort => "X4",
            Breakdown::Setup => "X5",
            Breakdown::StackOverflow => "X6",
            Breakdown::OutOfMemory => "X7",
        }
    }

    pub fn slug(self) -> &'static str {
        match self {
            Breakdown::Panic => "panic",
            Breakdown::EventLimit => "event-limit",
            Breakdown::Hang => "hang",
            Breakdown::Abort => "abort",
            Breakdown::Setup => "setup",
            Breakdown::StackOverflow => "stack-overflow",
            Breakdown::OutOfMemory => "out-of-memory",
        }
    }

    pub fn violation(self, message: impl Into<String>) -> Violation {
        Violation {
            check: self.id().to_owned(),
            slug: self.slug().to_owned(),
            message: message.into(),
            evidence: Vec::new(),
            faults: BTreeSet::new(),
        }
    }
}

/// Whether a violation of this slug says that the run broke off, and not what a check found.
pub fn is_breakdown(slug: &str) -> bool {
    Breakdown::ALL.iter().any(|how| how.slug() == slug)
}

/// Why findings count for nothing, and how many each.
type Reasons = BTreeMap<String, u64>;

impl Verdict {
    /// A verdict about nothing yet.
    pub fn empty(scenario: &str, seed: u64) -> Verdict {
        Verdict {
            scenario: scenario.to_owned(),
            file: None,
            seed,
            verdict: Outcome::Pass,
            violations: Vec::new(),
            excused: Vec::new(),
            explained: Vec::new(),
            exercised: BTreeMap::new(),
            trace_hash: String::new(),
            sim_ms: 0,
            wall_ms: 0,
            events: 0,
            sends: 0,
            acked: 0,
            delivered: 0,
            recoveries: 0,
            faults: BTreeMap::new(),
            bites: BTreeMap::new(),
            marks: Vec::new(),
            budget: BudgetLine::default(),
            vacuous: Vec::new(),
            without: Vec::new(),
            diverged: None,
            known: None,
            cached: false,
            necessary: None,
        }
    }

    /// The verdict over a seed that took its worker along.
    pub fn of_breakdown(scenario: &str, seed: u64, without: &[Rule], violation: Violation) -> Verdict {
        let mut verdict = Verdict::empty(scenario, seed);
        verdict.without = without.iter().map(|rule| rule.slug().to_owned()).collect();
        verdict.violations.push(violation);
        verdict.verdict = Outcome::Violation;
        verdict
    }

    /// Adds what the history tells: findings, counts, marks.
    pub fn judge(&mut self, history: &[Entry], terms: &Terms, except: &[String]) {
        let case = Case::new(history, terms);
        for judged in checkers::judge(&case) {
            self.take(history, judged, except);
        }
        for entry in history {
            if let What::Fault(fault) = &entry.what
                && let Some(kind) = fault.kind()
            {
                *self.faults.entry(kind.to_owned()).or_default() += 1;
            }
        }
        let marks = MARKS.iter().filter(|mark| {
            crate::scenario::happening::parse(mark).is_ok_and(|happening| happening.is_in(history))
        });
        self.marks = marks.map(|mark| (*mark).to_owned()).collect();
        let budget = case.budget();
        self.budget = BudgetLine {
            acks: terms.producers.iter().map(|(name, p)| (name.clone(), p.acks)).collect(),
            durability: terms.topics.iter().map(|(name, t)| (name.to_string(), t.durability)).collect(),
            lossy_crashes: budget.lossy_crashes,
            over: budget.over().map(|(partition, reasons)| (partition.to_string(), reasons)).collect(),
        };
    }

    /// Counts what the drawn faults did; one that did nothing is no fault that fired. Whether there was a fault that counts:
    /// drawn, or left by the heal, it has to have bitten, and not what it brought along. Of a written step, which strikes
    /// somebody, its story says what comes of it.
    pub fn count_bites(&mut self, history: &[Entry], struck: &[Struck]) -> bool {
        let mut has_any = false;
        for fault in struck.iter().filter(|struck| struck.injures()) {
            let has_bitten = faults::has_bitten(fault, history);
            has_any |= fault.kind.is_none() || has_bitten;
            let Some(kind) = &fault.kind else { continue };
            self.bites.entry(kind.clone()).or_default().count(has_bitten);
            fault.did.iter().filter(|_| !has_bitten).for_each(|did| self.has_not_fired(did));
        }
        for (fault, has_bitten) in faults::left_by_the_heal(history) {
            has_any |= has_bitten;
            if !has_bitten {
                self.has_not_fired(fault);
            }
        }
        self.faults.retain(|_, fired| *fired > 0);
        has_any
    }

    fn has_not_fired(&mut self, fault: &Injected) {
        if let Some(fired) = fault.kind().and_then(|kind| self.faults.get_mut(kind)) {
            *fired -= 1;
        }
    }

    /// Decides once everything is known.
    pub fn conclude(&mut self) {
        self.verdict = match () {
            () if self.diverged.is_some() => Outcome::Nondeterministic,
            () if !self.violations.is_empty() => Outcome::Violation,
            () if !self.vacuous.is_empty() => Outcome::Vacuous,
            () => Outcome::Pass,
        };
    }

    /// What failures that are alike have in common.
    pub fn cause(&self) -> String {
        cause::Cause::of(self).to_string()
    }

    fn take(&mut self, history: &[Entry], judged: Judged, except: &[String]) {
        let check = judged.check;
        self.exercised.extend(judged.met.map(|met| (check.slug.to_owned(), met)));
        let is_excepted = except.iter().any(|slug| slug == check.slug);
        let (mut excuses, mut explanations): (Reasons, Reasons) = Default::default();
        for finding in judged.findings {
            if let Some(explanation) = finding.explanation {
                *explanations.entry(explanation.to_owned()).or_default() += 1;
                continue;
            }
            let excuse = finding
                .excuse
                .clone()
                .or_else(|| is_excepted.then(|| "the scenario excepts this check".to_owned()));
            match excuse {
                Some(reason) => *excuses.entry(reason).or_default() += 1,
                None => self.violations.push(evidence::violation(history, check, &finding)),
            }
        }
        let counted = |reasons: Reasons| {
            reasons.into_iter().map(|(reason, findings)| Excused {
                check: check.id.to_owned(),
                slug: check.slug.to_owned(),
                reason,
                findings,
            })
        };
        self.excused.extend(counted(excuses));
        self.explained.extend(counted(explanations));
    }
}
