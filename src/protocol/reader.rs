//! Reads the protocol's primitive forms from one frame.
//!
//! Never panics, never reads past the frame, and never reserves memory for a length that the frame cannot
//! hold. Byte fields are slices of the frame, not copies. What a field means is the messages' business.

use std::ops::Range;

use bytes::Bytes;

use super::text::Text;

/// How much memory the arrays of one message may take. Metadata of some 400,000 partitions fits.
pub const ARRAY_BYTES_MAX: usize = 64 << 20;
/// How much of it for each byte of the frame. An element can be some twenty times as large in memory as on the
/// wire (an empty string is one byte there), but none that says anything is: five times is the most.
pub const ARRAY_GROWTH_MAX: usize = 8;
/// What arrays may take whatever the frame's size.
pub const ARRAY_BYTES_FREE: usize = 64 << 10;
/// How many things one request may name: topics, partitions, settings. Each costs a broker a look-up and an
/// answer, whatever its size.
pub const REQUEST_ELEMENTS_MAX: usize = 100_000;

/// A frame that is not what its header says it is. The connection cannot be trusted any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the frame ends within a field: {needed} bytes needed, {left} left")]
    Truncated { needed: usize, left: usize },
    #[error("{left} bytes left over after the last field")]
    Trailing { left: usize },
    #[error("more than {REQUEST_ELEMENTS_MAX} elements in a request's arrays")]
    TooManyElements,
    #[error("length {length} is negative")]
    NegativeLength { length: i64 },
    #[error("null where a value must be")]
    UnexpectedNull,
    #[error("text is not UTF-8")]
    NotUtf8,
    #[error("variable-length number exceeds 32 bits")]
    VarintTooLong,
    #[error("tagged field {tag} does not come in ascending order")]
    TagOrder { tag: u32 },
    #[error("tagged field {tag} is longer than its value by {left} bytes")]
    TagTrailing { tag: u32, left: usize },
    #[error("arrays that take too much memory for the frame")]
    ArraysTooLarge,
    #[error("version {version} of this message is not known")]
    UnknownVersion { version: i16 },
}

/// A position in one frame.
#[derive(Debug)]
pub struct Reader<'a> {
    /// What holds the frame.
    bytes: &'a Bytes,
    position: usize,
    /// Exclusive; the frame's end, or that of the tagged field being read.
    end: usize,
    array_bytes_left: usize,
    elements_left: usize,
}

impl<'a> Reader<'a> {
    pub fn new(frame: &'a Bytes) -> Reader<'a> {
        Reader::within(frame, 0..frame.len())
    }

    /// For what any client may send: the frame at `range` of `bytes`, which may hold others.
    pub fn of_request(bytes: &'a Bytes, range: Range<usize>) -> Reader<'a> {
        Reader { elements_left: REQUEST_ELEMENTS_MAX, ..Reader::within(bytes, range) }
    }

    fn within(bytes: &'a Bytes, range: Range<usize>) -> Reader<'a> {
        assert!(range.start <= range.end, "a frame does not end before it begins");
        assert!(range.end <= bytes.len(), "the frame is all there");
        let in_proportion = range.len().saturating_mul(ARRAY_GROWTH_MAX).saturating_add(ARRAY_BYTES_FREE);
        let array_bytes_left = ARRAY_BYTES_MAX.min(in_proportion);
        Reader { bytes, position: range.start, end: range.end, array_bytes_left, elements_left: usize::MAX }
    }

    pub fn remaining(&self) -> usize {
        self.end - self.position
    }

    /// States that the message is complete: nothing may follow it.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing { left }),
        }
    }

    /// The rest of the frame, unread.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.position..self.end]
    }

    fn take(&mut self, count: usize) -> Result<&[u8], DecodeError> {
        self.require(count)?;
        let start = self.position;
        self.position += count;
        Ok(&self.bytes[start..self.position])
    }

