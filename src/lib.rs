//! Seedlog: the system of the 2011 Kafka paper and the Kafka 1.1 introduction, built twice from one source.
//!
//! Without features this crate runs inside the deterministic simulator (madsim); with the feature
//! `real-runtime` it is a deployable broker on tokio. Modules, in reading order:

#[cfg(not(any(madsim, feature = "real-runtime")))]
compile_error!(
    "seedlog: neither `--cfg madsim` nor the feature `real-runtime` is on. A RUSTFLAGS in the environment \
     replaces the flags of .cargo/config.toml: unset it, add `--cfg madsim` to it, or build with \
     `--features real-runtime`."
);

// Numbers and names, and what is said about a run.
pub mod types;

pub mod rules;

pub mod marks;

pub mod facts;

// The seam: everything that touches the machine.
pub mod runtime;

// What is sent and stored.
pub mod record;

pub mod protocol;

pub mod log;

// ZooKeeper: our client, a server, and what stands in it.
pub mod zookeeper;

pub mod zk_sim;

pub mod registry;

// The broker, and its clients.
pub mod broker;

pub mod client;

pub mod producer;

pub mod consumer;

pub mod admin;

#[cfg(all(doctest, feature = "real-runtime"))]
#[doc = include_str!("../README.md")]
struct Readme;
