//! What makes two failures one: the same check, violated in the same way, for want of the same rule.
//!
//! The shape of a message is what is left of it without its numbers and names of records. Which faults were
//! necessary is found out for the first failure of a cause, and told with it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Verdict;

/// Of a list that could not be made short in time, the first few tell enough.
const FAULTS_TOLD_MAX: usize = 4;

/// The faults that a failure needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Necessary {
    /// One text a fault.
    pub faults: Vec<String>,
    /// Their kinds.
    pub kinds: BTreeSet<String>,
    /// How many faults struck in the failing run.
    pub of: usize,
    /// Whether the time was up before every single one was tried.
    pub is_bounded: bool,
}

impl std::fmt::Display for Necessary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.faults[..self.faults.len().min(FAULTS_TOLD_MAX)];
        let mut faults = if shown.is_empty() { "no fault".to_owned() } else { shown.join(", ") };
        if self.faults.len() > shown.len() {
            faults.push_str(&format!(" and {} more", self.faults.len() - shown.len()));
        }
        let at_most = if self.is_bounded { "at most " } else { "" };
        write!(f, "{faults} ({at_most}{} of {} faults)", self.faults.len(), self.of)
    }
}

/// The key by which failures are grouped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Cause {
    pub scenario: String,
    pub check: String,
    pub shape: String,
    /// The suspended rules.
    pub without: Vec<String>,
}

impl Cause {
    /// The cause of a run that did not pass, as far as its verdict tells.
    pub fn of(verdict: &Verdict) -> Cause {
        let (check, message) = match verdict.violations.first() {
            Some(first) => (first.slug.clone(), first.message.as_str()),
            None => {
                let first = verdict.vacuous.first().or(verdict.diverged.as_ref());
                (format!("{:?}", verdict.verdict).to_lowercase(), first.map_or("", String::as_str))
            }
        };
        let without = verdict.without.clone();
        Cause { scenario: verdict.scenario.clone(), check, shape: shape(message), without }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.check)?;
        if !self.shape.is_empty() {
            write!(f, ": {}", self.shape)?;
        }
        self.without.iter().try_for_each(|rule| write!(f, " without {rule}"))
    }
}

/// Letters kept of a shape; what differs behind them is the same.
const SHAPE_MAX: usize = 160;

/// A message without what differs from run to run: numbers, quoted texts and lists.
pub fn shape(message: &str) -> String {
    let mut shape = String::new();
    let mut letters = message.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == '"' {
            // Up to the quote that ends it; a quoted quote is part of the text.
            while let Some(inner) = letters.next() {
                match inner {
                    '\\' => drop(letters.next()),
                    '"' => break,
                    _ => {}
                }
            }
            shape.push('…');
        } else if letter.is_ascii_digit() {
            while letters.next_if(|next| next.is_ascii_hexdigit() || *next == 'x').is_some() {}
            shape.push('#');
        } else {
            shape.push(letter);
        }
        if shape.chars().count() >= SHAPE_MAX {
            break;
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Breakdown;

    #[test]
    fn messages_that_differ_in_numbers_and_records_have_one_shape() {
        let a = shape(r#"orders-0@17 "r-\"0042" was acked; billing read 18, never it"#);
        assert_eq!(a, "orders-#@# … was acked; billing read #, never it");
        assert_eq!(a, shape(r#"orders-2@1 "r-7" was acked; billing read 1999, never it"#));
        assert_ne!(a, shape("orders-2@1 was read twice"));
        assert!(shape(&"long ".repeat(100)).chars().count() <= SHAPE_MAX);
    }

    #[test]
    fn failures_for_want_of_different_rules_have_different_causes() {
        let mut verdict = Verdict::empty("sweep", 7);
        verdict.violations.push(Breakdown::Panic.violation("assertion at 12"));
        let held = Cause::of(&verdict);
        verdict.seed = 8;
        assert_eq!(Cause::of(&verdict), held);
        verdict.without.push("cut-torn-tail".into());
        assert_ne!(Cause::of(&verdict), held);
    }

    #[test]
    fn necessary_faults_are_told_with_how_many_there_were() {
        let mut necessary = Necessary {
            faults: vec!["power failure broker 2".into()],
            kinds: BTreeSet::new(),
            of: 9,
            is_bounded: false,
        };
        assert_eq!(necessary.to_string(), "power failure broker 2 (1 of 9 faults)");
        necessary.faults.clear();
        necessary.is_bounded = true;
        assert_eq!(necessary.to_string(), "no fault (at most 0 of 9 faults)");
        necessary.faults = (1..=6).map(|broker| format!("kill broker {broker}")).collect();
        let told =
            "kill broker 1, kill broker 2, kill broker 3, kill broker 4 and 2 more (at most 6 of 9 faults)";
        assert_eq!(necessary.to_string(), told);
    }
}
