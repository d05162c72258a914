//! A scenario as text: read as a document, changed key by key, written in the format's usual order.
//!
//! Knows the layout and nothing of the meaning: what a changed document says is checked by the parser, as for
//! any file. Comments are not kept.

use std::fmt::Write;

use toml::{Table, Value};

/// A scenario file that can be changed and written again.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    table: Table,
    /// Lines above everything else, without their `#`.
    pub remarks: Vec<String>,
}

/// Keys in the order in which people read them; all others follow by name.
const KEYS: &[&str] = &[
    "format",
    "story",
    "covers",
    "seed",
    "seeds",
    "cluster",
    "topics",
    "producers",
    "consumers",
    "groups",
    "step",
    "chaos",
    "expect",
    "brokers",
    "zookeepers",
    "partitions",
    "replicas",
    "topic",
    "records",
    "rate",
    "acks",
    "at",
    "when",
    "after",
    "do",
    "as",
    "happens",
    "meets",
    "except",
    "within",
    "without",
    "rule",
    "violates",
    "config",
];

/// Tables whose entries are tables with a header each.
const NAMED: &[&str] = &["topics", "producers", "consumers", "groups"];

impl Document {
    /// Reads a file's text.
    pub fn of(text: &str) -> Result<Document, toml::de::Error> {
        Ok(Document { table: toml::from_str(text)?, remarks: Vec::new() })
    }

    /// The value at `path`, key by key.
    pub fn get(&self, path: &[&str]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.table.get(*first)?, |value, key| value.as_table()?.get(*key))
    }

    /// The names in the table at `path`.
    pub fn names(&self, path: &[&str]) -> Vec<String> {
        self.get(path).and_then(Value::as_table).map(|t| t.keys().cloned().collect()).unwrap_or_default()
    }

    /// Sets the value at `path`; tables on the way are made.
    pub fn set(&mut self, path: &[&str], value: impl Into<Value>) {
        let Some((last, way)) = path.split_last() else { return };
        let mut table = &mut self.table;
        for key in way {
            let next = table.entry(*key).or_insert_with(|| Value::Table(Table::new()));
            if !next.is_table() {
                *next = Value::Table(Table::new());
            }
            table = next.as_table_mut().expect("made above");
        }
        table.insert((*last).to_owned(), value.into());
    }

    /// Removes what is at `path`, and tables that have nothing else.
    pub fn remove(&mut self, path: &[&str]) {
        remove(&mut self.table, path);
    }

    /// The steps, as written.
    pub fn steps(&self) -> Vec<Table> {
        let steps = self.table.get("step").and_then(Value::as_array);
        steps.into_iter().flatten().filter_map(|step| step.as_table().cloned()).collect()
    }

    pub fn set_steps(&mut self, steps: Vec<Table>) {
        if steps.is_empty() {
            self.table.remove("step");
        } else {
            self.table.insert("step".into(), Value::Array(steps.into_iter().map(Value::Table).collect()));
        }
    }

    /// The whole file.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for remark in &self.remarks {
            say(&mut out, format_args!("{}\n", format!("# {remark}").trim_end()));
        }
        if !self.remarks.is_empty() {
            out.push('\n');
        }
        body(&mut out, self.table.iter().filter(|(_, value)| !has_header(value)));
        for (key, value) in sorted(self.table.iter().filter(|(_, value)| has_header(value))) {
            section(&mut out, &quoted_key(key), value);
        }
        out
    }
}

fn remove(table: &mut Table, path: &[&str]) {
    match path {
        [] => {}
        [last] => {
            table.remove(*last);
        }
        [first, rest @ ..] => {
            if let Some(Value::Table(inner)) = table.get_mut(*first) {
                remove(inner, rest);
                if inner.is_empty() {
                    table.remove(*first);
                }
            }
        }
    }
}

fn say(out: &mut String, text: std::fmt::Arguments) {
    out.write_fmt(text).expect("a String takes all");
}

/// Whether a value of the top level gets a header of its own.
fn has_header(value: &Value) -> bool {
    let is_array_of_tables = |array: &Vec<Value>| !array.is_empty() && array.iter().all(Value::is_table);
    value.is_table() || value.as_array().is_some_and(is_array_of_tables)
}

fn section(out: &mut String, name: &str, value: &Value) {
    match value {
        Value::Array(tables) => {
            for table in tables.iter().filter_map(Value::as_table) {
                say(out, format_args!("\n[[{name}]]\n"));
                body(out, table.iter());
            }
        }
        Value::Table(table) if NAMED.contains(&name) => {
            for (entry, value) in table {
                say(out, format_args!("\n[{name}.{}]\n", quoted_key(entry)));
                body(out, value.as_table().into_iter().flatten());
            }
        }
        Value::Table(table) => {
            let is_array = |value: &Value| value.is_array() && has_header(value);
            if table.values().any(|value| !is_array(value)) || table.is_empty() {
                say(out, format_args!("\n[{name}]\n"));
            }
            body(out, table.iter().filter(|(_, value)| !is_array(value)));
            for (key, value) in sorted(table.iter().filter(|(_, value)| is_array(value))) {
                section(out, &format!("{name}.{}", quoted_key(key)), value);
            }
        }
        _ => {}
    }
}

