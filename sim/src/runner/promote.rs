//! `promote WHAT [NAME]`: a failure, shrunk, as a scenario under `scenarios/regressions/`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};

use super::console::tell;
use super::named::{Named, REGRESSIONS};
use super::shrink::{self, Shrunk};
use super::{Exit, Settings};
use crate::scenario::{Document, Scenario, is_name};
use crate::workspace::root;

/// What to file a failure as.
pub struct As {
    /// The story's file; from check and faults where none is given.
    pub name: Option<String>,
    /// The story's sentence; what the check found where none is given.
    pub story: Option<String>,
}

/// Shrinks what is named and files it. Never writes over one.
pub fn promote(
    named: &Named,
    filed: &As,
    check: Option<&str>,
    time: Duration,
    settings: &Settings,
) -> anyhow::Result<Exit> {
    // Before the long part.
    filed.name.as_deref().map(free_path).transpose()?;
    let shrunk = shrink::shrink(named, check, time, settings)?;
    let name = filed.name.clone().unwrap_or_else(|| name_of(&shrunk));
    let path = free_path(&name)?;
    let text = story(&shrunk, filed.story.as_deref())?;
    Scenario::parse(&name, &name, &text).context("the shrunk scenario is one that can be read")?;
    std::fs::create_dir_all(root().join(REGRESSIONS))
        .with_context(|| format!("cannot make {REGRESSIONS}"))?;
    std::fs::write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    if settings.json {
        let line = serde_json::json!({ "file": path.display().to_string(), "name": name, "shrunk": shrunk });
        tell(&line.to_string());
        return Ok(Exit::Pass);
    }
    let shown = path.strip_prefix(root()).unwrap_or(&path).display();
    tell(&text);
    match shrunk.holds_with_rules {
        Some(true) => {
            tell(&format!("filed as {shown}: passes as the rules hold, fails where they are suspended"))
        }
        Some(false) => tell(&format!("filed as {shown}: fails, whether or not the rules hold")),
        None => tell(&format!("filed as {shown}: fails until what it found is repaired")),
    }
    Ok(Exit::Pass)
}

fn free_path(name: &str) -> anyhow::Result<PathBuf> {
    if !is_name(name) || name.contains('.') {
        bail!("`{name}` is no name for a scenario; letters, digits, `-` and `_`");
    }
    let path = root().join(REGRESSIONS).join(format!("{name}.toml"));
    if path.exists() {
        bail!("{REGRESSIONS}/{name}.toml is there already; give another name");
    }
    Ok(path)
}

/// `lost_write_after_power_failure`.
fn name_of(shrunk: &Shrunk) -> String {
    let check = shrunk.check.split_whitespace().next().unwrap_or("failure");
    let kinds: Vec<&str> = shrunk.verdict.faults.keys().map(String::as_str).collect();
    let name =
        if kinds.is_empty() { check.to_owned() } else { format!("{check}-after-{}", kinds.join("-and-")) };
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    name.chars().take(60).collect()
}

fn story(shrunk: &Shrunk, sentence: Option<&str>) -> anyhow::Result<String> {
    let mut document = Document::of(&shrunk.text)?;
    // Comments are not part of a document; where it comes from is worth keeping.
    document.remarks = shrunk
        .text
        .lines()
        .take_while(|line| line.starts_with('#'))
        .map(|line| line[1..].trim().to_owned())
        .collect();
    document.remarks.push(format!(
        "Found {}: {} faults shrunk to {}.",
        shrunk.check, shrunk.faults_before, shrunk.faults_after
    ));
    if let Some(sentence) = sentence {
        document.set(&["story"], sentence);
    }
    Ok(document.text())
}
