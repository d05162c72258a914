//! Mutants in the text of the copy, each asleep until its switch is turned on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use proc_macro2::LineColumn;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::listed::{Genre, Mutant, Position};

/// What is put in for what, in bytes of the file as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edits {
    /// Also what another mutant may not touch.
    range: Range<usize>,
    instead: String,
}

/// A file of the copy and a byte in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: PathBuf,
    pub byte: usize,
}

/// The first `count` mutants that can be planted beside one another.
pub fn choose<'a>(
    root: &Path,
    in_order: &'a [Mutant],
    count: usize,
    without: &BTreeSet<String>,
) -> Result<Vec<(&'a Mutant, Edits)>> {
    let mut chosen: Vec<(&Mutant, Edits)> = Vec::new();
    let mut sources: BTreeMap<&Path, Source> = BTreeMap::new();
    for mutant in in_order.iter().filter(|mutant| !without.contains(&mutant.name())) {
        if chosen.len() == count {
            break;
        }
        if !sources.contains_key(mutant.file.as_path()) {
            sources.insert(&mutant.file, Source::read(&root.join(&mutant.file))?);
        }
        let Some(edit) = sources[mutant.file.as_path()].edit_for(mutant) else { continue };
        let collides = |other: &(&Mutant, Edits)| {
            let there = &other.1.range;
            other.0.file == mutant.file && there.start < edit.range.end && edit.range.start < there.end
        };
        if !chosen.iter().any(collides) {
            chosen.push((mutant, edit));
        }
    }
    Ok(chosen)
}

/// Changed files, and which mutant stands where in them.
pub struct Texts {
    pub files: BTreeMap<PathBuf, String>,
    planted: Vec<(PathBuf, Range<usize>, String)>,
}

pub fn texts(root: &Path, chosen: &[(&Mutant, Edits)]) -> Result<Texts> {
    let mut by_file: BTreeMap<&Path, Vec<(&Mutant, &Edits)>> = BTreeMap::new();
    for (mutant, edit) in chosen {
        by_file.entry(&mutant.file).or_default().push((mutant, edit));
    }
    let mut texts = Texts { files: BTreeMap::new(), planted: Vec::new() };
    for (file, mut edits) in by_file {
        let original = fs::read_to_string(root.join(file))?;
        edits.sort_by_key(|(_, edit)| edit.range.start);
        let (mut text, mut done) = (String::new(), 0);
        for (mutant, edit) in edits {
            text.push_str(&original[done..edit.range.start]);
            let start = text.len();
            text.push_str(&edit.instead);
            texts.planted.push((file.to_owned(), start..text.len(), mutant.name()));
            done = edit.range.end;
        }
        text.push_str(&original[done..]);
        texts.files.insert(file.to_owned(), text);
    }
    Ok(texts)
}

impl Texts {
    /// The mutants that the compiler refuses. An error elsewhere is one of the tool.
    pub fn refused(&self, errors: &[Place]) -> Result<BTreeSet<String>> {
        let blamed = |error: &Place| {
            let there = self
                .planted
                .iter()
                .find(|(file, range, _)| *file == error.file && range.contains(&error.byte));
            there
                .map(|(_, _, name)| name.clone())
                .with_context(|| format!("an error where no mutant is: {error:?}"))
        };
        errors.iter().map(blamed).collect()
    }
}

/// Where cargo's messages tell of errors; that a build was given up is none.
pub fn places_of_errors(messages: &str) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    for line in messages.lines() {
        let value: serde_json::Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        let message = &value["message"];
        if value["reason"] != "compiler-message" || message["level"] != "error" {
            continue;
        }
        let spans = message["spans"].as_array().context("spans")?;
        for span in spans.iter().filter(|span| span["is_primary"] == true) {
            let file = span["file_name"].as_str().context("a file's name")?;
            let byte = span["byte_start"].as_u64().context("a byte")?;
            places.push(Place { file: PathBuf::from(file), byte: usize::try_from(byte)? });
        }
    }
    Ok(places)
}

/// A file that can be looked at by line and column, and as a tree.
struct Source {
    text: String,
    line_starts: Vec<usize>,
    tree: syn::File,
}

