//! What the TOML reader says about a file, in words that do not need its source.

use std::ops::Range;

use super::error::{ScenarioError, Source};
use super::words;

/// The error for what the reader refused.
pub fn translated(source: Source, error: &toml::de::Error) -> ScenarioError {
    let span = error.span().unwrap_or(source.text.len()..source.text.len());
    let message = error.message().trim();
    let place = place_of(source.text, &span);
    if let Some((key, known)) = listed(message, "unknown field ") {
        let hint = words::did_you_mean(key, known.iter().copied());
        let hint = if hint.is_empty() { format!("; there are: {}", known.join(", ")) } else { hint };
        let is_header = line_of(source.text, span.start).trim_start().starts_with('[');
        let what =
            if is_header { format!("unknown table [{key}]") } else { format!("unknown key `{key}` {place}") };
        return source.error(span, format!("{what}{hint}"));
    }
    if let Some((word, known)) = listed(message, "unknown variant ") {
        let hint = words::did_you_mean(word, known.iter().copied());
        let list = known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        return source.error(span, format!("`{word}` is none of {list}{hint}"));
    }
    if let Some(key) = message.strip_prefix("missing field ") {
        return source.error(first_line(source.text, span), missing(key.trim_matches('`'), &place));
    }
    if let Some(rest) = message.strip_prefix("invalid type: ") {
        let (found, expected) = rest.split_once(", expected ").unwrap_or((rest, "something else"));
        let message = format!("{} is wanted here, not {}", wanted(expected), kind_of(found));
        return source.error(span, message);
    }
    if message.starts_with("duplicate key") {
        return source.error(span, format!("this stands {place} already; a key is written once"));
    }
    if message.starts_with("invalid value: integer") {
        return source.error(span, "the number is out of range");
    }
    source.error(span, format!("this is no TOML: {}", message.replace('\n', ", ")))
}

/// The word that is wrong and the words that are right, of "unknown field `a`, expected one of `b`, `c`".
fn listed<'a>(message: &'a str, prefix: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let rest = message.strip_prefix(prefix)?;
    let mut words = rest.split('`').skip(1).step_by(2);
    Some((words.next()?, words.collect()))
}

fn missing(key: &str, place: &str) -> String {
    let example = match key {
        "format" => "format = 1",
        "story" => "story = \"What happens, in a sentence.\"",
        "topic" => "topic = \"orders\"",
        "topics" => "topics = [\"orders\"]",
        "do" => "do = \"kill broker(1)\"",
        "level" => "level = \"light\"",
        "rule" => "rule = \"cut-torn-tail\"",
        "violates" => "violates = \"lost-write\"",
        key => return format!("`{key}` is missing {place}"),
    };
    format!("`{key}` is missing {place}; write it as `{example}`")
}

/// `in [producers.shop]`, or `at the top of the file`.
fn place_of(text: &str, span: &Range<usize>) -> String {
    let before = text.get(..span.start).unwrap_or(text);
    // An error about a whole table begins at its header.
    let line_end = text[before.len()..].find('\n').map_or(text.len(), |at| before.len() + at);
    let header = text[..line_end].lines().rev().map(str::trim).find(|line| line.starts_with('['));
    match header.and_then(|line| line.split('#').next()) {
        Some(header) => format!("in {}", header.trim()),
        None => "at the top of the file".to_owned(),
    }
}

fn line_of(text: &str, at: usize) -> &str {
    let start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default()
}

/// A setting's problem, without the names of Rust's types.
pub fn of_setting(message: &str) -> String {
    let wants = |text: &str| match text {
        "u64" | "u32" | "usize" => "a number from 0 on".to_owned(),
        other => wanted(other),
    };
    match message.split_once(", expected ") {
        Some((found, expected)) => {
            let found = found.replace("invalid value: integer ", "").replace("invalid type: ", "");
            format!("{found} will not do; {} is wanted", wants(expected))
        }
        None => message.to_owned(),
    }
}

/// A table's span covers all of it: its first line is what is meant.
fn first_line(text: &str, span: Range<usize>) -> Range<usize> {
    let end =
        text.get(span.clone()).and_then(|piece| piece.find('\n')).map_or(span.end, |at| span.start + at);
    span.start..end
}

fn wanted(expected: &str) -> String {
    match expected {
        "i64" | "u64" | "u32" => "a number".to_owned(),
        "a string" => "a text in quotes".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list, as [\"orders\"],".to_owned(),
        "a map" => "a table".to_owned(),
        other if other.starts_with("struct") => "a table".to_owned(),
        other => other.to_owned(),
    }
}

fn kind_of(found: &str) -> String {
    let (kind, value) = found.split_once(' ').unwrap_or((found, ""));
    match kind {
        "string" => format!("the text {value}"),
        "integer" => format!("the number {}", value.trim_matches('`')),
        "boolean" => value.trim_matches('`').to_owned(),
        "map" => "a table".to_owned(),
        "sequence" => "a list".to_owned(),
        "floating" => "a number with a point".to_owned(),
        _ => found.to_owned(),
    }
}
