//! What the docs name exists: files, folders, and the items in them.
//!
//! Looks at what stands in backticks, outside of code blocks: a path that begins with a folder of the repository
//! (`src/log/recovery.rs`), a path with an item of that file behind it (`src/log/recovery.rs::recover`), and a type
//! with one of its names (`Log::append`). Links to files are looked at too.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::sources::{root, rust_files};

/// Pages by hand or generated, all of them.
fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = ["README.md", "ARCHITECTURE.md", "STYLE.md", "CONTRIBUTING.md"]
        .iter()
        .map(|name| root().join(name))
        .collect();
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of docs") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// Pages whose sentences are the code's own comments.
const GATHERED: [&str; 3] = ["docs/files.md", "docs/limits.md", "docs/tests.md"];

fn written_by_hand() -> Vec<PathBuf> {
    pages().into_iter().filter(|page| !GATHERED.iter().any(|gathered| page.ends_with(gathered))).collect()
}

/// The text without code blocks, by line.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        (!is_fence && !is_code && !line.starts_with("    ")).then_some((at + 1, line))
    })
}

/// What stands in backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Where links lead to, within the repository.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.map(|target| target.split('#').next().unwrap_or_default()).filter(|target| {
        let is_elsewhere = target.is_empty() || target.contains("://") || target.starts_with("crate");
        !is_elsewhere
    })
}

/// `a/{b,c}.rs` is two paths.
fn expanded(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else { return vec![path.to_owned()] };
    let Some((names, after)) = rest.split_once('}') else { return vec![path.to_owned()] };
    names.split(',').flat_map(|name| expanded(&format!("{before}{}{after}", name.trim()))).collect()
}

/// What is wrong with a quoted text, if it names something of ours.
fn missing(quoted: &str) -> Option<String> {
    let is_path = |c: char| c.is_alphanumeric() || "_-./{},: ".contains(c);
    let first = quoted.split('/').next().unwrap_or_default();
    let is_ours =
        quoted.contains('/') && !first.is_empty() && root().join(first).is_dir() && first != "target";
    if is_ours && quoted.chars().all(is_path) && !quoted.contains("...") {
        let (path, item) = quoted.split_once("::").map_or((quoted, None), |(path, item)| (path, Some(item)));
        return expanded(path).into_iter().find_map(|path| missing_path(&path, item));
    }
    let (of, name) = quoted.trim_end_matches("()").split_once("::")?;
    let is_type = of.starts_with(|c: char| c.is_ascii_uppercase()) && of.chars().all(char::is_alphanumeric);
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    (is_type && is_name && !has_item(of, name)).then(|| format!("no type `{of}` has a `{name}`"))
}

fn missing_path(path: &str, item: Option<&str>) -> Option<String> {
    let full = root().join(path.trim_end_matches('/'));
    // Placeholders in capitals stand for many files.
    let is_pattern =
        path.split(['/', '.']).any(|part| part.len() > 1 && part.chars().all(|c| c.is_ascii_uppercase()))
            && !full.exists();
    if is_pattern {
        return None;
    }
    if !full.exists() {
        return Some(format!("there is no {path}"));
    }
    let item = item?;
    let text = fs::read_to_string(&full).unwrap_or_default();
    let is_there = item.split("::").all(|name| mentions(&text, name));
    (!is_there).then(|| format!("{path} has no `{item}`"))
}

