//! How each type of field looks on the wire, in classic and in flexible versions (KIP-482).
//!
//! Structures get their form from `message!` (`describe.rs`), which is built on this.

use bytes::Bytes;

use super::reader::{DecodeError, Reader};
use super::writer::Writer;

/// The version in which a message is read or written.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    pub version: i16,
    /// Compact lengths, and tagged fields at the end of every structure.
    pub flexible: bool,
}

/// A value with a form on the wire.
pub trait Wire: Sized {
    /// The fewest bytes that any value takes.
    fn bytes_min(dialect: Dialect) -> usize;

    fn decode(input: &mut Reader<'_>, dialect: Dialect) -> Result<Self, DecodeError>;

    /// As `decode`, over another value, whose memory is used again. After an error it is some value.
    fn decode_into(&mut self, input: &mut Reader<'_>, dialect: Dialect) -> Result<(), DecodeError> {
        *self = Self::decode(input, dialect)?;
        Ok(())
    }

    fn encode(&self, out: &mut Writer, dialect: Dialect);

    /// As `decode_into`, in versions where the value cannot be null.
    fn decode_present_into(&mut self, input: &mut Reader<'_>, dialect: Dialect) -> Result<(), DecodeError> {
        self.decode_into(input, dialect)
    }

    /// As `encode`, in versions where the value cannot be null: a null is written as empty.
    fn encode_present(&self, out: &mut Writer, dialect: Dialect) {
        self.encode(out, dialect);
    }
}

/// A value that a length precedes, and that is null where the length says so.
pub trait Nullable: Wire + Default {
    fn decode_nullable(input: &mut Reader<'_>, dialect: Dialect) -> Result<Option<Self>, DecodeError>;

    fn encode_null(out: &mut Writer, dialect: Dialect);
}

macro_rules! integers {
    ($($integer:ident: $bytes:literal;)*) => { $(
        impl Wire for $integer {
            fn bytes_min(_: Dialect) -> usize {
                $bytes
            }

            fn decode(input: &mut Reader<'_>, _: Dialect) -> Result<Self, DecodeError> {
                input.$integer()
            }

            fn encode(&self, out: &mut Writer, _: Dialect) {
                out.$integer(*self);
            }
        }
    )* };
}

integers! { i8: 1; i16: 2; i32: 4; i64: 8; }

impl Wire for bool {
    fn bytes_min(_: Dialect) -> usize {
        1
    }

    fn decode(input: &mut Reader<'_>, _: Dialect) -> Result<Self, DecodeError> {
        Ok(input.i8()? != 0)
    }

    fn encode(&self, out: &mut Writer, _: Dialect) {
        out.i8(i8::from(*self));
    }
}

fn long_length_bytes(dialect: Dialect) -> usize {
    if dialect.flexible { 1 } else { 4 }
}

fn decode_long_length(input: &mut Reader<'_>, dialect: Dialect) -> Result<Option<usize>, DecodeError> {
    if dialect.flexible { input.compact_length() } else { input.long_length() }
}

fn encode_long_length(out: &mut Writer, dialect: Dialect, length: Option<usize>) {
    if dialect.flexible { out.compact_length(length) } else { out.long_length(length) }
}

fn decode_short_length(input: &mut Reader<'_>, dialect: Dialect) -> Result<Option<usize>, DecodeError> {
    if dialect.flexible { input.compact_length() } else { input.short_length() }
}

fn encode_short_length(out: &mut Writer, dialect: Dialect, length: Option<usize>) {
    if dialect.flexible { out.compact_length(length) } else { out.short_length(length) }
}

impl Wire for String {
    fn bytes_min(dialect: Dialect) -> usize {
        if dialect.flexible { 1 } else { 2 }
    }

    fn decode(input: &mut Reader<'_>, dialect: Dialect) -> Result<Self, DecodeError> {
        String::decode_nullable(input, dialect)?.ok_or(DecodeError::UnexpectedNull)
    }

