//! Jute's primitives: big-endian numbers, and buffers, strings and vectors behind a four-byte count.

use crate::types::{SessionId, Zxid};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes that are not what the protocol says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the message ends too early")]
    Truncated,
    #[error("a count of {0}")]
    BadCount(i32),
    #[error("a string that is not UTF-8")]
    NotUtf8,
    #[error("operation {0} is not known")]
    UnknownOperation(i32),
    #[error("event type {0} is not known")]
    UnknownEvent(i32),
}

/// Reads records off the front of a message.
pub struct Reader {
    rest: Bytes,
}

impl Reader {
    pub fn new(message: Bytes) -> Reader {
        Reader { rest: message }
    }

    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub fn read<T: Record>(&mut self) -> Result<T, DecodeError> {
        T::read(self)
    }

    fn take(&mut self, count: usize) -> Result<Bytes, DecodeError> {
        if self.rest.len() < count {
            return Err(DecodeError::Truncated);
        }
        Ok(self.rest.split_to(count))
    }

    /// A count; `None` stands for null (-1).
    fn count(&mut self) -> Result<Option<usize>, DecodeError> {
        match self.read::<i32>()? {
            -1 => Ok(None),
            count => usize::try_from(count).map(Some).map_err(|_| DecodeError::BadCount(count)),
        }
    }
}

/// Writes records one after the other.
pub struct Writer {
    out: BytesMut,
}

impl Writer {
    /// A writer that leaves room for the frame's length.
    pub(super) fn framed() -> Writer {
        let mut out = BytesMut::with_capacity(64);
        out.put_i32(0);
        Writer { out }
    }

    pub(super) fn finish_frame(mut self) -> Bytes {
        let length = i32::try_from(self.out.len() - 4).expect("a frame is far below 2 GiB");
        self.out[..4].copy_from_slice(&length.to_be_bytes());
        self.out.freeze()
    }

    pub fn write<T: Record>(&mut self, value: &T) -> &mut Writer {
        value.write(self);
        self
    }

    pub(super) fn write_bytes(&mut self, bytes: &[u8]) {
        self.write_count(bytes.len());
        self.out.put_slice(bytes);
    }

    fn write_count(&mut self, count: usize) {
        self.out.put_i32(i32::try_from(count).expect("a count is far below 2^31"));
    }
}

/// A value with a place in a message.
pub trait Record: Sized {
    fn read(reader: &mut Reader) -> Result<Self, DecodeError>;
    fn write(&self, writer: &mut Writer);
}

impl Record for i32 {
    fn read(reader: &mut Reader) -> Result<i32, DecodeError> {
        Ok(reader.take(4)?.get_i32())
    }

    fn write(&self, writer: &mut Writer) {
        writer.out.put_i32(*self);
    }
}

impl Record for i64 {
    fn read(reader: &mut Reader) -> Result<i64, DecodeError> {
        Ok(reader.take(8)?.get_i64())
    }

    fn write(&self, writer: &mut Writer) {
        writer.out.put_i64(*self);
    }
}

impl Record for SessionId {
    fn read(reader: &mut Reader) -> Result<SessionId, DecodeError> {
        reader.read().map(SessionId)
    }

    fn write(&self, writer: &mut Writer) {
        writer.write(&self.0);
    }
}

impl Record for Zxid {
    fn read(reader: &mut Reader) -> Result<Zxid, DecodeError> {
        reader.read().map(Zxid)
    }

    fn write(&self, writer: &mut Writer) {
        writer.write(&self.0);
    }
}

impl Record for bool {
    fn read(reader: &mut Reader) -> Result<bool, DecodeError> {
        Ok(reader.take(1)?[0] != 0)
    }

    fn write(&self, writer: &mut Writer) {
        writer.out.put_u8(u8::from(*self));
    }
}

/// A buffer; null and empty are different values.
impl Record for Option<Bytes> {
    fn read(reader: &mut Reader) -> Result<Option<Bytes>, DecodeError> {
        reader.count()?.map(|count| reader.take(count)).transpose()
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Some(bytes) => writer.write_bytes(bytes),
            None => writer.out.put_i32(-1),
        }
    }
}

/// A string; null is refused, for no message needs it.
impl Record for String {
    fn read(reader: &mut Reader) -> Result<String, DecodeError> {
        let count = reader.count()?.ok_or(DecodeError::BadCount(-1))?;
        let bytes = reader.take(count)?;
        std::str::from_utf8(&bytes).map(str::to_owned).map_err(|_| DecodeError::NotUtf8)
    }

    fn write(&self, writer: &mut Writer) {
        writer.write_bytes(self.as_bytes());
    }
}

/// A vector; null reads as empty.
impl<T: Record> Record for Vec<T> {
    fn read(reader: &mut Reader) -> Result<Vec<T>, DecodeError> {
        let count = reader.count()?.unwrap_or(0);
        // Every item takes at least a byte, so that a count alone allocates nothing.
        if count > reader.remaining() {
            return Err(DecodeError::Truncated);
        }
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(T::read(reader)?);
        }
        Ok(items)
    }

    fn write(&self, writer: &mut Writer) {
        writer.write_count(self.len());
        for item in self {
            item.write(writer);
        }
    }
}

/// Declares a record: its fields in the order of the wire.
macro_rules! record {
    ($( $(#[$meta:meta])* pub struct $name:ident { $( $(#[$field_meta:meta])* pub $field:ident: $type:ty ),+ $(,)? } )+) => {
        $(
            $(#[$meta])*
            pub struct $name { $( $(#[$field_meta])* pub $field: $type ),+ }

            impl $crate::zookeeper::codec::Record for $name {
                fn read(
                    reader: &mut $crate::zookeeper::codec::Reader,
                ) -> Result<$name, $crate::zookeeper::codec::DecodeError> {
                    Ok($name { $( $field: reader.read()? ),+ })
                }

                fn write(&self, writer: &mut $crate::zookeeper::codec::Writer) {
                    $( writer.write(&self.$field); )+
                }
            }
        )+
    };
}
pub(super) use record;