/// One `key = value` a line, the signs of equality below each other.
fn body<'a>(out: &mut String, entries: impl Iterator<Item = (&'a String, &'a Value)>) {
    let entries: Vec<(String, &Value)> =
        sorted(entries).into_iter().map(|(key, value)| (quoted_key(key), value)).collect();
    let width = entries.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    for (key, value) in entries {
        say(out, format_args!("{key:<width$} = {}\n", inline(value)));
    }
}

fn sorted<'a>(entries: impl Iterator<Item = (&'a String, &'a Value)>) -> Vec<(&'a String, &'a Value)> {
    let mut entries: Vec<_> = entries.collect();
    let rank = |key: &str| KEYS.iter().position(|known| *known == key).unwrap_or(KEYS.len());
    entries.sort_by(|(a, _), (b, _)| (rank(a), a).cmp(&(rank(b), b)));
    entries
}

fn inline(value: &Value) -> String {
    match value {
        Value::Table(table) => {
            let entries = sorted(table.iter());
            let entries: Vec<String> = entries
                .into_iter()
                .map(|(key, value)| format!("{} = {}", quoted_key(key), inline(value)))
                .collect();
            if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(", ")) }
        }
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(inline).collect();
            format!("[{}]", values.join(", "))
        }
        plain => plain.to_string(),
    }
}

/// A key as TOML wants it: in quotes unless it is one plain word.
fn quoted_key(key: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(is_plain) {
        key.to_owned()
    } else {
        Value::String(key.to_owned()).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Library, Scenario};

    /// Everything that a scenario says, without how it is written.
    fn said(text: &str) -> String {
        let mut scenario = Scenario::parse("s", "s.toml", text).unwrap();
        scenario.text.clear();
        format!("{scenario:#?}")
    }

    #[test]
    fn every_story_says_the_same_when_written_again() {
        for story in Library::load().unwrap().stories() {
            let written = Document::of(&story.text).unwrap().text();
            assert_eq!(said(&written), said(&story.text), "{}:\n{written}", story.name);
            assert_eq!(Document::of(&written).unwrap().text(), written, "{}", story.name);
        }
    }

    #[test]
    fn a_document_is_written_in_the_order_in_which_people_read() {
        let text = "step = [{ do = \"kill any\", at = \"1s\" }]\nstory = \"S.\"\nformat = 1\n\
                    [expect]\nwithout = [{ violates = \"storage\", rule = \"cut-torn-tail\" }]\n\
                    [topics.\"a.b\"]\nconfig = { \"x.y\" = 1, durability = \"fsync\" }\npartitions = 2\n";
        let mut document = Document::of(text).unwrap();
        document.set(&["chaos", "only"], vec![3_i64, 7]);
        document.remarks.push("Why.".into());
        let expected = "# Why.\n\nformat = 1\nstory  = \"S.\"\n\n[topics.\"a.b\"]\npartitions = 2\n\
             config     = { durability = \"fsync\", \"x.y\" = 1 }\n\n[[step]]\nat = \"1s\"\ndo = \"kill any\"\n\n\
             [chaos]\nonly = [3, 7]\n\n[[expect.without]]\nrule     = \"cut-torn-tail\"\nviolates = \"storage\"\n";
        assert_eq!(document.text(), expected);
    }

    #[test]
    fn what_is_removed_takes_its_empty_table_along() {
        let mut document = Document::of("a = 1\n[b.c]\nd = 1\n").unwrap();
        document.remove(&["b", "c", "d"]);
        assert_eq!(document.text(), "a = 1\n");
        document.remove(&["nothing", "here"]);
        assert_eq!(document.get(&["a"]), Some(&Value::Integer(1)));
        assert_eq!(document.get(&["a", "b"]), None);
    }

    mod generated {
        use proptest::prelude::*;

        use super::super::*;

        fn value() -> impl Strategy<Value = Value> {
            let leaf = prop_oneof![
                any::<bool>().prop_map(Value::Boolean),
                any::<i64>().prop_map(Value::Integer),
                "\\PC{0,12}|[\"\\\\\n\t ]{1,4}".prop_map(Value::String),
            ];
            leaf.prop_recursive(3, 16, 4, |inner| {
                prop_oneof![
                    prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                    prop::collection::btree_map("[a-z. \"]{1,6}", inner, 0..4)
                        .prop_map(|map| Value::Table(map.into_iter().collect())),
                ]
            })
        }

        fn table() -> impl Strategy<Value = Table> {
            let key = "topics|producers|step|chaos|expect|[a-z.\"]{1,6}";
            prop::collection::btree_map(key, value(), 0..6).prop_map(|map| map.into_iter().collect())
        }

        proptest! {
            #[test]
            fn whatever_is_written_reads_the_same(table in table()) {
                let has_names_only = |(key, value): (&String, &Value)| {
                    !NAMED.contains(&key.as_str())
                        || value.as_table().is_some_and(|t| !t.is_empty() && t.values().all(Value::is_table))
                };
                prop_assume!(table.iter().all(has_names_only));
                let document = Document { table, remarks: vec!["A remark.".into()] };
                let text = document.text();
                let read = Document::of(&text).unwrap();
                prop_assert_eq!(read.table, document.table, "{}", text);
            }
        }
    }
}
