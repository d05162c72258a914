//! What is wrong with a scenario file: file, line, column, the line itself, and what would be right.

use std::fmt;
use std::ops::Range;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    pub message: String,
    /// The offending line.
    pub quoted: String,
    /// How many characters of it are meant.
    pub width: usize,
}

impl std::error::Error for ScenarioError {}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        if self.quoted.trim().is_empty() {
            return Ok(());
        }
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        // Tabs stay tabs, so that the marks stand below what they mark.
        let before: String =
            self.quoted.chars().take(self.column - 1).map(|c| if c == '\t' { c } else { ' ' }).collect();
        write!(f, "\n  {number} | {}\n  {margin} | {before}{}", self.quoted, "^".repeat(self.width))
    }
}

/// Longest piece of a line that is quoted, in characters.
const QUOTED_MAX: usize = 160;

/// Turns places in a file's text into lines.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub file: &'a str,
    pub text: &'a str,
}

impl Source<'_> {
    /// An error at a byte range of the text. A message that begins with a word in backticks points at that
    /// word, where the range has it.
    pub fn error(&self, span: Range<usize>, message: impl Into<String>) -> ScenarioError {
        let message = message.into();
        let span = self.narrowed(span, &message);
        let line_start = self.text[..span.start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = self.text[span.start..].find('\n').map_or(self.text.len(), |at| span.start + at);
        let line = self.text[line_start..line_end].trim_end_matches('\r');
        let marked_end = span.end.clamp(span.start, (line_start + line.len()).max(span.start));
        ScenarioError {
            file: self.file.to_owned(),
            line: 1 + self.text[..line_start].matches('\n').count(),
            column: 1 + self.text[line_start..span.start].chars().count(),
            message,
            quoted: line.chars().take(QUOTED_MAX).collect(),
            width: self.text[span.start..marked_end].chars().count().clamp(1, QUOTED_MAX),
        }
    }

    fn narrowed(&self, span: Range<usize>, message: &str) -> Range<usize> {
        let start = self.boundary(span.start);
        let span = start..self.boundary(span.end).max(start);
        let word = message.strip_prefix('`').and_then(|rest| rest.split_once('`')).map(|(word, _)| word);
        match word.and_then(|word| Some((self.text[span.clone()].find(word)?, word.len()))) {
            Some((at, length)) if length > 0 => span.start + at..span.start + at + length,
            _ => span,
        }
    }

    /// The nearest place at or before this one where a character begins.
    fn boundary(&self, at: usize) -> usize {
        (0..=at.min(self.text.len())).rev().find(|&at| self.text.is_char_boundary(at)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Source = Source { file: "a.toml", text: "x = 1\ny = \"über kil\" # why\n" };

    #[test]
    fn an_error_quotes_its_line_and_marks_what_is_meant() {
        let start = SOURCE.text.find('"').unwrap();
        let error = SOURCE.error(start..start + 11, "`kil` is no action");
        let expected = "a.toml:2:11: `kil` is no action\n  2 | y = \"über kil\" # why\n    |           ^^^";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_place_beyond_the_text_is_its_end() {
        assert_eq!(SOURCE.error(400..500, "cut short").to_string(), "a.toml:3:1: cut short");
    }
}
