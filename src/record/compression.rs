//! Packs and unpacks a batch's records (stub).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::BatchError;
use super::header::COMPRESSION_BITS;

/// How a batch's records are packed (`compression.type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Compression {
    pub const ALL: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    pub(super) fn from_attributes(attributes: i16) -> Result<Compression, BatchError> {
        let code = (attributes & COMPRESSION_BITS) as u8;
        Compression::ALL.get(usize::from(code)).copied().ok_or(BatchError::UnknownCompression(code))
    }

    pub(super) fn to_attributes(self) -> i16 {
        self as i16
    }

    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no compression's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown compression {0:?}: one of none, gzip, snappy, lz4, zstd")]
pub struct UnknownName(String);

impl FromStr for Compression {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Compression, UnknownName> {
        let found = Compression::ALL.into_iter().find(|compression| compression.name() == name);
        found.ok_or_else(|| UnknownName(name.to_owned()))
    }
}