    fn require(&self, needed: usize) -> Result<(), DecodeError> {
        let left = self.remaining();
        if needed > left { Err(DecodeError::Truncated { needed, left }) } else { Ok(()) }
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let bytes = self.take(N)?;
        Ok(bytes.try_into().expect("take returns as many bytes as asked for"))
    }

    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        self.fixed().map(i8::from_be_bytes)
    }

    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        self.fixed().map(i16::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.fixed().map(i32::from_be_bytes)
    }

    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.fixed().map(i64::from_be_bytes)
    }

    /// A number of seven bits a byte, lowest first; at most 32 bits in at most five bytes.
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let mut value: u32 = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.fixed()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0x0f {
                return Err(DecodeError::VarintTooLong);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::VarintTooLong)
    }

    /// A length as flexible versions write it: one more than it is, so that zero can mean null.
    pub fn compact_length(&mut self) -> Result<Option<usize>, DecodeError> {
        Ok(self.unsigned_varint()?.checked_sub(1).map(|length| length as usize))
    }

    /// A length as older versions write it before a string: -1 means null.
    pub fn short_length(&mut self) -> Result<Option<usize>, DecodeError> {
        let length = self.i16()?;
        length_or_null(i64::from(length))
    }

    /// A length as older versions write it before bytes and arrays: -1 means null.
    pub fn long_length(&mut self) -> Result<Option<usize>, DecodeError> {
        let length = self.i32()?;
        length_or_null(i64::from(length))
    }

    pub fn str(&mut self, length: usize) -> Result<&str, DecodeError> {
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| DecodeError::NotUtf8)
    }

    /// Text as a slice of the frame: it keeps the whole frame alive.
    pub fn text(&mut self, length: usize) -> Result<Text, DecodeError> {
        Text::new(self.bytes(length)?).ok_or(DecodeError::NotUtf8)
    }

    /// A slice of the frame: it keeps the whole frame alive.
    pub fn bytes(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        self.require(length)?;
        let start = self.position;
        self.position += length;
        Ok(self.bytes.slice(start..self.position))
    }

    /// Whether there may be an array of `length` elements, each of which takes at least `element_bytes_min` bytes on
    /// the wire: no more than the rest of the frame can fill. To be asked before memory is reserved for it.
    pub fn require_array<T>(&mut self, length: usize, element_bytes_min: usize) -> Result<(), DecodeError> {
        assert!(element_bytes_min > 0, "an element without bytes would make any length plausible");
        self.require(length.saturating_mul(element_bytes_min))?;
        self.elements_left = self.elements_left.checked_sub(length).ok_or(DecodeError::TooManyElements)?;
        let bytes = length.saturating_mul(size_of::<T>());
        match self.array_bytes_left.checked_sub(bytes) {
            None => Err(DecodeError::ArraysTooLarge),
            Some(left) => {
                self.array_bytes_left = left;
                Ok(())
            }
        }
    }

    /// Reads the tagged fields (KIP-482) that end every structure of a flexible version. `known` reads the
    /// value of a tag it knows and says so; the values of other tags are skipped.
    pub fn tagged_fields(
        &mut self,
        mut known: impl FnMut(u32, &mut Reader<'_>) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        let count = self.unsigned_varint()?;
        let mut tag_min = 0u64;
        for _ in 0..count {
            let tag = self.unsigned_varint()?;
            if u64::from(tag) < tag_min {
                return Err(DecodeError::TagOrder { tag });
            }
            tag_min = u64::from(tag) + 1;
            let length = self.unsigned_varint()? as usize;
            self.require(length)?;
            let end_outside = std::mem::replace(&mut self.end, self.position + length);
            if !known(tag, self)? {
                self.position = self.end;
            }
            let left = self.remaining();
            self.end = end_outside;
            if left > 0 {
                return Err(DecodeError::TagTrailing { tag, left });
            }
        }
        Ok(())
    }
}

