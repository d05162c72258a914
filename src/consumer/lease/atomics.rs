//! What the shared half of a lease is built of. The model in `models/lease` puts others in its place, which
//! try every order of their operations.

pub(super) use std::sync::atomic::{AtomicU64, Ordering};