impl Source {
    fn read(path: &Path) -> Result<Source> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Source::of(text).with_context(|| path.display().to_string())
    }

    fn of(text: String) -> Result<Source> {
        let tree = syn::parse_file(&text)?;
        let ends = text.char_indices().filter(|(_, char)| *char == '\n').map(|(byte, _)| byte + 1);
        let line_starts = std::iter::once(0).chain(ends).collect();
        Ok(Source { text, line_starts, tree })
    }

    /// Columns count characters, from 0.
    fn byte(&self, line: usize, column: usize) -> usize {
        let start = self.line_starts[line - 1];
        let behind = self.text[start..].char_indices().nth(column);
        behind.map_or(self.text.len(), |(byte, _)| start + byte)
    }

    fn range(&self, part: &impl Spanned) -> Range<usize> {
        let (start, end) = (part.span().start(), part.span().end());
        self.byte(start.line, start.column)..self.byte(end.line, end.column)
    }

    fn slice(&self, part: &impl Spanned) -> &str {
        &self.text[self.range(part)]
    }

    /// `None` where no switch can stand: in a constant function, say.
    fn edit_for(&self, mutant: &Mutant) -> Option<Edits> {
        let switch = mutant.as_canary().switch();
        let mut search = Search { source: self, mutant, switch, found: None };
        search.visit_file(&self.tree);
        search.found
    }
}

/// Looks for the part of the tree that a mutant means.
struct Search<'a> {
    source: &'a Source,
    mutant: &'a Mutant,
    switch: String,
    found: Option<Edits>,
}

impl Search<'_> {
    fn is_at(&self, start: LineColumn) -> bool {
        position(start) == self.mutant.span.start
    }

    fn replace(&mut self, part: &impl Spanned, instead: String) {
        self.found = Some(Edits { range: self.source.range(part), instead });
    }

    /// Goes in front of a function's body.
    fn look_at_function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let span = self.mutant.span.start;
        let (start, end) = (position(block.span().start()), position(block.span().end()));
        if self.mutant.genre != Genre::FnValue
            || !(start <= span && span < end)
            || signature.constness.is_some()
        {
            return;
        }
        if self.found.is_none() && signature.ident == self.mutant_function() {
            let open = self.source.range(&block.brace_token.span.open());
            let (switch, value) = (&self.switch, &self.mutant.replacement);
            let instead = format!("{{ if {switch} {{ return {value}; }}");
            self.found = Some(Edits { range: open, instead });
        }
    }

    fn mutant_function(&self) -> String {
        let name = self.mutant.function_name();
        name.rsplit("::").next().unwrap_or(name).to_owned()
    }
}

impl<'ast> Visit<'ast> for Search<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.look_at_function(&item.sig, &item.block);
        if item.sig.constness.is_none() {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.look_at_function(&item.sig, &item.block);
        if item.sig.constness.is_none() {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}

    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}

    fn visit_expr_binary(&mut self, expr: &'ast syn::ExprBinary) {
        if self.mutant.genre == Genre::BinaryOperator && self.is_at(expr.op.span().start()) {
            let source = self.source;
            let (left, right, op) =
                (source.slice(&expr.left), source.slice(&expr.right), source.slice(&expr.op));
            let (switch, other) = (&self.switch, &self.mutant.replacement);
            let instead =
                format!("(if {switch} {{ ({left}) {other} ({right}) }} else {{ ({left}) {op} ({right}) }})");
            return self.replace(expr, instead);
        }
        visit::visit_expr_binary(self, expr);
    }

    fn visit_expr_unary(&mut self, expr: &'ast syn::ExprUnary) {
        if self.mutant.genre == Genre::UnaryOperator && self.is_at(expr.span().start()) {
            let (inner, whole) = (self.source.slice(&expr.expr), self.source.slice(expr));
            let instead = format!("(if {} {{ {inner} }} else {{ {whole} }})", self.switch);
            return self.replace(expr, instead);
        }
        visit::visit_expr_unary(self, expr);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        let guard = arm.guard.as_ref().map(|(_, guard)| guard.as_ref());
        match (self.mutant.genre, guard) {
            (Genre::MatchArmGuard, Some(guard)) if self.is_at(guard.span().start()) => {
                let (text, other) = (self.source.slice(guard), &self.mutant.replacement);
                let instead = format!("(if {} {{ {other} }} else {{ {text} }})", self.switch);
                self.replace(guard, instead);
            }
            (Genre::MatchArm, Some(guard)) if self.is_at(arm.span().start()) => {
                let instead = format!("(!{} && ({}))", self.switch, self.source.slice(guard));
                self.replace(guard, instead);
            }
            (Genre::MatchArm, None) if self.is_at(arm.span().start()) => {
                let instead = format!("{} if !{}", self.source.slice(&arm.pat), self.switch);
                self.replace(&arm.pat, instead);
            }
            _ => visit::visit_arm(self, arm),
        }
    }
}

