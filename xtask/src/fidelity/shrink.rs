//! Makes a program that shows a difference shorter, for as long as it still shows one in the same kind of step.
//!
//! Pure: programs to be measured out, what they came to in. Whole runs of steps are left out first, single ones last, and
//! all that are tried in a round are measured together, because each measurement starts both builds.

use anyhow::Result;
use serde_json::Value;

use super::record::{Compared, Measured};

/// Rounds of a program at most. Each but the last makes it shorter.
const ROUNDS_MAX: usize = 12;

/// The shortest program that was found. `measure` tells what programs came to, in their order, and leaves none out.
pub fn shortest(
    mut program: Compared,
    still_shows_it: impl Fn(&Compared) -> bool,
    mut measure: impl FnMut(&[Measured]) -> Result<Vec<Compared>>,
) -> Result<Compared> {
    for _ in 0..ROUNDS_MAX {
        let tried: Vec<Measured> = shorter(&program.steps)
            .into_iter()
            .map(|steps| Measured {
                name: program.name.clone(),
                limits: program.limits.clone(),
                steps,
                histories: Vec::new(),
            })
            .collect();
        let measured = if tried.is_empty() { Vec::new() } else { measure(&tried)? };
        let showing = measured.into_iter().filter(|candidate| still_shows_it(candidate));
        match showing.min_by_key(|candidate| candidate.steps.len()) {
            Some(found) => program = found,
            None => break,
        }
    }
    Ok(program)
}

/// The same steps without some in a row: half of them, a quarter, down to one.
fn shorter(steps: &[Value]) -> Vec<Vec<Value>> {
    let mut all = Vec::new();
    let mut left_out = steps.len() / 2;
    while left_out > 0 {
        for from in (0..steps.len()).step_by(left_out) {
            let behind = steps.iter().skip(from + left_out);
            all.push(steps[..from].iter().chain(behind).cloned().collect());
        }
        left_out /= 2;
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn program(steps: &[u64]) -> Compared {
        let steps = steps.iter().map(|step| Value::from(*step)).collect();
        let (limits, sim) = (Value::Null, BTreeSet::new());
        Compared { name: "disk/plain/7".to_owned(), limits, steps, sim, real: None }
    }

    fn measured(tried: &[Measured]) -> Vec<Compared> {
        let compared = |one: &Measured| Compared { steps: one.steps.clone(), ..program(&[]) };
        tried.iter().map(compared).collect()
    }

    fn has(program: &Compared, step: u64) -> bool {
        program.steps.contains(&Value::from(step))
    }

    #[test]
    fn only_the_steps_are_left_that_the_difference_needs() {
        let long = program(&(0..30).collect::<Vec<_>>());
        let mut rounds = 0;
        let found = shortest(
            long,
            |tried| has(tried, 3) && has(tried, 22),
            |tried| {
                rounds += 1;
                Ok(measured(tried))
            },
        );
        assert_eq!(found.unwrap().steps, program(&[3, 22]).steps);
        assert!(rounds <= ROUNDS_MAX, "{rounds}");
    }

    #[test]
    fn a_program_that_needs_every_step_stays() {
        let needed = program(&[1, 2, 3]);
        let found = shortest(needed, |tried| tried.steps.len() == 3, |tried| Ok(measured(tried)));
        assert_eq!(found.unwrap().steps.len(), 3);
    }
}
