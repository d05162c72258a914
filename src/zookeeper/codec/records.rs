//! The records that are no operation's own: the handshake, stats, access lists, events.

use bytes::Bytes;

use super::jute::{DecodeError, Reader, Record, Writer, record};
use crate::types::{SessionId, Zxid};

/// How long a session's password is.
pub const PASSWORD_BYTES: usize = 16;

record! {
    /// What a node's life has been; zxids order it among all writes.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Stat {
        /// The zxid that created the node.
        pub czxid: Zxid,
        /// The zxid that last set its data.
        pub mzxid: Zxid,
        /// Milliseconds since 1970, by the server's clock.
        pub ctime: i64,
        /// As `ctime`, when the data was last set.
        pub mtime: i64,
        /// Counts data changes; what compare-and-set compares.
        pub version: i32,
        /// Counts children made and deleted.
        pub cversion: i32,
        /// Counts changes of the access list.
        pub aversion: i32,
        /// The session that owns the node, or 0.
        pub ephemeral_owner: SessionId,
        pub data_length: i32,
        pub num_children: i32,
        /// The zxid that last made or deleted a child.
        pub pzxid: Zxid,
    }

    /// Who may do what; permissions are the bits read 1, write 2, create 4, delete 8, admin 16.
    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub struct Acl {
        pub permissions: i32,
        pub scheme: String,
        pub id: String,
    }
}

impl Acl {
    pub const READ: i32 = 1;
    pub const WRITE: i32 = 2;
    pub const CREATE: i32 = 4;
    pub const DELETE: i32 = 8;
    pub const ADMIN: i32 = 16;
    pub const ALL: i32 = 31;

    /// Everybody may do everything.
    pub fn open() -> Acl {
        Acl { permissions: Acl::ALL, scheme: "world".to_owned(), id: "anyone".to_owned() }
    }
}

/// The first message of a connection. The last byte was added later: old clients leave it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectRequest {
    pub protocol_version: i32,
    pub last_zxid_seen: Zxid,
    pub timeout_ms: i32,
    /// 0 asks for a new session.
    pub session_id: SessionId,
    pub password: Option<Bytes>,
    pub read_only: Option<bool>,
}

impl Record for ConnectRequest {
    fn read(reader: &mut Reader) -> Result<ConnectRequest, DecodeError> {
        Ok(ConnectRequest {
            protocol_version: reader.read()?,
            last_zxid_seen: reader.read()?,
            timeout_ms: reader.read()?,
            session_id: reader.read()?,
            password: reader.read()?,
            read_only: read_optional_flag(reader)?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.write(&self.protocol_version).write(&self.last_zxid_seen).write(&self.timeout_ms);
        writer.write(&self.session_id).write(&self.password);
        write_optional_flag(self.read_only, writer);
    }
}

/// The server's answer. Session 0 says that the session asked for is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectResponse {
    pub protocol_version: i32,
    pub timeout_ms: i32,
    pub session_id: SessionId,
    pub password: Option<Bytes>,
    /// Present if the request had it.
    pub read_only: Option<bool>,
}

impl Record for ConnectResponse {
    fn read(reader: &mut Reader) -> Result<ConnectResponse, DecodeError> {
        Ok(ConnectResponse {
            protocol_version: reader.read()?,
            timeout_ms: reader.read()?,
            session_id: reader.read()?,
            password: reader.read()?,
            read_only: read_optional_flag(reader)?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.write(&self.protocol_version).write(&self.timeout_ms).write(&self.session_id);
        writer.write(&self.password);
        write_optional_flag(self.read_only, writer);
    }
}

fn read_optional_flag(reader: &mut Reader) -> Result<Option<bool>, DecodeError> {
    if reader.remaining() == 0 { Ok(None) } else { reader.read().map(Some) }
}

fn write_optional_flag(flag: Option<bool>, writer: &mut Writer) {
    if let Some(flag) = flag {
        writer.write(&flag);
    }
}

/// What a watch saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    Created = 1,
    Deleted = 2,
    DataChanged = 3,
    ChildrenChanged = 4,
}

impl Record for EventKind {
    fn read(reader: &mut Reader) -> Result<EventKind, DecodeError> {
        match reader.read::<i32>()? {
            1 => Ok(EventKind::Created),
            2 => Ok(EventKind::Deleted),
            3 => Ok(EventKind::DataChanged),
            4 => Ok(EventKind::ChildrenChanged),
            other => Err(DecodeError::UnknownEvent(other)),
        }
    }

    fn write(&self, writer: &mut Writer) {
        writer.write(&(*self as i32));
    }
}

record! {
    /// The body of a message that no request asked for.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct WatcherEvent {
        pub kind: EventKind,
        /// 3: connected.
        pub state: i32,
        pub path: String,
    }
}

impl WatcherEvent {
    const STATE_CONNECTED: i32 = 3;

    pub fn new(kind: EventKind, path: String) -> WatcherEvent {
        WatcherEvent { kind, state: WatcherEvent::STATE_CONNECTED, path }
    }
}
