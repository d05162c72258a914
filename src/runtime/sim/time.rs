//! The world's time, which no fault touches.

use crate::runtime::Instant;

/// By this the testbed and the machinery of the simulation count.
pub fn world_now() -> Instant {
    match madsim::time::TimeHandle::try_current() {
        Some(time) => Instant::from_nanos(time.elapsed().as_nanos() as u64),
        None => Instant::START,
    }
}
