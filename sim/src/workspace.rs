//! The workspace that the testbed works for: the one of the current directory, as cargo would find it.
//!
//! Scenarios, `known.toml`, golden hashes and the target directory are looked for here. Never where the testbed's
//! own sources were built: that place may be another machine's, or a registry's.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const MANIFEST: &str = "Cargo.toml";

/// The workspace's root; outside of every package the current directory.
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| root_of(&std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."))))
}

/// A path as it is shown: short where it lies below the current directory.
pub fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

fn root_of(directory: &Path) -> PathBuf {
    let mut packages = directory.ancestors().filter(|folder| folder.join(MANIFEST).is_file());
    let Some(nearest) = packages.next() else { return directory.to_owned() };
    let own = manifest(nearest);
    if own.contains_key("workspace") {
        return nearest.to_owned();
    }
    let named =
        own.get("package").and_then(|package| package.get("workspace")).and_then(|path| path.as_str());
    if let Some(path) = named {
        return nearest.join(path);
    }
    let above = packages.find_map(|folder| {
        let manifest = manifest(folder);
        let workspace = manifest.get("workspace")?;
        Some((folder.to_owned(), excludes(workspace, nearest.strip_prefix(folder).ok()?)))
    });
    match above {
        Some((folder, false)) => folder,
        Some((_, true)) | None => nearest.to_owned(),
    }
}

/// A manifest that cannot be read is cargo's to complain about.
fn manifest(folder: &Path) -> toml::Table {
    let text = std::fs::read_to_string(folder.join(MANIFEST)).unwrap_or_default();
    text.parse().unwrap_or_default()
}

fn excludes(workspace: &toml::Value, package: &Path) -> bool {
    let excluded = workspace.get("exclude").and_then(|list| list.as_array()).into_iter().flatten();
    excluded.filter_map(|path| path.as_str()).any(|path| package.starts_with(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_the_workspace_that_cargo_would_find() {
        let place = std::env::temp_dir().join(format!("seedlog-sim-root-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = place.join(path).join(MANIFEST);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("", "[workspace]\nmembers = [\"a\"]\nexclude = [\"out\"]\n");
        write("a", "[package]\nname = \"a\"\n");
        write("out/b", "[package]\nname = \"b\"\n");
        write("out/c", "[workspace]\n[package]\nname = \"c\"\n");
        write("out/d", "[package]\nname = \"d\"\nworkspace = \"../c\"\n");
        std::fs::create_dir_all(place.join("a/src/deep")).unwrap();
        assert_eq!(root_of(&place), place);
        assert_eq!(root_of(&place.join("a/src/deep")), place);
        assert_eq!(root_of(&place.join("out/b")), place.join("out/b"));
        assert_eq!(root_of(&place.join("out/c")), place.join("out/c"));
        assert_eq!(root_of(&place.join("out/d")), place.join("out/d/../c"));
        std::fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn outside_of_every_package_the_root_is_the_directory_itself() {
        assert_eq!(root_of(Path::new("/")), Path::new("/"));
    }
}
