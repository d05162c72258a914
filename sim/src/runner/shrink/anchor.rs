//! Times as logical moments: a step that came just after an acknowledgement waits for that acknowledgement.
//!
//! Moments survive unrelated changes of the code; times and positions in a stream of random numbers do not.

use seedlog::facts::Fact;
use std::time::Duration;
use toml::{Table, Value};

use super::hunt::{Candidate, Hunt};
use super::literal::{duration, storm_began};
use super::{seeds_for, with_seeds};
use crate::history::{Entry, What};
use crate::scenario::{Document, units};

/// Moments tried for each step, on either side of its time.
const MOMENTS_BEFORE: usize = 3;
const MOMENTS_AFTER: usize = 2;
const OTHER_SEEDS: u64 = 4;

/// Replaces times by moments where the failure survives it.
pub fn anchor(hunt: &mut Hunt) -> anyhow::Result<()> {
    if !hunt.is_in_time() || hunt.best().document.steps().iter().all(|step| at(step).is_none()) {
        return Ok(());
    }
    hunt.tell("finding moments");
    let history = hunt.history()?;
    let Some(began) = storm_began(&history) else { return Ok(()) };
    for index in 0..hunt.best().document.steps().len() {
        let best: Candidate = hunt.best().clone();
        let Some(time) = best.document.steps().get(index).and_then(at) else { continue };
        if !hunt.is_in_time() {
            return Ok(());
        }
        let anchored: Vec<Document> = moments(&history, began, time)
            .iter()
            .map(|moment| with_moment(&best.document, index, moment))
            .collect();
        let seeds = seeds_for(&best, OTHER_SEEDS);
        hunt.improve(with_seeds(anchored, &seeds))?;
    }
    Ok(())
}

fn at(step: &Table) -> Option<Duration> {
    units::duration(step.get("at")?.as_str()?).ok()
}

/// When, in the words of a step; `wait` is what is left to the step's time.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Moment {
    happening: String,
    wait: Duration,
}

/// The moments near a time: exactly at one of them, or a while after the last one before it.
fn moments(history: &[Entry], began_ns: u64, time: Duration) -> Vec<Moment> {
    let told = |entry: &Entry| {
        let since = Duration::from_nanos(entry.at_ns.checked_sub(began_ns)?);
        Some((since, happening(entry)?))
    };
    let all: Vec<(Duration, String)> = history.iter().filter_map(told).collect();
    let split = all.partition_point(|(since, _)| *since <= time);
    let before = all[..split].iter().rev().take(MOMENTS_BEFORE);
    let near = before.clone().chain(all[split..].iter().take(MOMENTS_AFTER));
    let exact = near.map(|(_, happening)| Moment { happening: happening.clone(), wait: Duration::ZERO });
    let mut found: Vec<Moment> = exact.collect();
    if let Some((since, happening)) = all[..split].last() {
        let wait = Duration::from_millis((time - *since).as_millis() as u64);
        found.push(Moment { happening: happening.clone(), wait });
    }
    found
}

/// What a step can wait for: clients' and brokers' statements about an offset.
fn happening(entry: &Entry) -> Option<String> {
    let What::Fact(fact) = &entry.what else { return None };
    match fact {
        Fact::SendOk { partition, offset: Some(offset), .. } => Some(format!("acked {partition} {offset}")),
        Fact::CommitOk { group, partition, offset, .. } => {
            Some(format!("committed {group} {partition} {offset}"))
        }
        Fact::Appended { partition, last, .. } => Some(format!("appended {partition} {last}")),
        _ => None,
    }
}

fn with_moment(document: &Document, index: usize, moment: &Moment) -> Document {
    let mut steps = document.steps();
    let step = &mut steps[index];
    step.remove("at");
    let (key, text) = if moment.wait.is_zero() {
        ("when", moment.happening.clone())
    } else {
        ("after", format!("{} + {}", moment.happening, duration(moment.wait)))
    };
    step.insert(key.into(), Value::String(text));
    let mut anchored = document.clone();
    anchored.set_steps(steps);
    anchored
}

#[cfg(test)]
mod tests {
    use seedlog::types::{Offset, TopicPartition};

    use super::*;

    fn acked(millis: u64, offset: i64) -> Entry {
        let fact = Fact::SendOk {
            producer: "shop".into(),
            seq: 0,
            partition: TopicPartition::new("orders", 0),
            offset: Some(Offset(offset)),
        };
        Entry { at_ns: millis * 1_000_000, node: "shop".into(), incarnation: 1, what: What::Fact(fact) }
    }

    #[test]
    fn a_step_may_wait_for_what_happened_near_its_time() {
        let history = [acked(1_100, 0), acked(1_200, 1), acked(1_300, 2)];
        let found = moments(&history, 1_000_000_000, Duration::from_millis(250));
        let told: Vec<String> =
            found.iter().map(|m| format!("{} +{}", m.happening, m.wait.as_millis())).collect();
        assert_eq!(
            told,
            ["acked orders-0 1 +0", "acked orders-0 0 +0", "acked orders-0 2 +0", "acked orders-0 1 +50"]
        );
    }

    #[test]
    fn a_moment_takes_the_place_of_the_time() {
        let document = Document::of("[[step]]\nat = \"250ms\"\ndo = \"kill any\"\n").unwrap();
        let moment = |wait| Moment { happening: "acked orders-0 1".into(), wait };
        let exact = with_moment(&document, 0, &moment(Duration::ZERO)).text();
        assert!(exact.contains("when = \"acked orders-0 1\"") && !exact.contains("at ="), "{exact}");
        let later = with_moment(&document, 0, &moment(Duration::from_millis(50))).text();
        assert!(later.contains("after = \"acked orders-0 1 + 50ms\""), "{later}");
    }
}
