//! One event as a line of `key=value`.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// Whether a line may have colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    None,
    Ansi,
}

/// An event: when, and what.
pub struct Line {
    /// `time=... level=...`, ends with a space.
    pub head: String,
    /// `event=... key=value ...`: equal for events that say the same.
    pub body: String,
}

impl Line {
    pub fn of(event: &Event<'_>, colours: Colours) -> Line {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let body = format!("event={}{}", quoted(&fields.name), fields.others);
        Line { head: head(*event.metadata().level(), colours), body }
    }

    /// The whole line, with its end.
    pub fn text(&self) -> String {
        format!("{}{}\n", self.head, self.body)
    }

    /// The same line for events that were not written: how many, and over what time.
    pub fn repeated(&self, count: u64, seconds: u64) -> String {
        format!("{}{} repeated={count} within_s={seconds}\n", self.head, self.body)
    }
}

fn head(level: Level, colours: Colours) -> String {
    let mut time = String::new();
    SystemTime.format_time(&mut Writer::new(&mut time)).expect("a String takes every text");
    let (name, colour) = match level {
        Level::ERROR => ("error", "31"),
        Level::WARN => ("warn", "33"),
        Level::INFO => ("info", "32"),
        Level::DEBUG => ("debug", "34"),
        Level::TRACE => ("trace", "35"),
    };
    match colours {
        Colours::None => format!("time={time} level={name} "),
        Colours::Ansi => format!("\x1b[2mtime={time}\x1b[0m level=\x1b[{colour}m{name}\x1b[0m "),
    }
}

/// An event's fields, as they come.
#[derive(Default)]
struct Fields {
    /// The message: by our habit a constant name in the past tense.
    name: String,
    /// ` key=value` for each of the rest.
    others: String,
}

impl Fields {
    fn put(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.name.push_str(value),
            name => {
                let name = name.strip_prefix("r#").unwrap_or(name);
                write!(self.others, " {name}={}", quoted(value)).expect("a String takes every text");
            }
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        // As ZooKeeper's own tools show them.
        if field.name() == "session" {
            return self.put(field, &format!("{value:#x}"));
        }
        self.put(field, &value.to_string());
    }
}

/// A value as it stands in a line: bare where that can be read back, in quotes elsewhere.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\');
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            c if c.is_control() => {
                write!(text, "\\u{{{:x}}}", u32::from(c)).expect("a String takes every text")
            }
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_could_be_misread_stands_in_quotes() {
        assert_eq!(quoted("orders-0"), "orders-0");
        assert_eq!(quoted("127.0.0.1:9092"), "127.0.0.1:9092");
        assert_eq!(quoted(""), "\"\"");
        assert_eq!(quoted("a b"), "\"a b\"");
        assert_eq!(quoted("a=b"), "\"a=b\"");
        assert_eq!(quoted("say \"hi\""), "\"say \\\"hi\\\"\"");
        assert_eq!(quoted("caf\u{e9}"), "\"caf\u{e9}\"");
    }

    #[test]
    fn a_client_cannot_write_a_line_or_a_colour_of_its_own() {
        assert_eq!(quoted("x\ntime=0 level=error"), "\"x\\ntime=0 level=error\"");
        assert_eq!(quoted("\x1b[31m"), "\"\\u{1b}[31m\"");
        assert_eq!(quoted("\u{9b}31m"), "\"\\u{9b}31m\"");
    }
}
