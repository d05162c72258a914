//! Replies: the request's transaction id, the server's zxid, an error code, and on success a body that the
//! request's operation determines.

use bytes::Bytes;

use super::jute::{DecodeError, Reader, Writer, record};
use super::operations::{MultiHeader, opcode};
use super::records::{Acl, Stat, WatcherEvent};
use super::{ErrorCode, frame, xid};
use crate::types::Zxid;

record! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ReplyHeader {
        pub xid: i32,
        /// The request's own zxid if it was a write, else the last one processed; -1 for an event.
        pub zxid: Zxid,
        pub error: ErrorCode,
    }
}

/// A successful reply's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Empty,
    /// create, sync
    Path(String),
    /// create2
    Created(String, Stat),
    /// exists, setData, setACL
    Stat(Stat),
    /// getData
    Data(Option<Bytes>, Stat),
    /// getChildren
    Children(Vec<String>),
    /// getChildren2
    Children2(Vec<String>, Stat),
    /// getACL
    Acl(Vec<Acl>, Stat),
    Multi(Vec<MultiReply>),
}

/// What one operation of a multi did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MultiReply {
    Created(String),
    Created2(String, Stat),
    Deleted,
    DataSet(Stat),
    Checked,
    /// The multi failed: 0 for operations before the one at fault, its code, and -2 for those after it.
    Error(ErrorCode),
}

impl Reply {
    /// Reads the body that a reply to operation `code` has.
    pub fn decode(code: i32, reader: &mut Reader) -> Result<Reply, DecodeError> {
        Ok(match code {
            opcode::CREATE | opcode::SYNC => Reply::Path(reader.read()?),
            opcode::CREATE2 => Reply::Created(reader.read()?, reader.read()?),
            opcode::EXISTS | opcode::SET_DATA | opcode::SET_ACL => Reply::Stat(reader.read()?),
            opcode::GET_DATA => Reply::Data(reader.read()?, reader.read()?),
            opcode::GET_ACL => Reply::Acl(reader.read()?, reader.read()?),
            opcode::GET_CHILDREN => Reply::Children(reader.read()?),
            opcode::GET_CHILDREN2 => Reply::Children2(reader.read()?, reader.read()?),
            opcode::MULTI => Reply::Multi(decode_multi(reader)?),
            opcode::DELETE
            | opcode::PING
            | opcode::CHECK
            | opcode::AUTH
            | opcode::SET_WATCHES
            | opcode::CLOSE => Reply::Empty,
            other => return Err(DecodeError::UnknownOperation(other)),
        })
    }

    fn write_body(&self, writer: &mut Writer) {
        match self {
            Reply::Empty => writer,
            Reply::Path(path) => writer.write(path),
            Reply::Created(path, stat) => writer.write(path).write(stat),
            Reply::Stat(stat) => writer.write(stat),
            Reply::Data(data, stat) => writer.write(data).write(stat),
            Reply::Children(names) => writer.write(names),
            Reply::Children2(names, stat) => writer.write(names).write(stat),
            Reply::Acl(acl, stat) => writer.write(acl).write(stat),
            Reply::Multi(results) => {
                for result in results {
                    result.write(writer);
                }
                writer.write(&MultiHeader::END)
            }
        };
    }

    /// A whole reply, its length included.
    pub fn encode(&self, xid: i32, zxid: Zxid) -> Bytes {
        frame(|writer| {
            writer.write(&ReplyHeader { xid, zxid, error: ErrorCode::OK });
            self.write_body(writer);
        })
    }

    /// A reply that says no.
    pub fn encode_error(xid: i32, zxid: Zxid, error: ErrorCode) -> Bytes {
        frame(|writer| {
            writer.write(&ReplyHeader { xid, zxid, error });
        })
    }

    /// An event, which no request asked for.
    pub fn encode_event(event: &WatcherEvent) -> Bytes {
        frame(|writer| {
            writer.write(&ReplyHeader { xid: xid::EVENT, zxid: Zxid(-1), error: ErrorCode::OK }).write(event);
        })
    }
}

fn decode_multi(reader: &mut Reader) -> Result<Vec<MultiReply>, DecodeError> {
    let mut results = Vec::new();
    loop {
        let header: MultiHeader = reader.read()?;
        if header.done {
            return Ok(results);
        }
        results.push(match header.code {
            opcode::CREATE => MultiReply::Created(reader.read()?),
            opcode::CREATE2 => MultiReply::Created2(reader.read()?, reader.read()?),
            opcode::DELETE => MultiReply::Deleted,
            opcode::SET_DATA => MultiReply::DataSet(reader.read()?),
            opcode::CHECK => MultiReply::Checked,
            opcode::ERROR => MultiReply::Error(reader.read()?),
            other => return Err(DecodeError::UnknownOperation(other)),
        });
    }
}

impl MultiReply {
    fn write(&self, writer: &mut Writer) {
        let (code, error) = match self {
            MultiReply::Created(_) => (opcode::CREATE, ErrorCode::OK),
            MultiReply::Created2(..) => (opcode::CREATE2, ErrorCode::OK),
            MultiReply::Deleted => (opcode::DELETE, ErrorCode::OK),
            MultiReply::DataSet(_) => (opcode::SET_DATA, ErrorCode::OK),
            MultiReply::Checked => (opcode::CHECK, ErrorCode::OK),
            MultiReply::Error(error) => (opcode::ERROR, *error),
        };
        writer.write(&MultiHeader { code, done: false, error });
        match self {
            MultiReply::Created(path) => writer.write(path),
            MultiReply::Created2(path, stat) => writer.write(path).write(stat),
            MultiReply::DataSet(stat) => writer.write(stat),
            MultiReply::Error(error) => writer.write(error),
            MultiReply::Deleted | MultiReply::Checked => writer,
        };
    }
}
