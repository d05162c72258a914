//! The seam: everything that touches the machine, twice. `real/` is tokio and the operating system, `sim/` is
//! a seeded simulation on madsim; they mirror each other file by file and offer the same items.
//!
//! Domain code names only what this module re-exports. What the two halves share (instants, file ranges,
//! segments) stands in files beside this one.

mod accept_error;
mod ask;
mod concurrently;
mod disk_types;
pub mod durable;
mod file_range;
mod living;
mod pace;
mod random;

#[cfg(feature = "real-runtime")]
mod real;
#[cfg(feature = "real-runtime")]
use real as half;

#[cfg(not(feature = "real-runtime"))]
pub mod sim;
#[cfg(not(feature = "real-runtime"))]
use sim as half;

pub use crate::types::Instant;
pub use accept_error::AcceptError;
pub use ask::ask;
pub use concurrently::{Running, concurrently};
pub use file_range::{FileRange, Segment};
pub use half::{buggify, clock, disk, effects, lock, net, process, rng, task};
pub use pace::Pace;

/// A timeout ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("deadline has elapsed")]
pub struct Elapsed;