    fn decode_into(&mut self, input: &mut Reader<'_>, dialect: Dialect) -> Result<(), DecodeError> {
        let length = decode_short_length(input, dialect)?.ok_or(DecodeError::UnexpectedNull)?;
        let text = input.str(length)?;
        self.clear();
        self.push_str(text);
        Ok(())
    }

    /// A string longer than a classic version can say is cut: of what we send only error messages, which may
    /// quote the peer, come near that.
    fn encode(&self, out: &mut Writer, dialect: Dialect) {
        let length_max = if dialect.flexible { self.len() } else { CLASSIC_STRING_BYTES_MAX };
        let mut ends = (0..=length_max.min(self.len())).rev();
        let end = ends.find(|end| self.is_char_boundary(*end)).expect("a string can be cut to nothing");
        let text = &self[..end];
        encode_short_length(out, dialect, Some(text.len()));
        out.bytes(text.as_bytes());
    }
}

/// What the 16 bits before a string can say.
const CLASSIC_STRING_BYTES_MAX: usize = i16::MAX as usize;

impl Nullable for String {
    fn decode_nullable(input: &mut Reader<'_>, dialect: Dialect) -> Result<Option<Self>, DecodeError> {
        let length = decode_short_length(input, dialect)?;
        length.map(|length| input.str(length).map(str::to_owned)).transpose()
    }

    fn encode_null(out: &mut Writer, dialect: Dialect) {
        encode_short_length(out, dialect, None);
    }
}

impl Wire for Bytes {
    fn bytes_min(dialect: Dialect) -> usize {
        long_length_bytes(dialect)
    }

    fn decode(input: &mut Reader<'_>, dialect: Dialect) -> Result<Self, DecodeError> {
        Bytes::decode_nullable(input, dialect)?.ok_or(DecodeError::UnexpectedNull)
    }

    fn encode(&self, out: &mut Writer, dialect: Dialect) {
        encode_long_length(out, dialect, Some(self.len()));
        out.bytes(self);
    }
}

impl Nullable for Bytes {
    fn decode_nullable(input: &mut Reader<'_>, dialect: Dialect) -> Result<Option<Self>, DecodeError> {
        let length = decode_long_length(input, dialect)?;
        length.map(|length| input.bytes(length)).transpose()
    }

    fn encode_null(out: &mut Writer, dialect: Dialect) {
        encode_long_length(out, dialect, None);
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn bytes_min(dialect: Dialect) -> usize {
        long_length_bytes(dialect)
    }

    fn decode(input: &mut Reader<'_>, dialect: Dialect) -> Result<Self, DecodeError> {
        Vec::decode_nullable(input, dialect)?.ok_or(DecodeError::UnexpectedNull)
    }

    fn decode_into(&mut self, input: &mut Reader<'_>, dialect: Dialect) -> Result<(), DecodeError> {
        let length = decode_long_length(input, dialect)?.ok_or(DecodeError::UnexpectedNull)?;
        input.require_array::<T>(length, T::bytes_min(dialect))?;
        self.truncate(length);
        for element in self.iter_mut() {
            element.decode_into(input, dialect)?;
        }
        self.reserve_exact(length - self.len());
        for _ in self.len()..length {
            self.push(T::decode(input, dialect)?);
        }
        Ok(())
    }

    fn encode(&self, out: &mut Writer, dialect: Dialect) {
        encode_long_length(out, dialect, Some(self.len()));
        for element in self {
            element.encode(out, dialect);
        }
    }
}

impl<T: Wire> Nullable for Vec<T> {
    fn decode_nullable(input: &mut Reader<'_>, dialect: Dialect) -> Result<Option<Self>, DecodeError> {
        let Some(length) = decode_long_length(input, dialect)? else {
            return Ok(None);
        };
        input.require_array::<T>(length, T::bytes_min(dialect))?;
        let mut elements = Vec::with_capacity(length);
        for _ in 0..length {
            elements.push(T::decode(input, dialect)?);
        }
        Ok(Some(elements))
    }

