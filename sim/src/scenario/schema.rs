//! The format as a JSON schema, for editors: generated from the types that read it.

use super::raw::RawFile;

/// Where the schema is committed, from the repository's root.
pub const PATH: &str = "docs/scenario.schema.json";

/// The schema's text.
pub fn text() -> String {
    let schema = schemars::schema_for!(RawFile);
    let text = serde_json::to_string_pretty(&schema).expect("a schema is plain data");
    format!("{text}\n")
}
