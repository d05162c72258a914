//! The parts of docs that are generated: what stands between `<!-- generated: NAME -->` and `<!-- end -->`.
//!
//! Read from the code's own tables, from `scenarios/`, and from the sources' text. `cargo sim docs` compares,
//! `cargo sim docs --write` writes; everything outside of the marks is written by hand.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use seedlog::marks::Mark;
use seedlog::rules::Rule;

use super::sources::{self, Constant};
use super::{Code, State};
use crate::checkers::CHECKS;
use crate::scenario::{Library, Scenario};

/// Pages with generated parts, from the workspace's root.
pub const PAGES: [&str; 4] = ["docs/guarantees.md", "docs/limits.md", "docs/tests.md", "docs/files.md"];

const BEGIN: &str = "<!-- generated: ";
const BEGIN_ENDS: &str = " -->";
const END: &str = "<!-- end -->";

/// What the pages of `root` should say, by path.
pub fn all(root: &Path) -> anyhow::Result<BTreeMap<PathBuf, String>> {
    let library = Library::load()?;
    let material = Material { root, stories: library.with_paths().collect() };
    let page = |path: &&str| {
        let path = root.join(path);
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let renewed = renewed(&text, |name| material.block(name));
        Ok((path.clone(), renewed.with_context(|| path.display().to_string())?))
    };
    PAGES.iter().map(page).collect()
}

/// `text` with every block written anew.
fn renewed(text: &str, block: impl Fn(&str) -> anyhow::Result<String>) -> anyhow::Result<String> {
    let mut renewed = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        renewed.push_str(line);
        renewed.push('\n');
        let name = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(BEGIN_ENDS));
        let Some(name) = name else { continue };
        if !lines.any(|line| line == END) {
            bail!("the block `{name}` has no `{END}`");
        }
        renewed.push_str(&block(name)?);
        renewed.push_str(END);
        renewed.push('\n');
    }
    Ok(renewed)
}

struct Material<'a> {
    root: &'a Path,
    /// With their folders.
    stories: Vec<(&'a str, &'a Scenario)>,
}

