//! What programs came to on both halves, as it is measured and as it is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An outcome a step.
pub type History = Vec<String>;

/// A line of what one half's runner prints.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    pub name: String,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub limits: Value,
    pub steps: Vec<Value>,
    pub histories: Vec<History>,
}

/// A program with what it came to on either half.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Compared {
    pub name: String,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub limits: Value,
    pub steps: Vec<Value>,
    pub sim: BTreeSet<History>,
    /// Absent where it is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real: Option<BTreeSet<History>>,
}

impl Compared {
    pub fn real(&self) -> &BTreeSet<History> {
        self.real.as_ref().unwrap_or(&self.sim)
    }

    /// The theme of a drawn program.
    pub fn theme(&self) -> &str {
        self.name.rsplit_once('/').map_or("", |(theme, _)| theme)
    }

    /// The seed of a drawn program; none of a row's own.
    pub fn seed(&self) -> Option<u64> {
        self.name.rsplit_once('/')?.1.parse().ok()
    }
}

/// The first line of the record.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Drawn programs of each theme that were compared, of which the record keeps the first.
    pub compared: BTreeMap<String, u64>,
}

pub struct Record {
    pub counts: Counts,
    pub programs: Vec<Compared>,
}

fn place(root: &Path) -> PathBuf {
    root.join("tests/fidelity/record.jsonl")
}

impl Record {
    /// Puts the two halves' measurements of the same programs together.
    pub fn merge(sim: Vec<Measured>, real: Vec<Measured>) -> Result<Record> {
        if sim.len() != real.len() {
            bail!("{} programs in the simulation, {} on the machine", sim.len(), real.len());
        }
        let mut record = Record { counts: Counts::default(), programs: Vec::new() };
        for (sim, real) in sim.into_iter().zip(real) {
            if (&sim.name, &sim.limits, &sim.steps) != (&real.name, &real.limits, &real.steps) {
                bail!("{} is not the same program on both halves", sim.name);
            }
            if real.histories.is_empty() {
                println!("{} needs what this process may not do, and was not compared", real.name);
                continue;
            }
            let Measured { name, limits, steps, histories } = sim;
            let sim = BTreeSet::from_iter(histories);
            let real = Some(BTreeSet::from_iter(real.histories)).filter(|real| *real != sim);
            let compared = Compared { name, limits, steps, sim, real };
            if compared.seed().is_some() {
                *record.counts.compared.entry(compared.theme().to_owned()).or_default() += 1;
            }
            record.programs.push(compared);
        }
        Ok(record)
    }

    /// The same with the first `count` drawn programs of each theme, and the rows' own.
    pub fn shortened(mut self, count: u64) -> Record {
        self.programs.retain(|program| program.seed().is_none_or(|seed| seed < count));
        self
    }

    pub fn text(&self) -> String {
        let line = |program| serde_json::to_string(program).expect("a program is data") + "\n";
        let counts = serde_json::to_string(&self.counts).expect("counts are data") + "\n";
        counts + &self.programs.iter().map(line).collect::<String>()
    }

    pub fn parse(text: &str) -> Result<Record> {
        let mut lines = text.lines();
        let counts = serde_json::from_str(lines.next().context("an empty record")?)?;
        let programs = lines.map(|line| Ok(serde_json::from_str(line)?));
        Ok(Record { counts, programs: programs.collect::<Result<_>>()? })
    }

    pub fn load(root: &Path) -> Result<Record> {
        let path = place(root);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Record::parse(&text).with_context(|| path.display().to_string())
    }

    pub fn save(&self, root: &Path) -> Result<()> {
        let path = place(root);
        std::fs::write(&path, self.text()).with_context(|| path.display().to_string())
    }
}
