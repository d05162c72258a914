//! What the shared half of a lease is built of. The model test in `tests/lease_model` puts others in its place, which
//! try every order of their operations.

pub(super) use std::sync::atomic::{AtomicU64, Ordering};
