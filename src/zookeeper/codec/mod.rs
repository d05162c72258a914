//! ZooKeeper's wire format: jute records in frames with a four-byte length.
//!
//! Pure: bytes in, values out, for both ends of a connection. Hostile bytes give an error, never a panic, and
//! never more memory than a small multiple of their own size.

mod jute;
mod operations;
mod records;
mod replies;

pub use jute::{DecodeError, Reader, Record, Writer};
pub use operations::{
    AuthRequest, CreateFlags, CreateRequest, Op, PathAclVersion, PathDataVersion, PathVersion, PathWatch,
    SetWatchesRequest, opcode, xid,
};
pub use records::{Acl, ConnectRequest, ConnectResponse, EventKind, PASSWORD_BYTES, Stat, WatcherEvent};
pub use replies::{MultiReply, Reply, ReplyHeader};

use bytes::{Buf, Bytes, BytesMut};

/// The longest request a server takes: `jute.maxbuffer` as ZooKeeper ships it.
pub const REQUEST_BYTES_MAX: usize = 0xf_ffff;

/// The longest reply a client takes.
pub const REPLY_BYTES_MAX: usize = 4 << 20;

/// A frame that no honest peer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {length} bytes (limit {limit})")]
pub struct FrameError {
    pub length: i32,
    pub limit: usize,
}

/// Takes one frame, without its length, off the front of `buffer`; `None` while it is incomplete.
pub fn next_frame(buffer: &mut BytesMut, frame_bytes_max: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(prefix) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length = i32::from_be_bytes(*prefix);
    let wanted = usize::try_from(length).ok().filter(|wanted| *wanted <= frame_bytes_max);
    let Some(wanted) = wanted else { return Err(FrameError { length, limit: frame_bytes_max }) };
    if buffer.len() < 4 + wanted {
        return Ok(None);
    }
    buffer.advance(4);
    Ok(Some(buffer.split_to(wanted).freeze()))
}

/// What `write` writes, with its length before it.
pub fn frame(write: impl FnOnce(&mut Writer)) -> Bytes {
    let mut writer = Writer::framed();
    write(&mut writer);
    writer.finish_frame()
}

/// An error code of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ErrorCode(pub i32);

impl ErrorCode {
    pub const OK: ErrorCode = ErrorCode(0);
    pub const RUNTIME_INCONSISTENCY: ErrorCode = ErrorCode(-2);
    pub const MARSHALLING: ErrorCode = ErrorCode(-5);
    pub const UNIMPLEMENTED: ErrorCode = ErrorCode(-6);
    pub const BAD_ARGUMENTS: ErrorCode = ErrorCode(-8);
    pub const NO_NODE: ErrorCode = ErrorCode(-101);
    pub const NO_AUTH: ErrorCode = ErrorCode(-102);
    pub const BAD_VERSION: ErrorCode = ErrorCode(-103);
    pub const NO_CHILDREN_FOR_EPHEMERALS: ErrorCode = ErrorCode(-108);
    pub const NODE_EXISTS: ErrorCode = ErrorCode(-110);
    pub const NOT_EMPTY: ErrorCode = ErrorCode(-111);
    pub const SESSION_EXPIRED: ErrorCode = ErrorCode(-112);
    pub const INVALID_ACL: ErrorCode = ErrorCode(-114);
    pub const AUTH_FAILED: ErrorCode = ErrorCode(-115);
    pub const SESSION_MOVED: ErrorCode = ErrorCode(-118);
}

impl Record for ErrorCode {
    fn read(reader: &mut Reader) -> Result<ErrorCode, DecodeError> {
        reader.read().map(ErrorCode)
    }

    fn write(&self, writer: &mut Writer) {
        writer.write(&self.0);
    }
}

#[cfg(test)]
mod tests;
