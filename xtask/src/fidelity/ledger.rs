//! The ledger: one row a behaviour, with a verdict that the measurements must bear out.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// What the seam offers, and ZooKeeper, in the order of the page.
pub const AREAS: [(&str, &str); 5] = [
    ("disk", "Disk"),
    ("net", "Network"),
    ("clock", "Clocks"),
    ("task", "Tasks and the process"),
    ("zookeeper", "ZooKeeper"),
];

/// Said of the simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Same,
    Kinder,
    Harsher,
}

/// A difference that a row accounts for; `*` in an outcome stands for anything.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Differs {
    /// What the step does: its first word.
    pub step: String,
    pub sim: String,
    pub real: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub name: String,
    pub area: String,
    pub behaviour: String,
    pub verdict: Verdict,
    /// Drawn programs, as AREA/THEME.
    #[serde(default)]
    pub themes: Vec<String>,
    #[serde(default)]
    pub differs: Vec<Differs>,
    /// Its steps mean something to the programs' runner alone.
    #[serde(default)]
    pub probe: Vec<serde_json::Value>,
    /// Within what the probe runs; the runner's as well.
    #[serde(default)]
    pub limits: serde_json::Value,
    /// PATH::FUNCTION.
    #[serde(default)]
    pub tests: Vec<String>,
    pub source: Option<String>,
    pub reason: Option<String>,
}

impl Row {
    /// The name of the row's own program.
    pub fn program(&self) -> String {
        format!("{}/row {}", self.area, self.name)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    #[serde(rename = "row")]
    pub rows: Vec<Row>,
}

impl Ledger {
    pub fn parse(text: &str) -> Result<Ledger> {
        let ledger: Ledger = toml::from_str(text)?;
        let mut names = BTreeSet::new();
        for row in &ledger.rows {
            if !names.insert(&row.name) {
                bail!("two rows are called `{}`", row.name);
            }
            if AREAS.iter().all(|(area, _)| *area != row.area) {
                bail!("row `{}`: there is no area `{}`", row.name, row.area);
            }
        }
        Ok(ledger)
    }

    pub fn load(root: &Path) -> Result<Ledger> {
        let path = root.join("tests/fidelity/ledger.toml");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ledger::parse(&text).with_context(|| path.display().to_string())
    }
}
