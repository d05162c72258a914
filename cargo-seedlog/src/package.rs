//! What cargo says about the package that the launcher was called in.
//!
//! Reads `cargo metadata`; whether the package builds is cargo's to tell.

use std::path::PathBuf;

use serde::Deserialize;

use crate::Trouble;

/// What a crate that can be simulated depends on.
const WANTED: [&str; 2] = ["seedlog", "seedlog-sim"];

/// The binary that `cargo seedlog sim` runs.
pub const SIM: &str = "sim";
/// The one in Seedlog's own repository.
const OWN_SIM: &str = "seedlog-sim";

/// The packages of a workspace, and where it builds.
#[derive(Debug, Deserialize)]
pub struct Workspace {
    packages: Vec<Package>,
    target_directory: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Workspace {
    /// Reads what `cargo metadata --no-deps` printed, and refuses what could not be simulated.
    pub fn read(metadata: &[u8]) -> Result<Workspace, Trouble> {
        let workspace: Workspace = serde_json::from_slice(metadata).map_err(Trouble::Metadata)?;
        let is_wanted = |name: &str| WANTED.contains(&name);
        let uses_seedlog = workspace.packages.iter().any(|package| {
            is_wanted(&package.name) || package.dependencies.iter().any(|on| is_wanted(&on.name))
        });
        if uses_seedlog {
            return Ok(workspace);
        }
        let names: Vec<String> =
            workspace.packages.iter().map(|package| format!("`{}`", package.name)).collect();
        Err(Trouble::NoSeedlog(names.join(", ")))
    }

    /// Where a simulated build goes: beside the ordinary one, because its flags are others and each would
    /// otherwise throw the other's work away.
    pub fn target(&self) -> PathBuf {
        self.target_directory.join("seedlog")
    }

    /// The binary to run as the testbed's command.
    pub fn sim_binary(&self) -> Result<&'static str, Trouble> {
        let has = |wanted: &str| {
            let targets = self.packages.iter().flat_map(|package| &package.targets);
            targets.into_iter().any(|t| t.name == wanted && t.kind.iter().any(|kind| kind == "bin"))
        };
        [SIM, OWN_SIM].into_iter().find(|name| has(name)).ok_or(Trouble::NoSimBinary)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn metadata(dependency: &str, binary: &str) -> Vec<u8> {
        format!(
            r#"{{"packages":[{{"name":"shop","dependencies":[{{"name":"{dependency}","kind":null}}],
               "targets":[{{"name":"{binary}","kind":["bin"]}}]}}],"target_directory":"/x/target","version":1}}"#
        )
        .into_bytes()
    }

    #[test]
    fn a_package_that_uses_seedlog_builds_in_a_directory_of_its_own() {
        for name in ["seedlog", "seedlog-sim"] {
            let workspace = Workspace::read(&metadata(name, "sim")).unwrap();
            assert_eq!(workspace.target(), Path::new("/x/target/seedlog"));
            assert_eq!(workspace.sim_binary().unwrap(), "sim");
        }
    }

    #[test]
    fn a_package_without_seedlog_is_refused_by_its_name() {
        let trouble = Workspace::read(&metadata("serde", "sim")).unwrap_err();
        assert!(trouble.to_string().contains("`shop`"), "{trouble}");
        assert!(trouble.to_string().contains("cargo add"), "{trouble}");
    }

    #[test]
    fn without_a_binary_called_sim_there_is_nothing_to_command() {
        let workspace = Workspace::read(&metadata("seedlog-sim", "shop")).unwrap();
        assert!(matches!(workspace.sim_binary(), Err(Trouble::NoSimBinary)));
    }
}
