//! What the files under test find around them.

#[path = "../../../../src/broker/purgatory.rs"]
#[allow(dead_code)]
mod purgatory;

mod orders;
mod partition;
