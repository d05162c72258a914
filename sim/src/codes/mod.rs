//! Every code that scenarios, comments and docs go by: what it says, where it comes from, what keeps and checks it.
//!
//! `docs/guarantees.md` is generated from here. What a check excuses, and how, is `docs/testbed.md`'s to say.

mod bugs;
mod checks;
mod demands;
pub mod pages;
mod sources;

use seedlog::rules::Rule;

use crate::scenario::nearest;

/// One code.
pub struct Code {
    pub id: &'static str,
    /// One sentence.
    pub says: &'static str,
    /// Where the demand comes from.
    pub source: &'static str,
    pub state: State,
    /// The safety rules that keep it.
    pub rules: &'static [Rule],
    /// The ids of the checks that would notice.
    pub checks: &'static [&'static str],
}

/// How much of a demand is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Built,
    /// What is missing.
    Partly(&'static str),
    NotYet,
}

/// What a scenario may name in `covers` besides: codes of another crate, `own:ORDER-7`.
const OWN: &str = "own:";

/// Demands on the system: `G`, `P`, `K`, `T`.
pub fn demands() -> &'static [Code] {
    demands::DEMANDS
}

/// Checks, built or not: `H`, `S`, `C`, `L`, `W`, `X`.
pub fn checks() -> &'static [Code] {
    checks::CHECKS
}

/// Bugs of history that scenarios replay.
pub fn bugs() -> &'static [Code] {
    bugs::BUGS
}

pub fn all() -> impl Iterator<Item = &'static Code> {
    demands().iter().chain(checks()).chain(bugs())
}

/// Whether `covers` may name it; otherwise what was meant.
pub fn check(id: &str) -> Result<(), String> {
    if all().any(|code| code.id == id) || id.strip_prefix(OWN).is_some_and(|own| !own.is_empty()) {
        return Ok(());
    }
    let meant = match nearest(id, all().map(|code| code.id)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("docs/guarantees.md has all of them; a code of your own is `{OWN}{id}`"),
    };
    Err(format!("`{id}` is no code; {meant}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::checkers;

    #[test]
    fn every_code_stands_once_and_names_checks_that_have_a_code() {
        let ids: Vec<&str> = all().map(|code| code.id).collect();
        let set: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(set.len(), ids.len());
        for code in all() {
            assert!(code.says.ends_with('.') && !code.says.contains(';'), "{}: {}", code.id, code.says);
            let unknown: Vec<_> = code.checks.iter().filter(|check| !set.contains(*check)).collect();
            assert!(unknown.is_empty(), "{} names {unknown:?}", code.id);
        }
    }

    #[test]
    fn every_check_has_a_code_that_says_whether_it_is_built() {
        let built: BTreeSet<&str> = checkers::CHECKS.iter().map(|check| check.id).collect();
        for id in &built {
            let code = all().find(|code| code.id == *id);
            assert!(code.is_some_and(|code| code.state != State::NotYet), "{id}");
        }
        // W and X are found by the run itself.
        let of_history = checks().iter().filter(|code| !code.id.starts_with(['W', 'X']));
        for code in of_history.filter(|code| code.state == State::Built) {
            assert!(built.contains(code.id), "{} is said to be built", code.id);
        }
    }

    #[test]
    fn every_rule_keeps_something_that_has_a_code() {
        let named: BTreeSet<Rule> = all().flat_map(|code| code.rules).copied().collect();
        let forgotten: Vec<_> = Rule::ALL.iter().filter(|rule| !named.contains(rule)).collect();
        assert!(forgotten.is_empty(), "no code names {forgotten:?}; sim/src/codes/demands.rs");
    }

    #[test]
    fn an_unknown_code_is_answered_with_the_one_that_was_meant() {
        for known in ["G3", "P17", "K3b", "T1", "H16", "X1", "KAFKA-1387", "fsyncgate", "own:ORDER-7"] {
            assert_eq!(check(known), Ok(()), "{known}");
        }
        assert_eq!(check("KAFKA-1378"), Err("`KAFKA-1378` is no code; did you mean `KAFKA-1387`?".into()));
        for unknown in ["", "P99", "own:", "ORDER-7"] {
            assert!(check(unknown).is_err(), "{unknown}");
        }
    }
}
