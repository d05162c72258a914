//! Requests: a transaction id of the client's, an operation code, and the operation's own body.

use bytes::Bytes;

use super::jute::{DecodeError, Reader, Record, Writer, record};
use super::records::Acl;
use super::{ErrorCode, frame};
use crate::types::Zxid;

/// Operation codes.
pub mod opcode {
    pub const CREATE: i32 = 1;
    pub const DELETE: i32 = 2;
    pub const EXISTS: i32 = 3;
    pub const GET_DATA: i32 = 4;
    pub const SET_DATA: i32 = 5;
    pub const GET_ACL: i32 = 6;
    pub const SET_ACL: i32 = 7;
    pub const GET_CHILDREN: i32 = 8;
    pub const SYNC: i32 = 9;
    pub const PING: i32 = 11;
    pub const GET_CHILDREN2: i32 = 12;
    pub const CHECK: i32 = 13;
    pub const MULTI: i32 = 14;
    pub const CREATE2: i32 = 15;
    pub const AUTH: i32 = 100;
    pub const SET_WATCHES: i32 = 101;
    pub const CLOSE: i32 = -11;
    /// In the reply to a multi: this operation failed, or would have been undone.
    pub const ERROR: i32 = -1;
}

/// Transaction ids that do not count requests.
pub mod xid {
    pub const EVENT: i32 = -1;
    pub const PING: i32 = -2;
    pub const AUTH: i32 = -4;
    pub const SET_WATCHES: i32 = -8;
}

/// How long a node lives and who completes its name, as the wire says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreateFlags(pub i32);

impl CreateFlags {
    pub const PERSISTENT: CreateFlags = CreateFlags(0);
    pub const EPHEMERAL: CreateFlags = CreateFlags(1);
    pub const PERSISTENT_SEQUENTIAL: CreateFlags = CreateFlags(2);
    pub const EPHEMERAL_SEQUENTIAL: CreateFlags = CreateFlags(3);

    pub fn is_ephemeral(self) -> bool {
        self.0 == 1 || self.0 == 3
    }

    pub fn is_sequential(self) -> bool {
        self.0 == 2 || self.0 == 3
    }

    /// Whether this server knows the kind: containers and nodes with a time to live are not among them.
    pub fn is_known(self) -> bool {
        (0..=3).contains(&self.0)
    }
}

record! {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct CreateRequest {
        pub path: String,
        pub data: Option<Bytes>,
        pub acl: Vec<Acl>,
        pub flags: CreateFlags,
    }

    /// A node, and the version it must have (-1: any).
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct PathVersion {
        pub path: String,
        pub version: i32,
    }

    /// A node, and whether to set a watch on what was read.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct PathWatch {
        pub path: String,
        pub watch: bool,
    }

    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct PathDataVersion {
        pub path: String,
        pub data: Option<Bytes>,
        pub version: i32,
    }

    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct PathAclVersion {
        pub path: String,
        pub acl: Vec<Acl>,
        pub version: i32,
    }

    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AuthRequest {
        pub kind: i32,
        pub scheme: String,
        pub credentials: Option<Bytes>,
    }

    /// Sets watches again on a new connection; what changed after `relative_zxid` fires at once.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct SetWatchesRequest {
        pub relative_zxid: Zxid,
        pub data: Vec<String>,
        pub exist: Vec<String>,
        pub child: Vec<String>,
    }
}

impl Record for CreateFlags {
    fn read(reader: &mut Reader) -> Result<CreateFlags, DecodeError> {
        reader.read().map(CreateFlags)
    }

    fn write(&self, writer: &mut Writer) {
        writer.write(&self.0);
    }
}

/// A request's operation with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    Create(CreateRequest),
    /// As `Create`; the reply has the stat too.
    Create2(CreateRequest),
    Delete(PathVersion),
    Exists(PathWatch),
    GetData(PathWatch),
    SetData(PathDataVersion),
    GetAcl(String),
    SetAcl(PathAclVersion),
    GetChildren(PathWatch),
    /// As `GetChildren`; the reply has the stat too.
    GetChildren2(PathWatch),
    Sync(String),
    Ping,
    Check(PathVersion),
    /// Creates, deletes, changes and checks that succeed or fail together.
    Multi(Vec<Op>),
    Auth(AuthRequest),
    SetWatches(SetWatchesRequest),
    Close,
}

