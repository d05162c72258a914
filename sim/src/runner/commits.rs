//! The testbed of another commit: checked out beside the build, built, and asked for the same run.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, bail};

use super::child::Worker;
use crate::report::sim_folder;
use crate::scenario::repository;

/// Lines of a failed build that are shown.
const ERROR_LINES_MAX: usize = 25;

/// A commit's work tree under the target directory; gone with this handle, its build is kept.
pub struct Checkout {
    commit: String,
    path: PathBuf,
}

impl Checkout {
    /// Checks the commit out. `revision` is anything that git understands.
    pub fn of(revision: &str) -> anyhow::Result<Checkout> {
        let parsed =
            git(&["rev-parse", "--verify", "--quiet", "--short=12", &format!("{revision}^{{commit}}")])?;
        let commit = String::from_utf8_lossy(&parsed.stdout).trim().to_owned();
        if !parsed.status.success() || commit.is_empty() {
            bail!("git knows no commit `{revision}` in {}; fetch it first", repository().display());
        }
        let path = sim_folder().join("commits").join(&commit);
        let checkout = Checkout { commit, path };
        if !checkout.path.join("Cargo.toml").is_file() {
            let added = git(&["worktree", "add", "--force", "--detach", checkout.shown(), &checkout.commit])?;
            if !added.status.success() {
                bail!("cannot check {revision} out: {}", String::from_utf8_lossy(&added.stderr).trim());
            }
        }
        Ok(checkout)
    }

    /// Builds its testbed; a worker of that.
    pub fn worker(&self) -> anyhow::Result<Worker> {
        eprintln!("building {} in {}", self.commit, self.shown());
        // Of its own, so that the build of the working tree stays as it is; shared by all commits.
        let target = sim_folder().join("commits").join("target");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--package", "seedlog-sim", "--bin", "seedlog-sim"])
            .current_dir(&self.path)
            .env("CARGO_TARGET_DIR", &target)
            .output()
            .context("cannot start cargo")?;
        if !built.status.success() {
            bail!("commit {} does not build:\n{}", self.commit, tail(&built.stderr));
        }
        // The next commit's build takes this one's place.
        let program = self.path.join("seedlog-sim-of-commit");
        std::fs::copy(target.join("debug").join("seedlog-sim"), &program)
            .with_context(|| format!("commit {} has no testbed", self.commit))?;
        Ok(Worker::of_program(&program))
    }

    fn shown(&self) -> &str {
        self.path.to_str().unwrap_or_default()
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        // What cannot be removed is used again by the next comparison.
        let _kept = git(&["worktree", "remove", "--force", self.shown()]);
    }
}

fn git(arguments: &[&str]) -> anyhow::Result<Output> {
    let root: &Path = &repository();
    Command::new("git").arg("-C").arg(root).args(arguments).output().context("cannot start git")
}

/// The last lines of what a build said.
fn tail(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(ERROR_LINES_MAX)..].join("\n")
}
