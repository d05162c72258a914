//! The ledger as a page: docs/fidelity.md.

use std::fmt::Write;

use super::ledger::{AREAS, Ledger, Row, Verdict};
use super::record::Record;

pub const PATH: &str = "docs/fidelity.md";

const BEGIN: &str = "\
# Fidelity: where the simulation is not the machine

Example. A program opens `a` twice, cuts it off through one handle and reads it through the other. It runs on the simulated disk and on a real
one, and every step must come to the same.

The rule: programs are drawn from seeds, a list of steps each, and run on both halves of `src/runtime`. On the disk every step must come to
the same, errors included. On the network each run of the machine must be among the simulated ones. Programs on ZooKeeper run on ours and on a
real ensemble of three servers, and must come to the same, but that what two sessions do at once must be among the simulated. Where they differ,
a row of this page says so. It is *harsher* if the simulation does worse than the machine, and *kinder* if the machine has something in store
that the simulation never does. A kinder row says why it stays. A program with a difference that no row has is made as short as it can be.

The price: what is not measured here rests on manuals and on tests of its own, and the row names them.

Generated from `tests/fidelity/ledger.toml` and `tests/fidelity/record.jsonl` by `cargo xtask fidelity`, which measures anew. Both builds' tests
run the programs on record again.

";

pub fn page(ledger: &Ledger, record: &Record) -> String {
    let mut page = BEGIN.to_owned();
    sum_up(&mut page, ledger, record);
    for (area, title) in AREAS {
        let rows: Vec<&Row> = ledger.rows.iter().filter(|row| row.area == area).collect();
        if rows.is_empty() {
            continue;
        }
        writeln!(
            page,
            "\n## {title}\n\n| behaviour | the simulation is | evidence | why it stays |\n|---|---|---|---|"
        )
        .expect("text");
        for row in rows {
            let reason = row.reason.as_deref().unwrap_or_default();
            writeln!(
                page,
                "| {} | {} | {} | {reason} |",
                row.behaviour,
                verdict(row.verdict),
                evidence(row, record)
            )
            .expect("text");
        }
    }
    page
}

fn sum_up(page: &mut String, ledger: &Ledger, record: &Record) {
    let count = |verdict| ledger.rows.iter().filter(|row| row.verdict == verdict).count();
    let [same, kinder, harsher] = [Verdict::Same, Verdict::Kinder, Verdict::Harsher].map(count);
    let programs: u64 = record.counts.compared.values().sum();
    let probes = ledger.rows.iter().filter(|row| !row.probe.is_empty()).count();
    writeln!(
        page,
        "{} rows: {same} same, {kinder} kinder, {harsher} harsher. {programs} drawn programs were compared, and {probes} that rows have of their own.",
        ledger.rows.len()
    )
    .expect("text");
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Same => "the same",
        Verdict::Kinder => "**kinder**",
        Verdict::Harsher => "harsher",
    }
}

fn evidence(row: &Row, record: &Record) -> String {
    let counted = |theme: &String| {
        let count = record.counts.compared.get(theme).copied().unwrap_or_default();
        format!("{count} programs of {theme}")
    };
    let mut parts: Vec<String> = row.themes.iter().map(counted).collect();
    if !row.probe.is_empty() {
        parts.push("a program of its own".to_owned());
    }
    parts.extend(row.tests.iter().map(|test| format!("`{test}`")));
    parts.extend(row.source.clone());
    parts.join(", ")
}
