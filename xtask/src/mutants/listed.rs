//! What `cargo mutants --list` says, and which of it is drawn.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::FOLDERS;
use crate::canaries::Canary;

/// Lines and columns from 1; the end is behind the last character.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub struct Span {
    pub start: Position,
    pub end: Position,
}

/// What kind of change it is. Kinds that are not here cannot stand behind a switch.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum Genre {
    FnValue,
    BinaryOperator,
    UnaryOperator,
    MatchArm,
    MatchArmGuard,
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Function {
    function_name: String,
}

/// One change.
#[derive(Debug, Deserialize)]
pub struct Mutant {
    pub file: PathBuf,
    function: Option<Function>,
    pub span: Span,
    pub replacement: String,
    pub genre: Genre,
    /// Of the same change in the same function: which one.
    #[serde(skip)]
    ordinal: usize,
    #[serde(skip)]
    number: u32,
}

impl Mutant {
    /// What it is called among the switches of the copy; holds while its surroundings change.
    pub fn name(&self) -> String {
        format!("mutant-{:08x}", self.number)
    }

    pub fn description(&self) -> String {
        let change = match self.genre {
            Genre::FnValue => format!("returns {}", self.replacement),
            Genre::MatchArm => "has one match arm less".to_owned(),
            Genre::MatchArmGuard => format!("has the guard {}", self.replacement),
            Genre::UnaryOperator => "has one operator less".to_owned(),
            Genre::BinaryOperator | Genre::Other => format!("has {} instead", self.replacement),
        };
        let (file, line) = (self.file.display(), self.span.start.line);
        format!("{file}:{line} {} {change}", self.function_name())
    }

    pub fn as_canary(&self) -> Canary {
        let area =
            self.file.iter().nth(1).map_or(String::new(), |folder| folder.to_string_lossy().into_owned());
        Canary::mutant(self.name(), self.description(), area)
    }

    pub fn function_name(&self) -> &str {
        self.function.as_ref().map_or("", |function| &function.function_name)
    }

    /// Without lines: what stands above it may change.
    fn identity(&self) -> String {
        let (file, function) = (self.file.display(), self.function_name());
        format!("{file} {function} {:?} {} {}", self.genre, self.replacement, self.ordinal)
    }
}

/// Everything that could be changed and stand behind a switch.
pub fn list(root: &Path) -> Result<Vec<Mutant>> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).args(["mutants", "--list", "--json", "--package", "seedlog"]);
    for folder in FOLDERS {
        command.args(["--file", &format!("{folder}/**")]).args(["--file", &format!("{folder}.rs")]);
    }
    let output = command.output().context("cargo mutants")?;
    ensure!(
        output.status.success(),
        "cargo mutants is needed (cargo install --locked cargo-mutants): {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let all: Vec<Mutant> = serde_json::from_slice(&output.stdout).context("the list of cargo mutants")?;
    Ok(all.into_iter().filter(|mutant| mutant.genre != Genre::Other).collect())
}

/// In the order in which `draw` draws them. One that comes or goes leaves the order of the others.
pub fn in_drawn_order(mut mutants: Vec<Mutant>, draw: u32) -> Vec<Mutant> {
    let mut equals: BTreeMap<String, usize> = BTreeMap::new();
    for mutant in &mut mutants {
        let seen = equals.entry(mutant.identity()).or_default();
        mutant.ordinal = *seen;
        *seen += 1;
        mutant.number = crc32fast::hash(format!("{draw} {}", mutant.identity()).as_bytes());
    }
    mutants.sort_by_key(|mutant| mutant.number);
    mutants.dedup_by_key(|mutant| mutant.number);
    mutants
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutants(lines: &[usize]) -> Vec<Mutant> {
        let text: Vec<_> = lines
            .iter()
            .map(|line| {
                format!(
                    r#"{{"file":"src/log/a.rs","function":{{"function_name":"f"}},"genre":"BinaryOperator",
                    "span":{{"start":{{"line":{line},"column":1}},"end":{{"line":{line},"column":2}}}},
                    "replacement":"==","package":"seedlog"}}"#
                )
            })
            .collect();
        serde_json::from_str(&format!("[{}]", text.join(","))).unwrap()
    }

    #[test]
    fn a_mutant_keeps_its_name_while_lines_move() {
        let names = |lines: &[usize]| {
            let drawn = in_drawn_order(mutants(lines), 1);
            drawn.iter().map(Mutant::name).collect::<Vec<_>>()
        };
        assert_eq!(names(&[3, 5, 9]), names(&[13, 15, 19]));
        assert!(names(&[3, 5, 9, 11]).len() == 4);
        assert!(names(&[3, 5]).iter().all(|name| names(&[3, 5, 9]).contains(name)));
    }

    #[test]
    fn another_draw_draws_others() {
        let first = in_drawn_order(mutants(&[1, 2, 3, 4]), 1);
        let second = in_drawn_order(mutants(&[1, 2, 3, 4]), 2);
        assert_ne!(first[0].name(), second[0].name());
    }
}
