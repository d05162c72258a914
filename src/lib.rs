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

pub mod admin;
pub mod broker;
pub mod client;
pub mod consumer;
pub mod facts;
pub mod log;
pub mod marks;
pub mod producer;
pub mod protocol;
pub mod record;
pub mod registry;
pub mod rules;
pub mod runtime;
pub mod types;
pub mod zk_sim;
pub mod zookeeper;
