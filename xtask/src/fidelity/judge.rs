//! Holds the ledger to what was measured.
//!
//! Pure, but for a look at whether the tests are there that a row names.

use std::collections::BTreeSet;
use std::path::Path;

use super::compare::{Difference, differences};
use super::ledger::{Ledger, Row, Verdict};
use super::record::{Compared, Record};

/// Everything that is wrong, in words.
pub fn judge(ledger: &Ledger, record: &Record, root: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    for row in &ledger.rows {
        let found = row_alone(row).into_iter().chain(missing_evidence(row, record, root));
        wrong.extend(found.map(|what| format!("row `{}`: {what}", row.name)));
        if !row.probe.is_empty() {
            wrong.extend(probe(row, record).map(|what| format!("row `{}`: {what}", row.name)));
        }
    }
    let unaccounted = unaccounted(ledger, record);
    wrong.extend(
        unaccounted
            .iter()
            .map(|(program, difference)| format!("no row accounts for this: {}", told(program, difference))),
    );
    wrong
}

fn row_alone(row: &Row) -> Vec<String> {
    let mut wrong = Vec::new();
    let says_why = row.reason.as_ref().is_some_and(|reason| !reason.trim().is_empty());
    if row.verdict == Verdict::Kinder && !says_why {
        wrong.push("kinder, without a reason to stay so".to_owned());
    }
    if row.verdict == Verdict::Same && !row.differs.is_empty() {
        wrong.push("same, and yet it accounts for differences".to_owned());
    }
    wrong
}

fn missing_evidence(row: &Row, record: &Record, root: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    if row.themes.is_empty() && row.probe.is_empty() && row.tests.is_empty() && row.source.is_none() {
        wrong.push("without any evidence".to_owned());
    }
    let unknown = row.themes.iter().filter(|theme| !record.counts.compared.contains_key(*theme));
    wrong.extend(unknown.map(|theme| format!("no program of `{theme}` was compared")));
    let absent = row.tests.iter().filter(|test| !is_there(root, test));
    wrong.extend(absent.map(|test| format!("there is no test `{test}`")));
    wrong
}

fn is_there(root: &Path, test: &str) -> bool {
    let Some((path, function)) = test.split_once("::") else { return root.join(test).is_file() };
    let text = std::fs::read_to_string(root.join(path)).unwrap_or_default();
    text.contains(&format!("fn {function}("))
}

/// What the row's own program says against its verdict.
fn probe(row: &Row, record: &Record) -> Option<String> {
    let name = row.program();
    let Some(program) = record.programs.iter().find(|program| program.name == name) else {
        return Some("its program is not on record".to_owned());
    };
    if (&program.steps, &program.limits) != (&row.probe, &row.limits) {
        return Some("the record has another program".to_owned());
    }
    let found = differences(program);
    match (row.verdict, found.first()) {
        (Verdict::Same, Some(difference)) => Some(format!("same, and yet {}", shown(difference))),
        (Verdict::Kinder, None) => {
            Some("kinder, and yet the simulation did all that the machine did".to_owned())
        }
        (Verdict::Harsher, None) if is_equal(program) => {
            Some("harsher, and yet both did the same".to_owned())
        }
        _ => None,
    }
}

fn is_equal(program: &Compared) -> bool {
    program.sim == *program.real()
}

/// Differences between drawn programs that no row accounts for. Of each kind the first is enough.
pub fn unaccounted<'a>(ledger: &Ledger, record: &'a Record) -> Vec<(&'a Compared, Difference)> {
    let drawn = record.programs.iter().filter(|program| program.seed().is_some());
    let all = drawn.flat_map(|program| {
        unaccounted_of(ledger, program).into_iter().map(move |difference| (program, difference))
    });
    let mut seen = BTreeSet::new();
    all.filter(|(_, difference)| {
        seen.insert((difference.does.clone(), difference.sim.clone(), difference.real.clone()))
    })
    .collect()
}

/// The same of one program.
pub fn unaccounted_of(ledger: &Ledger, program: &Compared) -> Vec<Difference> {
    let about = |row: &&Row| row.themes.iter().any(|theme| theme == program.theme());
    let rows: Vec<&Row> = ledger.rows.iter().filter(about).collect();
    let is_known = |difference: &Difference| {
        rows.iter().any(|row| row.differs.iter().any(|differs| differs.accounts_for(difference)))
    };
    differences(program).into_iter().filter(|difference| !is_known(difference)).collect()
}

fn shown(difference: &Difference) -> String {
    let sim: Vec<&str> = difference.sim.iter().map(String::as_str).collect();
    format!(
        "step {} (`{}`) came to {} on the machine, and to {} in the simulation",
        difference.step,
        difference.does,
        difference.real,
        sim.join(" or ")
    )
}

/// The difference with the program that led to it.
pub fn told(program: &Compared, difference: &Difference) -> String {
    let steps = program.steps.iter().take(difference.step + 1).map(|step| format!("    {step}\n"));
    let limits = if program.limits.is_null() { String::new() } else { format!(" within {}", program.limits) };
    format!("{}{limits}, {}\n{}", difference.program, shown(difference), steps.collect::<String>())
}

#[cfg(test)]
mod tests;
