//! Finds where the real half did what the simulation never did.
//!
//! Pure. On the disk each program has one history on either half, so that this is equality. On the network the
//! real histories must be among the simulated.

use std::collections::BTreeSet;

use super::ledger::Differs;
use super::record::{Compared, History};

/// A step of the real half that no simulated run agrees with, after steps in which one did.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    pub program: String,
    pub step: usize,
    /// The step's first word.
    pub does: String,
    /// What it came to in the simulation, after the same outcomes before.
    pub sim: BTreeSet<String>,
    pub real: String,
}

/// All differences of a program. Behind one nothing is compared, for nobody knows what it led to; but two different errors
/// lead to the same.
pub fn differences(program: &Compared) -> BTreeSet<Difference> {
    let mut found = BTreeSet::new();
    for real in program.real() {
        let mut alike: Vec<&History> = program.sim.iter().collect();
        for (at, outcome) in real.iter().enumerate() {
            let agreeing: Vec<&History> = alike.iter().copied().filter(|sim| sim[at] == *outcome).collect();
            if !agreeing.is_empty() {
                alike = agreeing;
                continue;
            }
            let sim: BTreeSet<String> = alike.iter().map(|sim| sim[at].clone()).collect();
            let are_errors = is_error(outcome) && sim.iter().all(|outcome| is_error(outcome));
            found.insert(Difference {
                program: program.name.clone(),
                step: at,
                does: first_word(&program.steps[at]),
                sim,
                real: outcome.clone(),
            });
            if !are_errors {
                break;
            }
        }
    }
    found
}

fn is_error(outcome: &str) -> bool {
    outcome.starts_with('!')
}

fn first_word(step: &serde_json::Value) -> String {
    let key = step.as_object().and_then(|object| object.keys().next());
    key.map(String::as_str).or(step.as_str()).unwrap_or_default().to_owned()
}

impl Differs {
    pub fn accounts_for(&self, difference: &Difference) -> bool {
        self.step == difference.does
            && matches(&self.real, &difference.real)
            && difference.sim.iter().any(|outcome| matches(&self.sim, outcome))
    }
}

/// At most one `*`, which stands for anything.
fn matches(pattern: &str, outcome: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => {
            outcome.len() >= start.len() + end.len() && outcome.starts_with(start) && outcome.ends_with(end)
        }
        None => outcome == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(sim: &[&[&str]], real: &[&[&str]]) -> Compared {
        let histories = |all: &[&[&str]]| -> BTreeSet<History> {
            all.iter().map(|one| one.iter().map(|outcome| (*outcome).to_owned()).collect()).collect()
        };
        let steps = vec![
            serde_json::json!({"open": [0, "a"]}),
            serde_json::json!("settle"),
            serde_json::json!({"len": 0}),
        ];
        let (sim, real) = (histories(sim), Some(histories(real)));
        Compared { name: "disk/plain/7".to_owned(), limits: serde_json::Value::Null, steps, sim, real }
    }

    fn shown(program: &Compared) -> Vec<(usize, String, String)> {
        differences(program).into_iter().map(|found| (found.step, found.does, found.real)).collect()
    }

    #[test]
    fn what_is_among_the_simulated_is_no_difference() {
        let program = compared(&[&["ok", "ok", "1"], &["ok", "!Reset", "0"]], &[&["ok", "!Reset", "0"]]);
        assert_eq!(shown(&program), []);
    }

    #[test]
    fn outcomes_of_different_runs_do_not_make_one_that_was_seen() {
        let program = compared(&[&["ok", "ok", "1"], &["ok", "!Reset", "0"]], &[&["ok", "!Reset", "1"]]);
        assert_eq!(shown(&program), [(2, "len".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn behind_another_success_nothing_is_compared_and_behind_another_error_all_is() {
        let success = compared(&[&["ok", "ok", "1"]], &[&["!Full", "no", "2"]]);
        assert_eq!(shown(&success), [(0, "open".to_owned(), "!Full".to_owned())]);
        let error = compared(&[&["!Missing", "ok", "1"]], &[&["!Full", "ok", "2"]]);
        let expected = [(0, "open", "!Full"), (2, "len", "2")]
            .map(|(at, does, real)| (at, does.to_owned(), real.to_owned()));
        assert_eq!(shown(&error), expected);
    }

    #[test]
    fn a_row_accounts_for_what_it_names_alone() {
        let found = differences(&compared(&[&["ok", "ok", "1"]], &[&["!Full", "ok", "1"]]));
        let difference = found.first().unwrap();
        let row = |step: &str, sim: &str, real: &str| {
            let [step, sim, real] = [step, sim, real].map(str::to_owned);
            Differs { step, sim, real }.accounts_for(difference)
        };
        assert!(row("open", "ok", "!Full") && row("open", "*", "!F*") && row("open", "*k", "*ll"));
        assert!(!row("len", "ok", "!Full") && !row("open", "!*", "!Full") && !row("open", "ok", "!Missing"));
    }
}
