//! Attacks of bounded length on the real broker: each costs it little, and whoever behaves is served meanwhile.
//!
//! The bounds of time and memory are wide (a loaded machine) and still far below what the attack did before it
//! was met: each test says what that was.
#![cfg(feature = "real-runtime")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // Outside of any simulation.

#[path = "../support/mod.rs"]
mod support;

mod bombs;
mod connections;
mod fuzz;
mod slow;
mod subject;
