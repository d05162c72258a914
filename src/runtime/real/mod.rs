//! The seam on a real machine: tokio, the operating system's files, sockets, clocks and randomness.

pub mod buggify;
pub mod clock;
pub mod disk;
pub mod effects;
pub mod lock;
pub mod net;
pub mod process;
pub mod rng;
pub mod task;
