//! Both networks keep the seam's contract: the same test bodies run on simulated and on real TCP.
//!
//! What needs a network that fails on command (timeouts, partitions, power failures) is tested in
//! simulation alone, in the testbed's `net_faults`; a connect that times out is among it.

mod harness;

mod endings;
mod transfer;