/// Whether `name` stands in the text as a whole word.
fn mentions(text: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        let (before, after) = (text[..at].chars().next_back(), text[at + name.len()..].chars().next());
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// Whether a file that has to do with the type `of` defines or lists `name`.
fn has_item(of: &str, name: &str) -> bool {
    static TEXTS: OnceLock<Vec<String>> = OnceLock::new();
    let texts = TEXTS.get_or_init(|| {
        let mut files = Vec::new();
        for folder in ["src", "sim/src"] {
            rust_files(&root().join(folder), &mut files);
        }
        files.iter().map(|path| fs::read_to_string(path).expect("a readable source")).collect()
    });
    let is_of = |text: &&String| {
        let items = ["struct", "enum", "trait", "type", "impl", "for", "mod"];
        items.iter().any(|item| mentions(text, &format!("{item} {of}"))) || text.contains(&format!("> {of}"))
    };
    let is_std = ["Instant", "String", "Vec", "Option", "Result", "Arc", "Mutex"].contains(&of);
    is_std || texts.iter().filter(is_of).any(|text| mentions(text, name))
}

#[test]
fn every_name_in_the_docs_is_there() {
    let mut wrong = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a readable page");
        let shown = page.strip_prefix(root()).expect("below the root").display();
        let folder = page.parent().unwrap_or(Path::new(""));
        for (number, line) in prose(&text) {
            wrong.extend(quoted(line).filter_map(missing).map(|what| format!("{shown}:{number}: {what}")));
            let dead = links(line).filter(|target| !folder.join(target).exists());
            wrong.extend(
                dead.map(|target| format!("{shown}:{number}: a link to {target}, which is not there")),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Questions that a contributor asks; each answer is two hops away at most.
const QUESTIONS: &str = "docs/questions.md";
const QUESTIONS_MIN: usize = 20;
const HOPS_MAX: usize = 2;

#[test]
fn twenty_questions_are_answered_in_two_hops() {
    let text = fs::read_to_string(root().join(QUESTIONS)).expect("the page of questions");
    let mut questions = 0;
    for row in text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| question")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [question, hops, answer] = cells.as_slice() else { panic!("three cells: {row}") };
        assert!(question.ends_with('?'), "{row}");
        questions += 1;
        let hops: Vec<&str> = hops.split(" → ").collect();
        assert!((1..=HOPS_MAX).contains(&hops.len()), "{question}: {} hops", hops.len());
        assert!(
            ["README.md", "ARCHITECTURE.md"].contains(&file_of(hops[0]).as_str()),
            "{question}: {}",
            hops[0]
        );
        for pair in hops.windows(2) {
            let from = fs::read_to_string(root().join(file_of(pair[0]))).expect("a readable page");
            let to = file_of(pair[1]);
            let name = to.rsplit('/').next().unwrap_or_default();
            assert!(from.contains(&to) || from.contains(name), "{question}: {} does not name {to}", pair[0]);
        }
        let last = fs::read_to_string(root().join(file_of(hops[hops.len() - 1]))).expect("a readable page");
        for name in quoted(answer) {
            let is_named =
                name.split("::").last().is_some_and(|item| last.contains(item)) || last.contains(name);
            assert!(is_named, "{question}: {} does not name `{name}`", hops[hops.len() - 1]);
        }
        assert!(quoted(answer).next().is_some(), "{question}: the answer names nothing");
    }
    assert!(questions >= QUESTIONS_MIN, "only {questions} questions");
}

/// A hop is a file, with a section behind it in parentheses or none.
fn file_of(hop: &str) -> String {
    hop.split(" (").next().unwrap_or_default().trim().trim_matches('`').to_owned()
}

/// One word for one thing: what was once said, and what is said now.
const WORDS: &[(&str, &str)] = &[
    ("time-out", "timeout"),
    ("Time-out", "Timeout"),
    ("stories", "scenarios"),
    ("next life", "next incarnation"),
    ("new life", "new incarnation"),
    ("earlier life", "earlier incarnation"),
    ("previous life", "previous incarnation"),
];

/// Folders whose comments and texts are held to it, besides the docs.
const WORDS_IN: [&str; 4] = ["src", "sim/src", "cargo-seedlog/src", "xtask/src"];

#[test]
fn one_thing_has_one_name() {
    let mut files = written_by_hand();
    for folder in WORDS_IN {
        rust_files(&root().join(folder), &mut files);
    }
    let mut found = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a readable file");
        let shown = file.strip_prefix(root()).expect("below the root").display().to_string();
        for (at, line) in text.lines().enumerate() {
            // Of code only the comments: `stories()` may stay a function's name.
            if shown.ends_with(".rs") && !line.trim_start().starts_with("//") {
                continue;
            }
            let old = WORDS.iter().find(|(old, _)| line.contains(&format!(" {old}")));
            found.extend(old.map(|(old, new)| format!("{shown}:{}: {old} is called {new}", at + 1)));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Sentences of docs are short: at most one semicolon each.
#[test]
fn no_sentence_is_a_chain_of_semicolons() {
    let mut chains = Vec::new();
    for page in written_by_hand() {
        let text = fs::read_to_string(&page).expect("a readable page");
        let shown = page.strip_prefix(root()).expect("below the root").display();
        for (number, paragraph) in paragraphs(&text) {
            for sentence in paragraph.split(". ") {
                if sentence.matches("; ").count() > 1 {
                    chains
                        .push(format!("{shown}:{number}: {}", sentence.chars().take(90).collect::<String>()));
                }
            }
        }
    }
    assert!(chains.is_empty(), "{} chains of semicolons:\n{}", chains.len(), chains.join("\n"));
}

/// Lines of prose joined, a list item, a table's row and a heading each for itself; with the first line's number.
fn paragraphs(text: &str) -> Vec<(usize, String)> {
    let mut paragraphs: Vec<(usize, String)> = Vec::new();
    let mut last = 0;
    for (number, line) in prose(text) {
        let trimmed = line.trim();
        let begins = ["- ", "| ", "#", "<!--"].iter().any(|mark| trimmed.starts_with(mark));
        let is_next = number == last + 1 && !begins && !trimmed.is_empty();
        last = number;
        match paragraphs.last_mut() {
            Some((_, paragraph)) if is_next && !paragraph.is_empty() => {
                paragraph.push(' ');
                paragraph.push_str(trimmed);
            }
            _ => paragraphs.push((number, trimmed.to_owned())),
        }
    }
    paragraphs
}

#[test]
fn what_is_not_there_is_missed() {
    assert_eq!(missing("src/log/append.rs"), None);
    assert_eq!(missing("src/log/append.rs::append"), None);
    assert_eq!(missing("src/log/{append,read}.rs"), None);
    assert!(missing("src/log/{append,nowhere}.rs").is_some());
    assert!(missing("src/log/append.rs::nothing_of_the_kind").is_some());
    assert_eq!(missing("Log::append"), None);
    assert!(missing("Log::nothing_of_the_kind").is_some());
    for not_ours in
        ["target/sim/NAME", "/consumers/G/ids", "cargo sim run", "a::b", "src/protocol/messages/NAME.rs"]
    {
        assert_eq!(missing(not_ours), None, "{not_ours}");
    }
}
