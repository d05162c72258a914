//! Where scenarios come from: the files under `scenarios/`, and the built-in one that sweeps draw from.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::{Scenario, words};
use crate::workspace::root;

/// The name of the built-in scenario whose every part is drawn from the seed.
pub const SWEEP: &str = "sweep";

const SWEEP_TEXT: &str = include_str!("sweep.toml");

/// Every scenario that can be named.
pub struct Library {
    scenarios: Vec<Scenario>,
    /// The folder and name of each, as `disk/slow_disk`.
    paths: Vec<String>,
}

impl Library {
    /// Reads every file under `scenarios/` of the workspace, in the order of their names. A workspace need not
    /// have any.
    pub fn load() -> anyhow::Result<Library> {
        let root = folder();
        let mut files = Vec::new();
        if root.is_dir() {
            collect(&root, &mut files)?;
        }
        files.sort();
        let scenarios = files.iter().map(|file| load_file(file)).collect::<anyhow::Result<Vec<_>>>()?;
        let path = |file: &PathBuf| {
            let inside = file.strip_prefix(&root).unwrap_or(file);
            inside.with_extension("").display().to_string().replace('\\', "/")
        };
        let mut names = BTreeSet::new();
        for (scenario, file) in scenarios.iter().zip(&files) {
            // Run folders, replay tokens and golden hashes go by the name alone.
            if !names.insert(&scenario.name) {
                bail!("{}: another scenario is called `{}` already", file.display(), scenario.name);
            }
        }
        Ok(Library { paths: files.iter().map(path).collect(), scenarios })
    }

    /// The scenarios with their folders and names, as `disk/slow_disk`.
    pub fn with_paths(&self) -> impl Iterator<Item = (&str, &Scenario)> {
        self.paths.iter().map(String::as_str).zip(&self.scenarios)
    }

    /// The scenarios, without the built-in sweep.
    pub fn stories(&self) -> &[Scenario] {
        &self.scenarios
    }

    /// The scenarios whose names, folder included, contain one of `parts`; all of them where there are no parts.
    pub fn matching(&self, parts: &[String]) -> anyhow::Result<Vec<Scenario>> {
        if parts.is_empty() && self.scenarios.is_empty() {
            bail!("there is no scenario: no file below {}", folder().display());
        }
        let mut found = Vec::new();
        let is_meant = |part: &String| self.paths.iter().any(|path| path.contains(part.as_str()));
        for (path, scenario) in self.with_paths() {
            if parts.is_empty() || parts.iter().any(|part| path.contains(part.as_str())) {
                found.push(scenario.clone());
            }
        }
        if parts.iter().any(|part| part == SWEEP) {
            found.push(built_in_sweep());
        }
        for part in parts {
            if Path::new(part).extension().is_some_and(|extension| extension == "toml") {
                found.push(load_file(Path::new(part))?);
            } else if part != SWEEP && !is_meant(part) {
                bail!("no scenario has `{part}` in its name; {}", self.near(part));
            }
        }
        Ok(found)
    }

    /// The scenario of exactly this name.
    pub fn named(&self, name: &str) -> anyhow::Result<Scenario> {
        if name == SWEEP {
            return Ok(built_in_sweep());
        }
        let found = self.scenarios.iter().find(|scenario| scenario.name == name);
        found.cloned().with_context(|| format!("there is no scenario `{name}`; {}", self.near(name)))
    }

    /// The name that was meant, or all of them.
    fn near(&self, name: &str) -> String {
        match words::nearest(name, self.names().into_iter()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if self.scenarios.is_empty() => format!("there is no file below {}", folder().display()),
            None => format!("there are: {}", self.names().join(", ")),
        }
    }

    fn names(&self) -> Vec<&str> {
        self.scenarios.iter().map(|scenario| scenario.name.as_str()).chain([SWEEP]).collect()
    }
}

/// The scenario that leaves everything to the seed.
pub fn built_in_sweep() -> Scenario {
    Scenario::parse(SWEEP, "sweep.toml", SWEEP_TEXT).expect("the built-in scenario is tested")
}

/// Reads one scenario file; its name is the file's stem.
pub fn load_file(path: &Path) -> anyhow::Result<Scenario> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("scenario");
    let shown = place_of(path);
    let mut scenario = Scenario::parse(name, &shown, &text)?;
    let is_of_library = Path::new(&shown).starts_with(FOLDER);
    scenario.file = (!is_of_library).then_some(shown);
    Ok(scenario)
}

/// Where the library's files are, from the workspace's root.
const FOLDER: &str = "scenarios";

fn folder() -> PathBuf {
    root().join(FOLDER)
}

/// A file's path from the workspace's root; absolute where it lies outside.
fn place_of(path: &Path) -> String {
    let absolute = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let root = std::fs::canonicalize(root()).unwrap_or_else(|_| root().to_owned());
    absolute.strip_prefix(root).unwrap_or(&absolute).display().to_string()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries =
        std::fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    Ok(())
}
