//! What the server does with each message: one state, changed synchronously.
//!
//! Pure: a frame and the time in, effects out, in the order in which they are to be performed. When effects
//! may be seen (after the change is saved) is `commit`'s decision.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::sessions::{Password, SessionLimits, Sessions};
use super::snapshot::Image;
use super::tree::{Change, Tree};
use super::watches::{ConnectionId, Watches};
use crate::types::{Instant, SessionId, Zxid};
use crate::zookeeper::codec::{
    ConnectRequest, ConnectResponse, DecodeError, ErrorCode, EventKind, Op, PASSWORD_BYTES, Reader, Reply,
    WatcherEvent, frame,
};

/// What the server does to the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Send(ConnectionId, Bytes),
    /// Close once everything before was sent.
    CloseAfterSend(ConnectionId),
    /// Close without sending what is still to be sent.
    CloseNow(ConnectionId),
    SessionOpened(SessionId),
    SessionExpired(SessionId),
    Changed(Changed),
}

/// A change that was made to a node, for the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Changed {
    pub zxid: Zxid,
    pub path: String,
    pub kind: EventKind,
    /// The session of a new ephemeral node, or 0.
    pub owner: SessionId,
}

/// When something happens, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub now: Instant,
    pub wall_ms: i64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct CoreLimits {
    pub sessions: SessionLimits,
    pub watches_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing but a connect request may come.
    Handshake,
    Attached(SessionId),
    /// Closing: what still comes is not looked at.
    Over,
}

pub(super) struct Core {
    pub(super) tree: Tree,
    pub(super) watches: Watches,
    pub(super) sessions: Sessions,
    /// Of the last write, failed ones included.
    pub(super) zxid: Zxid,
    connections: BTreeMap<ConnectionId, Phase>,
    pub(super) effects: Vec<Effect>,
}

impl Core {
    /// A server that holds `image`; `first_session` lies above every session id ever given out.
    pub fn new(limits: CoreLimits, image: Image, first_session: SessionId, now: Instant) -> Core {
        let mut sessions = Sessions::new(limits.sessions, first_session.max(image.next_session));
        for saved in image.sessions {
            sessions.restore(saved.id, saved.password, saved.timeout, now);
        }
        Core {
            tree: image.tree,
            watches: Watches::new(limits.watches_max),
            sessions,
            zxid: image.zxid,
            connections: BTreeMap::new(),
            effects: Vec::new(),
        }
    }

    pub fn connection_opened(&mut self, connection: ConnectionId) {
        self.connections.insert(connection, Phase::Handshake);
    }

    /// The connection ended: its session lives on.
    pub fn connection_closed(&mut self, connection: ConnectionId) {
        if let Some(Phase::Attached(id)) = self.connections.remove(&connection)
            && let Some(session) = self.sessions.get_mut(id)
            && session.connection == Some(connection)
        {
            session.connection = None;
        }
        self.watches.drop_connection(connection);
    }

    /// The session that the connection serves.
    pub fn session_of(&self, connection: ConnectionId) -> Option<SessionId> {
        match self.connections.get(&connection) {
            Some(Phase::Attached(session)) => Some(*session),
            _ => None,
        }
    }

    /// Something arrived from the connection's client: its session stays alive.
    pub fn heard(&mut self, connection: ConnectionId, now: Instant) {
        if let Some(Phase::Attached(session)) = self.connections.get(&connection) {
            self.sessions.heard(*session, now);
        }
    }

    /// A whole message arrived. `password` is for the session that it may open.
    pub fn message(&mut self, connection: ConnectionId, message: Bytes, password: Password, at: Moment) {
        match self.connections.get(&connection) {
            Some(Phase::Handshake) => self.handshake(connection, message, password, at),
            Some(Phase::Attached(session)) => self.request(connection, *session, message, at),
            Some(Phase::Over) | None => {}
        }
    }

    /// Expires the sessions whose time is up.
    pub fn tick(&mut self, at: Moment) {
        for session in self.sessions.overdue(at.now) {
            self.expire(session, at);
        }
    }

    /// Ends a session as though its client had not been heard for too long; whether it was alive.
    pub fn expire(&mut self, session: SessionId, at: Moment) -> bool {
        if self.sessions.get(session).is_none() {
            return false;
        }
        // Stated before anybody can see an effect of it.
        self.effects.push(Effect::SessionExpired(session));
        if let Some(connection) = self.end_session(session, at) {
            self.close_now(connection);
        }
        true
    }

    fn handshake(&mut self, connection: ConnectionId, message: Bytes, password: Password, at: Moment) {
        let Ok(request) = Reader::new(message).read::<ConnectRequest>() else {
            return self.close_now(connection);
        };
        if request.last_zxid_seen > self.zxid {
            // The client has seen a future that this server does not know.
            return self.close_now(connection);
        }
        if request.session_id == SessionId::NONE {
            return self.open_session(connection, &request, password, at);
        }
        // The old connection goes before the password is looked at, as ZooKeeper does it (observed).
        let previous =
            self.sessions.get_mut(request.session_id).and_then(|session| session.connection.take());
        if let Some(previous) = previous {
            self.close_now(previous);
        }
        let given = request.password.clone().unwrap_or_default();
        match self.sessions.reattach(request.session_id, &given, request.timeout_ms, at.now) {
            Some(session) => {
                session.connection = Some(connection);
                self.attach(connection, request.session_id, &request);
            }
            None => {
                let refused = ConnectResponse {
                    protocol_version: 0,
                    timeout_ms: 0,
                    session_id: SessionId::NONE,
                    password: Some(Bytes::from_static(&[0; PASSWORD_BYTES])),
                    read_only: request.read_only.map(|_| false),
                };
                self.send_response(connection, &refused);
                self.close_after_send(connection);
            }
        }
    }

