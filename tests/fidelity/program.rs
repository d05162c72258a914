//! A program: a list of steps as data, and what its steps came to.

use std::collections::BTreeSet;
use std::io;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the process that runs a program may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Bytes that fit: on the simulated disk, or in one file of the real one (RLIMIT_FSIZE).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Bytes that fit on the disk: the simulated one, or a tmpfs that is mounted for it. In pages of 4096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    /// Descriptors that may be taken beside those that the process has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descriptors: Option<u64>,
}

impl Limits {
    pub fn are_none(&self) -> bool {
        *self == Limits::default()
    }
}

/// `AREA/THEME/SEED` if it was drawn, `AREA/row NAME` if the ledger has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Program {
    pub name: String,
    #[serde(default, skip_serializing_if = "Limits::are_none")]
    pub limits: Limits,
    pub steps: Vec<Value>,
}

impl Program {
    pub fn area(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    /// Not drawn.
    pub fn is_of_a_row(&self) -> bool {
        self.name.contains("/row ")
    }

    /// The steps as one interpreter knows them.
    pub fn steps_as<S: serde::de::DeserializeOwned>(&self) -> Vec<S> {
        let parsed = |step: &Value| {
            serde_json::from_value(step.clone())
                .unwrap_or_else(|error| panic!("{}: {step} is no step: {error}", self.name))
        };
        self.steps.iter().map(parsed).collect()
    }
}

/// An outcome a step.
pub type History = Vec<String>;

/// What the steps came to, in every way that was seen.
#[derive(Serialize)]
pub struct Measured {
    #[serde(flatten)]
    pub program: Program,
    pub histories: BTreeSet<History>,
}

/// An error as programs may tell it from others: by its kind, or by its number where the kind says nothing.
/// The `!` tells it from a success.
pub fn error(error: &io::Error) -> String {
    match (format!("{:?}", error.kind()), error.raw_os_error()) {
        (kind, Some(errno)) if kind == "Uncategorized" => format!("!errno {errno}"),
        (kind, _) => format!("!{kind}"),
    }
}

/// A result in words.
pub fn outcome<T>(result: io::Result<T>, show: impl FnOnce(T) -> String) -> String {
    match result {
        Ok(value) => show(value),
        Err(failed) => error(&failed),
    }
}

pub fn done<T>(result: io::Result<T>) -> String {
    outcome(result, |_| "ok".to_owned())
}

/// Numbers that depend on a seed alone, the same in both builds (splitmix64).
pub struct Draws(u64);

impl Draws {
    pub fn new(name: &str, seed: u64) -> Draws {
        let start =
            name.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        Draws(start)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }
}