    fn encode_null(out: &mut Writer, dialect: Dialect) {
        encode_long_length(out, dialect, None);
    }
}

impl<T: Nullable> Wire for Option<T> {
    fn bytes_min(dialect: Dialect) -> usize {
        T::bytes_min(dialect)
    }

    fn decode(input: &mut Reader<'_>, dialect: Dialect) -> Result<Self, DecodeError> {
        T::decode_nullable(input, dialect)
    }

    fn encode(&self, out: &mut Writer, dialect: Dialect) {
        match self {
            Some(value) => value.encode(out, dialect),
            None => T::encode_null(out, dialect),
        }
    }

    fn decode_present_into(&mut self, input: &mut Reader<'_>, dialect: Dialect) -> Result<(), DecodeError> {
        *self = Some(T::decode(input, dialect)?);
        Ok(())
    }

    fn encode_present(&self, out: &mut Writer, dialect: Dialect) {
        match self {
            Some(value) => value.encode(out, dialect),
            None => T::default().encode(out, dialect),
        }
    }
}

/// The records of a partition in a fetch response: batches as they lie in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records {
    /// Null on the wire. Decoded from some brokers; librdkafka refuses it below version 12, so a broker that
    /// has nothing to send answers the default, which is empty and not null.
    None,
    Bytes(Bytes),
    /// As many bytes, which something else will send; encoding leaves a [`super::Piece::Hole`].
    Hole(u32),
}

impl Records {
    /// How many bytes the records take.
    pub fn len(&self) -> usize {
        match self {
            Records::None => 0,
            Records::Bytes(bytes) => bytes.len(),
            Records::Hole(len) => *len as usize,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for Records {
    fn default() -> Self {
        Records::Bytes(Bytes::new())
    }
}

impl Wire for Records {
    fn bytes_min(dialect: Dialect) -> usize {
        long_length_bytes(dialect)
    }

    fn decode(input: &mut Reader<'_>, dialect: Dialect) -> Result<Self, DecodeError> {
        Ok(Bytes::decode_nullable(input, dialect)?.map_or(Records::None, Records::Bytes))
    }

    fn encode(&self, out: &mut Writer, dialect: Dialect) {
        match self {
            Records::None => Bytes::encode_null(out, dialect),
            Records::Bytes(bytes) => bytes.encode(out, dialect),
            Records::Hole(len) => {
                encode_long_length(out, dialect, Some(*len as usize));
                out.hole(*len);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_over_another_value_leaves_nothing_of_it() {
        let dialect = Dialect { version: 0, flexible: false };
        let encoded = |texts: &[&str]| {
            let mut out = Writer::new();
            texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>().encode(&mut out, dialect);
            out.into_bytes()
        };
        let mut texts: Vec<String> = Vec::new();
        for wanted in [&["longer than the next", "b"][..], &["a", "b", "c"], &["d"], &[]] {
            assert_eq!(texts.decode_into(&mut Reader::new(&encoded(wanted)), dialect), Ok(()));
            assert_eq!(texts, wanted);
        }
    }

    #[test]
    fn string_too_long_for_a_classic_version_is_cut_between_characters() {
        let text = "ü".repeat(20_000);
        let encoded = |flexible| {
            let mut out = Writer::new();
            text.encode(&mut out, Dialect { version: 0, flexible });
            out.into_bytes()
        };
        let classic =
            String::decode(&mut Reader::new(&encoded(false)), Dialect { version: 0, flexible: false });
        assert_eq!(classic, Ok("ü".repeat(16_383)));
        let flexible =
            String::decode(&mut Reader::new(&encoded(true)), Dialect { version: 0, flexible: true });
        assert_eq!(flexible, Ok(text));
    }
}
