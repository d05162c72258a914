//! Brokers in a simulated cluster, asked by a raw client that sends whole frames and retries nothing.
#![cfg(not(feature = "real-runtime"))]

mod cluster;
mod describing;
mod faults;
mod harness;
mod produce_fetch;
mod raw;
mod records;
mod resources;
mod storage;
mod waiting;
