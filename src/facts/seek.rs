//! Where an application sends its consumer.

use serde::{Deserialize, Serialize};

use crate::types::Offset;

/// A place in a log, as applications name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeekTarget {
    Offset(Offset),
    /// The first offset that the log holds.
    Earliest,
    /// The end of what readers may see.
    Latest,
}
