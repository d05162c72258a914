//! Who asks: what every handler is told beside the request.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// Whom a connection speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::broker) enum Principal {
    /// Nobody said; the only kind until authentication is built.
    Anonymous,
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Principal::Anonymous => f.write_str("anonymous"),
        }
    }
}

/// What stays the same for all requests of a connection.
#[derive(Clone, Debug)]
pub(in crate::broker) struct ConnectionContext {
    /// Counts the broker's connections from 1.
    pub id: u64,
    pub peer: SocketAddr,
    /// The listener's name, as in `listeners`.
    pub listener: Arc<str>,
    pub principal: Principal,
}

/// One request's. Handlers that decide by who asks (quotas, permissions) take it from here.
#[derive(Clone, Copy, Debug)]
pub(in crate::broker) struct RequestContext<'a> {
    pub connection: &'a ConnectionContext,
    pub client_id: Option<&'a str>,
}

/// For log lines: who asked.
impl fmt::Display for RequestContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConnectionContext { id, peer, listener, principal } = self.connection;
        let client = self.client_id.unwrap_or_default();
        write!(f, "{principal} as {client} from {peer} by {listener}, connection {id}")
    }
}
