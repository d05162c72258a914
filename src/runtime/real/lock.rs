//! Mutual exclusion, for as long as no task waits: the standard library's.

pub use std::sync::{Mutex, MutexGuard};
