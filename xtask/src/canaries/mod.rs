//! `canaries`: how many small mistakes that nobody planned the testbed finds.
//!
//! A copy of the tree gets all of `sim/canaries`, each behind a switch of its own, and is built once; its `score` turns
//! on one after the other. The product stays free of them.

pub mod plant;
mod report;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::run::cargo;
pub use plant::Canary;
use report::{Score, Tally};

/// Where they are.
const CANARIES: &str = "sim/canaries";
/// The copy and what is built of it.
const TREE: &str = "target/canaries/tree";
const BUILT: &str = "target/canaries/built";
const SEEDS: u64 = 2_000;

#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    seeds: u64,
    /// All, if empty.
    only: Vec<String>,
}

impl Options {
    pub fn parse(args: &[String]) -> Result<Options> {
        let mut options = Options { seeds: SEEDS, only: Vec::new() };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--seeds" => {
                    let number = args.next().context("--seeds needs a number")?;
                    options.seeds = number.parse().with_context(|| format!("--seeds {number}"))?;
                    if options.seeds == 0 {
                        bail!("--seeds 0 would find nothing");
                    }
                }
                "--only" => options.only.push(args.next().context("--only needs a name")?.clone()),
                other => bail!("canaries knows --seeds N and --only NAME, not `{other}`"),
            }
        }
        Ok(options)
    }
}

fn workspace() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")
}

/// Whether each still applies to the product beside all others: nothing is built for it.
pub fn check() -> Result<()> {
    let count = still_apply(workspace()?)?;
    println!("== each of {count} canaries still applies");
    Ok(())
}

/// How many there are.
fn still_apply(root: &Path) -> Result<usize> {
    let canaries = plant::read(&root.join(CANARIES))?;
    let mut files = plant::edited(root, &canaries)?;
    plant::add_switches(root, &mut files, &canaries)?;
    Ok(canaries.len())
}

/// Plants, builds, scores and reports.
pub fn run(options: &Options) -> Result<()> {
    let root = workspace()?;
    let canaries = plant::read(&root.join(CANARIES))?;
    let chosen = choose(&canaries, &options.only)?;
    let tree = root.join(TREE);
    println!("== planting {} canaries in a copy of the tree", canaries.len());
    let mut files = plant::edited(root, &canaries)?;
    plant::add_switches(root, &mut files, &canaries)?;
    plant::write_tree(root, &tree, files)?;
    let program = build(root, &tree)?;
    let tally = score(&tree, &program, &chosen, options.seeds)?;
    print!("{}", tally.text(&canaries));
    Ok(())
}

/// Builds the copy's testbed; names the program.
pub fn build(root: &Path, tree: &Path) -> Result<PathBuf> {
    println!("== building it; minutes the first time");
    let mut build = cargo(&["build", "--package", "seedlog-sim", "--bin", "seedlog-sim"]);
    let built = root.join(BUILT);
    let status = build.current_dir(tree).env("CARGO_TARGET_DIR", &built).status()?;
    if !status.success() {
        bail!("the tree does not build with what is planted in it: {build:?}");
    }
    Ok(built.join("debug/seedlog-sim"))
}

pub fn choose<'a>(canaries: &'a [Canary], only: &[String]) -> Result<Vec<&'a Canary>> {
    if let Some(unknown) = only.iter().find(|name| canaries.iter().all(|canary| canary.name != **name)) {
        bail!("`{unknown}` is none of the {} that are planted", canaries.len());
    }
    Ok(canaries.iter().filter(|canary| only.is_empty() || only.contains(&canary.name)).collect())
}

/// Runs the copy's own `score`, and shows each line as it comes.
pub fn score(tree: &Path, program: &Path, chosen: &[&Canary], seeds: u64) -> Result<Tally> {
    let mut command = std::process::Command::new(program);
    command.current_dir(tree).args(["score", "--json", "--seeds", &format!("0..{seeds}")]);
    for canary in chosen {
        command.args(["--rule", &canary.rule()]);
    }
    let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn()?;
    let lines = BufReader::new(child.stdout.take().context("its output")?).lines();
    let mut tally = Tally::default();
    for line in lines {
        if let Some(score) = Score::from_line(&line?)? {
            tally.add(score);
            println!("{}", tally.last_line(chosen.len()));
        }
    }
    // Its exit code says whether all were found, which the tally says better.
    child.wait()?;
    if tally.count() < chosen.len() {
        bail!("only {} of {} planted mistakes were scored: {command:?}", tally.count(), chosen.len());
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Options> {
        Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn every_canary_gets_2000_seeds_unless_told_otherwise() {
        assert_eq!(parsed("").unwrap(), Options { seeds: 2_000, only: vec![] });
        let few = Options { seeds: 7, only: vec!["a".to_owned(), "b".to_owned()] };
        assert_eq!(parsed("--only a --seeds 7 --only b").unwrap(), few);
    }

    /// A tree with one canary, which is to replace `find` in a file that says `one two`.
    fn tree_with_a_canary_for(name: &str, find: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        std::fs::create_dir_all(root.join(CANARIES)).unwrap();
        std::fs::create_dir_all(root.join("src")).unwrap();
        std::fs::write(root.join("file"), "one two").unwrap();
        let rules = Path::new("src/rules.rs");
        std::fs::copy(workspace().unwrap().join(rules), root.join(rules)).unwrap();
        let edit = format!(
            "[[edit]]\nfile = \"file\"\nfind = \"{find}\"\ninstead = 'crate::rules::canary(\"a\")'\n"
        );
        let text = format!("imitates = \"x\"\narea = \"log\"\n{edit}");
        std::fs::write(root.join(CANARIES).join("a.toml"), text).unwrap();
        root
    }

    #[test]
    fn a_canary_that_no_longer_applies_fails_the_check() {
        let root = tree_with_a_canary_for("applies", "one");
        assert_eq!(still_apply(&root).unwrap(), 1);
        let root = tree_with_a_canary_for("applies", "three");
        let error = format!("{:#}", still_apply(&root).unwrap_err());
        assert_eq!(error, "canary a: file: its text is found 0 times");
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn every_canary_of_the_tree_applies() {
        assert!(still_apply(workspace().unwrap()).unwrap() >= 40);
    }

    #[test]
    fn what_is_no_option_is_refused() {
        for text in ["--seeds", "--seeds 0", "--seeds x", "--only", "one"] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }
}
