//! A connection's replies, gathered in request order until they are sent with one write.

use std::io;

use super::transport::OutgoingHalf;
use crate::protocol::{Message, Piece, RequestHeader, Writer, encode_response_into};
use crate::runtime::{FileRange, Segment};

pub(super) struct Outgoing {
    half: OutgoingHalf,
    writer: Writer,
    /// What fills the writer's holes, in their order.
    ranges: Vec<FileRange>,
    segments: Vec<Segment>,
}

impl Outgoing {
    pub fn new(half: OutgoingHalf) -> Outgoing {
        Outgoing { half, writer: Writer::new(), ranges: Vec::new(), segments: Vec::new() }
    }

    /// Adds a reply.
    pub fn reply<M: Message>(&mut self, to: &RequestHeader, response: &M) {
        self.reply_in_version(to, to.api_version, response);
    }

    /// Adds a reply in another version than the request's.
    pub fn reply_in_version<M: Message>(&mut self, to: &RequestHeader, version: i16, response: &M) {
        encode_response_into(&mut self.writer, to.api_key, version, to.correlation_id, response);
    }

    /// Adds a reply whose holes `ranges` fill, in order; none is empty.
    pub fn reply_with<M: Message>(
        &mut self,
        to: &RequestHeader,
        response: &M,
        ranges: impl Iterator<Item = FileRange>,
    ) {
        self.reply(to, response);
        self.ranges.extend(ranges);
    }

    pub fn is_empty(&self) -> bool {
        self.writer.is_empty() && self.ranges.is_empty()
    }

    /// Bytes gathered.
    pub fn len(&self) -> u64 {
        self.writer.len() as u64 + self.ranges.iter().map(|range| range.len).sum::<u64>()
    }

    /// Sends what was gathered. After an error, or if dropped, the connection must be closed.
    pub async fn send(&mut self) -> io::Result<()> {
        let mut ranges = self.ranges.drain(..);
        for piece in self.writer.take_pieces() {
            self.segments.push(match piece {
                Piece::Bytes(bytes) => Segment::Bytes(bytes),
                Piece::Hole { len } => {
                    let range = ranges.next().expect("every hole has its range");
                    assert_eq!(range.len, u64::from(len), "a hole is as long as its range");
                    Segment::File(range)
                }
            });
        }
        drop(ranges);
        self.half.send(&mut self.segments).await
    }
}
