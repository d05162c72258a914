//! What the sources' text says: constants with their comments, names that are mentioned, and what a file is for.
//!
//! Reads lines, not syntax: the repository's format (`cargo fmt`) is what it relies on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A constant that the product defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constant {
    pub name: String,
    pub value: String,
    /// The comment above it.
    pub says: String,
    pub file: PathBuf,
}

impl Constant {
    /// Limits are named for what they are.
    pub fn is_limit(&self) -> bool {
        self.name.ends_with("_MAX") || self.name.contains("_MAX_") || self.name.ends_with("_LIMIT")
    }
}

/// Every constant of the product's files below `folder`, by file and place.
pub fn constants(folder: &Path) -> anyhow::Result<Vec<Constant>> {
    let mut found = Vec::new();
    for file in product_files(folder)? {
        let text = std::fs::read_to_string(&file)?;
        found.extend(constants_of(&text, &file));
    }
    Ok(found)
}

fn constants_of(text: &str, file: &Path) -> Vec<Constant> {
    let mut found = Vec::new();
    let mut says = String::new();
    let mut lines = product_lines(text);
    while let Some(line) = lines.next() {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix("///") {
            says.push_str(comment);
            continue;
        }
        let item = line.strip_prefix("pub ").or_else(|| line.strip_prefix("pub(crate) ")).unwrap_or(line);
        let item = item.strip_prefix("pub(super) ").unwrap_or(item);
        if let Some((name, _)) = item.strip_prefix("const ").and_then(|rest| rest.split_once(':')) {
            let mut whole = item.to_owned();
            while !whole.ends_with(';') {
                let Some(next) = lines.next() else { break };
                whole.push(' ');
                whole.push_str(next.trim());
            }
            let value = whole.split_once(" = ").map_or("", |(_, value)| value.trim_end_matches(';'));
            found.push(Constant {
                name: name.to_owned(),
                value: value.to_owned(),
                says: says.trim().to_owned(),
                file: file.to_owned(),
            });
        }
        if !line.starts_with("#[") {
            says.clear();
        }
    }
    found
}

/// Files that mention `prefix` with a name behind it, by name; from the parent of `folder`.
pub fn mentions(
    folder: &Path,
    prefix: &str,
    without: &[&str],
) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let root = folder.parent().unwrap_or(folder);
    for file in product_files(folder)? {
        if without.iter().any(|name| file.ends_with(name)) {
            continue;
        }
        let text = std::fs::read_to_string(&file)?;
        for line in product_lines(&text).filter(|line| !line.trim_start().starts_with("//")) {
            for (at, _) in line.match_indices(prefix) {
                let rest = &line[at + prefix.len()..];
                let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
                let shown = file.strip_prefix(root).unwrap_or(&file).display().to_string();
                found.entry(rest[..end].to_owned()).or_default().insert(shown);
            }
        }
    }
    Ok(found)
}

/// Files of tests below `folder` of `root`, with the first sentence of what they say of themselves.
pub fn purposes(root: &Path, folder: &str) -> anyhow::Result<Vec<(String, String)>> {
    let folder = root.join(folder);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut purposes = Vec::new();
    for file in rust_files(&folder)? {
        let text = std::fs::read_to_string(&file)?;
        let comment: Vec<&str> = text
            .lines()
            .map_while(|line| line.strip_prefix("//!"))
            .map(str::trim)
            .take_while(|l| !l.is_empty())
            .collect();
        let shown = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        purposes.push((shown, comment.join(" ")));
    }
    Ok(purposes)
}

/// Lines before the file's own tests.
fn product_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().take_while(|line| *line != "#[cfg(test)]")
}

fn product_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = rust_files(folder)?;
    let is_test = |file: &Path| {
        let parts = file.strip_prefix(folder).unwrap_or(file).iter();
        parts.into_iter().any(|part| part == "tests" || part == "tests.rs")
    };
    files.retain(|file| !is_test(file));
    Ok(files)
}

fn rust_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_has_its_comment_and_its_whole_value() {
        let text = "/// Of a request.\n/// In bytes.\npub const BYTES_MAX: usize =\n    1 << 20;\nconst OTHER: u8 = 1;\n\
                    #[cfg(test)]\nmod tests { const LOST_MAX: u8 = 1; }\n";
        let found = constants_of(text, Path::new("a.rs"));
        let names: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.is_limit())).collect();
        assert_eq!(names, [("BYTES_MAX", true), ("OTHER", false)]);
        assert_eq!((found[0].value.as_str(), found[0].says.as_str()), ("1 << 20", "Of a request. In bytes."));
        assert_eq!(found[1].says, "");
    }
}
