//! A copy of the tree with every canary in it, each asleep until its rule is suspended.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// The file that gets a rule for each canary, and where in it.
const RULES: &str = "src/rules.rs";
const LAST_RULE: &str = "    CommitThroughOwningSession = \"commit-through-owning-session\",\n";

/// A small mistake (`sim/canaries/NAME.toml`).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    #[serde(skip)]
    pub name: String,
    /// What mistake of real life.
    pub imitates: String,
    pub area: String,
    /// Why it is not found, as far as that is known.
    pub missed: Option<String>,
    edit: Vec<Edit>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    file: PathBuf,
    find: String,
    instead: String,
}

impl Canary {
    /// A mechanical change, planted by somebody else.
    pub fn mutant(name: String, change: String, area: String) -> Canary {
        Canary { name, imitates: change, area, missed: None, edit: Vec::new() }
    }

    /// How it asks whether it sings.
    pub fn switch(&self) -> String {
        format!("{BY_NAME}{}\")", self.name)
    }

    /// What it is called among the rules of the copy.
    pub fn rule(&self) -> String {
        format!("canary-{}", self.name)
    }
}

/// All canaries of a folder, by name.
pub fn read(folder: &Path) -> Result<Vec<Canary>> {
    let mut canaries = Vec::new();
    for file in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = file?.path();
        let text = fs::read_to_string(&path)?;
        let mut canary: Canary = toml::from_str(&text).with_context(|| path.display().to_string())?;
        canary.name = path.file_stem().context("a name")?.to_string_lossy().into_owned();
        canaries.push(canary);
    }
    canaries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(canaries)
}

/// Brings `tree` up to date with what `root` has under version control, or would have, but for the `planted` files. Those
/// that are as they should be are left alone, so that cargo builds only what changed.
pub fn write_tree(root: &Path, tree: &Path, mut planted: BTreeMap<PathBuf, String>) -> Result<()> {
    let files = tracked_files(root)?;
    for file in &files {
        let content = match planted.remove(file) {
            Some(text) => text.into_bytes(),
            None => fs::read(root.join(file)).with_context(|| file.display().to_string())?,
        };
        write_if_changed(&tree.join(file), &content)?;
    }
    if let Some(file) = planted.keys().next() {
        bail!("{} is to be edited and is not there", file.display());
    }
    remove_others(tree, tree, &files)
}

fn tracked_files(root: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut git = Command::new("git");
    git.current_dir(root).args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
    let listed = git.output().context("git lists the files")?;
    ensure!(listed.status.success(), "{git:?} failed");
    let names = String::from_utf8(listed.stdout)?;
    let files = names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from);
    Ok(files.filter(|file| root.join(file).is_file()).collect())
}

/// The files that the canaries change, and their text.
pub fn edited(root: &Path, canaries: &[Canary]) -> Result<BTreeMap<PathBuf, String>> {
    let mut texts = BTreeMap::new();
    for canary in canaries {
        for edit in &canary.edit {
            change(root, &mut texts, &edit.file, &edit.find, &edit.instead)
                .with_context(|| format!("canary {}", canary.name))?;
        }
    }
    Ok(texts)
}

/// Gives each canary a rule that can be suspended, and has the copy ask for it by number where a canary asks by name.
pub fn add_switches(root: &Path, texts: &mut BTreeMap<PathBuf, String>, canaries: &[Canary]) -> Result<()> {
    for text in texts.values_mut() {
        for (number, canary) in canaries.iter().enumerate() {
            let by_name = canary.switch();
            // As long as it was: who knows where something stands in the text is still right.
            let by_number =
                format!("{:width$}", format!("crate::rules::sings({number})"), width = by_name.len());
            *text = text.replace(&by_name, &by_number);
        }
    }
    if let Some((file, _)) = texts.iter().find(|(_, text)| text.contains(BY_NAME)) {
        bail!("{}: a canary asks by a name that is not its own", file.display());
    }
    let file = Path::new(RULES);
    let rules: String = canaries.iter().enumerate().map(|(number, canary)| rule(number, canary)).collect();
    change(root, texts, file, LAST_RULE, &format!("{LAST_RULE}{rules}"))?;
    texts.get_mut(file).context("just changed")?.push_str(SWITCH);
    Ok(())
}

fn change(
    root: &Path,
    texts: &mut BTreeMap<PathBuf, String>,
    file: &Path,
    find: &str,
    instead: &str,
) -> Result<()> {
    if !texts.contains_key(file) {
        texts.insert(file.to_owned(), fs::read_to_string(root.join(file))?);
    }
    let text = texts.get_mut(file).context("just read")?;
    let found = text.matches(find).count();
    ensure!(found == 1, "{}: its text is found {found} times", file.display());
    *text = text.replacen(find, instead, 1);
    Ok(())
}

fn rule(number: usize, canary: &Canary) -> String {
    let imitates = canary.imitates.replace('\n', " ").replace('"', "'");
    format!("    /// A canary: {imitates}.\n    Canary{number} = \"{}\",\n", canary.rule())
}

/// How a canary asks whether it sings, up to its name.
const BY_NAME: &str = "crate::rules::canary(\"";

/// The same in the copy: a rule of its number, so that a run tells whether it was asked for.
const SWITCH: &str = r#"
pub fn sings(number: usize) -> bool {
    !holds(Rule::ALL[Rule::Canary0 as usize + number])
}
"#;

fn write_if_changed(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content).with_context(|| path.display().to_string())
}

/// Removes what is left of an earlier tree.
fn remove_others(tree: &Path, folder: &Path, files: &BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let inside = path.strip_prefix(tree)?;
        if path.is_dir() {
            if inside != Path::new("target") {
                remove_others(tree, &path, files)?;
            }
        } else if !files.contains(inside) && inside != Path::new("Cargo.lock") {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
