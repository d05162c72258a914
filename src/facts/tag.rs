//! Records as the history names them.

use serde::{Deserialize, Serialize};

use crate::types::Timestamp;

/// Enough of a record to know it again: a hash over each of its parts, and the start of the value for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordTag {
    /// Of the key, or 0 without one: an empty key is not 0.
    pub key: u32,
    /// Of the value, or 0 without one: an empty value is not 0.
    pub value: u32,
    /// Of all headers in their order, or 0 without any.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub headers: u32,
    /// Milliseconds since 1970. `None` where it is not known, or the broker's to say (LogAppendTime).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<i64>,
    /// The first 32 bytes of the value, or without one of the first header's value, as text.
    pub label: String,
}

impl RecordTag {
    /// Of a record without headers whose time is not known.
    pub fn of(key: Option<&[u8]>, value: Option<&[u8]>) -> RecordTag {
        RecordTag {
            key: key.map_or(0, hash_of),
            value: value.map_or(0, hash_of),
            headers: 0,
            timestamp: None,
            label: label(value),
        }
    }

    /// The same record with these headers (key and value), sent at this time.
    pub fn with<'a>(
        mut self,
        headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + Clone,
        timestamp: Timestamp,
    ) -> RecordTag {
        self.timestamp = Some(timestamp.0);
        if let Some((_, first)) = headers.clone().next() {
            self.headers = hash_of_all(headers);
            if self.value == 0 {
                self.label = label(first);
            }
        }
        self
    }

    /// The digest of several records, with this one behind them; it begins with 0. Of everything but the time, which a
    /// broker may set.
    #[must_use]
    pub fn extend_digest(&self, digest: u32) -> u32 {
        let mut hash = crc32fast::Hasher::new();
        for part in [digest, self.key, self.value, self.headers] {
            hash.update(&part.to_be_bytes());
        }
        hash.finalize()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(hash: &u32) -> bool {
    *hash == 0
}

/// The crc32 of a 1 and the bytes, so that nothing and no bytes differ.
fn hash_of(bytes: &[u8]) -> u32 {
    let mut hash = crc32fast::Hasher::new();
    hash.update(&[1]);
    hash.update(bytes);
    hash.finalize()
}

/// The crc32 over what [`hash_of`] says of each key and value in turn.
fn hash_of_all<'a>(headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>) -> u32 {
    let mut hash = crc32fast::Hasher::new();
    for (key, value) in headers {
        hash.update(&hash_of(key).to_be_bytes());
        hash.update(&value.map_or(0, hash_of).to_be_bytes());
    }
    hash.finalize()
}

fn label(bytes: Option<&[u8]>) -> String {
    let start = bytes.map(|bytes| &bytes[..bytes.len().min(32)]).unwrap_or_default();
    String::from_utf8_lossy(start).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_and_no_bytes_are_two_things() {
        assert_ne!(RecordTag::of(None, None), RecordTag::of(Some(b""), None));
        assert_ne!(RecordTag::of(None, None), RecordTag::of(None, Some(b"")));
    }

    #[test]
    fn headers_their_order_and_the_time_tell_records_apart() {
        let [a, b]: [(&[u8], Option<&[u8]>); 2] = [(b"a", Some(b"1")), (b"b", None)];
        let tag = |headers: &[(&'static [u8], Option<&'static [u8]>)], time| {
            RecordTag::of(None, None).with(headers.iter().copied(), Timestamp(time))
        };
        let first = tag(&[a, b], 1);
        assert_eq!(first.label, "1", "without a value the first header tells");
        assert!(
            [tag(&[b, a], 1), tag(&[a], 1), tag(&[], 1), tag(&[a, b], 2)].iter().all(|tag| *tag != first)
        );
    }
}
