//! `mutants`: how many mechanical mistakes the sweep finds.
//!
//! `cargo mutants --list` says what could be changed in the product. Sixty of them are drawn by a fixed seed, planted in
//! a copy of the tree as canaries are, each behind a switch of its own, and scored like those. What does not compile is
//! left out and another one drawn.

mod listed;
mod planted;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::canaries::{self, plant};
use listed::Mutant;

const TREE: &str = "target/mutants/tree";
const SEEDS: u64 = 2_000;
const COUNT: usize = 60;
/// Names which mutants are drawn. Another one would draw others.
const DRAW: u32 = 1;
/// Drawn mutants that do not compile are replaced so often.
const ROUNDS_MAX: usize = 12;
/// Where mistakes are looked for: what the simulation runs.
const FOLDERS: [&str; 5] = ["src/log", "src/broker", "src/consumer", "src/producer", "src/zookeeper"];

#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    seeds: u64,
    count: usize,
    /// Only says which were drawn.
    lists: bool,
    /// All, if empty.
    only: Vec<String>,
}

impl Options {
    pub fn parse(args: &[String]) -> Result<Options> {
        let mut options = Options { seeds: SEEDS, count: COUNT, lists: false, only: Vec::new() };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--seeds" => options.seeds = number(arg, args.next())?,
                "--count" => options.count = usize::try_from(number(arg, args.next())?)?,
                "--list" => options.lists = true,
                "--only" => options.only.push(args.next().context("--only needs a name")?.clone()),
                other => {
                    bail!("mutants knows --seeds N, --count N, --list and --only NAME, not `{other}`")
                }
            }
        }
        Ok(options)
    }
}

fn number(option: &str, value: Option<&String>) -> Result<u64> {
    let value = value.with_context(|| format!("{option} needs a number"))?;
    let number: u64 = value.parse().with_context(|| format!("{option} {value}"))?;
    if number == 0 {
        bail!("{option} 0 would find nothing");
    }
    Ok(number)
}

/// Draws, plants, builds, scores and reports.
pub fn run(options: &Options) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")?;
    let in_order = listed::in_drawn_order(listed::list(root)?, DRAW);
    println!("== {} places could be changed; {} of them are drawn", in_order.len(), options.count);
    let drawn = viable(root, &in_order, options.count)?;
    for (mutant, _) in &drawn {
        println!("{}  {}", mutant.name(), mutant.description());
    }
    if options.lists {
        return Ok(());
    }
    let planted: Vec<_> = drawn.iter().map(|(mutant, _)| mutant.as_canary()).collect();
    let chosen = canaries::choose(&planted, &options.only)?;
    let program = canaries::build(root, &root.join(TREE))?;
    let tally = canaries::score(&root.join(TREE), &program, &chosen, options.seeds)?;
    print!("{}", tally.text(&planted));
    Ok(())
}

/// The first `count` in their order that compile, planted in the copy of the tree.
fn viable<'a>(
    root: &Path,
    in_order: &'a [Mutant],
    count: usize,
) -> Result<Vec<(&'a Mutant, planted::Edits)>> {
    let mut unviable = BTreeSet::new();
    for _ in 0..ROUNDS_MAX {
        let chosen = planted::choose(root, in_order, count, &unviable)?;
        let texts = planted::texts(root, &chosen)?;
        let switches: Vec<_> = chosen.iter().map(|(mutant, _)| mutant.as_canary()).collect();
        let mut files = texts.files.clone();
        plant::add_switches(root, &mut files, &switches)?;
        plant::write_tree(root, &root.join(TREE), files)?;
        let refused = texts.refused(&compiler_errors(&root.join(TREE))?)?;
        if refused.is_empty() {
            return Ok(chosen);
        }
        println!("== {} of them do not compile; others are drawn in their place", refused.len());
        unviable.extend(refused);
    }
    bail!("after {ROUNDS_MAX} rounds some of the drawn mutants still do not compile")
}

/// Where the compiler sees an error: file and first byte.
fn compiler_errors(tree: &Path) -> Result<Vec<planted::Place>> {
    let mut check = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    check.args(["check", "--package", "seedlog", "--lib", "--message-format", "json"]);
    check.current_dir(tree).env("CARGO_TARGET_DIR", tree.join("../checked"));
    let output = check.output().context("cargo check")?;
    let errors = planted::places_of_errors(&String::from_utf8(output.stdout)?)?;
    if !output.status.success() && errors.is_empty() {
        bail!("{check:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Options> {
        Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn sixty_mutants_get_2000_seeds_unless_told_otherwise() {
        let plain = Options { seeds: 2_000, count: 60, lists: false, only: vec![] };
        assert_eq!(parsed("").unwrap(), plain);
        let few = Options { seeds: 7, count: 3, lists: true, only: vec!["a".to_owned()] };
        assert_eq!(parsed("--only a --seeds 7 --list --count 3").unwrap(), few);
    }

    #[test]
    fn what_is_no_option_is_refused() {
        for text in ["--seeds", "--seeds 0", "--count x", "--only", "one"] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }
}
