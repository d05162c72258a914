//! Records as the history names them.

use serde::{Deserialize, Serialize};

/// Enough of a record to know it again: a hash over key and value, and the start of the value for people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordTag {
    /// crc32 of the key, or 0 without one.
    pub key: u32,
    /// crc32 of the value, or 0 without one.
    pub value: u32,
    /// The first 32 bytes of the value, as text.
    pub label: String,
}

impl RecordTag {
    pub fn of(key: Option<&[u8]>, value: Option<&[u8]>) -> RecordTag {
        let start = value.map(|v| &v[..v.len().min(32)]).unwrap_or_default();
        RecordTag {
            key: key.map_or(0, crc32fast::hash),
            value: value.map_or(0, crc32fast::hash),
            label: String::from_utf8_lossy(start).into_owned(),
        }
    }
}