impl Material<'_> {
    fn block(&self, name: &str) -> anyhow::Result<String> {
        match name {
            "demands" => Ok(self.demands()),
            "checks" => Ok(self.checks()),
            "rules" => self.rules(),
            "bugs" => Ok(self.bugs()),
            "marks" => Ok(self.marks()),
            "limits" => Ok(limits(&sources::constants(&self.root.join("src"))?, self.root)),
            "tests" => self.purposes(&["tests", "sim/tests", "cargo-seedlog/tests", "benches"]),
            "files" => self.purposes(&["src", "sim/src", "cargo-seedlog/src", "xtask/src"]),
            _ => bail!("nobody generates a block `{name}`"),
        }
    }

    fn demands(&self) -> String {
        let mut text = head(&["code", "says", "source", "state", "rules", "checks", "scenarios"]);
        for code in super::demands() {
            let cells = [
                code.id.to_owned(),
                code.says.to_owned(),
                code.source.to_owned(),
                state(code.state),
                quoted(code.rules.iter().map(|rule| rule.slug())),
                code.checks.join(" "),
                quoted(self.covering(code)),
            ];
            row(&mut text, &cells);
        }
        text
    }

    fn checks(&self) -> String {
        let mut text = head(&["code", "slug", "says", "about", "file", "rules whose absence it notices"]);
        for code in super::checks() {
            let check = CHECKS.iter().find(|check| check.id == code.id);
            let slug = check.map(|check| check.slug);
            let file = slug.map(|slug| format!("sim/src/checkers/{}.rs", slug.replace('-', "_")));
            let noticed = self.stories.iter().flat_map(|(_, story)| &story.expect.without);
            let mut noticed: Vec<&str> = noticed
                .filter(|without| Some(without.violates.as_str()) == slug)
                .map(|without| without.rule.slug())
                .collect();
            noticed.sort_unstable();
            noticed.dedup();
            let cells = [
                code.id.to_owned(),
                slug.map_or_else(|| state(code.state), |slug| format!("`{slug}`")),
                code.says.to_owned(),
                code.source.to_owned(),
                quoted(file.as_deref()),
                quoted(noticed),
            ];
            row(&mut text, &cells);
        }
        text
    }

    fn rules(&self) -> anyhow::Result<String> {
        let kept_in = sources::mentions(&self.root.join("src"), "Rule::", &["rules.rs"])?;
        let mut text = head(&["rule", "says", "codes", "kept in", "scenarios that fail without it"]);
        for rule in Rule::ALL {
            let codes = super::demands().iter().filter(|code| code.rules.contains(rule));
            let files = kept_in.get(&format!("{rule:?}")).into_iter().flatten();
            let proofs = self.stories.iter().flat_map(|(path, story)| {
                let without = story.expect.without.iter().filter(|without| without.rule == *rule);
                without.map(move |without| format!("`{path}` (`{}`)", without.violates))
            });
            let cells = [
                format!("`{rule}`"),
                rule.summary().trim().to_owned(),
                codes.map(|code| code.id).collect::<Vec<_>>().join(" "),
                quoted(files.map(|file| file.as_str())),
                proofs.collect::<Vec<_>>().join(" "),
            ];
            row(&mut text, &cells);
        }
        Ok(text)
    }

    fn bugs(&self) -> String {
        let mut text = head(&["code", "what went wrong", "rules", "checks", "scenarios"]);
        for code in super::bugs() {
            let cells = [
                code.id.to_owned(),
                code.says.to_owned(),
                quoted(code.rules.iter().map(|rule| rule.slug())),
                code.checks.join(" "),
                quoted(self.covering(code)),
            ];
            row(&mut text, &cells);
        }
        text
    }

    fn marks(&self) -> String {
        let mut text = head(&["mark", "what was met", "scenarios that must meet it"]);
        for mark in Mark::ALL {
            let stories = self.stories.iter().filter(|(_, story)| story.expect.meets.contains(mark));
            let stories = quoted(stories.map(|(path, _)| *path));
            row(&mut text, &[format!("`{}`", mark.slug()), mark.summary().trim().to_owned(), stories]);
        }
        text
    }

    fn covering(&self, code: &Code) -> impl Iterator<Item = &str> {
        let covers = |story: &Scenario| story.covers.iter().any(|covered| covered == code.id);
        self.stories.iter().filter(move |(_, story)| covers(story)).map(|(path, _)| *path)
    }

    fn purposes(&self, folders: &[&str]) -> anyhow::Result<String> {
        let mut text = head(&["file", "for what"]);
        for folder in folders {
            for (file, purpose) in sources::purposes(self.root, folder)? {
                row(&mut text, &[format!("`{file}`"), purpose]);
            }
        }
        Ok(text)
    }
}

fn limits(constants: &[Constant], root: &Path) -> String {
    let mut text = head(&["limit", "value", "what it bounds", "file"]);
    for limit in constants.iter().filter(|one| one.is_limit()) {
        let file = limit.file.strip_prefix(root).unwrap_or(&limit.file).display();
        row(
            &mut text,
            &[
                format!("`{}`", limit.name),
                format!("`{}`", limit.value),
                limit.says.clone(),
                format!("`{file}`"),
            ],
        );
    }
    text
}

fn state(state: State) -> String {
    match state {
        State::Built => "built".to_owned(),
        State::Partly(missing) => format!("partly: {missing}"),
        State::NotYet => "*not built yet*".to_owned(),
    }
}

fn quoted<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" ")
}

fn head(columns: &[&str]) -> String {
    format!("| {} |\n|{}\n", columns.join(" | "), "---|".repeat(columns.len()))
}

fn row(text: &mut String, cells: &[String]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    writeln!(text, "| {} |", cells.join(" | ")).expect("a String takes all");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_written() {
        let text = "by hand\n<!-- generated: x -->\nold\n<!-- end -->\nby hand too\n";
        let new = renewed(text, |name| Ok(format!("new {name}\n"))).unwrap();
        assert_eq!(new, text.replace("old", "new x"));
        assert!(renewed("<!-- generated: x -->\n", |_| Ok(String::new())).is_err());
        assert!(renewed(text, |_| bail!("nobody")).is_err());
    }
}
