//! Flags of `run` and `sweep` that a machine without a person uses.

use std::path::PathBuf;

use clap::Args;
use seedlog::marks::Mark;

use crate::runner::Settings;
use crate::runner::annotations::Step;
use crate::runner::known::Known;
use crate::runner::shard::Shard;

#[derive(Args)]
pub(super) struct Ci {
    /// Does the K-th of N parts of the runs, e.g. 2/5
    #[arg(long, value_name = "K/N", default_value_t)]
    shard: Shard,
    /// Writes the session as test cases (JUnit's XML)
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Failures that do not count, each with its issue and an end [default: known.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    known: Option<PathBuf>,
}

impl Ci {
    pub fn apply(&self, settings: &mut Settings) -> anyhow::Result<()> {
        settings.shard = self.shard;
        settings.junit.clone_from(&self.junit);
        settings.known = Known::load(self.known.as_deref())?;
        settings.step = Step::from_environment();
        Ok(())
    }
}

/// Marks by slug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Marks {
    All,
    One(Mark),
}

impl Marks {
    pub fn of(list: &[Marks]) -> Vec<Mark> {
        let is_wanted = |mark: &Mark| list.iter().any(|one| *one == Marks::All || *one == Marks::One(*mark));
        Mark::ALL.iter().copied().filter(is_wanted).collect()
    }
}

pub(super) fn parse_marks(text: &str) -> Result<Marks, String> {
    if text == "all" {
        return Ok(Marks::All);
    }
    let found = Mark::ALL.iter().find(|mark| mark.slug() == text);
    found.map(|mark| Marks::One(*mark)).ok_or_else(|| {
        let known: Vec<&str> = Mark::ALL.iter().map(|mark| mark.slug()).collect();
        format!("no such mark; there are: all, {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_named_by_slug_or_all_at_once() {
        assert_eq!(Marks::of(&[parse_marks("torn-tail-cut").unwrap()]), [Mark::TornTailCut]);
        assert_eq!(Marks::of(&[parse_marks("all").unwrap()]), Mark::ALL);
        assert!(parse_marks("torn").unwrap_err().contains("torn-tail-cut"));
    }
}
