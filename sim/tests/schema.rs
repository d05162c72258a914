//! The JSON schema that editors use is the one that the code has, and every story agrees with it.
//!
//! The validator below knows the keywords that the schema uses, and refuses any other.
#![allow(clippy::disallowed_methods)] // Reads the committed schema and the stories.

use seedlog_sim::scenario::{Library, Scenario, schema};
use seedlog_sim::workspace::root;
use serde_json::Value;

#[test]
fn the_committed_schema_is_up_to_date() {
    let committed = std::fs::read_to_string(root().join(schema::PATH)).unwrap_or_default();
    let hint = format!("write it anew: cargo sim schema > {}", schema::PATH);
    assert!(committed == schema::text(), "{hint}");
}

#[test]
fn every_story_agrees_with_the_schema() {
    let root: Value = serde_json::from_str(&schema::text()).unwrap();
    for (path, scenario) in Library::load().unwrap().with_paths() {
        assert_eq!(problems(&root, &root, &story(&scenario.text), "story"), [""; 0], "{path}");
        assert!(scenario.text.starts_with("#:schema "), "{path} names no schema in its first line");
    }
}

#[test]
fn the_schema_refuses_what_the_parser_refuses() {
    let root: Value = serde_json::from_str(&schema::text()).unwrap();
    let start = "format = 1\nstory = \"A test's.\"\n";
    for broken in [
        "colour = 1",
        "seeds = 0",
        "seed = \"x\"",
        "[cluster]\nbrokers = \"two\"",
        "[producers.shop]\nrate = \"1/s\"",
        "[producers.shop]\ntopic = \"orders\"\nacks = 2",
        "[groups.billing]\ntopics = [\"orders\"]\ncommit = \"never\"",
        "[chaos]\nnetwork = \"lots\"",
        "[chaos]\nnetwork = { only = [\"cut\"] }",
    ] {
        let problems = problems(&root, &root, &story(&format!("{start}{broken}\n")), "story");
        assert!(!problems.is_empty(), "{broken}");
    }
}

#[test]
fn the_documented_example_can_be_read() {
    let page = std::fs::read_to_string(root().join("docs/scenario-files.md")).unwrap();
    let examples: Vec<&str> = page
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .filter(|text| text.contains("\nformat = 1"))
        .collect();
    assert!(!examples.is_empty());
    for example in examples {
        if let Err(error) = Scenario::parse("example", "docs/scenario-files.md", example) {
            panic!("{error}");
        }
    }
}

fn story(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap()
}

/// What of `value` does not agree with `schema`.
fn problems(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let Some(schema) = schema.as_object() else {
        let agrees = schema == &Value::Bool(true);
        return if agrees { Vec::new() } else { vec![format!("{at} may not be there")] };
    };
    let mut found = Vec::new();
    for (keyword, rule) in schema {
        let agrees = match keyword.as_str() {
            "$schema" | "title" | "description" | "$defs" | "default" | "format" => true,
            "$ref" => {
                let place = rule.as_str().unwrap().trim_start_matches('#');
                found.extend(problems(root, root.pointer(place).unwrap(), value, at));
                true
            }
            "anyOf" | "oneOf" => {
                rule.as_array().unwrap().iter().any(|one| problems(root, one, value, at).is_empty())
            }
            "type" => match rule {
                Value::Array(types) => types.iter().any(|one| is_of_type(value, one)),
                one => is_of_type(value, one),
            },
            "enum" => rule.as_array().unwrap().contains(value),
            "const" => rule == value,
            "minimum" => value.as_i64().is_none_or(|number| number >= rule.as_i64().unwrap()),
            "maximum" => value.as_i64().is_none_or(|number| number <= rule.as_i64().unwrap()),
            // One pattern is used: that of seeds.
            "pattern" => {
                value.as_str().is_none_or(|text| seedlog_sim::scenario::file::parse_seed(text).is_ok())
            }
            "uniqueItems" => true,
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(problems(root, rule, item, &format!("{at}[{index}]")));
                }
                true
            }
            "required" => {
                let keys = rule.as_array().unwrap().iter().filter_map(Value::as_str);
                keys.into_iter().all(|key| value.as_object().is_none_or(|table| table.contains_key(key)))
            }
            "properties" | "additionalProperties" => {
                found.extend(problems_of_keys(root, schema, value, at, keyword));
                true
            }
            other => panic!("this validator does not know `{other}`"),
        };
        if !agrees {
            found.push(format!("{at} against `{keyword}`: {rule}"));
        }
    }
    found
}

fn problems_of_keys(
    root: &Value,
    schema: &serde_json::Map<String, Value>,
    value: &Value,
    at: &str,
    keyword: &str,
) -> Vec<String> {
    let known = schema.get("properties").and_then(Value::as_object);
    let keys = value.as_object().into_iter().flatten();
    let checked = keys.flat_map(|(key, value)| match known.and_then(|known| known.get(key)) {
        Some(rule) if keyword == "properties" => problems(root, rule, value, &format!("{at}.{key}")),
        None if keyword == "additionalProperties" => {
            problems(root, &schema["additionalProperties"], value, &format!("{at}.{key}"))
        }
        _ => Vec::new(),
    });
    checked.collect()
}

fn is_of_type(value: &Value, name: &Value) -> bool {
    match name.as_str() {
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        Some("null") => value.is_null(),
        _ => false,
    }
}
