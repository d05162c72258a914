//! What producer, consumer and admin share: connections to brokers, and what the cluster looks like.
//!
//! A [`Connection`] carries pipelined requests to one broker and tells of each whether it may have taken
//! effect. A [`Cluster`] knows topics, leaders and addresses, refreshes that knowledge, and keeps a connection
//! per broker. What to send and when to try again is the callers' decision.

mod address;
mod backoff;
mod cluster;
mod connection;
mod leader_tasks;
mod metadata;
mod no_broker;
mod pipeline;
mod slots;
mod tracked;

pub use backoff::Backoff;
pub use cluster::{AskError, Cluster, ClusterConfig};
pub(crate) use connection::SILENT_AFTER;
pub use connection::{ConnectError, Connection, ConnectionConfig, Pending, RequestError, Written};
pub use leader_tasks::{LeaderTask, LeaderTasks, StartLeaderTask};
pub use metadata::{Leader, PartitionView, TopicView};
pub use no_broker::{Attempted, NoBroker};
