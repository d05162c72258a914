//! Writes the protocol's primitive forms, several frames one after the other, into one buffer.
//!
//! The records of a fetch response can be left out as *holes* of a known length: the broker fills them with
//! ranges of its log files, which are sent without passing through here.

use bytes::{BufMut, Bytes, BytesMut};

/// Room made for a frame at once: answers for one partition fit, records apart.
const FRAME_BYTES_USUAL: usize = 128;

/// A stretch of finished output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Bytes(Bytes),
    /// The next hole of the message, in the order in which its fields were encoded; never empty.
    Hole {
        len: u32,
    },
}

/// Output so far. Reuse it for the frames of one flush, then [`Writer::take_pieces`].
#[derive(Debug, Default)]
pub struct Writer {
    buffer: BytesMut,
    /// Where in `buffer` a hole belongs, and its length; positions never decrease.
    holes: Vec<(usize, u32)>,
}

/// A frame begun and not yet ended: its length is still to be written.
#[derive(Debug)]
#[must_use = "a frame without its length is garbage to the peer"]
pub struct OpenFrame {
    length_at: usize,
    holes_before: usize,
}

impl Writer {
    pub fn new() -> Writer {
        Writer::default()
    }

    /// Bytes written, holes not counted.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    pub fn i8(&mut self, value: i8) {
        self.buffer.put_i8(value);
    }

    pub fn i16(&mut self, value: i16) {
        self.buffer.put_i16(value);
    }

    pub fn i32(&mut self, value: i32) {
        self.buffer.put_i32(value);
    }

    pub fn i64(&mut self, value: i64) {
        self.buffer.put_i64(value);
    }

    pub fn unsigned_varint(&mut self, value: u32) {
        let mut rest = value;
        while rest >= 0x80 {
            self.buffer.put_u8((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        self.buffer.put_u8(rest as u8);
    }

    /// See [`super::reader::Reader::compact_length`].
    pub fn compact_length(&mut self, length: Option<usize>) {
        let length = length.map(|length| u32::try_from(length).expect("a field has less than 2^32 bytes"));
        self.unsigned_varint(
            length.map_or(0, |length| length.checked_add(1).expect("a length below 2^32 - 1")),
        );
    }

    /// See [`super::reader::Reader::short_length`].
    pub fn short_length(&mut self, length: Option<usize>) {
        self.i16(
            length.map_or(-1, |length| i16::try_from(length).expect("a string has less than 2^15 bytes")),
        );
    }

    /// See [`super::reader::Reader::long_length`].
    pub fn long_length(&mut self, length: Option<usize>) {
        self.i32(
            length.map_or(-1, |length| i32::try_from(length).expect("a field has less than 2^31 bytes")),
        );
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.buffer.put_slice(bytes);
    }

    /// Leaves out `len` bytes, to be filled when the output is sent.
    pub fn hole(&mut self, len: u32) {
        if len > 0 {
            self.holes.push((self.buffer.len(), len));
        }
    }

    /// Writes one tagged field; holes have no place in it.
    pub fn tagged_field(&mut self, tag: u32, value: impl FnOnce(&mut Writer)) {
        let mut inner = Writer::new();
        value(&mut inner);
        assert!(inner.holes.is_empty(), "records are never a tagged field");
        self.unsigned_varint(tag);
        self.unsigned_varint(u32::try_from(inner.len()).expect("a tagged field has less than 2^32 bytes"));
        self.bytes(&inner.buffer);
    }

    /// Begins a frame: four bytes for its length.
    pub fn begin_frame(&mut self) -> OpenFrame {
        self.buffer.reserve(FRAME_BYTES_USUAL);
        let open = OpenFrame { length_at: self.buffer.len(), holes_before: self.holes.len() };
        self.buffer.put_i32(0);
        open
    }

    /// Ends the frame begun last: writes its length, holes counted.
    pub fn end_frame(&mut self, open: OpenFrame) {
        let body_at = open.length_at + 4;
        let in_holes: usize = self.holes[open.holes_before..].iter().map(|(_, len)| *len as usize).sum();
        let length = i32::try_from(self.buffer.len() - body_at + in_holes).expect("a frame below 2^31 bytes");
        self.buffer[open.length_at..body_at].copy_from_slice(&length.to_be_bytes());
    }

    /// Everything written, cut at its holes; the writer is empty afterwards.
    pub fn take_pieces(&mut self) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(2 * self.holes.len() + 1);
        let mut taken = 0;
        for (at, len) in self.holes.drain(..) {
            if at > taken {
                pieces.push(Piece::Bytes(self.buffer.split_to(at - taken).freeze()));
                taken = at;
            }
            pieces.push(Piece::Hole { len });
        }
        if !self.buffer.is_empty() {
            pieces.push(Piece::Bytes(self.buffer.split().freeze()));
        }
        pieces
    }

    /// Everything written, where no hole was left.
    pub fn into_bytes(self) -> Bytes {
        assert!(self.holes.is_empty(), "a hole needs something that fills it");
        self.buffer.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_of_a_frame_counts_its_holes_and_not_those_of_the_frame_before() {
        let mut out = Writer::new();
        let first = out.begin_frame();
        out.hole(100);
        out.end_frame(first);
        let second = out.begin_frame();
        out.i8(7);
        out.hole(5);
        out.hole(0);
        out.i8(8);
        out.end_frame(second);

        let pieces = out.take_pieces();

        assert_eq!(
            pieces,
            [
                Piece::Bytes(Bytes::from_static(&[0, 0, 0, 100])),
                Piece::Hole { len: 100 },
                Piece::Bytes(Bytes::from_static(&[0, 0, 0, 7, 7])),
                Piece::Hole { len: 5 },
                Piece::Bytes(Bytes::from_static(&[8])),
            ]
        );
        assert!(out.is_empty());
        assert!(out.take_pieces().is_empty());
    }

    #[test]
    fn varint_has_seven_bits_a_byte() {
        let mut out = Writer::new();
        out.unsigned_varint(0);
        out.unsigned_varint(300);
        out.unsigned_varint(u32::MAX);
        assert_eq!(out.into_bytes(), Bytes::from_static(&[0, 0xac, 2, 0xff, 0xff, 0xff, 0xff, 0x0f]));
    }
}