    fn open_session(
        &mut self,
        connection: ConnectionId,
        request: &ConnectRequest,
        password: Password,
        at: Moment,
    ) {
        let Some(id) = self.sessions.open(password, request.timeout_ms, at.now) else {
            return self.close_now(connection);
        };
        self.zxid = self.zxid.next();
        self.effects.push(Effect::SessionOpened(id));
        self.sessions.get_mut(id).expect("opened just now").connection = Some(connection);
        self.attach(connection, id, request);
    }

    fn attach(&mut self, connection: ConnectionId, id: SessionId, request: &ConnectRequest) {
        let session = self.sessions.get(id).expect("the caller has opened or found it");
        assert_eq!(session.connection, Some(connection), "a session knows its connection");
        let response = ConnectResponse {
            protocol_version: 0,
            timeout_ms: session.timeout.as_millis() as i32,
            session_id: id,
            password: Some(Bytes::copy_from_slice(&session.password)),
            read_only: request.read_only.map(|_| false),
        };
        self.connections.insert(connection, Phase::Attached(id));
        self.send_response(connection, &response);
    }

    fn request(&mut self, connection: ConnectionId, session: SessionId, message: Bytes, at: Moment) {
        let known = self.sessions.get(session).map(|session| session.connection);
        assert_eq!(known, Some(Some(connection)), "an attached connection is that of its session");
        let mut reader = Reader::new(message);
        let (Ok(xid), Ok(code)) = (reader.read::<i32>(), reader.read::<i32>()) else {
            return self.close_now(connection);
        };
        match Op::decode(code, &mut reader) {
            Ok(Op::Close) => self.close_session(connection, session, xid, at),
            Ok(Op::Auth(auth)) => self.authenticate(connection, xid, &auth.scheme),
            Ok(op) => self.execute(connection, session, xid, op, at),
            Err(DecodeError::UnknownOperation(unknown)) if unknown == code => {
                self.refuse(connection, xid, ErrorCode::UNIMPLEMENTED);
                self.close_after_send(connection);
            }
            Err(_) => self.refuse(connection, xid, ErrorCode::MARSHALLING),
        }
    }

    /// Credentials of the one scheme that clients use are taken; no access list here asks for them.
    fn authenticate(&mut self, connection: ConnectionId, xid: i32, scheme: &str) {
        if scheme == "digest" {
            return self.reply(connection, xid, Reply::Empty);
        }
        self.refuse(connection, xid, ErrorCode::AUTH_FAILED);
        self.close_after_send(connection);
    }

    fn close_session(&mut self, connection: ConnectionId, session: SessionId, xid: i32, at: Moment) {
        self.end_session(session, at);
        self.reply(connection, xid, Reply::Empty);
        self.close_after_send(connection);
    }

    /// Ends a session, all its ephemeral nodes at one zxid; returns its connection.
    fn end_session(&mut self, session: SessionId, at: Moment) -> Option<ConnectionId> {
        let ended = self.sessions.remove(session)?;
        self.zxid = self.zxid.next();
        let paths = self.tree.ephemerals(session);
        let mut change = self.tree.change(self.zxid, at.wall_ms);
        for path in &paths {
            change.remove(path);
        }
        let changes = change.commit();
        assert!(self.tree.ephemerals(session).is_empty(), "a session that ended owns nothing");
        self.fire(&changes);
        ended.connection
    }

    /// Sends the events that `changes` cause.
    pub(super) fn fire(&mut self, changes: &[Change]) {
        self.note(changes);
        for change in changes {
            for connection in self.watches.fire(change) {
                self.tell(connection, change.kind, &change.path);
            }
        }
    }

    /// Has the changes stated before anybody can see them.
    fn note(&mut self, changes: &[Change]) {
        for change in changes.iter().filter(|change| change.kind != EventKind::ChildrenChanged) {
            let owner = match change.kind {
                EventKind::Created => {
                    self.tree.stat(&change.path).map_or(SessionId::NONE, |stat| stat.ephemeral_owner)
                }
                _ => SessionId::NONE,
            };
            let (zxid, path, kind) = (self.zxid, change.path.clone(), change.kind);
            self.effects.push(Effect::Changed(Changed { zxid, path, kind, owner }));
        }
    }

    pub(super) fn tell(&mut self, connection: ConnectionId, kind: EventKind, path: &str) {
        let event = WatcherEvent::new(kind, path.to_owned());
        self.effects.push(Effect::Send(connection, Reply::encode_event(&event)));
    }

    pub(super) fn reply(&mut self, connection: ConnectionId, xid: i32, reply: Reply) {
        self.effects.push(Effect::Send(connection, reply.encode(xid, self.zxid)));
    }

    pub(super) fn refuse(&mut self, connection: ConnectionId, xid: i32, error: ErrorCode) {
        self.effects.push(Effect::Send(connection, Reply::encode_error(xid, self.zxid, error)));
    }

    fn send_response(&mut self, connection: ConnectionId, response: &ConnectResponse) {
        let framed = frame(|writer| {
            writer.write(response);
        });
        self.effects.push(Effect::Send(connection, framed));
    }

    fn close_after_send(&mut self, connection: ConnectionId) {
        self.leave(connection);
        self.effects.push(Effect::CloseAfterSend(connection));
    }

    pub(super) fn close_now(&mut self, connection: ConnectionId) {
        self.leave(connection);
        self.effects.push(Effect::CloseNow(connection));
    }

    /// The connection is heard no more; its session, if it lives, has none.
    fn leave(&mut self, connection: ConnectionId) {
        self.connection_closed(connection);
        self.connections.insert(connection, Phase::Over);
    }
}

#[cfg(test)]
mod tests;
