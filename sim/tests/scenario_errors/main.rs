//! Every broken scenario file beside this one gets the message beside it: file, place, the line itself, and
//! what would be right. `UPDATE_SNAPSHOTS=1` writes the messages anew, to be read before they are committed.
#![allow(clippy::disallowed_methods)] // Reads and writes the files beside it.

use std::path::{Path, PathBuf};

use seedlog_sim::scenario::Scenario;

/// Fewer files than this mean that the folder was not found.
const FILES_MIN: usize = 40;

#[test]
fn every_broken_file_gets_its_message() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenario_errors");
    let files = broken_files(&folder);
    assert!(files.len() >= FILES_MIN, "only {} files", files.len());
    let updates = std::env::var_os("UPDATE_SNAPSHOTS").is_some();
    let mut differences = Vec::new();
    for file in files {
        let message = message_of(&file);
        let snapshot = file.with_extension("txt");
        if updates {
            std::fs::write(&snapshot, &message).unwrap();
        }
        let expected = std::fs::read_to_string(&snapshot).unwrap_or_default();
        if message != expected {
            differences.push(format!("{}\n--- expected\n{expected}--- found\n{message}", file.display()));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn broken_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect();
    files.sort();
    files
}

fn message_of(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let name = file.file_name().and_then(|name| name.to_str()).unwrap();
    match Scenario::parse("broken", name, &text) {
        Ok(_) => "no error\n".to_owned(),
        Err(error) => format!("{error}\n"),
    }
}
