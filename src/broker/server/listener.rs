//! Accepts connections, within the limits, and starts a task for each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::connection::Connection;
use super::context::{ConnectionContext, Principal};
use super::limits::Admission;
use super::transport::Transport;
use crate::broker::core::Core;
use crate::runtime::net::{Listener, Stream};
use crate::runtime::task::TaskGroup;
use crate::runtime::{AcceptError, clock};

/// Without room for one more connection: how long to wait at most, should none of ours end. Other holders of
/// file descriptors give theirs back without telling.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(500);
/// The one listener's name.
const LISTENER_NAME: &str = "PLAINTEXT";

/// Accepts for as long as it is polled; connections live in `tasks`.
pub(in crate::broker) async fn accept_connections(
    core: Arc<Core>,
    listener: Listener,
    tasks: Arc<TaskGroup>,
) {
    let name: Arc<str> = Arc::from(LISTENER_NAME);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => admit(&core, &tasks, &name, stream, peer),
            // Of no concern to those who come next.
            Err(AcceptError::Peer(error)) => {
                core.metrics.accepts_failed.add(1);
                tracing::debug!(%error, "accept_failed");
            }
            Err(AcceptError::Exhausted(error)) => {
                core.metrics.accepts_failed.add(1);
                tracing::warn!(%error, connections = core.connections.count(), "accept_without_room");
                // Either way accepting is tried again.
                let _closed_or_not = clock::timeout(NO_ROOM_PAUSE, core.connections.one_closed()).await;
            }
        }
    }
}

fn admit(core: &Arc<Core>, tasks: &TaskGroup, listener: &Arc<str>, stream: Stream, peer: SocketAddr) {
    let admission = match Admission::request(core, peer.ip()) {
        Ok(admission) => admission,
        Err(refused) => {
            core.metrics.connections_refused.add(1);
            tracing::warn!(%peer, reason = %refused, "connection_refused");
            return;
        }
    };
    let descriptor = match core.descriptors.for_connection() {
        Ok(descriptor) => descriptor,
        Err(refused) => {
            core.metrics.connections_refused.add(1);
            tracing::warn!(%peer, reason = %refused, "connection_refused");
            return;
        }
    };
    core.metrics.connections_accepted.add(1);
    let context = ConnectionContext {
        id: admission.id,
        peer,
        listener: Arc::clone(listener),
        principal: Principal::Anonymous,
    };
    let connection = Connection::new(Arc::clone(core), admission, context, Transport::Plain(stream));
    tasks.spawn("connection", async move {
        connection.run().await;
        drop(descriptor);
    });
}
