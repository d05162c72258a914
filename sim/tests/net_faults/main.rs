//! The simulated network fails as TCP does: cuts delay and then time out, dead processes close, dead machines
//! say nothing.
//!
//! What TCP does when nothing fails is tested for both networks alike, in seedlog's `net_conformance`.

mod bandwidth;
mod handshakes;
mod harness;

mod cuts;
mod deaths;
mod injuries;
mod unusual;
