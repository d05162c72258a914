//! The product's file on shuttle's atomics.

mod atomics {
    pub use shuttle::sync::atomic::{AtomicU64, Ordering};
}

#[path = "../../../src/consumer/lease/shared_half.rs"]
#[allow(dead_code)]
pub mod shared_half;
