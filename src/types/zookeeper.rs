//! ZooKeeper's own numbers. Both are shown as ZooKeeper shows them, in hexadecimal, so that its logs and ours can be
//! searched for the same text.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A session's number, given out by ZooKeeper.
///
/// ```
/// # use seedlog::types::SessionId;
/// assert_eq!(SessionId(0x1000_0dea).to_string(), "0x10000dea");
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub i64);

impl SessionId {
    /// No session: a node that is not ephemeral, a client that has none yet.
    pub const NONE: SessionId = SessionId(0);
}

/// The number of a change: an epoch in the upper half, a counter in the lower one. Orders all changes of an ensemble.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Zxid(pub i64);

impl Zxid {
    /// Before every change.
    pub const ZERO: Zxid = Zxid(0);

    /// The next change's, by the same leader.
    pub fn next(self) -> Zxid {
        Zxid(self.0.checked_add(1).expect("2^63 changes do not happen"))
    }
}

macro_rules! hexadecimal {
    ($($name:ident),+) => { $(
        impl fmt::LowerHex for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::LowerHex::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }
    )+ };
}

hexadecimal!(SessionId, Zxid);