fn position(at: LineColumn) -> Position {
    Position { line: at.line, column: at.column + 1 }
}

#[cfg(test)]
mod tests {
    use super::super::listed::{self, Span};
    use super::*;

    fn mutant(genre: &str, at: (usize, usize), replacement: &str) -> Mutant {
        let text = format!(
            r#"[{{"file":"src/log/a.rs","function":{{"function_name":"f"}},"genre":"{genre}",
            "span":{{"start":{{"line":{0},"column":{1}}},"end":{{"line":{0},"column":{1}}}}},
            "replacement":"{replacement}"}}]"#,
            at.0, at.1
        );
        let listed: Vec<Mutant> = serde_json::from_str(&text).unwrap();
        listed::in_drawn_order(listed, 1).remove(0)
    }

    /// The text with the mutant in it, its switch shortened.
    fn planted(text: &str, mutant: &Mutant) -> Option<String> {
        let edit = Source::of(text.to_owned()).unwrap().edit_for(mutant)?;
        let mut planted = text.to_owned();
        planted.replace_range(edit.range, &edit.instead);
        Some(planted.replace(&mutant.as_canary().switch(), "ON"))
    }

    #[test]
    fn an_operator_stands_beside_the_other_one_with_both_sides_kept_together() {
        let planted =
            planted("fn f(é: u8) -> bool {\n    é + 1 < 3\n}", &mutant("BinaryOperator", (2, 11), "=="));
        let wanted = "fn f(é: u8) -> bool {\n    (if ON { (é + 1) == (3) } else { (é + 1) < (3) })\n}";
        assert_eq!(planted.unwrap(), wanted);
    }

    #[test]
    fn a_function_returns_before_it_does_anything() {
        let planted = planted("fn f() -> bool { g() }", &mutant("FnValue", (1, 18), "true")).unwrap();
        assert_eq!(planted, "fn f() -> bool { if ON { return true; } g() }");
    }

    #[test]
    fn an_arm_and_its_guard_are_taken_away() {
        let text = "fn f(a: u8) {\n    match a { 1 => g(), x if x > 2 => h(), _ => {} }\n}";
        let arm = planted(text, &mutant("MatchArm", (2, 15), "")).unwrap();
        assert!(arm.contains("1 if !ON => g()"), "{arm}");
        let guarded = planted(text, &mutant("MatchArm", (2, 25), "")).unwrap();
        assert!(guarded.contains("x if (!ON && (x > 2)) => h()"), "{guarded}");
        let guard = planted(text, &mutant("MatchArmGuard", (2, 30), "true")).unwrap();
        assert!(guard.contains("x if (if ON { true } else { x > 2 }) =>"), "{guard}");
    }

    #[test]
    fn a_deleted_operator_leaves_what_it_stood_before() {
        let planted = planted("fn f(a: bool) -> bool { !a }", &mutant("UnaryOperator", (1, 25), "")).unwrap();
        assert_eq!(planted, "fn f(a: bool) -> bool { (if ON { a } else { !a }) }");
    }

    #[test]
    fn no_switch_stands_in_a_constant_function() {
        assert_eq!(planted("const fn f() -> u8 { 1 + 2 }", &mutant("BinaryOperator", (1, 24), "-")), None);
        assert_eq!(planted("const fn f() -> u8 { 1 }", &mutant("FnValue", (1, 22), "0")), None);
    }

    #[test]
    fn what_does_not_compile_is_told_by_where_the_compiler_points() {
        let texts = Texts {
            files: BTreeMap::new(),
            planted: vec![(PathBuf::from("src/a.rs"), 10..20, "mutant-1".to_owned())],
        };
        let at = |byte| vec![Place { file: PathBuf::from("src/a.rs"), byte }];
        assert_eq!(texts.refused(&at(12)).unwrap(), BTreeSet::from(["mutant-1".to_owned()]));
        assert!(texts.refused(&at(20)).is_err());
        let message = r#"{"reason":"compiler-message","message":{"level":"error","spans":[
            {"is_primary":true,"file_name":"src/a.rs","byte_start":12}]}}"#
            .replace('\n', "");
        assert_eq!(places_of_errors(&message).unwrap(), at(12));
    }

    #[test]
    fn spans_are_read_as_they_are_written() {
        let span: Span =
            serde_json::from_str(r#"{"start":{"line":1,"column":2},"end":{"line":3,"column":4}}"#).unwrap();
        assert_eq!(span.end, Position { line: 3, column: 4 });
    }
}
