//! Producer, consumer and admin against a small broker in memory whose every answer a test decides, in either
//! build: on simulated machines under many seeds, or on the real machine's loopback.

mod fake_broker;
mod harness;

mod administering;
mod blocking;
mod connecting;
mod consuming;
mod hostile;
mod producing;
