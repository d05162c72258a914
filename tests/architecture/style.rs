//! STYLE.md's limits that a machine can hold.

use std::fs;
use std::path::Path;

use crate::sources::{root, rust_files, sources};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// Folders whose files are held to the limits of length.
const FOLDERS: [&str; 7] =
    ["src", "sim/src", "tests", "sim/tests", "cargo-seedlog/src", "xtask/src", "benches"];

/// Words that say nothing about what a module is for.
const NAMES_BANNED: [&str; 8] =
    ["util", "utils", "common", "helper", "helpers", "misc", "manager", "managers"];

/// Names of types that were given up for the field's words.
const TYPES_GIVEN_UP: [&str; 14] = [
    "Appetite",
    "Attention",
    "Bell",
    "Fate",
    "Lent",
    "Mischief",
    "Patience",
    "Persistence",
    "Pulse",
    "Question",
    "Sham",
    "Standing",
    "Told",
    "Why",
];

struct File {
    shown: String,
    text: String,
}

fn files() -> Vec<File> {
    let mut paths = Vec::new();
    for folder in FOLDERS {
        rust_files(&root().join(folder), &mut paths);
    }
    paths.sort();
    assert!(paths.len() > 200, "the sources were not found");
    let read = |path: &std::path::PathBuf| File {
        shown: path.strip_prefix(root()).expect("below the root").display().to_string(),
        text: fs::read_to_string(path).expect("a readable source"),
    };
    paths.iter().map(read).collect()
}

/// Functions with more lines than that: name, line, and how many. The sources are formatted, so that a function
/// ends at the brace below its first letter.
fn long_functions(text: &str, lines_max: usize) -> Vec<(String, usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let begins = lines.iter().enumerate().filter_map(|(at, line)| {
        let name = function_name(line)?;
        let indent = &line[..line.len() - line.trim_start().len()];
        let ends = |line: &&str| line.strip_prefix(indent).is_some_and(|rest| matches!(rest, "}" | "};"));
        let length = lines[at..].iter().position(ends)? + 1;
        Some((name, at + 1, length))
    });
    begins.filter(|(_, _, length)| *length > lines_max).collect()
}

/// The name of the function whose body begins on this line or below.
fn function_name(line: &str) -> Option<String> {
    let line = line.trim_start();
    let is_whole = line.ends_with('}') || line.ends_with(';');
    if line.starts_with("//") || is_whole {
        return None;
    }
    const QUALIFIERS: [&str; 7] =
        ["pub ", "pub(crate) ", "pub(super) ", "pub(in ", "const ", "async ", "unsafe "];
    let is_function = line.starts_with("fn ") || QUALIFIERS.iter().any(|q| line.starts_with(q));
    let (_, name) = line.split_once("fn ").filter(|_| is_function)?;
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    (end > 0).then(|| name[..end].to_owned())
}

#[test]
fn files_stay_short() {
    let long = files().into_iter().filter_map(|file| {
        let lines = file.text.lines().count();
        (lines > FILE_LINES_MAX).then(|| format!("{}: {lines} lines", file.shown))
    });
    let long: Vec<String> = long.collect();
    let wanted = format!("longer than {FILE_LINES_MAX} lines, split on a noun of the domain");
    assert!(long.is_empty(), "{wanted}:\n{}", long.join("\n"));
}

#[test]
fn functions_fit_a_screen() {
    let mut long = Vec::new();
    for file in files() {
        for (name, line, lines) in long_functions(&file.text, FUNCTION_LINES_MAX) {
            long.push(format!("{}:{line}: {name} has {lines} lines", file.shown));
        }
    }
    assert!(long.is_empty(), "longer than {FUNCTION_LINES_MAX} lines:\n{}", long.join("\n"));
}

#[test]
fn no_module_is_called_by_a_word_that_says_nothing() {
    let banned = files().into_iter().filter_map(|file| {
        let path = Path::new(&file.shown).with_extension("");
        let word = path.iter().find(|part| NAMES_BANNED.iter().any(|banned| *part == *banned))?.to_owned();
        Some(format!("{}: {}", file.shown, word.display()))
    });
    let banned: Vec<String> = banned.collect();
    assert!(banned.is_empty(), "{}", banned.join("\n"));
}

#[test]
fn a_name_that_was_given_up_does_not_come_back() {
    let mut found = Vec::new();
    for source in sources() {
        for line in source.text.lines() {
            let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            let defined = words.windows(2).find(|pair| {
                ["struct", "enum", "type", "trait"].contains(&pair[0]) && TYPES_GIVEN_UP.contains(&pair[1])
            });
            found.extend(defined.map(|pair| format!("{}: {}", source.path.display(), pair[1])));
        }
    }
    assert!(found.is_empty(), "a Kafka or Rust engineer would not recognise:\n{}", found.join("\n"));
}

#[test]
fn every_select_says_in_which_order_it_looks() {
    // In two pieces, or this line would be found.
    let select = concat!("select! ", "{");
    let mut unordered = Vec::new();
    for file in files() {
        let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
        for (at, pair) in lines.windows(2).enumerate() {
            let is_select = pair[0].contains(select) && !pair[0].starts_with("//");
            if is_select && pair[1] != "biased;" {
                unordered.push(format!("{}:{}", file.shown, at + 1));
            }
        }
    }
    assert!(unordered.is_empty(), "`select!` without `biased`:\n{}", unordered.join("\n"));
}

#[test]
fn a_function_is_measured_from_its_name_to_its_brace() {
    let text = "impl A {\n    pub(super) async fn long(&self) {\n        one();\n        two();\n    }\n    fn short() {}\n}\n\
                fn outer(\n    a: u8,\n) {\n    a();\n}\n";
    assert_eq!(long_functions(text, 3), [("long".to_owned(), 2, 4), ("outer".to_owned(), 8, 5)]);
    assert_eq!(long_functions(text, 4), [("outer".to_owned(), 8, 5)]);
}
