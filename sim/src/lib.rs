//! The testbed: injures a simulated cluster from one seed, records what happened, and judges it.
//!
//! Modules in reading order: what is recorded (`history`), what is demanded of it (`checkers`, `liveness`,
//! `lookout`), what a run is made of (`scenario`, `cluster`, `workload`, `app`, `faults`, `survey`), how one run goes
//! (`phases`), how it is told (`report`), how many of them are driven (`runner`), and how one asks for it
//! (`commands`, `testbed`, `prop`). `workspace` says which directory all of it works for.

// The testbed runs on the machine, not inside the simulation: it may use files, threads and the wall clock.
#![allow(clippy::disallowed_methods)]

pub mod app;
pub mod checkers;
pub mod cluster;
pub mod codes;
pub mod commands;
pub mod faults;
pub mod history;
pub mod liveness;
pub mod lookout;
pub mod phases;
#[cfg(feature = "prop")]
pub mod prop;
pub mod report;
pub mod runner;
pub mod scenario;
pub mod survey;
pub mod testbed;
pub mod workload;
pub mod workspace;
