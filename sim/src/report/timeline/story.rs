//! The violations with the marks that prove them.
//!
//! Pure. Evidence is known by its line, as the text report tells it; a line that no entry has stays a line.

use std::collections::BTreeMap;

use serde::Serialize;

use super::model::{Scene, micros};
use crate::report::evidence;

#[derive(Debug, Serialize)]
pub struct Story {
    pub violations: Vec<Told>,
    /// Lines of the faults without which the violation goes away.
    pub necessary: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Told {
    pub check: String,
    pub slug: String,
    pub message: String,
    /// When the last of the evidence happened that has a mark: what the disks hold in the end has none.
    pub at: Option<u64>,
    /// The evidence, with the index of its mark, -1 if it has none.
    pub evidence: Vec<(String, i64)>,
}

/// For each violation, the entries that are its evidence.
pub fn proven(scene: &Scene) -> Vec<Vec<usize>> {
    let mut wanted: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, violation) in scene.verdict.violations.iter().enumerate() {
        for line in &violation.evidence {
            wanted.entry(line.trim()).or_default().push(index);
        }
    }
    let mut proven = vec![Vec::new(); scene.verdict.violations.len()];
    if wanted.is_empty() {
        return proven;
    }
    for (index, entry) in scene.history.iter().enumerate() {
        // Once is enough: of equal lines the first is lit.
        for violation in wanted.remove(evidence::line(entry).trim()).unwrap_or_default() {
            proven[violation].push(index);
        }
    }
    proven
}

pub fn story(scene: &Scene, proven: &[Vec<usize>], mark_of: &BTreeMap<usize, usize>) -> Story {
    let told = scene.verdict.violations.iter().zip(proven).map(|(violation, entries)| {
        let mut marks: BTreeMap<String, i64> = BTreeMap::new();
        for &entry in entries {
            let mark = mark_of.get(&entry).map_or(-1, |&mark| mark as i64);
            marks.insert(evidence::line(&scene.history[entry]).trim().to_owned(), mark);
        }
        let evidence = violation.evidence.iter().map(|line| {
            let line = line.trim().to_owned();
            let mark = marks.get(&line).copied().unwrap_or(-1);
            (line, mark)
        });
        Told {
            check: violation.check.clone(),
            slug: violation.slug.clone(),
            message: violation.message.clone(),
            at: last_to_be_seen(entries, mark_of).map(|entry| micros(scene.history[entry].at_ns)),
            evidence: evidence.collect(),
        }
    });
    let necessary = scene.necessary.iter().map(|line| line.trim().to_owned()).collect();
    Story { violations: told.collect(), necessary }
}

fn last_to_be_seen(entries: &[usize], mark_of: &BTreeMap<usize, usize>) -> Option<usize> {
    let marked = entries.iter().copied().filter(|entry| mark_of.contains_key(entry));
    marked.max().or(entries.iter().copied().max())
}
