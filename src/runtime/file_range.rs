//! What a connection sends: bytes in memory, or a range of a live file that is read only at send time.

use bytes::Bytes;

use super::disk::File;

/// `len` bytes of `file` from `offset`. Reading past the file's end at send time (it was truncated meanwhile)
/// fails the send with `UnexpectedEof`, and the connection closes.
#[derive(Clone)]
pub struct FileRange {
    pub file: File,
    pub offset: u64,
    pub len: u64,
}

/// One piece of an outgoing response.
#[derive(Clone)]
pub enum Segment {
    Bytes(Bytes),
    File(FileRange),
}

impl Segment {
    pub fn len(&self) -> u64 {
        match self {
            Segment::Bytes(bytes) => bytes.len() as u64,
            Segment::File(range) => range.len,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Bytes> for Segment {
    fn from(bytes: Bytes) -> Segment {
        Segment::Bytes(bytes)
    }
}
