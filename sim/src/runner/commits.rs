//! The testbed of another commit: checked out beside the build, built, and asked for the same run.
//!
//! What was built is kept, for the latest few commits; the work tree is not.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::child::Worker;
use crate::report::sim_folder;
use crate::workspace::root;

/// Lines of a failed build that are shown.
const ERROR_LINES_MAX: usize = 25;
/// Programs of commits that are kept.
const PROGRAMS_MAX: usize = 8;
/// How often a build says how far it is where nobody looks at a terminal.
const TOLD_EVERY: Duration = Duration::from_secs(15);

/// A commit whose testbed is asked for.
pub struct Checkout {
    commit: String,
    /// Its work tree under the target directory; gone with this handle.
    path: PathBuf,
    /// Its testbed, once it was built.
    program: PathBuf,
}

impl Checkout {
    /// Checks the commit out, unless its testbed was built before. `revision` is anything that git understands.
    pub fn of(revision: &str) -> anyhow::Result<Checkout> {
        let parsed =
            git(&["rev-parse", "--verify", "--quiet", "--short=12", &format!("{revision}^{{commit}}")])?;
        let commit = String::from_utf8_lossy(&parsed.stdout).trim().to_owned();
        if !parsed.status.success() || commit.is_empty() {
            bail!("git knows no commit `{revision}` in {}; fetch it first", root().display());
        }
        let folder = folder();
        let (path, program) = (folder.join(&commit), folder.join("programs").join(&commit));
        let checkout = Checkout { commit, path, program };
        if !checkout.program.is_file() && !checkout.path.join("Cargo.toml").is_file() {
            let added = git(&["worktree", "add", "--force", "--detach", checkout.shown(), &checkout.commit])?;
            if !added.status.success() {
                bail!("cannot check {revision} out: {}", String::from_utf8_lossy(&added.stderr).trim());
            }
        }
        Ok(checkout)
    }

    /// A worker of its testbed, which is built if need be.
    pub fn worker(&self) -> anyhow::Result<Worker> {
        if self.program.is_file() {
            eprintln!("{} was built before", self.commit);
        } else {
            self.build()?;
        }
        Ok(Worker::of_program(&self.program))
    }

    fn build(&self) -> anyhow::Result<()> {
        // Of its own, so that the build of the working tree stays as it is; shared by all commits.
        let target = folder().join("target");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut child = Command::new(cargo)
            .args(["build", "--package", "seedlog-sim", "--bin", "seedlog-sim"])
            .current_dir(&self.path)
            .env("CARGO_TARGET_DIR", &target)
            // The next checkout is another folder, so what is kept for it would only cost time and disk.
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_TERM_COLOR", "never")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start cargo")?;
        let stderr = child.stderr.take().context("the build's output")?;
        let mut build = Build::of(&self.commit);
        for line in BufReader::new(stderr).lines() {
            build.take(line?);
        }
        let status = child.wait()?;
        build.finish();
        if !status.success() {
            bail!("commit {} does not build:\n{}", self.commit, build.last_lines());
        }
        self.keep(&target.join("debug").join("seedlog-sim"))
    }

    /// The next commit's build takes this one's place, so the program is kept elsewhere.
    fn keep(&self, built: &Path) -> anyhow::Result<()> {
        let programs = self.program.parent().context("a folder of programs")?;
        std::fs::create_dir_all(programs)?;
        std::fs::copy(built, &self.program)
            .with_context(|| format!("commit {} has no testbed", self.commit))?;
        forget_oldest(programs, PROGRAMS_MAX)?;
        Ok(())
    }

    fn shown(&self) -> &str {
        self.path.to_str().unwrap_or_default()
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        if self.path.exists() {
            // What cannot be removed is used again by the next comparison.
            let _kept = git(&["worktree", "remove", "--force", self.shown()]);
        }
    }
}

fn folder() -> PathBuf {
    sim_folder().join("commits")
}

/// Removes the files that were written first, until so many are left.
fn forget_oldest(folder: &Path, max: usize) -> std::io::Result<()> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        files.push((entry.metadata()?.modified()?, entry.path()));
    }
    files.sort();
    let surplus = files.len().saturating_sub(max);
    files[..surplus].iter().try_for_each(|(_, path)| std::fs::remove_file(path))
}

fn git(arguments: &[&str]) -> anyhow::Result<Output> {
    Command::new("git").arg("-C").arg(root()).args(arguments).output().context("cannot start git")
}

/// How far a build is, told on stderr.
struct Build {
    commit: String,
    started: Instant,
    told: Instant,
    crates: u32,
    /// The last lines of what it said.
    lines: VecDeque<String>,
}

impl Build {
    fn of(commit: &str) -> Build {
        let now = Instant::now();
        eprintln!("building {commit}: minutes if little of it was built before");
        Build { commit: commit.to_owned(), started: now, told: now, crates: 0, lines: VecDeque::new() }
    }

    fn take(&mut self, line: String) {
        if let Some(what) = line.trim_start().strip_prefix("Compiling ") {
            self.crates += 1;
            self.tell(what);
        }
        if self.lines.len() == ERROR_LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    fn tell(&mut self, what: &str) {
        let seconds = self.started.elapsed().as_secs();
        let name = what.split_whitespace().next().unwrap_or(what);
        let line = format!("building {}: crate {}, {name}, {seconds} s", self.commit, self.crates);
        if std::io::stderr().is_terminal() {
            let mut stderr = std::io::stderr().lock();
            // Progress that cannot be told is no reason to stop.
            let _untold = write!(stderr, "\r\x1b[K{line}").and_then(|()| stderr.flush());
        } else if self.told.elapsed() >= TOLD_EVERY {
            self.told = Instant::now();
            eprintln!("{line}");
        }
    }

    fn finish(&self) {
        let clear = if std::io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
        let seconds = self.started.elapsed().as_secs_f64();
        eprintln!("{clear}built {}: {} crates, {seconds:.0} s", self.commit, self.crates);
    }

    fn last_lines(&self) -> String {
        Vec::from(self.lines.clone()).join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_counts_crates_and_keeps_its_last_words() {
        let mut build = Build::of("abc");
        build.take("   Compiling seedlog v0.1.0 (/x)".into());
        (0..40).for_each(|n| build.take(format!("error {n}")));
        assert_eq!(build.crates, 1);
        assert_eq!(build.last_lines().lines().count(), ERROR_LINES_MAX);
        assert!(build.last_lines().ends_with("error 39"));
    }

    #[test]
    fn only_the_latest_programs_are_kept() {
        let folder = std::env::temp_dir().join(format!("seedlog-sim-commits-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let begin = std::time::SystemTime::now();
        for (age, name) in [(2, "b"), (1, "c"), (3, "a")] {
            let file = std::fs::File::create(folder.join(name)).unwrap();
            file.set_modified(begin - Duration::from_secs(age)).unwrap();
        }
        forget_oldest(&folder, 2).unwrap();
        let mut left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["b", "c"]);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