impl Op {
    pub fn code(&self) -> i32 {
        match self {
            Op::Create(_) => opcode::CREATE,
            Op::Create2(_) => opcode::CREATE2,
            Op::Delete(_) => opcode::DELETE,
            Op::Exists(_) => opcode::EXISTS,
            Op::GetData(_) => opcode::GET_DATA,
            Op::SetData(_) => opcode::SET_DATA,
            Op::GetAcl(_) => opcode::GET_ACL,
            Op::SetAcl(_) => opcode::SET_ACL,
            Op::GetChildren(_) => opcode::GET_CHILDREN,
            Op::GetChildren2(_) => opcode::GET_CHILDREN2,
            Op::Sync(_) => opcode::SYNC,
            Op::Ping => opcode::PING,
            Op::Check(_) => opcode::CHECK,
            Op::Multi(_) => opcode::MULTI,
            Op::Auth(_) => opcode::AUTH,
            Op::SetWatches(_) => opcode::SET_WATCHES,
            Op::Close => opcode::CLOSE,
        }
    }

    /// Whether nobody but a leader can carry it out; a follower answers everything else by itself.
    pub fn needs_leader(&self) -> bool {
        match self {
            Op::Create(_)
            | Op::Create2(_)
            | Op::Delete(_)
            | Op::SetData(_)
            | Op::SetAcl(_)
            | Op::Multi(_)
            | Op::Sync(_)
            | Op::Close => true,
            Op::Exists(_)
            | Op::GetData(_)
            | Op::GetAcl(_)
            | Op::GetChildren(_)
            | Op::GetChildren2(_)
            | Op::Ping
            | Op::Check(_)
            | Op::Auth(_)
            | Op::SetWatches(_) => false,
        }
    }

    /// A whole request, its length included.
    pub fn encode(&self, xid: i32) -> Bytes {
        frame(|writer| {
            writer.write(&xid).write(&self.code());
            self.write_body(writer);
        })
    }

    /// Reads the body of operation `code`.
    pub fn decode(code: i32, reader: &mut Reader) -> Result<Op, DecodeError> {
        Ok(match code {
            opcode::EXISTS => Op::Exists(reader.read()?),
            opcode::GET_DATA => Op::GetData(reader.read()?),
            opcode::GET_ACL => Op::GetAcl(reader.read()?),
            opcode::SET_ACL => Op::SetAcl(reader.read()?),
            opcode::GET_CHILDREN => Op::GetChildren(reader.read()?),
            opcode::GET_CHILDREN2 => Op::GetChildren2(reader.read()?),
            opcode::SYNC => Op::Sync(reader.read()?),
            opcode::PING => Op::Ping,
            opcode::MULTI => Op::Multi(Op::decode_multi(reader)?),
            opcode::AUTH => Op::Auth(reader.read()?),
            opcode::SET_WATCHES => Op::SetWatches(reader.read()?),
            opcode::CLOSE => Op::Close,
            other => Op::decode_write(other, reader)?,
        })
    }

    /// The operations that a multi may hold.
    fn decode_write(code: i32, reader: &mut Reader) -> Result<Op, DecodeError> {
        Ok(match code {
            opcode::CREATE => Op::Create(reader.read()?),
            opcode::CREATE2 => Op::Create2(reader.read()?),
            opcode::DELETE => Op::Delete(reader.read()?),
            opcode::SET_DATA => Op::SetData(reader.read()?),
            opcode::CHECK => Op::Check(reader.read()?),
            other => return Err(DecodeError::UnknownOperation(other)),
        })
    }

    fn decode_multi(reader: &mut Reader) -> Result<Vec<Op>, DecodeError> {
        let mut operations = Vec::new();
        loop {
            let header: MultiHeader = reader.read()?;
            if header.done {
                return Ok(operations);
            }
            operations.push(Op::decode_write(header.code, reader)?);
        }
    }

    fn write_body(&self, writer: &mut Writer) {
        match self {
            Op::Create(request) | Op::Create2(request) => writer.write(request),
            Op::Delete(request) | Op::Check(request) => writer.write(request),
            Op::Exists(request)
            | Op::GetData(request)
            | Op::GetChildren(request)
            | Op::GetChildren2(request) => writer.write(request),
            Op::SetData(request) => writer.write(request),
            Op::GetAcl(path) | Op::Sync(path) => writer.write(path),
            Op::SetAcl(request) => writer.write(request),
            Op::Auth(request) => writer.write(request),
            Op::SetWatches(request) => writer.write(request),
            Op::Ping | Op::Close => writer,
            Op::Multi(operations) => {
                for operation in operations {
                    writer.write(&MultiHeader { code: operation.code(), done: false, error: ErrorCode(-1) });
                    operation.write_body(writer);
                }
                writer.write(&MultiHeader::END)
            }
        };
    }
}

record! {
    /// Stands before each operation of a multi and before each of its results.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct MultiHeader {
        pub code: i32,
        pub done: bool,
        pub error: ErrorCode,
    }
}

impl MultiHeader {
    pub const END: MultiHeader = MultiHeader { code: -1, done: true, error: ErrorCode(-1) };
}
