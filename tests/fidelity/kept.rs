//! What is kept of programs in files: the ledger's own ones, and those on record with what they came to.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::program::{History, Limits, Program};

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fidelity").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(place(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[derive(Deserialize)]
struct Ledger {
    row: Vec<Row>,
}

/// As much of a row as the programs' runner needs.
#[derive(Deserialize)]
struct Row {
    name: String,
    area: String,
    #[serde(default)]
    probe: Vec<Value>,
    #[serde(default)]
    limits: Limits,
}

/// The programs of the ledger's rows.
pub fn probes() -> Vec<Program> {
    let ledger: Ledger = toml::from_str(&read("ledger.toml")).expect("a ledger");
    let rows = ledger.row.into_iter().filter(|row| !row.probe.is_empty());
    let program = |row: Row| Program {
        name: format!("{}/row {}", row.area, row.name),
        limits: row.limits,
        steps: row.probe,
    };
    rows.map(program).collect()
}

/// A program with what it came to, in every way that was seen.
#[derive(Deserialize)]
pub struct Kept {
    #[serde(flatten)]
    pub program: Program,
    sim: BTreeSet<History>,
    /// Absent where it is the same.
    real: Option<BTreeSet<History>>,
}

impl Kept {
    /// Whether this half may do so: it did before, or the machine does what the simulation does.
    #[cfg(feature = "real-runtime")]
    pub fn allows(&self, history: &History) -> bool {
        self.sim.contains(history) || self.real.as_ref().is_some_and(|real| real.contains(history))
    }

    /// Whether this half may do so: it did before.
    #[cfg(not(feature = "real-runtime"))]
    pub fn allows(&self, history: &History) -> bool {
        let _the_machine_is_another = &self.real;
        self.sim.contains(history)
    }
}

pub fn record() -> Vec<Kept> {
    let text = read("record.jsonl");
    let programs = text.lines().skip(1); // The first line counts what was compared.
    programs
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}
