//! The whole server as bytes: what is saved before a write is answered, and read back at the next start.
//!
//! Pure. Layout: magic, the length and body of one frame, CRC-32C of all before it.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::sessions::{Password, Sessions};
use super::tree::{Node, Tree};
use crate::types::{SessionId, Zxid};
use crate::zookeeper::codec::{DecodeError, Reader, Record, Writer, frame};

const MAGIC: &[u8; 8] = b"SLZKSNP1";

/// What a server is, apart from its connections.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Image {
    pub zxid: Zxid,
    /// Lies above every session id given out.
    pub next_session: SessionId,
    pub sessions: Vec<SavedSession>,
    pub tree: Tree,
}

/// A session's connection and the rest of its time are not saved: its timeout starts anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SavedSession {
    pub id: SessionId,
    pub timeout: Duration,
    pub password: Password,
}

/// Why a snapshot cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SnapshotError {
    #[error("it is no snapshot of this kind")]
    NotASnapshot,
    #[error("its checksum is {actual:#010x}, where {stored:#010x} was stored")]
    Checksum { stored: u32, actual: u32 },
    #[error("its contents make no sense: {0}")]
    Contents(String),
}

impl From<DecodeError> for SnapshotError {
    fn from(error: DecodeError) -> SnapshotError {
        SnapshotError::Contents(error.to_string())
    }
}

impl Image {
    /// A server's first start.
    pub fn new() -> Image {
        Image { zxid: Zxid::ZERO, next_session: SessionId::NONE, sessions: Vec::new(), tree: Tree::new() }
    }

    pub fn decode(bytes: &Bytes) -> Result<Image, SnapshotError> {
        if bytes.len() < MAGIC.len() + 8 || bytes[..MAGIC.len()] != MAGIC[..] {
            return Err(SnapshotError::NotASnapshot);
        }
        let checked = bytes.slice(..bytes.len() - 4);
        let stored = u32::from_be_bytes(*bytes.last_chunk::<4>().expect("longer than that"));
        let actual = crc32c::crc32c(&checked);
        if stored != actual {
            return Err(SnapshotError::Checksum { stored, actual });
        }
        let mut reader = Reader::new(checked.slice(MAGIC.len() + 4..));
        let (zxid, next_session) = (reader.read()?, reader.read()?);
        let sessions = reader.read()?;
        let nodes: Vec<SavedNode> = reader.read()?;
        if reader.remaining() > 0 {
            return Err(SnapshotError::Contents(format!("{} bytes too many", reader.remaining())));
        }
        let tree = Tree::from_nodes(nodes.into_iter().map(|saved| (saved.path, saved.node)))
            .ok_or_else(|| SnapshotError::Contents("a node without its parent, or twice".to_owned()))?;
        Ok(Image { zxid, next_session, sessions, tree })
    }
}

/// The bytes to save of a server that has got to `zxid`.
pub(super) fn encode(zxid: Zxid, sessions: &Sessions, tree: &Tree) -> Bytes {
    let body = frame(|writer| {
        writer.write(&zxid).write(&sessions.next_id());
        writer.write(&(sessions.iter().count() as i32));
        for (id, session) in sessions.iter() {
            SavedSession { id, timeout: session.timeout, password: session.password }.write(writer);
        }
        writer.write(&(tree.nodes().count() as i32));
        for (path, node) in tree.nodes() {
            writer.write(&path.to_owned());
            write_node(node, writer);
        }
    });
    let mut bytes = BytesMut::with_capacity(MAGIC.len() + body.len() + 4);
    bytes.put_slice(MAGIC);
    bytes.put_slice(&body);
    let checksum = crc32c::crc32c(&bytes);
    bytes.put_u32(checksum);
    bytes.freeze()
}

impl Record for SavedSession {
    fn read(reader: &mut Reader) -> Result<SavedSession, DecodeError> {
        let (id, timeout_ms) = (reader.read()?, reader.read::<i64>()?);
        let password: Option<Bytes> = reader.read()?;
        Ok(SavedSession {
            id,
            timeout: Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0)),
            password: password.and_then(|p| p.as_ref().try_into().ok()).ok_or(DecodeError::Truncated)?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.write(&self.id).write(&(self.timeout.as_millis() as i64));
        writer.write(&Some(Bytes::copy_from_slice(&self.password)));
    }
}

struct SavedNode {
    path: String,
    node: Node,
}

impl Record for SavedNode {
    fn read(reader: &mut Reader) -> Result<SavedNode, DecodeError> {
        let path = reader.read()?;
        let data = reader.read()?;
        let acl: Vec<_> = reader.read()?;
        let node = Node {
            data,
            acl: acl.into(),
            czxid: reader.read()?,
            mzxid: reader.read()?,
            pzxid: reader.read()?,
            ctime: reader.read()?,
            mtime: reader.read()?,
            version: reader.read()?,
            aversion: reader.read()?,
            creates: reader.read()?,
            owner: reader.read()?,
        };
        Ok(SavedNode { path, node })
    }

    fn write(&self, writer: &mut Writer) {
        writer.write(&self.path);
        write_node(&self.node, writer);
    }
}

fn write_node(node: &Node, writer: &mut Writer) {
    writer.write(&node.data).write(&node.acl.to_vec());
    writer.write(&node.czxid).write(&node.mzxid).write(&node.pzxid).write(&node.ctime).write(&node.mtime);
    writer.write(&node.version).write(&node.aversion).write(&node.creates).write(&node.owner);
}
