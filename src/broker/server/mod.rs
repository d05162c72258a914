//! Serves clients: connections in, requests to their handlers, replies out in request order.
//!
//! A connection is one task. It takes every complete request that one read brought, appends what they produce
//! once per partition, and sends their replies with one write; no request is handed to another task.

mod close;
mod connection;
mod context;
mod errors;
mod handlers;
mod limits;
mod listener;
mod memory;
mod notices;
mod outgoing;
mod transport;
mod waiting;
mod without_rule;

pub(super) use handlers::LOOKUPS_AT_ONCE_MAX;
pub(super) use limits::Connections;
pub(super) use listener::accept_connections;
pub(super) use memory::RequestMemory;
pub(super) use notices::Notices;
