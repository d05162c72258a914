//! Canaries (`sim/canaries`): small mistakes that a copy of the tree gets, to measure the testbed by. The product has none
//! of them, and each still applies to it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::sources::sources;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Canary {
    /// What mistake of real life.
    imitates: String,
    area: String,
    /// Why it is not found, as far as that is known.
    missed: Option<String>,
    edit: Vec<Edit>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    file: PathBuf,
    find: String,
    instead: String,
}

const AREAS: [&str; 6] = ["log", "broker", "groups", "producer", "consumer", "zookeeper-client"];

fn canaries() -> BTreeMap<String, Canary> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sim/canaries");
    let files = fs::read_dir(&folder).expect("the folder of canaries");
    let read = files.map(|file| {
        let path = file.expect("a file").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("text");
        (name, toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    });
    read.collect()
}

/// `edit` made in `text`, as the copy of the tree gets it.
fn applied(text: &str, edit: &Edit) -> Result<String, String> {
    match text.matches(&edit.find).count() {
        1 => Ok(text.replacen(&edit.find, &edit.instead, 1)),
        found => Err(format!("{}: its text is found {found} times", edit.file.display())),
    }
}

#[test]
fn every_canary_applies_beside_all_others() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: BTreeMap<PathBuf, String> = BTreeMap::new();
    for (name, canary) in canaries() {
        for edit in &canary.edit {
            let text = files.entry(edit.file.clone()).or_insert_with(|| {
                fs::read_to_string(root.join(&edit.file)).unwrap_or_else(|error| panic!("{name}: {error}"))
            });
            *text = applied(text, edit).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
    assert!(files.len() > 10, "they are spread over the product");
}

#[test]
fn every_canary_says_what_it_imitates_and_asks_its_own_switch() {
    let canaries = canaries();
    assert!(canaries.len() >= 40, "{}", canaries.len());
    for (name, canary) in &canaries {
        assert!(!canary.imitates.is_empty(), "{name}");
        assert_ne!(canary.missed.as_deref(), Some(""), "{name}: a reason that says nothing is none");
        assert!(AREAS.contains(&canary.area.as_str()), "{name}: {}", canary.area);
        let switch = format!("canary(\"{name}\")");
        assert!(canary.edit.iter().any(|edit| edit.instead.contains(&switch)), "{name} asks {switch}");
    }
    for area in AREAS {
        let count = canaries.values().filter(|canary| canary.area == area).count();
        assert!(count >= 5, "{area} has {count}");
    }
}

#[test]
fn the_product_has_no_canary() {
    let asks = sources().into_iter().filter(|source| source.text.contains("canary("));
    let asks: Vec<_> = asks.map(|source| source.path).collect();
    assert!(asks.is_empty(), "{asks:?}");
}