fn length_or_null(length: i64) -> Result<Option<usize>, DecodeError> {
    match length {
        -1 => Ok(None),
        _ => usize::try_from(length).map(Some).map_err(|_| DecodeError::NegativeLength { length }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &'static [u8]) -> Reader<'static> {
        Reader::new(Box::leak(Box::new(Bytes::from_static(bytes))))
    }

    #[test]
    fn varint_takes_32_bits_and_no_more() {
        assert_eq!(reader(&[0]).unsigned_varint(), Ok(0));
        assert_eq!(reader(&[0xac, 0x02]).unsigned_varint(), Ok(300));
        assert_eq!(reader(&[0xff, 0xff, 0xff, 0xff, 0x0f]).unsigned_varint(), Ok(u32::MAX));
        let too_large = reader(&[0xff, 0xff, 0xff, 0xff, 0x1f]).unsigned_varint();
        assert_eq!(too_large, Err(DecodeError::VarintTooLong));
        let endless = reader(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]).unsigned_varint();
        assert_eq!(endless, Err(DecodeError::VarintTooLong));
        assert_eq!(reader(&[0x80]).unsigned_varint(), Err(DecodeError::Truncated { needed: 1, left: 0 }));
    }

    #[test]
    fn lengths_below_null_are_refused() {
        assert_eq!(reader(&[0xff, 0xff]).short_length(), Ok(None));
        assert_eq!(reader(&[0xff, 0xfe]).short_length(), Err(DecodeError::NegativeLength { length: -2 }));
        assert_eq!(reader(&[0, 0, 0, 3]).long_length(), Ok(Some(3)));
        assert_eq!(reader(&[0]).compact_length(), Ok(None));
        assert_eq!(reader(&[1]).compact_length(), Ok(Some(0)));
    }

    #[test]
    fn array_that_the_frame_cannot_hold_reserves_nothing() {
        let refused = reader(&[1, 2, 3]).require_array::<String>(0x7fff_ffff, 2);
        assert_eq!(refused, Err(DecodeError::Truncated { needed: 0xffff_fffe, left: 3 }));
    }

    #[test]
    fn arrays_of_one_message_share_a_limit() {
        let frame = Bytes::from(vec![0; ARRAY_BYTES_MAX / size_of::<String>() + 1]);
        let length = frame.len();
        let refused = Reader::new(&frame).require_array::<String>(length, 1);
        assert_eq!(refused, Err(DecodeError::ArraysTooLarge));
    }

    #[test]
    fn arrays_grow_in_proportion_to_their_frame() {
        let frame = Bytes::from(vec![0; ARRAY_BYTES_FREE]);
        let fits = (ARRAY_GROWTH_MAX + 1) * ARRAY_BYTES_FREE / size_of::<String>();
        assert!(Reader::new(&frame).require_array::<String>(fits, 1).is_ok());
        assert_eq!(
            Reader::new(&frame).require_array::<String>(fits + 1, 1),
            Err(DecodeError::ArraysTooLarge)
        );
    }

    #[test]
    fn a_request_names_a_bounded_number_of_things() {
        let frame = Bytes::from(vec![0; 2 * REQUEST_ELEMENTS_MAX]);
        let mut input = Reader::of_request(&frame, 0..frame.len());
        assert!(input.require_array::<i8>(REQUEST_ELEMENTS_MAX, 1).is_ok());
        assert_eq!(input.require_array::<i8>(1, 1), Err(DecodeError::TooManyElements));
        assert!(Reader::new(&frame).require_array::<i8>(REQUEST_ELEMENTS_MAX + 1, 1).is_ok());
    }

    #[test]
    fn unknown_tagged_field_is_skipped() {
        let mut input = reader(&[2, 5, 1, 0xaa, 9, 2, 0xbb, 0xcc, 42]);
        let mut seen = Vec::new();
        let outcome = input.tagged_fields(|tag, _| {
            seen.push(tag);
            Ok(false)
        });
        assert_eq!(outcome, Ok(()));
        assert_eq!(seen, [5, 9]);
        assert_eq!(input.i8(), Ok(42));
    }

    #[test]
    fn known_tagged_field_cannot_read_past_its_own_length() {
        let outcome = reader(&[1, 0, 1, 0xaa, 0xbb]).tagged_fields(|_, value| value.i16().map(|_| true));
        assert_eq!(outcome, Err(DecodeError::Truncated { needed: 2, left: 1 }));
        let outcome = reader(&[1, 0, 2, 0xaa, 0xbb]).tagged_fields(|_, value| value.i8().map(|_| true));
        assert_eq!(outcome, Err(DecodeError::TagTrailing { tag: 0, left: 1 }));
    }

    #[test]
    fn tag_that_comes_twice_is_refused() {
        let outcome = reader(&[2, 3, 0, 3, 0]).tagged_fields(|_, _| Ok(false));
        assert_eq!(outcome, Err(DecodeError::TagOrder { tag: 3 }));
    }
}
