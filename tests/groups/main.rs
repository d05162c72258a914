//! Consumer groups against a broker and a ZooKeeper, in either build: on simulated machines under many seeds, or
//! on the real machine's loopback.

#[cfg(feature = "real-runtime")]
mod beside;
mod embedded;
mod harness;
mod stories;

#[cfg(not(feature = "real-runtime"))]
mod bound;
#[cfg(not(feature = "real-runtime"))]
mod sessions;
