//! What the files under test find around them.

#[path = "../../../../src/broker/purgatory.rs"]
#[allow(dead_code)]
pub mod purgatory;

pub mod partition;
