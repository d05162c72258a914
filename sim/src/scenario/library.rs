//! Where scenarios come from: the files under `scenarios/`, and the built-in one that sweeps draw from.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::Scenario;

/// The name of the built-in scenario whose every part is drawn from the seed.
pub const SWEEP: &str = "sweep";

const SWEEP_TEXT: &str = include_str!("sweep.toml");

/// Every scenario that can be named.
pub struct Library {
    scenarios: Vec<Scenario>,
}

impl Library {
    /// Reads every file under `scenarios/` of the repository, in the order of their names.
    pub fn load() -> anyhow::Result<Library> {
        let mut files = Vec::new();
        collect(&repository().join("scenarios"), &mut files)?;
        files.sort();
        let scenarios = files.iter().map(|file| load_file(file)).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Library { scenarios })
    }

    /// The stories, without the built-in sweep.
    pub fn stories(&self) -> &[Scenario] {
        &self.scenarios
    }

    /// The stories whose names contain one of `parts`; all of them where there are no parts.
    pub fn matching(&self, parts: &[String]) -> anyhow::Result<Vec<Scenario>> {
        let mut found = Vec::new();
        for scenario in &self.scenarios {
            if parts.is_empty() || parts.iter().any(|part| scenario.name.contains(part.as_str())) {
                found.push(scenario.clone());
            }
        }
        if parts.iter().any(|part| part == SWEEP) {
            found.push(built_in_sweep());
        }
        for part in parts {
            if Path::new(part).extension().is_some_and(|extension| extension == "toml") {
                found.push(load_file(Path::new(part))?);
            } else if !found.iter().any(|scenario| scenario.name.contains(part.as_str())) {
                bail!("no scenario has `{part}` in its name; there are: {}", self.names().join(", "));
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
        found
            .cloned()
            .with_context(|| format!("there is no scenario `{name}`; there are: {}", self.names().join(", ")))
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
    let shown = path.strip_prefix(repository()).unwrap_or(path);
    Ok(Scenario::parse(name, &shown.display().to_string(), &text)?)
}

/// The root of the repository that this was built from.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("sim/ lies in the repository").to_owned()
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
